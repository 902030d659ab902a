"""The figures of a report."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mixtura.drawing import COLOURS, new_figure
from mixtura.evaluation.comparison import MODEL
from mixtura.evaluation.output import Curve, Output
from mixtura.evaluation.words import count, level_text
from mixtura.families import Distribution

RIDGES, GAPS, POINTS = 9, 4, 300  # how many rows are drawn


def of_output(output: Output) -> dict[str, Figure]:
    """Return the figures of one output by name, those that there are."""
    found = {"predictions": predictions(output), "calibration": calibration(output), "width": width(output)}
    if output.gaps is not None and len(output.gaps.rows):
        found["gaps"] = gaps(output)
    if output.components is not None:
        found["components"] = components(output)
    return found


def predictions(output: Output) -> Figure:
    """Draw predicted densities of some rows, and intervals of all in the order of their medians."""
    figure, (left, right) = new_figure(columns=2, width=4.9, height=4.2)
    p, median = output.p, output.p.quantile(0.5)[:, 0]
    order = np.argsort(median, kind="stable")
    chosen = _spread(order, RIDGES)
    _ridges(left, p[chosen], output.y[chosen, 0], [output.label(place) for place in chosen])
    left.set_title("predicted densities of some rows")
    left.set_xlabel(output.name, parse_math=False)

    shown = _spread(order, POINTS)
    rank, ordered = np.arange(len(shown)), p[shown]
    # Two ends for every row, so that a single one is seen as well.
    steps = np.repeat(np.arange(len(shown) + 1) - 0.5, 2)[1:-1]
    outer = ordered.interval(output.level)
    for level, interval, shade in ((output.level, outer, 0.22), (0.5, ordered.interval(0.5), 0.4)):
        low, high = (np.repeat(ends[:, 0], 2) for ends in interval)
        right.fill_between(
            steps,
            low,
            high,
            color=COLOURS["blue"],
            alpha=shade,
            linewidth=0,
            label=f"{level_text(level)} interval",
        )
    right.scatter(
        rank,
        output.y[shown, 0],
        color=COLOURS["orange"],
        s=max(7, min(30, 1500 / len(shown))),
        linewidths=0,
        label="what happened",
        zorder=3,
    )
    # One row of enormous width would squeeze all others.
    low, high = outer
    happened = output.y[shown]
    bottom = min(float(np.quantile(low, 0.01)), float(happened.min()))
    top = max(float(np.quantile(high, 0.99)), float(happened.max()))
    frame = 0.04 * (top - bottom)
    right.set(xticks=[], ylim=(bottom - frame, top + 5 * frame))
    right.set(title="intervals, rows in the order of their medians", xlabel=count(len(shown)))
    right.set_ylabel(output.name, parse_math=False)
    right.legend(loc="upper left", frameon=False)
    return figure


def calibration(output: Output) -> Figure:
    """Draw the PIT's histogram, and the curves of reliability and of central intervals."""
    figure, (left, middle, right) = new_figure(columns=3, width=3.3, height=3.3)
    histogram = output.histogram
    bins, edges = len(histogram.at), np.append(histogram.at, 1.0)
    low, high = (np.repeat(ends * bins, 2) for ends in (histogram.band.low, histogram.band.high))
    left.fill_between(np.repeat(edges, 2)[1:-1], low, high, color=COLOURS["grey"], alpha=0.3, linewidth=0)
    left.stairs(histogram.observed * bins, edges, fill=True, color=COLOURS["blue"], alpha=0.55)
    left.axhline(1, color=COLOURS["ink"], linewidth=0.8, linestyle=":")
    left.set(title="histogram of the PIT", xlabel="F(y)", ylabel="rows, relative to even", xlim=(0, 1))
    left.set(ylim=(0, None), box_aspect=1)
    _curve(middle, output.reliability)
    middle.set(title="quantiles", xlabel="predicted probability (%)", ylabel="observed − predicted (points)")
    _curve(right, output.coverage)
    right.set(title="central intervals", xlabel="level (%)", ylabel="observed − predicted (points)")
    return figure


def width(output: Output) -> Figure:
    """Draw how wide the intervals are, beside those of the baselines."""
    figure, (axes,) = new_figure(width=9.8, height=2.6)
    widths = output.scored[MODEL].rows["width"]
    others = {
        label: output.scored[name].values["width"]
        for name, label in (("marginal", "no inputs"), ("linear", "linear"))
        if name in output.scored
    }
    # A few rows of enormous width would squeeze all others; they are counted in the last bar.
    most = max(float(np.quantile(widths, 0.99)), *others.values(), 0.0) * 1.05 or 1.0
    cut = int((widths > most).sum())
    axes.hist(np.minimum(widths, most), bins=60, range=(0, most), color=COLOURS["blue"], alpha=0.6)
    styles = (("no inputs", "orange", "--"), ("linear", "green", "-."))
    for label, colour, line in styles:
        if label in others:
            axes.axvline(others[label], color=COLOURS[colour], linewidth=2, linestyle=line, label=label)
    axes.set_xlabel(
        f"width of the {level_text(output.level)} interval, in units of {output.name}", parse_math=False
    )
    axes.set(ylabel="rows", xlim=(0, most * 1.01))
    axes.set_title(f"how sharp the predictions are{f' (last bar: {cut} wider ones too)' if cut else ''}")
    if others:
        axes.legend(frameon=False, loc="best")
    return figure


def gaps(output: Output) -> Figure:
    """Draw densities of rows whose mean lies in a gap."""
    assert output.gaps is not None
    chosen = _spread(output.gaps.rows, GAPS)
    figure, axes = new_figure(columns=GAPS, width=2.45, height=2.6)
    for one, place in zip(axes, chosen, strict=False):
        p, happened = output.p[place], float(output.y[place, 0])
        grid, curve = _density(p)
        one.fill_between(grid, curve, color=COLOURS["blue"], alpha=0.35, linewidth=0)
        one.plot(grid, curve, color=COLOURS["blue"], linewidth=1)
        mean = float(p.mean()[0])
        one.axvline(mean, color=COLOURS["ink"], linewidth=1.5, linestyle="--", label="mean")
        one.plot(
            [happened] * 2, [0, curve.max()], color=COLOURS["orange"], linewidth=2, label="what happened"
        )
        one.set_title(f"row {output.label(place)}", parse_math=False)
        one.set_xlabel(output.name, parse_math=False)
        one.set(yticks=[], ylim=(0, 1.05 * curve.max()))
    for one in axes[len(chosen) :]:
        one.set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def components(output: Output) -> Figure:
    """Draw the components' average weights, the largest first."""
    assert output.components is not None
    weights = np.sort(output.components.weights)[::-1]
    figure, (axes,) = new_figure(width=min(9.8, 3.0 + 0.25 * len(weights)), height=2.4)
    places = np.arange(1, len(weights) + 1)
    axes.bar(places, weights, color=COLOURS["blue"], alpha=0.6, width=0.7)
    axes.axhline(1 / len(weights), color=COLOURS["ink"], linewidth=0.8, linestyle=":", label="equal use")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.set(title="how much the components are used", ylabel="average weight")
    axes.set(xlabel="components, the heaviest first", xlim=(0.4, len(weights) + 0.6))
    axes.set_ylim(0, 1.3 * float(weights.max()))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="upper right")
    return figure


def _curve(axes: Axes, curve: Curve) -> None:
    """Draw observed less predicted shares, in percentage points: with many rows no eye sees them apart."""
    at = np.concatenate([[0.0], curve.at, [1.0]])
    band, observed = (
        [100 * (np.concatenate([[0.0], values, [1.0]]) - at) for values in part]
        for part in ((curve.band.low, curve.band.high), (curve.observed,))
    )
    axes.fill_between(100 * at, *band, color=COLOURS["grey"], alpha=0.3, linewidth=0)
    axes.axhline(0, color=COLOURS["ink"], linewidth=0.8, linestyle=":")
    axes.plot(100 * at, observed[0], color=COLOURS["blue"], linewidth=1.8)
    reach = 1.15 * max(float(np.abs(values).max()) for values in (*band, *observed))
    axes.set(xlim=(0, 100), ylim=(-reach, reach), xticks=[0, 25, 50, 75, 100], box_aspect=1)


def _ridges(axes: Axes, p: Distribution, y: np.ndarray, labels: list[str]) -> None:
    """Draw the densities of rows one above the other, each as high as the others."""
    for place in range(len(p)):
        grid, curve = _density(p[place])
        ridge = place + 0.85 * curve / curve.max()
        axes.fill_between(grid, place, ridge, color=COLOURS["blue"], alpha=0.35, linewidth=0)
        axes.plot(grid, ridge, color=COLOURS["blue"], linewidth=1)
        axes.plot([y[place]] * 2, [place, place + 0.85], color=COLOURS["orange"], linewidth=2)
    axes.set_yticks(np.arange(len(p)), [_short(label) for label in labels])
    for tick in axes.get_yticklabels():
        tick.set_parse_math(False)
    axes.set(ylabel="row", ylim=(-0.15, len(p) + 0.6))
    axes.plot([], [], color=COLOURS["orange"], linewidth=2, label="what happened")
    axes.legend(frameon=False, loc="upper left")


def _density(p: Distribution) -> tuple[np.ndarray, np.ndarray]:
    """Return points that show a single density whole, narrow peaks included, and its values there."""
    levels = np.concatenate([[0.002], np.linspace(0.01, 0.99, 99), [0.998]])
    quantiles = p.quantile(levels)[:, 0]
    margin = 0.1 * (quantiles[-1] - quantiles[0])
    grid = np.linspace(quantiles[0] - margin, quantiles[-1] + margin, 400)
    grid = np.unique(np.concatenate([grid, quantiles]))
    return grid, np.exp(p.log_prob(grid[:, None]))


def _spread(places: np.ndarray, most: int) -> np.ndarray:
    """Return so many of the places at most: the middles of equal parts of their order."""
    shown = min(most, len(places))
    return places[((np.arange(shown) + 0.5) * len(places) / shown).astype(int)]


def _short(label: str) -> str:
    return label if len(label) <= 14 else f"{label[:13]}…"
