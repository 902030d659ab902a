import itertools
import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from scipy.special import expit, logit

import mixtura as mx

LOW, HIGH = -1.0, 2.25


def rows(family, count, seed=0):
    """Parameters and events that float32 holds exactly."""
    rng = np.random.default_rng([seed, family.params_size])
    params = 0.7 * rng.normal(size=(count, family.params_size))
    y = family.low + (family.high - family.low) * expit(1.5 * rng.normal(size=(count, family.event_size)))
    return params.astype("float32").astype(float), y.astype("float32").astype(float)


def from_unit(y):
    """Return the logit of y, and the logarithm of its slope."""
    return np.log((y - LOW) / (HIGH - y)), np.log((HIGH - LOW) / ((y - LOW) * (HIGH - y)))


def test_log_prob_is_that_of_the_normal_logit(two_options, normal_log_density, assert_exact):
    families = [mx.LogitNormal(2, LOW, HIGH, "bivariate", **options) for options in two_options]
    params, y = rows(families[0], 20)
    x, log_slope = from_unit(y)
    truth = [
        normal_log_density(params, x, "bivariate", **options) + log_slope.sum(axis=-1)
        for options in two_options
    ]
    assert_exact(lambda params, y: [f.log_prob(params, y) for f in families], params, y, truth=truth)


def test_log_prob_near_the_ends_keeps_its_digits(assert_exact, mp):
    y = np.array([1e-30, 1e-6, 0.3, 0.5, 1 - 2.0**-10, 1 - 2.0**-23]).astype("float32").astype(float)
    truth = []
    for value in map(mp.mpf, y):
        x = mp.log(value / (1 - value))
        truth.append(float(mp.log(mp.npdf(x, 1, 2)) - mp.log(value * (1 - value))))
    assert_exact(mx.LogitNormal().log_prob, [1.0, 1.0], y[:, None], truth=np.array(truth))


def test_slopes_of_log_prob_are_exact(assert_slopes):
    family = mx.LogitNormal(2, LOW, HIGH, "full", "softplus", 0.05)
    assert_slopes(family.log_prob, *rows(family, 5))


@pytest.mark.parametrize(("mean", "activation"), [(0.5, -0.5), (0.0, 2.0)])
def test_density_integrates_to_one_and_to_the_cdf(mean, activation):
    p = mx.LogitNormal(1, LOW, HIGH)([mean, activation])
    for y in (-0.9, 0.5, 2.0, HIGH):
        mass, _ = integrate.quad(lambda y: math.exp(p.log_prob(y)), LOW, y, epsabs=1e-12, limit=500)
        assert p.cdf(y) == pytest.approx(mass, abs=1e-9)
    assert p.cdf(HIGH) == 1


def test_density_integrates_to_one_in_two_dimensions():
    p = mx.LogitNormal(2, LOW, HIGH, "full")([0.3, -0.2, 0.1, -0.4, 0.9])
    x, weight = np.arange(-15, 15, 0.25), 0.25
    y = np.stack(np.meshgrid(*[LOW + (HIGH - LOW) * expit(x)] * 2), axis=-1)
    slope = np.prod((y - LOW) * (HIGH - y) / (HIGH - LOW), axis=-1)
    inside = slope > 0
    assert np.sum(np.exp(p.log_prob(y[inside])) * slope[inside]) * weight**2 == pytest.approx(1, abs=1e-9)


# The support.


def test_outside_the_support_the_density_is_zero(gradient, tensor):
    family = mx.LogitNormal(2, LOW, HIGH)
    y = np.array([[1.0, end] for end in (-np.inf, -2.0, LOW, HIGH, 3.0, np.inf)])
    np.testing.assert_array_equal(family([0.0] * 4).log_prob(y), -math.inf)
    # A loss in which such an event has weight 0 does not see it.
    weights = tensor([[1.0], [0.0]])
    value, slope = gradient(lambda params: weights * family.log_prob(params, tensor(y)), np.zeros((2, 6, 4)))
    np.testing.assert_array_equal(value, [[np.float32(-1e30)] * 6, [0] * 6])
    np.testing.assert_array_equal(slope, 0)


def test_outside_the_support_there_is_no_probability():
    p = mx.LogitNormal(1, LOW, HIGH)([0.0, 0.0])
    y = np.array([[-np.inf], [-2.0], [LOW], [HIGH], [3.0], [np.inf]])
    np.testing.assert_array_equal(p.cdf(y), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(p.sf(y), [1, 1, 1, 0, 0, 0])
    for lower, upper in ((-2, -1), (None, LOW), (LOW, LOW), (HIGH, None), (HIGH, HIGH), (3, 4), (-2, -2)):
        assert p.log_prob(lower=lower, upper=upper) == -math.inf
    half = 0.5 * (LOW + HIGH)
    for lower, upper in ((-2, half), (LOW, half), (None, half), (half, HIGH), (half, 3), (half, None)):
        assert p.log_prob(lower=lower, upper=upper) == pytest.approx(-math.log(2), rel=1e-12)
    assert p.log_prob(lower=-2, upper=3) == 0


# Intervals.


def test_log_prob_of_an_interval_is_exact(intervals, exact_scale, exact_mass, assert_exact, mp):
    shift, low, high = intervals.T
    narrow = high - low < 1e-3
    unit = np.where(narrow, 400.0, 2.0)  # scales at which float32 can be narrow
    lower = expit(np.where(narrow, 0, low * unit)).astype("float32").astype(float)
    upper = np.where(narrow, 0.5 + 2.0**-20, expit(high * unit)).astype("float32").astype(float)
    params = np.stack([-shift * unit, unit - 1], axis=-1)
    possible = lower < upper  # far up, float32 makes both ends 1
    lower, upper, params = lower[possible], upper[possible], params[possible]
    truth = []
    for (mean, activation), *ends in zip(params, lower, upper, strict=True):
        z = [(mp.log(mp.mpf(y)) - mp.log(1 - mp.mpf(y)) - mean) / exact_scale(activation) for y in ends]
        truth.append(float(mp.log(exact_mass(*z))))
    assert_exact(
        lambda params, low, high: mx.LogitNormal().log_prob(params, lower=low, upper=high),
        params,
        lower[:, None],
        upper[:, None],
        truth=np.array(truth),
    )


@pytest.mark.slow
def test_values_and_gradients_of_intervals_are_finite(assert_finite, tensor):
    ends = [-np.inf, -1.0, 0.0, 1e-30, 0.5, 0.5000001, 0.99999994, 1.0, np.inf]
    table = np.array(list(itertools.product([-1e4, 0, 1e4], [-1e4, -13.8, 0, 1e4, 1e6], ends, ends)))
    lower, upper = tensor(table[:, 2:3]), tensor(table[:, 3:])
    assert_finite(lambda params: mx.LogitNormal().log_prob(params, lower=lower, upper=upper), table[:, :2])


def test_an_interval_of_no_length_is_an_event_and_dimensions_mix(assert_dimensions_mix):
    family = mx.LogitNormal(3)
    params, y = rows(family, 4)
    lower, upper = y * np.array([1, 0.5, 0]), y * np.array([1, 1, 0.5])
    assert_dimensions_mix(family, mx.LogitNormal(), params, lower, upper)


# Extremes.


def test_values_and_gradients_are_finite_at_extremes(assert_finite, tensor):
    families = [mx.LogitNormal(scale=scale) for scale in ("elu", "softplus", "exp")]
    # Activations of -13.8 and 1e6 are scales of 1e-6 and 1e6.
    activations, ends = [-1e4, -13.8, 0, 13.8, 1e4, 1e6], [-1, 0, 1e-38, 0.5, 0.99999994, 1, 1e4]
    table = np.array(list(itertools.product([-1e4, 0, 1e4], activations, ends)))
    y = tensor(table[:, 2:])
    assert_finite(lambda params: sum(f.log_prob(params, y) for f in families), table[:, :2])


def test_values_and_gradients_are_finite_in_sixty_four_dimensions(assert_finite, tensor):
    rng = np.random.default_rng(0)
    y = tensor(rng.choice([1e-38, 1e-4, 0.5, 0.99999994], size=(50, 64)))
    params = rng.choice([-1e4, -1.0, 0.0, 1.0, 1e4], size=(50, 128))
    assert_finite(lambda params: mx.LogitNormal(64).log_prob(params, y), params)


# Tails.

LEVELS = np.array([0, 1e-300, 1e-9, 0.025, 0.5, 0.8, 0.975, 1 - 1e-9, 1])


@pytest.mark.parametrize(("mean", "activation"), [(0.0, 0.0), (-3.0, 2.0), (5.0, -4.0)])
def test_tails_and_their_inverses_are_those_of_the_normal_logit(mean, activation, scale_by_hand):
    p = mx.LogitNormal()([mean, activation])
    normal = stats.norm(mean, scale_by_hand(activation))
    y = expit(normal.mean() + normal.std() * np.array([-37, -8, -1, 0, 0.3, 5]))
    np.testing.assert_allclose(p.cdf(y[:, None]), normal.cdf(logit(y)), rtol=1e-9)
    np.testing.assert_allclose(p.sf(y[:, None]), normal.sf(logit(y)), rtol=1e-9)
    assert 0 < p.cdf(y[0]) < 1e-290
    np.testing.assert_allclose(p.quantile(LEVELS)[..., 0], expit(normal.ppf(LEVELS)), rtol=1e-12)
    np.testing.assert_allclose(p.isf(LEVELS)[..., 0], expit(normal.isf(LEVELS)), rtol=1e-12)
    seen = expit(normal.mean() + normal.std() * np.linspace(-4.5, 4.5, 31))
    seen = seen[np.exp(p.log_prob(seen[:, None])) > 1e-6]
    np.testing.assert_allclose(p.quantile(p.cdf(seen[:, None]))[:, 0], seen, rtol=1e-9)
    np.testing.assert_allclose(p.isf(p.sf(seen[:, None]))[:, 0], seen, rtol=1e-9)
    np.testing.assert_allclose(np.ravel(p.interval(0.9)), expit(normal.interval(0.9)), rtol=1e-12)


def test_both_ends_are_reached_with_all_digits():
    """On an interval whose upper end is 0, the upper tail has digits of its own."""
    mirrored = mx.LogitNormal(1, -1.0, 0.0)([3.0, 1.0])
    p = mx.LogitNormal(1, 0.0, 1.0)([-3.0, 1.0])
    for q in (1e-300, 1e-9, 0.3):
        assert mirrored.isf(q) == pytest.approx(-p.quantile(q), rel=1e-13)
        y = p.quantile(q)
        assert mirrored.sf(-y) == pytest.approx(q, rel=1e-9)
        assert mirrored.log_prob(-y) == pytest.approx(p.log_prob(y), rel=1e-12)


def test_tails_on_tensors(assert_exact):
    params, y = np.array([0.5, 1.0]), np.array([[-2.0], [LOW], [-0.5], [1.0], [2.0], [HIGH]])
    truth = stats.norm(0.5, 2.0)
    x = np.array([-np.inf, -np.inf, *from_unit(y[2:5, 0])[0], np.inf])
    for method in ("cdf", "sf"):
        f = getattr(mx.LogitNormal(1, LOW, HIGH), method)
        assert_exact(f, params, y, truth=getattr(truth, method)(x))


# Moments.

Z = np.arange(-40, 40, 0.005, dtype=np.longdouble)
WEIGHTS = np.exp(-Z * Z / 2) / np.exp(-Z * Z / 2).sum()


def moments_by_hand(mean, sigma):
    """Return mean, variance and entropy on (0, 1) by the trapezoidal rule, which converges exponentially."""
    x = np.longdouble(mean) + np.longdouble(sigma) * Z
    share = 1 / (1 + np.exp(-x))  # of what lies above the lower end
    centre = np.sum(WEIGHTS * share)
    # From the nearer end, where differences keep their digits.
    near = share if mean < 0 else 1 / (1 + np.exp(x))
    variance = np.sum(WEIGHTS * np.square(near - np.sum(WEIGHTS * near)))
    log_slope = -np.abs(x) - 2 * np.log1p(np.exp(-np.abs(x)))
    entropy = np.log(np.longdouble(sigma)) + 0.5 * np.log(2 * np.pi * np.e) + np.sum(WEIGHTS * log_slope)
    return float(centre), float(variance), float(entropy)


MEANS, SIGMAS = [-1000.0, -30.0, -3.0, 0.0, 0.5, 30.0], [1e-6, 0.1, 1.0, 5.0, 100.0]
LOGITS = np.array(list(itertools.product(MEANS, np.log(SIGMAS))))


def test_moments_and_entropy_are_the_integrals():
    p = mx.LogitNormal(scale="exp")(LOGITS)
    mean, variance, entropy = np.array([moments_by_hand(m, np.exp(np.longdouble(s))) for m, s in LOGITS]).T
    # What lies ten scales away from the mean is left out: 1e-23.
    np.testing.assert_allclose(p.mean()[:, 0], mean, rtol=1e-12, atol=1e-22)
    np.testing.assert_allclose(p.variance()[:, 0], variance, rtol=1e-8, atol=1e-22)
    np.testing.assert_allclose(p.entropy(), entropy, rtol=1e-12, atol=1e-12)


def test_moments_and_entropy_are_in_the_events_units():
    params, _ = rows(mx.LogitNormal(2), 5)
    unit, p = mx.LogitNormal(2)(params), mx.LogitNormal(2, LOW, HIGH)(params)
    np.testing.assert_allclose(p.mean(), LOW + (HIGH - LOW) * unit.mean(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(p.variance(), (HIGH - LOW) ** 2 * unit.variance(), rtol=1e-12)
    np.testing.assert_allclose(p.covariance(), p.variance()[..., None] * np.eye(2), rtol=1e-12)
    np.testing.assert_allclose(p.entropy(), unit.entropy() + 2 * math.log(HIGH - LOW), rtol=1e-12)


@pytest.mark.slow
def test_moments_on_tensors_are_those_of_arrays(assert_exact):
    """Scales far below the mean included, where float32 holds few digits of the logit."""
    family = mx.LogitNormal(scale="exp")
    params = np.array([[0.0, 0.0], [3.0, -13.8], [-5.0, -7.0], [0.5, 2.0], [20.0, -9.0]])
    params = params.astype("float32").astype(float)

    def moments(params):
        return [family.mean(params)[..., 0], family.variance(params)[..., 0], family.entropy(params)]

    assert_exact(moments, params, truth=moments(params))


@pytest.mark.slow
def test_slopes_of_the_mean_are_exact(assert_slopes):
    params = np.array([[0.0, 0.0], [0.5, 1.0], [-2.0, -1.0]])
    assert_slopes(lambda params: mx.LogitNormal(1, LOW, HIGH, scale="exp").mean(params)[..., 0], params)


def test_covariance_needs_independent_dimensions():
    assert mx.LogitNormal(1, covariance="full")([0.0, 0.0]).covariance().shape == (1, 1)
    with pytest.raises(NotImplementedError, match="has no covariance; use the covariance of samples"):
        mx.LogitNormal(2, covariance="full")([0.0] * 5).covariance()


@pytest.mark.parametrize(
    ("mean", "sigma"), [(0.0, 1.0), (2.0, 0.1), (-5.0, 1.0), (0.1, 3.0), (-0.1, 3.0), (4.0, 3.0), (0.0, 1e-6)]
)
def test_mode_is_the_highest_point(mean, sigma):
    p = mx.LogitNormal(scale="exp")([mean, math.log(sigma)])

    def depth(x):
        return -p.log_prob(expit(x)[..., None])

    grid = np.linspace(max(mean - sigma**2 - 1, -30), min(mean + sigma**2 + 1, 30), 100_001)
    best, step = grid[depth(grid).argmin()], grid[1] - grid[0]
    best = optimize.minimize_scalar(
        lambda x: depth(np.array([x]))[0],
        bounds=(best - step, best + step),
        method="bounded",
        options={"xatol": 1e-12},
    ).x
    assert p.mode()[0] == pytest.approx(expit(best), rel=1e-6)


def test_of_two_equal_modes_one_is_returned():
    mode = mx.LogitNormal(1, scale="exp")([0.0, math.log(3.0)]).mode()[0]
    # Where the logit is 9 tanh(logit / 2).
    assert min(mode, 1 - mode) == pytest.approx(
        expit(-optimize.brentq(lambda x: 9 * math.tanh(x / 2) - x, 5, 9.5)), rel=1e-6
    )


# Samples.


def test_samples_follow_the_distribution(draw, assert_follow):
    x = draw(mx.LogitNormal(1, LOW, HIGH), [0.5, -0.5])
    sigma = math.exp(-0.5)
    z = from_unit(x[:, 0])[0]
    assert_follow(z, *(stats.norm(0.5, s).cdf for s in (sigma, sigma * 1.02, sigma / 1.02)))


def test_samples_lie_inside_the_support_however_they_round(draw):
    for low, high in ((LOW, HIGH), (0.0, 1.0), (-1.0, 0.0)):
        p, params = mx.LogitNormal(2, low, high), [-800.0, 800.0, 0.0, 0.0]
        y = draw(p, params, n=100)
        assert ((low < y) & (y < high)).all()


def test_the_sampler_scales_the_noise_of_the_logit(draw):
    params = [2.0, -3.0, 0.5, 1.0]
    full, half, none = draw(
        mx.LogitNormal(2), params, *({"sampler": mx.Sampler(scale=scale)} for scale in (1.0, 0.5, 0.0)), n=100
    )
    np.testing.assert_allclose(none, np.tile(expit(params[:2]), (100, 1)), rtol=1e-6)
    full, half, none = map(logit, (full, half, none))
    np.testing.assert_allclose(half - none, (full - none) / 2, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_slopes_of_samples_are_those_of_differences_at_the_same_seed(assert_slopes):
    family = mx.LogitNormal(1, LOW, HIGH, scale="softplus", min_scale=0.1)
    params = np.array([[2.0, 1.0], [0.0, 0.0], [-1.0, -2.0]])
    assert_slopes(lambda params: family.sample(params, seed=3)[..., 0], params, tensors=True)


@pytest.mark.slow
def test_the_centre_has_a_slope_where_the_logit_is_zero(assert_slopes):
    centre = mx.Sampler(scale=0.0)
    assert_slopes(
        lambda params: mx.LogitNormal().sample(params, seed=0, sampler=centre)[..., 0],
        [[0.0, 0.0]],
        tensors=True,
    )


# Several dimensions.


def test_marginal_and_conditional_are_those_of_the_normal_logit():
    family = mx.LogitNormal(3, LOW, HIGH, "full")
    params, y = rows(family, 4)
    p, normal = family(params), mx.Normal(3, "full")(params)
    x, log_slope = from_unit(y)
    for ours, theirs in (
        (p.marginal([2, 0]), normal.marginal([2, 0])),
        (p.condition(1, y[:, 1:2]), normal.condition(1, x[:, 1:2])),
    ):
        assert (ours.family.low, ours.family.high) == (LOW, HIGH)
        np.testing.assert_allclose(
            ours.log_prob(y[:, :2]), theirs.log_prob(x[:, :2]) + log_slope[:, :2].sum(axis=-1), rtol=1e-11
        )


def test_conditions_lie_inside_the_support():
    with pytest.raises(ValueError, match=r"values must lie inside the support \(0.0, 1.0\)"):
        mx.LogitNormal(2)([0.0] * 4).condition(0, [1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_size": 0}, "event_size must be a positive integer; received 0"),
        ({"low": 1}, "low must be below high; received low=1 and high=1"),
        ({"low": 2, "high": 1}, "low must be below high; received low=2 and high=1"),
        ({"low": -math.inf}, "low must be a finite number; received -inf"),
        ({"high": math.nan}, "high must be a finite number; received nan"),
        ({"high": "1"}, "high must be a finite number; received '1'"),
        ({"covariance": "bivariate"}, "bivariate covariance needs event_size=2; received 1"),
        ({"scale": "relu"}, "scale must be one of 'elu', 'softplus', 'exp'; received 'relu'"),
        ({"min_scale": -1}, "min_scale must be a finite number, 0 or more; received -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mx.LogitNormal(**arguments)
