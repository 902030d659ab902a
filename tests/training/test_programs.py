import functools
import gc
import weakref

import keras
import numpy as np
import pytest

import mixtura as mx
from mixtura.training import DataNoise, fit, state
from mixtura.training.batches import Batches

if keras.backend.backend() != "jax":
    pytest.skip("programs exist on JAX only", allow_module_level=True)

from mixtura.training import programs

layers = keras.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 2)).astype("float32"), RNG.normal(size=(8, 1)).astype("float32")


@pytest.fixture(autouse=True)
def _no_programs(monkeypatch):
    monkeypatch.setattr(programs, "_shared", type(programs._shared)())


@pytest.fixture
def traces(monkeypatch):
    """A list that grows whenever a training step is traced."""
    counted, step = [], keras.Model.train_step

    @functools.wraps(step)
    def count(*args):
        counted.append(1)
        return step(*args)

    monkeypatch.setattr(keras.Model, "train_step", count)
    return counted


def network(*inner, name=None, inputs=2, loss="mse", optimizer="adam", **compiled):
    model = keras.Sequential([keras.Input((inputs,)), *inner, layers.Dense(1, name=name)])
    model.compile(optimizer, loss, **compiled)
    return model


def learn(train, model, x=X, y=Y):
    np.random.seed(0)  # noqa: NPY002 - the order that Keras draws
    history = train(model, x, y, batch_size=4, epochs=2, verbose=0).history
    return history, [np.asarray(weight) for weight in model.get_weights()]


def check_own_result(model, copy, x=X, y=Y):
    """Assert that `fit` makes of a model what Keras makes of its copy."""
    copy.set_weights(model.get_weights())
    history, weights = learn(fit, model, x, y)
    expected, wanted = learn(keras.Model.fit, copy, x, y)
    assert history == expected
    assert all(map(np.array_equal, weights, wanted))


def of(model, noise=None):
    """Return the programs of a model, which compile nothing before they are called."""
    x, y = X[:, : model.inputs[0].shape[-1]], [Y] * len(model.outputs)
    x, y = ([x] * len(model.inputs), y) if len(model.inputs) > 1 else (x, y[0])
    state.build(model, Batches((x, y), 4))
    return programs.programs(model, noise)


def functional(first="a", second="b", heads=("mean", "scale")):
    a, b = keras.Input((1,), name=first), keras.Input((1,), name=second)
    both = layers.Concatenate()([a, layers.Dense(2)(b)])
    model = keras.Model([a, b], [layers.Dense(1, name=head)(both) for head in heads])
    model.compile("adam", ["mse"] * len(heads))
    return model


def density(family, learned=None):
    model = keras.Sequential([keras.Input((2,)), mx.MDN(family)])
    model.compile("adam", mx.NegativeLogLikelihood(learned or family))
    return model


def three_layers(frozen=None):
    model = network(*(layers.Dense(2, use_bias=False) for _ in range(3)))
    if frozen is not None:
        model.layers[frozen].kernel.trainable = False
        model.compile("adam", "mse")
    return model


def decayed(*excluded):
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=list(excluded))
    return network(layers.Dense(2), optimizer=optimizer)


def adapted(data):
    normalization = layers.Normalization()
    normalization.adapt(data)
    return network(normalization)


def with_own_loss(loss):
    model = network()
    model.compute_loss = loss
    return model


def rate(value, **options):
    return network(optimizer=keras.optimizers.Adam(value, **options))


decay = keras.optimizers.schedules.ExponentialDecay

ALIKE = {
    "names": (lambda: network(layers.Dense(2, name="a")), lambda: network(layers.Dense(2, name="b"))),
    "renamed_operations": (lambda: functional(heads=("c",)), lambda: functional(heads=("d",))),
    "learning_rates": (lambda: rate(0.1), lambda: rate(0.2)),
    "initial_weights": (
        lambda: network(layers.Dense(2)),
        lambda: network(layers.Dense(2, kernel_initializer="zeros")),
    ),
    "optimizer_names": (lambda: rate(0.1, name="a"), lambda: rate(0.1, name="b")),
    "families": (lambda: density(mx.Normal(1)), lambda: density(mx.Normal(1))),
    "units_of_the_head": (
        lambda: density(mx.Affine(mx.Normal(1), 0.0, 1.0), mx.Normal(1)),
        lambda: density(mx.Affine(mx.Normal(1), 5.0, 2.0), mx.Normal(1)),
    ),
}


@pytest.mark.parametrize("pair", ALIKE.values(), ids=ALIKE)
def test_models_of_equal_structure_share(pair):
    assert of(pair[0]()) is of(pair[1]())


OTHERS = {
    "schedule": (lambda: rate(decay(0.1, 5, 0.5)), lambda: rate(decay(0.1, 5, 0.6))),
    "loss": (network, lambda: network(loss="mae")),
    "optimizer": (network, lambda: network(optimizer="sgd")),
    "clipnorm": (lambda: rate(0.1), lambda: rate(0.1, clipnorm=1.0)),
    "dropout": (lambda: network(layers.Dropout(0.1)), lambda: network(layers.Dropout(0.2))),
    "activation": (lambda: network(layers.Dense(2, "tanh")), lambda: network(layers.Dense(2, "relu"))),
    "activation_that_is_a_name": (
        lambda: network(layers.Dense(2, "tanh", name="tanh")),
        lambda: network(layers.Dense(2, "relu", name="relu")),
    ),
    "width": (lambda: network(layers.Dense(2)), lambda: network(layers.Dense(3))),
    "policy": (lambda: network(layers.Dense(2)), lambda: network(layers.Dense(2, dtype="mixed_bfloat16"))),
    "frozen_layer": (
        lambda: network(layers.Dense(2)),
        lambda: network(layers.Dense(2, trainable=False)),
    ),
    "frozen_weight": (lambda: three_layers(0), lambda: three_layers(1)),
    "metric": (network, lambda: network(metrics=["mae"])),
    "metric_name": (
        lambda: network(metrics=[keras.metrics.MeanSquaredError(name="a")], name="a"),
        lambda: network(metrics=[keras.metrics.MeanSquaredError(name="b")], name="b"),
    ),
    "output_names": (functional, lambda: functional(heads=("mean", "width"))),
    "order_of_inputs": (functional, lambda: functional("b", "a")),
    "weight_decay_of_some": (decayed, lambda: decayed("bias")),
    "adapted_data": (lambda: adapted(X), lambda: adapted(2 * X + 1)),
    "own_method": (network, lambda: with_own_loss(lambda *args, **kwargs: 0.0)),
    "lambda": (lambda: network(layers.Lambda(lambda x: x)), lambda: network(layers.Lambda(lambda x: 2 * x))),
    "loss_function": (
        lambda: network(loss=lambda y, p: keras.ops.abs(y - p)),
        lambda: network(loss=lambda y, p: keras.ops.square(y - p)),
    ),
    "units_of_the_loss": (
        lambda: density(mx.Affine(mx.Normal(1), 0.0, 1.0)),
        lambda: density(mx.Affine(mx.Normal(1), 5.0, 2.0)),
    ),
    "family": (lambda: density(mx.Normal(1)), lambda: density(mx.Laplace(1))),
}


@pytest.mark.parametrize("pair", OTHERS.values(), ids=OTHERS)
def test_models_of_another_structure_do_not(pair):
    first, second = pair[0](), pair[1]()
    assert of(first) is not of(second)


def test_noise_and_keras_constants_belong_to_the_structure():
    model = network()
    assert of(model) is of(model) is of(network())
    assert of(model) is not of(model, DataNoise(0.1))
    epsilon = keras.config.epsilon()
    before = of(model)
    keras.config.set_epsilon(1e-3)
    try:
        assert of(model) is not before
    finally:
        keras.config.set_epsilon(epsilon)


def test_a_second_model_compiles_nothing_and_learns_as_by_itself(traces):
    learn(fit, network(layers.Dropout(0.5), name="first"))
    assert traces
    traces.clear()
    second = network(layers.Dropout(0.5), name="second", optimizer=keras.optimizers.Adam(0.5))
    copy = network(layers.Dropout(0.5), optimizer=keras.optimizers.Adam(0.5))
    for a, b in zip(copy.variables, second.variables, strict=True):
        a.assign(b)  # the dropout's generator too
    history, weights = learn(fit, second)
    assert not traces
    expected, wanted = learn(keras.Model.fit, copy)
    assert history == expected
    assert all(map(np.array_equal, weights, wanted))


@pytest.mark.parametrize(
    "name",
    [
        "frozen_weight",
        "adapted_data",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("activation_that_is_a_name", "weight_decay_of_some")
        ),
    ],
)
def test_a_model_that_only_looks_like_another_learns_as_by_itself(name):
    first, second = OTHERS[name]
    learn(fit, first())
    check_own_result(second(), second())


class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x


@pytest.mark.parametrize(
    "make",
    [lambda: network(Twice()), lambda: network(loss=lambda y, p: keras.ops.abs(y - p)), lambda: adapted(X)],
    ids=["layer", "loss", "constants"],
)
def test_what_cannot_share_compiles_once(make, traces):
    model = make()
    learn(fit, model)
    assert traces
    traces.clear()
    learn(fit, model)
    assert not traces
    learn(fit, make())
    assert traces


@pytest.mark.slow
@pytest.mark.parametrize("inner", [layers.Dense, Twice], ids=["shared", "own"])
def test_a_model_compiled_again_has_its_new_loss(inner):
    model, copy = (network(inner(2) if inner is layers.Dense else inner()) for _ in range(2))
    learn(fit, model)
    for one in (model, copy):
        one.compile("sgd", "mae")
    check_own_result(model, copy)


def test_a_model_that_was_changed_does_not_change_those_like_it():
    first = network()
    learn(fit, first)
    first.compile("adam", "mae")
    x, y = np.concatenate([X, X]), np.concatenate([Y, Y])  # new shapes are traced again
    check_own_result(network(), network(), x, y)


def test_logs_bear_the_names_of_the_models_own_outputs():
    for heads in (("mean", "scale"), ("left", "right")):
        model = functional(heads=heads)
        history = fit(model, [X[:, :1], X[:, 1:]], [Y, Y], verbose=0).history
        assert set(history) == {"loss", *(f"{head}_loss" for head in heads)}


def test_programs_keep_no_model_alive():
    model = network(layers.Dense(2))
    learn(fit, model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_few_programs_are_kept(monkeypatch):
    monkeypatch.setattr(programs, "KEPT", 2)
    first, second, third = (network(layers.Dense(units)) for units in (1, 2, 3))
    kept = of(first), of(second)
    assert of(first) is kept[0]  # the last one used
    of(third)
    assert len(programs._shared) == 2
    assert of(first) is kept[0]
    assert of(second) is not kept[1]
    own = network(Twice())
    for loss in ("mse", "mae", "mape", "msle"):
        own.compile("adam", loss)
        of(own)
    assert len(own._mixtura_programs) == 2
