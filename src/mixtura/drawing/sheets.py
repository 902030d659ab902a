"""Sheets: many drawings in one SVG picture."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from mixtura.data.markup import escaped
from mixtura.data.strokes import check
from mixtura.drawing.figures import COLOURS
from mixtura.files import replacing

PALETTE = [COLOURS[name] for name in ("ink", "orange", "blue", "green", "purple", "yellow")]
SHADES = ["#9ECAE1", "#6BAED6", "#4292C6", "#2171B5", "#08519C", "#08306B"]  # ColorBrewer's Blues
BEGUN = {"ink": COLOURS["orange"], "strokes": "#AAAAAA", "order": COLOURS["orange"]}
_MARGIN = 0.1  # of a cell's side, on each side of a drawing
_TEXT = 0.1  # of a cell's side: the height of letters, but for small cells
_SMALLEST = 9  # pixels: the height of letters
_LINE = 0.02  # of a cell's side: the width of a line


def sheet(
    drawings: Iterable[np.ndarray | None],
    path: str | Path | None = None,
    *,
    columns: int | None = None,
    labels: Sequence[object] | None = None,
    begun: int | Sequence[int | None] | None = None,
    colours: str = "ink",
    cell: float = 120,
    title: str | None = None,
    row_labels: Sequence[object] | None = None,
    column_labels: Sequence[object] | None = None,
) -> str:
    """Draw drawings in a grid, row by row, as one SVG picture on white.

    Each drawing is scaled to fill its cell, its aspect kept; a stroke of one point is a dot. Texts that do
    not fit their place are cut short.

    Args:
        drawings: arrays `(n, 3)` of `(dx, dy, end)`, y downwards; None, or one without points, leaves its
            cell empty.
        path: where to write the picture; the file is there whole or not at all.
        columns: how many cells a row has; by default what the labels of rows or columns ask for, or as many
            as make the sheet about square, and no more than ten.
        labels: a text below each drawing; None for none.
        begun: how many points of each drawing were given; they are drawn in orange, or in grey where
            strokes have colours. One number for all, or one for each.
        colours: `"ink"`; `"strokes"`, in which colours tell neighbouring strokes apart; `"order"`, from pale
            to dark as the drawing was made.
        cell: the side of a cell, in pixels.
        title: a text above.
        row_labels: a text to the left of each row.
        column_labels: a text above each column.

    Returns:
        The SVG text.

    Raises:
        ValueError: if there is nothing to draw, `strokes.check` refuses a drawing, or labels or `begun` do
            not fit the number of drawings, rows or columns.

    Example:
        >>> tick = np.array([[0, 4, 0], [2, 2, 0], [5, -6, 1]])
        >>> picture = sheet([tick, None, tick], columns=2, labels=["one", None, "two"])
        >>> picture.startswith("<svg ")
        True
    """
    drawn = list(drawings)
    if not drawn:
        raise ValueError("there are no drawings to put on a sheet")
    if colours not in BEGUN:
        raise ValueError(f"colours must be one of {', '.join(map(repr, BEGUN))}; received {colours!r}")
    if not 0 < cell < math.inf:
        raise ValueError(f"cell must be a positive number of pixels; received {cell}")
    columns = _columns(len(drawn), columns, row_labels, column_labels)
    rows = -(-len(drawn) // columns)
    for what, texts, needed in (
        ("labels", labels, len(drawn)),
        ("row_labels", row_labels, rows),
        ("column_labels", column_labels, columns),
    ):
        if texts is not None and len(texts) != needed:
            raise ValueError(f"{what} must have {needed} entries; received {len(texts)}")
    given = _begun(begun, len(drawn))

    size, margin = max(_TEXT * cell, _SMALLEST), _MARGIN * cell
    height = cell + (1.2 * size if labels is not None else 0)  # of a row
    beside = min(max(map(_width, row_labels), default=0) * size, 2 * cell) if row_labels else 0
    left = margin + beside
    top = margin + (2.2 * size if title else 0) + (1.2 * size if column_labels else 0)
    width = left + columns * cell + margin
    total = top + rows * height + margin

    written = []
    if title:
        written.append(_text(title, margin, margin + 1.3 * size, 1.3 * size, width - 2 * margin, "bold"))
    for column, text in enumerate(column_labels or []):
        written.append(_text(text, left + (column + 0.5) * cell, top, size, cell, "middle"))
    for row, text in enumerate(row_labels or []):
        middle = top + row * height + 0.5 * cell + 0.35 * size
        written.append(_text(text, left, middle, size, beside, "end"))
    pictures = []
    for number, drawing in enumerate(drawn):
        row, column = divmod(number, columns)
        x, y = left + column * cell, top + row * height
        if labels is not None:
            written.append(_text(labels[number], x + 0.5 * cell, y + cell + 0.4 * size, size, cell, "middle"))
        if paths := _paths(drawing, number, cell, given[number], colours):
            pictures.append(f'<g transform="translate({_number(x)} {_number(y)})">{"".join(paths)}</g>')

    ink, across, down = COLOURS["ink"], _number(width), _number(total)
    name = f' aria-label="{escaped(_written(title))}"' if title else ""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}" '
        f'viewBox="0 0 {across} {down}" role="img"{name}>',
        f'<rect width="{across}" height="{down}" fill="#fff"/>',
        f'<g fill="none" stroke="{ink}" stroke-width="{_LINE * cell:.3g}" stroke-linecap="round" '
        'stroke-linejoin="round">',
        *pictures,
        "</g>",
        f'<g fill="{ink}" font-family="system-ui, -apple-system, Helvetica, Arial, sans-serif">',
        *(text for text in written if text),
        "</g>",
        "</svg>",
    ]
    text = "\n".join(lines) + "\n"
    if path is not None:
        with replacing(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
    return text


def _columns(
    count: int,
    columns: int | None,
    row_labels: Sequence[object] | None,
    column_labels: Sequence[object] | None,
) -> int:
    if columns is None:
        if column_labels is not None:
            columns = len(column_labels)
        elif row_labels:
            columns = -(-count // len(row_labels))
        else:
            columns = min(math.ceil(math.sqrt(count)), 10)
    if columns < 1:
        raise ValueError(f"a sheet needs at least one column; received {columns}")
    return columns


def _begun(begun: int | Sequence[int | None] | None, count: int) -> list[int]:
    several = [begun] * count if begun is None or isinstance(begun, int | np.integer) else list(begun)
    points = [0 if number is None else int(number) for number in several]
    if len(points) != count or min(points) < 0:
        raise ValueError(
            f"begun must be a number of points, or one for each of {count} drawings; received {begun}"
        )
    return points


def _paths(drawing: np.ndarray | None, number: int, cell: float, begun: int, colours: str) -> list[str]:
    """Return the paths that draw a drawing in a cell with its corner at the origin, one for each colour."""
    if drawing is None or not len(drawing):
        return []
    check(drawing, f"drawing {number}")
    rows = np.asarray(drawing, np.float64)
    places = _placed(np.cumsum(rows[:, :2], axis=0), cell)
    strokes = (np.cumsum(rows[:, 2]) - rows[:, 2]).astype(int).tolist()
    if colours == "strokes":
        kinds = [PALETTE[stroke % len(PALETTE)] for stroke in strokes]
    elif colours == "order":
        kinds = [SHADES[shade] for shade in np.arange(len(rows)) * len(SHADES) // len(rows)]
    else:
        kinds = [""] * len(rows)
    kinds[:begun] = [BEGUN[colours]] * min(begun, len(rows))

    # A line takes the colour of the point that it leads to; so where the colour changes within a stroke, what
    # follows starts at the point before. A run of one point is a dot: a line without length.
    found: dict[str, list[str]] = {}
    for (stroke, kind), group in groupby(range(len(rows)), key=lambda step: (strokes[step], kinds[step])):
        run = list(group)
        before = run[0] - 1
        if before >= 0 and strokes[before] == stroke:
            run.insert(0, before)
        elif len(run) == 1:
            run *= 2
        found.setdefault(kind, []).append("M" + "L".join(places[step] for step in run))
    return [
        f'<path d="{"".join(lines)}"' + (f' stroke="{kind}"' if kind else "") + "/>"
        for kind, lines in found.items()
    ]


def _placed(points: np.ndarray, cell: float) -> list[str]:
    """Return the texts of points `(n, 2)` moved to the middle of a cell and scaled to fill it."""
    low, high = points.min(axis=0), points.max(axis=0)
    larger = (high - low).max()
    scale = (1 - 2 * _MARGIN) * cell / larger if larger > 0 else 0.0
    placed = cell / 2 + (points - (low + high) / 2) * scale
    return [f"{_number(x)} {_number(y)}" for x, y in placed.tolist()]


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _width(text: object) -> float:
    """Return about how wide a text is, as a multiple of its height; wide letters are as wide as high."""
    return sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.56 for c in _written(text))


def _written(text: object) -> str:
    return "" if text is None else " ".join(str(text).split())


def _text(text: object, x: float, y: float, size: float, room: float, style: str) -> str:
    """Return a text, cut short where it is wider than the room; `y` is its base line."""
    shown = _written(text)
    if not shown:
        return ""
    if _width(shown) * size > room:
        while shown and _width(shown + "…") * size > room:
            shown = shown[:-1]
        shown = shown.rstrip() + "…"
    look = 'font-weight="bold"' if style == "bold" else f'text-anchor="{style}"'
    return f'<text x="{_number(x)}" y="{_number(y)}" font-size="{size:.3g}" {look}>{escaped(shown)}</text>'
