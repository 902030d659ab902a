import itertools
import math

import keras
import numpy as np
import pytest
from scipy import integrate, stats

import mixtura as mx

COVARIANCES = ["spherical", "diagonal", "full"]
SIZES = {"spherical": [2, 3, 4, 5, 6], "diagonal": [2, 4, 6, 8, 10], "full": [2, 5, 9, 14, 20]}


def draw(family, rows=4, seed=0):
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
    rows, _ = draw(family)
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
    params, y = draw(family)
    p = family(params)
    expected = [
        stats.multivariate_normal(*moments).logpdf(event)
        for *moments, event in zip(p.mean(), p.covariance(), y, strict=True)
    ]
    assert p.log_prob(y) == pytest.approx(np.array(expected), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_tensors_give_the_arrays_numbers_in_float32(covariance, compiled):
    family = mx.Normal(3, covariance)
    params, y = draw(family)
    for method, arguments in {
        "log_prob": (params, y),
        "variance": (params,),
        "covariance": (params,),
    }.items():
        expected = getattr(family, method)(*arguments)
        actual = compiled(getattr(family, method), *arguments)
        assert actual == pytest.approx(expected, rel=2e-5, abs=2e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_tensors_are_computed_in_float32(dtype, compiled):
    log_prob = compiled(mx.Normal(1).log_prob, [[0.5, 0.25]], [[100.0]], dtype=dtype)
    assert log_prob == pytest.approx(stats.norm(0.5, 1.25).logpdf(100.0), rel=1e-5)


def test_structures_agree_where_their_parameters_coincide():
    mean, activation, y = [1.0, -2.0, 0.5], 0.3, [0.0, 1.0, 2.0]
    params = {
        "spherical": [*mean, activation],
        "diagonal": [*mean, *[activation] * 3],
        "full": [*mean, *[activation] * 3, 0.0, 0.0, 0.0],
    }
    values = [mx.Normal(3, covariance)(params[covariance]) for covariance in COVARIANCES]
    assert len({float(p.log_prob(y)) for p in values}) == 1
    for p in values[1:]:
        np.testing.assert_array_equal(p.covariance(), values[0].covariance())


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
    params, _ = draw(family, rows=3)
    y = np.random.default_rng(1).normal(size=(4, 2))
    table = family.log_prob(params[:, None], y)
    assert table.shape == (3, 4)
    assert table[2, 1] == family.log_prob(params[2], y[1])


# Extremes. Every combination of raw activations and targets of 0 and +-1e4.


def extremes(count):
    return np.array(list(itertools.product([-1e4, 0.0, 1e4], repeat=count)))


@pytest.mark.parametrize("scale", ["elu", "softplus", "exp"])
def test_value_and_gradient_are_finite_at_extreme_activations(scale, gradient, tensor):
    family = mx.Normal(1, scale=scale)
    table = extremes(3)
    y = tensor(table[:, 2:])
    value, slope = gradient(lambda params: family.log_prob(params, y), table[:, :2])
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


def test_value_and_gradient_are_finite_at_extreme_activations_of_full_covariance(gradient, tensor):
    family = mx.Normal(2, "full")
    table = extremes(5)  # two targets, two scale activations, phi; the means are 0
    y = tensor(table[:, :2])
    value, slope = gradient(
        lambda params: family.log_prob(params, y), np.concatenate([0 * table[:, :2], table[:, 2:]], axis=1)
    )
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


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


# Tails.

LEVELS = np.array([1e-300, 1e-9, 0.025, 0.5, 0.8, 0.975, 1 - 1e-9])


@pytest.mark.parametrize(("mean", "activation"), [(0.0, 0.0), (-3.0, 2.0), (100.0, -4.0)])
def test_tails_and_their_inverses_are_scipys(mean, activation):
    p = mx.Normal(1)([mean, activation])
    truth = stats.norm(mean, activation + 1 if activation > 0 else math.exp(activation))
    y = truth.mean() + truth.std() * np.array([-37.0, -8.0, -1.0, 0.0, 0.3, 5.0, 37.0])
    np.testing.assert_allclose(p.cdf(y[:, None]), truth.cdf(y), rtol=1e-11)
    np.testing.assert_allclose(p.sf(y[:, None]), truth.sf(y), rtol=1e-11)
    np.testing.assert_allclose(p.quantile(LEVELS)[..., 0], truth.ppf(LEVELS), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(p.isf(LEVELS)[..., 0], truth.isf(LEVELS), rtol=1e-12, atol=1e-14)


def test_tails_of_tensors(compiled):
    y = np.array([[-2.0], [0.0], [3.0]], "float32")
    for method in ("cdf", "sf"):
        actual = compiled(getattr(mx.Normal(1), method), [0.5, 1.0], y)
        expected = getattr(stats.norm(0.5, 2.0), method)(y[:, 0])
        assert actual == pytest.approx(expected, rel=2e-5)


# Samples.


@pytest.mark.parametrize("scale", ["elu", "exp"])
def test_samples_follow_the_distribution(scale):
    x = mx.Normal(1, scale=scale)([5.0, 0.5]).sample(100_000, seed=0)[:, 0]
    sigma = 1.5 if scale == "elu" else math.exp(0.5)
    assert stats.kstest(x, stats.norm(5.0, sigma).cdf).pvalue > 1e-4
    assert stats.kstest(x, stats.norm(5.0, 1.05 * sigma).cdf).pvalue < 1e-4


def test_min_scale_widens_samples():
    x = mx.Normal(1, min_scale=0.5)([5.0, -1e4]).sample(100_000, seed=0)[:, 0]
    assert stats.kstest(x, stats.norm(5.0, 0.5).cdf).pvalue > 1e-4


def test_samples_of_full_covariance_have_that_covariance(normal_by_hand):
    params = [1.0, -2.0, 0.5, 0.2, -0.5, 0.0, 0.8, -0.6, 1.2]
    mean, cov = normal_by_hand(params, 3, "full")
    n = 100_000
    x = mx.Normal(3, "full")(params).sample(n, seed=1)
    error_of_mean = np.sqrt(np.diag(cov) / n)
    error_of_cov = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / n)
    assert (np.abs(x.mean(axis=0) - mean) < 5 * error_of_mean).all()
    assert (np.abs(np.cov(x.T) - cov) < 5 * error_of_cov).all()


def test_gradients_flow_through_samples(gradient):
    drawn, slope = gradient(lambda params: mx.Normal(1).sample(params, seed=3)[..., 0], [[5.0, 1.0]])
    np.testing.assert_allclose(slope, [[1.0, (drawn[0] - 5.0) / 2.0]], rtol=1e-5)


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
            "covariance must be one of 'spherical', 'diagonal', 'full'; received 'diag'",
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
