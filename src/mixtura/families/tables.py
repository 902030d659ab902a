"""Tables of parameters laid flat, `(*batch, rows * K)`: the rows one after the other, K columns each.

Compilers vectorise elementwise work over a flat last axis, whatever K is; reshaped to `(*batch, rows, K)` it
runs in pieces of K.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mixtura.families import host


def cut(xp: Any, x: Any, ends: Sequence[int]) -> list[Any]:
    """Cut the last axis where each piece but the last ends.

    The gradient of JAX's split is a concatenation; that of slices, a sum of arrays padded to full size, took
    most of the time of a loss.
    """
    if xp is ops and keras.backend.backend() == "jax":
        return ops.split(x, list(ends), axis=-1)
    return [x[..., start:end] for start, end in zip((0, *ends), (*ends, None), strict=True)]


def rows_of(xp: Any, table: Any, count: int) -> list[Any]:
    """Return the `count` rows of a table, `(*batch, K)` each."""
    columns = table.shape[-1] // count
    return cut(xp, table, range(columns, count * columns, columns))


def add_rows(xp: Any, table: Any, count: int) -> Any:
    """Return the sum of a table's `count` rows, `(*batch, K)`."""
    columns = table.shape[-1] // count
    if columns == 1 or xp is host or keras.backend.backend() != "jax":
        return xp.sum(xp.reshape(table, (*xp.shape(table)[:-1], count, columns)), axis=-2)
    # XLA on CPUs adds halves, being flat, faster than it sums the middle axis.
    odd = []
    while count > 1:
        half = columns * (count // 2)
        first, second, *rest = cut(xp, table, [half, 2 * half][: 1 + count % 2])
        odd += rest
        table, count = first + second, count // 2
    return sum(odd, table)


def move_first_rows(xp: Any, table: Any, by: Any, columns: int) -> Any:
    """Add `by`, `(*batch, rows)`, to the first rows of a table of so many columns: each row its number."""
    by = xp.repeat(by, columns, axis=-1) if columns > 1 else by
    first, rest = cut(xp, table, [by.shape[-1]])
    return xp.concatenate([first + by, rest], axis=-1)
