"""What touch performances are like in numbers, and whether two sets of them are told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mixtura.evaluation.words import number

# Every statistic, with its unit; values are one per performance, or one per swipe or pause.
STATISTICS = {
    "duration": "s",
    "rows per second": "1/s",
    "touches per second": "1/s",
    "share of taps": "",
    "swipe length": "widths",
    "swipe duration": "s",
    "swipe speed": "widths/s",
    "pause": "s",
}
PLACE, CELLS = "place", 8  # of the grid on which places are counted, along each side
RESAMPLES = 300
HEADER = ("", "real", "drawn", "distance", "real from real", "told apart")
Performances = Sequence[np.ndarray]


def starts_of(performance: np.ndarray) -> np.ndarray:
    """Return in which rows a touch begins, `(n,)`: those that do not move, and the first."""
    is_start = performance[:, 3] < 0.5
    is_start[:1] = True
    return is_start


def describe(performances: Performances) -> dict[str, np.ndarray]:
    """Return the values of every statistic.

    A touch is a row that does not move and the moving rows that follow it: a tap if there are none, else a
    swipe. Time starts at 0 with `dt` of the first row, which is 0 as recorded.

    - One value per performance: `duration`, from the first row to the last (s); `rows per second` and
      `touches per second`, their numbers divided by it (none where it is 0); `share of taps` in the touches.
    - One value per swipe: `swipe length`, the sum of distances from row to row (widths of the touch area);
      `swipe duration` (s); `swipe speed`, the one divided by the other (none where the swipe takes no time).
    - `pause`: from the last row of a touch to the next touch (s).
    - `place`: of every row, as fractions of the touch area; `(rows, 2)`.

    Args:
        performances: arrays `(n, 4)` of `(x, y, dt, moving)`, y downwards.

    Raises:
        ValueError: if there is none, or one is not `(n, 4)` with a row at least.

    Example:
        >>> found = describe([[[0.1, 0.5, 0, 0], [0.4, 0.5, 0.5, 1], [0.4, 0.9, 0.5, 1], [0.9, 0.9, 1, 0]]])
        >>> {name: values.round(3).tolist() for name, values in found.items() if name.startswith("swipe")}
        {'swipe length': [0.7], 'swipe duration': [1.0], 'swipe speed': [0.7]}
    """
    several = [_values(one) for one in _checked(performances)]
    return {name: np.concatenate([own[name] for own in several]) for name in (*STATISTICS, PLACE)}


def two_sample(
    real: Performances, drawn: Performances, seed: int, resamples: int = RESAMPLES
) -> dict[str, dict[str, Any]]:
    """Return how far the statistics of drawn performances are from those of real ones.

    The distance of two samples is that of Kolmogorov and Smirnov, the largest difference of their
    distribution functions; for `place` it is the total variation, half the sum of all differences, of the
    shares of rows in the cells of an 8 x 8 grid. Both lie between 0 and 1, and are above 0 by chance alone.

    The yardstick says how far. Values within a performance depend on each other, so whole performances are
    drawn from the real ones, with replacement: one sample of as many as are real, one of as many as are
    drawn. The 95 % quantile of the distance between the two is what real performances reach. Where the
    distance is larger, the statistic tells drawn performances from real ones; by chance alone it does so
    once in twenty, and a little more often where the real ones are few.

    Args:
        real: arrays `(n, 4)` of `(x, y, dt, moving)`.
        drawn: the same.
        seed: of the resampling.
        resamples: how often it is done.

    Returns:
        By statistic, in JSON's types: `unit`; `real` and `drawn`, each the quartiles `[25 %, 50 %, 75 %]`, or
        None where there are no values or the statistic is `place`; `distance`, `yardstick` and `told_apart`,
        None where either has no values.

    Raises:
        ValueError: as `describe` does.
    """
    ours, theirs = [[_comparable(one) for one in _checked(several)] for several in (real, drawn)]
    names = (*STATISTICS, PLACE)
    rng = np.random.default_rng(seed)
    chance: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(resamples):
        first, second = [
            [ours[i] for i in rng.integers(len(ours), size=len(several))] for several in (ours, theirs)
        ]
        for name in names:
            distance = _distance(name, first, second)
            if distance is not None:
                chance[name].append(distance)
    return {name: _row(name, ours, theirs, chance[name]) for name in names}


def words(comparison: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return what `two_sample` found as the rows of a table; the first is its header.

    Medians are followed by quartiles; what does not exist is "none".
    """
    rows: list[tuple[str, ...]] = [HEADER]
    for name, found in comparison.items():
        label = f"{name} ({found['unit']})" if found["unit"] else name
        distances = (
            "none" if found[key] is None else f"{found[key]:.2f}" for key in ("distance", "yardstick")
        )
        verdict = {None: "none", True: "yes", False: "no"}[found["told_apart"]]
        sides = ("" if name == PLACE else _quartiles_text(found[key]) for key in ("real", "drawn"))
        rows.append((label, *sides, *distances, verdict))
    return rows


def _checked(performances: Performances) -> list[np.ndarray]:
    arrays = [np.asarray(one, np.float64) for one in performances]
    if not arrays:
        raise ValueError("there are no performances")
    for position, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != 4 or not len(array):
            raise ValueError(
                f"a performance must have the shape (n, 4), n at least 1; number {position} has {array.shape}"
            )
    return arrays


def _values(performance: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of one performance, as `describe` does of several."""
    place, dt = performance[:, :2], performance[:, 2]
    time = np.cumsum(dt)
    starts = np.flatnonzero(starts_of(performance))
    ends = np.append(starts[1:], len(dt)) - 1
    steps = np.concatenate([[0.0], np.hypot(*np.diff(place, axis=0).T)])
    steps[starts] = 0.0
    is_swipe = ends > starts
    length = np.add.reduceat(steps, starts)[is_swipe]
    lasting = (time[ends] - time[starts])[is_swipe]
    duration = time[-1:] - time[0]
    takes_time = duration > 0
    return {
        "duration": duration,
        "rows per second": len(dt) / duration[takes_time],
        "touches per second": len(starts) / duration[takes_time],
        "share of taps": 1 - is_swipe.mean(keepdims=True),
        "swipe length": length,
        "swipe duration": lasting,
        "swipe speed": length[lasting > 0] / lasting[lasting > 0],
        "pause": dt[starts[1:]],
        PLACE: place,
    }


def _comparable(performance: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of one performance, with the numbers of cells for places."""
    values = _values(performance)
    column, row = np.clip(values[PLACE] * CELLS, 0, CELLS - 1).astype(int).T
    return {**values, PLACE: CELLS * row + column}


def _distance(
    name: str, first: Sequence[Mapping[str, np.ndarray]], second: Sequence[Mapping[str, np.ndarray]]
) -> float | None:
    """Return how far two samples are apart; None where one has no values."""
    one, other = (np.concatenate([own[name] for own in sample]) for sample in (first, second))
    if not len(one) or not len(other):
        return None
    return _DISTANCES.get(name, _kolmogorov_smirnov)(one, other)


def _kolmogorov_smirnov(one: np.ndarray, other: np.ndarray) -> float:
    # As `scipy.stats.ks_2samp`, without the probability, which takes longer and warns about few values.
    both = np.concatenate([one, other])
    shares = [np.sort(values).searchsorted(both, side="right") / len(values) for values in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _total_variation(one: np.ndarray, other: np.ndarray) -> float:
    shares = [np.bincount(cells, minlength=CELLS**2) / len(cells) for cells in (one, other)]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())


_DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {PLACE: _total_variation}


def _row(
    name: str,
    real: Sequence[Mapping[str, np.ndarray]],
    drawn: Sequence[Mapping[str, np.ndarray]],
    chance: Sequence[float],
) -> dict[str, Any]:
    distance = _distance(name, real, drawn)
    yardstick = float(np.quantile(chance, 0.95)) if chance and distance is not None else None
    sides = {
        key: None if name == PLACE else _quartiles(np.concatenate([own[name] for own in sample]))
        for key, sample in (("real", real), ("drawn", drawn))
    }
    is_apart = None if distance is None or yardstick is None else distance > yardstick
    unit = STATISTICS.get(name, "")
    return {"unit": unit, **sides, "distance": distance, "yardstick": yardstick, "told_apart": is_apart}


def _quartiles(values: np.ndarray) -> list[float] | None:
    return np.quantile(values, [0.25, 0.5, 0.75]).tolist() if len(values) else None


def _quartiles_text(quartiles: Sequence[float] | None) -> str:
    if quartiles is None:
        return "none"
    low, middle, high = (number(value, 2) for value in quartiles)
    return f"{middle} ({low}–{high})"
