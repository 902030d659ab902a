import math

import numpy as np
import pytest
from keras import ops
from scipy import linalg, stats
from scipy.special import softmax

import mixtura as mx


def draw_params(family, rows=3):
    """Parameters that float32 holds exactly."""
    drawn = np.random.default_rng(family.params_size).normal(size=(rows, family.params_size))
    return drawn.astype("float32").astype(float)


# The latents of World Models, and copies of two dimensions.
MIXTURE = mx.Mixture(mx.Normal(1), 5)
LATENT = mx.Independent(MIXTURE, 64)
LATENTS = draw_params(LATENT)
Z = 2 * np.random.default_rng(0).normal(size=(3, 64)).astype("float32").astype(float)

PAIR = mx.Normal(2, "full")
PAIRS = mx.Independent(PAIR, 3)
PARAMS = draw_params(PAIRS)
Y = np.random.default_rng(1).normal(size=(3, 6)).astype("float32").astype(float)


@pytest.fixture
def components(scale_by_hand):
    """The latents' weights, means and scales, `(3, 64, 5)`."""
    logits, means, activations = np.split(LATENTS.reshape(3, 64, 15), 3, axis=-1)
    return softmax(logits, axis=-1), means, scale_by_hand(activations)


@pytest.fixture
def pairs(normal_by_hand):
    """For each row of `PARAMS` the mean and the covariance of all six dimensions."""
    rows = [[normal_by_hand(copy, 2, "full") for copy in row.reshape(3, 5)] for row in PARAMS]
    return [(np.concatenate([m for m, _ in row]), linalg.block_diag(*(c for _, c in row))) for row in rows]


# The layout.


def test_each_copy_reads_its_own_stretch_of_the_parameters(components):
    """World Models' (64, 15): logits, means and scale activations of one latent after another."""
    assert (LATENT.event_size, LATENT.params_size, LATENT.is_continuous) == (64, 960, True)
    assert not mx.Independent(mx.Bernoulli(), 2).is_continuous
    weights, means, scales = components
    p = LATENT(LATENTS)
    np.testing.assert_allclose(p.weights, weights, rtol=1e-12)
    np.testing.assert_array_equal(p.means, means[..., None])
    np.testing.assert_allclose(p.scales, scales[..., None], rtol=1e-12)
    np.testing.assert_allclose(p.covariances, scales[..., None, None] ** 2, rtol=1e-12)


def test_one_copy_is_the_family(assert_same_answers):
    for family in (MIXTURE, mx.Bernoulli(), mx.LogNormal(1)):
        params = draw_params(family)
        one, plain = mx.Independent(family, 1)(params), family(params)
        assert_same_answers(one, plain)
        np.testing.assert_array_equal(one.sample(5, seed=0), plain.sample(5, seed=0))


# Densities and moments.


def test_log_prob_is_the_sum_of_the_copies(components):
    weights, means, scales = components
    density = np.sum(weights * stats.norm(means, scales).pdf(Z[..., None]), axis=-1)
    np.testing.assert_allclose(LATENT(LATENTS).log_prob(Z), np.log(density).sum(axis=-1), rtol=1e-12)


def test_log_prob_of_an_interval_is_the_sum_of_the_copies(components):
    """The first latent is known, the second may be anything, the rest lie in boxes."""
    weights, means, scales = components
    truth = stats.norm(means, scales)
    lower, upper = Z - 0.5, Z + 1.0
    lower[:, 0] = upper[:, 0] = Z[:, 0]
    lower[:, 1], upper[:, 1] = -math.inf, math.inf
    share = truth.cdf(upper[..., None]) - truth.cdf(lower[..., None])
    share[:, 0] = truth.pdf(Z[..., None])[:, 0]
    expected = np.log(np.sum(weights * share, axis=-1)).sum(axis=-1)
    np.testing.assert_allclose(LATENT(LATENTS).log_prob(lower=lower, upper=upper), expected, rtol=1e-11)


def test_copies_of_several_dimensions_are_a_normal_with_a_block_diagonal_covariance(pairs):
    p = PAIRS(PARAMS)
    for row, (mean, covariance) in enumerate(pairs):
        truth = stats.multivariate_normal(mean, covariance)
        np.testing.assert_allclose(p.log_prob(Y)[row], truth.logpdf(Y[row]), rtol=1e-10)
        np.testing.assert_allclose(p[row].log_prob(Y), truth.logpdf(Y), rtol=1e-10)  # one row, many events
        np.testing.assert_allclose(p.entropy()[row], truth.entropy(), rtol=1e-12)
        np.testing.assert_array_equal(p.mean()[row], mean)
        np.testing.assert_array_equal(p.mode()[row], mean)
        np.testing.assert_allclose(p.variance()[row], np.diag(covariance), rtol=1e-12)
        np.testing.assert_allclose(p.covariance()[row], covariance, rtol=1e-12, atol=1e-15)


def test_moments_of_mixtures_are_each_copys(components):
    weights, means, scales = components
    p = LATENT(LATENTS)
    mean = np.sum(weights * means, axis=-1)
    variance = np.sum(weights * (scales**2 + means**2), axis=-1) - mean**2
    np.testing.assert_allclose(p.mean(), mean, rtol=1e-11)
    np.testing.assert_allclose(p.variance(), variance, rtol=1e-11)
    np.testing.assert_allclose(p.covariance(), variance[..., None] * np.eye(64), rtol=1e-11)
    y = np.linspace(-30, 30, 6001)[:, None, None]
    density = np.sum(weights[0] * stats.norm(means[0], scales[0]).pdf(y), axis=-1)
    surprise = -np.sum(density * np.log(np.maximum(density, 1e-300)), axis=0) * 0.01
    assert p[0].entropy() == pytest.approx(surprise.sum(), rel=1e-6)


def test_tensors_give_the_arrays_numbers_in_float32(on_tensors):
    of_mixtures = ("mean", "variance", "covariance", "weights", "means", "scales", "covariances")
    of_normals = ("mean", "variance", "covariance", "entropy")
    box = {"lower": Z - 0.5, "upper": Z + 1.0}

    def everything(latents, z, params, y):
        bounds = box if isinstance(z, np.ndarray) else {key: ops.cast(b, z.dtype) for key, b in box.items()}
        return [
            LATENT.log_prob(latents, z),
            LATENT.log_prob(latents, **bounds),
            *(getattr(LATENT, method)(latents) for method in of_mixtures),
            PAIRS.log_prob(params, y),
            *(getattr(PAIRS, method)(params) for method in of_normals),
        ]

    given = (LATENTS, Z, PARAMS, Y)
    for actual, expected in zip(on_tensors(everything, *given), everything(*given), strict=True):
        assert actual == pytest.approx(expected, rel=2e-5, abs=2e-5)


# Some of the copies.


def test_a_marginal_of_one_dimension_is_a_copy():
    for dim in (0, 7, np.int64(63)):
        copy = LATENT(LATENTS).marginal(dim)
        assert copy.family == MIXTURE
        np.testing.assert_array_equal(copy.params, LATENTS.reshape(3, 64, 15)[:, dim])


def test_a_marginal_of_several_dimensions_keeps_their_order():
    some = LATENT(LATENTS).marginal([5, 0, 63])
    assert some.family == mx.Independent(MIXTURE, 3)
    each = [MIXTURE(LATENTS.reshape(3, 64, 15)[:, dim]) for dim in (5, 0, 63)]
    np.testing.assert_array_equal(some.mean(), np.concatenate([copy.mean() for copy in each], axis=-1))
    expected = sum(copy.log_prob(Z[:, [d]]) for d, copy in enumerate(each))
    np.testing.assert_allclose(some.log_prob(Z[:, :3]), expected, rtol=1e-12)


@pytest.mark.parametrize("dims", [4, [1], [4, 5], [3, 2]], ids=str)
def test_a_marginal_within_a_copy_is_its_block(dims, pairs):
    marginal = PAIRS(PARAMS).marginal(dims)
    listed = np.atleast_1d(dims)
    for row, (mean, covariance) in enumerate(pairs):
        np.testing.assert_allclose(marginal.mean()[row], mean[listed], rtol=1e-12)
        block = covariance[np.ix_(listed, listed)]
        np.testing.assert_allclose(marginal.covariance()[row], block, rtol=1e-11, atol=1e-14)


def test_a_whole_copy_is_its_family_even_where_that_has_no_marginals():
    p = mx.Independent(mx.Categorical(3), 2)([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    copy = p.marginal([3, 4, 5])
    assert copy.family == mx.Categorical(3)
    np.testing.assert_array_equal(copy.params, [3, 4, 5])
    with pytest.raises(NotImplementedError, match=r"Categorical\(3\) has no marginal"):
        p.marginal([3, 4])


def test_dimensions_of_two_copies_are_refused():
    with pytest.raises(NotImplementedError, match=r"dims must lie within one copy of Normal.*\[1, 2\]"):
        PAIRS(PARAMS).marginal([1, 2])


def test_values_of_some_copies_say_nothing_about_the_others():
    p = mx.Independent(MIXTURE, 3)(LATENTS[:, :45])
    rest = p.condition([2, 0], Z[:, :2])
    assert rest.family == MIXTURE
    np.testing.assert_array_equal(rest.params, LATENTS[:, 15:30])
    assert p.condition(1, 0.0).family == mx.Independent(MIXTURE, 2)
    with pytest.raises(ValueError, match="values must have 2 on the last axis"):
        p.condition([0, 2], [0.0])


# What copies cannot do.


def test_a_copy_of_several_dimensions_is_conditioned_by_way_of_its_marginal():
    with pytest.raises(NotImplementedError, match="has no condition; use marginal, and condition on that"):
        PAIRS(PARAMS).condition(0, 0.0)


@pytest.mark.parametrize("method", ["cdf", "sf", "quantile", "isf", "interval"])
def test_tails_are_asked_of_one_dimension(method):
    argument = Z if method in ("cdf", "sf") else 0.5
    with pytest.raises(NotImplementedError, match=r"one-dimensional event.*size 64: ask marginal\(dim\)"):
        getattr(LATENT(LATENTS), method)(argument)


# Samples.


def test_samples_are_the_copies_drawn_independently(draw, assert_follow):
    """Three copies of two far components: were the choice shared, the copies would be correlated."""
    family, n = mx.Independent(mx.Mixture(mx.Normal(1), 2), 3), 20_000
    params = [0.0, 0.5, -4.0, 3.0, 0.0, 1.0] * 2 + [1.0, 0.0, 5.0, -5.0, 0.5, 2.0]
    x, again, other = draw(family, params, {"seed": 1}, {"seed": 1}, {"seed": 2}, n=n)
    assert x.shape == (n, 3)
    for copy, (a, b, *rest) in enumerate(np.reshape(params, (3, 6))):
        weights, means, scales = softmax([a, b]), np.array(rest[:2]), 1 + np.array(rest[2:])
        truth = stats.norm(means, scales)
        assert_follow(x[:, copy], lambda x, truth=truth, w=weights: truth.cdf(x[:, None]) @ w)
    np.testing.assert_array_equal(x, again)
    assert (x != other).all()
    for values in (x, np.square(x)):
        correlations = np.corrcoef(values, rowvar=False)[np.triu_indices(3, 1)]
        assert (np.abs(correlations) < 5 / math.sqrt(n)).all()


def test_samples_of_copies_of_several_dimensions_keep_the_pairs_together(draw, pairs):
    mean, covariance = pairs[0]
    n = 20_000
    x = draw(PAIRS, PARAMS[0], n=n)
    white = np.linalg.solve(np.linalg.cholesky(covariance), (x - mean).T)
    for row in white:
        assert stats.kstest(row, stats.norm.cdf).pvalue > 1e-4
    assert (np.abs(np.corrcoef(white)[np.triu_indices(6, 1)]) < 5 / math.sqrt(n)).all()


def test_samples_of_a_batch_have_its_shape(compiled):
    assert LATENT(LATENTS).sample(5, seed=0).shape == (5, 3, 64)
    assert compiled(lambda params: LATENT.sample(params, seed=0), LATENTS).shape == (3, 64)


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True, None])
def test_the_number_of_copies_is_checked(repeats):
    with pytest.raises(ValueError, match=f"repeats must be a positive integer; received {repeats}"):
        mx.Independent(mx.Normal(1), repeats)


@pytest.mark.parametrize("family", ["normal", mx.Normal, None])
def test_only_families_have_copies(family):
    with pytest.raises(TypeError, match=r"family must be a mixtura family, such as Normal\(1\); received"):
        mx.Independent(family, 2)
