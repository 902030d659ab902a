"""Integrals over a line cut into panels, for all rows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mixtura.families import host
from mixtura.families.special import HALF_LOG_2PI

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)

# A normal density is smooth on each of these panels (in standard deviations) ...
_NORMAL_EDGES = np.array([-10.0, -7.0, -4.5, -2.5, -1.0, 0.0, 1.0, 2.5, 4.5, 7.0, 10.0])
# ... and a logistic function on each of these.
_LOGISTIC_EDGES = np.array([-60.0, -30.0, -15.0, -7.0, -3.0, 0.0, 3.0, 7.0, 15.0, 30.0, 60.0])


def integrate(xp: Any, f: Callable[[Any], Any], edges: Any) -> Any:
    """Return the integral of f over the panels between sorted `edges` `(*batch, M)`, `(*batch,)`.

    Each panel takes a 16-point Gauss-Legendre rule; f maps `(*batch, points)` to the same shape.
    """
    low, high = edges[..., :-1, None], edges[..., 1:, None]
    half = 0.5 * (high - low)
    nodes = 0.5 * (high + low) + half * _like(xp, edges, NODES)
    flat = (*xp.shape(edges)[:-1], -1)
    weights = half * _like(xp, edges, WEIGHTS)
    return xp.sum(f(xp.reshape(nodes, flat)) * xp.reshape(weights, flat), axis=-1)


def normal_expectation(xp: Any, f: Callable[[Any], Any], mean: Any, sigma: Any) -> Any:
    """Return E f(X) of a normal X for an f that varies as logistic functions do, elementwise.

    Args:
        xp: `keras.ops` or its NumPy twin.
        f: maps `(*batch, points)` to the same shape.
        mean: `(*batch,)`.
        sigma: standard deviations, `(*batch,)`.
    """
    mean, sigma = mean[..., None], sigma[..., None]
    # In units of sigma: where it is small beside the mean, x would hold few digits of it.
    own = _like(xp, mean, _NORMAL_EDGES) + xp.zeros_like(mean)
    theirs = xp.clip((_like(xp, mean, _LOGISTIC_EDGES) - mean) / sigma, _NORMAL_EDGES[0], _NORMAL_EDGES[-1])

    def weighted(z: Any) -> Any:
        return f(mean + sigma * z) * xp.exp(-0.5 * xp.square(z) - HALF_LOG_2PI)

    return integrate(xp, weighted, xp.sort(xp.concatenate([own, theirs], axis=-1), axis=-1))


def _like(xp: Any, x: Any, constants: np.ndarray) -> Any:
    """Return constants as x is: a tensor of its dtype, or the array."""
    return constants if xp is host else xp.convert_to_tensor(constants, dtype=x.dtype)
