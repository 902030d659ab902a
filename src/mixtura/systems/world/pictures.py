"""The figures of a world: what V keeps, what M dreams and expects, what C learns, does and reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from mixtura.drawing import COLOURS, new_figure, save_figure
from mixtura.drawing.films import RATE, write_film
from mixtura.systems.world.comparing import HazardTable, Returns
from mixtura.systems.world.evolution import Generation

MOST = 12  # frames of a sheet
# Take Cover at temperatures: the mean returns in the dream and in the game that the article states.
PUBLISHED = {
    0.10: (2086.0, 193.0),
    0.50: (2060.0, 196.0),
    1.00: (1145.0, 868.0),
    1.15: (918.0, 1092.0),
    1.30: (732.0, 753.0),
}
# The colour of a policy by what its name has in it; others take what is left.
_USUAL = {"agent": "blue", "random": "grey", "sweep": "orange", "still": "yellow", "no-op": "yellow"}
_BANDS = 2.0  # standard errors on either side


def reconstructions(path: Path, frames: np.ndarray, decoded: np.ndarray) -> Path:
    """Draw frames, what V makes of them, and where these differ, darkest where most.

    Below each is the sum of squared differences over pixels in [0, 1], the article's loss of a frame. The
    shades are of the mean difference of the three colours and the same for all.

    Args:
        path: of the picture.
        frames: `(n, height, width, 3)` of uint8, 12 at most.
        decoded: the same from their latent vectors.

    Raises:
        ValueError: if shapes or types are others.
    """
    if not (
        frames.dtype == decoded.dtype == np.uint8
        and frames.shape == decoded.shape
        and frames.ndim == 4
        and frames.shape[-1] == 3
        and 1 <= len(frames) <= MOST
    ):
        raise ValueError(
            f"a sheet takes 1 to {MOST} frames (n, height, width, 3) of uint8 and as many decoded ones; "
            f"received {frames.dtype} {frames.shape} and {decoded.dtype} {decoded.shape}"
        )
    difference = np.abs(frames / 255 - decoded / 255)
    shades = difference.mean(axis=-1)
    rows = ("the game", "as V has it", "difference")
    height, width = frames.shape[1:3]
    wide = max(1.05, 8.4 / len(frames))
    figure, axes = new_figure(len(frames), wide, 3 * (wide * height / width + 0.05) + 0.5, rows=3)
    for place, panel in enumerate(axes):
        row, column = divmod(place, len(frames))
        if row < 2:
            panel.imshow((frames, decoded)[row][column])
        else:
            panel.imshow(shades[column], cmap="Greys", vmin=0, vmax=shades.max() or 1.0)
            panel.set_xlabel(f"{np.square(difference[column]).sum():.0f}", fontsize=9)
        panel.set(xticks=[], yticks=[])
        for spine in panel.spines.values():
            spine.set_visible(False)
        if column == 0:
            panel.set_ylabel(rows[row], fontsize=9, rotation=0, ha="right", va="center")
    figure.supxlabel("sum of squared differences", fontsize=9, color=COLOURS["ink"])
    return save_figure(figure, path)


def beside(
    path: Path,
    real: np.ndarray,
    dreamed: np.ndarray,
    titles: tuple[str, str] = ("the game", "the dream"),
    captions: str | Sequence[str] = "",
    rate: float = RATE,
) -> Path:
    """Write a GIF file of the game and a dream side by side; what ends first stays, faded.

    Args:
        path: of the file.
        real: `(frames, height, width, 3)` of uint8.
        dreamed: the same, of any number of frames.
        titles: above the two.
        captions: below, for all frames or for each of the longer film.
        rate: frames in a second.
    """
    return write_film(path, dict(zip(titles, (real, dreamed), strict=True)), captions, rate)


def play_gif(
    path: Path, frames: np.ndarray, captions: str | Sequence[str] = "", rate: float = RATE, title: str = ""
) -> Path:
    """Write an episode as a GIF file; captions are below, for all frames or for each."""
    return write_film(path, {title: frames}, captions, rate)


def fitness_curves(path: Path, rounds: Mapping[str, Sequence[Generation]], unit: str = "return") -> Path:
    """Draw the fitnesses of every generation, and evaluations of its mean as dots.

    Args:
        path: of the picture.
        rounds: the history of each round of evolution, by its title; side by side and on one scale.
        unit: what fitness is.
    """
    figure, axes = new_figure(len(rounds), 5.2 if len(rounds) == 1 else 4.2, 3.4, sharey=True)
    for panel, (title, history) in zip(axes, rounds.items(), strict=True):
        number, mean, best, worst = (
            np.array([getattr(one, name) for one in history]) for name in ("number", "mean", "best", "worst")
        )
        blue = COLOURS["blue"]
        panel.fill_between(number, worst, best, color=blue, alpha=0.15, linewidth=0, label="worst to best")
        panel.plot(number, mean, color=blue, linewidth=1.5, label="mean of the candidates")
        seen = [(one.number, one.evaluation) for one in history if one.evaluation is not None]
        if seen:
            dots: Any = {"color": COLOURS["orange"], "markersize": 5, "label": "their centre, evaluated"}
            panel.plot(*zip(*seen, strict=True), "o", **dots)
        panel.set(xlabel="generation", title=title)
    axes[0].set_ylabel(unit)
    axes[0].legend(fontsize=8)
    return save_figure(figure, path)


def survival_curves(
    path: Path, returns: Mapping[str, Returns], cap: float | None = None, unit: str = "tics"
) -> Path:
    """Draw the share of episodes that last longer than a time, with bands of two standard errors.

    Episodes that reached the cap were ended by it, so their curves stop there: the estimate of Kaplan & Meier
    (1958), which for one cap is the share itself.

    Args:
        path: of the picture.
        returns: how long episodes lasted, by a policy's name.
        cap: at which they were ended.
        unit: of time.
    """
    figure, (axes,) = new_figure(width=6.4, height=3.8)
    end = max(one.values.max() for one in returns.values()) if cap is None else cap
    for name, colour in _colours(returns).items():
        found = returns[name]
        times = np.unique(found.values[found.values < end] if cap is not None else found.values)
        share = np.array([1.0, *(np.mean(found.values > time) for time in times)])
        at = np.array([0.0, *times])
        if cap is not None:
            at, share = np.append(at, cap), np.append(share, share[-1])
        error = _BANDS * np.sqrt(share * (1 - share) / found.count)
        look: Any = {"step": "post", "color": colour, "alpha": 0.15, "linewidth": 0}
        axes.fill_between(at, np.maximum(share - error, 0), np.minimum(share + error, 1), **look)
        label = f"{name}: {found.mean:.0f} on average"
        axes.step(at, share, where="post", color=colour, linewidth=1.5, label=label)
    if cap is not None:
        axes.axvline(cap, color=COLOURS["grey"], linewidth=0.8, linestyle=":")
        place: Any = {"xytext": (-3, -3), "textcoords": "offset points", "ha": "right", "va": "top"}
        axes.annotate("limit", (cap, 1), fontsize=8, color=COLOURS["grey"], **place)
    axes.set(xlabel=unit, ylabel="episodes still alive", xlim=(0, end), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(fontsize=8)
    return save_figure(figure, path)


def hazard_picture(path: Path, table: HazardTable) -> Path:
    """Draw how often episodes ended against how often that was predicted, and how many steps there were.

    Bars are Wilson's 95 % intervals; a triangle is the upper end of one, in which no episode ended.
    """
    figure, (axes, below) = new_figure(height=4.6, width=4.8, rows=2, sharex=True, height_ratios=(3, 1))
    low, high = table.interval()
    ended = table.observed > 0
    x, y = table.predicted[ended], table.observed[ended]
    bars = np.stack([y - low[ended], high[ended] - y])
    blue: Any = {"color": COLOURS["blue"], "markersize": 5}
    axes.errorbar(x, y, bars, fmt="o", linewidth=1.2, label="observed, 95 %", **blue)
    if not ended.all():
        hollow: Any = {"fillstyle": "none", "label": "none ended: 95 % below"}
        axes.plot(table.predicted[~ended], high[~ended], "v", **hollow, **blue)
    every = np.concatenate([table.predicted, low, high, [1.0]])
    floor = 10 ** np.floor(np.log10(every[every > 0].min()))
    ideal: Any = {"color": COLOURS["grey"], "linewidth": 0.8, "linestyle": ":"}
    axes.plot([floor, 1], [floor, 1], label="as predicted", **ideal)
    axes.set(xscale="log", yscale="log", xlim=(floor, 1), ylim=(floor, 1))
    axes.set(ylabel="observed frequency", title="Does the episode end at this step?")
    axes.legend(fontsize=8, loc="upper left")
    left = np.maximum(table.low, floor)
    width = np.maximum(table.high, floor) - left
    ends = table.observed * table.steps
    for count, colour, label in ((table.steps, "grey", "steps"), (ends, "orange", "ends")):
        look: Any = {"color": COLOURS[colour], "alpha": 0.5, "edgecolor": "white", "linewidth": 0.5}
        below.bar(left, count, width, align="edge", label=label, **look)
    below.set(xlabel="predicted probability of the end", ylabel="in a bin", yscale="log", ylim=(0.5, None))
    below.legend(fontsize=8)
    return save_figure(figure, path)


def actions_picture(
    path: Path, codes: np.ndarray, names: Sequence[str], latents: np.ndarray | None = None
) -> Path:
    """Draw what a controller does over an episode, how often, and what it saw meanwhile.

    Latent dimensions are in units of their deviation over the episode, and sorted by how strongly they go
    with the actions, the strongest on top.

    Args:
        path: of the picture.
        codes: `(steps, size)`.
        names: of the choices, or of each number of a code.
        latents: `(steps, z)`.

    Raises:
        ValueError: if names and codes do not fit together.
    """
    lanes = _lanes(np.asarray(codes, np.float64), names)
    if latents is not None and len(latents) != len(lanes):
        raise ValueError(f"latents must be as many as the {len(lanes)} codes; received {len(latents)}")
    rows = 1 if latents is None else 2
    heights = [0.3 * len(names) + 0.9, 2.6][:rows]
    ratios: Any = {"width_ratios": (5, 1), "height_ratios": heights}
    figure, axes = new_figure(2, 4.2, sum(heights), rows=rows, sharey="row", **ratios)
    (_choices if np.isin(lanes, (0, 1)).all() else _courses)(axes[0], axes[1], lanes)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set(xlim=(0, len(lanes)), ylim=(len(names) - 0.5, -0.5))
    if latents is not None:
        _latents(axes[2], axes[3], np.asarray(latents, np.float64), lanes)
        axes[0].tick_params(labelbottom=False)
    axes[-2].set_xlabel("decisions")
    return save_figure(figure, path)


def _choices(axes: Axes, beside: Axes, lanes: np.ndarray) -> None:
    """Draw when each action was chosen, `(steps, actions)` of 0 and 1, and how often."""
    blue = COLOURS["blue"]
    for lane, chosen in enumerate(lanes.T):
        edges = np.flatnonzero(np.diff(chosen, prepend=0, append=0)).reshape(-1, 2)
        spans = [(start, end - start) for start, end in edges.tolist()]
        axes.broken_barh(spans, (lane - 0.35, 0.7), color=blue, linewidth=0)
    share = lanes.mean(axis=0)
    beside.barh(range(len(share)), share, 0.7, color=blue)
    for lane, value in enumerate(share):
        beside.text(value, lane, f" {100 * value:.0f} %", va="center", fontsize=8)
    beside.set(xlim=(0, 1.5), xticks=[])
    beside.set_title("share", loc="left")
    beside.spines["bottom"].set_visible(False)


def _courses(axes: Axes, beside: Axes, lanes: np.ndarray) -> None:
    """Draw the course of each number, `(steps, numbers)`, and where most of its values lie."""
    largest = max(1.0, np.abs(lanes).max())
    for lane, values in enumerate(lanes.T):
        line: Any = {"color": COLOURS["blue"], "solid_capstyle": "butt"}
        axes.axhline(lane, color=COLOURS["grey"], linewidth=0.5, linestyle=":")
        axes.plot(np.arange(len(values)) + 0.5, lane - 0.45 * values / largest, linewidth=1, **line)
        for width, ends in ((1, (5, 95)), (5, (25, 75))):
            beside.plot(np.percentile(values, ends), (lane, lane), linewidth=width, **line)
        beside.plot(np.median(values), lane, "o", markersize=4, color=COLOURS["orange"])
    beside.axvline(0, color=COLOURS["grey"], linewidth=0.5, linestyle=":")
    beside.set(xlim=(-1.05 * largest, 1.05 * largest), title="50 %, 90 %")


def _latents(axes: Axes, beside: Axes, latents: np.ndarray, lanes: np.ndarray) -> None:
    """Draw latent dimensions over time, and how strongly they go with what was done."""

    def standard(values: np.ndarray) -> np.ndarray:
        std = values.std(axis=0)
        return (values - values.mean(axis=0)) / np.where(std > 0, std, 1.0)

    seen = standard(latents)
    together = np.abs(seen.T @ standard(lanes) / len(lanes)).max(axis=1)
    order = np.argsort(-together, kind="stable")
    extent = (0, len(seen), len(order) - 0.5, -0.5)
    look: Any = {"aspect": "auto", "interpolation": "nearest", "cmap": "RdBu_r", "vmin": -2.5, "vmax": 2.5}
    axes.imshow(seen[:, order].T, extent=extent, **look)
    axes.set(ylabel="latent dimensions", yticks=[])
    beside.barh(range(len(order)), together[order], 0.8, color=COLOURS["grey"])
    beside.set(xlim=(0, 1), xlabel="|correlation|\nwith actions")


def _lanes(codes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return what is drawn for each name, `(steps, names)`: 0 or 1 for choices, else values."""
    count = len(names)
    if codes.ndim == 2 and len(codes) and codes.shape[1] == count:
        return codes
    if codes.ndim == 2 and len(codes) and codes.shape[1] == 1:  # places on a line
        return np.eye(count)[np.rint((codes[:, 0] + 1) / 2 * (count - 1)).astype(int)]
    raise ValueError(f"{count} names need codes (steps, {count}) or (steps, 1); received {codes.shape}")


def temperature_picture(
    path: Path,
    rows: Mapping[float, tuple[Returns, Returns]],
    published: Mapping[float, tuple[float, float]] | None = None,
    unit: str = "return",
) -> Path:
    """Draw the return in the dream and in the game against the temperature that the dream was learnt at.

    Args:
        path: of the picture.
        rows: returns in the dream and in the game, by temperature; bars are two standard errors.
        published: mean returns of another work, such as `PUBLISHED`, drawn hollow.
        unit: of the returns.
    """
    figure, (axes,) = new_figure(width=5.6, height=3.8)
    parts = (("in the dream", "purple", "s", -0.006), ("in the game", "blue", "o", 0.006))
    for part, (place, colour, marker, aside) in enumerate(parts):
        look: Any = {"color": COLOURS[colour], "marker": marker, "markersize": 6}
        if published:
            hollow = [published[one][part] for one in sorted(published)]
            axes.plot(
                sorted(published),
                hollow,
                linewidth=0.8,
                linestyle=":",
                fillstyle="none",
                label=f"{place}, published",
                **look,
            )
        temperatures = sorted(rows)
        found = [rows[one][part] for one in temperatures]
        axes.errorbar(
            np.add(temperatures, aside),
            [one.mean for one in found],
            [_BANDS * one.standard_error for one in found],
            linewidth=1.4,
            label=place,
            **look,
        )
    axes.set(xlabel="temperature of the dream", ylabel=unit)
    if min(one.mean for pair in rows.values() for one in pair) >= 0:
        axes.set(ylim=(0, None))
    axes.legend(fontsize=8)
    return save_figure(figure, path)


def returns_picture(path: Path, returns: Mapping[str, Returns], unit: str = "return") -> Path:
    """Draw a dot for each episode, and the mean with two standard errors, of each policy.

    Args:
        path: of the picture.
        returns: by a policy's name; the first is on top.
        unit: of the returns.
    """
    figure, (axes,) = new_figure(width=6.4, height=0.9 + 0.6 * len(returns))
    for place, (name, colour) in enumerate(_colours(returns).items()):
        found = returns[name]
        # Multiples of the golden ratio spread dots evenly, however many there are.
        aside = 0.4 * (np.arange(found.count) * (np.sqrt(5) - 1) / 2 % 1 - 0.5)
        axes.plot(found.values, place + aside, ".", color=colour, alpha=0.4, markersize=5, markeredgewidth=0)
        error = _BANDS * found.standard_error if found.count > 1 else 0.0
        look: Any = {"fmt": "o", "color": COLOURS["ink"], "markersize": 5, "capsize": 3, "linewidth": 1.5}
        axes.errorbar(found.mean, place, xerr=error, **look)
        said = f"{found.mean:.4g} ± {found.standard_error:.2g}" if found.count > 1 else f"{found.mean:.4g}"
        axes.annotate(said, (1, place), (6, 0), axes.get_yaxis_transform(), "offset points", va="center")
    axes.set_yticks(range(len(returns)), list(returns))
    axes.annotate("mean ± s.e.", (1, -0.5), (6, 0), axes.get_yaxis_transform(), "offset points", fontsize=8)
    axes.set(xlabel=f"{unit}; bars are two standard errors", ylim=(len(returns) - 0.5, -0.5))
    return save_figure(figure, path)


def _colours(names: Mapping[str, Any]) -> dict[str, str]:
    """Return a colour for each policy: its usual one, or one that no other has while there are such."""
    chosen: dict[str, str] = {}
    for name in names:
        usual = next((colour for part, colour in _USUAL.items() if part in name.lower()), None)
        if usual and usual not in chosen.values():
            chosen[name] = usual
    free = cycle([one for one in COLOURS if one not in chosen.values()] or COLOURS)
    return {name: COLOURS[chosen.get(name) or next(free)] for name in names}
