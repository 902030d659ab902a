"""Pictures of a network beside n-grams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mixtura.drawing import COLOURS, loss_curves, new_figure, save_figure

LINE, LINES = 74, 9  # characters in a line, lines of a passage
DARKEST = 6.0  # nats


def learning(history: Mapping[str, Sequence[float]], scores: Mapping[str, float], path: Path) -> None:
    """Draw the losses of training, and what n-grams and the network reach on the test sequences.

    Args:
        history: `loss` and `val_loss`.
        scores: nats per symbol by name; the network's is called "network".
        path: where.
    """
    figure, (axes,) = new_figure(width=6.4, height=3.8)
    loss_curves(axes, history, "blue", "network")
    for (name, value), colour in zip(
        [item for item in scores.items() if item[0] != "network"],
        ("grey", "yellow", "orange", "purple"),
        strict=True,
    ):
        axes.axhline(value, color=COLOURS[colour], linewidth=1)
        axes.annotate(
            f"{name}: {value:.2f}",
            (1, value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=9,
            color=COLOURS[colour],
        )
    score = scores["network"]
    axes.plot(
        len(history["loss"]),
        score,
        "o",
        color=COLOURS["blue"],
        markersize=5,
        label=f"network, test: {score:.2f}",
    )
    axes.set(ylabel="nats per symbol", ylim=(0, None), title="The network, and n-grams with backoff")
    axes.legend(loc="lower left")
    save_figure(figure, path)


def passage(symbols: Sequence[str], surprise: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw the beginning of a held-out sequence as models read it: the redder, the less expected.

    Args:
        symbols: the sequence.
        surprise: by a model's name, minus the log of the probability that it gave each symbol, in nats.
        path: where.
    """
    shown, places = [], []
    column = row = 0
    for symbol in symbols:
        text = {"\n": "¶", " ": "·"}.get(symbol, symbol.rstrip("\n"))
        if column + len(text) > LINE:
            column, row = 0, row + 1
        if row == LINES:
            break
        shown.append(text)
        places.append((column, row))
        column, row = (0, row + 1) if symbol.endswith("\n") else (column + len(text), row)
    figure, panels = new_figure(columns=len(surprise), width=5.6, height=2.1)
    for axes, (name, nats) in zip(panels, surprise.items(), strict=True):
        for text, (column, row), value in zip(shown, places, nats, strict=False):
            shade = min(float(value) / DARKEST, 1.0)
            box = {"facecolor": (1, 1 - 0.75 * shade, 1 - shade), "edgecolor": "none", "pad": 0.6}
            axes.text(column, -row, text, family="monospace", fontsize=5.9, bbox=box)
        mean = float(nats[: len(shown)].mean())
        axes.set(xlim=(0, LINE), ylim=(0.5 - LINES, 1), title=f"{name}: {mean:.2f} nats per symbol here")
        axes.axis("off")
    save_figure(figure, path, dpi=150)
