"""A report as HTML: one fragment with everything in it, and a page around it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure

from mixtura.evaluation import comparison, figures, verdicts, words
from mixtura.evaluation.comparison import MODEL, SCORES, Scored
from mixtura.evaluation.diagnostics import GAP, plausible
from mixtura.evaluation.output import Output

if TYPE_CHECKING:
    from mixtura.evaluation.reporting import Report

PIXELS = 94  # that an inch of a figure takes at most
# Everything hangs on the class of the outermost element, so that a notebook's own look is left alone.
STYLE = """
.mixtura-report { max-width: 920px; margin: 0 auto; padding: 0 16px 32px; color: #222; background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
.mixtura-report h1 { font-size: 26px; line-height: 1.25; margin: 28px 0 4px; }
.mixtura-report h2 { font-size: 20px; margin: 36px 0 8px; padding-top: 12px; border-top: 1px solid #ddd; }
.mixtura-report h3 { font-size: 16px; margin: 26px 0 6px; }
.mixtura-report p, .mixtura-report li { max-width: 76ch; }
.mixtura-report .quiet { color: #666; font-size: 13.5px; margin: 4px 0 10px; }
.mixtura-report ul.verdicts { padding: 12px 16px 12px 34px; background: #f3f7fa; border-radius: 6px; }
.mixtura-report ul.verdicts li { margin: 3px 0; }
.mixtura-report table { border-collapse: collapse; margin: 8px 0; font-variant-numeric: tabular-nums; }
.mixtura-report th, .mixtura-report td { padding: 5px 14px 5px 0; text-align: right; vertical-align: top;
  border: 0; border-bottom: 1px solid #e6e6e6; background: none; }
.mixtura-report th:first-child, .mixtura-report td:first-child { text-align: left; }
.mixtura-report thead th { border-bottom: 2px solid #999; font-weight: 600; }
.mixtura-report tbody th { font-weight: 400; }
.mixtura-report td.model { font-weight: 600; }
.mixtura-report td small { display: block; color: #666; font-size: 12.5px; font-weight: 400; }
.mixtura-report .wide { overflow-x: auto; }
.mixtura-report img { display: block; width: 100%; height: auto; margin: 4px 0 0; }
.mixtura-report figure { margin: 18px 0 22px; }
.mixtura-report figcaption { color: #555; font-size: 13.5px; max-width: 100ch; }
"""


def document(report: Report) -> str:
    """Return a whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.title)}</title>\n</head>\n<body>\n{fragment(report)}\n</body>\n</html>\n"
    )


def fragment(report: Report) -> str:
    """Return the report as one element, its style included."""
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    parts = [
        f"<style>{STYLE}</style>",
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="quiet">{words.count(report.rows)}; intervals hold {words.level_text(report.level)} of '
        "the predicted probability.</p>",
        _sentences(report.verdicts if report.joint is None else report.summary),
        notes,
    ]
    if report.joint is not None:
        parts.append(
            "<h2>All outputs together</h2>"
            + _scores(report.joint, list(report.joint[MODEL].values), report.level)
        )
        parts.append(
            '<p class="quiet">The energy score is the CRPS of several dimensions; here each output counts in '
            "units of its standard deviation.</p>"
        )
    for output, drawn in zip(report.outputs, report.figures(), strict=True):
        parts.append(_output(output, drawn, alone=report.joint is None))
    body = "\n".join(parts)
    return f'<div class="mixtura-report">\n{body}\n</div>'


def _sentences(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<ul class="verdicts">{items}</ul>'


def _output(output: Output, drawn: Mapping[str, Figure], alone: bool) -> str:
    unit = (
        f"Lower is better, except for coverage and width. Scores without a unit are in that of {output.name}."
    )
    low, high = plausible(len(output.y), output.scored[MODEL].values["coverage"])
    errors = (
        "After ± stands the standard error of the difference, rows taken as independent; even: chance could "
        "explain it (95 % confidence). The model's "
        f"coverage is known to lie between {words.percent(low)} and {words.percent(high)} (95 % confidence)."
    )
    explained = "; ".join(
        f"<em>{escape(words.PREDICTORS[name])}</em>: {escape(words.EXPLAINED[name])}"
        for name in output.scored
        if name in words.EXPLAINED
    )
    parts = [
        f"<h2>{escape('Scores' if alone else output.name)}</h2>",
        "" if alone else _sentences(verdicts.of_output(output)),
        _scores(output.scored, output.shown, output.level, output.step),
        f'<p class="quiet">{escape(unit)} {escape(errors)}{f" {explained}." if explained else ""}</p>',
        _figure(drawn["predictions"], _about_predictions(output), "predicted densities and intervals"),
        _figure(drawn["calibration"], CALIBRATION, "PIT histogram, reliability and coverage"),
        _figure(drawn["width"], WIDTH, "histogram of interval widths"),
    ]
    if "gaps" in drawn:
        parts.append(_figure(drawn["gaps"], _about_gaps(output), "densities with the mean in a gap"))
    if "components" in drawn:
        parts.append(_figure(drawn["components"], _about_components(output), "average component weights"))
    return "\n".join([*parts, _worst(output)])


CALIBRATION = (
    "Where what happened lies in the predicted distributions; F(y), the PIT, is the predicted probability of "
    "a value at or below it. Shaded grey: where a calibrated model's bars "
    "or curve lie as a whole in 95 of 100 data sets of this size. Left: bars high at both ends mean "
    "predictions that are too narrow, high in the middle too wide, high on the left too high, high on the "
    "right too low. Middle: how often what happened is at or below the predicted quantile, less how often it "
    "should be, in percentage points. Right: the same of central intervals; below zero they are too narrow."
)
WIDTH = "Of two calibrated models the one with the narrower intervals says more."


def _about_predictions(output: Output) -> str:
    drawn = min(figures.POINTS, len(output.y))
    every = (
        "all rows" if drawn == len(output.y) else f"{drawn} of {words.count(len(output.y))}, evenly chosen"
    )
    return (
        "Left: the predicted densities of some rows, from low to high medians, each drawn to the same "
        f"height. Right: {every}."
    )


def _about_gaps(output: Output) -> str:
    assert output.gaps is not None
    return (
        f"In {words.count(len(output.gaps.rows))} the mean lies in a gap of the density: on both sides of it "
        f"are component means that the model holds more than {GAP:g} times as likely. A model trained with "
        "squared error answers with the mean."
    )


def _about_components(output: Output) -> str:
    assert output.components is not None
    found = output.components
    return (
        f"Over all rows {words.number(found.effective, 3)} of {len(found.weights)} components are in use, in "
        f"a single row {words.number(found.effective_per_row, 3)} on average (the exponential of the "
        "weights' entropy)."
    )


def _scores(scored: Mapping[str, Scored], shown: list[str], level: float, step: float = 0.0) -> str:
    others = [name for name in scored if name != MODEL]
    found = comparison.differences(scored)
    rows = []
    for name in shown:
        value = scored[MODEL].values[name]
        cells = [f'<td class="model">{words.score_text(name, value)}</td>']
        for other in others:
            text = words.score_text(name, scored[other].values.get(name, math.nan))
            if SCORES[name].ranks and name in found[other]:
                text += f"<small>{words.difference_text(found[other][name])}</small>"
            cells.append(f"<td>{text}</td>")
        rows.append([f"<th>{escape(words.score_label(name, level, step))}</th>", *cells])
    return _table(["", *(words.PREDICTORS.get(name, name) for name in (MODEL, *others))], rows)


def _worst(output: Output) -> str:
    header = [
        "row",
        "what happened",
        "median",
        f"{words.level_text(output.level)} interval",
        "log score (nats)",
    ]
    rows = [
        [
            f"<td>{escape(one['name'])}</td>",
            f"<td>{words.recorded(one['y'], output.step)}</td>",
            f"<td>{words.number(one['median'])}</td>",
            f"<td>{words.number(one['low'])} to {words.number(one['high'])}</td>",
            f"<td>{words.score_text('nll', one['log_score'])}</td>",
        ]
        for one in output.worst
    ]
    return (
        '<h3>The rows predicted worst</h3>\n<p class="quiet">The log score is minus the logarithm of the '
        f"{'probability of the cell, per unit' if output.step else 'density'}; high is bad.</p>\n"
        + _table(header, rows)
    )


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _figure(figure: Figure, caption: str, what: str) -> str:
    """Embed a figure as an image of its own, whose inner names cannot clash with those of others."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "mixtura"}):  # the same report is the same file
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    most = round(PIXELS * figure.get_figwidth())
    return (
        f'<figure><img alt="{escape(what)}" style="max-width: {most}px" '
        f'src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
