"""The functions of `keras.ops` that families use, for NumPy arrays in float64.

Families write each formula once. It runs on tensors through `keras.ops`, inside compiled training and
generation, and on arrays through this module, where people look at predictions: in double precision, with
nothing to compile. The names and their meaning are those of `keras.ops`.
"""

from typing import Any

import numpy as np
from keras import KerasTensor, Variable, ops
from numpy import (
    broadcast_to,
    clip,
    concatenate,
    copy,
    exp,
    eye,
    log,
    log1p,
    logaddexp,
    matmul,
    maximum,
    minimum,
    reshape,
    shape,
    sqrt,
    square,
    sum,
    swapaxes,
    where,
)
from scipy.special import erfc, log_softmax, logsumexp

__all__ = [
    "broadcast_to",
    "clip",
    "concatenate",
    "copy",
    "erfc",
    "exp",
    "eye",
    "log",
    "log1p",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "matmul",
    "maximum",
    "minimum",
    "relu",
    "reshape",
    "shape",
    "softplus",
    "sqrt",
    "square",
    "sum",
    "swapaxes",
    "where",
]


def relu(x: np.ndarray) -> np.ndarray:
    """Return max(x, 0)."""
    return maximum(x, 0.0)


def softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(x))."""
    return logaddexp(0.0, x)


def is_tensor(value: Any) -> bool:
    """Tell whether a value belongs to the Keras backend (symbolic tensors and variables included)."""
    return isinstance(value, KerasTensor | Variable) or ops.is_tensor(value)


def as_array(value: Any) -> np.ndarray:
    """Return any tensor, array, list or number as a float64 array."""
    if is_tensor(value):
        value = ops.convert_to_numpy(value)
    return np.asarray(value, dtype=np.float64)
