"""Figures of a fitted table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mixtura.drawing import COLOURS, loss_curves, new_figure, save_figure
from mixtura.families import Distribution

ROWS = 9


def losses(
    history: Mapping[str, Sequence[float]], offset: float, held_out: float, target: str, path: Path
) -> None:
    """Draw the loss over epochs in the target's units, with the held-out score."""
    figure, (axes,) = new_figure(width=6.0, height=3.6)
    loss_curves(axes, history, "blue", offset=offset)
    best = int(np.argmin(history["val_loss"])) + 1
    axes.axvline(best, color=COLOURS["grey"], linewidth=1, linestyle=":", label=f"kept: epoch {best}")
    axes.axhline(
        held_out,
        color=COLOURS["orange"],
        linewidth=1,
        label=f"held-out rows: {held_out:.3f}",
    )
    low = min(*history["loss"], *history["val_loss"]) + offset
    high = float(np.quantile(history["val_loss"], 0.95)) + offset
    axes.set_ylim(low - 0.1 * (high - low), high + 0.3 * (high - low))
    axes.set_title(target, parse_math=False)  # a column may be called "US$"
    axes.set_ylabel("negative log-likelihood (nats)")
    axes.legend()
    save_figure(figure, path)


def densities(p: Distribution, y: np.ndarray, target: str, path: Path) -> None:
    """Draw the predicted densities of some held-out rows, and all rows' intervals in order."""
    figure, (left, right) = new_figure(columns=2, width=5.2, height=4.4)
    centre = p.quantile(0.5)[:, 0]
    order = np.argsort(centre, kind="stable")

    chosen = order[np.linspace(0, len(order) - 1, min(ROWS, len(order))).round().astype(int)]
    shown = p[chosen]
    low, high = shown.interval(0.998)
    margin = 0.05 * (high.max() - low.min())
    grid = np.linspace(low.min() - margin, high.max() + margin, 800)
    density = np.exp(shown.log_prob(grid[:, None, None])).T
    for place, (row, curve) in enumerate(zip(chosen, density, strict=True)):
        ridge = place + 0.9 * curve / curve.max()
        left.fill_between(grid, place, ridge, color=COLOURS["blue"], alpha=0.35, linewidth=0)
        left.plot(grid, ridge, color=COLOURS["blue"], linewidth=1)
        left.plot([y[row]] * 2, [place, place + 0.9], color=COLOURS["orange"], linewidth=2)
    left.set(title="predicted densities of held-out rows", yticks=[])
    left.set_xlabel(target, parse_math=False)
    left.plot([], [], color=COLOURS["orange"], linewidth=2, label="what happened")
    left.legend(loc="upper left")

    rank, ordered = np.arange(len(order)), p[order]
    for level, alpha in ((0.9, 0.25), (0.5, 0.45)):
        low, high = ordered.interval(level)
        right.fill_between(
            rank,
            low[:, 0],
            high[:, 0],
            color=COLOURS["blue"],
            alpha=alpha,
            linewidth=0,
            step="mid",
            label=f"{level:.0%} interval",
        )
    right.scatter(
        rank,
        y[order],
        color=COLOURS["orange"],
        s=min(12, 3000 / len(y)),
        linewidths=0,
        label="what happened",
    )
    right.set(title="held-out rows, ordered by predicted median", xlabel="row")
    right.set_ylabel(target, parse_math=False)
    right.legend(loc="upper left")
    save_figure(figure, path)
