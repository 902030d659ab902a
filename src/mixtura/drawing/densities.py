"""Pictures of predicted distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from mixtura.drawing.figures import COLOURS

if TYPE_CHECKING:
    from mixtura.families import Distribution

# Probabilities whose quantiles lie on the grid.
TAIL = np.array([1e-9, 1e-6, 1e-4, 1e-3])
LEVELS = np.concatenate([TAIL, np.linspace(0.01, 0.99, 197), 1 - TAIL[::-1]])

CURVES = ["blue", "orange", "green", "purple", "yellow", "grey"]


def densities(p: Distribution, axes: Axes | None = None, rows: int = 5) -> Axes:
    """Draw densities: curves for one dimension, shades for two (of the first row).

    In two dimensions lines enclose the smallest regions that hold 50 % and 90 % of the probability. Shades
    are the square root of the density, so that faint parts stay visible.

    Args:
        p: the distributions.
        axes: where to draw; new pyplot axes by default.
        rows: at most so many rows are drawn.

    Raises:
        NotImplementedError: for discrete events, or events of more than two dimensions.
        ValueError: if there is no row to draw.
    """
    if not p.family.is_continuous or p.event_size > 2:
        raise NotImplementedError(
            f"plot draws densities of one or two dimensions; {p.family!r} has other events: "
            "plot a marginal, or a joint's part"
        )
    first = p.family(p.params.reshape(-1, p.params.shape[-1])[:rows])
    if not len(first):
        raise ValueError("plot needs at least one row to draw")
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(layout="constrained")
        axes.spines[["top", "right"]].set_visible(False)
    if p.event_size == 1:
        _curves(first, axes)
    else:
        _shades(first[0], axes)
    return axes


def _grid(quantiles: np.ndarray, points: int) -> np.ndarray:
    """Return where to compute a density along one axis, given quantiles of `LEVELS`, `(levels, rows)`."""
    # The middle 98 % and a quarter of their width on both sides, unless that is farther than the middle
    # 99.8 %: a long tail would squeeze everything else.
    far, near = len(TAIL) - 1, len(TAIL)
    margin = 0.25 * (quantiles[-1 - near] - quantiles[near])
    low = np.maximum(quantiles[far], quantiles[near] - margin).min()
    high = np.minimum(quantiles[-1 - far], quantiles[-1 - near] + margin).max()
    frame = 0.05 * (high - low)
    grid = np.linspace(low - frame, high + frame, points)
    # Between two points a narrow peak or a steep end would be missed: quantiles are points as well.
    return np.unique(np.concatenate([grid, quantiles[(quantiles > grid[0]) & (quantiles < grid[-1])]]))


def _curves(p: Distribution, axes: Axes) -> None:
    grid = _grid(p.quantile(LEVELS[:, None])[..., 0], 500)
    curves = np.exp(p.log_prob(grid[:, None, None])).T
    for row, curve in enumerate(curves):
        colour = COLOURS[CURVES[row % len(CURVES)]]
        axes.plot(grid, curve, color=colour, linewidth=1.5, label=f"row {row}" if len(p) > 1 else None)
        axes.fill_between(grid, curve, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="y", ylabel="density", ylim=(0, None))
    if len(p) > 1:
        axes.legend(frameon=False)


def _shades(p: Distribution, axes: Axes) -> None:
    try:
        quantiles = [p.marginal(d).quantile(LEVELS) for d in range(2)]
    except NotImplementedError:
        drawn = p.sample(4000, seed=0)
        quantiles = [np.quantile(drawn[:, d : d + 1], LEVELS, axis=0) for d in range(2)]
    x, y = (_grid(of_axis, 201) for of_axis in quantiles)
    density = np.exp(p.log_prob(np.stack(np.meshgrid(x, y), axis=-1)))
    axes.pcolormesh(x, y, np.sqrt(density), cmap="Blues", shading="gouraud", rasterized=True)
    mass = (density * np.gradient(y)[:, None] * np.gradient(x)).ravel()
    order = np.argsort(density.ravel())[::-1]
    held = np.cumsum(mass[order]) / mass.sum()
    levels = density.ravel()[order[np.searchsorted(held, [0.9, 0.5])]]
    if levels[0] < levels[1]:
        axes.contour(x, y, density, levels=levels, colors=COLOURS["blue"], linewidths=1)
    axes.set(xlabel="y[0]", ylabel="y[1]")
