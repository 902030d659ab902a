"""The commands `mixtura data convert` and `mixtura data show`: files of drawings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.sketches import ENDINGS, SPLITS, left_out_of, read_sketches, write_sketches
from mixtura.data.strokes import (
    categories_of,
    from_polylines,
    polylines,
    quickdraw,
    simplified,
    spread,
)
from mixtura.data.tables import counted
from mixtura.drawing import sheet
from mixtura.errors import InputError
from mixtura.files import check_output

LARGEST_SHEET = 1000  # drawings: a browser still opens it


@dataclass(frozen=True)
class Statistics:
    """What drawings are like. Triples are the least, the median and the most of a drawing.

    Attributes:
        drawings: how many there are.
        points: of a drawing.
        strokes: of a drawing.
        width: of a drawing, in the file's units.
        height: of a drawing.
        spread: the standard deviation of all dx and dy together: sketch-rnn's scale factor.
        step: the recording step of dx and of dy, 0 where there is none.
        still: shares of the points with dx 0, with dy 0, and with both.
        categories: how many drawings each has, if they have any.
        splits: how many drawings each has, if they have any.
    """

    drawings: int
    points: tuple[float, float, float]
    strokes: tuple[float, float, float]
    width: tuple[float, float, float]
    height: tuple[float, float, float]
    spread: float
    step: tuple[float, float]
    still: tuple[float, float, float]
    categories: dict[str, int]
    splits: dict[str, int]


def convert(
    source: Path,
    target: Path,
    *,
    simplify: bool = False,
    epsilon: float | None = None,
    category: str | None = None,
    count: int | None = None,
    overwrite: bool = False,
) -> tuple[Sequences, list[str]]:
    """Write the drawings of a file to another, whose ending picks the format.

    Several drawings in one SVG file are a sheet of pictures, which cannot be read back as several.

    Args:
        source: a file or folder that `read_sketches` reads.
        target: what `write_sketches` writes.
        simplify: simplify as Quick, Draw! does.
        epsilon: the tolerance of that, in place of 2; without it, simplify to this tolerance in the file's
            units, and leave everything else.
        category: keep only the drawings of this one.
        count: keep the first so many.
        overwrite: replace the target if it exists.

    Returns:
        The drawings as they were written, and one sentence for each that was left out of the source because
        it is broken.

    Raises:
        InputError: for a mistake in the input, with nothing written.
    """
    if target.suffix.lower() not in (*ENDINGS, ""):
        expected = ", ".join(ENDINGS)
        raise InputError(f"{target} ends in {target.suffix!r}; expected {expected} or, for a folder, none.")
    check_output(target, overwrite, source)
    drawings, left_out = _read(source)
    if category is not None:
        drawings = drawings[_are_of(drawings, category, source)]
    drawings = drawings[:count]
    if simplify or epsilon is not None:
        change, tolerance = quickdraw if simplify else simplified, 2.0 if epsilon is None else epsilon
        drawings = drawings.map(lambda one: from_polylines(change(polylines(one), tolerance)))
    if target.suffix.lower() == ".svg" and len(drawings) > 1:
        if len(drawings) > LARGEST_SHEET:
            amount = counted(len(drawings), "drawing")
            raise InputError(
                f"{amount} do not fit on a sheet; expected at most {LARGEST_SHEET}: give --count."
            )
        sheet(drawings, target, labels=_labels(drawings))
    else:
        write_sketches(target, drawings)
    return drawings, left_out


def show(
    source: Path, out: Path, *, count: int = 64, seed: int = 0, overwrite: bool = False
) -> tuple[Statistics, list[str]]:
    """Describe the drawings of a file, and put some of them on a sheet.

    Args:
        source: as for `convert`.
        out: the SVG file to write.
        count: how many drawings to put on the sheet; where there are more, they are drawn at random.
        seed: of that draw.
        overwrite: replace the sheet if it exists.

    Returns:
        The statistics of all drawings, and the sentences on those left out.

    Raises:
        InputError: for a mistake in the input, with nothing written.
    """
    if out.suffix.lower() != ".svg":
        raise InputError(f"{out} ends in {out.suffix!r}; a sheet is written to .svg.")
    check_output(out, overwrite, source)
    drawings, left_out = _read(source)
    shown = np.sort(np.random.default_rng(seed).permutation(len(drawings))[:count])
    picked = drawings[shown]
    sheet(picked, out, labels=_labels(picked))
    return statistics(drawings), left_out


def statistics(drawings: Sequences) -> Statistics:
    """Return what drawings are like.

    Example:
        >>> found = statistics(Sequences.of([[[0, 0, 0], [3, 4, 1]], [[1, 0, 1]]]))
        >>> found.drawings, found.points, found.width, found.still
        (2, (1.0, 1.5, 2.0), (0.0, 1.5, 3.0), (0.3333333333333333, 0.6666666666666666, 0.3333333333333333))
    """
    sizes = np.array([np.ptp(np.cumsum(one[:, :2], axis=0, dtype=np.float64), axis=0) for one in drawings])
    zero = drawings.data[:, :2] == 0
    split = drawings.fields.get("split", np.array([], dtype=int))
    dx, dy = drawings.recording_step()[:2].tolist()
    return Statistics(
        drawings=len(drawings),
        points=_range(drawings.lengths),
        strokes=_range(np.array([np.count_nonzero(one[:, 2]) for one in drawings])),
        width=_range(sizes[:, 0]),
        height=_range(sizes[:, 1]),
        spread=spread(drawings),
        step=(dx, dy),
        still=(float(zero[:, 0].mean()), float(zero[:, 1].mean()), float(zero.all(axis=1).mean())),
        categories=dict(Counter(categories_of(drawings))),
        splits=dict(Counter(SPLITS[part] for part in split if 0 <= part < len(SPLITS))),
    )


def _read(source: Path) -> tuple[Sequences, list[str]]:
    found = read_sketches(source)
    return found, [f"{source}, {sentence}" for sentence in left_out_of(found)]


def _are_of(drawings: Sequences, category: str, source: Path) -> list[int]:
    words = categories_of(drawings)
    if not words:
        raise InputError(f"{source} has no categories; received {category!r}.")
    chosen = [number for number, word in enumerate(words) if word == category]
    if not chosen:
        known = sorted(set(words))
        near = get_close_matches(category, known, 1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"it has {', '.join(known[:10])}" + ", ..." * (len(known) > 10)
        )
        raise InputError(f"{source} has no drawing of the category {category!r}; {hint}")
    return chosen


def _labels(drawings: Sequences) -> list[str] | None:
    if words := categories_of(drawings):
        return words
    return drawings.fields["name"].tolist() if "name" in drawings.fields else None


def _range(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())
