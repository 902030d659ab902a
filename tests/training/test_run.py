import csv
import errno
import json
import os
import shutil
import sys
from pathlib import Path

import mixtura as mx

# isort: split
import keras
import numpy as np
import pytest

from mixtura.errors import InputError, TrainingError
from mixtura.training import Run, fit, resuming

FILES = ["checkpoint.npz", "config.json", "history.csv", "model.keras"]
FAMILY = mx.Mixture(mx.Normal(1), 2)
CONFIG = {"components": 2, "rate": 0.1, "name": "é"}


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def says(error):
    assert "\n" not in str(error.value)
    return str(error.value)


# Beginning.


def test_begin_makes_a_folder_that_says_what_was_asked_for(tmp_path):
    run = Run.begin(tmp_path / "a" / "run", CONFIG)
    assert run.config == CONFIG
    written = json.loads((tmp_path / "a" / "run" / "config.json").read_text())
    assert written == {"format": "mixtura run 1", **CONFIG}
    assert os.listdir(run.path) == ["config.json"]
    assert run.checkpoint() is None


def test_begin_takes_an_empty_folder_and_what_a_killed_begin_has_left(tmp_path):
    Run.begin(tmp_path, CONFIG)
    for resume in False, True:
        (tmp_path / "config.json").rename(tmp_path / ".mixtura-config-12345678.json")
        Run.begin(tmp_path, CONFIG, resume=resume)
        assert os.listdir(tmp_path) == ["config.json"]


def test_begin_leaves_what_exists_alone(tmp_path):
    Run.begin(tmp_path / "run", CONFIG)
    before = content(tmp_path)
    with pytest.raises(InputError, match="run exists; name another output or give --overwrite"):
        Run.begin(tmp_path / "run", {"other": 1})
    assert content(tmp_path) == before


@pytest.mark.parametrize("flag", ["overwrite", "resume"])
@pytest.mark.parametrize("config", [None, "not JSON", "[1]", '{"another": "model"}'])
def test_begin_refuses_a_folder_that_is_no_run(tmp_path, flag, config):
    (tmp_path / "thesis.txt").write_text("years of work")
    if config:
        (tmp_path / "config.json").write_text(config)
    before = content(tmp_path)
    with pytest.raises(InputError, match=r"config\.json") as error:
        Run.begin(tmp_path, CONFIG, **{flag: True})
    assert str(tmp_path) in says(error)
    assert content(tmp_path) == before


@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"resume": True}])
def test_begin_refuses_a_file(tmp_path, flags):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match=r"run exists|run is not a run"):
        Run.begin(tmp_path / "run", CONFIG, **flags)
    assert (tmp_path / "run").read_text() == "mine"


def test_begin_overwrites_a_run_and_all_that_is_in_it(tmp_path):
    run = Run.begin(tmp_path / "run", CONFIG)
    for name in ("checkpoint.npz", "model.keras", "history.csv"):
        (run.path / name).write_text("old")
    run.figure("loss").parent.mkdir()
    run.figure("loss").write_text("old")
    (tmp_path / "link").symlink_to(run.path)
    Run.begin(tmp_path / "link", {"new": 1}, overwrite=True)
    assert os.listdir(run.path) == ["config.json"]
    assert Run(run.path).config == {"new": 1}


def test_an_overwriting_begin_that_fails_changes_nothing_or_leaves_a_run(tmp_path, monkeypatch):
    run = Run.begin(tmp_path, CONFIG)
    for name in FILES:
        if name != "config.json":
            (tmp_path / name).write_text("{}")
    before = content(tmp_path)
    with pytest.raises(TypeError):
        Run.begin(tmp_path, {"x": object()}, overwrite=True)
    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        Run.begin(tmp_path, CONFIG, overwrite=True)
    assert content(tmp_path) == before
    monkeypatch.undo()
    removed, unlink = [], Path.unlink

    def stop(path, **kwargs):
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, **kwargs)

    monkeypatch.setattr(Path, "unlink", stop)
    with pytest.raises(KeyboardInterrupt):
        Run.begin(tmp_path, CONFIG, overwrite=True)
    monkeypatch.undo()
    assert removed[0] == "checkpoint.npz"
    assert run.config == CONFIG
    Run.begin(tmp_path, CONFIG, overwrite=True)
    assert os.listdir(tmp_path) == ["config.json"]


def test_begin_resumes_only_with_the_same_settings(tmp_path):
    Run.begin(tmp_path, {**CONFIG, "sizes": (1, 2)}, resume=True)
    Run.begin(tmp_path, {**CONFIG, "sizes": (1, 2)}, resume=True)
    before = content(tmp_path)
    for changes, message in [
        ({"rate": 0.2}, "begun with rate = 0.1; received 0.2"),
        ({"sizes": [1]}, r"begun with sizes = \[1, 2\]; received \[1\]"),
        ({"new": "x"}, "begun with new = None; received 'x'"),
    ]:
        with pytest.raises(InputError, match=message) as error:
            Run.begin(tmp_path, {**CONFIG, "sizes": (1, 2), **changes}, resume=True)
        assert str(tmp_path) in says(error)
        assert content(tmp_path) == before


def test_begin_removes_what_killed_writes_have_left_and_nothing_else(tmp_path):
    Run.begin(tmp_path, CONFIG)
    (tmp_path / "figures").mkdir()
    for name in (".mixtura-model-1234.keras", "figures/.mixtura-loss-1234.png", ".my-settings", "notes.txt"):
        (tmp_path / name).touch()
    Run.begin(tmp_path, CONFIG, resume=True)
    assert sorted(os.listdir(tmp_path)) == [".my-settings", "config.json", "figures", "notes.txt"]
    assert os.listdir(tmp_path / "figures") == []


def below_a_file(tmp_path):
    (tmp_path / "file").touch()
    return tmp_path / "file" / "run"


def read_only(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("the superuser writes into read-only folders")
    tmp_path.chmod(0o555)
    return tmp_path / "run"


def in_the_kernel(_):
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has /proc")
    return Path("/proc/run")


@pytest.mark.parametrize("place", [below_a_file, read_only, in_the_kernel])
@pytest.mark.parametrize("flags", [{}, {"overwrite": True}, {"resume": True}])
def test_begin_says_that_it_cannot_write(tmp_path, place, flags):
    path = place(tmp_path)
    with pytest.raises(InputError, match=r"run cannot be written \(\w+") as error:
        Run.begin(path, CONFIG, **flags)
    assert str(path) in says(error)
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("flag", ["overwrite", "resume"])
def test_begin_says_that_it_can_no_longer_write(tmp_path, monkeypatch, flag):
    Run.begin(tmp_path, CONFIG)

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(Read-only file system\)"):
        Run.begin(tmp_path, CONFIG, **{flag: True})


# Training.


class Do(keras.callbacks.Callback):
    """Does something when an epoch begins."""

    def __init__(self, epoch=None, act=None):
        super().__init__()
        self._epoch, self._act = epoch, act

    def on_epoch_begin(self, epoch, logs=None):
        if epoch + 1 == self._epoch:
            self._act()


def train(path, *do, epochs=5):
    """Return the model and its history."""
    keras.utils.set_random_seed(3)
    x = np.linspace(-1, 1, 24, dtype="float32")[:, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, "tanh"), mx.MDN(FAMILY)])
    model.compile(keras.optimizers.Adam(0.05), loss=mx.NegativeLogLikelihood(FAMILY))
    run = Run.begin(path, CONFIG, resume=True)
    history = fit(
        model, x, x**2, 8, epochs, validation_data=(x, x), verbose=0, callbacks=[Do(*do)], seed=5, run=run
    )
    return model, history.history


@pytest.fixture(autouse=True)
def _every_epoch_is_kept(monkeypatch):
    monkeypatch.setattr(resuming, "INTERVAL", -1.0)


@pytest.fixture
def whole(tmp_path):
    return train(tmp_path / "whole")


def check_resumes(path, whole):
    model, history = train(path)
    assert history == whole[1]
    np.testing.assert_equal(model.get_weights(), whole[0].get_weights())
    np.testing.assert_equal(mx.load(path).get_weights(), whole[0].get_weights())
    assert sorted(os.listdir(path)) == FILES


def test_what_training_leaves(tmp_path, whole):
    model, history = whole
    folder = tmp_path / "whole"
    assert sorted(os.listdir(folder)) == FILES
    assert Run(folder).config == CONFIG
    with (folder / "history.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names == ["epoch", "loss", "val_loss"] == ["epoch", *history]
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(np.array(rows, float)[:, 1:].T, list(history.values()))  # every digit
    checkpoint = Run(folder).checkpoint()
    assert (checkpoint.epochs, checkpoint.seed, checkpoint.is_final) == (5, 5, True)
    loaded = mx.load(str(folder))
    x = np.linspace(-1, 1, 7, dtype="float32")[:, None]
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert loaded.layers[-1].family == FAMILY


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("name", "epoch", "kept"),
    [("checkpoint.npz", 3, 2), ("history.csv", 3, 3), ("model.keras", 3, 5), ("checkpoint.npz", 1, None)],
)
def test_a_full_disk_costs_nothing_that_was_finished(tmp_path, whole, monkeypatch, name, epoch, kept):
    path, plain = tmp_path / "run", Path.replace

    def replace(temporary, target):
        return full_disk() if Path(target).name == name else plain(temporary, target)

    with monkeypatch.context() as patch, pytest.raises(TrainingError) as error:
        train(path, epoch, lambda: patch.setattr(Path, "replace", replace))
    sentence = says(error)
    assert f"{path / name} could not be written (No space left on device)" in sentence
    assert "resume" in sentence
    checkpoint = Run(path).checkpoint()
    assert (checkpoint and checkpoint.epochs) == kept
    assert not [name for name in os.listdir(path) if name.startswith(".")]
    if kept == 2:
        expected = train(tmp_path / "two", epochs=2)[0].get_weights()
        np.testing.assert_equal(mx.load(path).get_weights(), expected)
    mx.load(path)
    check_resumes(path, whole)


LIMITED = """
import resource, sys
sys.path.insert(0, {here!r})
import test_run
test_run.resuming.INTERVAL = -1.0
limits = ({size}, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
try:
    test_run.train({path!r}, 3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
except test_run.TrainingError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["checkpoint.npz", "model.keras"])
def test_files_that_the_system_does_not_let_grow(tmp_path, whole, fresh_python, name):
    pytest.importorskip("resource")
    path, size = tmp_path / "run", (tmp_path / "whole" / name).stat().st_size - 99
    code = LIMITED.format(here=str(Path(__file__).parent), size=size, path=str(path))
    printed = fresh_python(code, KERAS_BACKEND=keras.backend.backend())
    assert printed.startswith(f"{path / name} could not be written (File too large).")
    assert len(printed.splitlines()) == 1
    assert Run(path).checkpoint().epochs in ((2, 3, 4) if name == "checkpoint.npz" else (5,))
    mx.load(path)
    check_resumes(path, whole)


def test_a_folder_that_vanishes(tmp_path, whole):
    path = tmp_path / "run"
    with pytest.raises(TrainingError, match="run is gone: it was moved or removed") as error:
        train(path, 3, lambda: shutil.rmtree(path))
    says(error)
    assert not path.exists()  # no second one, which would be half a run
    with pytest.raises(TrainingError, match="is gone"):
        train(path, 3, lambda: path.rename(tmp_path / "moved"))
    check_resumes(tmp_path / "moved", whole)


# Loading.


def test_load_refuses_what_is_no_run(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(InputError, match="is not a folder") as error:
            mx.load(path)
        assert str(path) in says(error)
    with pytest.raises(InputError, match="is not a run"):
        mx.load(tmp_path)
    Run.begin(tmp_path / "begun", CONFIG)
    with pytest.raises(InputError, match="begun has no model yet") as error:
        mx.load(tmp_path / "begun")
    says(error)


def test_load_names_a_damaged_model(tmp_path, whole):
    file = tmp_path / "whole" / "model.keras"
    good = file.read_bytes()
    damaged = [good[: len(good) * part // 20] for part in range(20)]
    damaged += [good[:place] + b"damage" + good[place + 6 :] for place in range(0, len(good), 997)]
    sentences = []
    for content in [b"", b"text", *damaged]:
        file.write_bytes(content)
        try:
            mx.load(file.parent)  # some damage is harmless
        except InputError as error:
            sentences.append(str(error))
    assert len(sentences) >= 22
    assert all(f"{file} is damaged" in sentence and "\n" not in sentence for sentence in sentences)


def test_load_names_a_damaged_checkpoint(tmp_path, whole):
    file = tmp_path / "whole" / "checkpoint.npz"
    file.write_bytes(file.read_bytes()[:-99])
    with pytest.raises(InputError, match=r"checkpoint\.npz is damaged") as error:
        mx.load(file.parent)
    says(error)
    with pytest.raises(InputError, match=r"checkpoint\.npz is damaged"):
        train(file.parent)


def test_load_refuses_a_checkpoint_of_another_model(tmp_path):
    with pytest.raises(KeyError):
        train(tmp_path / "run", 2, {}.popitem)
    other = keras.Sequential([keras.Input((1,)), mx.MDN(FAMILY)])
    other.compile("sgd", loss=mx.NegativeLogLikelihood(FAMILY))
    other.save(tmp_path / "run" / "model.keras")
    with pytest.raises(InputError, match="belongs to another network or optimizer"):
        mx.load(tmp_path / "run")


def test_load_while_training_ends(tmp_path, whole, monkeypatch):
    path = tmp_path / "run"
    with pytest.raises(KeyError):
        train(path, 5, {}.popitem)
    load, ends = keras.models.load_model, []

    def and_training_ends(file):
        model = load(file)
        ends.append(train(path))
        return model

    monkeypatch.setattr(keras.models, "load_model", and_training_ends)
    four = train(tmp_path / "four", epochs=4)[0].get_weights()
    np.testing.assert_equal(mx.load(path).get_weights(), four)
    assert ends
