"""Whole epochs as compiled JAX programs, shared by models of equal structure. JAX only.

`keras.Model.train_step(state, data)` is pure on JAX: a scan over it is an epoch, and computes bit for bit
what `keras.Model.fit` computes step by step. Weights, optimiser state, metrics and data are arguments of
the program, so another model of the same structure runs through it without compiling again.
"""

from __future__ import annotations

import json
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
from jax import numpy as jnp

from mixtura.training.noise import DataNoise

# How many structures' programs are kept.
KEPT = 16

# Where a model's configuration names layers. Elsewhere the same word may be an activation's.
_NAMES = ("name", "keras_history", "input_layers", "output_layers")


class Program:
    """A compiled function of a model, its state and its data; models of equal structure share it."""

    def __init__(self, function: Callable[..., Any], out_shardings: Any = None) -> None:
        self._compiled = jax.jit(function, static_argnums=0, out_shardings=out_shardings)

    def __call__(
        self, model: keras.Model, state: Any, data: Any, first: int, whole: Any, rest: Any, key: Any
    ) -> Any:
        """Go through the whole batches, then through the rest; return the new state, the logs and more.

        The first batch has the number `first`.
        """
        like = _Like(model)
        if len(whole) == 1 and len(rest):
            # Not in one program: XLA unrolls a loop of one turn and fuses the two steps, which rounds
            # otherwise than one after the other.
            state, *_ = self._compiled(like, state, data, first, whole, rest[:0], key)
            whole, first = whole[:0], first + 1
        return self._compiled(like, state, data, first, whole, rest, key)


class _Like:
    """Stands for a model among those of its structure, all of which are equal.

    So data of a new shape trace the model that they came with, not the first: that may have been changed.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model: Any = weakref.ref(model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Like)

    def __hash__(self) -> int:
        return 0


class Programs(NamedTuple):
    """The compiled epoch, evaluation and prediction of one structure of model."""

    train: Program
    test: Program
    predict: Callable[..., Any]


def programs(model: keras.Model, noise: DataNoise | None) -> Programs:
    """Return the programs for a built and compiled model, made before for one like it if possible."""
    shared = _structure(model)
    compiled = (model.optimizer, model._compile_loss, model._compile_metrics)
    trainable = tuple(variable.path for variable in model.trainable_variables)
    shardings = _shardings(model)
    key = (shared or (compiled, trainable), noise, keras.distribution.distribution(), repr(shardings))
    # A model that cannot share keeps its programs itself: they live and die together.
    kept = _shared if shared else vars(model).setdefault("_mixtura_programs", OrderedDict())
    if key not in kept:
        kept[key] = _programs(noise, shardings)
        while len(kept) > KEPT:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


_shared: OrderedDict[Any, Programs] = OrderedDict()


def _programs(noise: DataNoise | None, shardings: Any) -> Programs:
    def train(
        like: _Like, state: Any, data: Any, first: Any, whole: Any, rest: Any, key: Any
    ) -> tuple[Any, dict[str, Any], Any]:
        model = like.model()

        def step(state: Any, batch: Any, number: Any) -> tuple[dict[str, Any], Any]:
            if noise is not None:
                batch = noise.add(batch, key, number)
            return model.train_step(state, batch)

        state, logs = _scan(step, state, data, first, whole, rest)
        # The running mean of an epoch stays infinite or NaN once a step was.
        checked = [*state[0], *([logs["loss"]] if "loss" in logs else [])]
        finite = jnp.array([jnp.isfinite(value).all() for value in checked]).all()
        return state, logs, finite

    def test(
        like: _Like, state: Any, data: Any, first: Any, whole: Any, rest: Any, key: Any
    ) -> tuple[Any, dict[str, Any]]:
        model = like.model()
        return _scan(lambda state, batch, _: model.test_step(state, batch), state, data, first, whole, rest)

    def predict(like: _Like, weights: Any, others: Any, x: Any) -> Any:
        return like.model().stateless_call(weights, others, x, training=False)[0]

    predict = jax.jit(predict, static_argnums=0)
    if shardings is None:
        return Programs(Program(train), Program(test), predict)
    weights, others, _, metrics = shardings
    return Programs(
        Program(train, (shardings, None, None)), Program(test, ((weights, others, metrics), None)), predict
    )


def forward(model: keras.Model, x: Any) -> Any:
    """Return the outputs of a built and compiled model; models of equal structure compile once."""
    weights, others, _, _ = groups_of(model)
    values = ([variable.value for variable in group] for group in (weights, others))
    return programs(model, None).predict(_Like(model), *values, x)


def _shardings(model: keras.Model) -> tuple[list[Any], ...] | None:
    """Return where a distribution keeps the state; None without one.

    Raises:
        ValueError: if the model was made outside the distribution.
    """
    if keras.distribution.distribution() is None:
        return None
    groups = groups_of(model)
    found = tuple([variable.value.sharding for variable in group] for group in groups)
    if any(isinstance(one, jax.sharding.SingleDeviceSharding) for group in found for one in group):
        raise ValueError(
            "the model was built outside the distribution: build, compile and train it after "
            "keras.distribution.set_distribution(...), or inside `with distribution.scope():`"
        )
    return found


def groups_of(model: keras.Model) -> tuple[list[Any], ...]:
    """Return the variables that `train_step` takes: weights, other variables, the optimizer's, metrics'."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def _scan(
    step: Callable[..., Any], state: Any, data: Any, first: Any, whole: Any, rest: Any
) -> tuple[Any, Any]:
    """Run `step` over the whole batches, then over the rest; return the state and the last step's logs."""

    def one(state: Any, batch: Any) -> tuple[Any, Any]:
        number, where = batch
        logs, state = step(state, _rows(data, where), number)
        return state, logs

    if len(whole):
        state, every = jax.lax.scan(one, state, (first + jnp.arange(len(whole)), whole))
        logs = jax.tree.map(lambda leaf: leaf[-1], every)
    if len(rest):
        state, logs = one(state, (first + len(whole), rest))
    return state, logs


def _rows(data: Any, where: Any) -> Any:
    """Return a batch. Under a distribution its rows lie on the devices, where they divide evenly.

    The rest of an epoch usually does not: every device then computes all of it.
    """
    batch = jax.tree.map(lambda leaf: leaf[where], data)
    distribution = keras.distribution.distribution()
    if distribution is None:
        return batch

    def lay_out(leaf: Any) -> Any:
        sharding = distribution.get_data_layout(leaf.shape).backend_layout
        across = sharding.mesh.shape[distribution.batch_dim_name]
        return jax.lax.with_sharding_constraint(leaf, sharding) if len(leaf) % across == 0 else leaf

    return jax.tree.map(lay_out, batch)


def _structure(model: keras.Model) -> str | None:
    """Return what determines a model's programs, or None where its configuration does not tell all.

    Not in the configuration are code that is neither Keras' nor Mixtura's, methods set on an object, arrays
    that a layer holds as constants (an adapted Normalization does), and variables kept from weight decay.
    """
    layers = list(dict.fromkeys([model, *model._flatten_layers()]))
    if any(_holds_arrays(layer) or _has_own_methods(layer) for layer in layers) or _excludes(model.optimizer):
        return None
    try:
        config = keras.saving.serialize_keras_object(model)
    except Exception:  # whatever a custom object's get_config raises
        return None
    if not _is_known(config) or config.get("compile_config") is None:
        return None
    compiled = config.pop("compile_config")
    optimizer = compiled["optimizer"]["config"]
    del optimizer["name"]
    if not isinstance(optimizer.get("learning_rate"), dict):
        optimizer.pop("learning_rate", None)  # it is a variable, hence an argument
    outputs = getattr(model, "output_names", None) or []
    return json.dumps(
        [
            _renamed(config, _numbers(layers, config)),
            compiled,
            outputs if len(outputs) > 1 else None,  # the logs of several outputs bear their names
            [(v.shape, v.dtype, v.trainable) for v in model.variables],
            (keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format()),
        ],
        sort_keys=True,
        default=repr,
    )


def _holds_arrays(layer: keras.Layer) -> bool:
    return any(isinstance(value, jax.Array | np.ndarray) for value in vars(layer).values())


def _has_own_methods(layer: keras.Layer) -> bool:
    """Tell whether an object has methods other than its class's; Keras wraps `build` and `quantize`."""
    return any(
        callable(value) and hasattr(type(layer), name) and name not in ("build", "quantize")
        for name, value in vars(layer).items()
    )


def _excludes(optimizer: Any) -> bool:
    """Tell whether some variables were kept from weight decay."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
    return any(getattr(inner, name, None) for name in names)


def _is_known(config: Any) -> bool:
    """Tell whether a configuration names only classes and functions of Keras and Mixtura."""
    return all(
        f"{node['module']}.".startswith("keras.") or str(node.get("registered_name")).startswith("mixtura>")
        for node in _nodes(config)
        if "class_name" in node and "module" in node
    ) and not any(
        node.get("class_name") in ("function", "__lambda__", "__numpy__", "__tensor__")
        for node in _nodes(config)
    )


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    if isinstance(config, dict):
        yield config
    for value in config.values() if isinstance(config, dict) else config:
        if isinstance(value, dict | list | tuple):
            yield from _nodes(value)


def _numbers(layers: list[keras.Layer], config: Any) -> dict[str, int]:
    """Return a number for every name of a layer or an operation, by its place.

    Several inputs keep their names: a dictionary of data is told apart by them.
    """
    named = [layer.name for layer in layers] + [
        node["name"] for node in _nodes(config) if "inbound_nodes" in node
    ]
    inputs = [getattr(layer, "inputs", None) or [] for layer in layers if isinstance(layer, keras.Model)]
    kept = {tensor.name for several in inputs if len(several) > 1 for tensor in several}
    return {name: place for place, name in enumerate(dict.fromkeys(named)) if name not in kept}


def _renamed(config: Any, numbers: dict[str, int], is_name: bool = False) -> Any:
    """Return a configuration in which layers are numbered, not named, and do not say how they start.

    Nor do heads say in which units people read them: that is no part of what they compute.
    """
    if isinstance(config, dict):
        if config.get("registered_name") == "mixtura>Affine":
            config = config["config"]["family"]
        return {
            key: _renamed(value, numbers, is_name or key in _NAMES)
            for key, value in config.items()
            if not key.endswith("_initializer")
        }
    if isinstance(config, list | tuple):
        return [_renamed(value, numbers, is_name) for value in config]
    return numbers.get(config, config) if is_name and isinstance(config, str) else config
