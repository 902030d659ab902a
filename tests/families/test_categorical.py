import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

import mixtura as mx

LOGITS = np.array(list(itertools.product([-1e4, 0.0, 1.5, 1e4], repeat=3)))
CLASSES = np.eye(3)


def test_log_prob_is_exact_at_every_logit(assert_exact, mp):
    truth = np.empty((len(LOGITS), 3))
    for row, logits in enumerate(LOGITS):
        total = mp.log(mp.fsum(mp.exp(mp.mpf(a)) for a in logits))
        truth[row] = [float(mp.mpf(a) - total) for a in logits]
    assert_exact(mx.Categorical(3).log_prob, LOGITS[:, None], CLASSES, truth=truth)


def test_log_prob_takes_soft_labels():
    y = [0.25, 0.75, 0.0]
    logits = [0.5, -1.0, 2.0]
    truth = np.dot(y, np.log(softmax(logits)))
    assert mx.Categorical(3)(logits).log_prob(y) == pytest.approx(truth, rel=1e-13)


def test_slopes_of_log_prob_are_those_of_the_cross_entropy(slopes):
    params, y = np.repeat(LOGITS, 3, axis=0), np.tile(CLASSES, (len(LOGITS), 1))
    for dtype in ("float32", "float64"):
        slope = slopes(mx.Categorical(3).log_prob, params, y, dtype=dtype)
        np.testing.assert_allclose(slope, y - softmax(params, axis=-1), rtol=1e-6, atol=1e-6)


def test_a_logit_of_minus_infinity_makes_a_class_impossible(gradient, tensor):
    p = mx.Categorical(3)([-math.inf, 0.0, 0.0])
    np.testing.assert_allclose(p.log_prob(CLASSES), [-math.inf, -math.log(2), -math.log(2)], rtol=1e-14)
    assert p.entropy() == pytest.approx(math.log(2))
    value, slope = gradient(
        lambda params: mx.Categorical(3).log_prob(params, tensor(CLASSES)), np.tile([-np.inf, 0, 0], (3, 1))
    )
    np.testing.assert_allclose(value, [np.float32(-1e30), -math.log(2), -math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(slope[1:], [[0, 0.5, -0.5], [0, -0.5, 0.5]], atol=1e-6)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("count", [1, 64])
def test_values_and_gradients_are_finite_for_one_class_and_many(count, assert_finite, tensor):
    rng = np.random.default_rng(0)
    y = tensor(np.eye(count)[rng.integers(count, size=20)])
    params = rng.choice([-1e4, 0.0, 1e4], size=(20, count))
    assert_finite(lambda params: mx.Categorical(count).log_prob(params, y), params)
    assert mx.Categorical(1)([3.0]).log_prob([1.0]) == 0


# Boxes.

BOXES = np.array(
    [
        # lower and upper, for three classes
        [[-math.inf] * 3, [math.inf] * 3],
        [[-1, -1, -1], [1, 1, 1]],
        [[-1, -1, -1], [0.5, 1, 1]],
        [[-1, -1, 0.5], [math.inf, 1, 1]],
        [[-1, 0, -1], [1, 1, 1]],
        [[0, -1, -1], [0, 1, 1]],
        [[0, -1, -1], [0, 0.5, 1]],
        [[1, -1, -1], [1, 1, 1]],
        [[1, 0, 0], [1, 0, 0]],
        [[-1, -1, -1], [0, 0, 0]],
        [[0.5, 0.5, -1], [1, 1, 1]],
    ]
)


def test_log_prob_of_a_box_is_that_of_the_classes_in_it(on_tensors, gradient, tensor):
    params = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]])
    held = np.array(
        [
            [
                all(a < y <= b or a == y == b for a, y, b in zip(lower, one, upper, strict=True))
                for one in CLASSES
            ]
            for lower, upper in BOXES
        ]
    )
    with np.errstate(divide="ignore"):
        truth = np.log((held[:, None] * softmax(params, axis=-1)).sum(axis=-1))
    lower, upper = np.moveaxis(BOXES, 1, 0)[:, :, None]

    def log_prob(params, lower, upper):
        return mx.Categorical(3).log_prob(params, lower=lower, upper=upper)

    np.testing.assert_allclose(log_prob(params, lower, upper), truth, rtol=1e-14, atol=1e-15)
    for dtype in ("float32", "float64"):
        actual = on_tensors(log_prob, params, lower, upper, dtype=dtype)
        np.testing.assert_allclose(np.where(actual < -1e29, -np.inf, actual), truth, rtol=1e-6, atol=1e-7)
    value, slope = gradient(
        lambda params: log_prob(params, tensor(lower), tensor(upper)),
        np.tile(LOGITS[:, None, None], (len(BOXES), 1, 1)),
    )
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


# Moments.


def test_moments_are_scipys(assert_exact):
    params = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [-30.0, 1.0, 3.0]])
    family, chances = mx.Categorical(3), softmax(params, axis=-1)
    p = family(params)
    covariance = np.array([stats.multinomial(1, chance).cov() for chance in chances])
    np.testing.assert_allclose(p.mean(), chances, rtol=1e-13)
    np.testing.assert_allclose(p.variance(), chances * (1 - chances), rtol=1e-13)
    np.testing.assert_allclose(p.covariance(), covariance, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(p.entropy(), stats.entropy(chances, axis=-1), rtol=1e-13)
    np.testing.assert_array_equal(p.mode()[[0, 2]], [[0, 0, 1]] * 2)
    assert p.mode()[1].sum() == 1
    assert_exact(family.covariance, params, truth=covariance)
    assert_exact(family.entropy, params, truth=stats.entropy(chances, axis=-1))


# Samples.


def p_value(samples, chances):
    return stats.chisquare(samples.sum(axis=0), len(samples) * np.asarray(chances)).pvalue


def test_samples_follow_the_distribution(draw):
    chances = np.array([0.5, 0.3, 0.15, 0.05])
    drawn = draw(mx.Categorical(4), np.log(chances))
    np.testing.assert_array_equal(np.sort(drawn, axis=-1), np.tile([0, 0, 0, 1], (len(drawn), 1)))
    assert p_value(drawn, chances) > 1e-4
    for wrong in (0.51, 0.49):
        assert p_value(drawn, [wrong, 0.8 - wrong, 0.15, 0.05]) < 1e-4


def test_impossible_classes_are_never_drawn(draw):
    drawn = draw(mx.Categorical(4), [-1e4, 0.0, 0.0, -1e4])
    np.testing.assert_array_equal(drawn[:, [0, 3]], 0)


def test_temperatures_divide_the_logits_and_zero_takes_the_likeliest_class(draw):
    cold, coldest, again, other = draw(
        mx.Categorical(4),
        [0.0, 1.0, 1.0, 0.999],
        {"sampler": mx.Sampler(discrete=0.5)},
        *({"seed": seed, "sampler": mx.Sampler(discrete=0)} for seed in (1, 1, 2)),
        n=20_000,
    )
    assert p_value(cold, softmax(np.array([0.0, 1.0, 1.0, 0.999]) / 0.5)) > 1e-4
    np.testing.assert_array_equal(coldest[:, [0, 3]], 0)
    assert p_value(coldest[:, 1:3], [0.5, 0.5]) > 1e-4  # a tie
    np.testing.assert_array_equal(coldest, again)
    assert (coldest != other).any()


def test_one_class_is_always_drawn(draw):
    np.testing.assert_array_equal(draw(mx.Categorical(1), [3.0], n=10), 1)


@pytest.mark.parametrize("method", ["cdf", "sf", "quantile", "isf"])
def test_tails_do_not_exist(method):
    with pytest.raises(NotImplementedError, match=f"{method} needs a one-dimensional event.*ask mean"):
        getattr(mx.Categorical(3)([0.0] * 3), method)([0.5, 0.5, 0.5])


@pytest.mark.parametrize("count", [0, -1, 1.5, True, None])
def test_bad_arguments_are_named(count):
    with pytest.raises(ValueError, match=f"num_classes must be a positive integer; received {count}"):
        mx.Categorical(count)
