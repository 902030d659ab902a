"""A start from the data: a head that begins with the targets' marginal distribution."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.families.base import Family, a_family
from mixtura.families.checks import finite
from mixtura.families.host import as_array
from mixtura.layers.mdn import MDN
from mixtura.training.heads import innermost_layers


def initialize_head(
    model_or_layer: Any,
    y: Any,
    *,
    seed: int | None = 0,
    shrink: float = 0.1,
    mask: Any = None,
    family: Family | None = None,
) -> None:
    """Start an `MDN` head at the distribution of the targets, whatever the input.

    The bias becomes `family.fit(y, seed)` and the kernel `shrink` times what it is. So the untrained network
    predicts nearly the targets' marginal distribution, and training begins with what depends on the input,
    its components where targets are.

    Args:
        model_or_layer: a built model, of which the last `MDN` layer is taken, or that layer.
        y: the targets, `(rows, event_size)` or `(rows, time, event_size)`, as the loss will see them.
        seed: of the fit.
        shrink: 0 for the marginal distribution exactly. What is left of the kernel moves the means too: that
            is little where the targets are standardised or wider, and much where they are in tiny units.
        mask: which steps are valid, of y's shape without its last axis; the others are left out.
        family: what to fit, by default the layer's family. Give the inner family where targets are
            standardised and the layer's family is the `Affine` around it.

    Raises:
        TypeError: if there is no layer or model, or `family` is no family.
        ValueError: if the model has no `MDN` layer, is not built, or its head has no bias; for a family of
            another parameter size, a negative `shrink`, a mask of another shape or without a valid step, and
            as `Family.fit`.

    Reference: Bishop, C. M. (1994), Mixture Density Networks, Aston University NCRG/94/004, section 3
    (biases from an unconditional model of the targets).

    Example:
        >>> import keras, numpy as np
        >>> import mixtura as mx
        >>> head = mx.MDN(mx.Normal(1))
        >>> model = keras.Sequential([keras.Input((1,)), head])
        >>> initialize_head(model, np.array([[3.0], [7.0]]), shrink=0.0)
        >>> head.family(model(np.zeros((1, 1)))).mean()  # mean 5, scale 2
        array([[5.]])
    """
    layer = _ready(model_or_layer, shrink)
    family = layer.family if family is None else a_family("family", family)
    if family.params_size != layer.family.params_size:
        raise ValueError(
            f"{family!r} has {family.params_size} parameters, the layer {layer.name!r} outputs "
            f"{layer.family.params_size}"
        )
    _begin(layer, family.fit(_events(as_array(y), mask), seed), shrink)


def begin_at(model_or_layer: Any, params: Any, shrink: float = 0.1) -> None:
    """Start an `MDN` head at given parameters, whatever the input: what `initialize_head` does with a fit's.

    Args:
        model_or_layer: as there.
        params: raw activations, `(params_size,)`.
        shrink: as there.

    Raises:
        TypeError: if there is no layer or model.
        ValueError: as `initialize_head` for the layer and `shrink`, and for parameters of another shape.
    """
    layer, params = _ready(model_or_layer, shrink), as_array(params)
    if params.shape != (layer.family.params_size,):
        raise ValueError(f"params must be ({layer.family.params_size},); received {params.shape}")
    _begin(layer, params, shrink)


def _begin(layer: MDN, bias: np.ndarray, shrink: float) -> None:
    layer.dense.bias.assign(ops.convert_to_tensor(bias, dtype=layer.dense.bias.dtype))
    layer.dense.kernel.assign(layer.dense.kernel * shrink)


def _ready(model_or_layer: Any, shrink: float) -> MDN:
    """Return the head, or raise what is wrong with it or with `shrink`."""
    layer = _head(model_or_layer)
    if not layer.dense.built:
        raise ValueError(
            f"the layer {layer.name!r} has no weights yet; build the model or call it once on inputs"
        )
    if layer.dense.bias is None:
        raise ValueError(f"the layer {layer.name!r} has no bias, which is what a start from the data sets")
    if finite("shrink", shrink) < 0:
        raise ValueError(f"shrink must be 0 or more; received {shrink!r}")
    return layer


def _head(model_or_layer: Any) -> MDN:
    """Return the layer itself or a model's last MDN, also from inside models and wrappers in it."""
    if not isinstance(model_or_layer, keras.layers.Layer):
        raise TypeError(f"initialize_head needs a model or an MDN layer; received {model_or_layer!r}")
    layers = list(innermost_layers(model_or_layer))
    heads = [layer for layer in layers if isinstance(layer, MDN)]
    if not heads:
        names = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in layers)
        raise ValueError(f"there is no MDN layer to start from the data; the layers are {names}")
    return heads[-1]


def _events(y: np.ndarray, mask: Any) -> np.ndarray:
    """Return the valid targets, one row each."""
    if mask is not None:
        valid = as_array(mask) != 0
        if valid.shape != y.shape[:-1]:
            raise ValueError(
                f"mask must have y's shape without its last axis, {y.shape[:-1]}; received {valid.shape}"
            )
        if not valid.any():
            raise ValueError("mask leaves no step of y valid")
        return y[valid]
    return y.reshape(-1, y.shape[-1]) if y.ndim > 2 else y
