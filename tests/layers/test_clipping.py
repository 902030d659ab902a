import keras
import numpy as np
import pytest
from keras import layers, ops

import mixtura as mx
from mixtura.layers.clipping import ClipGradient


def test_values_pass_and_derivatives_are_clipped_one_by_one(gradient, tensor):
    layer = ClipGradient(0.5)
    factors = np.array([[0.1, -0.4, 3.0], [-7.0, 0.5, 0.0]], "float32")
    x = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])
    values, slope = gradient(lambda x: ops.sum(layer(x) * tensor(factors), axis=-1), x)
    np.testing.assert_allclose(values, (x * factors).sum(axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(slope, np.clip(factors, -0.5, 0.5))


def test_what_lies_before_gets_the_clipped_derivative(gradient):
    layer = ClipGradient(10.0)
    _, slope = gradient(lambda x: ops.sum(ops.square(layer(ops.square(x))), axis=-1), [[1.0, 3.0, -3.0]])
    np.testing.assert_allclose(slope, [[2 * 2, 10 * 6, -10 * 6]], rtol=1e-6)  # min(2 x^2, 10) 2 x


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_dtype_stays(dtype, policy):
    x = ops.ones((2, 3), dtype=dtype)
    layer = ClipGradient(1, dtype=policy)
    assert keras.backend.standardize_dtype(layer(x).dtype) == dtype
    assert layer(keras.KerasTensor((None, 3), dtype)).dtype == dtype
    assert layer(keras.KerasTensor((None, 3), dtype)).shape == (None, 3)


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), float("inf"), "10", None])
def test_a_limit_must_be_positive(limit):
    with pytest.raises(ValueError, match=r"limit must be (positive|a finite number)"):
        ClipGradient(limit)


FAMILY = mx.Mixture(mx.Normal(1), 2)
X = np.random.default_rng(0).normal(size=(8, 5, 2)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 5, 1)).astype("float32")


def network(inner=None, outer=None):
    keras.utils.set_random_seed(3)
    parts = [layers.LSTM(4, return_sequences=True), *inner_or_none(inner), mx.MDN(FAMILY)]
    model = keras.Sequential([keras.Input((None, 2)), layers.Masking(), *parts, *inner_or_none(outer)])
    model.compile(keras.optimizers.SGD(1.0), mx.NegativeLogLikelihood(FAMILY))
    return model


def inner_or_none(limit):
    return [] if limit is None else [ClipGradient(limit)]


def step(model, x=X, y=Y):
    before = [w.copy() for w in model.get_weights()]
    model.fit(x, y, epochs=1, batch_size=8, verbose=0)
    return [new - old for new, old in zip(model.get_weights(), before, strict=True)]


@pytest.mark.slow
def test_wide_limits_change_nothing():
    for one, other in zip(step(network(1e6, 1e6)), step(network()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_a_training_step_moves_the_bias_by_the_sum_of_clipped_derivatives():
    limit = 1e-6  # below nearly every derivative of the mean over 40 steps
    bias = step(network(outer=limit))[-1]
    assert np.abs(bias).max() <= 40 * limit * 1.001
    assert np.abs(step(network())[-1]).max() > 100 * limit * 40
    assert np.abs(step(network(inner=limit))[-1]).max() > 100 * limit * 40  # behind the head
    inside = step(network(inner=limit))[0]
    assert 0 < np.abs(inside).max() < 0.01 * np.abs(step(network())[0]).max()


@pytest.mark.slow
def test_masks_pass():
    padded, targets = X.copy(), Y.copy()
    padded[:, 3:], targets[:, 3:] = 0.0, 99.0
    short = step(network(1e6, 1e6), X[:, :3], Y[:, :3])
    for one, other in zip(step(network(1e6, 1e6), padded, targets), short, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_it_is_saved_with_the_model(tmp_path):
    model = network(10, 100)
    step(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [layer.limit for layer in loaded.layers if isinstance(layer, ClipGradient)] == [10.0, 100.0]
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    for one, other in zip(step(loaded), step(model), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
