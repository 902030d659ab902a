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
# Heights tell maxima apart to half the digits only; so many plain steps find the others.
LAST_STEPS = 20
MOST_STARTS = 24
# Of so many components, those of the tallest peaks, all pairs are tried: lower ones cannot cross above these.
MOST_PAIRED = 40
# A computation works on about so many numbers at once.
PIECE = 2**23


def of_normals(
    log_weights: np.ndarray,
    means: np.ndarray,
    whiteners: np.ndarray,
    starts: np.ndarray | None = None,
    log_slope: LogSlope | None = None,
) -> np.ndarray:
    r"""Return where a mixture of normals is highest, `(rows, D)`.

    From every start the fixed-point iteration of Carreira-Perpinan (2000, section 4),

    $$x \leftarrow \Bigl(\sum_k r_k \Lambda_k\Bigr)^{-1} \sum_k r_k \Lambda_k \mu_k$$

    with responsibilities $r_k$ and precisions $\Lambda_k$, climbs to a maximum; the best one counts. Each
    of its steps goes uphill, and so does the best of the stretched ones. The starts are the highest of the
    components' means and of the points where two components' product is highest: where two long ridges
    cross there can be a maximum that no mean leads to. No component leads at two of them.

    Args:
        log_weights: `(rows, K)`.
        means: `(rows, K, D)`.
        whiteners: `(rows, K, D, D)`: matrices W with standard normal (y - mean) @ W, so that the precision is
            W @ W.T, which has fewer digits where dimensions are strongly correlated.
        starts: `(rows, S, D)`, further starts.
        log_slope: for $y = g(x)$: a function of x `(..., D)` that returns the sum of $\log |g'(x)|$ over
            dimensions and the gradient of its negative. Then the density of y is maximised, in x. The
            iteration stays an ascent where $-\log |g'|$ is convex.
    """
    count, size = means.shape[1:]
    tables = [log_weights + np.linalg.slogdet(whiteners)[1], means, whiteners]
    tables.append(means if starts is None else np.concatenate([means, starts], axis=1))
    points = min(count, MOST_PAIRED) ** 2 // 2 + tables[3].shape[1] + MOST_STARTS * len(STRETCHES)
    return in_pieces(partial(_best_top, log_slope), points * count * size + count * size**3, *tables)


def _best_top(
    log_slope: LogSlope | None,
    constants: np.ndarray,
    means: np.ndarray,
    whiteners: np.ndarray,
    starts: np.ndarray,
) -> np.ndarray:
    tallest = np.argsort(constants, axis=-1)[:, -MOST_PAIRED:, None]
    precise = _precisions(np.take_along_axis(whiteners, tallest[..., None], axis=1))
    pulls = np.einsum("nkij,nkj->nki", precise, np.take_along_axis(means, tallest, axis=1))
    first, second = np.triu_indices(tallest.shape[1], 1)
    together = precise[:, first] + precise[:, second]
    crossings = _solve(together, pulls[:, first] + pulls[:, second])
    starts = np.concatenate([starts, crossings], axis=1)
    heights, leaders = _heights(log_slope, constants, means, whiteners, starts)
    # Of those that the same component leads, only the highest: they mostly climb to the same maximum.
    order = np.lexsort((-heights, leaders), axis=-1)
    heights, leaders = (np.take_along_axis(a, order, axis=1) for a in (heights, leaders))
    follows = np.diff(leaders, axis=1, prepend=-1) == 0
    highest = np.argsort(np.where(follows, -np.inf, heights), axis=-1)[:, -MOST_STARTS:]
    chosen = np.take_along_axis(order, highest, axis=1)
    starts = np.take_along_axis(starts, chosen[..., None], axis=1)
    return _climb(log_slope, constants, means, whiteners, starts)


def _precisions(whiteners: np.ndarray) -> np.ndarray:
    return whiteners @ np.swapaxes(whiteners, -1, -2)


def _solve(precision: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Return the inverse of precisions `(..., D, D)` times pulls, in units of their diagonal.

    Correlations that float64 cannot tell from 1 are taken as a little less, which shortens a step.
    """
    unit = np.sqrt(np.diagonal(precision, axis1=-2, axis2=-1))
    scaled = precision / (unit[..., :, None] * unit[..., None, :]) + 1e-14 * np.eye(unit.shape[-1])
    return np.linalg.solve(scaled, (pull / unit)[..., None])[..., 0] / unit


def _heights(
    log_slope: LogSlope | None,
    constants: np.ndarray,
    means: np.ndarray,
    whiteners: np.ndarray,
    x: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return log densities, up to a constant, at points `(rows, points, D)`, and the leading components."""
    step = 1 + PIECE // max(1, means.size)
    if x.shape[1] > step:
        pieces = [x[:, start : start + step] for start in range(0, x.shape[1], step)]
        found = [_heights(log_slope, constants, means, whiteners, piece) for piece in pieces]
        height, leader = (np.concatenate(part, axis=1) for part in zip(*found, strict=True))
        return height, leader
    z = np.einsum("npki,nkij->npkj", means[:, None] - x[:, :, None], whiteners)
    exponent = constants[:, None] - 0.5 * np.sum(np.square(z), axis=-1)
    leader = exponent.argmax(axis=-1)
    top = np.take_along_axis(exponent, leader[..., None], axis=-1)
    height = top[..., 0] + np.log(np.exp(exponent - top).sum(axis=-1))
    return height if log_slope is None else height - log_slope(x)[0], leader


def _climb(
    log_slope: LogSlope | None,
    constants: np.ndarray,
    means: np.ndarray,
    whiteners: np.ndarray,
    starts: np.ndarray,
) -> np.ndarray:
    x = starts.reshape(-1, starts.shape[-1]).copy()  # every start climbs by itself
    row = np.repeat(np.arange(len(starts)), starts.shape[1])
    best = np.full(len(x), -np.inf)
    climbing = np.arange(len(x))
    for _ in range(MOST_STEPS):
        here, own = x[climbing], row[climbing]
        whitener, centre, constant = whiteners[own], means[own], constants[own]
        step = _step(log_slope, constant, centre, whitener, here)
        tried = here[:, None] + STRETCHES[:, None] * step[:, None]  # climbers, stretches, D
        height, _ = _heights(log_slope, constant, centre, whitener, tried)
        choice = height.argmax(axis=-1)
        every = np.arange(len(choice))
        gain = height[every, choice] - best[climbing]
        moved = climbing[gain > 0]
        x[moved], best[moved] = tried[every, choice][gain > 0], height[every, choice][gain > 0]
        climbing = climbing[gain > 1e-13 * (1 + np.abs(best[climbing]))]
        if not climbing.size:
            break
    top = best.reshape(starts.shape[:2]).argmax(axis=-1)
    x = x.reshape(starts.shape)[np.arange(len(starts)), top]
    for _ in range(LAST_STEPS):
        x = x + _step(log_slope, constants, means, whiteners, x)
    return x


def _step(
    log_slope: LogSlope | None,
    constants: np.ndarray,
    means: np.ndarray,
    whiteners: np.ndarray,
    x: np.ndarray,
) -> np.ndarray:
    """Return the step of the fixed-point iteration from x `(rows, D)`."""
    z = np.einsum("nki,nkij->nkj", means - x[:, None], whiteners)
    share = np.exp(log_softmax(constants - 0.5 * np.sum(np.square(z), axis=-1), axis=-1))
    uphill = np.einsum("nk,nkij,nkj->ni", share, whiteners, z)
    if log_slope is not None:
        uphill = uphill + log_slope(x)[1]
    return _solve(np.einsum("nk,nkij->nij", share, _precisions(whiteners)), uphill)


def of_laplaces(log_weights: np.ndarray, locations: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return where a mixture of Laplace distributions is highest, `(rows, D)`.

    Along one dimension the density is a sum of exponentials, convex between the components' locations, so
    a maximum has each coordinate at some component's location. From the highest locations, coordinates are
    exchanged one at a time for the best of these until none improves.

    Args:
        log_weights: `(rows, K)`.
        locations: `(rows, K, D)`.
        scales: `(rows, K, D)`.
    """
    count, size = locations.shape[1:]
    return in_pieces(_exchange, (1 + size) * count**2, log_weights, locations, scales)


def _exchange(log_weights: np.ndarray, locations: np.ndarray, scales: np.ndarray) -> np.ndarray:
    constants = log_weights - np.log(scales).sum(axis=-1)
    size = locations.shape[-1]

    def away(d: int) -> np.ndarray:
        """Return how far the components' coordinates d are from every component: rows, places, K."""
        return np.abs(locations[:, :, None, d] - locations[:, None, :, d]) / scales[:, None, :, d]

    heights = logsumexp(constants[:, None] - sum(away(d) for d in range(size)), axis=-1)
    starts = np.argsort(heights, axis=-1)[:, -MOST_STARTS:]
    best = np.take_along_axis(heights, starts, axis=1)
    places = np.repeat(starts[..., None], size, axis=-1)  # whose coordinate each start has, in each dimension
    improved = size > 1
    while improved:
        improved = False
        for d in range(size):
            x = np.take_along_axis(locations, places, axis=1)
            apart = np.abs(x[:, :, None] - locations[:, None]) / scales[:, None]  # rows, starts, K, D
            others = np.delete(apart, d, axis=-1).sum(axis=-1)
            own = constants[:, None] - away(d)
            tried = np.stack(
                [logsumexp(own - rest[:, None], axis=-1) for rest in np.moveaxis(others, 1, 0)], axis=1
            )  # rows, starts, places
            choice = tried.argmax(axis=-1)
            reached = np.take_along_axis(tried, choice[..., None], axis=-1)[..., 0]
            better = reached > best + 1e-12 * (1 + np.abs(best))
            places[..., d] = np.where(better, choice, places[..., d])
            best = np.where(better, reached, best)
            improved = improved or bool(better.any())
    top = np.take_along_axis(places, best.argmax(axis=-1)[:, None, None], axis=1)
    return np.take_along_axis(locations, top, axis=1)[:, 0]
