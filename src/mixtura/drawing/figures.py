"""Matplotlib figures in the house style, without pyplot: no window, no global state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from mixtura.errors import InputError
from mixtura.files import replacing

# Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "yellow": "#E69F00",
    "grey": "#7F7F7F",
    "ink": "#222222",
}

_STYLE: Any = {
    "axes.edgecolor": COLOURS["grey"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "font.size": 10,
    "xtick.color": COLOURS["grey"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.color": COLOURS["grey"],
    "ytick.labelcolor": COLOURS["ink"],
}


def new_figure(
    columns: int = 1, width: float = 4.2, height: float = 3.6, rows: int = 1, **subplots: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row, in the house style.

    Args:
        columns: how many axes stand side by side.
        width: the width of each, in inches.
        height: the figure's height, in inches.
        rows: how many axes stand one above the other.
        **subplots: further arguments of `Figure.subplots`, such as `sharey`.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(width * columns, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **subplots)
    return figure, list(axes.flat)


def save_figure(figure: Figure, path: Path, dpi: int = 120) -> Path:
    """Write a figure at once; the ending of the path chooses the format."""
    for axes in figure.axes:
        if legend := axes.get_legend():
            legend.set_frame_on(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path


def check_picture(path: Path) -> None:
    """Raise an InputError if no picture can be written to a path's ending; call it before any work."""
    if path.suffix.lower().removeprefix(".") not in FigureCanvasBase.get_supported_filetypes():
        raise InputError(f"{path} has no picture's ending; expected one such as .png, .svg or .pdf.")


def loss_curves(
    axes: Axes,
    history: Mapping[str, Sequence[float]],
    colour: str,
    label: str = "",
    offset: float = 0.0,
) -> None:
    """Draw training loss (thin) and validation loss (strong) over epochs.

    Args:
        axes: where to draw.
        history: a Keras history, with `loss` and perhaps `val_loss`.
        colour: a name in `COLOURS`.
        label: what the curves are called.
        offset: added to every value, for a change of units.
    """
    epochs = np.arange(1, len(history["loss"]) + 1)
    prefix = f"{label}, " if label else ""
    axes.plot(
        epochs,
        np.add(history["loss"], offset),
        color=COLOURS[colour],
        alpha=0.45,
        linewidth=1,
        label=f"{prefix}training",
    )
    if "val_loss" in history:
        axes.plot(
            epochs,
            np.add(history["val_loss"], offset),
            color=COLOURS[colour],
            linewidth=1.5,
            label=f"{prefix}validation",
        )
    axes.set_xlabel("epoch")


def heat_map(axes: Axes, x: np.ndarray, y: np.ndarray, density: np.ndarray, ceiling: float) -> None:
    """Draw a conditional density p(y | x) as shades; `density` is `(len(y), len(x))`.

    The square root of the density is shown, so that faint branches stay visible; `ceiling` is the density
    drawn darkest, the same for panels that are compared.
    """
    axes.imshow(
        np.sqrt(np.minimum(density, ceiling)),
        origin="lower",
        aspect="auto",
        extent=(x[0], x[-1], y[0], y[-1]),
        cmap="Blues",
        vmin=0,
        vmax=np.sqrt(ceiling),
        interpolation="bilinear",
    )
