"""Tiny models, made once: most of the time goes to compiling their programs."""

import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx

PLACE = mx.Affine(mx.Mixture(mx.Normal(2), 2), [1.0, -3.0], [2.0, 0.5])
PEN = mx.Joint(place=PLACE, pen=mx.Bernoulli())


class Counting(mx.MDNRNN):
    """Counts how often Python runs through a step: on PyTorch always, else as programs are compiled."""

    traces = 0

    def step(self, x, state, context=None):
        self.traces += 1
        return super().step(x, state, context)


class Ending(Counting):
    """Ends a sequence with the first event whose dimension 0 is above 3."""

    def stop(self, params, event, state, context=None):
        return event[:, 0] > 3.0


def randomised(model):
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return model


@pytest.fixture(scope="session")
def model():
    """Places, nothing beside them."""
    made = randomised(Counting(PLACE, (5, 4)))
    bias = ops.convert_to_numpy(made.head.dense.bias).copy()
    bias[:2] = 0.7, 0.0  # neither component prevails
    made.head.dense.bias.assign(bias)
    return made


@pytest.fixture(scope="session")
def ending(model):
    """The same network with a stop of its own."""
    made = Ending(PLACE, (5, 4))
    made.set_weights(model.get_weights())
    return made


@pytest.fixture(scope="session")
def driven():
    """Places and a pen, with inputs and a context."""
    return randomised(Counting(PEN, (4,), "gru", inputs_size=2, context_size=1))


@pytest.fixture(scope="session")
def constant():
    """Return a model whose every step is distributed as given parameters say."""

    def build(family, params):
        made = mx.MDNRNN(family, (1,))
        made.head.dense.kernel.assign(np.zeros(made.head.dense.kernel.shape))
        made.head.dense.bias.assign(params)
        return made

    return build


@pytest.fixture
def close():
    """Assert that nested tensors or arrays agree to 1e-5."""

    def check(a, b):
        a, b = (keras.tree.map_structure(ops.convert_to_numpy, x) for x in (a, b))
        keras.tree.map_structure(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), a, b)

    return check
