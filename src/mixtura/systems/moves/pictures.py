"""The map with paths on it, and the density of the next move at a fork."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

from mixtura.drawing import COLOURS, new_figure, save_figure
from mixtura.systems.moves import world

WALL, EDGE = "#D9D9D9", "#A6A6A6"
FRAME = (-0.7, 9.7), (-5.6, 5.6)
Paths = Sequence[np.ndarray]


def paths(panels: Mapping[str, Paths], path: Path, is_world: bool) -> None:
    """Draw several kinds of paths side by side, on the map if they are the world's.

    Args:
        panels: paths, `(steps, 2)` positions each, by their title.
        path: of the picture.
        is_world: whether the walls are known.
    """
    figure, axes = new_figure(columns=len(panels), width=3.4, height=4.0, sharex=True, sharey=True)
    for panel, (title, several) in zip(axes, panels.items(), strict=True):
        if is_world:
            _map(panel)
        _draw(panel, several, is_world)
        panel.set_title(title)
    save_figure(figure, path, dpi=110)


class Fork(NamedTuple):
    """A walk that has come to a fork, and its next move.

    Attributes:
        title: of the panel.
        past: positions so far, `(steps, 2)`.
        moves: a grid of moves, `(n, n, 2)`.
        density: of the next move, `(n, n)`.
        mean: the move that squared error predicts.
    """

    title: str
    past: np.ndarray
    moves: np.ndarray
    density: np.ndarray
    mean: np.ndarray


def around(past: np.ndarray) -> np.ndarray:
    """Return the grid of moves that a picture of a fork shows, `(n, n, 2)`."""
    across = np.linspace(-0.2, 0.2, 241)
    return np.stack(np.meshgrid(across, across), axis=-1) + 0.8 * (past[-1] - past[-2])


def forks(panels: Sequence[Fork], path: Path) -> None:
    """Draw where next moves may lead as shades, and where squared error goes as a cross.

    Shades are the square root of the density, so that faint branches stay visible.
    """
    figure, axes = new_figure(columns=len(panels), width=3.0, height=3.4)
    for panel, (title, past, moves, density, mean) in zip(axes, panels, strict=True):
        low, high = past[-1] + moves[0, 0], past[-1] + moves[-1, -1]
        extent = (low[0], high[0], low[1], high[1])
        panel.imshow(np.sqrt(density), origin="lower", extent=extent, cmap="Blues", interpolation="bilinear")
        panel.plot(*past.T, color=COLOURS["ink"], linewidth=1.2, marker="o", markersize=4, label="so far")
        cross: Any = {"color": COLOURS["orange"], "markersize": 10, "markeredgecolor": "white"}
        panel.plot(*(past[-1] + mean), "X", label="squared error", **cross)
        panel.set(xlim=extent[:2], ylim=extent[2:], title=title, xticks=[], yticks=[])
    axes[0].legend(loc="lower left")
    save_figure(figure, path)


def _map(axes: Axes) -> None:
    """Draw the corridors, white in a wall."""
    axes.set_facecolor(WALL)
    shapes = [_capsule(*ends) for ends in world.CORRIDORS]
    axes.add_collection(PolyCollection(shapes, facecolors="none", edgecolors=EDGE, linewidths=1.5))
    axes.add_collection(PolyCollection(shapes, facecolors="white", edgecolors="none", zorder=1))
    goals = np.unique(world.WAYPOINTS[:, -1], axis=0)
    axes.plot(*goals.T, "o", color=COLOURS["green"], markersize=8, alpha=0.5, markeredgewidth=0, zorder=1.5)


def _capsule(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the outline of all points not farther than `HALF_WIDTH` from a segment."""
    angle = np.arctan2(*(end - start)[::-1])
    turn = angle + np.linspace(-np.pi / 2, np.pi / 2, 19)
    arc = world.HALF_WIDTH * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([end + arc, start - arc])


def _draw(axes: Axes, several: Paths, is_world: bool) -> None:
    shown = [np.concatenate([np.zeros((1, 2)), one]) if is_world else one for one in several]
    lines = LineCollection(shown, colors=COLOURS["blue"], linewidths=0.8, alpha=0.35, zorder=2)
    axes.add_collection(lines)
    if is_world:
        axes.set(xlim=FRAME[0], ylim=FRAME[1])
        points = np.concatenate(list(several))
        hits = points[world.in_wall(points)]
        axes.plot(*hits.T, ".", color=COLOURS["orange"], markersize=4, markeredgewidth=0, zorder=3)
    else:
        axes.autoscale_view()
    axes.set(aspect="equal", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
