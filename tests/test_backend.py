import json
import sys

import keras
import pytest

from mixtura import backend

# Under the command's name the package leaves Keras alone, so that a process takes no time.
CHOICE = "import sys; sys.argv[0] = 'mixtura'; import mixtura; print(*mixtura.backend.chosen, sep='|')"


@pytest.fixture
def choice(fresh_python, tmp_path):
    """Return the name and the reason chosen in a fresh process, for a keras.json and an environment."""

    def choose(written=None, code=CHOICE, **environment):
        if written is not None:
            (tmp_path / "keras.json").write_text(written)
        return fresh_python(code, **environment).split("|")

    return choose


def configuration(name):
    """What Keras writes."""
    return json.dumps({"floatx": "float32", "epsilon": 1e-7, "backend": name})


def test_jax_when_nothing_is_set(choice):
    name, reason = choice()
    assert name == "jax"
    assert "default" in reason


@pytest.mark.slow
def test_keras_writes_tensorflow_unasked_and_it_does_not_count(choice, tmp_path):
    """A real import of Keras leaves the file behind; the next process still gets JAX."""
    code = "import mixtura, keras; print(mixtura.backend.chosen.name, keras.backend.backend(), sep='|')"
    assert choice(code=code) == ["jax", "jax"]
    assert json.loads((tmp_path / "keras.json").read_text())["backend"] == "tensorflow"
    assert choice()[0] == "jax"


def test_a_file_that_names_another_backend_counts(choice, tmp_path):
    name, reason = choice(configuration("torch"))
    assert name == "torch"
    assert str(tmp_path / "keras.json") in reason


@pytest.mark.parametrize("named", ["torch", "tensorflow", "jax"])
def test_the_environment_wins_over_the_file(choice, named):
    name, reason = choice(configuration("torch"), KERAS_BACKEND=named)
    assert name == named
    assert "KERAS_BACKEND" in reason


def test_an_empty_variable_counts_as_unset(choice):
    assert choice(KERAS_BACKEND="")[0] == "jax"
    assert choice(configuration("torch"), KERAS_BACKEND="")[0] == "torch"


@pytest.mark.parametrize("written", ["", "{", "[1, 2]", '"torch"', '{"backend": 3}', '{"backend": ""}', "{}"])
def test_a_broken_file_is_ignored(choice, written):
    assert choice(written)[0] == "jax"


def test_the_choice_is_left_for_child_processes(choice):
    show = CHOICE + "; import os; print('|' + os.environ.get('KERAS_BACKEND', ''))"
    assert choice(code=show)[-1] == "jax"
    assert choice(configuration("torch"), code=show)[-1] == ""  # the file is there for them, too


def test_a_keras_already_imported_wins(choice):
    stand_in = (
        "import sys, types; keras = types.ModuleType('keras'); keras.backend = types.ModuleType('backend'); "
        "keras.backend.backend = lambda: 'tensorflow'; sys.modules['keras'] = keras; "
    )
    name, reason = choice(configuration("torch"), code=stand_in + CHOICE, KERAS_BACKEND="jax")
    assert name == "tensorflow"
    assert "before Mixtura" in reason


def test_this_process_has_keras_already(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "another")
    assert backend.choose().name == keras.backend.backend()


def test_the_command_imports_nothing_heavy(fresh_python):
    heavy = ["keras", "jax", "torch", "tensorflow", "scipy", "matplotlib", "numpy"]
    code = f"{CHOICE}; print([name for name in {heavy} if name in sys.modules])"
    assert fresh_python(code).splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("argv", "orig_argv", "expected"),
    [
        (["/usr/bin/mixtura", "demo"], ["python", "/usr/bin/mixtura"], True),
        (["mixtura.exe"], ["mixtura.exe"], True),
        (["/src/mixtura/__main__.py"], ["python", "-m", "mixtura"], True),
        (["train.py"], ["python", "train.py"], False),
        (["mixtura_train.py"], ["python", "mixtura_train.py"], False),
        ([""], ["python"], False),
    ],
)
def test_the_command_is_told_from_other_programs(argv, orig_argv, expected, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig_argv)
    assert backend.in_command() is expected


def test_keras_home_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert backend.keras_home() == tmp_path
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert backend.keras_home() == tmp_path / ".keras"
