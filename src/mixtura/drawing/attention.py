"""What a model of handwriting looks at and expects: figures 10 and 13 of Graves (2013)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import zoom

from mixtura.data.strokes import check
from mixtura.drawing.figures import COLOURS, new_figure, save_figure
from mixtura.drawing.sheets import SHADES

LETTERS = [COLOURS[name] for name in ("blue", "orange", "green", "purple")]  # neighbours are told apart
STOP = "end"
_SHADES = LinearSegmentedColormap.from_list("shades", ["white", *SHADES])
EVALUATIONS = 1_000_000  # of a density, at most
_WIDTH = 9.0  # inches: of a figure
_ROW = 0.19  # inches: of a letter
_BESIDE, _EDGE, _GAP = 0.45, 0.15, 0.6  # inches: left of the map, around the figure, from map to drawing
_HIGHEST = 1.6  # inches: of the drawing below a map
_FAR, _REACH = 4.0, 16  # how far the next point may be: in usual steps, and in cells
_SMALLEST = 0.008  # of the drawing's larger side: the smallest radius
_LIFTED = 7  # so many times farther and coarser after a lift; odd, so that coarse cells lie on fine ones


def attention_plot(weights: np.ndarray, text: str, drawing: np.ndarray, path: str | Path) -> Path:
    """Draw how much a model attended to each letter as it drew each point: Graves (2013), figure 13.

    Letters go down, points to the right; white is nothing and dark is much. Below is the drawing, each point
    in the colour of the letter that it looked at most; lines lead from the time at which this letter changed
    to the place at which the pen was then.

    Args:
        weights: phi, `(n, U + 1)`: of each point for each letter and, in the last column, the text's end.
        text: the U letters.
        drawing: `(n, 3)` of `(dx, dy, end)`.
        path: of the figure; its ending chooses the format.

    Raises:
        ValueError: if the shapes do not fit together, or `strokes.check` refuses the drawing.
    """
    check(drawing, "the drawing")
    weights = np.asarray(weights, np.float64)
    count, rows = len(drawing), len(text) + 1
    if weights.shape != (count, rows):
        raise ValueError(
            f"weights of {count} points for {len(text)} letters and the end must have the shape "
            f"{(count, rows)}; received {weights.shape}"
        )
    most = weights.argmax(axis=1)
    colours = [LETTERS[row % len(LETTERS)] if row < len(text) else COLOURS["grey"] for row in range(rows)]
    # Everything is placed in the units of the map, points to the right and letters down.
    unit = np.array([count / (_WIDTH - _BESIDE - _EDGE), 1 / _ROW])  # of an inch
    places = np.cumsum(np.asarray(drawing, np.float64)[:, :2], axis=0)
    places -= places.min(axis=0)
    size = np.maximum(places.max(axis=0), 1e-9)
    scale = min((count / unit[0]) / size[0], _HIGHEST / size[1])  # inches of a unit of the drawing
    corner = np.array([(count - scale * size[0] * unit[0]) / 2, rows + _GAP / _ROW])
    shown = corner + scale * places * unit
    bottom = corner[1] + (scale * size[1] + _EDGE) * unit[1]
    figure, axes = _bare(bottom * _ROW + _EDGE)
    axes.set(
        xlim=(-_BESIDE * unit[0], count + _EDGE * unit[0]),
        ylim=(bottom, -_EDGE * unit[1]),
    )
    ceiling = float(np.quantile(weights.max(axis=1), 0.95))
    _shades(axes, np.array([0, 0]), np.array([count, rows]), weights.T, ceiling)
    frame = Rectangle((0, 0), count, rows, fill=False, edgecolor="#cccccc", linewidth=0.8)
    axes.add_patch(frame)
    for row, letter in enumerate([*text.replace(" ", "␣"), STOP]):
        axes.text(
            -0.08 * unit[0],
            row + 0.5,
            letter,
            color=colours[row],
            fontsize=10,
            horizontalalignment="right",
            verticalalignment="center",
            parse_math=False,
        )
    for point in np.flatnonzero(np.diff(most, prepend=-1)).tolist():
        x, y = shown[point]
        axes.plot(
            [point + 0.5, point + 0.5, x, x],
            [rows, rows + 0.2 * _GAP / _ROW, corner[1] - 0.2 * _GAP / _ROW, y],
            color=colours[most[point]],
            linewidth=0.6,
            alpha=0.5,
        )
    _write(axes, drawing, shown, [colours[row] for row in most.tolist()], 1.6)
    return save_figure(figure, Path(path), dpi=150)


def density_plot(
    drawing: np.ndarray,
    log_density: Callable[[int, np.ndarray], np.ndarray],
    path: str | Path,
    *,
    ends: np.ndarray | None = None,
    radius: float | None = None,
) -> Path:
    """Draw where each next point was expected, the densities of all points summed: Graves (2013), figure 10.

    Each density is computed around the point before, at no more than a million places in all. Shades are the
    fourth root of the sum, which makes the wide densities of lifted pens visible beside the narrow ones
    of strokes.

    Args:
        drawing: `(n, 3)` of `(dx, dy, end)`, of two points at least.
        log_density: returns, given a number of points that are known, from 1 to n - 1, and places `(m, 2)`,
            the log density of the next point's place, `(m,)`. Places are measured from the pen's origin.
        path: of the figure; its ending chooses the format.
        ends: `(n,)`: how likely each point was to end its stroke, drawn below.
        radius: how far from the point before a density is computed, in the drawing's units, and seven times
            as far where the pen was lifted; by default four usual steps.

    Raises:
        ValueError: if the drawing's points are all at one place, `strokes.check` refuses it, `ends` has
            another length, or `radius` is less than 0.8 % of the drawing's larger side.
    """
    check(drawing, "the drawing")
    places = np.cumsum(np.asarray(drawing, np.float64)[:, :2], axis=0)
    low, high = places.min(axis=0), places.max(axis=0)
    size = float((high - low).max())
    if not size > 0:
        raise ValueError("the drawing must have points at two places or more")
    if ends is not None and np.shape(ends) != (len(drawing),):
        raise ValueError(f"ends must have the shape {(len(drawing),)}; received {np.shape(ends)}")
    is_lifted = np.asarray(drawing)[:-1, 2] != 0
    least = _SMALLEST * size
    if radius is None:
        steps = np.hypot(*np.diff(places, axis=0).T)[~is_lifted]
        radius = max(_FAR * float(np.median(steps)) if len(steps) else 0.0, least)
    if not least <= radius < np.inf:
        raise ValueError(
            f"radius must be at least {least:.3g} for a drawing of {size:.3g}; received {radius}"
        )

    reach = max(2, min(_REACH, int(np.sqrt(EVALUATIONS / len(drawing)) - 1) // 2))  # cells on each side
    cell = radius / reach
    border = _LIFTED * (reach + 1)  # cells beyond the writing, so that no density reaches over the edge
    corner = low - border * cell
    columns, rows = np.ceil((high - low) / cell).astype(int) + 2 * border + 1
    total = np.zeros((rows, columns))
    around = np.arange(-reach, reach + 1)
    for number, lifted in enumerate(is_lifted.tolist(), start=1):
        factor = _LIFTED if lifted else 1
        x, y = np.rint((places[number - 1] - corner) / cell).astype(int)
        at = corner + cell * np.stack(np.meshgrid(x + factor * around, y + factor * around), axis=-1)
        density = np.exp(np.reshape(log_density(number, at.reshape(-1, 2)), at.shape[:2]))
        half = factor * reach + factor // 2
        total[y - half : y + half + 1, x - half : x + half + 1] += zoom(
            density, factor, order=1, mode="nearest", grid_mode=True
        )

    margin = min(border * cell, max(0.4 * (high - low)[1], 0.75 * radius))
    low, high = low - margin, high + margin
    down = np.array([0.0, high[1] - low[1] - margin / 2])  # from the first panel's writing to the second's
    bottom = high[1] + (0 if ends is None else down[1] - margin / 2)
    figure, axes = _bare(_WIDTH * (bottom - low[1]) / (high[0] - low[0]))
    roots = np.sqrt(total)
    ceiling = np.quantile(roots[tuple(np.rint((places - corner) / cell).astype(int).T[::-1])], 0.9)
    far = corner + cell * np.array([columns, rows])
    _shades(axes, corner - cell / 2, far - cell / 2, roots, float(ceiling))
    axes.set(xlim=(low[0], high[0]), ylim=(bottom, low[1]))
    _write(axes, drawing, places, COLOURS["ink"], 0.8)
    if ends is not None:
        below = places + down
        axes.add_patch(Rectangle((low[0], high[1]), *(high - low), color="white", zorder=1.5))
        _write(axes, drawing, below, "#aaaaaa", 0.8)
        axes.scatter(
            below[:, 0],
            below[:, 1],
            s=80 * np.asarray(ends),
            color=COLOURS["orange"],
            alpha=0.7,
            linewidth=0,
            zorder=3,
        )
    return save_figure(figure, Path(path), dpi=150)


def _bare(height: float) -> tuple[Figure, Axes]:
    """Return a figure of `_WIDTH` and this height, in inches, and axes without a frame that fill it."""
    figure, (axes,) = new_figure(width=_WIDTH, height=height)
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _shades(axes: Axes, low: np.ndarray, high: np.ndarray, values: np.ndarray, ceiling: float) -> None:
    """Draw values as shades between two corners, rows downwards; 0 is white and `ceiling` is dark."""
    axes.imshow(
        values,
        extent=(low[0], high[0], high[1], low[1]),
        aspect="auto",
        cmap=_SHADES,
        vmin=0,
        vmax=ceiling if ceiling > 0 else 1.0,
        interpolation="bilinear",
    )


def _write(
    axes: Axes, drawing: np.ndarray, shown: np.ndarray, colours: str | list[str], width: float
) -> None:
    """Draw a drawing whose points are at the places `shown`, `(n, 2)`; a line has its end's colour."""
    starts = np.append(0, np.arange(len(shown) - 1))
    first = np.append(True, np.asarray(drawing)[:-1, 2] != 0)
    starts[first] = np.flatnonzero(first)  # the first point of a stroke is a dot
    lines = np.stack([shown[starts], shown], axis=1)
    axes.add_collection(LineCollection(list(lines), colors=colours, linewidths=width, capstyle="round"))
