"""The figures of impsy: sessions as strip charts, and real beside generated numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.drawing import COLOURS, new_figure, save_figure
from mixtura.systems.impsy.statistics import moved_at_once

DT_EDGES = np.geomspace(1e-4, 5.0, 60)  # seconds


def strips(sessions: Mapping[str, np.ndarray], columns: Sequence[str], path: Path) -> None:
    """Draw every control of sessions as a line over time, one above the other.

    Args:
        sessions: events `(n, controls + 1)`, by title.
        columns: what the controls are called.
        path: of the figure.
    """
    controls = len(columns) - 1
    figure, axes = new_figure(columns=len(sessions), width=4.6, height=1.2 + 0.55 * controls, sharey=True)
    for one, (title, events) in zip(axes, sessions.items(), strict=True):
        seconds = np.cumsum(events[:, -1]) - events[0, -1]
        for control in range(controls):
            at = controls - 1 - control
            colour = list(COLOURS)[control % 5]
            one.axhspan(at, at + 0.8, color=COLOURS["grey"], alpha=0.08, linewidth=0)
            values = at + 0.8 * events[:, control]
            one.plot(seconds, values, color=COLOURS[colour], linewidth=1.1, drawstyle="steps-post")
        one.set(xlabel="seconds", title=title, xlim=(0, seconds[-1]), ylim=(-0.15, controls - 0.1))
        one.spines["left"].set_visible(False)
        one.tick_params(left=False)
    axes[0].set_yticks([controls - 1 - number + 0.4 for number in range(controls)], columns[:-1])
    save_figure(figure, path)


def comparison(real: Sequence[np.ndarray], drawn: Mapping[str, Sequence[np.ndarray]], path: Path) -> None:
    """Draw how many controls move at once, and how fast events come, in real and generated sessions.

    Args:
        real: events `(n, controls + 1)` of each session.
        drawn: the same of models, by name.
        path: of the figure.
    """
    figure, (left, right) = new_figure(columns=2, width=4.6, height=3.4)
    every: dict[str, Any] = {"recorded": real, **drawn}
    controls = real[0].shape[1] - 1
    width = 0.8 / len(every)
    for number, (name, sessions) in enumerate(every.items()):
        colour = COLOURS["ink"] if number == 0 else list(COLOURS.values())[number - 1]
        moved = moved_at_once(sessions)
        share = np.bincount(moved, minlength=controls + 1) / len(moved)
        left.bar(
            np.arange(controls + 1) + (number + 0.5) * width - 0.4, share, width, color=colour, label=name
        )
        dt = np.concatenate([one[1:, -1] for one in sessions])
        counts, _ = np.histogram(dt, DT_EDGES)
        right.stairs(counts / len(dt), DT_EDGES, color=colour, linewidth=1.3, label=name)
    left.set(xlabel="controls that move in one event", ylabel="share of events", xticks=range(controls + 1))
    right.set(xlabel="seconds since the last event", ylabel="share of events", xscale="log")
    left.legend()
    save_figure(figure, path)
