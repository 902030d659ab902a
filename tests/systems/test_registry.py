import pytest

from mixtura.errors import InputError
from mixtura.systems import registry
from mixtura.systems.system import System


def test_a_folder_is_a_system():
    for name in registry.names():
        system = registry.find(name)
        assert system.name == name
        assert system.about
        assert (
            {"small", "tiny"} <= set(system.presets) <= {"paper", "small", "tiny"}
        )  # not all were published
    assert "demo" not in registry.names()


def test_a_file_is_a_system(gestures):
    assert isinstance(gestures, System)
    assert gestures.name == "gestures"


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
