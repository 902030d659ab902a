"""C against NumPy, and the published sizes."""

import numpy as np
import pytest
from jax import numpy as jnp

from mixtura.models import Controller

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ((32 + 256, 3), 867),  # the car's
        ((64 + 512 + 512, 1, 0, False), 1088),  # Doom's
        ((32, 3, 40), 1443),  # V alone with a hidden layer
        ((32, 3), 99),
        ((2, 1, 3, False), 12),
    ],
)
def test_published_sizes(arguments, size):
    assert Controller(*arguments).size == size


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hidden", [0, 4])
@pytest.mark.parametrize("xp", [np, jnp])
def test_it_is_the_formula_for_many_controllers_at_once(xp, hidden, bias):
    controller = Controller(5, 2, hidden, bias)
    params = RNG.normal(size=(3, controller.size)).astype("float32")
    features = RNG.normal(size=(3, 6, 5)).astype("float32")
    found = np.asarray(controller(xp, xp.asarray(params), xp.asarray(features)))
    assert found.shape == (3, 6, 2)
    for vector, rows, outputs in zip(params, features, found, strict=True):
        x, rest = rows, vector
        if hidden:
            x = np.tanh(rows @ rest[:20].reshape(5, 4) + rest[20:24])
            rest = rest[24:]
        inputs = hidden or 5
        expected = x @ rest[: 2 * inputs].reshape(inputs, 2) + (rest[2 * inputs :] if bias else 0.0)
        np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_one_controller_needs_no_batch():
    controller = Controller(2, 1)
    assert controller(np, np.array([2.0, 3.0, 1.0]), np.array([[10.0, 100.0]])).tolist() == [[321.0]]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((0, 1), "inputs must be a positive integer"),
        ((1, 0), "outputs must be a positive integer"),
        ((1, 1, -1), "hidden must be an integer, 0 or more"),
    ],
)
def test_sizes_that_are_none_are_refused(arguments, shown):
    with pytest.raises(ValueError, match=shown):
        Controller(*arguments)
