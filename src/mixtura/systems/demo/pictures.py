"""The demo's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.drawing import COLOURS, heat_map, loss_curves, new_figure, save_figure
from mixtura.families import Distribution
from mixtura.systems.demo import data
from mixtura.systems.demo.networks import Trained

NAMES = {"mse": "squared error", "mdn": "the lecture's MDN", "best": "a well-configured MDN"}
X_RANGE = (-14.0, 14.0)
Y_RANGE = (-14.0, 14.0)


def mixture(samples: np.ndarray, learnt: Distribution, path: Path) -> None:
    """Draw the samples of the two-normal mixture, one normal, the true density and the learnt one."""
    figure, (axes,) = new_figure(width=6.4, height=3.8)
    grid = np.linspace(-15, 18, 600)
    truth = (data.WEIGHTS * data.normal_density(grid[:, None], data.MEANS, data.SCALES)).sum(axis=1)
    single = data.normal_density(grid, samples.mean(), samples.std())
    axes.hist(samples[:, 0], bins=60, density=True, color="#DDDDDD", label=f"{len(samples)} samples")
    axes.plot(grid, single, color=COLOURS["orange"], label="one normal, fitted")
    axes.plot(grid, truth, color=COLOURS["ink"], label="the mixture: means -5 and 5, scales 2 and 3")
    axes.plot(
        grid,
        np.exp(learnt.log_prob(grid[:, None])),
        color=COLOURS["blue"],
        linestyle="--",
        label="the mixture, learnt from the samples",
    )
    axes.set(xlabel="y", ylabel="density", title="Two answers, and what one normal makes of them")
    axes.set_ylim(0, 0.155)
    axes.legend(loc="upper center", ncols=2)
    save_figure(figure, path)


def losses(histories: Mapping[str, Mapping[str, Sequence[float]]], limits: data.Limits, path: Path) -> None:
    """Draw the loss curves: squared error alone, the negative log-likelihoods beside their limit."""
    figure, (left, right) = new_figure(columns=2, width=4.8)
    loss_curves(left, histories["mse"], "orange")
    left.set(title=NAMES["mse"], ylabel="mean squared error")
    left.legend()
    loss_curves(right, histories["mdn"], "purple", "lecture")
    loss_curves(right, histories["best"], "blue", "well configured")
    right.axhline(limits.conditional_entropy, color=COLOURS["ink"], linewidth=1, linestyle=":")
    right.annotate(
        "no model can be lower",
        (1, limits.conditional_entropy),
        xytext=(0, -4),
        textcoords="offset points",
        verticalalignment="top",
        fontsize=9,
    )
    right.set(title="mixture density networks", ylabel="negative log-likelihood (nats)", ylim=(1.1, 3.4))
    right.legend()
    save_figure(figure, path)


def predictions(
    x: np.ndarray,
    y: np.ndarray,
    trained: Mapping[str, Trained],
    nll: Mapping[str, float],
    seed: int,
    path: Path,
) -> None:
    """Draw the data, the point predictions of squared error, and samples of both MDNs."""
    figure, axes = new_figure(columns=4, width=3.3, height=3.5, sharey=True)
    inputs = np.sort(x, axis=0)
    dots: dict[str, Any] = {"s": 3, "linewidths": 0, "alpha": 0.5}
    axes[0].scatter(x, y, color=COLOURS["grey"], **dots)
    axes[0].set(title=f"data: {len(x)} points", ylabel="y")
    axes[1].scatter(x, y, color="#D0D0D0", **dots)
    axes[1].plot(inputs, trained["mse"].outputs(inputs), color=COLOURS["orange"], linewidth=2)
    axes[1].set_title(f"{NAMES['mse']}: {nll['mse']:.2f} nats")
    for panel, (name, colour) in zip(axes[2:], (("mdn", "purple"), ("best", "blue")), strict=True):
        samples = trained[name].predict(x).sample(1, seed=seed)[0]
        panel.scatter(x, samples, color=COLOURS[colour], **dots)
        panel.set_title(f"{NAMES[name]}: {nll[name]:.2f} nats")
    for panel in axes:
        panel.set(xlabel="x", xlim=X_RANGE, ylim=Y_RANGE)
    save_figure(figure, path)


def densities(
    trained: Mapping[str, Trained], nll: Mapping[str, float], limits: data.Limits, path: Path
) -> None:
    """Draw p(y | x) as shades: both MDNs beside the exact conditional density."""
    figure, axes = new_figure(columns=3, width=4.2, height=3.8, sharey=True)
    x, y = np.linspace(*X_RANGE, 281), np.linspace(*Y_RANGE, 281)
    shades = [
        np.exp(trained[name].predict(x[:, None]).log_prob(y[:, None, None])) for name in ("mdn", "best")
    ]
    shades.append(data.conditional_density(x, y))
    titles = [f"{NAMES[name]}: {nll[name]:.2f} nats" for name in ("mdn", "best")]
    titles.append(f"the truth: {limits.conditional_entropy:.2f} nats")
    for panel, density, title in zip(axes, shades, titles, strict=True):
        heat_map(panel, x, y, density, ceiling=0.6)
        panel.set(title=title, xlabel="x")
    axes[0].set_ylabel("y")
    save_figure(figure, path)
