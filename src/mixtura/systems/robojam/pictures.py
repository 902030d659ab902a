"""Touch performances as MicroJam shows them: strokes on a square, and their rhythm below it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mixtura.drawing import COLOURS, save_figure
from mixtura.systems.robojam.responding import DURATION
from mixtura.systems.robojam.statistics import starts_of

CALL, ANSWER = "blue", "orange"
GROUND, EDGE = "#F6F5F2", "#D5D3CD"
STROKE = 0.03  # the width of a stroke, in widths of the touch area: 10 points of a telephone's 330
PALEST, FAINT = 0.45, 0.2  # how much of its colour a stroke has at the beginning, and behind others
MOST = 16  # answers on a sheet
# Inches: a touch area, its time line, the space for a label above it and between columns, a title, the edge.
SIDE, LINE, LABEL, GAP, TITLE, MARGIN = 1.7, 0.22, 0.34, 0.24, 0.22, 0.22
ROW = LABEL + SIDE + 0.07 + LINE


def performance(
    axes: Axes,
    touches: np.ndarray,
    colour: str,
    behind: np.ndarray | None = None,
    seconds: float = DURATION,
) -> None:
    """Draw a performance on the touch area: swipes as strokes, taps as dots, later ones over earlier ones.

    Strokes are pale at the beginning and have their full colour at the end; a light dot marks where a swipe
    begins.

    Args:
        axes: where to draw, of known size: in a figure without a layout engine.
        touches: `(n, 4)` of `(x, y, dt, moving)`, x and y in widths of the area, y downwards.
        colour: a name in `COLOURS`.
        behind: a call to draw faintly below.
        seconds: when the colour is full.
    """
    axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal")
    axes.axis("off")
    area = axes.add_patch(_rounded(axes, facecolor=GROUND, edgecolor="none"))
    width = 72 * STROKE * axes.get_window_extent().width / axes.figure.dpi
    for rows, shades in _layers(touches, colour, behind, seconds):
        # Snapped to whole pixels, a dot could vanish.
        look: Any = {"colors": shades, "linewidths": width, "capstyle": "round", "snap": False}
        lines = LineCollection(list(_strokes(rows)), **look)
        axes.add_collection(lines, autolim=False)
        lines.set_clip_path(area)
    is_start = starts_of(touches)
    begins = touches[is_start & ~np.append(is_start[1:], True), :2]
    dots = axes.scatter(
        begins[:, 0], begins[:, 1], s=(0.4 * width) ** 2, color="white", linewidths=0, zorder=3
    )
    dots.set_clip_path(area)
    axes.add_patch(_rounded(axes, fill=False, edgecolor=EDGE, linewidth=0.8, zorder=4, clip_on=False))


def time_line(
    axes: Axes,
    touches: np.ndarray,
    colour: str,
    behind: np.ndarray | None = None,
    seconds: float = DURATION,
) -> None:
    """Draw when a performance is touched: a tick where a touch begins, and a bar while a swipe lasts.

    Args:
        axes: where to draw.
        touches: as for `performance`.
        colour: a name in `COLOURS`.
        behind: a call, drawn faintly in a lane of its own, the upper one.
        seconds: of the line.
    """
    axes.set(xlim=(0, seconds), ylim=(0, 1))
    axes.axis("off")
    axes.axhline(0, color=EDGE, linewidth=1, clip_on=False)
    axes.vlines(np.arange(math.floor(seconds) + 1), 0, 0.12, color=EDGE, linewidth=0.8, clip_on=False)
    axes.text(seconds, -0.15, f"{seconds:g} s", color=COLOURS["grey"], fontsize=6, ha="right", va="top")
    layers = _layers(touches, colour, behind, seconds)
    lanes = [(0.15, 0.9)] if behind is None else [(0.72, 1.0), (0.15, 0.62)]
    for (rows, shades), (low, high) in zip(layers, lanes, strict=True):
        time, is_start = np.cumsum(rows[:, 2]), starts_of(rows)
        # Each row's part of a bar reaches to the end of its swipe and the next covers it: no seams.
        since = np.where(is_start, time, np.append(time[:1], time[:-1]))
        until = time[np.append(np.flatnonzero(is_start)[1:], len(time)) - 1][np.cumsum(is_start) - 1]
        edges = low + np.array([0.3, 0.7]) * (high - low)
        corners = np.stack([since, until, until, since], axis=1)
        bars = np.stack([corners, np.broadcast_to(np.repeat(edges, 2), corners.shape)], axis=2)
        axes.add_collection(PolyCollection(list(bars), facecolors=shades, edgecolors="none"), autolim=False)
        axes.vlines(time[is_start], low, high, colors=shades[is_start], linewidth=1)


def call_and_response(call: np.ndarray, answers: Sequence[np.ndarray], path: Path, title: str = "") -> Path:
    """Draw a call, then answers to it with the call faint behind each, all on one scale.

    Time lines show 5 s, or more where a performance is longer.

    Args:
        call: `(n, 4)` of `(x, y, dt, moving)`.
        answers: 1 to 16 like it.
        path: of the picture; its ending chooses the format.
        title: above all.

    Raises:
        ValueError: if there is no answer, or more than 16.
    """
    if not 1 <= len(answers) <= MOST:
        raise ValueError(f"a sheet has 1 to {MOST} answers; received {len(answers)}")
    # A recording stops with the first row after 5 s; that alone makes no longer line.
    longest = max(float(one[:, 2].sum()) for one in (call, *answers))
    seconds = max(DURATION, math.ceil(longest - 0.25))
    across = len(answers) if len(answers) < 4 else math.ceil(math.sqrt(len(answers)))
    figure = _sheet(1 + across, math.ceil(len(answers) / across), title)
    _cell(figure, 0, 0, call, CALL, "call", seconds=seconds)
    for number, answer in enumerate(answers):
        row, column = divmod(number, across)
        label = f"answer {number + 1}" if len(answers) > 1 else "answer"
        _cell(figure, 1 + column, row, answer, ANSWER, label, call, seconds)
    return save_figure(figure, path, dpi=160)


def gallery(blocks: Mapping[str, Sequence[np.ndarray]], path: Path, across: int = 3) -> Path:
    """Draw sets of performances side by side, such as real and generated ones.

    Time lines show 5 s; what comes later is not on them.

    Args:
        blocks: by title, performances `(n, 4)` of `(x, y, dt, moving)`; at most four blocks.
        path: of the picture; its ending chooses the format.
        across: how many performances stand side by side in a block.

    Raises:
        ValueError: if there is no performance to draw, or more than four blocks.
    """
    most = max(map(len, blocks.values()), default=0)
    if not most or len(blocks) > 4:
        raise ValueError(
            f"a gallery has 1 to 4 blocks of performances; received {len(blocks)} with up to {most}"
        )
    wide = across + 0.25
    figure = _sheet(wide * len(blocks) - 0.25, math.ceil(most / across))
    colours = (CALL, ANSWER, "green", "purple")
    for block, ((title, several), colour) in enumerate(zip(blocks.items(), colours, strict=False)):
        for number, one in enumerate(several):
            row, column = divmod(number, across)
            _cell(figure, wide * block + column, row, one, colour, "" if number else title)
    return save_figure(figure, path)


def _sheet(columns: float, rows: int, title: str = "") -> Figure:
    """Return a figure with room for so many cells."""
    width = 2 * MARGIN + columns * (SIDE + GAP) - GAP
    height = 2 * MARGIN + rows * ROW + (TITLE if title else 0)
    figure = Figure(figsize=(width, height))
    if title:
        x, y = MARGIN / width, 1 - MARGIN / height
        figure.text(x, y, title, color=COLOURS["ink"], fontsize=12, va="top")
    return figure


def _cell(
    figure: Figure,
    column: float,
    row: int,
    touches: np.ndarray,
    colour: str,
    label: str = "",
    behind: np.ndarray | None = None,
    seconds: float = DURATION,
) -> None:
    """Draw a performance with its time line in a cell; rows are counted from the top."""
    width, height = figure.get_size_inches()
    heading = TITLE if figure.texts else 0
    left, top = MARGIN + column * (SIDE + GAP), height - MARGIN - heading - row * ROW - LABEL

    def place(bottom: float, tall: float) -> Axes:
        return figure.add_axes((left / width, bottom / height, SIDE / width, tall / height))

    area = place(top - SIDE, SIDE)
    performance(area, touches, colour, behind, seconds)
    area.text(0, -0.03, label, color=COLOURS[colour], fontsize=9, va="bottom")
    time_line(place(top - ROW + LABEL, LINE), touches, colour, behind, seconds)


def _layers(
    touches: np.ndarray, colour: str, behind: np.ndarray | None, seconds: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return performances with the colour of each row, `(n, 3)`, the faint one first."""
    time = np.clip(np.cumsum(touches[:, 2]) / seconds, 0, 1)
    layers = [(touches, _mixed(colour, PALEST + (1 - PALEST) * time))]
    return layers if behind is None else [(behind, _mixed(CALL, np.full(len(behind), FAINT))), *layers]


def _mixed(colour: str, share: np.ndarray) -> np.ndarray:
    """Return shares of a colour on the ground: opaque, so that crossing strokes hide each other."""
    full, ground = np.array(to_rgb(COLOURS[colour])), np.array(to_rgb(GROUND))
    return ground + share[:, None] * (full - ground)


def _strokes(touches: np.ndarray) -> np.ndarray:
    """Return a line to each row from the one before, `(n, 2, 2)`; a dot where a touch begins."""
    to = touches[:, :2]
    before = np.where(starts_of(touches)[:, None], to, np.concatenate([to[:1], to[:-1]]))
    dot = np.array([1e-3, 0.0])  # a line without length would have no round ends
    return np.stack([before - dot, to + dot], axis=1)


def _rounded(axes: Axes, **look: Any) -> FancyBboxPatch:
    """Return the outline of the touch area."""
    return FancyBboxPatch((0, 0), 1, 1, "round,pad=0,rounding_size=0.05", transform=axes.transData, **look)
