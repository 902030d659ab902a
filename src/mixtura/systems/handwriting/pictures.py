"""Pictures of what a network looks at and expects as it follows a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mixtura.drawing import attention_plot, density_plot
from mixtura.evaluation.sequences import predictions
from mixtura.families import Distribution
from mixtura.models.handwriting import Handwriting, events_line


def attention_picture(
    model: Handwriting, line: np.ndarray, text: str, path: Path, style: int | None = None
) -> None:
    """Draw where the window was on the text at every point of a line (Graves 2013, figure 13).

    Args:
        model: with an alphabet.
        line: `(n, 3)`.
        text: of the line.
        path: of the figure.
        style: the number of the line's style, where there are styles.
    """
    weights = model.attention([line], [text], None if style is None else [style])[0]
    attention_plot(weights, text, line, path)


def density_picture(
    model: Handwriting, line: np.ndarray, path: Path, text: str | None = None, style: int | None = None
) -> None:
    """Draw where the next point was expected at every point of a line (Graves 2013, figure 10).

    Args:
        model: of handwriting.
        line: `(n, 3)`.
        path: of the figure.
        text: of the line, where there is an alphabet.
        style: the number of the line's style, where there are styles.
    """
    context = None if text is None else model.context([text], style)
    events = model.events(line)
    params = next(iter(predictions(model, [events], context=context)))[1]
    p = Distribution(model.family, params)
    offsets = p.marginal([0, 1])
    ends = np.asarray(p.mean())[:, [2] if events.shape[1] == 3 else [3, 4]].sum(axis=1)
    shown = events_line(events)
    places = np.cumsum(shown[:, :2], axis=0)

    def log_density(number: int, wanted: np.ndarray) -> np.ndarray:
        return np.asarray(offsets[number - 1].log_prob(wanted - places[number - 1]))

    density_plot(shown, log_density, path, ends=np.append(0.0, ends))
