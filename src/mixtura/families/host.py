"""The functions of `keras.ops` that families use, for NumPy arrays in float64.

Families write each formula once. It runs on tensors through `keras.ops`, inside compiled training and
generation, and on arrays through this module, where people look at predictions: in double precision, with
nothing to compile. The names and their meaning are those of `keras.ops`.
"""

from typing import Any

import numpy as np
from keras import KerasTensor, Variable, ops
from numpy import (
    absolute,
    all,
    argmax,
    broadcast_to,
    clip,
    concatenate,
    copy,
    expm1,
    eye,
    log1p,
    logaddexp,
    matmul,
    maximum,
    minimum,
    ones_like,
    reshape,
    shape,
    sort,
    sqrt,
    square,
    sum,
    swapaxes,
    where,
    zeros_like,
)
from scipy.special import erf, erfc, log_softmax, logsumexp

__all__ = [
    "absolute",
    "all",
    "argmax",
    "broadcast_to",
    "clip",
    "concatenate",
    "copy",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "eye",
    "log",
    "log1p",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "matmul",
    "maximum",
    "minimum",
    "ones_like",
    "relu",
    "reshape",
    "shape",
    "sort",
    "sqrt",
    "square",
    "sum",
    "swapaxes",
    "where",
    "zeros_like",
]


def exp(x: np.ndarray) -> np.ndarray:
    """Return e to the power x, inf where that is too large."""
    with np.errstate(over="ignore"):
        return np.exp(x)


def log(x: np.ndarray) -> np.ndarray:
    """Return the natural logarithm, -inf at 0."""
    with np.errstate(divide="ignore"):
        return np.log(x)


def relu(x: np.ndarray) -> np.ndarray:
    """Return max(x, 0)."""
    return maximum(x, 0.0)


def is_tensor(value: Any) -> bool:
    """Tell whether a value belongs to the Keras backend (symbolic tensors and variables included)."""
    return isinstance(value, KerasTensor | Variable) or ops.is_tensor(value)


def as_array(value: Any) -> np.ndarray:
    """Return any tensor, array, list or number as a float64 array."""
    if is_tensor(value):
        value = ops.convert_to_numpy(value)
    return np.asarray(value, dtype=np.float64)
