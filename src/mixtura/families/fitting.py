"""What families are fitted to: all events, or the cluster of them that one component of a mixture takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.cluster.vq import kmeans2, vq

# k-means searches the centres of at most so many rows, from so many starts.
ROWS_SEARCHED, STARTS, ITERATIONS = 20_000, 4, 25


class Events(NamedTuple):
    """Events without inputs, `(rows, event_size)` in float64.

    A mixture cuts them into clusters and has its components fitted to those. A cluster may be a single row
    or the same row many times, so a component also knows what it is a part of: each family pools the spread
    of its rows with that of everyone's (see `pooled`), in the coordinates in which it has parameters.
    """

    rows: np.ndarray
    """The events to describe, at least one."""
    everyone: np.ndarray
    """All events; the same as `rows` outside mixtures."""
    parts: int = 1
    """How many components share everyone's events."""

    def each(self, f: Callable[[np.ndarray], np.ndarray]) -> Events:
        """Return the events in other coordinates."""
        return Events(f(self.rows), f(self.everyone), self.parts)

    def some(self, dims: int | slice) -> Events:
        """Return some dimensions of the events, or one of the copies that they consist of."""
        return self.each(lambda y: y[:, dims])

    def pooled(self, own: Any, everyones: Any) -> Any:
        """Return the mean of a statistic of n rows and of everyone, who count as 1 + n/100 rows.

        The one row is for small clusters, the hundredth for large ones whose rows are all the same. Outside
        mixtures the statistic is the rows' own.
        """
        if self.parts == 1:
            return own
        n = len(self.rows)
        return own + (1 + n / 100) / (1 + n / 100 + n) * (everyones - own)

    def clusters(self, count: int, rng: np.random.Generator) -> list[tuple[int, Events]]:
        """Return `count` clusters and how many of the rows each has; none of them is empty.

        One dimension is cut at quantiles, equal values staying together; several are cut by k-means. Where
        the rows have fewer different values than there are clusters, each that remains gets some of the
        values, drawn at random: another number each, so that no two components begin, and then remain,
        the same.
        """
        y = self.rows
        labels = _quantile_labels(y[:, 0], count) if y.shape[1] == 1 else _nearest_labels(y, count, rng)
        sizes = np.bincount(labels, minlength=count).tolist()
        values = np.unique(y, axis=0) if 0 in sizes else y
        clusters, draws = [], 1
        for label, size in enumerate(sizes):
            draws += 2 * (size == 0)  # odd: of two values, no two shares are equal
            rows = y[labels == label] if size else np.resize(rng.permutation(values), (draws, y.shape[1]))
            clusters.append((size, Events(rows, self.everyone, self.parts * count)))
        return clusters


def shares(family: Any, events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and everyone if they lie between 0 and 1, as soft labels do, or raise a ValueError."""
    y = events.everyone
    wrong = (y < 0) | (y > 1)
    if wrong.any():
        row, dimension = np.argwhere(wrong)[0]
        raise ValueError(
            f"{family!r} has events between 0 and 1; received {y[row, dimension]:g} in row {row}, "
            f"dimension {dimension} of its own"
        )
    return events.rows, y


def units(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard deviations of dimensions, 1 for constant ones, and which are constant."""
    deviation = y - y.mean(axis=0)
    largest = np.abs(deviation).max(axis=0)
    # The mean of equal numbers may be off by roundings.
    constant = np.ptp(y, axis=0) <= 4 * np.finfo(float).eps * np.abs(y).max(axis=0)
    # Relative to the largest, whose square could leave the range of numbers.
    largest = np.where(constant, 1.0, largest)
    scale = largest * np.sqrt(np.mean(np.square(deviation / largest), axis=0))
    return np.where(constant, 1.0, scale), constant


def _quantile_labels(y: np.ndarray, count: int) -> np.ndarray:
    """Return each value's cluster: the one its place among the sorted values falls into."""
    _, value, counts = np.unique(y, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - 0.5 * counts
    return (middle[value] * count / len(y)).astype(int)


def _nearest_labels(y: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return each row's cluster by k-means on standardised dimensions: the best of a few starts."""
    # Rounded, because k-means++ needs distances between different rows whose squares are not zero.
    x = ((y - y.mean(axis=0)) / units(y)[0]).round(9)
    searched = rng.choice(x, ROWS_SEARCHED, replace=False) if len(x) > ROWS_SEARCHED else x
    count = min(count, len(np.unique(searched, axis=0)))
    if count == 1:
        return np.zeros(len(y), dtype=int)
    trials = []
    for _ in range(STARTS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a cluster that lost all its rows keeps its centre
            centres, _ = kmeans2(searched, count, iter=ITERATIONS, minit="++", rng=rng)
        trials.append((np.square(vq(searched, centres)[1]).sum(), centres))
    return vq(x, min(trials, key=lambda trial: trial[0])[1])[0]
