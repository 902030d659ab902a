"""Cleaning of handwriting: wrong readings, slope and slant, noise, and more points than a network needs.

Graves (2013, section 4) fills in missing readings and removes steps that are too long; hardmaru's network of
2016 clamps offsets; sjvasquez' of 2017 turns lines to run horizontally and filters with Savitzky's and
Golay's polynomials. Each step here is off unless asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.strokes import clipped

_SAVGOL = np.array([-2, 3, 6, 7, 6, 3, -2]) / 21  # the middle of a cubic fitted to seven points
_FEWEST = 5  # low points of a line from which its slope is told
_ROUNDS = 10  # of fitting a line and weighing the points anew
_BEYOND = 4.0  # median distances from the line at which a low point counts no longer: a descender
_STEEPEST = math.radians(30)  # a line that seems to run steeper is left as it is


@dataclass(frozen=True)
class Cleaning:
    """What is done to handwriting before a network sees it, in this order; by default nothing.

    Args:
        limit: offsets are moved into [-limit, limit], in the file's units; hardmaru has 500 for IAM-OnDB.
        outliers: a step inside a stroke is too long if it is longer than so many times the median step of its
            line. A reading between two such steps whose neighbours are nearer to each other is wrong, and
            moved between them; other steps that are too long are filled with points a median step apart.
        baseline: lines are turned to run horizontally.
        slant: lines are sheared so that strokes downwards stand upright.
        smooth: places become the mean of so many points, of fewer near the ends of a stroke, which stay.
        savgol: Savitzky's and Golay's filter of seven points and third order, with the ends repeated.
        thin: of each stroke every so many-th point stays, and the last.
        height: lines are scaled so that a small letter such as x has this height.

    Raises:
        ValueError: if a number is negative, `smooth` is even, `thin` is not positive, or both filters are
            asked for.
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
                raise ValueError(f"{name} must not be negative; received {getattr(self, name)}")
        if self.smooth < 0 or (self.smooth and self.smooth % 2 == 0):
            raise ValueError(f"smooth must be an odd number of points, or 0; received {self.smooth}")
        if self.thin < 1:
            raise ValueError(f"thin must be at least 1; received {self.thin}")
        if self.smooth and self.savgol:
            raise ValueError("smooth and savgol are two filters; expected one of them")


def clean(drawing: np.ndarray, cleaning: Cleaning) -> np.ndarray:
    """Return a drawing `(n, 3)` cleaned, in float64; it keeps its strokes, and a dot stays one.

    Example:
        >>> line = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 1]])
        >>> clean(line, Cleaning(thin=3)).tolist()
        [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    return cleaned(Sequences.of([drawing]), cleaning).data


def cleaned(sequences: Sequences, cleaning: Cleaning) -> Sequences:
    """Return drawings cleaned one by one, in float64; their fields and facts stay."""
    data, offsets = sequences.data.astype(np.float64), sequences.offsets
    if cleaning.limit:
        data = clipped(data, cleaning.limit)
    if cleaning.outliers:
        data, offsets = _mended(data, offsets, cleaning.outliers)
    if cleaning.baseline:
        angles = np.radians(slopes(replace(sequences, data=data, offsets=offsets)))
        turns = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]])
        data = _mapped(data, offsets, turns.transpose(2, 0, 1))
    if cleaning.slant:
        shears = np.tile(np.eye(2), (len(sequences), 1, 1))
        shears[:, 0, 1] = np.tan(np.radians(slants(replace(sequences, data=data, offsets=offsets))))
        data = _mapped(data, offsets, shears)
    if cleaning.smooth or cleaning.savgol:
        first, last = _strokes(data, offsets)
        places, filter = _places(data, offsets), _smoothed
        places = _filtered(places, first, last) if cleaning.savgol else filter(places, first, last, cleaning.smooth)
        data = np.column_stack([_moves(places, offsets), data[:, 2]])
    if cleaning.thin > 1:
        data, offsets = _thinned(data, offsets, cleaning.thin)
    return replace(sequences, data=data, offsets=offsets)


def _places(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return where the pen is at each point of each drawing, from its origin, `(steps, 2)`."""
    places = np.cumsum(data[:, :2], axis=0)
    before = np.concatenate([np.zeros((1, 2)), places])[offsets[:-1]]
    return places - np.repeat(before, np.diff(offsets), axis=0)


def _moves(places: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    moves = np.diff(places, axis=0, prepend=0)
    moves[offsets[:-1]] = places[offsets[:-1]]
    return moves


def _strokes(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each point the numbers of the first and the last point of its stroke."""
    end = data[:, 2] != 0
    end[offsets[1:] - 1] = True
    stops = np.flatnonzero(end)
    stroke = np.cumsum(end) - end
    return np.append(0, stops[:-1] + 1)[stroke], stops[stroke]
