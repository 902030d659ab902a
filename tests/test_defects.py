"""What has gone wrong in libraries of mixture density networks, and must not go wrong here."""

import tracemalloc
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import stats
from scipy.integrate import quad

import mixtura as mx
from mixtura import scores


@pytest.mark.slow
def test_an_epsilon_or_a_missing_constant_changes_the_density():
    """Densities padded with an epsilon inside the logarithm, or without their constant, are not densities."""
    for family, reference in ((mx.Normal(1), stats.norm(2, 3)), (mx.Laplace(1), stats.laplace(2, 3))):
        mixture = mx.Mixture(family, 1)
        y = np.linspace(-200, 200, 41)[:, None]
        np.testing.assert_allclose(mixture([7, 2, 2]).log_prob(y), reference.logpdf(y[:, 0]), rtol=1e-12)
        on_tensors = mixture.log_prob(ops.convert_to_tensor([[7.0, 2, 2]]), y)
        np.testing.assert_allclose(ops.convert_to_numpy(on_tensors), reference.logpdf(y[:, 0]), rtol=1e-6)
        ends = [-300, 2, 300]
        density = partial(lambda p, y: np.exp(p.log_prob([y])), mixture([7, 2, 2]))
        assert sum(quad(density, *ends[i : i + 2])[0] for i in (0, 1)) == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("logit", [-1e30, -300.0, 0.0, 300.0, 1e30])
def test_equal_logits_are_not_taken_as_normalised(logit):
    """Logits used without normalising them scale the whole density (numpyro #1489)."""
    family, y = mx.Mixture(mx.Normal(1), 3), [[0.7]]
    params = [[logit] * 3 + [0.0] * 3 + [1.0] * 3]
    expected = stats.norm(0, 2).logpdf(0.7)
    assert family(params).log_prob(y) == pytest.approx(expected, rel=1e-12)
    on_tensors = ops.convert_to_numpy(family.log_prob(ops.convert_to_tensor(params, dtype="float32"), y))
    assert on_tensors == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(family(params).weights, 1 / 3)


@pytest.mark.parametrize("logit", [-np.inf, -1e30, -1e4])
def test_a_component_without_weight_breaks_the_gradient(logit, gradient):
    """log 0 gives a finite value and a gradient of NaN (numpyro #2224)."""
    family = mx.Mixture(mx.Normal(1), 2)
    params = np.array([[logit, 0, 5, 0, 0, 0]] * 2)
    value, slope = gradient(lambda params: family.log_prob(params, [[0.5], [5.0]]), params)
    np.testing.assert_allclose(value, stats.norm.logpdf([0.5, 5]), rtol=1e-6)
    np.testing.assert_array_equal(slope[:, [0, 1, 2, 4]], 0)
    np.testing.assert_allclose(slope[:, 3], [0.5, 5], rtol=1e-6)


@pytest.mark.parametrize("family", [mx.LogNormal(1), mx.LogitNormal(1)], ids=repr)
def test_an_event_outside_the_support_breaks_the_gradient(family, gradient):
    """Bounded components evaluated beyond their bounds (gluonts #1056, tensorflow-probability #1377)."""
    mixture = mx.Mixture(family, 2)
    params = np.random.default_rng(0).normal(size=(4, 6))
    y = np.array([[-1.0], [0.0], [0.5], [np.nextafter(0, 1)]])
    value, slope = gradient(lambda params: mixture.log_prob(params, y), params)
    assert np.isfinite(value).all()
    assert (value[:2] < -1e29).all()
    assert np.isfinite(slope).all()
    assert value[2] == pytest.approx(mixture(params[2]).log_prob(y[2]), rel=1e-5)
    np.testing.assert_array_equal(mixture(params[:2]).log_prob(y[:2]), -np.inf)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_target_ten_thousand_scales_away_no_longer_pulls(policy):
    """Densities that underflow have no gradient; the network never finds such targets."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        head = mx.MDN(mx.Mixture(mx.Normal(1), 3), kernel_initializer="zeros")
        model = keras.Sequential([keras.Input((1,)), head])
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(keras.optimizers.SGD(1e-5), mx.NegativeLogLikelihood(head.family))
    assert np.isfinite(model.train_on_batch(np.ones((2, 1)), np.full((2, 1), 1e4)))
    _, bias = head.get_weights()
    np.testing.assert_allclose(bias[3:6], 1e-5 * 1e4 / 3, rtol=1e-3)  # the means' slopes: z / scale, shared
    assert np.isfinite(bias).all()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_covariance_structures_disagree_on_the_same_distribution(size):
    """One scale, one for each dimension, or correlations of zero: the layouts must read alike."""
    rng = np.random.default_rng(size)
    mean, y, a = rng.normal(size=size), rng.normal(size=(4, size)), 0.7
    expected = stats.multivariate_normal(mean, (1 + a) ** 2 * np.eye(size)).logpdf(y)
    rest = {"spherical": [a], "diagonal": [a] * size, "full": [a] * size + [0.0] * (size * (size - 1) // 2)}
    if size == 2:
        rest["bivariate"] = [a, a, 0.0]
    for covariance, activations in rest.items():
        p = mx.Normal(size, covariance)([*mean, *activations])
        np.testing.assert_allclose(p.log_prob(y), expected, rtol=1e-12)
        mixture = mx.Mixture(mx.Normal(size, covariance), 2)
        np.testing.assert_allclose(mixture(np.repeat([0, *mean, *activations], 2)).log_prob(y), expected)


def test_a_head_over_time_loses_its_axis():
    """Sequences flattened inside the layer cannot be masked or weighed by step (keras-mdn-layer)."""
    family = mx.Mixture(mx.Normal(2), 3)
    head, x = mx.MDN(family), np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    outputs = ops.convert_to_numpy(head(x))
    assert outputs.shape == (2, 4, 15)
    over_time = layers.TimeDistributed(head)(x)
    np.testing.assert_allclose(ops.convert_to_numpy(over_time), outputs, rtol=1e-5, atol=1e-6)
    loss = mx.NegativeLogLikelihood(family, reduction="none")
    assert ops.shape(loss(np.zeros((2, 4, 2)), outputs)) == (2, 4)


def test_a_quantile_in_a_gap_jumps_to_its_right_edge():
    """Where the distribution function is flat, the quantile is the left edge (OpenTURNS #2541)."""
    p = mx.Mixture(mx.LogitNormal(1, 0.0, 1.0), 2)([0.0, 0, -40, 40, -5, -5])  # half at 0, half at 1
    assert p.quantile(0.5) < 1e-10
    assert p.quantile(0.5 + 1e-12) > 1 - 1e-10
    wide = mx.Mixture(mx.Normal(1), 3)([0.0, 1, 2, -3, 0, 2, 0, 1, 2])
    levels = np.array([1e-300, 1e-12, 0.01, 0.5, 0.99, 1 - 1e-12])
    np.testing.assert_allclose(wide.cdf(wide.quantile(levels)), levels, rtol=1e-11)


def test_the_likelihood_is_estimated_by_sampling():
    """Two calls then give two numbers (pytorch-tabular); every score here gives one."""
    p = mx.Mixture(mx.Normal(2, "full"), 3)(np.random.default_rng(0).normal(size=(5, 18)))
    y = p.sample(1, seed=0)[0]
    for score in (
        scores.negative_log_likelihood,
        scores.energy_score,
        lambda p, y: scores.dequantised_nll(p, y, 0.1),
        lambda p, y: p.entropy().sum(),
    ):
        assert score(p, y) == score(p, y)


def test_samples_come_from_another_distribution_than_log_prob():
    """A two-sample test against draws made from the density itself, by rejection."""
    rng = np.random.default_rng(0)
    p = mx.Mixture(mx.Laplace(1), 3)([0.5, 0, -0.5, -4, 0, 3, 0, 1, 0.5])
    proposed = rng.uniform(-40, 40, size=(400_000, 1))
    kept = proposed[rng.uniform(0, 0.3, size=400_000) < np.exp(p.log_prob(proposed)), 0]
    assert len(kept) > 10_000
    assert np.exp(p.log_prob(proposed)).max() < 0.3
    assert stats.ks_2samp(p.sample(20_000, seed=0)[:, 0], kept).pvalue > 1e-3
    on_tensors = p.family.sample(ops.convert_to_tensor(np.tile(p.params, (20_000, 1)), dtype="float32"), 0)
    assert stats.ks_2samp(ops.convert_to_numpy(on_tensors)[:, 0], kept).pvalue > 1e-3


def test_drawing_takes_memory_for_every_component():
    """Drawing from all components and keeping one needs K times the room (tensorflow-probability #1208)."""

    def peak(count):
        p = mx.Mixture(mx.Normal(2), count)(np.zeros(5 * count))
        tracemalloc.start()
        p.sample(50_000, seed=0)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(200) < 1.5 * peak(2)


def test_a_start_by_k_means_makes_a_singular_component():
    """Clusters of one row or of equal rows have no variance (zuko)."""
    rng = np.random.default_rng(0)
    line = rng.normal(size=(50, 1)) @ [[1.0, 2.0]]
    for y in (np.repeat([[0.0, 0.0], [5.0, 1.0]], 25, axis=0), line, line[:3], np.ones((9, 2))):
        for covariance in ("spherical", "diagonal", "full", "bivariate"):
            family = mx.Mixture(mx.Normal(2, covariance), 6)
            model = keras.Sequential([keras.Input((1,)), mx.MDN(family)])
            mx.training.initialize_head(model, y, shrink=0.0)
            p = family(model.predict(np.zeros((1, 1)), verbose=0))[0]
            smallest = np.linalg.eigvalsh(p.covariances).min()
            assert smallest > 1e-6 * max(np.var(y, axis=0).max(), 1e-2)
            assert np.isfinite(p.log_prob(y)).all()


def test_noise_that_regularises_is_drawn_once():
    """The data are perturbed once before training, and again in prediction (the port of CDE)."""
    # The loss is the target itself and nothing is learnt: an epoch's loss is the mean of the targets it met.
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), loss=lambda y, prediction: y + 0 * prediction)
    x, y = np.ones((8, 1)), np.arange(8.0)[:, None]
    noise = mx.training.DataNoise(y=0.1)
    history = mx.training.fit(
        model, x, y, validation_data=(x, y), batch_size=8, epochs=4, noise=noise, seed=0, verbose=0
    ).history
    assert len(set(history["loss"])) == 4
    assert 0 < np.std(history["loss"]) < 0.1
    assert history["val_loss"] == [3.5] * 4
    noise = mx.training.DataNoise(x=0.1)
    mx.training.fit(model, x, y, epochs=1, noise=noise, seed=0, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
