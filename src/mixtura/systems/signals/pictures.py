"""The figures of signals: what is predicted, what is generated, and whether strange beats stand out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_curve

from mixtura.drawing import COLOURS, heat_map, new_figure, save_figure
from mixtura.families import Distribution
from mixtura.systems.signals.surprise import BeatScores

SHADES = 161  # values at which a density is drawn


def predictions(
    signal: np.ndarray, p: Distribution, expected: np.ndarray, scale: tuple[float, float, str], path: Path
) -> None:
    """Draw a stretch of a signal, and the predicted densities of its samples around a linear prediction.

    Args:
        signal: `(length,)`.
        p: the predictions of its samples.
        expected: the linear predictions of the same samples.
        scale: samples per second, the file's units in one of the figure's, and what these are called.
        path: of the figure.
    """
    fs, per_unit, unit = scale
    time = np.arange(len(signal)) / fs
    errors = (signal - expected) / per_unit
    figure, (left, right) = new_figure(columns=2, width=4.9, height=3.4)
    low, high = p.quantile(np.array([0.05, 0.95])[:, None])[..., 0] / per_unit
    left.plot(time, signal / per_unit, color=COLOURS["ink"], linewidth=1.2)
    left.set(xlabel="seconds", ylabel=unit, title="A stretch of a held-out recording", xlim=(0, time[-1]))
    edge = 1.15 * max(np.percentile(np.abs(errors), 99.5), np.percentile(high - low, 90) / 2)
    grid = np.linspace(-edge, edge, SHADES)
    density = np.exp(p.log_prob((expected + grid[:, None] * per_unit)[..., None])) * per_unit
    heat_map(right, time, grid, density, float(np.percentile(density.max(axis=0), 90)))
    right.scatter(time, errors, color=COLOURS["orange"], s=4, linewidth=0)
    for bound in (low, high):
        right.plot(time, bound - expected / per_unit, color=COLOURS["blue"], linewidth=0.6)
    right.set(
        xlabel="seconds",
        ylabel=f"{unit}, from the linear prediction",
        title="The next sample: density, 90 % interval, value",
        xlim=(0, time[-1]),
        ylim=(-edge, edge),
    )
    save_figure(figure, path)


def generated(
    real: Sequence[np.ndarray], drawn: Sequence[np.ndarray], scale: tuple[float, float, str], path: Path
) -> None:
    """Draw held-out signals on the left and generated ones on the right, all on one scale."""
    fs, per_unit, unit = scale
    figure, columns = new_figure(columns=2, width=5.2, height=1.0 + 0.9 * len(real), sharey=True)
    traces = [*real, *drawn]
    gap = 1.2 * max(np.ptp(np.percentile(one, [0.2, 99.8])) for one in traces) / per_unit
    for axes, signals, title in zip(columns, (real, drawn), ("recorded", "generated"), strict=True):
        for row, one in enumerate(signals):
            time = np.arange(len(one)) / fs
            centred = (one - np.median(one)) / per_unit
            axes.plot(time, centred - row * gap, color=COLOURS["ink"], linewidth=0.8)
        axes.set(xlabel="seconds", title=title, yticks=[])
    size = float(f"{gap / 2:.1g}")
    low = -(len(real) - 0.4) * gap
    columns[0].plot([0, 0], [low, low + size], color=COLOURS["orange"], linewidth=2)
    columns[0].text(0, low, f"  {size:g} {unit}", color=COLOURS["orange"], fontsize=8, va="bottom")
    save_figure(figure, path)


def comparison(scores: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw by how much every model is worse than the network on each recording.

    Args:
        scores: by a model's name, by a recording's name, nats per sample; the network is the first.
        path: of the figure.
    """
    network, *others = scores.values()
    excess = [{name: own[name] - network[name] for name in network} for own in others]
    order = sorted(network, key=lambda name: excess[-1][name])
    figure, (axes,) = new_figure(width=6.4)
    for name, own, colour in zip([*scores][1:], excess, ["orange", "yellow", "green"], strict=False):
        values = [own[one] for one in order]
        axes.plot(range(len(order)), values, "o", markersize=4, color=COLOURS[colour], label=name)
    axes.axhline(0, color=COLOURS["blue"], linewidth=1, label="network")
    # One recording that breaks a model would hide all others.
    values = [value for own in excess for value in own.values()]
    axes.set_ylim(top=min(1.05 * max(values), 3 * float(np.percentile(values, 90))))
    axes.set(ylabel="nats per sample more than the network", title="Held-out recordings, dequantised")
    is_short = len(order) <= 30
    axes.set_xticks(range(len(order)) if is_short else [], order if is_short else [], rotation=90, fontsize=8)
    axes.set_xlabel("recording")
    axes.legend(fontsize=8)
    save_figure(figure, path)


def roc(found: BeatScores, areas: Mapping[str, float | None], path: Path) -> None:
    """Draw how many ventricular beats each score finds at each share of false alarms."""
    colours = dict(zip(found.scores, ["blue", "green", "yellow", "orange", "purple", "grey"], strict=False))
    figure, (axes,) = new_figure(width=4.8, height=4.2)
    for name, score in found.scores.items():
        wrong, right, _ = roc_curve(found.is_ventricular, score)
        axes.plot(
            wrong, right, color=COLOURS[colours[name]], linewidth=1.4, label=f"{name}: {areas[name]:.3f}"
        )
    axes.plot([0, 1], [0, 1], color=COLOURS["grey"], linewidth=0.7, linestyle=":")
    axes.set(xlabel="normal beats taken for ventricular", ylabel="ventricular beats found")
    axes.set_title("Beats of patients never seen; area under the curve")
    axes.legend(loc="lower right", fontsize=8)
    save_figure(figure, path)
