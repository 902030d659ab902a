import keras
import numpy as np
import pytest

import mixtura as mx
from mixtura.training import predict
from mixtura.training.predicting import LARGEST, SMALLEST

RNG = np.random.default_rng(0)
FAMILY = mx.Mixture(mx.Normal(1), 2)


def network(units=4):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(units, "tanh"), keras.layers.Dropout(0.5), mx.MDN(FAMILY)]
    )
    model.compile("sgd", mx.NegativeLogLikelihood(FAMILY))
    return model


@pytest.mark.parametrize("rows", [1, SMALLEST - 1, SMALLEST, SMALLEST + 1, LARGEST, LARGEST + 3])
def test_it_is_keras_prediction(rows):
    model, x = network(), RNG.normal(size=(rows, 3))
    actual = predict(model, x)
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_no_rows_have_no_outputs():
    assert predict(network(), np.empty((0, 3))).shape == (0, FAMILY.params_size)


def test_rows_do_not_depend_on_those_beside_them():
    model, x = network(), RNG.normal(size=(100, 3))
    x[50:] = np.nan
    np.testing.assert_allclose(predict(model, x)[:50], predict(model, x[:50]), rtol=1e-6, atol=1e-7)


def test_weights_of_today_are_used():
    model, x = network(), RNG.normal(size=(5, 3))
    before = predict(model, x)
    model.set_weights([2 * weight for weight in model.get_weights()])
    after = predict(model, x)
    assert (before != after).any()
    np.testing.assert_allclose(after, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_inputs_may_have_more_axes():
    inputs = keras.Input((2, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))
    model.compile()
    x = RNG.normal(size=(7, 2, 3)).astype("float32")
    np.testing.assert_array_equal(predict(model, x), x.reshape(7, 6))


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="programs exist on JAX only")
def test_it_compiles_once_for_similar_numbers_of_rows_and_models(monkeypatch):
    from mixtura.training import programs

    monkeypatch.setattr(programs, "_shared", type(programs._shared)())
    traced, call = [], keras.Model.stateless_call

    def count(self, *args, **options):
        traced.append(self)
        return call(self, *args, **options)

    monkeypatch.setattr(keras.Model, "stateless_call", count)
    models = [network() for _ in range(3)]
    for model in models:
        for rows in (1, 5, SMALLEST):
            predict(model, RNG.normal(size=(rows, 3)))
    assert len(traced) == 1
    for rows in (SMALLEST + 1, 2 * SMALLEST):  # the next power of two
        predict(models[0], RNG.normal(size=(rows, 3)))
    assert len(traced) == 2
    for rows in (LARGEST, 3 * LARGEST, 2 * LARGEST + 1):  # pieces
        predict(models[1], RNG.normal(size=(rows, 3)))
    assert len(traced) == 3
    predict(network(units=5), RNG.normal(size=(3, 3)))  # another structure
    assert len(traced) == 4
