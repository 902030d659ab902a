"""Arguments checked once, each with one sentence that names it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from mixtura.families.host import as_array


def positive_int(name: str, value: Any) -> int:
    """Return a count as an int, or raise a ValueError that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 1:
        raise ValueError(f"{name} must be a positive integer; received {value!r}")
    return value.__index__()


def natural(name: str, value: Any) -> int:
    """Return a count that may be 0 as an int, or raise a ValueError that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 0:
        raise ValueError(f"{name} must be an integer, 0 or more; received {value!r}")
    return value.__index__()


def one_of(name: str, value: Any, options: tuple[str, ...]) -> str:
    """Return an option, or raise a ValueError that names the argument and its choices."""
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}; received {value!r}")
    return value


def finite(name: str, value: Any) -> float:
    """Return a finite number as a float, or raise a ValueError that names the argument."""
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number; received {value!r}")
    return float(value)


def floor(value: Any) -> float:
    """Return `min_scale` as a float, or raise a ValueError."""
    if not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise ValueError(f"min_scale must be a finite number, 0 or more; received {value!r}")
    return float(value)


def floors(value: Any, size: int) -> float | tuple[float, ...]:
    """Return `min_scale` as one float, or as a tuple where dimensions differ, or raise a ValueError."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return floor(value)
    each = tuple(map(floor, value))
    if len(each) != size:
        raise ValueError(f"min_scale must be one number or {size}; received {value!r}")
    if len(set(each)) > 1 and min(each) == 0:
        raise ValueError(f"min_scale must be positive for all dimensions or for none; received {value!r}")
    return each[0] if len(set(each)) == 1 else each


def dimensions(name: str, value: int | Sequence[int], size: int) -> list[int]:
    """Return one dimension or several as a list of distinct indices below `size`.

    Raises:
        ValueError: if one is no integer, repeated, or outside `0 .. size - 1`.
    """
    try:
        listed = [value] if hasattr(value, "__index__") else list(value)
        dims = [d.__index__() for d in listed]
    except (TypeError, AttributeError):
        dims = []
    if not dims or len(set(dims)) != len(dims) or min(dims) < 0 or max(dims) >= size:
        raise ValueError(f"{name} must be distinct dimensions between 0 and {size - 1}; received {value!r}")
    return dims


def observed(dims: int | Sequence[int], values: Any, size: int) -> tuple[list[int], list[int], np.ndarray]:
    """Return the dimensions of which `values` are known, those that remain, and the values as an array.

    Raises:
        ValueError: as `dimensions` does, if none remains, or if the values' last axis has another size.
    """
    known = dimensions("dims", dims, size)
    rest = [d for d in range(size) if d not in known]
    if not rest:
        raise ValueError(f"dims must leave a dimension to predict; received all {size}")
    values = as_array(values)
    values = values[None] if values.ndim == 0 else values
    if values.shape[-1] != len(known):
        raise ValueError(
            f"values must have {len(known)} on the last axis, one for each of dims; "
            f"received shape {values.shape}"
        )
    return known, rest, values
