"""The highest point of a mixture's density, for all rows at once, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

# Steps of 1, 2, 4, ... times the fixed-point step are tried: where components overlap the plain
# iteration converges too slowly.
STRETCHES = 2.0 ** np.arange(10)
MOST_STEPS = 500


def of_normals(
    log_weights: np.ndarray,
    means: np.ndarray,
    precisions: np.ndarray,
    starts: np.ndarray | None = None,
    log_slope: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
) -> np.ndarray:
    r"""Return where a mixture of normals is highest, `(rows, D)`.

    From every start the fixed-point iteration of Carreira-Perpinan (2000, section 4),

    $$x \leftarrow \Bigl(\sum_k r_k \Lambda_k\Bigr)^{-1} \sum_k r_k \Lambda_k \mu_k$$

    with responsibilities $r_k$ and precisions $\Lambda_k$, climbs to a maximum; the best one counts. Each
    of its steps goes uphill, and so does the best of the stretched ones.

    Args:
        log_weights: `(rows, K)`.
        means: `(rows, K, D)`.
        precisions: `(rows, K, D, D)`.
        starts: `(rows, S, D)`; by default the means.
        log_slope: for $y = g(x)$: a function of x `(..., D)` that returns the sum of $\log |g'(x)|$ over
            dimensions and the gradient of its negative. Then the density of y is maximised, in x. The
            iteration stays an ascent where $-\log |g'|$ is convex.
    """
    x = np.array(means if starts is None else starts)

    def height(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        away = x[..., None, :] - means[rows][(slice(None),) + (None,) * (x.ndim - 2)]
        precise = precisions[rows][(slice(None),) + (None,) * (x.ndim - 2)]
        distance = np.einsum("...i,...ij,...j->...", away, precise, away)
        value = logsumexp(constants[rows][(slice(None),) + (None,) * (x.ndim - 2)] - 0.5 * distance, axis=-1)
        return value if log_slope is None else value - log_slope(x)[0]

    constants = log_weights + 0.5 * np.linalg.slogdet(precisions)[1]
    best = height(x, np.arange(len(x)))
    active = np.arange(len(x))
    for _ in range(MOST_STEPS):
        here, precise = x[active], precisions[active]
        away = means[active][:, None] - here[:, :, None]  # rows, starts, K, D
        pulls = np.einsum("nkij,nskj->nski", precise, away)
        log_share = constants[active][:, None] - 0.5 * np.sum(pulls * away, axis=-1)
        share = np.exp(log_share - logsumexp(log_share, axis=-1, keepdims=True))
        uphill = np.einsum("nsk,nski->nsi", share, pulls)
        if log_slope is not None:
            uphill = uphill + log_slope(here)[1]
        curvature = np.einsum("nsk,nkij->nsij", share, precise)
        step = np.linalg.solve(curvature, uphill[..., None])[..., 0]
        tried = here[:, :, None] + STRETCHES[:, None] * step[:, :, None]
        heights = height(tried, active)
        choice = np.argmax(heights, axis=-1)[..., None]
        reached = np.take_along_axis(heights, choice, axis=-1)[..., 0]
        moved = reached > best[active]
        x[active] = np.where(
            moved[..., None], np.take_along_axis(tried, choice[..., None], axis=2)[:, :, 0], here
        )
        gained = np.where(moved, reached - best[active], 0.0)
        best[active] = np.maximum(best[active], reached)
        active = active[(gained > 1e-15 * (1 + np.abs(best[active]))).any(axis=-1)]
        if not active.size:
            break
    top = np.argmax(best, axis=-1)
    return np.take_along_axis(x, top[:, None, None], axis=1)[:, 0]


def of_laplaces(log_weights: np.ndarray, locations: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return where a mixture of Laplace distributions is highest, `(rows, D)`.

    Along one dimension the density is a sum of exponentials, convex between the components' locations, so
    a maximum has each coordinate at some component's location. From every location, coordinates are
    exchanged one at a time for the best of these until none improves.

    Args:
        log_weights: `(rows, K)`.
        locations: `(rows, K, D)`.
        scales: `(rows, K, D)`.
    """
    constants = log_weights - np.log(scales).sum(axis=-1)
    x = np.array(locations)  # rows, starts, D

    def heights(candidates: np.ndarray) -> np.ndarray:  # rows, starts, tries, D
        away = np.abs(candidates[..., None, :] - locations[:, None, None]) / scales[:, None, None]
        return logsumexp(constants[:, None, None] - away.sum(axis=-1), axis=-1)

    best = heights(x[:, :, None])[..., 0]
    improved = True
    while improved:
        improved = False
        for d in range(x.shape[-1]):
            tried = np.repeat(x[:, :, None], x.shape[1], axis=2)
            tried[..., d] = locations[:, None, :, d]
            values = heights(tried)
            choice = values.argmax(axis=-1)[..., None]
            reached = np.take_along_axis(values, choice, axis=-1)[..., 0]
            better = reached > best + 1e-14 * np.abs(best)
            x = np.where(better[..., None], np.take_along_axis(tried, choice[..., None], axis=2)[:, :, 0], x)
            best = np.where(better, reached, best)
            improved = improved or bool(better.any())
    return np.take_along_axis(x, best.argmax(axis=-1)[:, None, None], axis=1)[:, 0]
