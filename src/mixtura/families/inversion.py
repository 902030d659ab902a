"""Quantiles where no closed form exists: a bracketed search, for all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixtura.families import host

if TYPE_CHECKING:
    from mixtura.families.base import Family

# Rows are solved in pieces of about this many numbers, which stay in a processor's cache.
PIECE = 2**17

# Half the width of the widest bracket.
LARGEST = np.finfo(float).max / 4

# Two probabilities closer than this, relatively, count as equal: a few roundings of a sum.
EQUAL = 2.0**-50


def invert(
    family: Family, params: np.ndarray, q: np.ndarray, low: np.ndarray, high: np.ndarray, upper: bool
) -> np.ndarray:
    """Solve cdf(y) = q, or with `upper` sf(y) = q, for y within `[low, high]`.

    The upper tail is solved through the survival function, which does not cancel there. Newton's method
    on the logarithm of the probability converges in a few steps from anywhere in a tail; where it leaves
    the bracket or does not halve its step, the bracket is halved. A distribution function that is flat at
    q (a gap in the density) has no Newton step, so there the bracket alone closes in, on the left edge.

    Args:
        family: a family with one-dimensional events.
        params: `(*batch, params_size)`, float64.
        q: probabilities; broadcast against `batch`.
        low: lower bounds of the solution, of the broadcast shape.
        high: upper bounds, likewise.
        upper: whether q counts from above.

    Returns:
        The solutions, of the broadcast shape, to a relative error of 1e-14 in y or in the probability;
        infinite where both bounds are, NaN where a parameter is.
    """
    shape = np.broadcast_shapes(q.shape, params.shape[:-1])
    q, low, high = (np.broadcast_to(a, shape).ravel() for a in (q, low, high))
    rows = np.broadcast_to(np.arange(params[..., 0].size).reshape(params.shape[:-1]), shape).ravel()
    table = params.reshape(-1, params.shape[-1])
    solution = np.array(low)
    open_rows = np.flatnonzero(low < high)
    low, high = (np.clip(a, -LARGEST, LARGEST) for a in (low, high))  # one of them may have overflowed
    length = max(1, PIECE // table.shape[-1])
    for start in range(0, len(open_rows), length):
        piece = open_rows[start : start + length]
        solution[piece] = _solve(family, table[rows[piece]], q[piece], low[piece], high[piece], upper)
    return np.where(np.abs(solution) >= LARGEST, np.copysign(np.inf, solution), solution).reshape(shape)


def _solve(
    family: Family, params: np.ndarray, q: np.ndarray, low: np.ndarray, high: np.ndarray, upper: bool
) -> np.ndarray:
    tail = family._sf if upper else family._cdf

    def at(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value = tail(host, params, y[:, None])
        return value, (value <= q * (1 + EQUAL)) if upper else (value >= q * (1 - EQUAL))

    value, reached = at(low)
    solution = np.where(np.isnan(value), np.nan, np.where(reached, low, high))
    left = np.flatnonzero(solution == high)
    params, q, low, high = params[left], q[left], low[left], high[left]
    width = high - low
    last, y = width, low + 0.5 * width
    while left.size:
        value, reached = at(y)
        low, high = np.where(reached, low, y), np.where(reached, y, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            density = np.exp(family._log_prob(host, params, y[:, None]))
            error = np.log(value / q)
            step = error * value / density * (1 if upper else -1)
            settled = (np.abs(error) <= EQUAL) & (density * width >= 2.0**-10 * value)
        middle = low + 0.5 * (high - low)
        usable = (y + step > low) & (y + step < high) & (np.abs(step) < 0.5 * last)
        closed = (middle <= low) | (middle >= high) | (high - low <= EQUAL * np.abs(middle))
        solution[left[closed]] = high[closed]
        solution[left[settled]] = y[settled]
        following = np.where(usable, y + step, middle)
        last, y = np.abs(following - y), following
        go_on = ~(closed | settled)
        params, q, low, high, width, last, y, left = (
            a[go_on] for a in (params, q, low, high, width, last, y, left)
        )
    return solution
