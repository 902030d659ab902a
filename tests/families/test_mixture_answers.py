"""Entropies, marginals, tails and samples of mixtures."""

import math
import tracemalloc

import keras
import numpy as np
import pytest
from keras import ops
from scipy import integrate, stats

import mixtura as mx
from mixtura.families.mixture import ENTROPY_SAMPLES

# Three well-spread components in one dimension: the logits, means and scale activations, row by row.
THREE = [0.5, -0.5, 1.0, -4.0, 0.0, 3.0, 0.0, -1.0, 1.5]
WEIGHTS = np.exp([0.5, -0.5, 1.0]) / np.exp([0.5, -0.5, 1.0]).sum()
LOCATIONS, SCALES = [-4, 0, 3], [1, math.exp(-1), 2.5]
PARTS = [stats.norm(*part) for part in zip(LOCATIONS, SCALES, strict=True)]


def three(method, y):
    """The mixture's pdf, cdf or sf by SciPy."""
    return sum(w * getattr(part, method)(y) for w, part in zip(WEIGHTS, PARTS, strict=True))


def draw_params(family, rows=3, spread=0.7):
    """Parameters that float32 holds exactly."""
    rng = np.random.default_rng(family.params_size)
    params = spread * rng.normal(size=(rows, family.params_size))
    return params.astype("float32").astype(float)


# Entropy.


def entropy_on_a_line(log_density, edges):
    """Integrate -p log p between edges, finely."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.unique(edges)
    half = np.diff(edges)[:, None] / 2
    y = edges[:-1, None] + half * (nodes + 1)
    log_p = log_density(y.ravel()).reshape(y.shape)
    return -np.sum(half * weights * np.exp(log_p) * np.maximum(log_p, -1e6))


@pytest.mark.parametrize("locations", [[0.0, 0.5], [0.0, 8.0], [0.0, 1e4]], ids=str)
@pytest.mark.parametrize("activations", [[0.0, 0.5], [0.0, math.log(1e-3)], [2.0, 1.0]], ids=str)
def test_entropy_of_one_dimension_is_exact(locations, activations):
    logits = np.array([0.25, -0.75])
    log_weights = logits - np.logaddexp(*logits)
    sigmas = np.array([a + 1 if a > 0 else math.exp(a) for a in activations])
    params = [*logits, *locations, *activations]
    span = np.concatenate([np.linspace(-9, 9, 73), [-40, -25, -15, 15, 25, 40]])  # the farther for Laplace
    edges = np.array(locations)[:, None] + sigmas[:, None] * span
    for leaf, truth in ((mx.Normal(1), stats.norm), (mx.Laplace(1), stats.laplace)):

        def log_density(x, truth=truth):
            parts = truth(locations, sigmas).logpdf(x[:, None])
            return np.logaddexp(*(log_weights + parts).T)

        expected = entropy_on_a_line(log_density, edges)
        assert mx.Mixture(leaf, 2)(params).entropy() == pytest.approx(expected, abs=1e-9)
        if leaf == mx.Normal(1):
            normals = expected
    # H(g(X)) = H(X) + E log g'(X): for an exponential that is E X.
    weights = np.exp(log_weights)
    if max(locations) < 100:
        expected = normals + weights @ locations
        assert mx.Mixture(mx.LogNormal(1), 2)(params).entropy() == pytest.approx(expected, abs=1e-10)
        slopes = [
            integrate.quad(
                lambda x, m=m, s=s: -(np.logaddexp(0, x) + np.logaddexp(0, -x)) * stats.norm(m, s).pdf(x),
                m - 9 * s,
                m + 9 * s,
                points=[m, min(max(0, m - 8 * s), m + 8 * s)],
                limit=200,
            )[0]
            for m, s in zip(locations, sigmas, strict=True)
        ]
        expected = normals + weights @ slopes
        assert mx.Mixture(mx.LogitNormal(1), 2)(params).entropy() == pytest.approx(expected, abs=1e-8)


def test_entropy_of_components_far_apart_is_the_weights_and_the_mean_of_theirs():
    logits, count = np.linspace(0, 2, 6), 6
    weights = np.exp(logits) / np.exp(logits).sum()
    scales = np.linspace(0, 5, count)
    p = mx.Mixture(mx.Normal(1), count)([*logits, *(1e5 * np.arange(count)), *scales])
    own = [stats.norm(0, 1 + scale).entropy() for scale in scales]
    assert p.entropy() == pytest.approx(stats.entropy(weights) + weights @ own, abs=1e-10)


def test_entropy_of_equal_components_is_theirs():
    p = mx.Mixture(mx.LogNormal(1), 50)([*np.linspace(-3, 3, 50), *[2.0] * 50, *[4.0] * 50])
    assert p.entropy() == pytest.approx(stats.lognorm(5, scale=math.exp(2)).entropy(), abs=1e-10)


@pytest.mark.slow
def test_entropy_of_many_components_needs_little_memory():
    family = mx.Mixture(mx.Normal(1), 300)
    params = np.concatenate([np.zeros(300), np.zeros(300), np.ones(300)])
    tracemalloc.start()
    entropy = family.entropy(params)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert entropy == pytest.approx(stats.norm(0, 2).entropy(), abs=1e-10)
    assert peak < 600e6


@pytest.mark.parametrize("leaf", [mx.Bernoulli(1), mx.Categorical(4)], ids=repr)
def test_entropy_of_few_events_is_their_sum(leaf):
    family = mx.Mixture(leaf, 3)
    p = family(draw_params(family))
    outcomes = [[0], [1]] if isinstance(leaf, mx.Bernoulli) else np.eye(4)
    log_probs = np.array([p.log_prob(outcome) for outcome in outcomes])
    np.testing.assert_allclose(p.entropy(), -np.sum(np.exp(log_probs) * log_probs, axis=0), rtol=1e-12)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_entropy_of_several_dimensions_is_a_seeded_estimate(covariance):
    family = mx.Mixture(mx.Normal(2, covariance), 3)
    p = family(draw_params(family, rows=2))
    line = np.arange(-25, 25, 0.1)
    log_p = p.log_prob(np.stack(np.meshgrid(line, line), axis=-1)[:, :, None])
    p_of = np.exp(log_p) * 0.1**2
    truth = -np.sum(p_of * log_p, axis=(0, 1))
    error = np.sqrt((np.sum(p_of * log_p**2, axis=(0, 1)) - truth**2) / ENTROPY_SAMPLES)
    assert (np.abs(p.entropy() - truth) < 5 * error).all()
    assert (error < math.sqrt(2) / 64).all()  # "about sqrt(D / 2) / 64"
    np.testing.assert_array_equal(p.entropy(), p.entropy())


def test_entropy_of_tensors_is_a_tensor_of_the_arrays_numbers():
    family = mx.Joint(a=mx.Mixture(mx.Normal(1), 3), b=mx.Normal(1))
    params = [*THREE, 0.0, 0.5]
    entropy = family.entropy(ops.convert_to_tensor(params, dtype="float32"))
    assert ops.is_tensor(entropy)
    assert float(entropy) == pytest.approx(float(family.entropy(params)), rel=1e-6)


# Several dimensions.


@pytest.mark.parametrize("covariance", ["spherical", "diagonal", "full"])
@pytest.mark.parametrize("dims", [[2], [3, 0], [1, 3, 0]], ids=str)
def test_marginal_and_condition_are_the_block_formulas(covariance, dims, mixture_by_hand):
    family = mx.Mixture(mx.Normal(4, covariance), 3)
    params = draw_params(family, rows=2)
    values = np.random.default_rng(1).normal(size=(2, len(dims)))
    marginal, conditional = family(params).marginal(dims), family(params).condition(dims, values)
    rest = [d for d in range(4) if d not in dims]
    for row in range(2):
        weights, means, covs = mixture_by_hand(params[row], 3, 4, covariance)
        np.testing.assert_allclose(marginal.weights[row], weights, rtol=1e-12)
        np.testing.assert_allclose(marginal.means[row], means[:, dims], rtol=1e-12)
        np.testing.assert_allclose(
            marginal.covariances[row], covs[:, dims][:, :, dims], rtol=1e-10, atol=1e-12
        )
        evidence = np.zeros(3)
        for k in range(3):
            known, across = covs[k][np.ix_(dims, dims)], covs[k][np.ix_(rest, dims)]
            gain = across @ np.linalg.inv(known)
            mean = means[k, rest] + gain @ (values[row] - means[k, dims])
            cov = covs[k][np.ix_(rest, rest)] - gain @ across.T
            evidence[k] = weights[k] * stats.multivariate_normal(means[k, dims], known).pdf(values[row])
            np.testing.assert_allclose(conditional.means[row, k], mean, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(conditional.covariances[row, k], cov, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(conditional.weights[row], evidence / evidence.sum(), rtol=1e-9)


@pytest.mark.parametrize("dims", [0, 1])
def test_marginal_and_condition_of_the_papers_bivariate(dims, mixture_by_hand):
    family = mx.Mixture(mx.Normal(2, "bivariate"), 2)
    params = draw_params(family, rows=1)[0]
    _, means, covs = mixture_by_hand(params, 2, 2, "bivariate")
    p = family(params).condition(dims, 0.5)
    gain = covs[:, 0, 1] / covs[:, dims, dims]
    expected = means[:, 1 - dims] + gain * (0.5 - means[:, dims])
    np.testing.assert_allclose(p.means[:, 0], expected, rtol=1e-10)
    variance = covs[:, 1 - dims, 1 - dims] - gain * covs[:, 0, 1]
    np.testing.assert_allclose(p.scales[:, 0], np.sqrt(variance), rtol=1e-10)
    marginal = family(params).marginal(dims)
    np.testing.assert_allclose(marginal.scales[:, 0], np.sqrt(covs[:, dims, dims]), rtol=1e-12)


SEVERAL = [
    mx.Normal(3),
    mx.Normal(3, "full"),
    mx.Laplace(3),
    mx.LogNormal(3, "full"),
    mx.LogitNormal(3, -1.0, 3.0, "full"),
    mx.Mixture(mx.Normal(3, "full"), 2),
    mx.Affine(mx.Normal(3, "full"), [1.0, 2.0, 3.0], [0.5, 1.0, 20.0]),
    mx.Independent(mx.Normal(1), 3),
]


@pytest.mark.parametrize("leaf", SEVERAL, ids=repr)
def test_a_conditional_times_a_marginal_is_the_joint_density(leaf):
    family = mx.Mixture(leaf, 4)
    params, y = draw_params(family), 0.5 + 0.4 * np.random.default_rng(0).random((3, 3))
    p = family(params)
    for known, rest in (([1], [0, 2]), ([2, 0], [1])):
        conditional, marginal = p.condition(known, y[:, known]), p.marginal(known)
        product = conditional.log_prob(y[:, rest]) + marginal.log_prob(y[:, known])
        np.testing.assert_allclose(product, p.log_prob(y), rtol=1e-10)
    np.testing.assert_allclose(p.marginal([2, 0, 1]).log_prob(y[:, [2, 0, 1]]), p.log_prob(y), rtol=1e-10)


def test_several_values_may_be_given_for_one_row():
    family = mx.Mixture(mx.Normal(2, "full"), 3)
    p, line = family(draw_params(family)[0]), np.linspace(-3, 3, 7)[:, None]
    together = p.condition(0, line)
    assert together.batch_shape == (7,)
    for row, value in enumerate(line):
        np.testing.assert_allclose(together[row].mean(), p.condition(0, value).mean(), rtol=1e-12)


@pytest.mark.parametrize("leaf", [mx.Normal(2, "full"), mx.Laplace(2), mx.LogNormal(2, "full")], ids=repr)
def test_values_far_away_leave_a_conditional_finite(leaf):
    family = mx.Mixture(leaf, 3)
    p = family(draw_params(family, rows=1)[0]).condition(0, [[1e-30], [1e8], [1e30]])
    assert np.isfinite(p.params).all()
    np.testing.assert_allclose(p.weights.sum(axis=-1), 1, rtol=1e-12)
    assert np.isfinite(p.log_prob(1.0)).all()
    assert np.isfinite(p.sample(10, seed=0)).all()


def test_weights_of_a_conditional_keep_their_digits_far_away():
    """The evidence is some -5e11, and its differences decide."""
    p = mx.Mixture(mx.Normal(2), 2)([0.0, 0.0, 0.0, 1e-6, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0])
    odds = np.diff(np.log(p.condition(0, 1e6).weights))
    assert odds == pytest.approx(1.0, abs=1e-3)
    drawn = p.condition(0, 1e6).sample(10_000, seed=0)[:, 0]
    assert np.mean(drawn > 2.5) == pytest.approx(1 / (1 + math.exp(-1)), abs=0.025)


@pytest.mark.parametrize("method", ["marginal", "condition"])
@pytest.mark.parametrize("dims", [[0, 0], 3, -1, [0, 3], [], 1.5, "a"], ids=str)
def test_wrong_dimensions_are_named(method, dims):
    family = mx.Mixture(mx.Normal(3, "full"), 2)
    p = family(np.zeros(family.params_size))
    arguments = [dims] if method == "marginal" else [dims, [0.0]]
    with pytest.raises(ValueError, match="dims must be distinct dimensions between 0 and 2; received"):
        getattr(p, method)(*arguments)


def test_something_must_be_left_to_predict():
    p = mx.Mixture(mx.Normal(2), 2)(np.zeros(10))
    with pytest.raises(ValueError, match="dims must leave a dimension to predict; received all 2"):
        p.condition([0, 1], [0.0, 0.0])


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0, 0.0], 0.0], ids=str)
def test_a_wrong_number_of_values_is_refused(values):
    family = mx.Mixture(mx.Normal(3), 2)
    for condition in (family(np.zeros(14)).condition, lambda *given: family.condition(np.zeros(14), *given)):
        with pytest.raises(ValueError, match="values must have 2 on the last axis, one for each of dims"):
            condition([0, 1], values)


def test_values_outside_the_support_are_refused():
    p = mx.Mixture(mx.LogNormal(2), 2)(np.zeros(10))
    with pytest.raises(ValueError, match="values must lie inside the support"):
        p.condition(0, -1.0)


# Tails.


def test_cdf_and_sf_are_integrals_of_the_density():
    p = mx.Mixture(mx.Normal(1), 3)(THREE)
    for y in (-5.0, -1.0, 0.2, 4.0):
        points = [x for x in (-4, 0, 3) if x < y]
        below, _ = integrate.quad(lambda t: three("pdf", t), -40, y, points=points or None)
        assert p.cdf(y) == pytest.approx(below, rel=1e-8)
        assert p.sf(y) == pytest.approx(1 - below, rel=1e-8)


def test_tails_do_not_cancel():
    p = mx.Mixture(mx.Normal(1), 3)(THREE)
    y = np.array([-40.0, -20.0, 25.0, 60.0])
    np.testing.assert_allclose(p.cdf(y[:, None]), three("cdf", y), rtol=1e-11)
    np.testing.assert_allclose(p.sf(y[:, None]), three("sf", y), rtol=1e-11)


def test_tails_of_tensors(on_tensors):
    family = mx.Mixture(mx.Normal(1), 3)
    y = np.array([[-5.0], [0.25], [8.0]])
    tails = on_tensors(lambda params, y: [family.cdf(params, y), family.sf(params, y)], THREE, y)
    for method, actual in zip(("cdf", "sf"), tails, strict=True):
        assert actual == pytest.approx(three(method, y[:, 0]), rel=2e-5)


# Samples.


@pytest.mark.parametrize("leaf", [mx.Normal(1), mx.Laplace(1), mx.LogNormal(1)], ids=repr)
def test_samples_follow_the_distribution(leaf, draw, assert_follow):
    truths = {mx.Normal(1): stats.norm, mx.Laplace(1): stats.laplace, mx.LogNormal(1): stats.norm}

    parts = truths[leaf](LOCATIONS, SCALES)
    x = draw(mx.Mixture(leaf, 3), THREE)[:, 0]
    x = np.log(x) if isinstance(leaf, mx.LogNormal) else x
    assert_follow(
        x, lambda x: parts.cdf(x[:, None]) @ WEIGHTS, lambda x: parts.cdf(x[:, None] / 1.02) @ WEIGHTS
    )


def test_samples_have_the_mixtures_covariance(draw):
    """Mean, covariance and, against a wrong share of components, the counts on a grid of cells."""
    family = mx.Mixture(mx.Normal(2, "full"), 3)
    params = draw_params(family, rows=1)[0]
    p, n = family(params), 100_000
    x = draw(family, params)
    assert (np.abs(x.mean(axis=0) - p.mean()) < 5 * np.sqrt(p.variance() / n)).all()
    products = (x - p.mean())[:, :, None] * (x - p.mean())[:, None, :]
    assert (np.abs(products.mean(axis=0) - p.covariance()) < 5 * products.std(axis=0) / math.sqrt(n)).all()
    # Each event, mapped by F(y_0) and F(y_1 | y_0), is uniform on the square.
    u = p.marginal(0).cdf(x[:, :1])
    v = p.condition(0, x[:, :1]).cdf(x[:, 1:])
    counts, _, _ = np.histogram2d(u, v, bins=10, range=[[0, 1], [0, 1]])
    assert stats.chisquare(counts.ravel()).pvalue > 1e-4
    wrong = family(1.05 * params)
    counts, _, _ = np.histogram2d(
        wrong.marginal(0).cdf(x[:, :1]), wrong.condition(0, x[:, :1]).cdf(x[:, 1:]), bins=10
    )
    assert stats.chisquare(counts.ravel()).pvalue < 1e-4


@pytest.mark.parametrize("leaf", [mx.Bernoulli(2), mx.Categorical(3)], ids=repr)
def test_discrete_samples_have_the_mixtures_probabilities(leaf, draw):
    family = mx.Mixture(leaf, 2)
    params = draw_params(family, rows=1)[0]
    x = draw(family, params)
    outcomes = [[0, 0], [0, 1], [1, 0], [1, 1]] if isinstance(leaf, mx.Bernoulli) else np.eye(3)
    counts = [np.sum((x == outcome).all(axis=-1)) for outcome in outcomes]
    expected = [len(x) * math.exp(family(params).log_prob(outcome)) for outcome in outcomes]
    assert stats.chisquare(counts, expected).pvalue > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("count", [6, 200])
@pytest.mark.parametrize("logit", [-1e4, -math.inf])
def test_components_of_weight_zero_are_never_drawn(logit, count, draw):
    """The first, the last and every third."""
    logits = np.linspace(0, 2, count)
    logits[::3] = logits[-1] = logit
    means = np.where(logits == logit, 1e6, 0.0)
    x = draw(mx.Mixture(mx.Normal(1), count), [*logits, *means, *[0.0] * count], n=20_000)
    assert x.max() < 100


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-23])
def test_the_ends_of_the_uniform_choose_a_component_with_weight(uniform, monkeypatch, compiled):
    monkeypatch.setattr(
        keras.random, "uniform", lambda shape, dtype, **_: ops.full(shape, uniform, dtype=dtype)
    )
    logits, means = [-1e4, 0.0, 1.0, -1e4], [1e6, 0.0, 1.0, 1e6]
    family = mx.Mixture(mx.Normal(1), 4)
    drawn = compiled(lambda params: family.sample(params, seed=0), [*logits, *means, *[0.0] * 4])
    assert drawn[0] < 100


@pytest.mark.slow
def test_memory_of_samples_does_not_grow_with_the_components_times_the_samples():
    family = mx.Mixture(mx.Normal(1), 1000)
    p = family(draw_params(family, rows=1)[0])
    p.sample(1, seed=0)
    tracemalloc.start()
    x = p.sample(1_000_000, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6  # the samples take 8 MB; all their weights would take 8 GB
    error = np.sqrt(p.variance() / len(x))
    assert np.abs(x.mean(axis=0) - p.mean()) < 5 * error


def test_the_seed_decides_a_mixtures_draws(draw):
    family = mx.Mixture(mx.Normal(1), 3)
    first, again, other = draw(family, THREE, {"seed": 1}, {"seed": 1}, {"seed": 2}, n=1000)
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    for lag in range(4):  # nor is one a shifted copy of the other
        for a, b in ((first, other), (other, first)):
            assert abs(np.corrcoef(a[lag:, 0], b[: 1000 - lag, 0])[0, 1]) < 5 / math.sqrt(1000 - lag)


@pytest.mark.parametrize("method", ["sample", "weights", "cdf"])
def test_one_component_works_on_tensors(method, compiled):
    """Keras warns of a softmax over one value, and a warning fails a test."""
    family = mx.Mixture(mx.Normal(1), 1)
    y = [[[1.0], [1.0]]] if method == "cdf" else []
    value = compiled(getattr(family, method), [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], *y)
    assert value.shape == ((2,) if method == "cdf" else (2, 1))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ("normal", 2),
            TypeError,
            r"family must be a mixtura family, such as Normal\(1\); received 'normal'",
        ),
        ((mx.Normal, 2), TypeError, "family must be a mixtura family.*received <class"),
        ((mx.Normal(1), 0), ValueError, "num_components must be a positive integer; received 0"),
        ((mx.Normal(1), 2.0), ValueError, "num_components must be a positive integer; received 2.0"),
        ((mx.Normal(1), None), ValueError, "num_components must be a positive integer; received None"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        mx.Mixture(*arguments)
