import json
import zipfile

import numpy as np
import pytest

import mixtura as mx
from mixtura.errors import InputError


@pytest.fixture
def saved(two, tmp_path):
    path = tmp_path / "model.npz"
    two.save(path)
    return path


def test_it_comes_back_the_same(two, saved, rows):
    X, Y = rows
    loaded = mx.MDNRegressor.load(saved)
    np.testing.assert_array_equal(loaded.predict_distribution(X).params, two.predict_distribution(X).params)
    assert loaded.family_ == two.family_
    assert loaded.log_score(X, Y) == two.log_score(X, Y)
    for name, p in two.baseline_distributions(X).items():
        np.testing.assert_array_equal(loaded.baseline_distributions(X)[name].params, p.params)
        assert loaded.baseline_distributions(X)[name].family == p.family
    for name in ("n_iter_", "loss_curve_", "validation_loss_curve_", "n_features_in_", "n_outputs_"):
        assert getattr(loaded, name) == getattr(two, name)
    np.testing.assert_array_equal(loaded.min_scale_, two.min_scale_)
    assert loaded.decisions() == two.decisions()
    asked = {**two.get_params(), "hidden_layer_sizes": [8]}  # JSON has no tuples
    assert loaded.get_params() == asked
    # And again.
    loaded.save(saved.parent / "again.npz")
    again = mx.MDNRegressor.load(str(saved.parent / "again.npz"))
    np.testing.assert_array_equal(again.predict(X), two.predict(X))


def test_it_holds_arrays_and_json_and_no_pickle(saved, two):
    with np.load(saved, allow_pickle=False) as file:
        config = json.loads(str(file["config"]))
        weights = [file[name] for name in file.files if name.startswith("weight")]
    assert config["format"] == "mixtura regressor 1"
    assert config["params"]["n_components"] == 2
    assert len(weights) == len(two._weights)
    assert all(weight.dtype == np.float32 for weight in weights)


def test_calibration_is_kept(two, rows, tmp_path):
    X, Y = rows
    two.save(tmp_path / "m.npz")
    model = mx.MDNRegressor.load(tmp_path / "m.npz").calibrate(X, Y)
    model.save(tmp_path / "m.npz")
    loaded = mx.MDNRegressor.load(tmp_path / "m.npz")
    for one, other in zip(*(m.predict_interval(X, conformal=True) for m in (model, loaded)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_parameters_of_numpy_and_a_generator_are_taken(rows, small, tmp_path):
    X, Y = rows
    model = small(
        min_scale=np.array([0.1, 0.2]),
        hidden_layer_sizes=np.array([8]),
        max_iter=np.int64(1),
        alpha=np.float32(0.5),
        random_state=np.random.RandomState(0),
        categorical_features=np.array([False] * 3),
    ).fit(X, Y)
    model.save(tmp_path / "m.npz")
    loaded = mx.MDNRegressor.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.get_params()["min_scale"] == [0.1, 0.2]
    assert loaded.random_state is None
    assert loaded.fit(X, Y).n_iter_ == 1


def test_only_what_was_fitted_is_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted yet"):
        mx.MDNRegressor().save(tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file(two, saved, monkeypatch):
    old = saved.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="no space"):
        two.save(saved)
    assert saved.read_bytes() == old
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.slow
def test_a_write_that_is_killed_leaves_the_old_file(saved, fresh_python):
    old = saved.read_bytes()
    printed = fresh_python(
        f"""
import os, signal
import numpy as np
import mixtura as mx
model = mx.MDNRegressor.load({str(saved)!r})
def kill(file, **arrays):
    file.write(b"half")
    file.flush()
    print("killed", flush=True)
    os._exit(0)
np.savez = kill
model.save({str(saved)!r})
"""
    )
    assert printed == "killed"
    assert saved.read_bytes() == old


# Files that are something else.


def check_refused(path, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        mx.MDNRegressor.load(path)
    assert str(error.value).count("\n") == 0
    assert str(error.value).startswith(str(path))


def test_a_missing_file_is_said(tmp_path):
    check_refused(tmp_path / "none.npz", "does not exist; expected a file that `save` wrote")


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x93NUMPY", b"PK\x03\x04", b"\x80\x04N."], ids=repr)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    check_refused(path, "is damaged or no saved MDNRegressor")


def test_nobody_is_told_to_allow_pickle(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    check_refused(tmp_path / "table.csv", r"no saved MDNRegressor \(it is no npz archive\)")


def test_other_arrays_are_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    np.savez(tmp_path / "objects.npz", config=np.array([None], dtype=object))
    for name, config in {"list": "[]", "number": "3", "format": '{"format": "mixtura regressor 9"}'}.items():
        np.savez(tmp_path / f"{name}.npz", config=np.array(config))
    for path in tmp_path.iterdir():
        check_refused(path, "is damaged or no saved MDNRegressor")
    check_refused(tmp_path / "format.npz", r"its format is 'mixtura regressor 9', not 'mixtura regressor 1'")


def test_a_file_that_lacks_something_is_refused(saved):
    with np.load(saved) as file:
        arrays = dict(file)
    config = json.loads(str(arrays["config"]))
    for lacking in ["config", "weight0", *config]:
        kept = {name: value for name, value in arrays.items() if name != lacking}
        if lacking in config:
            rest = {name: value for name, value in config.items() if name != lacking}
            kept["config"] = np.array(json.dumps(rest))
        np.savez(saved, **kept)
        check_refused(saved, "is damaged or no saved MDNRegressor")
    np.savez(saved, **{**arrays, "weight0": arrays["weight0"][:, :-1]})
    check_refused(saved, "is damaged or no saved MDNRegressor")


def test_damaged_bytes_are_refused_or_change_nothing(two, saved, rows):
    whole, expected = saved.read_bytes(), two.predict(rows[0][:3])
    refused = 0
    rng = np.random.default_rng(0)
    places = [*rng.integers(0, len(whole), 25), *rng.integers(len(whole) - 600, len(whole), 25), 6, 8, 26]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 + int(rng.integers(255))
        saved.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(mx.MDNRegressor.load(saved).predict(rows[0][:3]), expected)
        except InputError as error:
            assert "is damaged" in str(error)  # noqa: PT017
            refused += 1
    for length in (100, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        check_refused(saved, "is damaged")
    assert refused > 20
    assert zipfile.is_zipfile(saved) is False
