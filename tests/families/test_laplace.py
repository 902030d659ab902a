import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

import mixtura as mx


def rows(count, size, seed=0):
    """Parameters and events that float32 holds exactly."""
    rng = np.random.default_rng([seed, size])
    params, y = rng.normal(size=(count, 2 * size)), 2 * rng.normal(size=(count, size))
    return params.astype("float32").astype(float), y.astype("float32").astype(float)


def test_log_prob_is_scipys(every_option, scale_by_hand, assert_exact):
    families = [mx.Laplace(3, **options) for options in every_option]
    params, y = rows(30, 3)
    truth = [
        stats.laplace(params[:, :3], scale_by_hand(params[:, 3:], **options)).logpdf(y).sum(axis=-1)
        for options in every_option
    ]
    assert_exact(lambda params, y: [f.log_prob(params, y) for f in families], params, y, truth=truth)


def test_slopes_of_log_prob_are_exact(every_option, assert_slopes):
    families = [mx.Laplace(2, **options) for options in every_option]
    params, y = rows(5, 2)
    assert_slopes(lambda params, y: sum(f.log_prob(params, y) for f in families), params, y)


def test_density_integrates_to_one_and_to_the_cdf():
    p = mx.Laplace()([0.5, -1.0])
    for y in (-1.0, 0.5, 2.0, 40.0):
        mass, _ = integrate.quad(lambda y: math.exp(p.log_prob(y)), -40, y, points=[0.5], epsabs=1e-12)
        assert p.cdf(y) == pytest.approx(mass, abs=1e-9)
    assert p.cdf(40.0) == pytest.approx(1, abs=1e-12)


# Intervals.


def test_log_prob_of_an_interval_is_exact(intervals, exact_scale, assert_exact, mp):
    shift, low, high = (intervals * 2.0).astype("float32").astype(float).T
    activations = np.array([1.0, -3.0, 5.0]).repeat(len(shift))  # scales of 2, 0.05 and 6
    shift, low, high = (np.tile(column, 3) for column in (shift, low, high))

    def mass(below, above):
        if below > 0:
            below, above = -above, -below
        if above <= 0:
            return (mp.exp(above) - mp.exp(below)) / 2
        return 1 - (mp.exp(-above) + mp.exp(below)) / 2

    truth = []
    for location, activation, a, b in zip(-shift, activations, low, high, strict=True):
        scale = exact_scale(activation)
        truth.append(float(mp.log(mass((mp.mpf(a) - location) / scale, (mp.mpf(b) - location) / scale))))
    assert_exact(
        lambda params, low, high: mx.Laplace().log_prob(params, lower=low, upper=high),
        np.stack([-shift, activations], axis=-1),
        low[:, None],
        high[:, None],
        truth=np.array(truth),
    )


def test_values_and_gradients_of_intervals_are_finite(intervals, assert_finite, tensor):
    activations = np.array([-1e4, -13.8, 0.0, 1e6, 1e4])
    table = np.array([(-s, a, lo, hi) for (s, lo, hi), a in itertools.product(intervals, activations)])
    lower, upper = tensor(table[:, 2:3]), tensor(table[:, 3:])
    assert_finite(lambda params: mx.Laplace().log_prob(params, lower=lower, upper=upper), table[:, :2])


def test_slopes_of_intervals_are_exact(assert_slopes):
    params = np.array([[0.0, 0.3], [0.5, -0.5], [-3.0, 1.0], [4.0, 0.5], [0.1, 0.2], [0.4, 0.2]])
    lower = np.array([[-1.0], [-np.inf], [0.0], [0.0], [-2.0], [0.3]])
    upper = np.array([[1.5], [1.0], [np.inf], [0.5], [3.0], [0.3]])
    assert_slopes(
        lambda params, lower, upper: mx.Laplace().log_prob(params, lower=lower, upper=upper),
        params,
        lower,
        upper,
    )


def test_an_interval_of_no_length_is_an_event_and_dimensions_mix(assert_dimensions_mix):
    family = mx.Laplace(3)
    params, y = rows(4, 3)
    lower, upper = y + np.array([0, -1, -np.inf]), y + np.array([0, 0.5, 0])
    assert_dimensions_mix(family, mx.Laplace(), params, lower, upper)


# Extremes.


def test_values_and_gradients_are_finite_at_extremes(assert_finite, tensor):
    families = [mx.Laplace(scale=scale) for scale in ("elu", "softplus", "exp")]
    # Activations of -13.8 and 1e6 are scales of 1e-6 and 1e6.
    table = np.array(
        list(itertools.product([-1e4, 0, 1e4], [-1e4, -13.8, 0, 13.8, 1e4, 1e6], [-1e4, 0, 1e4]))
    )
    y = tensor(table[:, 2:])
    assert_finite(lambda params: sum(f.log_prob(params, y) for f in families), table[:, :2])


def test_values_and_gradients_are_finite_in_sixty_four_dimensions(assert_finite, tensor):
    table = np.random.default_rng(0).choice([-1e4, -1.0, 0.0, 1.0, 1e4], size=(50, 192))
    y = tensor(table[:, :64])
    assert_finite(lambda params: mx.Laplace(64).log_prob(params, y), table[:, 64:])


def test_targets_ten_thousand_scales_away_still_pull(gradient, tensor):
    y = tensor([[1e4, -1e4]])
    value, slope = gradient(lambda params: mx.Laplace(2).log_prob(params, y), np.zeros((1, 4)))
    assert value == pytest.approx(-2e4 - 2 * math.log(2), rel=1e-6)
    np.testing.assert_allclose(slope, [[1, -1, 1e4 - 1, 1e4 - 1]], rtol=1e-5)


# Tails.

LEVELS = np.array([0, 1e-300, 1e-9, 0.025, 0.5, 0.8, 0.975, 1 - 1e-9, 1])


@pytest.mark.parametrize(("location", "activation"), [(0.0, 0.0), (-3.0, 2.0), (100.0, -4.0)])
def test_tails_and_their_inverses_are_scipys(location, activation, scale_by_hand):
    p = mx.Laplace()([location, activation])
    truth = stats.laplace(location, scale_by_hand(activation))
    y = truth.mean() + truth.std() * np.array([-480, -20, -1, 0, 0.3, 5, 480])
    np.testing.assert_allclose(p.cdf(y[:, None]), truth.cdf(y), rtol=1e-11)
    np.testing.assert_allclose(p.sf(y[:, None]), truth.sf(y), rtol=1e-11)
    assert p.cdf(y[0]) == p.sf(y[-1]) > 0  # 1e-295
    np.testing.assert_allclose(p.quantile(LEVELS)[..., 0], truth.ppf(LEVELS), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(p.isf(LEVELS)[..., 0], truth.isf(LEVELS), rtol=1e-12, atol=1e-14)
    seen = truth.mean() + truth.std() * np.linspace(-8, 8, 33)
    np.testing.assert_allclose(p.quantile(p.cdf(seen[:, None]))[:, 0], seen, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(p.isf(p.sf(seen[:, None]))[:, 0], seen, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(np.ravel(p.interval(0.9)), truth.interval(0.9), rtol=1e-12)


def test_tails_on_tensors(assert_exact):
    params, y = np.array([0.5, 1.0]), np.array([[-20.0], [-2.0], [0.5], [3.0], [40.0]])
    truth = stats.laplace(0.5, 2.0)
    for method in ("cdf", "sf"):
        assert_exact(getattr(mx.Laplace(), method), params, y, truth=getattr(truth, method)(y[:, 0]))


# Moments.


def test_moments_are_scipys(scale_by_hand, assert_exact):
    family = mx.Laplace(2, "softplus", 0.1)
    params, _ = rows(5, 2)
    truth = stats.laplace(params[:, :2], scale_by_hand(params[:, 2:], "softplus", 0.1))
    p = family(params)
    np.testing.assert_array_equal(p.mean(), truth.mean())
    np.testing.assert_array_equal(p.mode(), truth.mean())
    np.testing.assert_allclose(p.variance(), truth.var(), rtol=1e-12)
    np.testing.assert_allclose(p.covariance(), truth.var()[..., None] * np.eye(2), rtol=1e-12)
    np.testing.assert_allclose(p.entropy(), truth.entropy().sum(axis=-1), rtol=1e-12)
    assert_exact(family.variance, params, truth=truth.var())


def test_dimensions_are_picked_and_say_nothing_about_each_other():
    params, y = rows(3, 3)
    p = mx.Laplace(3, "exp", 0.1)(params)
    one = p.marginal([2, 0])
    np.testing.assert_array_equal(one.mean(), p.mean()[:, [2, 0]])
    np.testing.assert_array_equal(one.variance(), p.variance()[:, [2, 0]])
    np.testing.assert_array_equal(p.condition(1, y[:, 1:2]).variance(), p.variance()[:, [0, 2]])


# Samples.


def test_samples_follow_the_distribution(draw, assert_follow):
    p = mx.Laplace(min_scale=0.5)
    x = draw(p, [5.0, 0.5])
    assert_follow(
        x, *(lambda x, s=s: stats.laplace(5, s).cdf(x[:, 0]) for s in (2.0, 2.0 * 1.02, 2.0 / 1.02))
    )


def test_the_seed_decides_the_draws_and_the_sampler_scales_the_noise(draw):
    params = [5.0, -3.0, 0.5, 1.0]
    first, again, other, half, none = draw(
        mx.Laplace(2),
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
    family = mx.Laplace(scale="softplus", min_scale=0.1)
    params = np.array([[5.0, 1.0], [0.0, 0.0], [-1.0, -2.0]])
    assert_slopes(lambda params: family.sample(params, seed=3)[..., 0], params, tensors=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_size": 0}, "event_size must be a positive integer; received 0"),
        ({"event_size": 1.5}, "event_size must be a positive integer; received 1.5"),
        ({"scale": "relu"}, "scale must be one of 'elu', 'softplus', 'exp'; received 'relu'"),
        ({"min_scale": -1}, "min_scale must be a finite number, 0 or more; received -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        mx.Laplace(**arguments)
