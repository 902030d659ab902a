"""The highest point of a mixture's density, for all rows at once, in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.special import log_softmax, logsumexp

from mixtura.families.host import in_pieces

LogSlope = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

# Multiples of the fixed-point step that are tried: where components overlap, the plain iteration converges
# too slowly. With 0, rounding cannot lead downhill.
STRETCHES = np.array([0.0, 1.0, 2.0, 5.0, 20.0, 100.0])
MOST_STEPS = 500
MOST_STARTS = 12


def of_normals(
    log_weights: np.ndarray,
    means: np.ndarray,
    precisions: np.ndarray,
    starts: np.ndarray | None = None,
    log_slope: LogSlope | None = None,
) -> np.ndarray:
    r"""Return where a mixture of normals is highest, `(rows, D)`.

    From every start the fixed-point iteration of Carreira-Perpinan (2000, section 4),

    $$x \leftarrow \Bigl(\sum_k r_k \Lambda_k\Bigr)^{-1} \sum_k r_k \Lambda_k \mu_k$$

    with responsibilities $r_k$ and precisions $\Lambda_k$, climbs to a maximum; the best one counts. Each
    of its steps goes uphill, and so does the best of the stretched ones. The starts are the highest of the
    components' means and of the points where two components' product is highest: where two long ridges
    cross there can be a maximum that no mean leads to.

    Args:
        log_weights: `(rows, K)`.
        means: `(rows, K, D)`.
        precisions: `(rows, K, D, D)`.
        starts: `(rows, S, D)`, further starts.
        log_slope: for $y = g(x)$: a function of x `(..., D)` that returns the sum of $\log |g'(x)|$ over
            dimensions and the gradient of its negative. Then the density of y is maximised, in x. The
            iteration stays an ascent where $-\log |g'|$ is convex.
    """
    count, size = means.shape[1:]
    tables = [log_weights + 0.5 * np.linalg.slogdet(precisions)[1], means, precisions]
    tables.append(means if starts is None else np.concatenate([means, starts], axis=1))
    work = (count**2 // 2 + tables[3].shape[1]) * count * size + count * size**3
    return in_pieces(partial(_best_top, log_slope), work, *tables)


def _best_top(
    log_slope: LogSlope | None,
    constants: np.ndarray,
    means: np.ndarray,
    precisions: np.ndarray,
    starts: np.ndarray,
) -> np.ndarray:
    first, second = np.triu_indices(means.shape[1], 1)
    pulls = np.einsum("nkij,nkj->nki", precisions, means)
    together = precisions[:, first] + precisions[:, second]
    crossings = np.linalg.solve(together, (pulls[:, first] + pulls[:, second])[..., None])[..., 0]
    starts = np.concatenate([starts, crossings], axis=1)
    heights = _height(log_slope, constants, means, precisions, starts)
    highest = np.argsort(heights, axis=-1)[:, -MOST_STARTS:]
    starts = np.take_along_axis(starts, highest[..., None], axis=1)
    return _climb(log_slope, constants, means, precisions, starts)


def _height(
    log_slope: LogSlope | None,
    constants: np.ndarray,
    means: np.ndarray,
    precisions: np.ndarray,
    x: np.ndarray,
) -> np.ndarray:
    """Return log densities, up to a constant, at points `(rows, points, D)`."""
    away = means[:, None] - x[:, :, None]
    pulls = np.einsum("nkij,npkj->npki", precisions, away)
    exponent = constants[:, None] - 0.5 * np.sum(pulls * away, axis=-1)
    top = exponent.max(axis=-1)
    height = top + np.log(np.exp(exponent - top[..., None]).sum(axis=-1))
    return height if log_slope is None else height - log_slope(x)[0]


def _climb(
    log_slope: LogSlope | None,
    constants: np.ndarray,
    means: np.ndarray,
    precisions: np.ndarray,
    starts: np.ndarray,
) -> np.ndarray:
    x = starts.reshape(-1, starts.shape[-1]).copy()  # every start climbs by itself
    row = np.repeat(np.arange(len(starts)), starts.shape[1])
    best = np.full(len(x), -np.inf)
    climbing = np.arange(len(x))
    for _ in range(MOST_STEPS):
        here, own = x[climbing], row[climbing]
        precise, centre, constant = precisions[own], means[own], constants[own]
        away = centre - here[:, None]
        pulls = np.einsum("ckij,ckj->cki", precise, away)
        share = np.exp(log_softmax(constant - 0.5 * np.sum(pulls * away, axis=-1), axis=-1))
        uphill = np.einsum("ck,cki->ci", share, pulls)
        if log_slope is not None:
            uphill = uphill + log_slope(here)[1]
        step = np.linalg.solve(np.einsum("ck,ckij->cij", share, precise), uphill[..., None])[..., 0]

        tried = here[:, None] + STRETCHES[:, None] * step[:, None]  # climbers, stretches, D
        height = _height(log_slope, constant, centre, precise, tried)
        choice = height.argmax(axis=-1)
        every = np.arange(len(choice))
        gain = height[every, choice] - best[climbing]
        moved = climbing[gain > 0]
        x[moved], best[moved] = tried[every, choice][gain > 0], height[every, choice][gain > 0]
        climbing = climbing[gain > 1e-13 * (1 + np.abs(best[climbing]))]
        if not climbing.size:
            break
    top = best.reshape(starts.shape[:2]).argmax(axis=-1)
    return x.reshape(starts.shape)[np.arange(len(starts)), top]


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
    work = locations.shape[1] ** 2 * locations[0].size
    return in_pieces(_exchange, work, log_weights, locations, scales)


def _exchange(log_weights: np.ndarray, locations: np.ndarray, scales: np.ndarray) -> np.ndarray:
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
