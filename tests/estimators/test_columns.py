import numpy as np
import pytest

import mixtura as mx
from mixtura.estimators.columns import Columns, categorical_columns, moments, numbers, texts

RNG = np.random.default_rng(0)
ONES = np.ones(6)
COLOURS = ["red", "blue", None, "red", "green", "blue"]


def table(**columns):
    """Columns of objects."""
    return np.array(list(columns.values()), dtype=object).T


# Numbers.


def test_numbers_are_standardised_by_weighted_moments():
    x, weight = RNG.normal(5, 3, size=(6, 2)), np.array([1.0, 2, 3, 0, 1, 1])
    columns = Columns.fit(x, [], weight)
    mean = np.average(x, axis=0, weights=weight)
    std = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(columns.encode(x), (x - mean) / std, rtol=1e-6)
    assert columns.encode(x).dtype == np.float32
    assert columns.width == 2


def test_constant_columns_are_zero_and_far_ones_stay_finite():
    x = np.column_stack([np.full(6, 1e30), np.arange(6.0), 1e-30 * np.arange(6)])
    columns = Columns.fit(x, [], ONES)
    np.testing.assert_allclose(columns.encode(x)[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(columns.encode(x)[:, 2], columns.encode(x)[:, 1], rtol=1e-6)
    assert np.isfinite(columns.encode(np.full((1, 3), 3e38))).all()


def test_huge_columns_have_moments():
    x = np.array([[-3e38], [3e38]])
    mean, std = moments(x, np.ones(2))
    np.testing.assert_allclose([mean[0], std[0]], [0, 3e38])
    mean, std = moments(np.array([[1.0], [np.nan], [3.0]]), np.ones(3))
    np.testing.assert_allclose([mean[0], std[0]], [2, 1])
    _, std = moments(np.array([[1e13], [1e13 + 2]]), np.ones(2))  # far from 0, and not constant
    np.testing.assert_allclose(std[0], 1, rtol=1e-3)
    _, std = moments(np.array([[0.3], [0.1 + 0.2]]), np.ones(2))
    assert std[0] == 1


def test_rows_of_weight_zero_are_not_looked_at():
    x = table(number=[1, 2, 3, 1e30], text=["a", "b", "a", "z"])
    with_it = Columns.fit(x, [1], np.array([1.0, 1, 1, 0]))
    assert with_it == Columns.fit(x[:3], [1], np.ones(3))


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (np.nan, r"^Input X contains NaN: nan in row 2, column 1$"),
        (-np.inf, r"^Input X contains infinity.*: -inf in row 2, column 1$"),
        (1e39, r"^Input X contains.*too large.*: 1e\+39 in row 2, column 1$"),
    ],
)
def test_numbers_that_are_none_are_named(bad, sentence):
    x = RNG.normal(size=(6, 3))
    x[2, 1] = bad
    with pytest.raises(ValueError, match=sentence):
        numbers(x, (0, 1, 2))


def test_text_in_a_column_of_numbers_is_said():
    with pytest.raises(ValueError, match=r"could not convert string to float: 'x' in row 1, column '0'; cat"):
        numbers(table(a=[1, "x"]), (0,))


# Categories.


def test_every_category_is_a_column_and_a_new_one_is_none():
    x = table(colour=COLOURS, size=[1.0, 2, 3, 4, 5, 6])
    columns = Columns.fit(x, [0], ONES)
    assert columns.levels == (("", "blue", "green", "red"),)
    assert columns.width == 5
    encoded = columns.encode(x)
    np.testing.assert_array_equal(
        encoded[:, 1:], [[level == (colour or "") for level in columns.levels[0]] for colour in COLOURS]
    )
    new = table(colour=["pink", np.nan], size=[1, 2])
    np.testing.assert_array_equal(columns.encode(new)[:, 1:], [[0, 0, 0, 0], [1, 0, 0, 0]])
    assert columns.unseen(new) == {0: ["pink"]}
    assert Columns.from_dict(columns.to_dict()) == columns


def test_numbers_are_the_same_category_however_they_are_written():
    assert texts(table(a=[1, 1.0, "1", 2.5, np.int64(1), True, None, np.nan]), 0) == [
        *("1", "1", "1", "2.5", "1", "True", "", "")
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, []),
        ("from_dtype", []),  # an array has one dtype for all
        ([], []),
        ([2, 0], [0, 2]),
        ([-1, 2], [2]),
        (np.array([1]), [1]),
        ([True, False, True], [0, 2]),
        (np.array([False, True, False]), [1]),
    ],
)
def test_categorical_columns_of_an_array_are_named_by_place(asked, expected):
    assert categorical_columns(np.zeros((2, 3)), asked) == expected


@pytest.mark.parametrize("asked", [[3], [-4], ["a"], [0.5], [True, False], "colour"])
def test_columns_that_are_not_there_are_refused(asked):
    with pytest.raises(ValueError, match=r"categorical_features names columns.*each of 3; received"):
        categorical_columns(np.zeros((2, 3)), asked)


@pytest.mark.slow
def test_a_regressor_of_categories_alone(small):
    x = RNG.integers(0, 3, size=60)
    y = 2.0 * x + 0.1 * RNG.normal(size=60)
    model = small(categorical_features=[0]).fit(x[:, None], y)
    low, middle, high = model.predict([[0], [1.0], [2]])
    assert low < middle < high
    assert np.isfinite(model.predict([[7]])).all()


# Data frames.


@pytest.fixture(params=["pandas", "polars"])
def frames(request):
    return pytest.importorskip(request.param)


def frame(frames, rows=60):
    rng = np.random.default_rng(0)
    colours = np.array(["red", "green", "blue"])[rng.integers(0, 3, rows)]
    columns = {
        "size": rng.normal(size=rows),
        "count": rng.integers(0, 9, rows),
        "colour": colours.tolist(),
        "open": rng.random(rows) < 0.5,
    }
    effect = {"red": -3.0, "green": 0.0, "blue": 3.0}
    y = columns["size"] + [effect[colour] for colour in colours] + 0.3 * rng.normal(size=rows)
    return frames.DataFrame(columns), y


@pytest.fixture
def framed(frames, small):
    X, y = frame(frames)
    return X, y, small(max_iter=60, n_bins=0).fit(X, y)


def test_a_frame_is_read_by_its_types_and_names(frames, framed):
    X, y, model = framed
    assert model.feature_names_in_.tolist() == ["size", "count", "colour", "open"]
    assert model._columns.numeric == (0, 1, 3)
    assert model._columns.levels == (("blue", "green", "red"),)
    new = X[:3] if frames.__name__ == "polars" else X.iloc[:3]
    np.testing.assert_allclose(model.predict(new), model.predict(X)[:3], rtol=1e-5)
    assert model.score(X, y) > 0.5
    # The same as an array of objects, its categories named.
    array = np.array([X[name].to_list() for name in X.columns], dtype=object).T
    by_place = model.__class__(**{**model.get_params(), "categorical_features": [2]}).fit(array, y)
    np.testing.assert_array_equal(by_place.predict(array), model.predict(X))


def test_names_of_frames_are_checked(frames, framed):
    X, _, model = framed
    other = X.rename(columns={"size": "length"}) if hasattr(X, "iloc") else X.rename({"size": "length"})
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        model.predict(other)
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        model.predict(X[["count", "size", "colour", "open"]])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[["size", "count", "colour"]])


def test_bad_cells_of_frames_are_named_by_their_column(frames, small):
    X, y = frame(frames)
    size = X["size"].to_numpy().copy()
    size[7] = np.nan
    bad = frames.DataFrame({**{name: X[name] for name in X.columns}, "size": size})
    with pytest.raises(ValueError, match=r"^Input X contains NaN: nan in row 7, column 'size'$"):
        small().fit(bad, y)
    size[7] = np.inf
    bad = frames.DataFrame({**{name: X[name] for name in X.columns}, "size": size})
    with pytest.raises(ValueError, match=r"infinity.*: inf in row 7, column 'size'$"):
        small().fit(bad, y)
    with pytest.raises(ValueError, match="1 sample"):
        small().fit(X.head(1), y[:1])
    with pytest.raises(ValueError, match="0 sample"):
        small().fit(X, y).predict(X.head(0))


def nullable(frames, values):
    if frames.__name__ == "polars":
        return frames.Series(values)
    kind = "boolean" if isinstance(values[0], bool) else "string" if isinstance(values[0], str) else "Int64"
    return frames.Series(values, dtype=kind)


def test_missing_numbers_are_refused_and_missing_categories_are_one(frames):
    numeric = frames.DataFrame({"n": nullable(frames, [1, 2, 3, 4])})
    assert categorical_columns(numeric, "from_dtype") == []
    np.testing.assert_array_equal(numbers(numeric, (0,))[:, 0], [1, 2, 3, 4])
    gap = frames.DataFrame({"n": nullable(frames, [1, None, 3, 4])})
    assert categorical_columns(gap, "from_dtype") == []
    with pytest.raises(ValueError, match=r"Input X contains NaN: nan in row 1, column 'n'"):
        numbers(gap, (0,))
    for values in (["a", None, "b", "a"], [True, None, False, True]):
        x = frames.DataFrame({"c": nullable(frames, values)})
        assert categorical_columns(x, ["c"]) == [0]
        assert texts(x, 0)[1] == ""
        assert len(set(texts(x, 0))) == 3
    assert categorical_columns(frames.DataFrame({"c": nullable(frames, ["a", None])}), "from_dtype") == [0]


def test_categorical_types_are_categories(frames):
    kind = frames.Categorical if frames.__name__ == "polars" else "category"
    for values in (["x", "y", None], ["1", "2", "1"]):
        series = frames.Series(values, dtype=kind)
        x = frames.DataFrame({"c": series})
        assert categorical_columns(x, "from_dtype") == [0]
        assert texts(x, 0) == [value or "" for value in values]


def test_pandas_categories_of_numbers_are_categories():
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame({"c": pandas.Series([1, 2, 1], dtype="category"), "n": [1.0, 2.0, 3.0]})
    assert categorical_columns(x, "from_dtype") == [0]
    assert texts(x, 0) == ["1", "2", "1"]
    assert categorical_columns(x, None) == []


@pytest.mark.slow
def test_targets_may_be_series_and_frames(frames, small):
    X, y = frame(frames)
    model = small(n_bins=0)
    expected = model.fit(X, y).predict(X)
    series = model.fit(X, frames.Series(values := y.tolist())).predict(X)
    np.testing.assert_array_equal(series, expected)
    assert series.shape == (60,)
    both = frames.DataFrame({"low": values, "high": (2 * y).tolist()})
    assert model.fit(X, both).predict(X).shape == (60, 2)
    values[3] = np.nan
    bad = frames.DataFrame({"low": y.tolist(), "high": values})
    with pytest.raises(ValueError, match=r"^Input y contains NaN: nan in row 3, column 'high'$"):
        model.fit(X, bad)


def test_scores_and_calibration_take_frames(frames, framed):
    X, y, model = framed
    assert model.log_score(X, frames.Series(y.tolist())) == pytest.approx(model.log_score(X, y))
    assert mx.scorers.log_score(model, X, frames.Series(y.tolist())) == pytest.approx(model.log_score(X, y))
    low, high = model.calibrate(X, frames.Series(y.tolist())).predict_interval(X, conformal=True)
    assert ((low <= y) & (y <= high)).mean() >= 0.9


def test_a_saved_regressor_knows_the_names_and_categories(framed, tmp_path):
    X, _, model = framed
    model.save(tmp_path / "m.npz")
    loaded = mx.MDNRegressor.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="in the same order"):
        loaded.predict(X[["count", "size", "colour", "open"]])


def test_times_are_no_categories():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1.0, 2.0], "when": pandas.to_datetime(["2020-01-01", "2020-01-02"])})
    days = frame["when"]
    for when in (days, days.dt.tz_localize("UTC"), days.dt.to_period("D"), days.dt.date, days - days[0]):
        for kind in (when.dtype, object):
            frame["when"] = when.astype(kind)
            assert categorical_columns(frame, "from_dtype") == []
            with pytest.raises(ValueError, match="column 'when' holds times; turn them into numbers"):
                numbers(frame, (0, 1))


def test_objects_that_are_numbers_are_no_categories():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"n": [1, 2.5], "gap": [1, None], "none": [None, None], "flag": [True, None], "text": ["1", 2]},
        dtype=object,
    )
    assert categorical_columns(frame, "from_dtype") == [2, 3, 4]
    np.testing.assert_array_equal(numbers(frame, (0,))[:, 0], [1, 2.5])
    with pytest.raises(ValueError, match="Input X contains NaN: nan in row 1, column 'gap'"):
        numbers(frame, (0, 1))


def test_an_identifier_is_no_input():
    x = np.array([[f"id{i}", 1.0] for i in range(300)], dtype=object)
    with pytest.raises(ValueError, match="column '0' has 300 categories; at most 255 can be learned from"):
        Columns.fit(x, [0], np.ones(300))
