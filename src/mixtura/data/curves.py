"""Curves, and the lines of chords that stay within a tolerance of them."""

from __future__ import annotations

import math

import numpy as np

from mixtura.data.strokes import Lines, simplified

MOST_PIECES = 10_000_000  # of one curve
_FINE = 1 / 16  # of the tolerance, for chords that are equal in t


class Curve:
    """A piece of a line: where it starts, and where it is after the share t, for t `(n,)` in [0, 1].

    Attributes:
        start: `(2,)`.
        end: `(2,)`.
        bend: a bound on the length of its second derivative.
    """

    def __init__(self, points: np.ndarray) -> None:
        """Make a Bézier curve, or a straight piece, of its 2 to 4 control points."""
        self.points = points
        self.start, self.end = points[0], points[-1]
        degree = len(points) - 1
        second = np.hypot(*np.diff(points, 2, axis=0).T)  # of a straight piece there are none
        self.bend = float(degree * (degree - 1) * np.max(second, initial=0.0))

    def at(self, t: np.ndarray) -> np.ndarray:
        """Return places `(n, 2)`, by de Casteljau's scheme."""
        points = np.broadcast_to(self.points[:, None], (len(self.points), len(t), 2))
        while len(points) > 1:
            points = points[:-1] + t[:, None] * (points[1:] - points[:-1])
        return points[0].copy()

    def pieces(self, tolerance: float) -> int:
        """Return how many chords, equal in t, are within the tolerance: ceil(sqrt(bend / (8 tolerance)))."""
        needed = math.sqrt(self.bend / (8 * tolerance)) if math.isfinite(self.bend) else math.inf
        return max(1, math.ceil(min(needed, MOST_PIECES)))


class Arc(Curve):
    """A piece of an ellipse: centre + cos(angle) u + sin(angle) v."""

    def __init__(self, ends: np.ndarray, centre: np.ndarray, axes: np.ndarray, first: float, sweep: float):
        self.start, self.end = ends
        self.centre, self.axes, self.first, self.sweep = centre, axes, first, sweep
        finite = bool(np.isfinite(axes).all())
        self.bend = sweep**2 * float(np.linalg.norm(axes, 2)) if finite else math.inf

    def at(self, t: np.ndarray) -> np.ndarray:
        """Return places `(n, 2)`."""
        angle = self.first + t * self.sweep
        return self.centre + np.column_stack([np.cos(angle), np.sin(angle)]) @ self.axes


class Stroke:
    """Curves one after the other."""

    def __init__(self, curves: list[Curve]) -> None:
        self.curves = curves

    def points(self, tolerance: float) -> int:
        """Return how many points `lines_of` looks at."""
        return 1 + sum(curve.pieces(_FINE * tolerance) for curve in self.curves)

    def coarse(self, pieces: int) -> np.ndarray:
        """Return a line `(m, 2)` with so many pieces for each curve, and one for each straight piece."""
        chords = [curve.at(_shares(pieces if curve.bend else 1)) for curve in self.curves]
        return np.concatenate([self.curves[0].start[None], *chords])

    def chords(self, tolerance: float) -> list[np.ndarray]:
        """Return for each curve the places `(n + 1, 2)` of chords, equal in t, within the tolerance."""
        found = []
        for curve in self.curves:
            places = curve.at(_shares(curve.pieces(tolerance)))
            places[-1] = curve.end
            found.append(np.concatenate([curve.start[None], places]))
        return found


def lines_of(strokes: list[Stroke], tolerance: float) -> Lines:
    """Return the line `(m, 2)` of each stroke, within the tolerance of it.

    Chords that are equal in t are far finer than the tolerance; then those that are not needed are left out.
    """
    chords = [stroke.chords(_FINE * tolerance) for stroke in strokes]
    kept = iter(simplified([places for own in chords for places in own], (1 - _FINE) * tolerance))
    return [np.concatenate([own[0][:1], *(next(kept)[1:] for _ in own)]) for own in chords]


def _shares(pieces: int) -> np.ndarray:
    return np.arange(1, pieces + 1) / pieces
