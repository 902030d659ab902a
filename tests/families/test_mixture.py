import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy import integrate, stats

import mixtura as mx

COVARIANCES = ["spherical", "diagonal", "full"]

# Three well-spread components in one dimension: the logits, means and scale activations, row by row.
THREE = [0.5, -0.5, 1.0, -4.0, 0.0, 3.0, 0.0, -1.0, 1.5]
WEIGHTS = np.exp([0.5, -0.5, 1.0]) / np.exp([0.5, -0.5, 1.0]).sum()
PARTS = [stats.norm(-4, 1), stats.norm(0, math.exp(-1)), stats.norm(3, 2.5)]


def three(method, y):
    """The mixture's pdf, cdf or sf by SciPy."""
    return sum(w * getattr(part, method)(y) for w, part in zip(WEIGHTS, PARTS, strict=True))


def draw(family, rows=3):
    """Parameters and events that float32 holds exactly."""
    rng = np.random.default_rng(family.params_size)
    params = 0.7 * rng.normal(size=(rows, family.params_size))
    y = 2 * rng.normal(size=(rows, family.event_size))
    return params.astype("float32").astype(float), y.astype("float32").astype(float)


def scipy_log_prob(p, y):
    """The log density from a distribution's accessors."""
    log_probs = [
        [
            math.log(weight) + stats.multivariate_normal(mean, cov).logpdf(event)
            for weight, mean, cov in zip(*parts, strict=True)
        ]
        for *parts, event in zip(p.weights, p.means, p.covariances, y, strict=True)
    ]
    return np.logaddexp.reduce(log_probs, axis=-1)


@pytest.mark.parametrize("num_components", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_accessors_read_the_documented_layout(covariance, size, num_components, mixture_by_hand):
    family = mx.Mixture(mx.Normal(size, covariance, min_scale=0.1), num_components)
    rows, _ = draw(family)
    p = family(rows)
    for row, params in enumerate(rows):
        weights, means, covs = mixture_by_hand(params, num_components, size, covariance, min_scale=0.1)
        np.testing.assert_allclose(p.weights[row], weights, rtol=1e-12)
        np.testing.assert_array_equal(p.means[row], means)
        np.testing.assert_allclose(p.covariances[row], covs, rtol=1e-12, atol=1e-13)
        variances = np.diagonal(covs, axis1=-2, axis2=-1)
        np.testing.assert_allclose(p.scales[row], np.sqrt(variances), rtol=1e-12)


def test_the_layout_is_the_docstrings():
    """For Mixture(Normal(2), K): K logits, K first means, K second, K first scales, K second."""
    p = mx.Mixture(mx.Normal(2), 3)([0, 0, 0, 1, 2, 3, 10, 20, 30, 0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(p.means, [[1, 10], [2, 20], [3, 30]])
    np.testing.assert_allclose(p.scales, [[1, 4], [2, 5], [3, 6]], rtol=1e-12)


@pytest.mark.parametrize("size", range(1, 6))
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_log_prob_is_scipys(covariance, size):
    for num_components in (1, 2, 5, 11, 20):
        family = mx.Mixture(mx.Normal(size, covariance), num_components)
        params, y = draw(family)
        p = family(params)
        assert p.log_prob(y) == pytest.approx(scipy_log_prob(p, y), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize(
    ("covariance", "num_components", "size"),
    [
        ("diagonal", 1, 1),
        ("diagonal", 20, 1),
        ("diagonal", 20, 5),
        ("spherical", 20, 5),
        ("full", 1, 3),
        ("full", 20, 5),
    ],
)
def test_log_prob_of_tensors_is_scipys(covariance, size, num_components, compiled):
    family = mx.Mixture(mx.Normal(size, covariance), num_components)
    params, y = draw(family)
    actual = compiled(family.log_prob, params, y)
    assert actual == pytest.approx(scipy_log_prob(family(params), y), rel=2e-5, abs=2e-5)


def test_accessors_of_tensors_are_the_arrays(compiled):
    family = mx.Mixture(mx.Normal(2, "full"), 3)
    params, _ = draw(family)
    for method in ("weights", "means", "scales", "covariances", "mean", "variance", "covariance"):
        expected = getattr(family, method)(params)
        assert compiled(getattr(family, method), params) == pytest.approx(expected, rel=2e-5, abs=2e-5)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_one_component_is_the_plain_family(covariance):
    family = mx.Normal(3, covariance)
    params, y = draw(family)
    single = mx.Mixture(family, 1)(np.concatenate([[[-3.0], [0.0], [1e4]], params], axis=-1))
    np.testing.assert_allclose(single.log_prob(y), family.log_prob(params, y), rtol=1e-12)
    np.testing.assert_allclose(single.covariance(), family.covariance(params), rtol=1e-12)


@pytest.mark.parametrize("logit", [-1e4, -1.0, 0.0, 1e4])
def test_equal_logits_of_any_size_are_equal_weights(logit):
    p = mx.Mixture(mx.Normal(1), 4)([*[logit] * 4, *[2.0] * 4, *[1.0] * 4])
    np.testing.assert_array_equal(p.weights, [0.25] * 4)
    assert p.log_prob(0.0) == pytest.approx(stats.norm(2, 2).logpdf(0), rel=1e-12)


def test_density_integrates_to_one():
    p = mx.Mixture(mx.Normal(1), 3)(THREE)
    total, _ = integrate.quad(lambda y: math.exp(p.log_prob(y)), -40, 40, points=[-4, 0, 3], limit=200)
    assert total == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_density_integrates_to_one_in_two_dimensions(covariance):
    family = mx.Mixture(mx.Normal(2, covariance), 3)
    line = np.arange(-20, 20, 0.2)
    y = np.stack(np.meshgrid(line, line), axis=-1)
    p = family(0.5 * np.random.default_rng(0).normal(size=family.params_size))
    assert np.exp(p.log_prob(y)).sum() * 0.2**2 == pytest.approx(1, abs=1e-6)


def test_mixtures_nest():
    family = mx.Mixture(mx.Mixture(mx.Normal(1), 2), 3)
    rng = np.random.default_rng(0)
    p = family(rng.normal(size=family.params_size))
    line = np.arange(-30, 30, 0.01)
    density = np.exp(p.log_prob(line[:, None])) * 0.01
    assert density.sum() == pytest.approx(1, abs=1e-8)
    assert p.mean()[0] == pytest.approx((density * line).sum(), abs=1e-8)
    assert p.cdf(p.quantile(0.3)) == pytest.approx(0.3, rel=1e-12)


# Moments.


def test_moments_are_the_densitys():
    p = mx.Mixture(mx.Normal(1), 3)(THREE)

    def moment(f):
        return integrate.quad(lambda y: f(y) * three("pdf", y), -40, 40, points=[-4, 0, 3], limit=200)[0]

    mean = moment(lambda y: y)
    assert p.mean()[0] == pytest.approx(mean, rel=1e-9)
    assert p.variance()[0] == pytest.approx(moment(lambda y: (y - mean) ** 2), rel=1e-9)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_covariance_is_the_second_moment_less_the_means(covariance, mixture_by_hand):
    params = np.random.default_rng(2).normal(size=mx.Mixture(mx.Normal(3, covariance), 4).params_size)
    weights, means, covs = mixture_by_hand(params, 4, 3, covariance)
    mean = weights @ means
    second = sum(w * (cov + np.outer(m, m)) for w, m, cov in zip(weights, means, covs, strict=True))
    p = mx.Mixture(mx.Normal(3, covariance), 4)(params)
    np.testing.assert_allclose(p.mean(), mean, rtol=1e-12)
    np.testing.assert_allclose(p.covariance(), second - np.outer(mean, mean), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(p.variance(), np.diag(p.covariance()), rtol=1e-12)


# Extremes.


def test_value_and_gradient_are_finite_at_extreme_activations(gradient, tensor):
    family = mx.Mixture(mx.Normal(2), 2)
    rng = np.random.default_rng(0)
    params = rng.choice([-1e4, 0.0, 1e4], size=(500, family.params_size))
    y = tensor(rng.choice([-1e4, 0.0, 1e4], size=(500, 2)))
    value, slope = gradient(lambda params: family.log_prob(params, y), params)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("logit", [-1e4, -math.inf])
def test_a_component_of_weight_zero_leaves_value_and_gradient_finite(logit, gradient, tensor):
    family = mx.Mixture(mx.Normal(1), 2)
    params = [[logit, 0.0, 1e4, 1.0, 0.0, 1.0]]
    value, slope = gradient(lambda params: family.log_prob(params, tensor([0.5])), params)
    assert value == pytest.approx(stats.norm(1, 2).logpdf(0.5), rel=1e-5)
    np.testing.assert_allclose(slope, [[0, 0, 0, -0.125, 0, 0.0625 / 2 - 0.5]], rtol=1e-5)


def test_targets_ten_thousand_scales_away_still_pull(gradient, tensor):
    family = mx.Mixture(mx.Normal(1), 2)
    params = [[0.0, 0.0, -1.0, 1.0, 1.0, 1.0]]  # two scales of 2; the second mean is nearer
    _, slope = gradient(lambda params: family.log_prob(params, tensor([2e4])), params)
    np.testing.assert_allclose(slope, [[-0.5, 0.5, 0, 1e4 / 2, 0, 1e8 / 2]], rtol=1e-3)


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


def test_tails_of_tensors(compiled):
    family = mx.Mixture(mx.Normal(1), 3)
    y = np.array([[-5.0], [0.25], [8.0]], "float32")
    for method in ("cdf", "sf"):
        actual = compiled(getattr(family, method), THREE, y)
        assert actual == pytest.approx(three(method, y[:, 0]), rel=2e-5)


# Samples.


def test_samples_follow_the_distribution():
    x = mx.Mixture(mx.Normal(1), 3)(THREE).sample(100_000, seed=0)[:, 0]
    assert stats.kstest(x, lambda y: three("cdf", y)).pvalue > 1e-4
    wide = [*THREE[:6], 0.05, math.log(1.05) - 1, 1.05 * 2.5 - 1]  # every scale 5 % larger
    p = mx.Mixture(mx.Normal(1), 3)(wide)
    assert stats.kstest(x, lambda y: p.cdf(y[:, None])).pvalue < 1e-4


def test_samples_have_the_mixtures_covariance():
    family = mx.Mixture(mx.Normal(2, "full"), 3)
    p = family(np.random.default_rng(0).normal(size=family.params_size))
    n = 100_000
    x = p.sample(n, seed=0)
    assert (np.abs(x.mean(axis=0) - p.mean()) < 5 * np.sqrt(p.variance() / n)).all()
    products = (x - p.mean())[:, :, None] * (x - p.mean())[:, None, :]
    assert (np.abs(products.mean(axis=0) - p.covariance()) < 5 * products.std(axis=0) / math.sqrt(n)).all()


@pytest.mark.parametrize("logit", [-1e4, -math.inf])
def test_components_of_weight_zero_are_never_drawn(logit):
    """Components 0, 3 and 5: the first, one inside and the last."""
    logits = [logit, 0.0, 1.0, logit, 2.0, logit]
    means = [1e6, 0.0, 1.0, 1e6, 2.0, 1e6]
    x = mx.Mixture(mx.Normal(1), 6)([*logits, *means, *[0.0] * 6]).sample(100_000, seed=0)
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


@pytest.mark.parametrize("method", ["sample", "weights", "cdf"])
def test_one_component_works_on_tensors(method, compiled):
    """Keras warns of a softmax over one value, and a warning fails a test."""
    family = mx.Mixture(mx.Normal(1), 1)
    events = [[[1.0], [1.0]]] if method == "cdf" else []
    value = compiled(getattr(family, method), [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], *events)
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
