"""Whole epochs as compiled JAX programs, shared by models of equal structure. JAX only.

`keras.Model.train_step(state, data)` is pure on JAX: a scan over it is an epoch, and computes bit for bit what
`keras.Model.fit` computes step by step. Weights, optimiser state, metrics and data are arguments of the
program, so another model of the same structure runs through it without compiling again.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
from jax import numpy as jnp

from mixtura.training.noise import DataNoise

# How many structures' programs are kept. Each keeps the model alive that it was traced with.
KEPT = 16

_UNKNOWN = ("function", "__lambda__", "__numpy__", "__tensor__")


class Programs(NamedTuple):
    """The compiled epoch and the compiled evaluation of one structure of model."""

    train: Callable[..., Any]
    test: Callable[..., Any]


def programs(model: keras.Model, noise: DataNoise | None) -> Programs:
    """Return the programs for a built and compiled model, made before for one like it if possible."""
    shared = _structure(model)
    compiled = (model.optimizer, model._compile_loss, model._compile_metrics)
    trainable = tuple(variable.path for variable in model.trainable_variables)
    key = (shared or (compiled, trainable), noise, keras.distribution.distribution())
    # A model that cannot share keeps its programs itself: they live and die together.
    kept = _shared if shared else vars(model).setdefault("_mixtura_programs", OrderedDict())
    if key not in kept:
        kept[key] = _compile(model, noise)
        while len(kept) > KEPT:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


_shared: OrderedDict[Any, Programs] = OrderedDict()


def _compile(model: keras.Model, noise: DataNoise | None) -> Programs:
    def train(state: Any, data: Any, whole: Any, rest: Any, key: Any) -> tuple[Any, dict[str, Any], Any]:
        def step(state: Any, batch: Any, number: Any) -> tuple[dict[str, Any], Any]:
            if noise is not None:
                batch = noise.add(batch, key, number)
            return model.train_step(state, batch)

        state, logs = _scan(step, state, data, whole, rest)
        # The running mean of an epoch stays infinite or NaN once a step was.
        checked = [*state[0], *([logs["loss"]] if "loss" in logs else [])]
        finite = jnp.array([jnp.isfinite(value).all() for value in checked]).all()
        return state, logs, finite

    def test(state: Any, data: Any, whole: Any, rest: Any) -> tuple[Any, dict[str, Any]]:
        return _scan(lambda state, batch, _: model.test_step(state, batch), state, data, whole, rest)

    return Programs(jax.jit(train), jax.jit(test))


def _scan(step: Callable[..., Any], state: Any, data: Any, whole: Any, rest: Any) -> tuple[Any, Any]:
    """Run `step` over the whole batches, then over the rest; return the state and the last step's logs."""

    def one(state: Any, batch: Any) -> tuple[Any, Any]:
        number, where = batch
        logs, state = step(state, _rows(data, where), number)
        return state, logs

    if len(whole):
        state, every = jax.lax.scan(one, state, (jnp.arange(len(whole)), whole))
        logs = jax.tree.map(lambda leaf: leaf[-1], every)
    if len(rest):
        state, logs = one(state, (jnp.asarray(len(whole)), rest))
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

    Code that is neither Keras' nor Mixtura's, and arrays that a layer holds as constants (an adapted
    Normalization does), are not in the configuration.
    """
    layers = [model, *model._flatten_layers()]
    if any(_holds_arrays(layer) or "train_step" in vars(layer) for layer in layers):
        return None
    try:
        config = keras.saving.serialize_keras_object(model)
    except Exception:  # whatever a custom object's get_config raises
        return None
    names = {layer.name: f"layer{place}" for place, layer in enumerate(dict.fromkeys(layers))}
    if not _is_known(config) or config.get("compile_config") is None:
        return None
    optimizer = config["compile_config"]["optimizer"]["config"]
    del optimizer["name"]
    if not isinstance(optimizer.get("learning_rate"), dict):
        optimizer.pop("learning_rate", None)  # it is a variable, hence an argument
    outputs = getattr(model, "output_names", None) or []
    return json.dumps(
        [
            _renamed(config, names),
            outputs if len(outputs) > 1 else None,  # the logs of several outputs bear their names
            [(v.shape, v.dtype) for v in (*model.trainable_variables, *model.non_trainable_variables)],
        ],
        sort_keys=True,
        default=repr,
    )


def _holds_arrays(layer: keras.Layer) -> bool:
    return any(isinstance(value, jax.Array | np.ndarray) for value in vars(layer).values())


def _is_known(config: Any) -> bool:
    """Tell whether a configuration names only classes and functions of Keras and Mixtura."""
    return all(
        str(node["module"]).startswith("keras") or str(node.get("registered_name")).startswith("mixtura>")
        for node in _nodes(config)
        if "class_name" in node and "module" in node
    ) and not any(
        node.get("class_name") in ("function", "__lambda__", "__numpy__") for node in _nodes(config)
    )


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    if isinstance(config, dict):
        yield config
    for value in config.values() if isinstance(config, dict) else config:
        if isinstance(value, dict | list | tuple):
            yield from _nodes(value)


def _renamed(config: Any, names: dict[str, str]) -> Any:
    """Return a configuration in which layers are numbered, not named, and do not say how they start."""
    if isinstance(config, dict):
        return {
            names.get(key, key): _renamed(value, names)
            for key, value in config.items()
            if not key.endswith("_initializer")
        }
    if isinstance(config, list | tuple):
        return [_renamed(value, names) for value in config]
    return names.get(config, config) if isinstance(config, str) else config
