import math

import numpy as np
import pytest
from scipy import stats

import mixtura as mx

SHIFT, SCALE = np.array([20.0, -3.0]), np.array([10.0, 0.25])
ACROSS = np.outer(SCALE, SCALE)

NORMAL = mx.Normal(2, "full")
MIXTURE = mx.Mixture(NORMAL, 3)
PARAMS = np.random.default_rng(0).normal(size=(4, MIXTURE.params_size))
Y = SHIFT + SCALE * np.random.default_rng(1).normal(size=(4, 2))


def test_log_prob_is_that_of_scipys_normal_in_other_units(normal_by_hand):
    rows = PARAMS[:, : NORMAL.params_size]
    p = mx.Affine(NORMAL, SHIFT, SCALE)(rows)
    for row, (params, y) in enumerate(zip(rows, Y, strict=True)):
        mean, cov = normal_by_hand(params, 2, "full")
        truth = stats.multivariate_normal(SHIFT + SCALE * mean, ACROSS * cov)
        assert p[row].log_prob(y) == pytest.approx(truth.logpdf(y), rel=1e-11)
        np.testing.assert_allclose(p.mean()[row], truth.mean, rtol=1e-12)
        np.testing.assert_allclose(p.covariance()[row], truth.cov, rtol=1e-12)
        np.testing.assert_allclose(p.variance()[row], np.diag(truth.cov), rtol=1e-12)
        assert p.entropy()[row] == pytest.approx(truth.entropy(), rel=1e-12)
        np.testing.assert_allclose(p.mode()[row], truth.mean, rtol=1e-12)


def test_accessors_of_a_mixture_are_in_the_events_units(mixture_by_hand):
    p = mx.Affine(MIXTURE, SHIFT, SCALE)(PARAMS)
    for row, params in enumerate(PARAMS):
        weights, means, covs = mixture_by_hand(params, 3, 2, "full")
        np.testing.assert_allclose(p.weights[row], weights, rtol=1e-12)
        np.testing.assert_allclose(p.means[row], SHIFT + SCALE * means, rtol=1e-12)
        np.testing.assert_allclose(p.covariances[row], ACROSS * covs, rtol=1e-11)
        variances = np.diagonal(covs, axis1=-2, axis2=-1)
        np.testing.assert_allclose(p.scales[row], SCALE * np.sqrt(variances), rtol=1e-12)
        parts = [
            stats.multivariate_normal(SHIFT + SCALE * m, ACROSS * c) for m, c in zip(means, covs, strict=True)
        ]
        densities = [w * part.pdf(Y[row]) for w, part in zip(weights, parts, strict=True)]
        assert p.log_prob(Y)[row] == pytest.approx(math.log(sum(densities)), rel=1e-11)
        np.testing.assert_allclose(p.responsibilities(Y)[row], densities / np.sum(densities), rtol=1e-11)


def test_log_volume_is_what_the_units_cost():
    family = mx.Affine(MIXTURE, SHIFT, SCALE)
    assert family.log_volume == pytest.approx(math.log(10.0 * 0.25))
    inward = MIXTURE.log_prob(PARAMS, (Y - SHIFT) / SCALE)
    np.testing.assert_allclose(inward - family.log_prob(PARAMS, Y), family.log_volume, rtol=1e-12)
    np.testing.assert_allclose(family.entropy(PARAMS) - MIXTURE.entropy(PARAMS), family.log_volume, rtol=1e-9)


def test_tails_are_scipys():
    p = mx.Affine(mx.Normal(1), 20.0, 10.0)([0.5, 1.0])  # mean 25, scale 20
    truth = stats.norm(25.0, 20.0)
    y, q = np.array([-100.0, 20.0, 160.0]), np.array([0.0, 1e-9, 0.3, 1.0])
    np.testing.assert_allclose(p.cdf(y[:, None]), truth.cdf(y), rtol=1e-12)
    np.testing.assert_allclose(p.sf(y[:, None]), truth.sf(y), rtol=1e-12)
    np.testing.assert_allclose(p.quantile(q)[:, 0], truth.ppf(q), rtol=1e-12)
    np.testing.assert_allclose(p.isf(q)[:, 0], truth.isf(q), rtol=1e-12)


def test_intervals_are_in_the_events_units():
    """Dimension 0 is observed, which costs its unit; dimension 1 has a probability, which has none."""
    p = mx.Affine(mx.Normal(2), SHIFT, SCALE)([0.5, -1.0, 1.0, 0.0])
    first, second = stats.norm(25.0, 20.0), stats.norm(-3.25, 0.25)
    low, high = [30.0, -3.5], [30.0, -3.25]
    expected = first.logpdf(30.0) + math.log(second.cdf(-3.25) - second.cdf(-3.5))
    assert p.log_prob(lower=low, upper=high) == pytest.approx(expected, rel=1e-12)
    assert p.log_prob(lower=low) == pytest.approx(first.logsf(30.0) + second.logsf(-3.5), rel=1e-12)


def test_tensors_give_the_arrays_numbers_in_float32(on_tensors):
    family = mx.Affine(MIXTURE, SHIFT, SCALE)
    lines = mx.Affine(mx.Mixture(mx.Normal(1), 5), SHIFT[0], SCALE[0])
    params, y = (a.astype("float32").astype(float) for a in (PARAMS[:, :18], Y))

    def everything(params, y):
        own = [
            getattr(family, method)(params)
            for method in ("mean", "variance", "covariance", "means", "scales")
        ]
        tails = [getattr(lines, method)(params[:, :15], y[:, :1]) for method in ("cdf", "sf", "log_prob")]
        interval = lines.log_prob(params[:, :15], lower=y[:, :1], upper=y[:, :1] + 5)
        return [family.log_prob(params, y), family.responsibilities(params, y), *own, *tails, interval]

    for actual, expected in zip(on_tensors(everything, params, y), everything(params, y), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=5e-5, atol=2e-5)


def test_samples_are_in_the_events_units(draw, assert_follow):
    x = draw(mx.Affine(mx.Normal(1), 20.0, 10.0), [0.5, 1.0])[:, 0]
    assert_follow(x, stats.norm(25.0, 20.0).cdf, stats.norm(25.0, 20.4).cdf)


@pytest.mark.parametrize("dims", [[0], [2, 1]], ids=str)
def test_marginal_and_condition_are_in_the_events_units(dims, normal_by_hand):
    """The block formulas of the scaled moments."""
    shift, scale = np.array([20.0, -3.0, 0.5]), np.array([10.0, 0.25, 2.0])
    params = np.random.default_rng(2).normal(size=9)
    mean, cov = normal_by_hand(params, 3, "full")
    mean, cov = shift + scale * mean, np.outer(scale, scale) * cov
    p = mx.Affine(mx.Normal(3, "full"), shift, scale)(params)
    marginal, rest = p.marginal(dims), [d for d in range(3) if d not in dims]
    np.testing.assert_allclose(marginal.mean(), mean[dims], rtol=1e-12)
    np.testing.assert_allclose(marginal.covariance(), cov[np.ix_(dims, dims)], rtol=1e-10)
    values = shift[dims] + 0.5 * scale[dims]
    gain = cov[np.ix_(rest, dims)] @ np.linalg.inv(cov[np.ix_(dims, dims)])
    conditional = p.condition(dims, values)
    np.testing.assert_allclose(conditional.mean(), mean[rest] + gain @ (values - mean[dims]), rtol=1e-10)
    left = cov[np.ix_(rest, rest)] - gain @ cov[np.ix_(dims, rest)]
    np.testing.assert_allclose(conditional.covariance(), left, rtol=1e-9, atol=1e-12)
    assert conditional.family.shift == tuple(shift[rest])


def test_one_number_serves_every_dimension():
    assert mx.Affine(mx.Normal(2), 1, 2) == mx.Affine(mx.Normal(2), [1.0, 1.0], np.array([2.0, 2.0]))


@pytest.mark.parametrize("leaf", [mx.Normal(1), mx.Laplace(), mx.LogNormal(), mx.LogitNormal()], ids=repr)
def test_inside_a_mixture_it_is_as_outside(leaf):
    params = [0.0, 1.0, -1.0, 2.0, 0.5, 0.0]
    inside = mx.Mixture(mx.Affine(leaf, 20.0, 10.0), 2)(params)
    outside = mx.Affine(mx.Mixture(leaf, 2), 20.0, 10.0)(params)
    y = 25.0
    for method in ("log_prob", "cdf", "sf"):
        assert getattr(inside, method)(y) == pytest.approx(getattr(outside, method)(y), rel=1e-12)
    for method in ("mean", "covariance", "entropy", "mode"):
        np.testing.assert_allclose(getattr(inside, method)(), getattr(outside, method)(), rtol=1e-12)
    assert inside.quantile(0.9) == pytest.approx(outside.quantile(0.9), rel=1e-12)
    bounds = {"lower": 22.0, "upper": 25.0}
    assert inside.log_prob(**bounds) == pytest.approx(outside.log_prob(**bounds), rel=1e-12)
    np.testing.assert_allclose(inside.sample(5, seed=0), outside.sample(5, seed=0), rtol=1e-12)


def test_units_of_units_multiply():
    twice = mx.Affine(mx.Affine(mx.Normal(1), 1.0, 2.0), 10.0, 5.0)([0.5, 1.0])
    once = mx.Affine(mx.Normal(1), 15.0, 10.0)([0.5, 1.0])
    for method, argument in {"log_prob": 17.0, "cdf": 17.0, "quantile": 0.1}.items():
        assert getattr(twice, method)(argument) == pytest.approx(getattr(once, method)(argument), rel=1e-12)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1e-6), (0.0, 1e6), (1e6, 1.0), (-1e3, 1e-3)])
def test_units_of_any_size_keep_the_digits(shift, scale):
    p = mx.Affine(mx.Mixture(mx.Normal(1), 2), shift, scale)([0.3, -0.2, -1.0, 1.0, 0.5, -0.5])
    u = mx.Mixture(mx.Normal(1), 2)(p.params)
    allowed = 1e-12 + 2e-15 * abs(shift) / scale  # the rounding of y, in units of u
    y = shift + scale * 0.75
    assert p.log_prob(y) == pytest.approx(u.log_prob(0.75) - math.log(scale), rel=1e-12, abs=allowed)
    np.testing.assert_allclose((p.quantile(0.2) - shift) / scale, u.quantile(0.2), rtol=allowed)


def test_a_discrete_part_has_no_units():
    for family in (
        mx.Bernoulli(),
        mx.Joint(a=mx.Normal(1), b=mx.Categorical(2)),
        mx.Mixture(mx.Bernoulli(), 2),
    ):
        with pytest.raises(ValueError, match="has discrete events, which have no units to change"):
            mx.Affine(family, 0.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, 0, 1), TypeError, "family must be a mixtura family.*received 3"),
        ((mx.Normal(2), [1, 2, 3], 1), ValueError, r"shift must be one finite number or 2.*\[1, 2, 3\]"),
        ((mx.Normal(2), math.inf, 1), ValueError, "shift must be one finite number.*received inf"),
        ((mx.Normal(2), [[1, 2]], 1), ValueError, "shift must be one finite number"),
        ((mx.Normal(2), 0, [1, math.nan]), ValueError, r"scale must be one finite.*\[1, nan\]"),
        ((mx.Normal(2), 0, [1, -1]), ValueError, r"scale must be positive; received \[1, -1\]"),
        ((mx.Normal(2), 0, 0), ValueError, "scale must be positive; received 0"),
        ((mx.Normal(1), "a", 1), ValueError, "shift must be one finite number.*received 'a'"),
        ((mx.Normal(2), [[1], 2], 1), ValueError, r"shift must be one finite number.*\[\[1\], 2\]"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        mx.Affine(*arguments)
