import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.training import DataNoise, fit
from mixtura.training.batches import Batches

JAX = keras.backend.backend() == "jax"
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 2)).astype("float32"), RNG.normal(size=(20, 1)).astype("float32")
KEY = np.array([1, 2], np.uint32)


def added(noise, batch, key=KEY, step=0):
    return keras.tree.map_structure(np.asarray, noise.add(batch, key, step))


class Recorder(keras.layers.Layer):
    """Keeps what it is shown in training: the first two rows of each batch, in order."""

    def build(self, shape):
        self.seen = self.add_weight(shape=(64, 4), initializer="zeros", trainable=False)
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, x, training=False):
        if training:
            place = ops.cast(ops.arange(64)[:, None] == self.count, "float32")
            self.seen.assign(self.seen + place * ops.reshape(x[:2], (1, 4)))
            self.count.assign(self.count + 1)
        return x * self.scale


class Counter(keras.callbacks.Callback):
    """Needs every batch, so that Keras trains."""

    def on_train_batch_end(self, batch, logs=None):
        self.last = batch


def recorded(noise, callbacks=(), **options):
    """Return the first rows of the batches that a network meets in training, and the history."""
    model = keras.Sequential([keras.Input((2,)), Recorder()])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    options = {"batch_size": 8, "epochs": 2, "seed": 0, "shuffle": False, "verbose": 0} | options
    history = fit(model, X, np.zeros_like(X), noise=noise, callbacks=list(callbacks), **options)
    recorder = model.layers[-1]
    return ops.convert_to_numpy(recorder.seen)[: int(recorder.count)], history.history


PATHS = [
    pytest.param([], id="compiled", marks=pytest.mark.skipif(not JAX, reason="only JAX compiles epochs")),
    pytest.param([Counter], id="by_keras"),
]


@pytest.mark.parametrize("callbacks", PATHS)
def test_noise_is_not_drawn_once_but_in_every_step(callbacks):
    callbacks = [callback() for callback in callbacks]
    seen, _ = recorded(DataNoise(x=0.5), callbacks)
    plain, _ = recorded(None, callbacks)
    assert len(seen) == len(plain) == 6
    assert len(np.unique(np.round(seen - plain, 4))) == 24
    expected = []
    batches = Batches((X,), 8, False, 0, DataNoise(x=0.5))
    for epoch in range(2):
        batches.start(epoch)
        expected += [ops.convert_to_numpy(batches[step][0])[:2].ravel() for step in range(3)]
    np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not JAX, reason="only JAX compiles epochs")
@pytest.mark.parametrize("batch_size", [8, 12])  # of 12, one is whole
def test_compiled_or_not_the_noise_is_the_same(batch_size):
    compiled, history = recorded(DataNoise(0.5, 0.3), batch_size=batch_size)
    by_keras, expected = recorded(DataNoise(0.5, 0.3), [Counter()], batch_size=batch_size)
    np.testing.assert_allclose(compiled, by_keras, rtol=1e-6, atol=1e-6)  # XLA adds a product in one rounding
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_the_same_seed_has_the_same_noise():
    noise = DataNoise(x=0.5)
    np.random.seed(1)  # noqa: NPY002 - no influence
    first, _ = recorded(noise, seed=1)
    np.random.seed(2)  # noqa: NPY002
    again, _ = recorded(noise, seed=1)
    other, _ = recorded(noise, seed=2)
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).any()


def test_without_a_seed_it_is_numpys_that_counts():
    noise = DataNoise(x=0.5)
    drawn = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        drawn.append(recorded(noise, seed=None)[0])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.isclose(drawn[0], drawn[2]).any()


def test_none_is_added_in_validation_and_prediction():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = fit(model, X, Y, validation_data=(X, Y), noise=DataNoise(5.0, 5.0), seed=0, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model.predict(X, verbose=0), X @ kernel + bias, rtol=1e-4, atol=1e-5)
    assert history["loss"][0] > 2 * history["val_loss"][0]


def test_its_standard_deviations_are_as_asked():
    x, y = added(DataNoise(0.5, 2.0), (np.full((4000, 3), 7, "float32"), np.full(4000, -1, "float32")))
    for noisy, mean, width in ((x, 7, 0.5), (y, -1, 2.0)):
        assert noisy.dtype == "float32"
        assert np.isfinite(noisy).all()
        assert noisy.mean() == pytest.approx(mean, abs=4 * width / np.sqrt(noisy.size))
        assert noisy.std() == pytest.approx(width, rel=4 / np.sqrt(2 * noisy.size))
    assert np.corrcoef(x[:, 0], y)[0, 1] == pytest.approx(0, abs=4 / np.sqrt(4000))
    assert np.corrcoef(x[:, 0], x[:, 1])[0, 1] == pytest.approx(0, abs=4 / np.sqrt(4000))


def test_every_array_key_and_step_has_its_own():
    noise, zeros = DataNoise(1.0, 1.0), np.zeros((5, 2), "float32")
    draws = [*added(noise, ([zeros, zeros], {"a": zeros, "b": zeros}))[0]]
    draws += added(noise, (zeros, {"a": zeros, "b": zeros}))[1].values()
    draws += [added(noise, (zeros,), step=1)[0], added(noise, (zeros,), key=KEY + np.uint32(1))[0]]
    draws = np.stack(draws[:2] + draws[3:])  # the third is the second array of its batch, as [1] is
    for k, draw in enumerate(draws):
        assert not any(np.isclose(draw, other).all() for other in draws[:k])
    np.testing.assert_array_equal(*[added(noise, (zeros,), step=3)[0] for _ in range(2)])


def test_integers_weights_and_the_rest_are_left_alone():
    x = {"a": np.arange(4), "b": np.zeros(4, "float32")}
    batch = (x, np.arange(4), np.ones(4, "float32"))
    noisy = added(DataNoise(1.0, 1.0), batch)
    np.testing.assert_array_equal(noisy[0]["a"], x["a"])
    assert noisy[0]["b"].all()
    np.testing.assert_array_equal(noisy[1], batch[1])
    np.testing.assert_array_equal(noisy[2], batch[2])
    assert DataNoise(1.0).add((x["b"],), KEY, 0)[0].shape == (4,)
    assert DataNoise(1.0).add((x["b"], None, x["b"]), KEY, 0)[1] is None
    x_only = DataNoise(x=1.0).add((x["b"], x["b"]), KEY, 0)
    assert x_only[1] is x["b"]


def test_the_rule_of_thumb_is_rothfuss():
    noise = DataNoise.rule_of_thumb(1000, 3, 0.5)
    assert noise.x == noise.y == pytest.approx(0.5 * 1000 ** (-1 / 7))
    assert DataNoise.rule_of_thumb(1, 3) == DataNoise(1.0, 1.0)


@pytest.mark.parametrize("width", [-0.1, float("nan"), "wide"])
def test_a_width_is_a_number_of_0_or_more(width):
    with pytest.raises(ValueError, match="x must be"):
        DataNoise(x=width)


def test_it_keeps_a_density_from_spiking():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(16, "tanh"), mx.MDN(mx.Normal(1))])
    model.compile(keras.optimizers.Adam(0.05), mx.NegativeLogLikelihood(mx.Normal(1)))
    x = np.zeros((32, 1), "float32")
    fit(model, x, x, epochs=200, noise=DataNoise(0.0, 0.3), seed=0, verbose=0)
    prediction = mx.Normal(1)(model.predict(x[:1], verbose=0))
    assert np.sqrt(prediction.variance()) == pytest.approx(0.3, rel=0.2)
