"""Correlated normals of which some dimensions are missing, and floors of single dimensions."""

import itertools
import json

import keras
import numpy as np
import pytest
from scipy import stats

import mixtura as mx

INF = np.inf


def draw_rows(family, rows=8, seed=0):
    """Parameters and events that float32 holds exactly."""
    rng = np.random.default_rng([seed, family.params_size])
    params = 0.7 * rng.normal(size=(rows, family.params_size))
    y = 2 * rng.normal(size=(rows, family.event_size))
    return params.astype("float32").astype(float), y.astype("float32").astype(float)


def patterns(size, rows):
    """Every way in which dimensions can be missing, one for each row."""
    every = list(itertools.product([False, True], repeat=size))
    return np.array([every[row % len(every)] for row in range(rows)])


def bounds(y, missing):
    return np.where(missing, -INF, y), np.where(missing, INF, y)


def observed_log_density(mean, covariance, y, missing):
    """SciPy's log density of the dimensions that are there."""
    kept = np.flatnonzero(~missing)
    if not len(kept):
        return 0.0
    return stats.multivariate_normal(mean[kept], covariance[np.ix_(kept, kept)]).logpdf(y[kept])


# The marginal likelihood.


@pytest.mark.parametrize(("size", "covariance"), [(2, "full"), (2, "bivariate"), (3, "full"), (4, "full")])
def test_what_is_observed_counts_by_scipys_marginal_density(size, covariance, normal_by_hand, assert_exact):
    family = mx.Normal(size, covariance, min_scale=0.05)
    params, y = draw_rows(family, 2**size)
    missing = patterns(size, 2**size)
    truth = [
        observed_log_density(*normal_by_hand(row, size, covariance, min_scale=0.05), event, gaps)
        for row, event, gaps in zip(params, y, missing, strict=True)
    ]
    assert_exact(
        lambda params, lower, upper: family.log_prob(params, lower=lower, upper=upper),
        params,
        *bounds(y, missing),
        truth=np.array(truth),
    )


@pytest.mark.parametrize("size", [2, 3])
def test_mixtures_and_other_units_are_marginals_too(size):
    family = mx.Affine(mx.Mixture(mx.Normal(size, "full"), 3), np.arange(size), 1.0 + np.arange(size))
    params, y = draw_rows(family)
    p, missing = family(params), patterns(size, 8)
    for row in range(8):
        kept = np.flatnonzero(~missing[row])
        expected = p[row].marginal(kept.tolist()).log_prob(y[row, kept]) if len(kept) else 0.0
        lower, upper = bounds(y[row], missing[row])
        assert p[row].log_prob(lower=lower, upper=upper) == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_where_nothing_is_missing_it_is_the_density_with_its_gradient(size, slopes):
    family = mx.Mixture(mx.Normal(size, "full", min_scale=0.01), 2)
    params, y = draw_rows(family)
    np.testing.assert_allclose(
        family(params).log_prob(lower=y, upper=y), family(params).log_prob(y), rtol=1e-12
    )
    plain = slopes(family.log_prob, params, y)
    between = slopes(lambda params, y: family.log_prob(params, lower=y, upper=y), params, y)
    np.testing.assert_allclose(between, plain, rtol=1e-4, atol=1e-5 * np.abs(plain).max())


def test_slopes_of_marginals_are_exact(assert_slopes):
    family = mx.Mixture(mx.Normal(3, "full"), 2)
    params, y = draw_rows(family)
    assert_slopes(
        lambda params, lower, upper: family.log_prob(params, lower=lower, upper=upper),
        params,
        *bounds(y, patterns(3, 8)),
    )


def test_a_missing_dimension_moves_no_parameter_of_its_own(slopes):
    family = mx.Normal(2, "full")
    params, y = draw_rows(family)
    missing = np.tile([False, True], (8, 1))
    found = slopes(
        lambda params, lower, upper: family.log_prob(params, lower=lower, upper=upper),
        params,
        *bounds(y, missing),
    )
    # Means, scale activations and phi: those of the second dimension.
    np.testing.assert_array_equal(found[:, [1, 3, 4]], 0)
    assert (found[:, [0, 2]] != 0).all()
    nothing = slopes(
        lambda params, lower, upper: family.log_prob(params, lower=lower, upper=upper),
        params,
        *bounds(y, np.ones((8, 2), bool)),
    )
    np.testing.assert_array_equal(nothing, 0)


def test_far_events_and_strong_correlations_stay_finite(assert_finite, tensor):
    family = mx.Normal(2, "full")
    y = np.array([[1e30, -1e30], [1e30, 0.0], [0.0, 1e-30], [3.0, -3.0]], "float32")
    missing = np.array([[False, False], [False, True], [True, False], [False, False]])
    lower, upper = map(tensor, bounds(y, missing))
    params = [[0, 0, 0, 0, 0], [0, 0, -20, 0, 100], [0, 0, 5, -20, 1e4], [0, 0, 0, 0, -1e3]]
    assert_finite(lambda params: family.log_prob(params, lower=lower, upper=upper), params)


def test_real_intervals_of_correlated_dimensions_are_refused():
    family = mx.Normal(2, "full")
    params, y = draw_rows(family)
    for lower, upper in [(y, y + 1), (y, np.full_like(y, INF)), (np.full_like(y, -INF), y)]:
        with pytest.raises(NotImplementedError, match=r"no log_prob of an interval; use diagonal covariance"):
            family(params).log_prob(lower=lower, upper=upper)


# One floor for each dimension.

FLOORS = (0.05, 0.5, 2.0)


@pytest.mark.parametrize("scale", ["elu", "softplus", "exp"])
@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_every_dimension_has_its_own_floor(covariance, scale, assert_exact, scale_by_hand, normal_by_hand):
    family = mx.Mixture(mx.Normal(3, covariance, scale, min_scale=FLOORS), 2)
    params, y = draw_rows(family)
    table = params.reshape(8, -1, 2)
    truth = np.zeros((8, 2))
    for row, k in itertools.product(range(8), range(2)):
        _, mean, activations, phi = np.split(table[row, :, k], [1, 4, 7])
        sigma = scale_by_hand(activations, scale) + FLOORS
        # The same in the layout of one scale activation without a floor: exp of its log.
        mean, cov = normal_by_hand([*mean, *np.log(sigma), *phi], 3, covariance, "exp")
        truth[row, k] = stats.multivariate_normal(mean, cov).logpdf(y[row])
    weights = np.exp(table[:, 0]) / np.exp(table[:, 0]).sum(axis=1, keepdims=True)
    assert_exact(family.log_prob, params, y, truth=np.log((weights * np.exp(truth)).sum(axis=1)))


def test_no_scale_is_below_its_floor(scale_by_hand):
    family = mx.Normal(3, min_scale=FLOORS)
    p = family([0.0, 0.0, 0.0, -50.0, -50.0, -50.0])
    np.testing.assert_allclose(np.sqrt(p.variance()), FLOORS, rtol=1e-9)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_fits_keep_to_the_floors(covariance):
    y = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 3.0, 1.0]
    family = mx.Normal(3, covariance, min_scale=FLOORS)
    p = family(family.fit(y))
    std = np.sqrt(p.variance())
    assert std[:2] == pytest.approx([1.0, 3.0], rel=0.1)
    assert 2.0 < std[2] < 2.1


def test_equal_floors_are_one_and_lists_are_taken():
    assert mx.Normal(2, min_scale=[0.1, 0.1]) == mx.Normal(2, min_scale=0.1)
    assert mx.Normal(2, min_scale=np.array([0.1, 0.2])) == mx.Normal(2, min_scale=(0.1, 0.2))
    assert mx.Normal(2, min_scale=(0.0, 0.0)) == mx.Normal(2)
    assert mx.Normal(3, "spherical", min_scale=[0.5]) == mx.Normal(3, "spherical", min_scale=0.5)
    family = mx.Mixture(mx.Normal(2, "full", min_scale=[0.1, 0.2]), 2)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(family)))
    assert keras.saving.deserialize_keras_object(config) == family
    assert "(0.1, 0.2)" in repr(family)


@pytest.mark.parametrize(
    ("floors", "sentence"),
    [
        ([0.1], "min_scale must be one number or 2; received"),
        ([0.1, 0.2, 0.3], "min_scale must be one number or 2; received"),
        ([], "min_scale must be one number or 2; received"),
        ([0.0, 0.1], "min_scale must be positive for all dimensions or for none; received"),
        ([-0.1, 0.1], "min_scale must be a finite number, 0 or more; received -0.1"),
        ([0.1, np.nan], "min_scale must be a finite number, 0 or more; received nan"),
        ([[0.1, 0.2]], "min_scale must be a finite number, 0 or more; received"),
    ],
    ids=str,
)
def test_other_floors_are_refused(floors, sentence):
    with pytest.raises(ValueError, match=sentence):
        mx.Normal(2, min_scale=floors)
