import json

import numpy as np
import pytest
from keras.saving import deserialize_keras_object, serialize_keras_object

import mixtura as mx
from mixtura.systems.impsy.recorded import Recorded

PLAIN = mx.Affine(mx.Normal(2), 0.5, [0.25, 1.0])
FAMILY = Recorded(PLAIN.family, 0.5, [0.25, 1.0], [1 / 127, 0.0], [0.0, 0.1], [1.0, 5.0])
PARAMS = np.zeros(4)


@pytest.mark.parametrize("kind", ["arrays", "tensors"])
def test_draws_are_rounded_and_kept_in_a_range(kind, tensor):
    params = np.zeros((4000, 4))
    params = tensor(params) if kind == "tensors" else params
    plain, drawn = (np.asarray(family.sample(params, seed=0)) for family in (PLAIN, FAMILY))
    wanted = np.clip(np.round(plain[:, 0] * 127) / 127, 0, 1)
    np.testing.assert_allclose(drawn[:, 0], wanted, atol=1 / 127 if kind == "tensors" else 1e-12)
    np.testing.assert_allclose(drawn[:, 1], np.clip(plain[:, 1], 0.1, 5.0), rtol=1e-6)
    assert {0.0, 1.0} <= set(drawn[:, 0])
    assert len(set(drawn[:, 0])) <= 128


@pytest.mark.slow
def test_what_is_drawn_again_stays_the_same(tensor):
    """A spike at a draw is drawn as that, for ever."""
    family = Recorded(mx.SpikeAndSlab(mx.Normal(), 0.25), 0.0, 2.0**-5, [1 / 127], [0.0], [1.0])
    y = np.float32(np.arange(128)[:, None] / 127)
    for _ in range(3):
        at = np.concatenate([np.full((128, 1), 30.0), y / family.scale[0], np.zeros((128, 2))], axis=1)
        last, y = y, np.asarray(family.sample(tensor(at), seed=0))
    np.testing.assert_array_equal(y, last)


def test_densities_are_those_of_an_affine():
    y = np.random.default_rng(0).random((9, 2))
    np.testing.assert_array_equal(FAMILY(PARAMS).log_prob(y), PLAIN(PARAMS).log_prob(y))


def test_it_is_saved():
    assert deserialize_keras_object(json.loads(json.dumps(serialize_keras_object(FAMILY)))) == FAMILY
