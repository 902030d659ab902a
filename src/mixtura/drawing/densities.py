"""Pictures of predicted distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from mixtura.drawing.figures import COLOURS

if TYPE_CHECKING:
    from mixtura.families import Distribution

CURVES = ["blue", "orange", "green", "purple", "yellow", "grey"]


def densities(p: Distribution, axes: Axes | None = None, rows: int = 5) -> Axes:
    """Draw densities: curves for one dimension, shades for two (of the first row).

    Args:
        p: the distributions.
        axes: where to draw; new pyplot axes by default.
        rows: at most so many rows are drawn.

    Raises:
        NotImplementedError: for discrete events, or events of more than two dimensions.
    """
    if not p.family.is_continuous or p.event_size > 2:
        raise NotImplementedError(
            f"plot draws densities of one or two dimensions; {p.family!r} has other events: "
            "plot a marginal, or a joint's part"
        )
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.gca()
    first = p.family(p.params.reshape(-1, p.params.shape[-1])[:rows])
    if p.event_size == 1:
        _curves(first, axes)
    else:
        _shades(first[0], axes)
    return axes


def _curves(p: Distribution, axes: Axes) -> None:
    low, high = (end[:, 0] for end in p.interval(1 - 2e-3))
    margin = 0.05 * (high.max() - low.min())
    grid = np.linspace(low.min() - margin, high.max() + margin, 500)
    # A narrow peak between two points of the grid would be missed: every row adds its own quantiles.
    own = p.quantile(np.linspace(1e-3, 1 - 1e-3, 200)[:, None])[..., 0]
    grid = np.unique(np.concatenate([grid, own.ravel()]))
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
        ends = [p.marginal(d).interval(1 - 2e-3) for d in range(2)]
    except NotImplementedError:
        ends = list(np.quantile(p.sample(4000, seed=0), [1e-3, 1 - 1e-3], axis=0).T[..., None])
    lines = [np.linspace(low[0], high[0], 201) for low, high in ends]
    x, y = np.meshgrid(*lines)
    density = np.exp(p.log_prob(np.stack([x, y], axis=-1)))
    axes.pcolormesh(x, y, np.sqrt(density), cmap="Blues", shading="gouraud", rasterized=True)
    # Contours around the smallest regions that hold half and nine tenths of the probability.
    mass = np.sort(density.ravel())[::-1]
    held = np.cumsum(mass) / mass.sum()
    levels = [mass[np.searchsorted(held, share)] for share in (0.9, 0.5)]
    if levels[0] < levels[1]:
        axes.contour(x, y, density, levels=levels, colors=COLOURS["blue"], linewidths=1)
    axes.set(xlabel="y[0]", ylabel="y[1]")
