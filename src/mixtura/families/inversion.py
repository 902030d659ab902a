"""Quantiles where no closed form exists: a bracketed search, for all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize.elementwise import find_root

if TYPE_CHECKING:
    from mixtura.families.base import Family


def invert_tail(
    family: Family, method: str, params: np.ndarray, q: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Solve cdf(y) = q ("quantile") or sf(y) = q ("isf") for y within `[low, high]`.

    The upper tail is solved through the survival function, which does not cancel there. Equality counts
    as having arrived, so on a flat stretch of the distribution function the search ends at its left edge.

    Args:
        family: a family with one-dimensional events.
        method: "quantile" or "isf".
        params: `(*batch, params_size)`, float64.
        q: probabilities; broadcast against `batch`.
        low: lower bounds of the solution, of the broadcast shape.
        high: upper bounds, likewise.

    Returns:
        The solutions, of the broadcast shape; infinite where q is 0 or 1.
    """
    shape = np.broadcast_shapes(q.shape, params.shape[:-1])
    q, low, high = (np.broadcast_to(a, shape).ravel() for a in (q, low, high))
    rows = np.broadcast_to(np.arange(params[..., 0].size).reshape(params.shape[:-1]), shape).ravel()
    table = params.reshape(-1, params.shape[-1])

    def excess(y: np.ndarray, row: np.ndarray, target: np.ndarray) -> np.ndarray:
        event, at = y[..., None], table[row]
        value = family.cdf(at, event) - target if method == "quantile" else target - family.sf(at, event)
        return np.where(value >= 0, np.maximum(value, np.finfo(float).eps * target), value)

    solution = np.array(low)  # where q is 0 or 1 both bounds are the same infinity
    finite = np.isfinite(low) & np.isfinite(high)
    if finite.any():
        found = find_root(
            excess,
            (low[finite], high[finite]),
            args=(rows[finite], q[finite]),
            tolerances={"xrtol": 1e-15},
            maxiter=500,
        )
        # Where rounding leaves no change of sign between the bounds, the bracket is still the bounds.
        solution[finite] = found.bracket[1]
    return solution.reshape(shape)
