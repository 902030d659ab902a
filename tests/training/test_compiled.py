"""Which trainings are compiled, and that the others are Keras' own."""

import keras
import numpy as np
import pytest

from mixtura.training import fit

JAX = keras.backend.backend() == "jax"
layers = keras.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 2)).astype("float32"), RNG.normal(size=(16, 1)).astype("float32")


def network(**compiled):
    model = keras.Sequential([keras.Input((2,)), layers.Dropout(0.5), layers.Dense(1)])
    model.compile("adam", "mse", **compiled)
    return model


def run(train, data, make=network, callbacks=(), **options):
    """Train a model in the same circumstances; return the history and what it has become."""
    keras.utils.set_random_seed(3)
    model = make()
    options = {"batch_size": 8, "epochs": 2, "verbose": 0} | options
    history = train(model, **data, callbacks=[callback() for callback in callbacks], **options)
    assert history is model.history
    values = [*model.variables, *model.optimizer.variables]
    return history.history, [keras.ops.convert_to_numpy(value) for value in values]


class Parts(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, place):
        return X[8 * place : 8 * place + 8], Y[8 * place : 8 * place + 8]


def generator():
    while True:
        yield from (Parts()[0], Parts()[1])


def mapped(folder):
    array = np.memmap(folder / "x", "float32", "w+", shape=X.shape)
    array[:] = X
    return array


class Counter(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.counted = batch


NOT_COMPILED = {
    "dataset": lambda _: ({"x": Parts()}, {"batch_size": None}),
    "generator": lambda _: ({"x": generator}, {"batch_size": None, "steps_per_epoch": 2, "shuffle": False}),
    "memory_mapped_file": lambda folder: ({"x": mapped(folder), "y": Y}, {}),
    "steps_per_epoch": lambda _: ({"x": X, "y": Y}, {"steps_per_epoch": 1}),
    "batch_callback": lambda _: ({"x": X, "y": Y}, {"callbacks": [Counter]}),
    "eager": lambda _: ({"x": X, "y": Y}, {"make": lambda: network(run_eagerly=True)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NOT_COMPILED.values(), ids=NOT_COMPILED)
def test_leaves_to_keras_what_only_keras_can(case, tmp_path, monkeypatch):
    data, options = case(tmp_path)

    def fresh():
        return {name: value() if callable(value) else value for name, value in data.items()}

    expected, wanted = run(keras.Model.fit, fresh(), **options)
    calls, keras_fit = [], keras.Model.fit
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **how: calls.append(1) or keras_fit(*args, **how))
    history, found = run(fit, fresh(), **options)
    assert calls == [1]
    assert history == expected
    assert all(map(np.array_equal, found, wanted))


def test_trains_on_tensorflow_datasets():
    tf = pytest.importorskip("tensorflow")
    data = {"x": tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)}
    expected, wanted = run(keras.Model.fit, data, batch_size=None, shuffle=False)
    history, found = run(fit, data, batch_size=None, shuffle=False)
    assert history == expected
    assert all(map(np.array_equal, found, wanted))


def test_reads_tables():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y[:, 0]})
    expected, wanted = run(fit, {"x": X, "y": Y}, seed=0)
    history, found = run(fit, {"x": table[["a", "b"]], "y": table["y"]}, seed=0)
    assert history == expected
    assert all(map(np.array_equal, found, wanted))


@pytest.mark.skipif(not JAX, reason="elsewhere nothing is compiled")
class TestCompiled:
    def test_with_callbacks_of_keras_that_need_no_batches(self, tmp_path, monkeypatch):
        path = tmp_path / "last.weights.h5"
        callbacks = [
            lambda: keras.callbacks.ModelCheckpoint(path, save_weights_only=True),
            keras.callbacks.TerminateOnNaN,
            lambda: keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        ]
        expected, wanted = run(keras.Model.fit, {"x": X, "y": Y}, callbacks=callbacks)
        path.unlink()
        monkeypatch.setattr(keras.Model, "fit", None)
        history, found = run(fit, {"x": X, "y": Y}, callbacks=callbacks)
        assert history == expected
        model = network()
        model.optimizer.build(model.trainable_variables)
        model.load_weights(path)
        assert all(
            map(np.array_equal, model.get_weights(), [value for value in wanted if value.dtype == "float32"])
        )
        assert all(map(np.array_equal, found, wanted))

    @pytest.mark.parametrize("seed", [None, 5])
    def test_an_epoch_has_the_same_result_compiled_and_not(self, seed):
        data = {"x": X, "y": Y, "seed": seed}
        expected, wanted = run(fit, data, callbacks=[Counter])  # Keras trains
        history, found = run(fit, data)
        assert history == expected
        assert all(map(np.array_equal, found, wanted))

    def test_large_data_are_left_to_keras(self, monkeypatch):
        from mixtura.training import compiled

        assert compiled.fits_on_device((X, Y))
        monkeypatch.setattr(compiled, "_host_memory", lambda: 4 * (X.nbytes + Y.nbytes))
        assert not compiled.fits_on_device((X, Y))
        monkeypatch.setattr(compiled, "_host_memory", lambda: None)
        assert compiled.fits_on_device((X, Y))

    def test_trains_arrays_of_jax(self):
        import jax.numpy as jnp

        expected, wanted = run(fit, {"x": X, "y": Y})
        history, found = run(fit, {"x": jnp.asarray(X), "y": jnp.asarray(Y)})
        assert history == expected
        assert all(map(np.array_equal, found, wanted))
