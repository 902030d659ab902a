"""The commands `mixtura data convert` and `mixtura data show`: files of drawings and of handwriting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import numpy as np

from mixtura.data.cleaning import Cleaning, body, cleaned, long_steps, slants, slopes
from mixtura.data.handwriting import ENDINGS as WRITTEN
from mixtura.data.handwriting import has_texts, read_handwriting, write_handwriting
from mixtura.data.iam_ondb import SETS
from mixtura.data.ink import TEXT
from mixtura.data.markup import escaped, plain
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
from mixtura.drawing import COLOURS, Paper, sheet
from mixtura.drawing.pages import Line, Piece, document, group, path_data, smooth, write_pages
from mixtura.errors import InputError
from mixtura.files import check_output

T = TypeVar("T")

LARGEST_SHEET = 1000  # drawings: a browser still opens it
NO_CLEANING = Cleaning()
LONG = 10.0  # medians: steps that are counted as long where no cleaning says how long is too long
_LONGEST = 100  # heights of an x: the width of a line
_LETTER, _LABEL, _GAP = 3.0, 2.6, 2.0  # millimetres on a sheet of lines: of an x, of a text, between lines


@dataclass(frozen=True)
class Texts:
    """What texts are like. Triples are the least, the median and the most of a line.

    Attributes:
        letters: of a line, with spaces.
        points_per_letter: of a line.
        characters: all different ones, sorted.
        sets: how many lines each official list of IAM-OnDB has, if they come from there.
    """

    letters: tuple[float, float, float]
    points_per_letter: tuple[float, float, float]
    characters: str
    sets: dict[str, int]


@dataclass(frozen=True)
class Change:
    """What cleaning changes: pairs of before and after, of triples as in `Statistics`.

    Attributes:
        points: of a drawing.
        slope: in degrees; see `cleaning.slopes`.
        slant: in degrees; see `cleaning.slants`.
        long: how many steps inside strokes are longer than `limit` medians.
        limit: see there.
        spread: see `Statistics`.
    """

    points: tuple[tuple[float, float, float], tuple[float, float, float]]
    slope: tuple[tuple[float, float, float], tuple[float, float, float]]
    slant: tuple[tuple[float, float, float], tuple[float, float, float]]
    long: tuple[int, int]
    limit: float
    spread: tuple[float, float]


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
        texts: of handwriting.
        change: by cleaning, if any was asked for.
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
    texts: Texts | None = None
    change: Change | None = None


def convert(
    source: Path,
    target: Path,
    *,
    simplify: bool = False,
    epsilon: float | None = None,
    category: str | None = None,
    count: int | None = None,
    cleaning: Cleaning = NO_CLEANING,
    overwrite: bool = False,
) -> tuple[Sequences, list[str]]:
    """Write the drawings of a file to another, whose ending picks the format; texts go with handwriting.

    Several drawings in one SVG file are a sheet of pictures, which cannot be read back as several.

    Args:
        source: a file or folder that `read_sketches` or `read_handwriting` reads.
        target: what `write_sketches` or, with texts, `write_handwriting` writes.
        simplify: simplify as Quick, Draw! does.
        epsilon: the tolerance of that, in place of 2; without it, simplify to this tolerance in the file's
            units, and leave everything else.
        category: keep only the drawings of this one.
        count: keep the first so many.
        cleaning: is done before simplifying.
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
    if cleaning != NO_CLEANING:
        drawings = cleaned(drawings, cleaning)
    if simplify or epsilon is not None:
        change, tolerance = quickdraw if simplify else simplified, 2.0 if epsilon is None else epsilon
        drawings = drawings.map(lambda one: from_polylines(change(polylines(one), tolerance)))
    if target.suffix.lower() == ".svg" and len(drawings) > 1:
        if len(drawings) > LARGEST_SHEET:
            amount = counted(len(drawings), "drawing")
            raise InputError(
                f"{amount} do not fit on a sheet; expected at most {LARGEST_SHEET}: give --count."
            )
        _write_sheet(target, drawings)
    elif TEXT in drawings.fields and target.suffix.lower() in (*WRITTEN, ""):
        write_handwriting(target, drawings)
    else:
        write_sketches(target, drawings)
    return drawings, left_out


def show(
    source: Path,
    out: Path,
    *,
    count: int = 64,
    seed: int = 0,
    cleaning: Cleaning = NO_CLEANING,
    overwrite: bool = False,
) -> tuple[Statistics, list[str]]:
    """Describe the drawings of a file, and put some of them on a sheet.

    With cleaning each is there twice: as it was, in orange, and below that as it is then.

    Args:
        source: as for `convert`.
        out: the SVG file to write.
        count: how many drawings to put on the sheet; where there are more, they are drawn at random.
        seed: of that draw.
        cleaning: to show.
        overwrite: replace the sheet if it exists.

    Returns:
        The statistics of all drawings as they are in the file, and the sentences on those left out.

    Raises:
        InputError: for a mistake in the input, with nothing written.
    """
    if out.suffix.lower() != ".svg":
        raise InputError(f"{out} ends in {out.suffix!r}; a sheet is written to .svg.")
    check_output(out, overwrite, source)
    drawings, left_out = _read(source)
    shown = np.sort(np.random.default_rng(seed).permutation(len(drawings))[:count])
    if cleaning == NO_CLEANING:
        _write_sheet(out, drawings[shown])
        return statistics(drawings), left_out
    after = cleaned(drawings, cleaning)
    # Of one size, whatever the cleaned lines' is.
    _write_lines(out, drawings[shown], cleaned(drawings[shown], replace(cleaning, height=0.0)))
    return replace(statistics(drawings), change=_change(drawings, after, cleaning)), left_out


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
        texts=_texts(drawings) if TEXT in drawings.fields else None,
    )


def _texts(lines: Sequences) -> Texts:
    texts = lines.fields[TEXT].tolist()
    letters = np.array([len(text) for text in texts])
    sets = Counter(lines.fields.get("iam_set", np.array([], dtype=int)).tolist())
    return Texts(
        letters=_range(letters),
        points_per_letter=_range(lines.lengths / letters.clip(1)),
        characters="".join(sorted(set().union(*texts))),
        sets={name: sets[number] for number, name in enumerate(SETS) if sets[number]},
    )


def _change(before: Sequences, after: Sequences, cleaning: Cleaning) -> Change:
    limit = cleaning.outliers or LONG
    both = (before, after)
    return Change(
        points=_pair(_range(each.lengths) for each in both),
        slope=_pair(_range(slopes(each)) for each in both),
        slant=_pair(_range(slants(each)) for each in both),
        long=_pair(int(long_steps(each, limit).sum()) for each in both),
        limit=limit,
        spread=_pair(spread(each) for each in both),
    )


def _pair(values: Iterable[T]) -> tuple[T, T]:
    first, second = values
    return first, second


def _write_sheet(path: Path, drawings: Sequences) -> None:
    if TEXT in drawings.fields:
        _write_lines(path, drawings)
    else:
        sheet(drawings, path, labels=_labels(drawings))


def _write_lines(path: Path, *versions: Sequences) -> None:
    """Write a sheet of lines below each other, each with its label, in all versions; the last is black."""
    paper = Paper(width=None, height=None, margin=5.0, pen=0.3)
    labels = _labels(versions[0]) or [""] * len(versions[0])
    y, widest, written = paper.margin, 0.0, []
    for label, *drawings in zip(labels, *versions, strict=True):
        if label:
            written.append(
                f'<text x="{paper.margin:g}" y="{plain(y + _LABEL, 2)}" font-size="{_LABEL}" fill="#888" '
                'stroke="none" font-family="system-ui, -apple-system, Helvetica, Arial, sans-serif">'
                f"{escaped(label)}</text>"
            )
            y += _LABEL + _GAP / 2
        # Small letters of all lines have one height, but what is a dash gets no broader than a line.
        extent = np.ptp(np.concatenate(polylines(drawings[-1])), axis=0).max()
        unit = _LETTER / (max(body(drawings[-1])[1], extent / _LONGEST) or 1.0)
        for number, drawing in enumerate(drawings, start=1):
            strokes = polylines(drawing)
            places = np.concatenate(strokes)
            low, sides = places.min(axis=0), np.ptp(places, axis=0)
            pieces = [Piece(smooth(unit * (line - low)), paper.pen) for line in strokes]
            colour = COLOURS["ink" if number == len(drawings) else "orange"]
            line = Line(paper.margin, y, colour, pieces)
            written += group(line, [f'<path d="{"".join(path_data(piece.curve) for piece in pieces)}"/>'])
            y += unit * float(sides[1]) + _GAP / 2
            widest = max(widest, unit * float(sides[0]))
        y += _GAP
    write_pages(path, [document(widest + 2 * paper.margin, y + paper.margin, paper, written)])


def _read(source: Path) -> tuple[Sequences, list[str]]:
    found = read_handwriting(source) if has_texts(source) else read_sketches(source)
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
    if TEXT in drawings.fields:
        return drawings.fields[TEXT].tolist()
    if words := categories_of(drawings):
        return words
    return drawings.fields["name"].tolist() if "name" in drawings.fields else None


def _range(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())
