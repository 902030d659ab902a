import numpy as np
import pytest
from scipy import stats

import mixtura as mx
from mixtura.estimators.targets import Targets, known_values, read_targets

INF, NAN = np.inf, np.nan


# Units.


def test_units_are_weighted_moments_of_known_values():
    y = np.array([[1.0, 5.0], [2.0, NAN], [4.0, 7.0], [1e9, NAN]])
    weight = np.array([1.0, 2.0, 1.0, 0.0])
    targets = Targets.fit(y, False, weight, 0.0)
    first = np.average([1, 2, 4], weights=[1, 2, 1])
    assert targets.mean == pytest.approx([first, 6.0])
    assert targets.std == pytest.approx(
        [np.sqrt(np.average((np.array([1, 2, 4]) - first) ** 2, weights=[1, 2, 1])), 1.0]
    )
    assert Targets.from_dict(targets.to_dict()) == targets
    np.testing.assert_allclose(targets.standardised(y[:1]) * targets.std + targets.mean, y[:1])


def test_the_floor_is_half_the_recording_step_or_what_is_asked_for():
    rng = np.random.default_rng(0)
    smooth, coarse = rng.normal(size=500), np.round(rng.normal(size=500), 1)
    y, weight = np.column_stack([smooth, coarse]), np.ones(500)
    targets = Targets.fit(y, False, weight, "auto")
    assert targets.step == pytest.approx((0.0, 0.1))
    floor = np.array(targets.min_scale) * targets.std
    assert floor[0] == pytest.approx(1e-3 * smooth.std(), rel=1e-9)
    assert 0.05 <= floor[1] < 0.055  # two digits, rounded up
    for asked in (0.3, [0.3, 0.01]):
        floor = np.array(Targets.fit(y, False, weight, asked).min_scale) * targets.std
        assert (floor >= np.array(asked) * (1 - 1e-9)).all()
        assert (floor <= 1.1 * np.array(asked)).all()
    assert Targets.fit(y, False, weight, 0).min_scale == (0.0, 0.0)


def test_rows_of_weight_zero_have_no_say():
    rng = np.random.default_rng(0)
    y, odd = np.round(rng.normal(size=(100, 1)), 1), np.array([[0.123456], [1e9]])
    weight = np.append(np.ones(100), [0.0, 0.0])
    with_them = Targets.fit(np.vstack([y, odd]), True, weight, "auto")
    assert with_them == Targets.fit(y, True, np.ones(100), "auto")


@pytest.mark.parametrize(
    "floor", [[0.1], [0.1, 0.1, 0.1], [[0.1, 0.1]], [-0.1, 0.1], [NAN, 0.1], [INF, 0.1]], ids=str
)
def test_floors_of_another_size_or_sign_are_refused(floor):
    y = np.random.default_rng(0).normal(size=(9, 2))
    with pytest.raises(ValueError, match=r"min_scale must be one number, 0 or more, or one for each of 2"):
        Targets.fit(y, False, np.ones(9), floor)


# Reading.


def test_bounds_are_equal_where_y_is_known():
    y, upper = np.array([1.0, 2.0, -INF, 4.0, -INF]), np.array([1.0, INF, 3.0, NAN, INF])
    lower, high, is_vector = read_targets(y, 5, False, upper)
    assert is_vector
    np.testing.assert_array_equal(lower[:, 0], [1, 2, -INF, 4, -INF])
    np.testing.assert_array_equal(high[:, 0], [1, INF, 3, 4, INF])
    np.testing.assert_array_equal(known_values(lower, high)[:, 0], [1, 2, 3, 4, NAN])
    np.testing.assert_array_equal(known_values(np.array([2.0]), np.array([3.0])), [2.5])
    lower, high, is_vector = read_targets([[1.0, NAN]], 1, True)
    assert not is_vector
    np.testing.assert_array_equal([lower[0], high[0]], [[1, -INF], [1, INF]])


@pytest.mark.parametrize(
    ("y", "options", "sentence"),
    [
        ([1.0, NAN], {}, r"^Input y contains NaN: nan in row 1$"),
        ([1.0, -INF], {}, r"^Input y contains infinity.*: -inf in row 1$"),
        ([1.0, 1e39], {}, r"^Input y contains.* a value too large.*: 1e\+39 in row 1$"),
        ([[1.0, 2.0], [3.0, INF]], {}, r"infinity.*: inf in row 1, column 1$"),
        ([[1.0, 2.0], [3.0, NAN]], {}, r"NaN: nan in row 1, column 1$"),
        ([1.0, NAN], {"missing": True}, "NaN: nan in row 1$"),  # of a single output nothing would be left
        ([1.0, 2.0, 3.0], {}, r"X has 2, y 3"),
        ([[[1.0]], [[2.0]]], {}, r"dim 3"),
        (["a", "b"], {}, r"could not convert string to float"),
        (None, {}, r"y"),
        ([1.0, 2.0], {"upper": [1.0]}, r"X has 2, y_upper 1"),
        ([1.0, 2.0], {"upper": np.ones((2, 2))}, r"y_upper has shape \(2, 2\); expected that of y, \(2, 1\)"),
        ([1.0, 2.0], {"upper": [0.0, 2.0]}, r"^y_upper is 0 in row 0, below y, which is 1$"),
        ([1.0, INF], {"upper": [1.0, INF]}, r"infinity.*: inf in row 1$"),
        ([1.0, -INF], {"upper": [1.0, -INF]}, r"infinity.*: -inf in row 1$"),
        ([1.0, -INF], {"upper": [1.0, NAN]}, r"infinity.*: -inf in row 1$"),
        ([1.0, NAN], {"upper": [1.0, 2.0]}, r"NaN: nan in row 1$"),
    ],
)
def test_bad_targets_are_named(y, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_targets(y, 2, **{"missing": False, **options})


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (np.full(60, 3.5), "^y is 3.5 in every row; a target must vary$"),
        (
            np.column_stack([np.arange(60), np.ones(60)]),
            "^output 1 of y is 1 in every row; a target must vary$",
        ),
        (
            np.column_stack([np.arange(60), np.full(60, NAN)]),
            "^output 1 of y has no value; a target must vary$",
        ),
    ],
)
def test_a_target_must_vary(y, sentence, small, rows):
    with pytest.raises(ValueError, match=sentence):
        small(missing_targets="marginalize").fit(rows[0], y)


def test_censored_outputs_must_not_be_correlated(small, rows):
    X, Y = rows
    with pytest.raises(ValueError, match=r"censored targets of several outputs need covariance_type 'diag'"):
        small().fit(X, Y, y_upper=Y + 1)


# Missing targets.


@pytest.fixture(scope="module")
def missing(rows):
    _, Y = rows
    Y = Y.copy()
    Y[np.random.default_rng(0).random(Y.shape) < 0.3] = NAN
    Y[0] = NAN
    return Y


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["full", pytest.param("diag", marks=pytest.mark.slow)])
def test_missing_targets_count_by_the_others_likelihood(covariance, small, rows, missing):
    X, Y = rows
    model = small(covariance_type=covariance, missing_targets="marginalize").fit(X, missing)
    p = model.predict_distribution(X)
    expected = np.zeros(60)
    known = np.isfinite(missing)
    for d in range(2):
        alone = known[:, d] & ~known[:, 1 - d]
        expected[alone] = p[alone].marginal(d).log_prob(missing[alone, d : d + 1])
    both = known.all(axis=1)
    expected[both] = p[both].log_prob(missing[both])
    assert model.log_score(X, missing) == pytest.approx(expected.mean(), rel=1e-9)
    assert model.log_score(X, Y) > p.log_prob(Y[::-1]).mean()
    if covariance == "full":
        # What is known about both outputs is learned: they are correlated.
        c = p.covariance()
        assert (c[:, 0, 1] / np.sqrt(c[:, 0, 0] * c[:, 1, 1]) > 0.3).mean() > 0.9


def test_without_leave_missing_targets_are_refused(small, rows, missing):
    X, _ = rows
    with pytest.raises(ValueError, match=r"Input y contains NaN: nan in row 0, column 0"):
        small().fit(X, missing)


@pytest.mark.slow
def test_no_row_need_be_complete(small, rows):
    X, Y = rows
    Y = np.where(np.arange(60)[:, None] % 2 == [0, 1], Y, NAN)
    model = small(covariance_type="diag", missing_targets="marginalize").fit(X, Y)
    assert np.isfinite(model.log_score(X, Y))
    assert model.score(X, rows[1]) > 0


# Censored targets.


def censored(kind, y):
    """Return y and y_upper as somebody would record them."""
    if kind == "right":
        return np.minimum(y, 0.5), np.where(y > 0.5, INF, y)
    if kind == "left":
        return np.where(y < -0.5, -INF, y), np.maximum(y, -0.5)
    return np.floor(y * 2) / 2, np.floor(y * 2) / 2 + 0.5


@pytest.mark.parametrize("kind", ["right", "left", "interval"])
def test_the_likelihood_of_censored_targets_is_scipys(kind, one, rows):
    X, Y = rows
    lower, upper = censored(kind, (Y[:, 1] - 10) / 5)
    lower, upper = 10 + 5 * lower, 10 + 5 * upper
    p = one.predict_distribution(X)
    normals = stats.norm(p.means[..., 0], p.scales[..., 0])
    mass = np.sum(p.weights * (normals.cdf(upper[:, None]) - normals.cdf(lower[:, None])), axis=1)
    density = np.sum(p.weights * normals.pdf(np.where(lower == upper, lower, 0)[:, None]), axis=1)
    expected = np.log(np.where(lower == upper, density, mass)).mean()
    assert one.log_score(X, lower, y_upper=upper) == pytest.approx(expected, rel=1e-6)


@pytest.fixture(scope="module")
def line():
    """Rows of y = x + noise."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, 250)
    return x[:, None], x + 0.2 * rng.normal(size=250)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["right", pytest.param("left", marks=pytest.mark.slow)])
def test_a_line_is_found_beyond_where_it_is_censored(kind, line):
    X, y = line
    lower, upper = censored(kind, y)
    model = mx.MDNRegressor(
        1,
        ensemble=2,
        hidden_layer_sizes=(8,),
        n_bins=0,
        max_iter=60,
        learning_rate_init=0.01,
        min_scale=0.0,
        random_state=0,
    ).fit(X, lower, y_upper=upper)
    beyond = X[:, 0] > 1.0 if kind == "right" else X[:, 0] < -1.0
    error = np.abs(model.predict(X[beyond]) - X[beyond, 0])
    # Where the limit is taken for the value, no prediction is beyond it.
    ignoring = np.abs(np.clip(X[beyond, 0], -0.5, 0.5) - X[beyond, 0])
    assert np.median(ignoring) > 0.8
    assert np.median(error) < 0.3
    inside = np.abs(X[:, 0]) < 0.3
    np.testing.assert_allclose(model.predict(X[inside]), X[inside, 0], atol=0.2)


def test_bounds_that_coincide_are_known_values(one, small, rows):
    X, Y = rows
    y = Y[:, 1]
    for upper in (y, np.full(60, NAN)):
        model = small().fit(X, y, y_upper=upper)
        np.testing.assert_array_equal(model.predict(X), one.predict(X))


@pytest.mark.slow
def test_censored_outputs_of_a_diagonal_family_are_trained_on(small, rows):
    X, Y = rows
    upper = np.where(np.median(Y, axis=0) < Y, INF, Y)
    lower = np.minimum(Y, np.median(Y, axis=0))
    model = small(covariance_type="diag").fit(X, lower, y_upper=upper)
    assert model.loss_curve_[-1] < model.loss_curve_[0] - 0.1
