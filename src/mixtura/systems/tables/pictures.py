"""Figures of a fitted table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mixtura.drawing import COLOURS, loss_curves, new_figure, save_figure
from mixtura.estimators import MDNRegressor


def losses(regressor: MDNRegressor, offset: float, held_out: float, target: str, path: Path) -> None:
    """Draw the members' mean losses over epochs, and the score of all members together on held-out rows.

    Args:
        regressor: with its curves.
        offset: added to them, for the target's units.
        held_out: negative log-likelihood of the held-out rows.
        target: the target's name.
        path: where to write the figure.
    """
    curves = {"loss": regressor.loss_curve_}
    if regressor.early_stopping:
        curves["val_loss"] = regressor.validation_loss_curve_
    figure, (axes,) = new_figure(width=6.0, height=3.6)
    loss_curves(axes, curves, "blue", label="members' mean", offset=offset)
    label = f"held-out rows, each member at its best, together: {held_out:.3f}"
    axes.axhline(held_out, color=COLOURS["orange"], linewidth=1, label=label)
    # The first epochs and single bad ones would squeeze the rest.
    low = min(held_out, *(loss + offset for curve in curves.values() for loss in curve))
    high = max(held_out, float(np.quantile([*curves.values()][-1], 0.95)) + offset)
    frame = (high - low) or 1.0
    axes.set_ylim(low - 0.1 * frame, high + 0.4 * frame)
    axes.set_title(target, parse_math=False)  # a column may be called "US$"
    axes.set_ylabel("negative log-likelihood (nats)")
    axes.legend()
    save_figure(figure, path)
