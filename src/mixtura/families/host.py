"""The functions of `keras.ops` that families use, for NumPy arrays in float64.

Families write each formula once. It runs on tensors through `keras.ops`, inside compiled training and
generation, and on arrays through this module, where people look at predictions: in double precision, with
nothing to compile. The names and their meaning are those of `keras.ops`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import KerasTensor, Variable, ops
from numpy import (
    absolute,
    all,
    broadcast_to,
    clip,
    concatenate,
    copy,
    expm1,
    eye,
    log1p,
    matmul,
    max,
    maximum,
    ones_like,
    repeat,
    reshape,
    shape,
    sort,
    sqrt,
    square,
    stack,
    sum,
    swapaxes,
    take_along_axis,
    where,
    zeros_like,
)
from scipy.special import erf, erfc, log_softmax, logsumexp

__all__ = [
    "absolute",
    "all",
    "broadcast_to",
    "cast",
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
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "one_hot",
    "ones_like",
    "relu",
    "repeat",
    "reshape",
    "shape",
    "sort",
    "sqrt",
    "square",
    "stack",
    "sum",
    "swapaxes",
    "take_along_axis",
    "where",
    "zeros_like",
]


def cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    """Return x as another dtype."""
    return np.asarray(x).astype(dtype)


def one_hot(x: np.ndarray, num_classes: int, dtype: Any) -> np.ndarray:
    """Return rows of the identity."""
    return np.eye(num_classes, dtype=dtype)[x]


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


def in_pieces(f: Callable[..., np.ndarray], numbers_per_row: int, *tables: np.ndarray) -> np.ndarray:
    """Apply f to tables `(rows, ...)` some rows at a time, so that its work fits into about 64 MB."""
    rows = 1 + 2**23 // numbers_per_row
    starts = range(0, len(tables[0]) or 1, rows)
    return concatenate([f(*(table[start : start + rows] for table in tables)) for start in starts])


def is_tensor(value: Any) -> bool:
    """Tell whether a value belongs to the Keras backend (symbolic tensors and variables included)."""
    return isinstance(value, KerasTensor | Variable) or ops.is_tensor(value)


def as_array(value: Any) -> np.ndarray:
    """Return any tensor, array, list or number as a float64 array."""
    if is_tensor(value):
        value = ops.convert_to_numpy(value)
    return np.asarray(value, dtype=np.float64)
