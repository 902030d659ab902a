import itertools
import math

import keras
import numpy as np
import pytest
from scipy import integrate, stats

import mixtura as mx

COVARIANCES = ["spherical", "diagonal", "full"]
SIZES = {"spherical": [2, 3, 4, 5, 6], "diagonal": [2, 4, 6, 8, 10], "full": [2, 5, 9, 14, 20]}


def draw_rows(family, rows=4, seed=0):
    """Parameters and events that float32 holds exactly."""
    rng = np.random.default_rng([seed, family.params_size])
    params = 0.7 * rng.normal(size=(rows, family.params_size))
    y = 2 * rng.normal(size=(rows, family.event_size))
    return params.astype("float32").astype(float), y.astype("float32").astype(float)


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_params_size_counts_the_documented_parameters(covariance, size):
    assert mx.Normal(size, covariance).params_size == SIZES[covariance][size - 1]


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_accessors_read_the_documented_layout(covariance, size, normal_by_hand):
    family = mx.Normal(size, covariance, min_scale=0.1)
    rows, _ = draw_rows(family)
    p = family(rows)
    for row, params in enumerate(rows):
        mean, cov = normal_by_hand(params, size, covariance, min_scale=0.1)
        np.testing.assert_array_equal(p.mean()[row], mean)
        np.testing.assert_allclose(p.covariance()[row], cov, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(p.variance()[row], np.diag(cov), rtol=1e-12)


@pytest.mark.parametrize("scale", ["elu", "softplus", "exp"])
@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_log_prob_is_scipys(covariance, size, scale):
    family = mx.Normal(size, covariance, scale, min_scale=0.05)
    params, y = draw_rows(family)
    p = family(params)
    expected = [
        stats.multivariate_normal(*moments).logpdf(event)
        for *moments, event in zip(p.mean(), p.covariance(), y, strict=True)
    ]
    assert p.log_prob(y) == pytest.approx(np.array(expected), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_log_prob_on_tensors_is_scipys(
    covariance, every_option, two_options, normal_log_density, assert_exact
):
    ways = every_option if covariance == "full" else two_options
    families = [mx.Normal(3, covariance, **options) for options in ways]
    params, y = draw_rows(families[0])
    truth = [normal_log_density(params, y, covariance, **options) for options in ways]
    assert_exact(lambda params, y: [f.log_prob(params, y) for f in families], params, y, truth=truth)


def test_slopes_of_log_prob_are_exact(two_options, assert_slopes):
    families = [mx.Normal(2, "full", **options) for options in two_options]
    assert_slopes(lambda params, y: sum(f.log_prob(params, y) for f in families), *draw_rows(families[0]))


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_moments_on_tensors_are_those_by_hand(covariance, normal_by_hand, assert_exact):
    family = mx.Normal(3, covariance)
    params, _ = draw_rows(family)
    truth = np.array([normal_by_hand(row, 3, covariance)[1] for row in params])
    entropy = np.linalg.slogdet(truth)[1] / 2 + 1.5 * math.log(2 * math.pi * math.e)

    def moments(params):
        mean = family.mean(params)
        return [mean, family.variance(params), 0 * mean + family.entropy(params)[..., None]]

    variance = np.diagonal(truth, axis1=1, axis2=2)
    assert_exact(moments, params, truth=[params[:, :3], variance, 0 * variance + entropy[:, None]])
    if covariance == "full":
        assert_exact(family.covariance, params, truth=truth, float64=1e-5)  # a float32 product on PyTorch


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_entropy_and_mode_are_scipys(covariance, normal_by_hand):
    family = mx.Normal(3, covariance, "softplus", 0.1)
    params, _ = draw_rows(family)
    for row in params:
        mean, cov = normal_by_hand(row, 3, covariance, "softplus", 0.1)
        assert family(row).entropy() == pytest.approx(
            stats.multivariate_normal(mean, cov).entropy(), rel=1e-12
        )
        np.testing.assert_array_equal(family(row).mode(), mean)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_tensors_are_computed_in_float32(dtype, compiled):
    log_prob = compiled(mx.Normal(1).log_prob, [[0.5, 0.25]], [[100.0]], dtype=dtype)
    assert log_prob == pytest.approx(stats.norm(0.5, 1.25).logpdf(100.0), rel=1e-5)


def test_structures_agree_where_their_parameters_coincide(on_tensors):
    mean, activation, y = [1.0, -2.0], 0.3, [0.0, 1.0]
    params = {
        "spherical": [*mean, activation],
        "diagonal": [*mean, *[activation] * 2],
        "full": [*mean, *[activation] * 2, 0.0],
        "bivariate": [*mean, *[activation] * 2, 0.0],
    }
    families = [mx.Normal(2, covariance) for covariance in params]
    first, *rest = [family(params[family.structure]) for family in families]
    for p in rest:
        assert p.log_prob(y) == pytest.approx(first.log_prob(y), rel=1e-15)
        np.testing.assert_allclose(p.covariance(), first.covariance(), rtol=1e-15)
        np.testing.assert_allclose(p.sample(10, seed=1), first.sample(10, seed=1), rtol=1e-14)
    drawn = on_tensors(
        lambda *rows: [f.sample(row, seed=1) for f, row in zip(families, rows, strict=True)], *params.values()
    )
    for x in drawn[1:]:
        np.testing.assert_allclose(x, drawn[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("phi", [-1e4, -3.0, 0.0, 0.5, 1e4])
def test_correlation_of_two_dimensions_is_the_documented_function_of_phi(phi):
    cov = mx.Normal(2, "full")([0.0, 0.0, 0.0, 0.0, phi]).covariance()
    assert cov[0, 1] / math.sqrt(cov[0, 0] * cov[1, 1]) == pytest.approx(
        phi / math.sqrt(1 + phi**2), rel=1e-12
    )


@pytest.mark.parametrize("activation", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize("scale", ["elu", "softplus", "exp"])
def test_density_integrates_to_one_in_one_dimension(scale, activation):
    p = mx.Normal(1, scale=scale)([0.5, activation])
    width = 12 * math.sqrt(p.variance()[0])
    total, _ = integrate.quad(lambda y: math.exp(p.log_prob(y)), 0.5 - width, 0.5 + width, points=[0.5])
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_density_integrates_to_one_in_two_dimensions(covariance):
    p = mx.Normal(2, covariance)([0.3, -0.2, 0.1, -0.4, 0.9][: SIZES[covariance][1]])
    line = np.arange(-15, 15, 0.25)
    y = np.stack(np.meshgrid(line, line), axis=-1)
    assert np.exp(p.log_prob(y)).sum() * 0.25**2 == pytest.approx(1, abs=1e-9)


def test_parameters_and_events_broadcast():
    family = mx.Normal(2, "full")
    params, _ = draw_rows(family, rows=3)
    y = np.random.default_rng(1).normal(size=(4, 2))
    table = family.log_prob(params[:, None], y)
    assert table.shape == (3, 4)
    assert table[2, 1] == family.log_prob(params[2], y[1])


# Extremes.


# Activations of -13.8 and 1e6 are scales of 1e-6 and 1e6.
SCALES = [-1e4, -13.8, 0, 13.8, 1e4, 1e6]


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_values_and_gradients_are_finite_at_extremes(covariance, assert_finite, tensor):
    families = [mx.Normal(2, covariance, scale) for scale in ("elu", "softplus", "exp")]
    scales = [SCALES] * (1 if covariance == "spherical" else 2)
    coefficients = [[-1e4, 0, 1e4]] * (covariance == "full")
    table = np.array(list(itertools.product([-1e4, 0.5, 1e4], [0, 1e4], *scales, *coefficients)))
    params = np.concatenate([-table[:, 1::-1], table[:, 2:]], axis=-1)
    y = tensor(table[:, :2])
    assert_finite(lambda params: sum(f.log_prob(params, y) for f in families), params)


@pytest.mark.parametrize(
    "covariance", ["spherical", "diagonal", pytest.param("full", marks=pytest.mark.slow)]
)
def test_values_and_gradients_are_finite_in_sixty_four_dimensions(covariance, assert_finite, tensor):
    family, rng = mx.Normal(64, covariance), np.random.default_rng(0)
    y = tensor(rng.choice([-1e4, 0.0, 1.0, 1e4], size=(20, 64)))
    params = rng.choice([-1e4, -1.0, 0.0, 1.0, 1e4], size=(20, family.params_size))
    params[:, 128:] = rng.normal(size=params[:, 128:].shape)
    assert_finite(lambda params: family.log_prob(params, y), params)


def test_sixty_four_correlated_dimensions_are_scipys(normal_log_density):
    family = mx.Normal(64, "full")
    params, y = draw_rows(family)
    params[:, 128:] *= 0.1
    truth = normal_log_density(params, y, "full")
    np.testing.assert_allclose(family(params).log_prob(y), truth, rtol=1e-9)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_targets_ten_thousand_scales_away_still_pull(covariance, gradient, tensor):
    family = mx.Normal(2, covariance)
    y = tensor([[1e4, -1e4]])
    value, slope = gradient(lambda params: family.log_prob(params, y), np.zeros((1, family.params_size)))
    assert value == pytest.approx(-1e8, rel=1e-5)
    np.testing.assert_allclose(slope[0, :2], [1e4, -1e4], rtol=1e-5)
    assert np.isfinite(slope).all()
    assert (slope[0, 2:] != 0).all()


def test_slope_of_the_scale_at_zero_is_one(gradient, tensor):
    """Backends differ on the gradient of minimum and maximum at a tie."""
    _, slope = gradient(lambda params: mx.Normal(1).log_prob(params, tensor([0.5])), [[0.0, 0.0]])
    np.testing.assert_allclose(slope, [[0.5, 0.25 - 1]], rtol=1e-6)


# Intervals.


def test_log_prob_of_an_interval_is_exact(intervals, exact_scale, exact_mass, assert_exact, mp):
    shift, low, high = (intervals * 2.0).astype("float32").astype(float).T
    activations = np.array([1.0, -3.0, 5.0]).repeat(len(shift))  # scales of 2, 0.05 and 6
    shift, low, high = (np.tile(column, 3) for column in (shift, low, high))
    truth = []
    for location, activation, *ends in zip(-shift, activations, low, high, strict=True):
        z = [(mp.mpf(end) - location) / exact_scale(activation) for end in ends]
        with mp.workdps(80):  # the narrowest are 1e-10 of a density
            truth.append(float(mp.log(exact_mass(*z))))
    assert_exact(
        lambda params, low, high: mx.Normal().log_prob(params, lower=low, upper=high),
        np.stack([-shift, activations], axis=-1),
        low[:, None],
        high[:, None],
        truth=np.array(truth),
    )


def test_values_and_gradients_of_intervals_are_finite(intervals, assert_finite, tensor):
    table = [(-s, a, lo, hi) for (s, lo, hi), a in itertools.product(intervals, [-1e4, -13.8, 0.0, 1e6, 1e4])]
    table += [(0, 0, end, end) for end in (-np.inf, np.inf)] + [(0, 0, 2, 1)]
    table = np.array(table)
    lower, upper = tensor(table[:, 2:3]), tensor(table[:, 3:])
    assert_finite(lambda params: mx.Normal().log_prob(params, lower=lower, upper=upper), table[:, :2])


def test_slopes_of_intervals_are_exact(assert_slopes):
    ends = [(-1, 1.5), (-np.inf, 1), (0, np.inf), (0.5, 0.51), (-30, -29), (30, 31), (-2, 3), (0.3, 0.3)]
    lower, upper = np.array(ends, float).T[..., None]
    params = np.tile([[0.1, 0.2]], (len(ends), 1))
    assert_slopes(
        lambda params, lower, upper: mx.Normal().log_prob(params, lower=lower, upper=upper),
        params,
        lower,
        upper,
        tolerance=1e-5,
    )


def test_an_interval_of_no_length_is_an_event_and_dimensions_mix(assert_dimensions_mix):
    family = mx.Normal(3)
    params, y = draw_rows(family)
    lower, upper = y + np.array([0, -1, -np.inf]), y + np.array([0, 0.5, 0])
    assert_dimensions_mix(family, mx.Normal(), params, lower, upper)


def test_a_bound_left_out_is_infinite():
    p = mx.Normal(2, "spherical")([0.0, 0.0, 0.0])
    assert p.log_prob(upper=[1, 2]) == pytest.approx(stats.norm.logcdf([1, 2]).sum(), rel=1e-13)
    assert p.log_prob(lower=[9, 2]) == pytest.approx(stats.norm.logsf([9, 2]).sum(), rel=1e-13)
    assert p.log_prob(lower=[-np.inf, -np.inf], upper=[np.inf, np.inf]) == 0


def test_bounds_that_cross_have_no_probability_on_tensors(on_tensors):
    crossed = on_tensors(lambda p: mx.Normal().log_prob(p, lower=2.0, upper=1.0), [0.0, 0.0])
    assert crossed == np.float32(-1e30)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"lower": 2.0, "upper": 1.0},
            ValueError,
            r"lower must not exceed upper; received \[2.\] and \[1.\]",
        ),
        ({"y": 0.0, "lower": 1.0}, ValueError, "takes either y or the bounds lower and upper"),
        ({"y": 0.0, "upper": 1.0}, ValueError, "takes either y or the bounds lower and upper"),
        ({}, ValueError, "takes either y or the bounds lower and upper"),
        ({"lower": [0.0, 0.0]}, ValueError, r"events of size 1 on the last axis; received y of shape \(2,\)"),
    ],
)
def test_bad_bounds_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        mx.Normal()([0.0, 0.0]).log_prob(**arguments)


def test_bounds_of_correlated_dimensions_are_refused():
    with pytest.raises(NotImplementedError, match=r"covariance='full'.*interval; use diagonal covariance"):
        mx.Normal(2, "full")([0.0] * 5).log_prob(lower=[0.0, 0.0])
    one = mx.Normal(1, "full")([0.0, 0.0])  # nothing to correlate with
    assert one.log_prob(lower=0.0) == pytest.approx(-math.log(2))


# Tails.

LEVELS = np.array([0, 1e-300, 1e-9, 0.025, 0.5, 0.8, 0.975, 1 - 1e-9, 1])


@pytest.mark.parametrize(("mean", "activation"), [(0.0, 0.0), (-3.0, 2.0), (100.0, -4.0)])
def test_tails_and_their_inverses_are_scipys(mean, activation):
    p = mx.Normal(1)([mean, activation])
    truth = stats.norm(mean, activation + 1 if activation > 0 else math.exp(activation))
    y = truth.mean() + truth.std() * np.array([-37.0, -8.0, -1.0, 0.0, 0.3, 5.0, 37.0])
    np.testing.assert_allclose(p.cdf(y[:, None]), truth.cdf(y), rtol=1e-11)
    np.testing.assert_allclose(p.sf(y[:, None]), truth.sf(y), rtol=1e-11)
    np.testing.assert_allclose(p.quantile(LEVELS)[..., 0], truth.ppf(LEVELS), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(p.isf(LEVELS)[..., 0], truth.isf(LEVELS), rtol=1e-12, atol=1e-14)
    seen = truth.mean() + truth.std() * np.linspace(-4.5, 4.5, 31)
    np.testing.assert_allclose(p.quantile(p.cdf(seen[:, None]))[:, 0], seen, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(p.isf(p.sf(seen[:, None]))[:, 0], seen, rtol=1e-10, atol=1e-9)


def test_tails_on_tensors(assert_exact):
    params, y = np.array([0.5, 1.0]), np.array([[-20.0], [-2.0], [0.5], [3.0], [20.0]])
    truth = stats.norm(0.5, 2.0)
    for method in ("cdf", "sf"):
        assert_exact(getattr(mx.Normal(), method), params, y, truth=getattr(truth, method)(y[:, 0]))


# Samples.


def test_samples_follow_the_distribution(scale_by_hand, draw, assert_follow):
    x = draw(mx.Normal(1, scale="softplus", min_scale=0.5), [5.0, 0.5])
    sigma = scale_by_hand(0.5, "softplus", 0.5)
    assert_follow(x[:, 0], *(stats.norm(5.0, s).cdf for s in (sigma, sigma * 1.02, sigma / 1.02)))


def test_samples_of_full_covariance_have_that_covariance(normal_by_hand, draw):
    params = [1.0, -2.0, 0.5, 0.2, -0.5, 0.0, 0.8, -0.6, 1.2]
    mean, cov = normal_by_hand(params, 3, "full")
    x = draw(mx.Normal(3, "full"), params)
    error_of_mean = np.sqrt(np.diag(cov) / len(x))
    error_of_cov = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / len(x))
    assert (np.abs(x.mean(axis=0) - mean) < 5 * error_of_mean).all()
    assert (np.abs(np.cov(x.T) - cov) < 5 * error_of_cov).all()


def test_the_seed_decides_the_draws_and_the_sampler_scales_the_noise(draw):
    params = [5.0, -3.0, 0.5, 1.0, 0.7]
    first, again, other, half, none = draw(
        mx.Normal(2, "full"),
        params,
        *({"seed": seed} for seed in (1, 1, 2)),
        *({"seed": 1, "sampler": mx.Sampler(scale=scale)} for scale in (0.5, 0.0)),
        n=100,
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    np.testing.assert_array_equal(none, np.tile(params[:2], (100, 1)))
    np.testing.assert_allclose(half - none, (first - none) / 2, rtol=1e-4, atol=1e-6)


def test_slopes_of_samples_are_those_of_differences_at_the_same_seed(assert_slopes):
    family = mx.Normal(2, "full", "softplus", 0.1)
    params = np.array([[5.0, 1.0, 0.3, -0.5, 0.7], [0.0] * 5])
    assert_slopes(lambda params: family.sample(params, seed=3)[..., 1], params, tensors=True)


@pytest.mark.parametrize(
    "seed",
    [3, np.int64(3), keras.random.SeedGenerator(3), None],
    ids=lambda seed: type(seed).__name__,
)
def test_every_kind_of_seed_is_taken(seed, tensor):
    assert tuple(mx.Normal(1).sample(tensor(np.zeros((3, 2))), seed).shape) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_size": 0}, "event_size must be a positive integer; received 0"),
        ({"event_size": 1.5}, "event_size must be a positive integer; received 1.5"),
        ({"event_size": True}, "event_size must be a positive integer; received True"),
        (
            {"covariance": "diag"},
            "covariance must be one of 'spherical', 'diagonal', 'full', 'bivariate'; received 'diag'",
        ),
        ({"scale": "relu"}, "scale must be one of 'elu', 'softplus', 'exp'; received 'relu'"),
        ({"min_scale": -1}, "min_scale must be a finite number, 0 or more; received -1"),
        ({"min_scale": math.nan}, "min_scale must be a finite number, 0 or more; received nan"),
        ({"min_scale": "wide"}, "min_scale must be a finite number, 0 or more; received 'wide'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mx.Normal(**arguments)
