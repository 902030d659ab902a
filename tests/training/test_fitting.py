"""`fit` against `keras.Model.fit`: one name for each thing that a user may ask for."""

import keras
import numpy as np
import pytest

import mixtura as mx
from mixtura.training import fit

JAX = keras.backend.backend() == "jax"
layers = keras.layers

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 2)).astype("float32"), RNG.normal(size=(16, 1)).astype("float32")
WEIGHT = RNG.uniform(size=16).astype("float32")
CLASS = RNG.integers(3, size=16)
STEPS = RNG.normal(size=(16, 5, 2)).astype("float32")
STEPS[::2, 3:] = 0  # padding
TARGETS = RNG.normal(size=(16, 5, 1)).astype("float32")
TOKENS = RNG.integers(0, 4, size=(16, 5))
FAMILY = mx.Mixture(mx.Normal(1), 2)


def network(*inner, inputs=2, last=None, **compiled):
    def make():
        copies = [layer() for layer in inner]
        model = keras.Sequential([keras.Input((inputs,)), *copies, last() if last else layers.Dense(1)])
        # Each model has its own optimizer and metrics, which have a state.
        options = {name: value if name == "loss" else value() for name, value in compiled.items()}
        model.compile(**{"optimizer": "adam", "loss": "mse"} | options)
        return model

    return make


def optimizer(name, **options):
    return network(optimizer=lambda: getattr(keras.optimizers, name)(**{"learning_rate": 0.1} | options))


def sequences(*inner, shape=(5, 2)):
    def make():
        model = keras.Sequential([keras.Input(shape), *[layer() for layer in inner], mx.MDN(mx.Normal(1))])
        model.compile("adam", mx.NegativeLogLikelihood(mx.Normal(1)))
        return model

    return make


def several(**compiled):
    def make():
        a, b = keras.Input((2,), name="a"), keras.Input((1,), name="b")
        both = layers.Dense(3, "tanh")(layers.Concatenate()([a, b]))
        outputs = {"mean": layers.Dense(1, name="mean")(both), "head": mx.MDN(FAMILY, name="head")(both)}
        model = keras.Model({"a": a, "b": b}, outputs)
        loss = {"mean": "mse", "head": mx.NegativeLogLikelihood(FAMILY)}
        model.compile("adam", loss, **compiled)
        return model

    return make


def several_in_lists():
    a, b = keras.Input((2,)), keras.Input((1,))
    both = layers.Dense(3, "tanh")(layers.Concatenate()([a, b]))
    model = keras.Model([a, b], [layers.Dense(1, name="c")(both), layers.Dense(1, name="d")(both)])
    model.compile("adam", ["mse", "mae"], loss_weights=[1.0, 0.5])
    return model


def unbuilt():
    model = keras.Sequential([layers.Dense(3, "tanh"), layers.Dropout(0.5), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


class Own(keras.Model):
    """Reports the size of a weight besides the metrics."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, *args):
        if not JAX:
            return super().train_step(*args)
        logs, state = super().train_step(*args)
        return logs | {"weight": state[0][0].sum()}, state


class LastLoss(Own):
    """Calls the loss of a batch by the name of a metric, and Keras prefers the metric."""

    def train_step(self, *args):
        if not JAX:
            return super().train_step(*args)
        logs, state = super().train_step(*args)
        return {"loss": logs["loss"] * 0}, state


def own(kind):
    def make():
        model = kind()
        model.compile("sgd", "mse")
        return model

    return make


def frozen():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3, trainable=False), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def run(train, make, data, callbacks=(), **options):
    """Train a model in the same circumstances; return what came of it."""
    keras.utils.set_random_seed(3)
    model = make()
    np.random.seed(4)  # noqa: NPY002 - the order that Keras draws
    options = {"batch_size": 8, "epochs": 2, "verbose": 0} | options
    options = {name: value() if callable(value) else value for name, value in options.items()}
    history = train(model, **data, callbacks=[callback() for callback in callbacks], **options)
    values = [keras.ops.convert_to_numpy(v) for v in (*model.variables, *model.optimizer.variables)]
    return model, history, [*values, np.random.random()]  # noqa: NPY002 - as many draws as Keras


def check_same(make, data=None, **options):
    """Assert that `fit` gives every loss, weight and optimiser variable of `keras.Model.fit`, to the bit."""
    data = data or {"x": X, "y": Y}
    _, expected, wanted = run(keras.Model.fit, make, data, **options)
    with pytest.MonkeyPatch.context() as patch:
        if JAX:
            patch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("Keras trained"))
        model, history, found = run(fit, make, data, **options)
    assert history is model.history
    assert history.history == expected.history
    assert list(history.history) == list(expected.history)
    assert history.epoch == expected.epoch
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    return model, history.history


plateau = keras.callbacks.ReduceLROnPlateau
stopping = keras.callbacks.EarlyStopping


def generated(count):
    """Yield batches; on TensorFlow, which reads ahead by as much as time allows, always the same one."""
    for number in range(count):
        place = 0 if keras.backend.backend() == "tensorflow" else number
        yield X[place : place + 4], Y[place : place + 4]


SAME = {
    "dense": (network(),),
    "dropout": (network(lambda: layers.Dropout(0.5), lambda: layers.GaussianNoise(0.1)),),
    "batch_normalisation": (network(lambda: layers.BatchNormalization(momentum=0.5)),),
    "regularisation_losses": (
        network(
            lambda: layers.Dense(3, kernel_regularizer="l2"), lambda: layers.ActivityRegularization(0.1, 0.1)
        ),
    ),
    "sample_weights": (network(weighted_metrics=lambda: ["mae"]), {"x": X, "y": Y, "sample_weight": WEIGHT}),
    "sample_weights_of_sequences": (sequences(), {"x": STEPS, "y": TARGETS, "sample_weight": WEIGHT}),
    "class_weights": (
        network(last=lambda: layers.Dense(3, "softmax"), loss="sparse_categorical_crossentropy"),
        {"x": X, "y": CLASS, "class_weight": {0: 2.0, 2: 0.5}},
    ),
    "masks_and_weights_of_steps": (
        sequences(lambda: layers.Masking(), lambda: layers.LSTM(2, return_sequences=True)),
        {"x": STEPS, "y": TARGETS, "sample_weight": RNG.uniform(size=(16, 5))},
    ),
    "masks_of_an_embedding": (
        sequences(lambda: layers.Embedding(4, 2, mask_zero=True), lambda: layers.LSTM(2), shape=(5,)),
        {"x": TOKENS, "y": Y},
    ),
    "metrics": (
        network(
            last=lambda: mx.MDN(FAMILY),
            loss=mx.NegativeLogLikelihood(FAMILY),
            weighted_metrics=lambda: [mx.metrics.NegativeLogLikelihood(FAMILY)],
        ),
    ),
    "metrics_with_state": (
        network(metrics=lambda: [keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score()]),
        {"x": X, "y": Y},
        {"validation_split": 0.5},
    ),
    "exponential_decay": (
        optimizer("SGD", learning_rate=keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
    ),
    "cosine_decay": (
        optimizer("Adam", learning_rate=keras.optimizers.schedules.CosineDecay(0.1, 5, warmup_steps=2)),
    ),
    "clipnorm": (optimizer("Adam", clipnorm=0.1),),
    "clipvalue": (optimizer("SGD", clipvalue=0.01, momentum=0.9),),
    "global_clipnorm": (optimizer("RMSprop", global_clipnorm=0.1),),
    "ema": (optimizer("SGD", use_ema=True, ema_momentum=0.5),),
    "ema_overwriting": (optimizer("Adam", use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),),
    "ema_swapped": (
        optimizer("SGD", use_ema=True, ema_momentum=0.5),
        {"x": X, "y": Y, "validation_data": (X, Y)},
        {"callbacks": [lambda: keras.callbacks.SwapEMAWeights(swap_on_epoch=True)], "epochs": 3},
    ),
    "gradient_accumulation": (optimizer("Adam", gradient_accumulation_steps=2), None, {"epochs": 3}),
    "weight_decay": (optimizer("AdamW", weight_decay=0.1),),
    "bfloat16": (network(lambda: layers.Dense(3, "tanh", dtype="mixed_bfloat16")),),
    "float16": (
        network(
            lambda: layers.Dense(3, "tanh", dtype="mixed_float16"),
            optimizer=lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), 2.0**20),
        ),
    ),
    "partial_last_batch": (network(lambda: layers.BatchNormalization()), None, {"batch_size": 6}),
    "one_whole_batch_and_the_rest": (
        optimizer("RMSprop", momentum=0.9, centered=True),
        None,
        {"batch_size": 10, "epochs": 5},
    ),
    "batch_larger_than_the_data": (network(), None, {"batch_size": 64}),
    "default_batch_size": (network(), None, {"batch_size": None}),
    "fixed_order": (network(), None, {"shuffle": False}),
    "initial_epoch": (network(), None, {"initial_epoch": 1, "epochs": 3}),
    "nothing_to_do": (network(), None, {"initial_epoch": 2}),
    "integers": (network(), {"x": RNG.integers(9, size=(16, 2)), "y": RNG.integers(9, size=16)}),
    "bytes_and_doubles": (network(), {"x": TOKENS[:, :2].astype("uint8"), "y": Y.astype("float64")}),
    "unbuilt": (unbuilt,),
    "frozen_layer": (frozen,),
    "validation_data": (
        network(metrics=lambda: ["mae"]),
        {"x": X, "y": Y, "validation_data": (X[:9], Y[:9])},
    ),
    "validation_weights": (network(), {"x": X, "y": Y, "validation_data": (X[:9], Y[:9], WEIGHT[:9])}),
    "validation_split": (
        network(lambda: layers.Dropout(0.5), lambda: layers.BatchNormalization()),
        {"x": X, "y": Y, "sample_weight": WEIGHT},
        {"validation_split": 0.3, "epochs": 5},
    ),
    "validation_freq": (network(), None, {"validation_split": 0.3, "validation_freq": 2, "epochs": 4}),
    "validation_freq_list": (
        network(),
        None,
        {"validation_split": 0.3, "validation_freq": [1, 3], "epochs": 4},
    ),
    "validation_batch_size": (network(), None, {"validation_split": 0.5, "validation_batch_size": 3}),
    "validation_steps": (
        network(),
        {"x": X, "y": Y, "validation_data": (X, Y)},
        {"validation_steps": 1, "validation_batch_size": 4},
    ),
    "validation_generator": (
        network(),
        None,
        {"validation_data": lambda: generated(12), "validation_steps": 3},
    ),
    "several_inputs_and_outputs": (
        several(loss_weights={"mean": 0.5, "head": 2.0}, metrics={"mean": ["mae"]}),
        {"x": {"a": X, "b": Y}, "y": {"mean": Y, "head": Y}},
        {"validation_split": 0.5},
    ),
    "one_weight_for_several_outputs": (
        several(),
        {"x": {"a": X, "b": Y}, "y": {"mean": Y, "head": Y}, "sample_weight": WEIGHT},
    ),
    "a_weight_for_each_output": (
        several(),
        {
            "x": {"a": X, "b": Y},
            "y": {"mean": Y, "head": Y},
            "sample_weight": {"mean": WEIGHT, "head": WEIGHT**2},
        },
    ),
    "lists": (several_in_lists, {"x": [X, Y], "y": [Y, Y]}),
    "own_train_step": (own(Own),),
    "own_name_of_a_metric": (own(LastLoss),),
    "learning_rate_scheduler": (
        network(),
        None,
        {
            "callbacks": [
                lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / (epoch + 1))
            ]
        },
    ),
    "reduced_learning_rate": (
        network(),
        None,
        {"callbacks": [lambda: plateau(monitor="loss", patience=1, min_delta=9.0)], "epochs": 4},
    ),
    "early_stopping": (
        optimizer("SGD", learning_rate=3.0),
        None,
        {
            "validation_split": 0.5,
            "callbacks": [lambda: stopping(patience=2, restore_best_weights=True)],
            "epochs": 9,
        },
    ),
}


# Each compiles two programs or more; of these the others have the like, or most of it.
LIKE_OTHERS = {
    "dense",
    "metrics_with_state",
    "several_inputs_and_outputs",
    "one_whole_batch_and_the_rest",
    "validation_freq_list",
    "unbuilt",
    "dropout",
    "batch_normalisation",
    "regularisation_losses",
    "sample_weights",
    "class_weights",
    "masks_of_an_embedding",
    "metrics",
    "exponential_decay",
    "clipnorm",
    "clipvalue",
    "ema",
    "ema_overwriting",
    "weight_decay",
    "bfloat16",
    "float16",
    "partial_last_batch",
    "batch_larger_than_the_data",
    "integers",
    "frozen_layer",
    "validation_data",
    "validation_weights",
    "validation_freq",
    "validation_batch_size",
    "one_weight_for_several_outputs",
    "a_weight_for_each_output",
    "lists",
    "own_train_step",
    "learning_rate_scheduler",
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=[pytest.mark.slow] * (name in LIKE_OTHERS))
        for name, case in SAME.items()
    ],
)
def test_gives_the_losses_and_weights_of_keras(case):
    make, data, options = (*case, None, None)[:3]
    check_same(make, data, **(options or {}))


@pytest.mark.parametrize("data", [((X, Y) for _ in range(9)), [[1.0]]], ids=["generator", "lists"])
@pytest.mark.parametrize("own", [{"seed": 0}, {"noise": mx.training.DataNoise(1.0)}], ids=["seed", "noise"])
def test_seeds_and_noise_are_for_arrays(data, own):
    with pytest.raises(ValueError, match="for arrays"):
        run(fit, network(), {"x": data}, batch_size=None, **own)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"class_weight": {0: 1.0}, "sample_weight": WEIGHT}, "sample_weight"),
        ({"class_weight": {0: 1.0}, "sample_weight": WEIGHT, "seed": 0}, "sample_weight"),
        ({"validation_split": 0.99}, "validation_split"),
        ({"y": Y[:5]}, "equally many rows"),
        ({"x": X[:0], "y": Y[:0], "seed": 0}, "no rows"),
        ({"validation_split": 0.5, "validation_freq": None}, "validation_freq"),
    ],
)
def test_mistakes_are_explained(wrong, says):
    with pytest.raises((ValueError, TypeError), match=says):
        run(fit, network(), {"x": X, "y": Y} | wrong)


@pytest.mark.parametrize("seed", [None, 0])
def test_an_uncompiled_model_has_keras_error(seed):
    with pytest.raises(ValueError, match="compile"):
        run(fit, lambda: keras.Sequential([keras.Input((2,)), layers.Dense(1)]), {"x": X, "y": Y}, seed=seed)


def test_verbose_prints_one_bar_for_each_epoch(capsys):
    run(fit, network(), {"x": X, "y": Y}, verbose=1, epochs=3)
    lines = capsys.readouterr().out.replace("\r", "\n").split("\n")
    assert [line.strip() for line in lines if line.startswith("Epoch")] == [f"Epoch {k}/3" for k in (1, 2, 3)]
    if JAX:
        assert sum("2/2" in line and "loss:" in line for line in lines) == 3
    run(fit, network(), {"x": X, "y": Y}, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_model_goes_on_as_any_model_does(tmp_path):
    make = network(lambda: layers.Dense(3, "tanh"), metrics=lambda: ["mae"])
    model, history, _ = run(fit, make, {"x": X, "y": Y, "validation_data": (X, Y)})
    found = model.evaluate(X, Y, batch_size=8, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(history.history["val_loss"][-1], rel=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for again in (model, loaded):
        fit(again, X, Y, batch_size=8, seed=1, verbose=0)
    expected, *_ = run(keras.Model.fit, make, {"x": X, "y": Y})
    assert model.optimizer.iterations == loaded.optimizer.iterations == expected.optimizer.iterations + 2
    np.testing.assert_array_equal(model.get_weights()[0], loaded.get_weights()[0])
