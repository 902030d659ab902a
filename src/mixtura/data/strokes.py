"""Drawings as strokes of a pen: the type, and what is done to it before and after a network.

A drawing is an array `(n, 3)` of `(dx, dy, end)`, y downwards: the pen moves by `(dx, dy)` to this point, and
`end` is 1 in the last point of a stroke, after which the pen moves through the air. The first row is the move
from the origin, and the last has `end` 1. The same drawing as lines is a list of arrays `(m, 2)` of places,
one for each stroke; a line of one point is a dot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.tables import FLOAT32_MAX
from mixtura.errors import InputError

COLUMNS = ("dx", "dy", "end")
_KANJI = [0, 1, 3, 4, 2]  # where Ha's columns are in stroke-5; the way back is another
_FIRST_TWO, _LAST_TWO = 2, 2  # points of a stroke that `thinned` never drops

Lines = list[np.ndarray]


def check(drawing: Any, name: str, longest: int | None = None) -> None:
    """Check that an array is a drawing.

    Args:
        drawing: what to check.
        name: what a message calls it, such as a file's path and a number.
        longest: how many points it may have at most.

    Raises:
        InputError: if the shape is another, there is no point or more than `longest`, a move is not finite in
            float32, or an end is not 0 or 1. Points are counted from 1.
    """
    drawing = np.asarray(drawing)
    if drawing.ndim != 2 or drawing.shape[1] != len(COLUMNS) or drawing.dtype.kind not in "iuf":
        raise InputError(
            f"{name} has the shape {drawing.shape} of {drawing.dtype}; expected (points, {len(COLUMNS)}) of "
            f"numbers {', '.join(COLUMNS)}"
        )
    if not len(drawing):
        raise InputError(f"{name} has no point; expected at least one")
    if longest is not None and len(drawing) > longest:
        raise InputError(f"{name} has {len(drawing)} points; expected at most {longest}")
    wrong = ~(np.abs(drawing[:, :2].astype(np.float64)) <= FLOAT32_MAX)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"{name}, point {row + 1}: {COLUMNS[column]} is {drawing[row, column]}; expected a finite number "
            f"of at most {FLOAT32_MAX:.2g}"
        )
    wrong = (drawing[:, 2] != 0) & (drawing[:, 2] != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{name}, point {row + 1}: end is {drawing[row, 2]:g}; expected 0 or 1")


def with_categories(drawings: Sequences, names: Sequence[str]) -> Sequences:
    """Return drawings with the name of the category of each: the field `label`, the fact `categories`.

    Categories are sorted. Nothing changes if a drawing has no name.
    """
    if not all(names):
        return drawings
    categories, label = np.unique(np.array(names), return_inverse=True)
    fields, facts = {**drawings.fields, "label": label}, {**drawings.facts, "categories": categories}
    return replace(drawings, fields=fields, facts=facts)


def categories_of(drawings: Sequences) -> list[str]:
    """Return the name of the category of each drawing, its label if that has no name; none without labels."""
    labels = drawings.fields.get("label", np.array([])).tolist()
    names = dict(enumerate(drawings.facts.get("categories", np.array([])).ravel().tolist()))
    return [str(names.get(label, label)) for label in labels]


def polylines(drawing: np.ndarray) -> Lines:
    """Return a drawing as lines: the places of each stroke's points, `(m, 2)` in float64.

    Example:
        >>> [line.tolist() for line in polylines(np.array([[1, 1, 0], [2, 0, 1], [0, 5, 1]]))]
        [[[1.0, 1.0], [3.0, 1.0]], [[3.0, 6.0]]]
    """
    drawing = np.asarray(drawing)
    places = np.cumsum(drawing[:, :2], axis=0, dtype=np.float64)
    lines = np.split(places, np.flatnonzero(drawing[:, 2]) + 1)
    return [line for line in lines if len(line)]


def from_polylines(lines: Iterable[Any], origin: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
    """Return the drawing that has these lines, in float64; lines without points are left out.

    Args:
        lines: arrays `(m, 2)` of places.
        origin: where the pen is before the first.

    Raises:
        ValueError: if a line has another shape.
    """
    arrays = [np.asarray(line, dtype=np.float64) for line in lines]
    for number, line in enumerate(arrays):
        if line.size and (line.ndim != 2 or line.shape[1] != 2):
            raise ValueError(f"a line must have the shape (points, 2); line {number} has {line.shape}")
    arrays = [line for line in arrays if line.size]
    if not arrays:
        return np.zeros((0, len(COLUMNS)))
    places = np.concatenate([np.asarray([origin], dtype=np.float64), *arrays])
    end = np.zeros(len(places) - 1)
    end[np.cumsum([len(line) for line in arrays]) - 1] = 1
    return np.column_stack([np.diff(places, axis=0), end])


def to_stroke5(drawing: np.ndarray, closing: bool = True) -> np.ndarray:
    """Return a drawing as events `(dx, dy, draw, lift, end)`, of whose last three one is 1.

    Args:
        drawing: `(n, 3)`.
        closing: an event (0, 0, 0, 0, 1) follows the last point, as in sketch-rnn (Ha & Eck 2017): `n + 1`
            events, and the part of a drawing is the same without the last. Else the last point itself has
            `end`, as in Ha's kanji (2015): `n` events.
    """
    drawing = np.asarray(drawing)
    events = np.zeros((len(drawing) + closing, 5))
    points = events[: len(drawing)]
    points[:, :2] = drawing[:, :2]
    points[:, 2], points[:, 3] = drawing[:, 2] == 0, drawing[:, 2] != 0
    events[-1:, 2:] = (0, 0, 1)
    return events


def from_stroke5(events: np.ndarray) -> np.ndarray:
    """Return the drawing of events `(dx, dy, draw, lift, end)`, whichever way it ends; see `to_stroke5`.

    What follows the first `end` is padding. That event is a point unless it moves nowhere after a lifted pen;
    without one the last point ends the drawing. Of draw, lift and end the largest counts.
    """
    events = np.asarray(events, dtype=np.float64)
    pen = events[:, 2:].argmax(axis=1)
    ends = np.flatnonzero(pen == 2)
    length = len(events)
    if len(ends):
        last = int(ends[0])
        closing = last > 0 and pen[last - 1] == 1 and not events[last, :2].any()
        length = last if closing else last + 1
    drawing = np.column_stack([events[:length, :2], pen[:length] > 0])
    drawing[-1:, 2] = 1
    return drawing


def to_kanji(drawing: np.ndarray) -> np.ndarray:
    """Return a drawing as Ha's events of 2015: `(dx, dy, end of stroke, end of character, continue)`."""
    return to_stroke5(drawing, closing=False)[:, _KANJI]


def from_kanji(events: np.ndarray) -> np.ndarray:
    """Return the drawing of Ha's events of 2015; see `to_kanji`."""
    return from_stroke5(np.asarray(events)[:, np.argsort(_KANJI)])


def simplified(
    lines: Iterable[np.ndarray], epsilon: float = 2.0, distance: Literal["segment", "line"] = "segment"
) -> Lines:
    """Return lines with fewer points, by Ramer's, Douglas' and Peucker's algorithm.

    Of the points between two that stay, the farthest from the segment that joins them stays too, if it is
    farther than epsilon; and so on in both parts.

    Args:
        lines: arrays `(m, 2)`; the ends of each stay.
        epsilon: how far a point that is left out may be.
        distance: to the segment, so that a stroke that goes forth and back keeps where it turns; or to the
            whole line through both points, which Quick, Draw! takes and which may lose that. Where the two
            points are one, it is the distance to it.

    Raises:
        ValueError: if epsilon is negative, or there is no such distance.
    """
    if not epsilon >= 0:
        raise ValueError(f"epsilon must not be negative; received {epsilon}")
    if distance not in ("segment", "line"):
        raise ValueError(f"distance must be 'segment' or 'line'; received {distance!r}")
    lines = [np.asarray(line, dtype=np.float64) for line in lines]
    if not lines:
        return []
    x, y = np.concatenate(lines).T
    lengths = np.array([len(line) for line in lines])
    stops = np.cumsum(lengths)
    first, last = (stops - lengths)[lengths > 0], (stops - 1)[lengths > 0]
    kept = np.zeros(len(x), dtype=bool)
    kept[first], kept[last] = True, True
    while True:
        # All segments of all lines that have points between their ends, at once.
        between = last - first > 1
        first, last = first[between], last[between]
        if not len(first):
            break
        counts = last - first - 1
        starts = np.cumsum(counts) - counts
        segment = np.repeat(np.arange(len(first)), counts)
        point = np.arange(len(segment)) + np.repeat(first + 1 - starts, counts)
        far = _distance(x, y, point, first[segment], last[segment], distance)
        farthest = np.maximum.reduceat(far, starts)
        at = np.flatnonzero(far == farthest[segment])
        middle = np.empty(len(first), dtype=np.int64)
        middle[segment[at[::-1]]] = point[at[::-1]]  # the first of several that are as far
        split = farthest > epsilon
        first, middle, last = first[split], middle[split], last[split]
        kept[middle] = True
        first, last = np.concatenate([first, middle]), np.concatenate([middle, last])
    return [line[stay] for line, stay in zip(lines, np.split(kept, stops[:-1]), strict=True)]


def _distance(
    x: np.ndarray, y: np.ndarray, point: np.ndarray, first: np.ndarray, last: np.ndarray, distance: str
) -> np.ndarray:
    """Return how far points are from the segment or the line between their `first` and `last` points."""
    from_x, from_y = x[point] - x[first], y[point] - y[first]
    along_x, along_y = x[last] - x[first], y[last] - y[first]
    length = np.sqrt(along_x**2 + along_y**2)
    unit = np.where(length > 0, length, 1)
    far = np.abs(from_x * along_y - from_y * along_x) / unit
    if distance == "segment":
        along = (from_x * along_x + from_y * along_y) / unit
        far = np.sqrt(far**2 + (along - np.clip(along, 0, length)) ** 2)
    return np.where(length > 0, far, np.sqrt(from_x**2 + from_y**2))


def fitted(lines: Iterable[np.ndarray], size: float = 255.0) -> Lines:
    """Return lines moved to the top-left corner, (0, 0), and scaled so that the larger side is `size`.

    A drawing that has no size, a dot, is only moved.
    """
    lines = [np.asarray(line, dtype=np.float64) for line in lines]
    if not lines:
        return []
    places = np.concatenate(lines)
    low = places.min(axis=0)
    side = (places.max(axis=0) - low).max()
    return [(line - low) * (size / side if side > 0 else 1.0) for line in lines]


def resampled(lines: Iterable[np.ndarray], spacing: float = 1.0) -> Lines:
    """Return lines with a point every `spacing` along them; the first and last point stay.

    A line of no length becomes one point.

    Raises:
        ValueError: if spacing is not positive.
    """
    if not spacing > 0:
        raise ValueError(f"spacing must be positive; received {spacing}")
    return [_resampled(np.asarray(line, dtype=np.float64), spacing) for line in lines]


def _resampled(line: np.ndarray, spacing: float) -> np.ndarray:
    steps = np.hypot(*np.diff(line, axis=0).T)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    if not length[-1] > 0:
        return line[:1]
    # A point less than a billionth of the spacing before the last is the last.
    wanted = np.arange(np.ceil(length[-1] / spacing - 1e-9)) * spacing
    new = np.column_stack([np.interp(wanted, length, column) for column in line.T])
    return np.concatenate([new, line[-1:]])


def quickdraw(lines: Iterable[np.ndarray], epsilon: float = 2.0) -> Lines:
    """Return lines simplified as Quick, Draw! publishes its drawings.

    Moved to the top-left corner, the larger side scaled to 255, a point at every unit along each line,
    simplified with the distance to the line, rounded to integers.

    Args:
        lines: arrays `(m, 2)`.
        epsilon: the tolerance; Quick, Draw!'s is 2.
    """
    return [np.rint(line) for line in simplified(resampled(fitted(lines)), epsilon, "line")]


def spread(drawings: Iterable[np.ndarray]) -> float:
    """Return the standard deviation of all dx and dy together: sketch-rnn's scale factor."""
    return float(
        np.std(np.concatenate([np.asarray(drawing)[:, :2] for drawing in drawings], dtype=np.float64))
    )


def stretched(drawing: np.ndarray, rng: np.random.Generator, by: float = 0.15) -> np.ndarray:
    """Return a drawing with x and y each times a random number from 1 - by to 1 + by.

    sketch-rnn's augmentation, by 0.15 (Ha & Eck 2017); Ha's kanji (2015) are stretched by 0.3.
    """
    return np.asarray(drawing) * np.append(rng.uniform(1 - by, 1 + by, 2), 1.0)


def thinned(drawing: np.ndarray, rng: np.random.Generator, probability: float = 0.1) -> np.ndarray:
    """Return a drawing some of whose points are left out, as sketch-rnn's training does.

    A point is left out with this probability, and its move added to the next point's. The first two points of
    a stroke and the last two stay, so ends stay where they are.
    """
    drawing = np.asarray(drawing)
    end = drawing[:, 2] != 0
    position = np.arange(len(drawing))
    stops = np.flatnonzero(end)
    stroke = np.cumsum(end) - end
    first = np.append(0, stops + 1)[stroke]
    last = np.append(stops, len(drawing) - 1)[stroke]
    inside = (position - first >= _FIRST_TWO) & (last - position >= _LAST_TWO)
    kept = np.flatnonzero(~(inside & (rng.uniform(size=len(drawing)) < probability)))
    moves = np.add.reduceat(drawing[:, :2], np.append(0, kept[:-1] + 1)) if len(kept) else drawing[:, :2]
    return np.column_stack([moves, drawing[kept, 2]])


def clipped(drawing: np.ndarray, limit: float = 1000.0) -> np.ndarray:
    """Return a drawing with dx and dy moved into [-limit, limit], as sketch-rnn reads its data."""
    return np.clip(drawing, (-limit, -limit, 0), (limit, limit, 1))
