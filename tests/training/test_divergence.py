import contextlib

import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.errors import TrainingError
from mixtura.training import DataNoise, fit
from mixtura.training.batches import Batches

JAX = keras.backend.backend() == "jax"
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 2)).astype("float32"), RNG.normal(size=(20, 2)).astype("float32")
JOINT = mx.Joint(a=mx.Normal(1), b=mx.Mixture(mx.Normal(1), 2))


def planted(array, place, value=np.nan):
    array = array.copy()
    array[place] = value
    return array


def network(family=JOINT, shape=(2,)):
    model = keras.Sequential([keras.Input(shape), mx.MDN(family)])
    model.compile("adam", mx.NegativeLogLikelihood(family))
    return model


def regression(loss="mse", rate=0.01):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(rate), loss)
    return model


@pytest.fixture
def undefined(monkeypatch):
    """Give normal distributions an undefined density above 50: families have none of their own."""
    if JAX:  # neither use programs that are there nor leave some
        from mixtura.training import programs

        monkeypatch.setattr(programs, "_shared", type(programs._shared)())
    log_prob = mx.Normal._log_prob

    def partly(self, xp, params, y):
        return log_prob(self, xp, params, y) + xp.where(y[..., 0] > 50, np.float32(np.nan), np.float32(0))

    monkeypatch.setattr(mx.Normal, "_log_prob", partly)


class Counter(keras.callbacks.Callback):
    """Needs every batch, so that Keras trains."""

    def on_train_batch_end(self, batch, logs=None):
        self.last = batch


class Weights(keras.callbacks.Callback):
    """Keeps the weights of every epoch's start."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_epoch_begin(self, epoch, logs=None):
        self.kept.append(self.model.get_weights())


def failure(model, x=X, y=Y, callbacks=(), **options):
    """Return the error of training; the model must have the weights of the last epoch's start."""
    weights = Weights()
    with pytest.raises(TrainingError) as raised:
        fit(model, x, y, **{"batch_size": 8, "verbose": 0, "callbacks": [weights, *callbacks]} | options)
    for found, wanted in zip(model.get_weights(), weights.kept[-1], strict=True):
        np.testing.assert_array_equal(found, wanted)
    return str(raised.value)


def step_of(row, seed, epoch=0):
    """Return the number of the step, from 1, that meets a row."""
    batches = Batches((X, Y), 8, seed=seed)
    batches.start(epoch)
    return next(step + 1 for step in range(len(batches)) if row in batches.where(step))


PATHS = [
    pytest.param([], id="compiled", marks=pytest.mark.skipif(not JAX, reason="only JAX compiles epochs")),
    # Where both exist, finding the row is the same.
    pytest.param([Counter], id="by_keras", marks=[pytest.mark.slow] * JAX),
]


@pytest.fixture(params=PATHS)
def path(request):
    """Both ways of training, as options of `fit`."""
    return {"callbacks": [callback() for callback in request.param], "seed": 3}


@pytest.mark.parametrize("row", [0, 11, 19])
def test_a_target_is_named_with_its_part(path, row):
    said = failure(network(), y=planted(Y, (row, 1)), **path)
    where = f"epoch 1, step {step_of(row, 3)}: y[{row}, 1] is nan, in part 'b'."
    assert said == f"The loss or a weight became infinite or NaN in {where}"


def test_an_input_is_named(path):
    said = failure(network(), x=planted(X, (11, 0), np.inf), **path)
    assert said.endswith(f"in epoch 1, step {step_of(11, 3)}: x[11, 0] is inf.")


def test_a_weight_is_named(path):
    weight = planted(np.ones(20, "float32"), 7)
    said = failure(network(), sample_weight=weight, **path)
    assert said.endswith(f"in epoch 1, step {step_of(7, 3)}: sample_weight[7] is nan.")


def test_one_of_several_inputs_is_named(path):
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model({"a": a, "b": b}, keras.layers.Dense(2)(a + b))
    model.compile("adam", "mse")
    said = failure(model, x={"a": X, "b": planted(X, (4, 1))}, **path)
    assert said.endswith(f"in epoch 1, step {step_of(4, 3)}: x[4, 1] is nan.")


def bad_row(y_true, y_pred):
    """Undefined where the target is above 50."""
    return ops.mean(ops.square(y_true - y_pred) + ops.sqrt(50 - y_true), axis=-1)


def test_a_row_with_an_undefined_loss_is_named(path):
    model = regression(bad_row)
    said = failure(model, y=planted(Y, (13, 0), 60.0), **path)
    assert said.endswith(f"in epoch 1, step {step_of(13, 3)}: row 13 alone causes it.")


def test_the_part_with_an_undefined_density_is_named(path, undefined):
    said = failure(network(), y=planted(Y, (13, 0), 60), **path)
    where = f"epoch 1, step {step_of(13, 3)}: row 13 alone causes it"
    assert said.endswith(f"{where}: the log density of part 'a' is nan.")


def test_the_time_step_is_named(path, undefined):
    y = planted(RNG.normal(size=(20, 5, 1)).astype("float32"), (6, 3), 60)
    x = RNG.normal(size=(20, 5, 2)).astype("float32")
    said = failure(network(mx.Normal(1), (5, 2)), x=x, y=y, **path)
    assert said.endswith("row 6 alone causes it: the log density of Normal() is nan at time step 3.")


@pytest.mark.slow
def test_the_place_in_a_sequence_is_named(path):
    y = planted(RNG.normal(size=(20, 5, 2)).astype("float32"), (6, 3, 1))
    said = failure(network(JOINT, (5, 2)), x=RNG.normal(size=(20, 5, 2)), y=y, **path)
    assert said.endswith("y[6, 3, 1] is nan, in part 'b'.")


def test_an_overflow_in_the_network_is_named(path):
    model = network()
    model.set_weights([np.full_like(weight, 10) for weight in model.get_weights()])
    said = failure(model, x=planted(X, 13, 3e38), **path)
    assert said.endswith("row 13 alone causes it: the network's output for it is not finite.")


def test_the_epoch_is_named_and_its_first_weights_restored(path):
    said = failure(regression(rate=1e6), epochs=20, **path)
    epoch = int(said.split("epoch ")[1].split(",")[0])
    assert 1 < epoch < 20


def test_a_huge_learning_rate_is_found_to_be_the_whole_batch(path):
    model = regression(rate=1e25)
    assert "epoch 1, step 2: row" in failure(model, **path)


@pytest.mark.slow
def test_the_row_is_found_behind_noise(path):
    said = failure(network(), y=planted(Y, (11, 1)), noise=DataNoise(0.1, 0.1), **path)
    assert f"step {step_of(11, 3)}: y[11, 1] is nan, in part 'b'." in said


def test_without_a_seed_too():
    said = failure(network(), y=planted(Y, (11, 1)), shuffle=False)
    assert said.startswith("The loss or a weight became infinite or NaN in epoch 1, step 2: ")
    assert ("y[11, 1] is nan" in said) == JAX  # elsewhere Keras makes the batches


def test_data_that_are_no_arrays_have_no_rows():
    def generator():
        yield X[:8], Y[:8]
        while True:
            yield X[8:16], planted(Y, (11, 1))[8:16]

    said = failure(network(), x=generator(), y=None, batch_size=None, steps_per_epoch=3, shuffle=False)
    assert "epoch 1, step 2: Keras made the batches, so the row is not known." in said


def test_training_goes_on_after_the_error(path):
    model = network()
    failure(model, y=planted(Y, (11, 1)), **path)
    history = fit(model, X, Y, verbose=0, seed=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_failed_epoch_leaves_no_trace(path):
    rate = 0.5 if JAX else 0.0  # PyTorch's dropout draws from a global generator

    def trained(*ys):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(rate), mx.MDN(JOINT)])
        model.compile("adam", mx.NegativeLogLikelihood(JOINT))
        for y in ys:
            with contextlib.suppress(TrainingError):
                fit(model, X, y, verbose=0, batch_size=8, seed=3, callbacks=path["callbacks"])
        return [ops.convert_to_numpy(v) for v in (*model.variables, *model.optimizer.variables)]

    assert all(map(np.array_equal, trained(Y), trained(planted(Y, (11, 1)), Y)))
