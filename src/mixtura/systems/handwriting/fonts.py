"""A corpus of handwriting from single-line fonts: their letters with the variation and the motion of a hand.

`python -m mixtura.systems.handwriting.fonts handwriting.npz --count 12000 --seed 0` writes one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mixtura.data.sequences import Sequences, write_sequences
from mixtura.errors import InputError
from mixtura.systems.handwriting.glyphs import STYLES, glyphs, way
from mixtura.systems.handwriting.strings import SYMBOLS, texts

_AT_ONCE = 500  # lines

# Standard deviations of what differs between lines, then of what differs between the letters of one; lengths
# in x-heights, angles in radians, the rest as shares.
_SIZE, _WIDTH, _SLANT, _GAP, _SPACE, _CLIMB, _WAVE = 0.06, 0.07, 0.06, 0.06, 0.12, 0.008, 0.04
_TURN, _STRETCH, _LIFT, _WRITERS_SHAPE, _SHAPE = 0.03, 0.05, 0.03, 0.03, 0.022

_GRID = 0.07  # x-heights between the points of a path before they have a time
_ROUNDING = 6  # times that neighbouring points are averaged
_STEADY = 0.2  # the curvature, per x-height, below which the speed grows no more
_ENDS, _REACH = 0.9, 0.2  # how much slower a movement ends than it goes, and from how far before
_SHARP, _CORNER = 2.0, 3  # radians that make a cusp, and the points of the path on each side that tell
_INTERVAL = 0.4  # between points, as long as an x-height of path with curvature 1 takes
_HASTE = 0.06  # how lines differ in that
_TEMPO = 0.15  # how the hand differs from its own speed
_TREMOR, _JITTER = 0.012, 0.006  # x-heights: of the hand, and of the pen's position


def corpus(count: int, seed: int, styles: Sequence[str] | None = None) -> Sequences:
    """Make lines of handwriting: texts of `strings.texts`, each in a style chosen at random.

    Args:
        count: how many.
        seed: the same lines for the same seed.
        styles: names of `STYLES` to choose from, all of them by default.

    Returns:
        Drawings `(dx, dy, end)` in x-heights (of a hand of average size), y downwards, from the base line
        where the line begins, with the fields `text` and `style`, and the fact `styles`, the names of the
        numbers in `style`.

    Raises:
        InputError: if a style is unknown, or the package with the fonts is missing.
        ValueError: if `count` is not positive.
    """
    if count < 1:
        raise ValueError(f"count must be positive; received {count}")
    names = list(STYLES) if styles is None else list(styles)
    if unknown := [name for name in names if name not in STYLES]:
        raise InputError(f"there is no style {unknown[0]!r}; the styles are {', '.join(STYLES)}")
    rng = np.random.default_rng([seed, 1])  # not the one that makes up the texts
    text, style = texts(count, seed), rng.integers(len(names), size=count)
    found = write(text, [names[number] for number in style], rng)
    return Sequences(
        found.data, found.offsets, {"text": np.array(text), "style": style}, {"styles": np.array(names)}
    )


def write(text: Sequence[str], styles: Sequence[str], rng: np.random.Generator) -> Sequences:
    """Write texts by hand, in units as `corpus`.

    Args:
        text: made of `strings.SYMBOLS`, none of them empty.
        styles: a name of `STYLES` for each.
        rng: draws the variation.
    """
    numbers = np.array([list(STYLES).index(name) for name in styles])
    parts = [
        _written(text[start : start + _AT_ONCE], numbers[start : start + _AT_ONCE], rng)
        for start in range(0, len(text), _AT_ONCE)
    ]
    lengths = np.concatenate([length for _, length in parts])
    return Sequences(np.concatenate([data for data, _ in parts]), np.append(0, np.cumsum(lengths)))


def _written(
    text: Sequence[str], style: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of lines one after the other, and how many each line has."""
    places, starts, line = _laid_out(text, style, rng)
    places, stroke, line, cusps = _path(places, starts, line, rng)
    places, stroke_ends, line = _motion(places, stroke, line, cusps, rng)
    places = places + _drift(places, line, rng) + _unsteady(len(places), line, rng)
    lengths = np.bincount(line, minlength=len(text))
    moves = np.diff(places, axis=0, prepend=0)
    first = np.cumsum(lengths) - lengths
    moves[first] = places[first]
    return np.column_stack([moves, stroke_ends]).astype(np.float32), lengths


def _laid_out(text: Sequence[str], style: np.ndarray, rng: np.random.Generator) -> tuple:
    """Return vertices of all lines `(n, 2)`, whether the pen is put down at each, and the line of each."""
    shapes = glyphs()
    lines = len(text)
    letters = np.array([SYMBOLS.index(symbol) for one in text for symbol in one])
    line = np.repeat(np.arange(lines), [len(one) for one in text])
    of, after, before = _joins(letters, line, style, rng)

    # The vertices of each letter; one that is joined goes on without the pen being put down.
    number = way(of, letters, after, before)
    counts = np.diff(shapes.offsets)[number]
    letter = np.repeat(np.arange(len(letters)), counts)
    at = np.arange(len(letter)) + (shapes.offsets[number] - np.cumsum(counts) + counts)[letter]
    vertices, starts = shapes.vertices[at], shapes.starts[at]
    starts[np.flatnonzero(np.diff(letter, prepend=-1))] = ~after[counts > 0]

    # A letter's own shape: the writer's, and this time's.
    writers = 2 * np.pi * rng.random((lines, len(SYMBOLS), 2))[line, letters][letter]
    own = 2 * np.pi * rng.random((len(letters), 2))[letter]
    waves = vertices @ np.array([[2.6, 3.3], [3.4, 2.3]])
    bent = _WRITERS_SHAPE * np.sin(waves + writers) + _SHAPE * np.sin(1.3 * waves + own)
    x, y = (vertices + np.sqrt(2) * bent).T

    stretch = np.exp(_WIDTH * rng.normal(size=lines)[line] + _STRETCH * rng.normal(size=len(letters)))
    turn, lift, high = rng.normal(size=(3, len(letters)))
    y = y * np.exp(_STRETCH * high)[letter] + (_LIFT * lift)[letter]
    x, y = x * stretch[letter] - (_TURN * turn)[letter] * y, y + (_TURN * turn)[letter] * x
    x = x + _beginnings(letters, line, of, before, stretch, rng)[letter]

    slant = np.array([one.slant for one in STYLES.values()])[style] + _SLANT * rng.normal(size=lines)
    size, on = np.exp(_SIZE * rng.normal(size=lines)), line[letter]
    return size[on, None] * np.column_stack([x - slant[on] * y, y]), starts, on


def _joins(letters: np.ndarray, line: np.ndarray, style: np.ndarray, rng: np.random.Generator) -> tuple:
    """Return the style of each letter, and whether it is joined to the one before and to the next."""
    shapes, styles = glyphs(), list(STYLES.values())
    beside = line[:-1] == line[1:]
    is_capital = np.array([symbol.isupper() for symbol in SYMBOLS])[letters]
    among = is_capital[:-1] & is_capital[1:] & beside
    among = np.append(among, False) | np.append(False, among)
    others = np.array([list(STYLES).index(one.among or name) for name, one in STYLES.items()])
    of = np.where(among, others[style[line]], style[line])
    may = shapes.leaves[of[:-1], letters[:-1]] & shapes.enters[of[1:], letters[1:]] & beside
    joined = may & (rng.random(len(may)) < np.array([one.joined for one in styles])[of[1:]])
    return of, np.append(False, joined), np.append(joined, False)


def _beginnings(
    letters: np.ndarray,
    line: np.ndarray,
    of: np.ndarray,
    before: np.ndarray,
    stretch: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return where each letter begins."""
    shapes, lines = glyphs(), line.max() + 1
    spaces = np.exp(_SPACE * (rng.normal(size=lines)[line] + rng.normal(size=len(letters))))
    gaps = (
        _GAP * (rng.normal(size=lines)[line] + rng.normal(size=len(letters)) / 2) + before * shapes.room[of]
    )
    widths = shapes.advance[of, letters]
    widths = np.where(letters == SYMBOLS.index(" "), widths * spaces, widths * stretch + gaps)
    ends = np.cumsum(widths)
    begins = ends - widths
    return begins - begins[np.searchsorted(line, np.arange(lines))][line]


def _path(places: np.ndarray, starts: np.ndarray, line: np.ndarray, rng: np.random.Generator) -> tuple:
    """Return closely spaced points, the stroke and line of each, and which are cusps.

    All other corners are rounded, in some lines more than in others.
    """
    lengths = np.hypot(*np.diff(places, axis=0, prepend=places[:1]).T)
    lengths[starts] = 1.0  # strokes lie apart on the way that runs through all of them
    along = np.cumsum(lengths)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(starts)) - 1
    reach = along[last] - along[first]
    count = np.ceil(reach / _GRID).astype(int) + 1
    stroke = np.repeat(np.arange(len(first)), count)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    at = along[first][stroke] + reach[stroke] * step / np.maximum(count - 1, 1)[stroke]
    places = np.column_stack([np.interp(at, along, column) for column in places.T])
    line = line[first][stroke]
    inner = (np.diff(stroke, prepend=-1) == 0) & (np.diff(stroke, append=len(first)) == 0)
    cusps = _cusps(places, stroke)
    weight = (inner * ~cusps * rng.uniform(0.4, 1.0, line.max() + 1)[line])[1:-1, None]
    for _ in range(_ROUNDING):
        places[1:-1] += weight * ((places[:-2] + places[2:]) / 2 - places[1:-1])
    return places, stroke, line, cusps


def _cusps(places: np.ndarray, stroke: np.ndarray) -> np.ndarray:
    """Return the points at which the pen turns back, `(n,)`."""
    reach = _CORNER
    turn = np.zeros(len(places))
    turn[reach:-reach] = _angle(
        places[reach:-reach] - places[: -2 * reach], places[2 * reach :] - places[reach:-reach]
    )
    turn[reach:-reach] *= stroke[: -2 * reach] == stroke[2 * reach :]
    sharpest = np.lib.stride_tricks.sliding_window_view(np.pad(turn, reach), 2 * reach + 1).max(axis=1)
    return (turn > _SHARP) & (turn == sharpest)


def _angle(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the angles between moves `(n, 2)`, from 0 to pi."""
    across = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return np.abs(np.arctan2(across, (before * after).sum(axis=1)))


def _motion(
    places: np.ndarray, stroke: np.ndarray, line: np.ndarray, cusps: np.ndarray, rng: np.random.Generator
) -> tuple:
    r"""Return points at nearly equal times, whether each ends a stroke, and the line of each.

    The speed follows the two-thirds power law (Lacquaniti, Terzuolo & Viviani 1983), $v \propto
    \kappa^{-1/3}$ for the curvature $\kappa$, bounded where the path is straight. Movements begin and end
    slowly, as those of least jerk do (Flash & Hogan 1985): strokes, and parts of strokes between cusps. Both
    ends of a movement are points, so that no letter loses its tip.
    """
    within = np.diff(stroke) == 0
    moves = np.diff(places, axis=0)
    lengths = np.where(within, np.hypot(*moves.T), 0.0)
    turn = np.zeros(len(places))
    turn[1:-1] = np.where(within[1:] & within[:-1], _angle(moves[:-1], moves[1:]), 0.0)
    curvature = 2 * turn / (np.append(lengths, 0) + np.append(0, lengths) + 1e-9)
    slow = np.cbrt(np.hypot(np.minimum(curvature, 1 / _GRID), _STEADY))
    for _ in range(2):
        slow[1:-1] = (slow[:-2] + 2 * slow[1:-1] + slow[2:]) / 4

    starts, stops = np.append(True, ~within), np.append(~within, True)
    ends = np.flatnonzero(starts | stops | cusps)
    along = np.append(0.0, np.cumsum(lengths))
    since = np.searchsorted(ends, np.arange(len(places)), side="right") - 1
    following = ends[np.minimum(since + 1, len(ends) - 1)]
    near = np.minimum(along - along[ends[since]], along[following] - along)
    slow = slow * (1 + _ENDS * np.exp(-near / _REACH)) * _tempo(along, line, rng)
    time = np.append(0.0, np.cumsum(lengths * (slow[1:] + slow[:-1]) / 2) + np.cumsum(~within))

    # Every movement is cut into equal times; its last point, and a stroke's first, belong to it.
    first, last = ends[:-1], ends[1:]
    real = ~starts[last]
    first, last = first[real], last[real]
    interval = _INTERVAL * np.exp(_HASTE * rng.normal(size=line.max() + 1))[line[first]]
    lasting = time[last] - time[first]
    parts = np.maximum(np.round(lasting / interval).astype(int), 1)
    points = parts + starts[first]
    movement = np.repeat(np.arange(len(first)), points)
    step = np.arange(len(movement)) - (np.cumsum(points) - parts)[movement] + 1
    at = time[first][movement] + (lasting / parts)[movement] * step
    places = np.column_stack([np.interp(at, time, column) for column in places.T])
    return places, (step == parts[movement]) & stops[last][movement], line[first][movement]


def _tempo(along: np.ndarray, line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return by how much the hand is slower than usual at points that lie `along` their path, `(n,)`."""
    lines = line.max() + 1
    phase, number = 2 * np.pi * rng.random((lines, 2)), 2 * np.pi / rng.uniform(1.5, 6.0, (lines, 2))
    return np.exp(_TEMPO * np.sin(along[:, None] * number[line] + phase[line]).sum(axis=1))


def _drift(places: np.ndarray, line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return how far lines that climb and wander are from straight ones, `(n, 2)`."""
    lines = line.max() + 1
    climb = _CLIMB * rng.normal(size=lines)
    drift = np.column_stack([np.zeros(len(places)), climb[line] * places[:, 0]])
    for wavelength in (4.0, 9.0, 20.0):
        size = _WAVE * rng.normal(size=(lines, 2))
        phase, number = (
            2 * np.pi * rng.random((lines, 2)),
            2 * np.pi / (wavelength * rng.uniform(0.7, 1.4, lines)),
        )
        drift += size[line] * np.sin((number[line] * places[:, 0])[:, None] + phase[line])
    return drift


def _unsteady(count: int, line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a tremor of five to nine points' period, and noise, `(n, 2)`."""
    lines = line.max() + 1
    period, phase = rng.uniform(5, 9, (lines, 2)), 2 * np.pi * rng.random((lines, 2))
    tremor = np.abs(_TREMOR * rng.normal(size=(lines, 2)))
    wave = np.sin(2 * np.pi * np.arange(count)[:, None] / period[line] + phase[line])
    return tremor[line] * wave + _JITTER * rng.normal(size=(count, 2))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a corpus to a file; see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m mixtura.systems.handwriting.fonts", description="Make a corpus of handwriting."
    )
    parser.add_argument("out", type=Path, help="the file to write, .npz")
    parser.add_argument("--count", type=int, default=12000, help="how many lines (12000)")
    parser.add_argument("--seed", type=int, default=0, help="the same lines for the same seed (0)")
    given = parser.parse_args(arguments)
    try:
        write_sequences(given.out, corpus(given.count, given.seed))
    except (InputError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
