import pytest

from mixtura.errors import InputError
from mixtura.systems import registry
from mixtura.systems.system import System


def test_a_folder_is_a_system():
    for name in registry.names():
        system = registry.find(name)
        assert system.name == name
        assert system.about
        assert {"paper", "small", "tiny"} <= set(system.presets)
    assert "demo" not in registry.names()


def test_a_file_is_a_system(gestures):
    assert isinstance(gestures, System)
    assert gestures.name == "gestures"


def test_a_file_is_run_as_an_import_would(tmp_path):
    (tmp_path / "waves.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from mixtura.systems.system import Preset, System\n"
        "@dataclass(frozen=True)\n"
        "class WavesPreset(Preset):\n"
        "    count: int = 3\n"
        "class Waves(System):\n"
        "    name, about, presets = 'waves', __file__, {'tiny': WavesPreset()}\n"
    )
    found = registry.find(str(tmp_path / "waves.py"))
    assert found.about == str(tmp_path / "waves.py")
    assert found.presets["tiny"].count == 3


def test_mistakes_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"there is no system 'nothing'; expected one of .*, or a Python"):
        registry.find("nothing")
    with pytest.raises(InputError, match="does not exist; expected a Python file"):
        registry.find(str(tmp_path / "missing.py"))
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_that_is_there")
    with pytest.raises(InputError, match=r"broken.py cannot be imported \(ModuleNotFoundError"):
        registry.find(str(broken))
    broken.write_text("from mixtura.systems.system import System")
    with pytest.raises(InputError, match="has 0 subclasses of System; expected one"):
        registry.find(str(broken))
