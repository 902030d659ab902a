"""Training data as arrays: nested tuples, lists and dictionaries of one row per example."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


def read(x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, ...] | None:
    """Return `(x,)`, `(x, y)` or `(x, y, sample_weight)` as arrays in Keras' precision.

    NumPy, JAX, PyTorch and TensorFlow arrays and pandas tables are read as `keras.Model.fit` reads them.
    None stands for what is no array or must not be loaded: datasets, generators, sparse matrices,
    memory-mapped files.

    Raises:
        ValueError: if arrays have different numbers of rows, or several targets other weights than one for
            all or one each.
    """
    packed = (x, y, sample_weight)
    leaves = keras.tree.flatten(packed)
    if x is None or not all(leaf is None or _is_readable(leaf) for leaf in leaves):
        return None
    x, y, sample_weight = keras.tree.map_structure(_array, packed)
    counts = [len(leaf) for leaf in keras.tree.flatten((x, y, sample_weight)) if leaf is not None]
    if len(set(counts)) != 1:
        raise ValueError(f"x, y and sample_weight must have equally many rows; received {counts}")
    if sample_weight is None:
        return (x,) if y is None else (x, y)
    if isinstance(y, dict | list | tuple) and isinstance(sample_weight, np.ndarray):
        weight = sample_weight
        sample_weight = keras.tree.map_structure(lambda _: weight, y)
    try:
        keras.tree.assert_same_structure(y, sample_weight)
    except ValueError as error:
        raise ValueError("sample_weight must be one array, or be nested as y is") from error
    return x, y, sample_weight


def _is_readable(leaf: Any) -> bool:
    if isinstance(leaf, np.memmap) or not (hasattr(leaf, "shape") and hasattr(leaf, "__array__")):
        return False
    # Sparse and ragged tensors have dense namesakes of their methods, but no array behind them.
    kind = type(leaf).__name__
    return len(leaf.shape) > 0 and "Sparse" not in kind and "Ragged" not in kind and _dtype(leaf) != "object"


def _dtype(leaf: Any) -> str:
    return str(getattr(leaf, "dtype", ""))


def _array(leaf: Any) -> np.ndarray | None:
    if leaf is None:
        return None
    one_column = type(leaf).__name__ == "Series"
    array = np.asarray(leaf.cpu() if hasattr(leaf, "cpu") else leaf)
    if array.dtype.kind == "f":
        array = array.astype(keras.config.floatx(), copy=False)
    return array[:, None] if one_column else array


def rows(data: Any) -> int:
    """Return the number of rows."""
    return next(len(leaf) for leaf in keras.tree.flatten(data) if leaf is not None)


def take(data: Any, where: Any) -> Any:
    """Return some rows: `where` is a slice or an array of row numbers."""
    return keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[where], data)


def split(data: tuple[Any, ...], share: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Cut the last `share` of the rows off, for validation.

    Raises:
        ValueError: if one of the parts is empty.
    """
    total = rows(data)
    first = math.floor(total * (1.0 - share))
    if not 0 < first < total:
        raise ValueError(f"validation_split={share} of {total} rows leaves one part empty")
    return take(data, slice(0, first)), take(data, slice(first, total))


def weighted(data: tuple[Any, ...], class_weight: Mapping[int, float]) -> tuple[Any, ...]:
    """Return the data with a sample weight for each row: that of its class, 1 where none is given.

    Raises:
        ValueError: if there are sample weights already, or several outputs.
    """
    if len(data) != 2 or not isinstance(data[1], np.ndarray):
        raise ValueError("class_weight is for one output, and not together with sample_weight")
    x, y = data
    classes = y.argmax(-1) if y.ndim > 1 and y.shape[-1] != 1 else y.reshape(y.shape[: max(1, y.ndim - 1)])
    known, places = np.unique(np.round(classes).astype(int), return_inverse=True)
    weights = np.array([class_weight.get(int(value), 1.0) for value in known], keras.config.floatx())
    return x, y, weights[places.reshape(classes.shape)]


def size(data: Any) -> int:
    """Return the number of bytes."""
    return sum(leaf.nbytes for leaf in _leaves(data))


def fingerprint(data: Any) -> str:
    """Return a text that other data do not have."""
    digest = hashlib.blake2b(digest_size=8)
    for leaf in _leaves(data):
        digest.update(f"{leaf.dtype} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()


def _leaves(data: Any) -> list[np.ndarray]:
    """Return the arrays in data, in the parts of a `Ragged` too."""
    return [leaf for leaf in keras.tree.flatten(getattr(data, "parts", data)) if leaf is not None]
