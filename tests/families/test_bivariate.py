"""Normal(2, "bivariate"): the form of Graves (2013, eqs. 24 and 25)."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

import mixtura as mx

FAMILY = mx.Normal(2, "bivariate")


def rows(count, seed=0):
    """Parameters and events that float32 holds exactly."""
    rng = np.random.default_rng(seed)
    params, y = 0.7 * rng.normal(size=(count, 5)), 2 * rng.normal(size=(count, 2))
    return params.astype("float32").astype(float), y.astype("float32").astype(float)


@pytest.fixture
def graves(mp, exact_scale):
    """Return eq. 24 with 50 digits, for parameters m1, m2, two scale activations and a."""

    def log_density(params, y, **options):
        m1, m2, a1, a2, a = params
        s1, s2, rho = exact_scale(a1, **options), exact_scale(a2, **options), mp.tanh(mp.mpf(a))
        z1, z2 = (mp.mpf(y[0]) - m1) / s1, (mp.mpf(y[1]) - m2) / s2
        Z = z1**2 + z2**2 - 2 * rho * z1 * z2
        rest = 1 - rho**2
        return float(-Z / (2 * rest) - mp.log(2 * mp.pi * s1 * s2 * mp.sqrt(rest)))

    return log_density


def test_log_prob_is_graves_formula(graves, every_option, assert_exact):
    families = [mx.Normal(2, "bivariate", **options) for options in every_option]
    params, y = rows(15)
    truth = [[graves(p, e, **options) for p, e in zip(params, y, strict=True)] for options in every_option]
    assert_exact(
        lambda params, y: [f.log_prob(params, y) for f in families], params, y, truth=np.array(truth)
    )


def test_log_prob_is_graves_formula_however_close_rho_is_to_one(graves, mp):
    rest = np.array([1e-3, 1e-7, 1e-10, 1e-12])  # 1 - rho
    a = [float(mp.log((2 - mp.mpf(r)) / r) / 2) for r in rest]
    params = np.array([[0.25, -0.5, 0.3, -0.2, sign * a] for a in a for sign in (1, -1)])
    s1, s2 = 1.3, math.exp(-0.2)
    # Off the ridge, and on it.
    for z1, z2, digits in ((1.0, -0.5, 1e-11), (0.7, 0.6, 1e-11), (0.5, 0.5, 1e-10)):
        y = np.array([[0.25 + s1 * z1, -0.5 + math.copysign(s2 * z2, p[4])] for p in params])
        truth = [graves(p, e) for p, e in zip(params, y, strict=True)]
        assert FAMILY(params).log_prob(y) == pytest.approx(np.array(truth), rel=digits, abs=digits)


def test_slopes_of_log_prob_are_exact(two_options, assert_slopes):
    families = [mx.Normal(2, "bivariate", **options) for options in two_options]
    assert_slopes(lambda params, y: sum(f.log_prob(params, y) for f in families), *rows(5))


def test_uncorrelated_dimensions_have_the_slope_of_their_product(slopes):
    """At a = 0, where networks begin."""
    for dtype in ("float32", "float64"):
        slope = slopes(FAMILY.log_prob, [[0.0] * 5], [[0.5, -3.0]], dtype=dtype)
        np.testing.assert_allclose(slope, [[0.5, -3.0, -0.75, 8.0, -1.5]], rtol=1e-6)


def test_density_integrates_to_one():
    p = FAMILY([0.3, -0.2, 0.1, -0.4, 0.9])
    line = np.arange(-12, 12, 0.1)
    y = np.stack(np.meshgrid(line, line), axis=-1)
    assert np.exp(p.log_prob(y)).sum() * 0.1**2 == pytest.approx(1, abs=1e-9)


# It is the full form in other words.


@pytest.mark.parametrize("a", [-8.0, -0.5, 0.0, 1e-9, 2.0])
def test_it_is_the_full_form_with_conditional_scale_and_regression(a):
    ours = [0.5, -1.0, 0.2, -0.3, a]
    theirs = [0.5, -1.0, 0.2, -0.3 - math.log(math.cosh(a)), math.sinh(a)]
    first, second = mx.Normal(2, "bivariate", "exp"), mx.Normal(2, "full", "exp")
    p, q = first(ours), second(theirs)
    y = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(p.log_prob(y), q.log_prob(y), rtol=1e-10)
    for method in ("mean", "variance", "covariance", "entropy", "mode"):
        np.testing.assert_allclose(getattr(p, method)(), getattr(q, method)(), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(p.sample(100, seed=1), q.sample(100, seed=1), rtol=1e-9, atol=1e-9)


# Moments.


@pytest.mark.parametrize("a", [-14.0, -1.0, -1e-9, 0.0, 1e-5, 0.3, 14.0, 20.0])
def test_scales_are_the_marginal_ones_and_rho_is_tanh_of_a(a):
    p = mx.Normal(2, "bivariate", "exp", 0.1)([1.0, -2.0, 0.4, -0.7, a])
    s1, s2 = math.exp(0.4) + 0.1, math.exp(-0.7) + 0.1
    np.testing.assert_array_equal(p.mean(), [1, -2])
    np.testing.assert_allclose(p.variance(), [s1**2, s2**2], rtol=1e-12)
    cross = s1 * s2 * math.tanh(a)
    np.testing.assert_allclose(p.covariance(), [[s1**2, cross], [cross, s2**2]], rtol=1e-12)
    np.testing.assert_allclose(p.mode(), [1, -2], rtol=1e-12)
    entropy = math.log(2 * math.pi * math.e * s1 * s2) - math.log(math.cosh(a))
    assert p.entropy() == pytest.approx(entropy, rel=1e-12)


def test_moments_on_tensors(normal_by_hand, assert_exact):
    params, _ = rows(10)
    truth = np.array([normal_by_hand(row, 2, "bivariate")[1] for row in params])
    assert_exact(FAMILY.variance, params, truth=np.diagonal(truth, axis1=1, axis2=2))
    assert_exact(FAMILY.covariance, params, truth=truth, float64=1e-5)  # a float32 product on PyTorch


def test_marginal_and_conditional_are_those_by_hand():
    p = mx.Normal(2, "bivariate", "exp")([1.0, -2.0, 0.4, -0.7, 1.5])
    s1, s2, rho = math.exp(0.4), math.exp(-0.7), math.tanh(1.5)
    assert p.marginal(1).variance()[0] == pytest.approx(s2**2, rel=1e-12)
    given = p.condition(0, [2.0])
    assert given.mean()[0] == pytest.approx(-2 + rho * s2 / s1 * (2.0 - 1.0), rel=1e-12)
    assert given.variance()[0] == pytest.approx(s2**2 * (1 - rho**2), rel=1e-12)


# Extremes.


def test_values_and_gradients_are_finite_at_extremes(assert_finite, tensor):
    families = [mx.Normal(2, "bivariate", scale) for scale in ("elu", "softplus", "exp")]
    # Activations of -13.8 and 1e6 are scales of 1e-6 and 1e6; a of 8.4 is 1 - rho of 1e-7.
    activations, a = [-1e4, -13.8, 0, 1e4, 1e6], [-1e4, -8.4, 0, 8.4, 1e4]
    table = np.array(list(itertools.product([-1e4, 0.5, 1e4], [-1e4, 1e4], activations, activations, a)))
    params = np.concatenate([np.zeros((len(table), 2)), table[:, 2:]], axis=-1)
    y = tensor(table[:, :2])
    assert_finite(lambda params: sum(f.log_prob(params, y) for f in families), params)


# Samples.


def test_samples_follow_the_distribution(draw, assert_follow):
    x = draw(mx.Normal(2, "bivariate", "exp"), [1.0, -2.0, 0.4, -0.7, -1.5])
    s1, s2, rho = math.exp(0.4), math.exp(-0.7), math.tanh(-1.5)
    z1, z2 = (x[:, 0] - 1) / s1, (x[:, 1] + 2) / s2
    rest = (z2 - rho * z1) / math.sqrt(1 - rho**2)
    for z in (z1, z2, rest):
        assert_follow(z, stats.norm.cdf, stats.norm(0, 1.02).cdf)
    assert abs(np.corrcoef(z1, rest)[0, 1]) < 5 / math.sqrt(len(x))


def test_slopes_of_samples_are_those_of_differences_at_the_same_seed(assert_slopes):
    params = np.array([[5.0, 1.0, 0.3, -0.5, 0.7], [0.0] * 5])
    family = mx.Normal(2, "bivariate", "softplus", 0.1)
    assert_slopes(lambda params: family.sample(params, seed=3)[..., 1], params, tensors=True)


def test_bounds_of_correlated_dimensions_are_refused():
    with pytest.raises(
        NotImplementedError, match=r"covariance='bivariate'.*interval; use diagonal covariance"
    ):
        FAMILY([0.0] * 5).log_prob(lower=[0.0, 0.0])


@pytest.mark.parametrize("event_size", [1, 3])
def test_it_needs_two_dimensions(event_size):
    with pytest.raises(ValueError, match=f"bivariate covariance needs event_size=2; received {event_size}"):
        mx.Normal(event_size, "bivariate")
