"""Handwriting as it is written: animations as SVG and GIF."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from mixtura.data.markup import plain
from mixtura.drawing.films import write_gif
from mixtura.drawing.pages import (
    PRINT,
    RULE,
    RULE_WIDTH,
    Line,
    Paper,
    document,
    group,
    laid_out,
    path_data,
    thickness,
)
from mixtura.errors import InputError
from mixtura.files import replacing

SPEED = 80.0  # millimetres of the pen's way in a second, about what people write on a board
LIFTED = 0.3  # seconds: the longest way through the air, and how long a dot takes
HELD = 3.0  # seconds: the last frame of a GIF
FRAMES = 300  # of a GIF, at most
_FRAME = 0.05  # seconds: of a GIF, at least
_PIXELS, _WIDEST = 5.0, 1300  # of a GIF: for a millimetre, and for its longer side
_FINER = 3  # times finer than the picture: what is drawn before edges are made smooth
_POINTS = 8  # of each Bézier curve of a GIF
# A dash as long as the stroke and a longer gap are moved along it until the dash covers it; what does not
# play animations shows whole strokes.
_STYLE = (
    "@keyframes write{from{stroke-dasharray:1 3;stroke-dashoffset:1.1}"
    "to{stroke-dasharray:1 3;stroke-dashoffset:0}}"
    "path[pathLength]{animation:write 1s linear both}"
    "@media(prefers-reduced-motion:reduce){path[pathLength]{animation:none}}"
)


class _Timed(NamedTuple):
    """A piece of a stroke, and when it is written."""

    line: Line
    curve: np.ndarray
    width: float
    places: np.ndarray  # points along it, millimetres on the page, (points, 2)
    times: np.ndarray  # seconds, (points,)


def animate(
    lines: Sequence[np.ndarray | None],
    path: str | Path,
    unit: float,
    paper: Paper | None = None,
    speed: float = SPEED,
) -> Path:
    """Write an animation in which lines appear stroke by stroke, as they were written.

    The pen moves with one speed; through the air it takes no longer than 0.3 seconds. An SVG file plays once,
    in a browser, alone or in a page's `<img>`; whoever has asked for reduced motion sees the whole. A GIF
    file plays again and again, and shows the whole for 3 seconds; it has at most 300 frames, so what takes
    longer than 15 seconds has fewer in a second.

    Args:
        lines: drawings, as `pages` takes them.
        path: ends in .svg or .gif; the file is there whole or not at all.
        unit: millimetres of a unit of the drawings.
        paper: what they are written on; it is as high as the lines need.
        speed: of the pen, in mm per second.

    Returns:
        The path.

    Raises:
        InputError: if the path has another ending, `speed` is not positive, no line has a point, or `pages`
            refuses the rest.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".svg", ".gif"):
        raise InputError(f"{path} has another ending; expected .svg or .gif")
    if not 0 < speed < math.inf:
        raise InputError(f"the speed of the pen must be a positive number of mm per second; received {speed}")
    paper = replace(paper or Paper(), height=None)
    width, height, (laid,) = laid_out(lines, unit, paper)
    timed = _timeline(laid, speed)
    if not timed:
        raise InputError("there is nothing to animate: no line has a point")
    with replacing(path) as temporary:
        if ending == ".svg":
            text = document(width, height, paper, _moving(timed, paper), _STYLE)
            temporary.write_text(text, encoding="utf-8", newline="\n")
        else:
            _write_gif(temporary, timed, width, height, paper)
    return path


def _timeline(lines: Sequence[Line], speed: float) -> list[_Timed]:
    timed: list[_Timed] = []
    now, pen = 0.0, None
    for line in lines:
        for curve, width in line.pieces:
            places = _points(curve) + np.array([line.left, line.baseline])
            if pen is not None:
                now += min(float(np.hypot(*(places[0] - pen))) / speed, LIFTED)
            lengths = np.hypot(*np.diff(places, axis=0).T)
            times = now + np.append(0.0, np.cumsum(lengths) / speed)
            if len(places) == 1:
                places, times = np.repeat(places, 2, axis=0), now + np.array([0.0, LIFTED])
            timed.append(_Timed(line, curve, width, places, times))
            now, pen = float(times[-1]), places[-1]
    return timed


def _points(curve: np.ndarray) -> np.ndarray:
    """Return points along Bézier curves, `_POINTS` on each."""
    if len(curve) == 1:
        return curve
    t = np.arange(1, _POINTS + 1)[:, None] / _POINTS
    parts = np.stack([curve[:-1:3], curve[1::3], curve[2::3], curve[3::3]])[:, :, None]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    along = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    return np.concatenate([curve[:1], np.reshape(along, (-1, 2))])


def _moving(timed: Sequence[_Timed], paper: Paper) -> list[str]:
    """Return the SVG elements of strokes that appear in their time."""
    body = []
    for _, pieces in groupby(timed, key=lambda one: one.line.baseline):
        paths = []
        for one in pieces:
            start, duration = plain(one.times[0], 3), plain(np.ptp(one.times), 3)
            paths.append(
                f'<path pathLength="1" style="animation-delay:{start}s;animation-duration:{duration}s"'
                f'{thickness(one.width, paper)} d="{path_data(one.curve)}"/>'
            )
        body += group(one.line, paths)
    return body


def _write_gif(path: Path, timed: Sequence[_Timed], width: float, height: float, paper: Paper) -> None:
    total = timed[-1].times[-1]
    step = max(_FRAME, math.ceil(100 * total / FRAMES) / 100)  # GIF counts hundredths of a second
    count = math.ceil(total / step)
    frames = _frames(timed, width, height, paper, step * np.arange(1, count + 1))
    write_gif(path, frames, [step] * (count - 1) + [HELD])


def _frames(
    timed: Sequence[_Timed], width: float, height: float, paper: Paper, times: np.ndarray
) -> Iterator[Image.Image]:
    """Yield the picture at each time."""
    scale = _FINER * min(_PIXELS, _WIDEST / max(width, height))  # of what is drawn, finer than the picture
    across, down = (_FINER * max(1, round(side * scale / _FINER)) for side in (width, height))
    canvas = Image.new("RGB", (across, down), to_hex(paper.background))
    pen = ImageDraw.Draw(canvas)
    for y in paper.baselines(height) if paper.ruled else ():
        ends = [scale * paper.margin, scale * y, scale * (width - paper.margin), scale * y]
        pen.line(ends, RULE, round(scale * RULE_WIDTH))
    if paper.heading:
        y, letters = paper.letters(width)
        font = ImageFont.truetype(findfont("DejaVu Sans"), scale * letters)
        pen.text((scale * paper.margin, scale * y), paper.heading, PRINT, font, "ls")
    palette = _palette(paper.background, {RULE, PRINT, *(one.line.colour for one in timed)})
    before = -1.0
    for time in times:
        for one in timed:
            if one.times[0] < time and before < one.times[-1]:
                _draw(pen, scale * _between(one, before, time), one.line.colour, scale * one.width)
        before = time
        yield canvas.reduce(_FINER).quantize(palette=palette, dither=Image.Dither.NONE)


def _between(one: _Timed, start: float, end: float) -> np.ndarray:
    """Return the way of the pen between two times, `(points, 2)`."""
    tips = np.column_stack([np.interp([start, end], one.times, column) for column in one.places.T])
    inside = (one.times > start) & (one.times < end)
    return np.concatenate([tips[:1], one.places[inside], tips[1:]])


def _draw(pen: ImageDraw.ImageDraw, places: np.ndarray, colour: str, width: float) -> None:
    """Draw a line with round ends and joints through places `(points, 2)`."""
    pen.line(places.ravel().tolist(), colour, round(width), "curve")
    for x, y in places[[0, -1]].tolist():
        pen.circle((x, y), width / 2, colour)


def _palette(background: str, colours: Set[str]) -> Image.Image:
    """Return an image whose palette leads from the background to each colour; one entry stays free."""
    back = 255 * np.array(to_rgb(background))
    blends = []
    for colour in sorted(colours):
        away = 255 * np.array(to_rgb(colour)) - back
        # Pillow looks colours up in steps of 4; those that are nearer would take each other's place.
        shades = max(2, min(255 // len(colours), int(np.abs(away).max() / 12)))
        blends.append(back + np.linspace(0, 1, shades)[:, None] * away)
    image = Image.new("P", (1, 1))
    image.putpalette(np.rint(np.concatenate(blends)[:255]).astype(int).ravel().tolist())
    return image
