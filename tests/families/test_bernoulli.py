import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_expit, logsumexp

import mixtura as mx

LOGITS = [-1e4, -800.0, -30.0, -1.0, 0.0, 0.5, 30.0, 800.0, 1e4]


def test_log_prob_is_exact_at_every_logit(assert_exact, mp):
    params, y = np.array(list(itertools.product(LOGITS, [0.0, 1.0]))).T[..., None]
    signs = (1 - 2 * y) * params  # of the event that did not happen
    truth = [float(-mp.log1p(mp.exp(mp.mpf(a)))) for a in signs[:, 0]]
    assert_exact(mx.Bernoulli().log_prob, params, y, truth=np.array(truth))
    p = mx.Bernoulli()(params)
    np.testing.assert_allclose(p.log_prob(y), truth, rtol=1e-14)  # the smallest are 1e-13


def test_log_prob_sums_over_events_and_takes_soft_labels(assert_exact):
    params, y = np.array([0.5, -2.0, 0.0]), np.array([1.0, 0.25, 0.0])
    chance = expit(params)
    truth = np.sum(y * np.log(chance) + (1 - y) * np.log(1 - chance))
    assert_exact(mx.Bernoulli(3).log_prob, params, y, truth=truth)
    total = sum(np.exp(mx.Bernoulli(3)(params).log_prob(y)) for y in itertools.product([0, 1], repeat=3))
    assert total == pytest.approx(1, rel=1e-14)


def test_slopes_of_log_prob_are_those_of_the_cross_entropy(slopes):
    params, y = np.array(list(itertools.product(LOGITS, [0.0, 0.25, 1.0]))).T[..., None]
    for dtype in ("float32", "float64"):
        slope = slopes(mx.Bernoulli().log_prob, params, y, dtype=dtype)
        np.testing.assert_allclose(slope, y - expit(params), rtol=1e-6, atol=1e-7)


def test_values_and_gradients_are_finite_in_sixty_four_dimensions(assert_finite, tensor):
    rng = np.random.default_rng(0)
    y = tensor(rng.choice([0.0, 1.0], size=(20, 64)))
    assert_finite(lambda params: mx.Bernoulli(64).log_prob(params, y), rng.choice(LOGITS, size=(20, 64)))


# Intervals.

ENDS = [-math.inf, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf]
BOXES = np.array([(low, high) for low, high in itertools.product(ENDS, ENDS) if low < high])


def test_log_prob_of_an_interval_is_that_of_what_it_holds(on_tensors):
    low, high = BOXES.T[..., None, None]
    params = np.array([[-30.0], [0.0], [0.5]])
    held = (low[..., 0] < [0, 1]) & (np.array([0, 1]) <= high[..., 0])
    log_chances = np.stack([log_expit(-params[:, 0]), log_expit(params[:, 0])], axis=-1)
    truth = logsumexp(np.where(held[:, None], log_chances, -np.inf), axis=-1)

    def log_prob(params, low, high):
        return mx.Bernoulli().log_prob(params, lower=low, upper=high)

    np.testing.assert_allclose(log_prob(params, low, high), truth, rtol=1e-14, atol=1e-16)
    for dtype in ("float32", "float64"):
        actual = on_tensors(log_prob, params, low, high, dtype=dtype)
        np.testing.assert_allclose(np.where(actual < -1e29, -np.inf, actual), truth, rtol=1e-6)


def test_values_and_gradients_of_intervals_are_finite_and_exact(gradient, tensor):
    table = np.array(
        [(a, *box) for a, box in itertools.product(LOGITS, [*BOXES, (0, 0), (1, 1), (-np.inf,) * 2])]
    )
    lower, upper = tensor(table[:, 1:2]), tensor(table[:, 2:])
    value, slope = gradient(
        lambda params: mx.Bernoulli().log_prob(params, lower=lower, upper=upper), table[:, :1]
    )
    assert np.isfinite(value).all()
    logit, low, high = table.T
    none, one = (((low < y) & (y <= high)) | ((low == y) & (y == high)) for y in (0, 1))
    truth = np.where(none & one, 0, one * expit(-logit) - none * expit(logit))
    np.testing.assert_allclose(slope[:, 0], truth, rtol=1e-6, atol=1e-7)


def test_equal_bounds_are_an_event_and_dimensions_mix():
    p = mx.Bernoulli(3)([0.5, -2.0, 0.0])
    truth = mx.Bernoulli()([[0.5], [-2.0]]).log_prob([[1.0], [0.0]]).sum()
    assert p.log_prob(lower=[1, -1, -1], upper=[1, 0.5, 1]) == pytest.approx(truth, rel=1e-14)
    assert p.log_prob(lower=[1, 0, 0], upper=[1, 0.5, 1]) == -math.inf


# Tails.


def test_tails_and_their_inverses_are_scipys(assert_exact):
    params, y = np.array([[-2.0], [0.0], [0.5]]), np.array([-0.5, 0.0, 0.5, 1.0, 1.5])[:, None, None]
    p, truth = mx.Bernoulli()(params), stats.bernoulli(expit(params[:, 0]))
    for method in ("cdf", "sf"):
        f = getattr(mx.Bernoulli(), method)
        assert_exact(f, params, y, truth=getattr(truth, method)(y[..., 0]))
    q = np.array([1e-300, 0.1, 0.3, 0.5, 0.6, 0.9, 1 - 1e-9])[:, None]
    np.testing.assert_array_equal(p.quantile(q)[..., 0], truth.ppf(q))
    np.testing.assert_array_equal(p.isf(q)[..., 0], truth.isf(q))


def test_small_tails_keep_their_digits():
    assert mx.Bernoulli()([700.0]).cdf(0.0) == pytest.approx(math.exp(-700), rel=1e-12)
    assert mx.Bernoulli()([-700.0]).sf(0.0) == pytest.approx(math.exp(-700), rel=1e-12)
    assert mx.Bernoulli()([700.0]).quantile([1e-300, 1e-310])[1] == 0
    assert mx.Bernoulli()([-700.0]).isf(1e-310) == 1


# Moments.


def test_moments_are_scipys(assert_exact):
    params = np.array([[-30.0, -1.0], [0.0, 0.5], [30.0, 2.0]])
    p, truth = mx.Bernoulli(2)(params), stats.bernoulli(expit(params))
    np.testing.assert_allclose(p.mean(), truth.mean(), rtol=1e-14)
    np.testing.assert_allclose(p.variance(), expit(params) * expit(-params), rtol=1e-13)
    np.testing.assert_allclose(p.covariance(), p.variance()[..., None] * np.eye(2), rtol=1e-14)
    np.testing.assert_allclose(p.entropy(), truth.entropy().sum(axis=-1), rtol=1e-11)
    np.testing.assert_array_equal(p.mode(), [[0, 0], [0, 1], [1, 1]])
    assert_exact(mx.Bernoulli(2).entropy, params, truth=truth.entropy().sum(axis=-1))


def test_entropy_is_zero_where_nothing_is_uncertain():
    np.testing.assert_array_equal(mx.Bernoulli()([[-1e4], [1e4]]).entropy(), 0)


# Samples.


def p_value(samples, chance):
    return stats.binomtest(int(samples.sum()), len(samples), chance).pvalue


def test_samples_follow_the_distribution(draw):
    drawn = draw(mx.Bernoulli(3), [0.0, -2.0, 1e4])
    assert set(np.unique(drawn)) == {0, 1}
    assert (drawn[:, 2] == 1).all()
    for samples, chance in zip(drawn.T[:2], expit([0.0, -2.0]), strict=True):
        assert p_value(samples, chance) > 1e-4
    for wrong in (1.02, 1 / 1.02):
        assert p_value(drawn[:, 0], 0.5 * wrong) < 1e-4
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 5 / math.sqrt(len(drawn))


def test_temperatures_divide_the_logits_and_zero_takes_the_likelier_value(draw):
    params = [0.5, -0.001, 0.0]
    cold, coldest, again, other = draw(
        mx.Bernoulli(3),
        params,
        {"sampler": mx.Sampler(discrete=0.5)},
        *({"seed": seed, "sampler": mx.Sampler(discrete=0)} for seed in (1, 1, 2)),
        n=20_000,
    )
    assert p_value(cold[:, 0], expit(1.0)) > 1e-4
    np.testing.assert_array_equal(coldest[:, :2], np.tile([1, 0], (len(coldest), 1)))
    assert p_value(coldest[:, 2], 0.5) > 1e-4  # a tie
    np.testing.assert_array_equal(coldest, again)
    assert (coldest[:, 2] != other[:, 2]).any()


@pytest.mark.parametrize("event_size", [0, -1, 1.5, True, None])
def test_bad_arguments_are_named(event_size):
    with pytest.raises(ValueError, match=f"event_size must be a positive integer; received {event_size}"):
        mx.Bernoulli(event_size)
