import keras
import numpy as np
import pytest

import mixtura  # noqa: F401
from mixtura.training.graves import graves_rmsprop


def by_the_paper(start, gradients, rate):
    """Equations 38 to 45, one line each."""
    w, n, mean, step = start.copy(), 0.0, 0.0, 0.0
    for g in gradients:
        n = 0.95 * n + 0.05 * g**2
        mean = 0.95 * mean + 0.05 * g
        step = 0.9 * step - rate * g / np.sqrt(n - mean**2 + 1e-4)
        w = w + step
    return w


def steps(optimizer, start, gradients, dtype):
    weights = [keras.Variable(part, dtype=dtype) for part in (start[:3], start[3:])]
    for g in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(part, dtype=dtype) for part in (g[:3], g[3:])], weights)
    return np.concatenate([keras.ops.convert_to_numpy(w) for w in weights])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-7)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_keras_rmsprop_is_the_papers(dtype, tolerance, scale):
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX computes in float32 unless told otherwise")
    rng = np.random.default_rng(0)
    start = rng.normal(size=5)
    gradients = scale * (rng.normal(size=(300, 5)) * np.linspace(2, 0.5, 300)[:, None] + np.arange(5) / 2)
    expected = by_the_paper(start, gradients, 1e-2)
    moved = steps(graves_rmsprop(1e-2), start, gradients, dtype) - start
    assert np.abs(expected - start).min() > 1e-3
    np.testing.assert_allclose(moved, expected - start, rtol=tolerance * 20, atol=tolerance)


def test_the_rate_is_his_and_arguments_pass():
    assert float(graves_rmsprop().learning_rate) == pytest.approx(1e-4)
    optimizer = graves_rmsprop(keras.optimizers.schedules.ExponentialDecay(1e-3, 10, 0.5), clipvalue=1.0)
    assert optimizer.clipvalue == 1.0
    assert graves_rmsprop(momentum=0.5).momentum == 0.5


def test_it_is_keras_own_and_is_saved_as_such():
    optimizer = graves_rmsprop(2e-4)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, keras.optimizers.RMSprop)
    assert again.get_config() == optimizer.get_config()


def test_a_steady_gradient_of_10_stays_finite():
    gradients = np.linspace(5, 10, 5) * (1 + 1e-4 * np.sin(np.arange(400)))[:, None]
    assert np.isfinite(steps(graves_rmsprop(), np.zeros(5), gradients, "float32")).all()
