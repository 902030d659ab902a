"""Pages: lines of handwriting on paper, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import is_color_like, to_hex
from scipy.ndimage import uniform_filter1d

from mixtura.data.markup import escaped, plain
from mixtura.data.strokes import check, polylines
from mixtura.data.svg import NAMESPACE
from mixtura.errors import InputError
from mixtura.files import replacing

FINEST = 0.01  # millimetres: coordinates are multiples of it
RULE, RULE_WIDTH = "#c5d3e8", 0.2  # of ruled paper
PRINT = "#222222"  # the colour of a title
_LETTERS = 5.0  # millimetres: the height of a title's letters, at most
_THICK, _THIN, _WIDTHS = 1.35, 0.65, 8  # of the pen: when it rests, when it flies, and how many there are


@dataclass(frozen=True, kw_only=True)
class Paper:
    """What lines are written on, and with what; lengths are millimetres.

    Args:
        width: of a page; None for as wide as the lines are.
        height: of a page; None for one page as high as the lines need.
        margin: on each side. What hangs below the last line may reach into it.
        pitch: from one baseline to the next.
        pen: the width of its line.
        ink: a colour, or one for each line.
        background: the colour of the paper.
        ruled: whether baselines are drawn.
        title: a text above the lines of each page, in print; a long one in smaller letters.
        calligraphic: whether the pen's line is thinner where its points are farther apart: where the pen
            was fast, if it was read at even times.

    Raises:
        InputError: if a length is not positive (the margin may be 0), no line fits on a page, or a colour is
            none that Matplotlib knows.
    """

    width: float | None = 210.0
    height: float | None = 297.0
    margin: float = 18.0
    pitch: float = 12.0
    pen: float = 0.45
    ink: str | Sequence[str] = "#1b1f3b"
    background: str = "white"
    ruled: bool = False
    title: str = ""
    calligraphic: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "height", "pitch", "pen"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"the {name} of a page must be a positive number of mm; received {value}")
        if not 0 <= self.margin < math.inf:
            raise InputError(f"the margin of a page must be 0 mm or more; received {self.margin}")
        if self.width is not None and not self.width > 2 * self.margin:
            raise InputError(
                f"a page {self.width:g} mm wide has no room between margins of {self.margin:g} mm"
            )
        if self.height is not None and self.rows < 1:
            raise InputError(
                f"a page {self.height:g} mm high has no room for a line of {self.pitch:g} mm between margins "
                f"of {self.margin:g} mm" + (" below a title" if self.heading else "")
            )
        for colour in (self.background, *self.inks(1)):
            if not is_color_like(colour) or colour == "none":
                raise InputError(f"{colour!r} is no colour; expected a name, or digits such as '#1b1f3b'")

    @property
    def top(self) -> float:
        """Where the first line's room begins: one `pitch` above its baseline."""
        return self.margin + (2 * _LETTERS if self.heading else 0)

    @property
    def rows(self) -> int:
        """How many lines a page holds, if it has a height."""
        if self.height is None:
            raise ValueError("paper without a height has no number of lines")
        return math.floor((self.height - self.margin - self.top) / self.pitch + 1e-9)

    def baselines(self, height: float) -> np.ndarray:
        """Return the places of the baselines on a page of this height."""
        return np.arange(self.top + self.pitch, height - self.margin + 1e-6, self.pitch)

    @property
    def heading(self) -> str:
        """The title on one line."""
        return " ".join(self.title.split())

    def letters(self, width: float) -> tuple[float, float]:
        """Return where the baseline of the title is on a page of this width, and how high its letters are."""
        room = (width - 2 * self.margin) / max(len(self.heading), 1)
        return self.margin + 0.75 * _LETTERS, min(_LETTERS, room / 0.56)  # the usual width of a letter

    def inks(self, count: int) -> list[str]:
        """Return the colours of so many lines, or all that there are if each line has its own."""
        return [self.ink] * count if isinstance(self.ink, str) else list(self.ink)


class Piece(NamedTuple):
    """A stroke, or what of it is written with one width of the pen; millimetres from the line's origin."""

    curve: np.ndarray  # (3 m + 1, 2): a point, and for each of m cubic Bézier curves three more; m may be 0
    width: float


class Line(NamedTuple):
    """A line of handwriting in its place on a page; lengths are millimetres."""

    left: float
    baseline: float
    colour: str
    pieces: list[Piece]


def pages(lines: Sequence[np.ndarray | None], unit: float, paper: Paper | None = None) -> list[str]:
    """Return SVG texts, one for each page that lines of handwriting fill.

    Strokes are smooth curves through the points (`smooth`); a stroke of one point is a dot. A line that is
    wider than the room between the margins is drawn smaller. Coordinates are hundredths of a millimetre.

    Args:
        lines: drawings `(n, 3)` of `(dx, dy, end)`, y downwards, whose origin is the line's left end on its
            baseline; None, or one without points, is an empty line.
        unit: millimetres of a unit of the drawings.
        paper: what they are written on; an A4 page by default.

    Raises:
        InputError: if there is no line, `strokes.check` refuses one, `unit` is not positive, or `paper.ink`
            has another number of colours.

    Example:
        >>> tick = np.array([[0, -4, 0], [2, 4, 0], [5, -9, 1]])
        >>> [page.startswith("<svg ") for page in pages([tick] * 30, unit=1.0)]
        [True, True]
    """
    paper = paper or Paper()
    width, height, filled = laid_out(lines, unit, paper)
    texts = []
    for page in filled:
        body = []
        for line in page:
            paths: dict[float, list[str]] = {}
            for piece in line.pieces:
                paths.setdefault(piece.width, []).append(path_data(piece.curve))
            body += group(line, [f'<path{thickness(w, paper)} d="{"".join(d)}"/>' for w, d in paths.items()])
        texts.append(document(width, height, paper, body))
    return texts


def write_pages(path: str | Path, texts: Sequence[str]) -> list[Path]:
    """Write pages: `page.svg`, or if there are several `page-1.svg`, `page-2.svg` and so on.

    They are there whole or not at all.

    Args:
        path: of the only page; the others' names are made of it.
        texts: from `pages`.

    Returns:
        The paths of the files.

    Raises:
        InputError: if the path does not end in .svg, or there is no page.
    """
    path = Path(path)
    if path.suffix.lower() != ".svg":
        raise InputError(f"{path} has another ending; expected .svg")
    if not texts:
        raise InputError(f"there are no pages to write to {path}")
    digits = len(str(len(texts)))
    several = [path.with_stem(f"{path.stem}-{number:0{digits}}") for number in range(1, len(texts) + 1)]
    paths = [path] if len(texts) == 1 else several
    with ExitStack() as stack:
        for text, place in zip(texts, paths, strict=True):
            stack.enter_context(replacing(place)).write_text(text, encoding="utf-8", newline="\n")
    return paths


def laid_out(
    lines: Sequence[np.ndarray | None], unit: float, paper: Paper
) -> tuple[float, float, list[list[Line]]]:
    """Return the width and height of the pages that lines fill, and the lines of each; see `pages`."""
    drawn = [None if line is None or not len(line) else line for line in lines]
    if not drawn:
        raise InputError("there are no lines to write on a page")
    if not 0 < unit < math.inf:
        raise InputError(f"the unit of a drawing must be a positive number of mm; received {unit}")
    inks = paper.inks(len(drawn))
    if len(inks) != len(drawn):
        raise InputError(
            f"there are {len(inks)} colours of ink; expected one, or one for each of {len(drawn)} lines"
        )
    strokes: list[list[np.ndarray]] = []
    for number, drawing in enumerate(drawn, start=1):
        if drawing is not None:
            check(drawing, f"line {number}")
        strokes.append([] if drawing is None else [unit * places for places in polylines(drawing)])
    reach = [max((places[:, 0].max() for places in line), default=0.0) for line in strokes]
    room = max(*reach, paper.pitch) if paper.width is None else paper.width - 2 * paper.margin
    rows = len(drawn) if paper.height is None else paper.rows
    height = paper.top + rows * paper.pitch + paper.margin if paper.height is None else paper.height
    filled: list[list[Line]] = []
    for number, (line, colour) in enumerate(zip(strokes, inks, strict=True)):
        if number % rows == 0:
            filled.append([])
        fit = room / max(reach[number], room)
        baseline = paper.top + (number % rows + 1) * paper.pitch
        pieces = _pieces([fit * places for places in line], paper)
        filled[-1].append(Line(paper.margin, baseline, to_hex(colour), pieces))
    return room + 2 * paper.margin, height, filled


def _pieces(strokes: list[np.ndarray], paper: Paper) -> list[Piece]:
    curves = [smooth(places) for places in strokes]
    if not paper.calligraphic:
        return [Piece(curve, paper.pen) for curve in curves]
    steps = [np.hypot(*np.diff(curve[::3], axis=0).T) for curve in curves]
    usual = np.median(np.concatenate(steps)) if any(map(len, steps)) else 1.0
    pieces = []
    for curve, lengths in zip(curves, steps, strict=True):
        if not len(lengths):
            pieces.append(Piece(curve, paper.pen))
            continue
        speed = uniform_filter1d(lengths, 5, mode="nearest")
        level = np.rint(_WIDTHS / (1 + (speed / usual) ** 2))  # from 0, fast, to all, at rest
        bounds = [0, *(np.flatnonzero(np.diff(level)) + 1).tolist(), len(level)]
        for first, last in pairwise(bounds):
            share = level[first] / _WIDTHS
            width = paper.pen * (_THIN + (_THICK - _THIN) * share)
            pieces.append(Piece(curve[3 * first : 3 * last + 1], round(float(width), 3)))
    return pieces


def smooth(places: np.ndarray) -> np.ndarray:
    """Return the smooth curve through points, as cubic Bézier curves.

    It is Catmull's and Rom's spline (1974) with knots `sqrt(|p[i + 1] - p[i]|)` apart, which has no cusps or
    loops between two points (Yuksel, Schaefer & Keyser 2011). At its ends it points to the next point.

    Args:
        places: `(m, 2)`; points that repeat the one before are left out.

    Returns:
        `(3 m - 2, 2)`: the first point, and for each curve its two control points and its end.
    """
    lengths = np.hypot(*np.diff(places, axis=0).T)
    places = places[np.append(True, lengths > 0)]
    if len(places) == 1:
        return places
    knots = np.sqrt(lengths[lengths > 0])[:, None]
    chords = np.diff(places, axis=0) / knots
    inner = (chords[:-1] * knots[1:] + chords[1:] * knots[:-1]) / (knots[:-1] + knots[1:])
    tangents = np.concatenate([chords[:1], inner, chords[-1:]])
    first = places[:-1] + tangents[:-1] * knots / 3
    second = places[1:] - tangents[1:] * knots / 3
    return np.concatenate([places[:1], np.stack([first, second, places[1:]], axis=1).reshape(-1, 2)])


def path_data(curve: np.ndarray) -> str:
    """Return an SVG path of a curve of millimetres, in hundredths; a dot is a line of one hundredth."""
    whole = np.rint(curve / FINEST).astype(int)
    x, y = whole[0].tolist()
    if len(whole) == 1:
        return f"M{x} {y}h1"
    moves = whole[1:].reshape(-1, 3, 2) - whole[:-1:3, None]
    return f"M{x} {y}c" + " ".join(map(str, moves.ravel().tolist())).replace(" -", "-")


def group(line: Line, paths: list[str]) -> list[str]:
    """Return the SVG elements of a line whose paths are these; none if it has none."""
    if not paths:
        return []
    place = f"translate({plain(line.left, 2)} {plain(line.baseline, 2)}) scale({FINEST})"
    return [f'<g transform="{place}" stroke="{line.colour}">', *paths, "</g>"]


def document(width: float, height: float, paper: Paper, body: Sequence[str], style: str = "") -> str:
    """Return the SVG text of a page of this size that has these elements on it."""
    across, down, left = plain(width, 2), plain(height, 2), plain(paper.margin, 2)
    name = escaped(paper.heading)
    label = f' aria-label="{name}"' if name else ""
    top = []
    if paper.ruled:
        right = plain(width - paper.margin, 2)
        rules = "".join(f"M{left} {plain(y, 2)}H{right}" for y in paper.baselines(height).tolist())
        top.append(f'<path fill="none" stroke="{RULE}" stroke-width="{RULE_WIDTH}" d="{rules}"/>')
    if name:
        y, size = paper.letters(width)
        top.append(
            f'<text x="{left}" y="{plain(y, 2)}" font-size="{size:.3g}" fill="{PRINT}" '
            f'font-family="system-ui, -apple-system, Helvetica, Arial, sans-serif">{name}</text>'
        )
    lines = [
        f'<svg xmlns="{NAMESPACE}" width="{across}mm" height="{down}mm" viewBox="0 0 {across} {down}" '
        f'role="img"{label}>',
        *([f"<style>{style}</style>"] if style else []),
        f'<rect width="{across}" height="{down}" fill="{to_hex(paper.background)}"/>',
        *top,
        f'<g fill="none" stroke-width="{plain(paper.pen / FINEST, 1)}" stroke-linecap="round" '
        'stroke-linejoin="round">',
        *body,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def thickness(width: float, paper: Paper) -> str:
    """Return the SVG attribute of a piece's width; none if it is the pen's."""
    return "" if width == paper.pen else f' stroke-width="{plain(width / FINEST, 1)}"'
