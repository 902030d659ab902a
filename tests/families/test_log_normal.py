import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

import mixtura as mx

COVARIANCES = ["spherical", "diagonal", "full", "bivariate"]


def rows(family, count, seed=0):
    """Parameters and events that float32 holds exactly."""
    rng = np.random.default_rng([seed, family.params_size])
    params = 0.7 * rng.normal(size=(count, family.params_size))
    y = np.exp(1.5 * rng.normal(size=(count, family.event_size)))
    return params.astype("float32").astype(float), y.astype("float32").astype(float)


def test_log_prob_is_that_of_the_normal_logarithm(two_options, normal_log_density, assert_exact):
    families = [mx.LogNormal(2, "full", **options) for options in two_options]
    params, y = rows(families[0], 20)
    truth = [
        normal_log_density(params, np.log(y), "full", **options) - np.log(y).sum(axis=-1)
        for options in two_options
    ]
    assert_exact(lambda params, y: [f.log_prob(params, y) for f in families], params, y, truth=truth)


def test_log_prob_is_scipys(scale_by_hand):
    params, y = rows(mx.LogNormal(), 50)
    truth = stats.lognorm(scale_by_hand(params[:, 1]), scale=np.exp(params[:, 0]))
    np.testing.assert_allclose(
        mx.LogNormal()(params).log_prob(y), truth.logpdf(y[:, 0]), rtol=1e-11, atol=1e-11
    )


def test_slopes_of_log_prob_are_exact(assert_slopes):
    family = mx.LogNormal(2, "full", "softplus", 0.05)
    assert_slopes(family.log_prob, *rows(family, 5))


def test_density_integrates_to_one_and_to_the_cdf():
    p = mx.LogNormal()([0.5, -0.5])
    for y in (0.1, 1.0, 3.0, 1e3):
        mass, _ = integrate.quad(
            lambda y: math.exp(p.log_prob(y)), 0, y, points=[1.0], epsabs=1e-12, limit=200
        )
        assert p.cdf(y) == pytest.approx(mass, abs=1e-9)
    assert p.cdf(1e3) == pytest.approx(1, abs=1e-12)


def test_density_integrates_to_one_in_two_dimensions():
    p = mx.LogNormal(2, "full")([0.3, -0.2, 0.1, -0.4, 0.9])
    line = np.arange(-15, 15, 0.25)
    x = np.stack(np.meshgrid(line, line), axis=-1)
    density = np.exp(p.log_prob(np.exp(x)) + x.sum(axis=-1))
    assert density.sum() * 0.25**2 == pytest.approx(1, abs=1e-9)


# The support.


def test_outside_the_support_the_density_is_zero(gradient, tensor):
    family = mx.LogNormal(2)
    y = np.array([[1.0, -np.inf], [1.0, -1.0], [1.0, 0.0], [1.0, np.inf], [1.0, 1.0]])
    log_prob = family([0.0] * 4).log_prob(y)
    np.testing.assert_allclose(log_prob, [-math.inf] * 4 + [-math.log(2 * math.pi)], rtol=1e-14)
    # A loss in which such an event has weight 0 does not see it.
    weights = tensor([[1.0], [0.0]])
    value, slope = gradient(lambda params: weights * family.log_prob(params, tensor(y)), np.zeros((2, 5, 4)))
    np.testing.assert_array_equal(value[0, :4], np.float32(-1e30))
    np.testing.assert_array_equal(value[1], 0)
    np.testing.assert_array_equal(slope[0, :4], 0)
    np.testing.assert_allclose(slope[0, 4], [0, 0, -1, -1], atol=1e-6)
    np.testing.assert_array_equal(slope[1], 0)


def test_outside_the_support_there_is_no_probability():
    p = mx.LogNormal()([0.0, 0.0])
    y = np.array([[-np.inf], [-1.0], [0.0], [np.inf]])
    np.testing.assert_array_equal(p.cdf(y), [0, 0, 0, 1])
    np.testing.assert_array_equal(p.sf(y), [1, 1, 1, 0])
    for lower, upper in ((-2, -1), (-1, 0), (-1, -1), (0, 0), (None, 0), (np.inf, None)):
        assert p.log_prob(lower=lower, upper=upper) == -math.inf
    for lower, upper in ((-1, 2), (0, 2), (None, 2)):
        assert p.log_prob(lower=lower, upper=upper) == pytest.approx(stats.lognorm(1).logcdf(2), rel=1e-12)


# Intervals.


@pytest.mark.slow
def test_log_prob_of_an_interval_is_exact(intervals, exact_scale, exact_mass, assert_exact, mp):
    shift, low, high = intervals.T
    narrow = high - low < 1e-3
    unit = np.where(narrow, 400.0, 2.0)  # scales at which float32 can be narrow
    lower = np.exp(np.where(narrow, 0, low * unit)).astype("float32").astype(float)
    upper = np.where(narrow, 1 + 2.0**-20, np.exp(high * unit)).astype("float32").astype(float)
    params = np.stack([-shift * unit, unit - 1], axis=-1)
    truth = []
    for (mean, activation), *ends in zip(params, lower, upper, strict=True):
        z = [(mp.log(mp.mpf(y)) - mean) / exact_scale(activation) for y in ends]
        truth.append(float(mp.log(exact_mass(*z))))
    assert_exact(
        lambda params, low, high: mx.LogNormal().log_prob(params, lower=low, upper=high),
        params,
        lower[:, None],
        upper[:, None],
        truth=np.array(truth),
    )


@pytest.mark.slow
def test_values_and_gradients_of_intervals_are_finite(assert_finite, tensor):
    ends = [-np.inf, -1.0, 0.0, 1e-30, 1.0, 1.0000001, 1e30, np.inf]
    table = np.array(list(itertools.product([-1e4, 0, 1e4], [-1e4, -13.8, 0, 1e4, 1e6], ends, ends)))
    lower, upper = tensor(table[:, 2:3]), tensor(table[:, 3:])
    assert_finite(lambda params: mx.LogNormal().log_prob(params, lower=lower, upper=upper), table[:, :2])


def test_an_interval_of_no_length_is_an_event_and_dimensions_mix(assert_dimensions_mix):
    family = mx.LogNormal(3)
    params, y = rows(family, 4)
    lower, upper = y * np.array([1, 0.5, 0]), y * np.array([1, 2, 1])
    assert_dimensions_mix(family, mx.LogNormal(), params, lower, upper)


@pytest.mark.parametrize("covariance", ["full", "bivariate"])
def test_bounds_of_correlated_dimensions_are_refused(covariance):
    with pytest.raises(NotImplementedError, match=rf"covariance='{covariance}'.*interval; use diagonal"):
        mx.LogNormal(2, covariance)([0.0] * 5).log_prob(lower=[1.0, 1.0])


# Extremes.


def test_values_and_gradients_are_finite_at_extremes(assert_finite, tensor):
    families = [mx.LogNormal(scale=scale) for scale in ("elu", "softplus", "exp")]
    # Activations of -13.8 and 1e6 are scales of 1e-6 and 1e6.
    table = np.array(
        list(
            itertools.product([-1e4, 0, 1e4], [-1e4, -13.8, 0, 13.8, 1e4, 1e6], [-1, 0, 1e-38, 1, 1e4, 3e38])
        )
    )
    y = tensor(table[:, 2:])
    assert_finite(lambda params: sum(f.log_prob(params, y) for f in families), table[:, :2])


def test_values_and_gradients_are_finite_in_sixty_four_dimensions(assert_finite, tensor):
    rng = np.random.default_rng(0)
    y = tensor(rng.choice([1e-38, 1e-4, 1.0, 1e4, 3e38], size=(50, 64)))
    params = rng.choice([-1e4, -1.0, 0.0, 1.0, 1e4], size=(50, 128))
    assert_finite(lambda params: mx.LogNormal(64).log_prob(params, y), params)


# Tails.

LEVELS = np.array([0, 1e-300, 1e-9, 0.025, 0.5, 0.8, 0.975, 1 - 1e-9, 1])


@pytest.mark.parametrize(("mean", "activation"), [(0.0, 0.0), (-3.0, 2.0), (5.0, -4.0)])
def test_tails_and_their_inverses_are_scipys(mean, activation, scale_by_hand):
    p = mx.LogNormal()([mean, activation])
    sigma = scale_by_hand(activation)
    truth = stats.lognorm(sigma, scale=math.exp(mean))
    y = np.exp(mean + sigma * np.array([-37, -8, -1, 0, 0.3, 5, 37]))
    np.testing.assert_allclose(p.cdf(y[:, None]), truth.cdf(y), rtol=1e-9)
    np.testing.assert_allclose(p.sf(y[:, None]), truth.sf(y), rtol=1e-9)
    assert 0 < p.cdf(y[0]) < 1e-290 > p.sf(y[-1]) > 0
    np.testing.assert_allclose(p.quantile(LEVELS)[..., 0], truth.ppf(LEVELS), rtol=1e-11)
    np.testing.assert_allclose(p.isf(LEVELS)[..., 0], truth.isf(LEVELS), rtol=1e-11)
    seen = np.exp(mean + sigma * np.linspace(-4.5, 4.5, 31))
    seen = seen[truth.pdf(seen) > 1e-6]
    np.testing.assert_allclose(p.quantile(p.cdf(seen[:, None]))[:, 0], seen, rtol=1e-9)
    np.testing.assert_allclose(p.isf(p.sf(seen[:, None]))[:, 0], seen, rtol=1e-9)
    np.testing.assert_allclose(np.ravel(p.interval(0.9)), truth.interval(0.9), rtol=1e-11)


def test_tails_on_tensors(assert_exact):
    params, y = np.array([0.5, 1.0]), np.array([[-1.0], [0.0], [1e-4], [1.0], [300.0]])
    truth = stats.lognorm(2.0, scale=math.exp(0.5))
    for method in ("cdf", "sf"):
        assert_exact(getattr(mx.LogNormal(), method), params, y, truth=getattr(truth, method)(y[:, 0]))


# Moments.


def test_moments_of_one_dimension_are_scipys(scale_by_hand):
    params, _ = rows(mx.LogNormal(), 10)
    p = mx.LogNormal(scale="softplus", min_scale=0.1)(params)
    truth = stats.lognorm(scale_by_hand(params[:, 1], "softplus", 0.1), scale=np.exp(params[:, 0]))
    np.testing.assert_allclose(p.mean()[:, 0], truth.mean(), rtol=1e-12)
    np.testing.assert_allclose(p.variance()[:, 0], truth.var(), rtol=1e-11)
    np.testing.assert_allclose(p.covariance()[:, 0, 0], truth.var(), rtol=1e-11)
    np.testing.assert_allclose(p.entropy(), truth.entropy(), rtol=1e-12)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_moments_and_mode_are_the_closed_forms(covariance, normal_by_hand, assert_exact):
    family = mx.LogNormal(2, covariance, min_scale=0.1)
    params, _ = rows(family, 4)
    p = family(params)
    by_hand = [normal_by_hand(row, 2, covariance, min_scale=0.1) for row in params]
    mean = np.array([np.exp(m + np.diag(S) / 2) for m, S in by_hand])
    cov = np.array([np.outer(e, e) * np.expm1(S) for e, (_, S) in zip(mean, by_hand, strict=True)])
    np.testing.assert_allclose(p.mean(), mean, rtol=1e-12)
    np.testing.assert_allclose(p.covariance(), cov, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(p.variance(), np.diagonal(cov, axis1=1, axis2=2), rtol=1e-11)
    np.testing.assert_allclose(p.mode(), [np.exp(m - S.sum(axis=1)) for m, S in by_hand], rtol=1e-12)
    entropy = [m.sum() + stats.multivariate_normal(m, S).entropy() for m, S in by_hand]
    np.testing.assert_allclose(p.entropy(), entropy, rtol=1e-11)
    if covariance == "full":
        assert_exact(family.covariance, params, truth=cov, float64=1e-5)  # a float32 product on PyTorch


@pytest.mark.parametrize(("mean", "sigma"), [(-500.0, 30.0), (-1000.0, 30.0), (0.0, 1e-6), (300.0, 0.1)])
def test_variances_neither_overflow_nor_cancel(mean, sigma, mp):
    """As exp(2 mean) times expm1(variance), one factor would overflow."""
    p = mx.LogNormal(scale="exp")([mean, math.log(sigma)])
    v = mp.exp(2 * mp.mpf(math.log(sigma)))
    truth = float(mp.exp(2 * mp.mpf(mean) + v) * mp.expm1(v))
    assert p.variance()[0] == pytest.approx(truth, rel=1e-12)
    assert p.covariance()[0, 0] == pytest.approx(truth, rel=1e-12)


def test_mode_of_one_component_is_where_the_climb_ends():
    """The closed form and the ascent that mixtures take."""
    family = mx.LogNormal(2, "full")
    params, _ = rows(family, 4)
    twice = np.concatenate([np.zeros((4, 2)), np.repeat(params, 2, axis=-1)], axis=-1)
    np.testing.assert_allclose(mx.Mixture(family, 2)(twice).mode(), family(params).mode(), rtol=1e-6)


def test_slopes_of_covariances_are_exact(assert_slopes):
    params = np.array([[0.3, -0.2, 0.1, -0.4, phi] for phi in (-0.9, 0.0, 0.9)])
    assert_slopes(lambda params: mx.LogNormal(2, "full").covariance(params)[..., 0, 1], params)


# Samples.


def test_samples_follow_the_distribution(draw, assert_follow):
    x = draw(mx.LogNormal(), [2.0, -0.5])
    sigma = math.exp(-0.5)
    wrong = (sigma * 1.02, sigma / 1.02)
    assert_follow(x[:, 0], *(stats.lognorm(s, scale=math.exp(2)).cdf for s in (sigma, *wrong)))


def test_samples_lie_inside_the_support_however_they_round(draw):
    p = mx.LogNormal(2)
    y = draw(p, [-800.0, 800.0, 0.0, 0.0], n=100)
    assert np.isfinite(p([-800.0, 800.0, 0.0, 0.0]).log_prob(y)).all()


def test_logarithms_of_samples_are_the_normals_samples(draw):
    params = [1.0, -0.5, 0.2, -0.5, 0.8]
    y, x = (draw(family(2, "full"), params, n=100) for family in (mx.LogNormal, mx.Normal))
    np.testing.assert_allclose(np.log(y), x, rtol=1e-5, atol=1e-6)


def test_the_sampler_scales_the_noise_of_the_logarithm(draw):
    params = [2.0, -3.0, 0.5, 1.0]
    full, half, none = draw(
        mx.LogNormal(2), params, *({"sampler": mx.Sampler(scale=scale)} for scale in (1.0, 0.5, 0.0)), n=100
    )
    np.testing.assert_allclose(none, np.tile(np.exp(params[:2]), (100, 1)), rtol=1e-6)
    np.testing.assert_allclose(half / none, np.sqrt(full / none), rtol=1e-4)


def test_slopes_of_samples_are_those_of_differences_at_the_same_seed(assert_slopes):
    family = mx.LogNormal(scale="softplus", min_scale=0.1)
    params = np.array([[2.0, 1.0], [0.0, 0.0], [-1.0, -2.0]])
    assert_slopes(lambda params: family.sample(params, seed=3)[..., 0], params, tensors=True)


# Several dimensions.


def test_marginal_and_conditional_are_those_of_the_normal_logarithm():
    params, y = rows(mx.LogNormal(3, "full"), 4)
    p, normal = mx.LogNormal(3, "full")(params), mx.Normal(3, "full")(params)
    x = np.log(y)
    for ours, theirs in (
        (p.marginal([2, 0]), normal.marginal([2, 0])),
        (p.condition(1, y[:, 1:2]), normal.condition(1, x[:, 1:2])),
    ):
        assert isinstance(ours.family, mx.LogNormal)
        np.testing.assert_allclose(
            ours.log_prob(y[:, :2]), theirs.log_prob(x[:, :2]) - x[:, :2].sum(axis=-1), rtol=1e-12
        )


def test_conditions_lie_inside_the_support():
    with pytest.raises(ValueError, match=r"values must lie inside the support \(0.0, inf\)"):
        mx.LogNormal(2)([0.0] * 4).condition(0, [0.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_size": 0}, "event_size must be a positive integer; received 0"),
        ({"covariance": "diag"}, "covariance must be one of 'spherical', .*; received 'diag'"),
        ({"covariance": "bivariate"}, "bivariate covariance needs event_size=2; received 1"),
        ({"scale": "relu"}, "scale must be one of 'elu', 'softplus', 'exp'; received 'relu'"),
        ({"min_scale": -1}, "min_scale must be a finite number, 0 or more; received -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mx.LogNormal(**arguments)
