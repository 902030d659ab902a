import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.training.checkpoint import Checkpoint


def checkpoint(**changes):
    rng = np.random.default_rng(0)
    values = {
        "epochs": 2,
        "seed": 7,
        "settings": {"training data": "abc", "batch_size": 8},
        "is_over": False,
        "is_final": False,
        "history": [{"loss": 0.1}, {"loss": float("nan"), "val_loss": 1 / 3}],
        "optimizer": "Adam",
        "callbacks": [
            {"class": "Own", "attributes": {"best": [rng.normal(size=3)], "wait": 1, "none": None}}
        ],
        "generator": np.arange(5, dtype=np.uint8),
        "variables": [
            rng.normal(size=(2, 3)).astype("float32"),
            np.array(3, np.int32),
            np.array([1, 2], np.uint32),
        ],
    }
    return Checkpoint(**(values | changes))


@pytest.fixture
def path(tmp_path):
    checkpoint().write(tmp_path / "checkpoint.npz")
    return tmp_path / "checkpoint.npz"


def refused(path, *reasons):
    with pytest.raises(InputError, match="is damaged or no checkpoint of Mixtura's") as error:
        Checkpoint.read(path)
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    assert all(reason in text for reason in reasons)


def test_what_is_written_is_read(path):
    written, read = checkpoint(), Checkpoint.read(path)
    assert repr(read) == repr(written)  # the types too
    for found, wanted in zip(read.variables, written.variables, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(
        read.callbacks[0]["attributes"]["best"], written.callbacks[0]["attributes"]["best"]
    )


def test_numbers_of_numpy_are_read_as_plain_ones_with_all_digits(tmp_path):
    attributes = {"best": np.float32(0.1), "flag": np.bool(True), "far": np.float64("inf")}
    checkpoint(callbacks=[{"class": "Own", "attributes": attributes}]).write(tmp_path / "c.npz")
    read = Checkpoint.read(tmp_path / "c.npz").callbacks[0]["attributes"]
    assert read == attributes
    assert read["flag"] is True


def test_bfloat16_is_kept_exactly(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.array([1.0078125, -3e38, np.inf, 1e-40], ml_dtypes.bfloat16)
    callbacks = [{"class": "Own", "attributes": {"best_weights": [values]}}]
    checkpoint(variables=[values], callbacks=callbacks).write(tmp_path / "c.npz")
    read = Checkpoint.read(tmp_path / "c.npz")
    for array in read.variables[0], read.callbacks[0]["attributes"]["best_weights"][0]:
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array.astype(ml_dtypes.bfloat16), values)


def test_the_file_needs_no_pickles(path):
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "biuf" for name in file.files)


def test_a_missing_file_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        Checkpoint.read(tmp_path / "checkpoint.npz")


def test_a_truncated_file_is_refused_wherever_it_ends(path):
    whole = path.read_bytes()
    for size in {*range(0, 200), *range(0, len(whole), 7), *range(len(whole) - 200, len(whole))}:
        path.write_bytes(whole[:size])
        refused(path)


def test_a_changed_byte_is_refused_or_harmless(path):
    whole, wanted = path.read_bytes(), repr(Checkpoint.read(path))
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            assert repr(Checkpoint.read(path)) == wanted  # a date, say
        except InputError:
            refused(path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_a_pickle_is_never_executed(path, tmp_path):
    bomb = np.array([Bomb()], dtype=object)
    np.savez(path, header=bomb)
    refused(path, "allow_pickle=False")
    parts = {"header": np.frombuffer(b"{}", np.uint8), "variable0": bomb}
    np.savez(path, **parts)
    refused(path, "allow_pickle=False")
    path.write_bytes(pickle.dumps(Bomb()))
    refused(path)


def rewritten(path, change):
    """Change the header of a checkpoint."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop("header").tobytes())
    change(header)
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)


def test_a_newer_format_is_refused(path):
    rewritten(path, lambda header: header.update(format="mixtura checkpoint 2"))
    refused(path, "'mixtura checkpoint 2'", "'mixtura checkpoint 1'")


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.clear(),
        lambda header: header.pop("format"),
        lambda header: header.pop("epochs"),
        lambda header: header.update(future=1),
        lambda header: header.update(variables=99),
        lambda header: header.update(generator={"array": "array99"}),
    ],
)
def test_an_incomplete_header_is_refused(path, change):
    rewritten(path, change)
    refused(path)


def one_array():
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    return stream.getvalue()


def zipped(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return stream.getvalue()


FOREIGN = {
    "empty": b"",
    "text": b"epoch,loss\n1,0.5\n",
    "an array": one_array(),
    "other arrays": zipped(**{"a.npy": one_array()}),
    "a header that is no text": zipped(**{"header.npy": one_array()}),
    "another zip file": zipped(header="hello"),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "checkpoint.npz").write_bytes(content)
    refused(tmp_path / "checkpoint.npz")


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path, "Is a directory")


@pytest.mark.parametrize("header", [[], "text", 3, None])
def test_a_header_that_is_no_object_is_refused(path, header):
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8))
    refused(path)
