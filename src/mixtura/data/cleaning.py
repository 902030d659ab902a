"""Cleaning of handwriting: wrong readings, slope and slant, noise, and more points than a network needs.

Graves (2013, section 4) fills in missing readings and removes steps that are too long; hardmaru's network of
2016 clamps offsets; sjvasquez' of 2017 turns lines to run horizontally and filters with Savitzky's and
Golay's polynomials. Each step is off unless asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.strokes import clipped

_SAVGOL = np.array([-2, 3, 6, 7, 6, 3, -2]) / 21  # the middle of the cubic through seven points, fitted
_FEWEST = 5  # low points, fewer of which tell no slope
_STEEPEST = 30.0  # degrees: a line that seems to run steeper is no line
_BEYOND = 4.0  # median distances from the line: where a low point, such as a descender's, counts no more
_USUAL = math.tan(math.radians(2.5))  # the slope of a line of which nothing else is known
_ROUNDS = 5  # of fitting a line to low points and weighing them anew
_LEVELS, _BLUR = 80, 9  # of the profile of a line, and how many are averaged


@dataclass(frozen=True)
class Cleaning:
    """What is done to handwriting before a network sees it, in this order; by default nothing.

    Args:
        limit: offsets are moved into [-limit, limit], in the file's units; hardmaru has 500 for IAM-OnDB.
        outliers: a step inside a stroke is too long if it is longer than so many times the median step of its
            line. A reading between two such steps is wrong if its neighbours are nearer to each other, and
            moved between them; other steps that are too long are filled with points a median step apart.
        baseline: lines are turned by their slope, see `slopes`.
        slant: lines are sheared by their slant, see `slants`.
        smooth: places become the mean of so many points, of fewer near the ends of a stroke, which stay.
        savgol: Savitzky's and Golay's filter of seven points and third order, with the ends repeated.
        thin: of each stroke every so many-th point stays, and the last.
        height: lines are scaled so that a small letter such as x is so high, see `body`.

    Raises:
        ValueError: if a number is negative or not finite, `smooth` is even, `thin` is not positive, or both
            filters are asked for.
    """

    limit: float = 0.0
    outliers: float = 0.0
    baseline: bool = False
    slant: bool = False
    smooth: int = 0
    savgol: bool = False
    thin: int = 1
    height: float = 0.0

    def __post_init__(self) -> None:
        for name in ("limit", "outliers", "height"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a positive number, or 0; received {getattr(self, name)}")
        if self.smooth and (self.smooth < 0 or self.smooth % 2 == 0):
            raise ValueError(f"smooth must be an odd number of points, or 0; received {self.smooth}")
        if self.thin < 1:
            raise ValueError(f"thin must be at least 1; received {self.thin}")
        if self.smooth and self.savgol:
            raise ValueError("smooth and savgol are both filters; expected one of them")


def clean(drawing: np.ndarray, cleaning: Cleaning) -> np.ndarray:
    """Return a drawing `(n, 3)` cleaned, in float64; it keeps its strokes, and a dot stays one.

    Example:
        >>> line = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 1]])
        >>> clean(line, Cleaning(thin=3)).tolist()
        [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    return cleaned(Sequences.of([drawing]), cleaning).data


def cleaned(sequences: Sequences, cleaning: Cleaning) -> Sequences:
    """Return drawings cleaned one by one, in float64; see `clean`. Their fields and facts stay."""
    found = replace(sequences, data=sequences.data.astype(np.float64))
    if cleaning.limit:
        found = replace(found, data=clipped(found.data, cleaning.limit))
    if cleaning.outliers:
        found = _mended(found, cleaning.outliers)
    if cleaning.baseline:
        angles = np.radians(slopes(found))
        turns = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]])
        found = _mapped(found, turns.transpose(2, 0, 1))
    if cleaning.slant:
        shears = np.tile(np.eye(2), (len(found), 1, 1))
        shears[:, 0, 1] = np.tan(np.radians(slants(found)))
        found = _mapped(found, shears)
    if cleaning.smooth:
        found = _smoothed(found, cleaning.smooth)
    if cleaning.savgol:
        found = _filtered(found)
    if cleaning.thin > 1:
        found = _thinned(found, cleaning.thin)
    if cleaning.height:
        heights = np.array([body(drawing)[1] for drawing in found])
        scales = cleaning.height / np.where(heights > 0, heights, cleaning.height)
        found = _mapped(found, scales[:, None, None] * np.eye(2))
    return found


def slopes(sequences: Sequences) -> np.ndarray:
    """Return by how many degrees each line rises to the right, `(n,)`.

    The slope is that of a line through the lowest points of strokes: the median of those from points of the
    left half to those of the right (Theil 1950), and then least squares in which points count the less the
    farther they are (Tukey's biweight), so that descenders do not. The less the points tell, as those of a
    word, the nearer it is to 0: as if slopes had a standard deviation of 2.5 degrees, which is about
    IAM-OnDB's. It is 0 where there are fewer than five low points.
    """
    places, (first, last) = _places(sequences), _strokes(sequences)
    y, point = places[:, 1], np.arange(len(places))
    # Of low points side by side the last; where a stroke begins or ends there is nothing lower beyond.
    low = (point == first) | (y > y[np.maximum(point - 1, 0)])
    low &= (point == last) | (y >= y[np.minimum(point + 1, len(y) - 1)])
    lines = np.split(np.where(low[:, None], places, np.nan), sequences.offsets[1:-1])
    return np.array([_slope(line[~np.isnan(line[:, 0])]) for line in lines])


def slants(sequences: Sequences) -> np.ndarray:
    """Return by how many degrees the strokes of each drawing lean to the right, `(n,)`.

    It is the median of the slants of all steps downwards, each counting by how far down it goes; steps
    upwards also join letters. It is 0 where nothing goes down.
    """
    moves = sequences.data[:, :2].astype(np.float64)
    first, _ = _strokes(sequences)
    down = (moves[:, 1] > 0) & (np.arange(len(moves)) > first)
    line = np.repeat(np.arange(len(sequences)), sequences.lengths)[down]
    dx, dy = moves[down].T
    order = np.lexsort((-dx / dy, line))
    line, dx, dy = line[order], dx[order], dy[order]
    # The first step of each line at which half of the way down is gone.
    total = np.bincount(line, dy, len(sequences))
    gone = np.cumsum(dy) - np.concatenate([[0.0], np.cumsum(total)])[line]
    beyond = np.flatnonzero(gone >= total[line] / 2)
    lines, at = np.unique(line[beyond], return_index=True)
    found = np.zeros(len(sequences))
    found[lines] = np.degrees(np.arctan2(-dx[beyond[at]], dy[beyond[at]]))
    return found


def body(drawing: np.ndarray) -> tuple[float, float]:
    """Return where the small letters of a horizontal line stand, and how high they are.

    Both come from the profile of the line, how long its strokes are at each height: small letters are from
    the first to the last height at which it is half of its largest value.

    Args:
        drawing: `(n, 3)`.

    Returns:
        The baseline's y, downwards from the pen's origin, and the height of an x; that is 0 for a dot.
    """
    sequences = Sequences.of([drawing])
    places, (first, _) = _places(sequences), _strokes(sequences)
    top, bottom = places[:, 1].min(), places[:, 1].max()
    inside = np.flatnonzero(np.arange(len(places)) > first)
    steps = places[inside] - places[inside - 1]
    if not bottom > top or not steps.any():
        return float(bottom), float(bottom - top)
    # Each step in pieces of a level at most.
    pieces = np.ceil(np.abs(steps[:, 1]) * _LEVELS / (bottom - top)).clip(1).astype(np.int64)
    step = np.repeat(np.arange(len(steps)), pieces)
    piece = np.arange(len(step)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    heights = places[inside - 1, 1][step] + steps[step, 1] * (piece + 0.5) / pieces[step]
    lengths = np.hypot(*steps.T)[step] / pieces[step]
    profile, edges = np.histogram(heights, _LEVELS, (top, bottom), weights=lengths)
    profile = np.convolve(profile, np.ones(_BLUR), "same")
    full = np.flatnonzero(profile >= profile.max() / 2)
    return float(edges[full[-1] + 1]), float(edges[full[-1] + 1] - edges[full[0]])


def long_steps(sequences: Sequences, times: float) -> np.ndarray:
    """Return which steps inside strokes are longer than so many times their drawing's median, `(steps,)`.

    The first step of each stroke is made in the air and is none.
    """
    return _lengths(sequences) > times


def _lengths(sequences: Sequences) -> np.ndarray:
    """Return the lengths of steps as multiples of the median in their drawing; 0 in the air."""
    lengths = np.hypot(*sequences.data[:, :2].astype(np.float64).T)
    first, _ = _strokes(sequences)
    inside = np.arange(len(lengths)) > first
    medians = [
        np.median(own[on]) if on.any() else 0.0
        for own, on in zip(
            np.split(lengths, sequences.offsets[1:-1]), np.split(inside, sequences.offsets[1:-1]), strict=True
        )
    ]
    median = np.repeat(medians, sequences.lengths)
    return np.where(inside & (median > 0), lengths, 0.0) / np.where(median > 0, median, 1.0)


def _mended(sequences: Sequences, times: float) -> Sequences:
    """Return drawings without wrong readings and with missing ones; see `Cleaning.outliers`."""
    places, lengths = _places(sequences), _lengths(sequences)
    long = lengths > times
    between = np.flatnonzero(long[:-1] & long[1:])  # both steps are inside strokes, so inside one
    skipped = np.hypot(*(places[between + 1] - places[between - 1]).T)
    shorter = np.minimum(*(np.hypot(*sequences.data[between + step, :2].T) for step in (0, 1)))
    wrong = between[skipped < shorter]
    places[wrong] = (places[wrong - 1] + places[wrong + 1]) / 2
    mended = replace(sequences, data=_with(places, sequences))
    lengths = _lengths(mended)
    pieces = np.where(lengths > times, np.rint(lengths), 1).astype(np.int64)
    data = np.repeat(mended.data, pieces, axis=0)
    data[:, :2] /= np.repeat(pieces, pieces)[:, None]
    last = np.cumsum(pieces) - 1
    data[:, 2] = 0
    data[last, 2] = mended.data[:, 2]
    return replace(mended, data=data, offsets=np.append(0, last[mended.offsets[1:] - 1] + 1))


def _smoothed(sequences: Sequences, window: int) -> Sequences:
    places, (first, last) = _places(sequences), _strokes(sequences)
    point = np.arange(len(places))
    half = np.minimum(window // 2, np.minimum(point - first, last - point))
    total = places.copy()
    for step in range(1, window // 2 + 1):
        at = np.flatnonzero(half >= step)
        total[at] += places[at - step] + places[at + step]
    return replace(sequences, data=_with(total / (2 * half + 1)[:, None], sequences))


def _filtered(sequences: Sequences) -> Sequences:
    places, (first, last) = _places(sequences), _strokes(sequences)
    point, half = np.arange(len(places)), len(_SAVGOL) // 2
    steps = zip(_SAVGOL, range(-half, half + 1), strict=True)
    filtered = sum(weight * places[np.clip(point + step, first, last)] for weight, step in steps)
    return replace(sequences, data=_with(np.asarray(filtered), sequences))


def _thinned(sequences: Sequences, every: int) -> Sequences:
    first, last = _strokes(sequences)
    point = np.arange(len(first))
    kept = ((point - first) % every == 0) | (point == last)
    offsets = np.append(0, np.cumsum(kept)[sequences.offsets[1:] - 1])
    thinned = replace(sequences, data=sequences.data[kept], offsets=offsets)
    return replace(thinned, data=_with(_places(sequences)[kept], thinned))


def _mapped(sequences: Sequences, matrices: np.ndarray) -> Sequences:
    """Return drawings mapped by a matrix each, `(n, 2, 2)`."""
    line = np.repeat(np.arange(len(sequences)), sequences.lengths)
    moves = np.einsum("nij,nj->ni", matrices[line], sequences.data[:, :2])
    return replace(sequences, data=np.column_stack([moves, sequences.data[:, 2]]))


def _places(sequences: Sequences) -> np.ndarray:
    """Return where the pen is at each point, from the origin of its drawing, `(steps, 2)`."""
    places = np.cumsum(sequences.data[:, :2], axis=0, dtype=np.float64)
    before = np.concatenate([np.zeros((1, 2)), places])[sequences.offsets[:-1]]
    return places - np.repeat(before, sequences.lengths, axis=0)


def _with(places: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Return the data of drawings whose points are moved to other places."""
    moves, starts = np.diff(places, axis=0, prepend=0), sequences.offsets[:-1]
    moves[starts] = places[starts]
    return np.column_stack([moves, sequences.data[:, 2]])


def _strokes(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return for each point the numbers of the first and the last of its stroke."""
    end = sequences.data[:, 2] != 0
    end[sequences.offsets[1:] - 1] = True
    stops = np.flatnonzero(end)
    stroke = np.cumsum(end) - end
    return np.append(0, stops[:-1] + 1)[stroke], stops[stroke]


def _slope(points: np.ndarray) -> float:
    """Return the slope of a line through low points, `(n, 2)`, in degrees; see `slopes`."""
    x, y = points.T
    order, half = np.argsort(x), len(x) // 2
    left, right = order[:half], order[-half:]
    if len(x) < _FEWEST or not (x[right] > x[left]).all():
        return 0.0
    slope = np.median((y[right] - y[left]) / (x[right] - x[left]))
    away = y - slope * x
    away -= np.median(away)
    for _ in range(_ROUNDS):
        distance = np.median(np.abs(away))
        if not distance > 0:
            break
        weight = np.clip(1 - (away / (_BEYOND * distance)) ** 2, 0, None) ** 2
        middle_x, middle_y = np.average(points, axis=0, weights=weight)
        slope = (weight * (x - middle_x) * (y - middle_y)).sum() / (weight * (x - middle_x) ** 2).sum()
        away = y - middle_y - slope * (x - middle_x)
    degrees = -math.degrees(math.atan(slope))
    if abs(degrees) > _STEEPEST:
        return 0.0
    # Of the slope by least squares, if the points were normal about the line.
    variance = math.pi / 2 * np.mean(np.abs(away)) ** 2 / (len(x) * np.var(x))
    return degrees * _USUAL**2 / (_USUAL**2 + variance)
