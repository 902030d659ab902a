"""What the numbers of a report say, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mixtura.evaluation.comparison import MODEL, Difference, Scored
from mixtura.evaluation.diagnostics import GAP, usual
from mixtura.evaluation.output import Output
from mixtura.evaluation.words import count, level_text, number, percent

# A log score of cells this far from that of densities shows that the steps matter.
COARSE = 0.02


def of_comparison(
    differences: Mapping[str, Mapping[str, Difference]], log_score: str, rows: int
) -> list[str]:
    """Say how the model's log score compares with those of the baselines."""
    sentences = []
    against = {"marginal": "one distribution for all rows", "linear": "a linear model with normal errors"}
    for name, others in against.items():
        found = differences.get(name, {}).get(log_score)
        if found is None or not math.isfinite(found.value):
            continue
        size, difference, error = abs(found.value), found.value, found.error
        if not found.is_clear:
            which = "better" if difference > 0 else "worse"
            spread = "" if rows == 1 else f" ({size:.3f} ± {error:.3f} nats a row {which})"
            sentences.append(f"On {count(rows)} it cannot be told apart from {others}{spread}.")
            continue
        factor = number(math.exp(min(size, 700.0)), 3)
        gain = f"({size:.3f} ± {error:.3f} nats a row)"
        sentences.append(
            f"On average it gives what happened {factor} times the probability {gain} that {others} gives it."
            if difference > 0
            else f"It is worse than {others}, which on average gives what happened {factor} times the "
            f"probability {gain}."
        )
    return sentences


def of_output(output: Output) -> list[str]:
    """Say how the predictions of one output are calibrated, how sharp they are, and where their means lie."""
    return [
        of_coverage(output),
        *_curves(output),
        *_sharpness(output),
        *_gaps(output),
        *_impossible(output.scored[MODEL]),
        *_steps(output),
    ]


def of_coverage(output: Output) -> str:
    """Say how many values the intervals held, and how many would be usual."""
    held, (low, high) = output.scored[MODEL].values["coverage"], output.usual_coverage
    sentence = (
        f"The model's {level_text(output.level)} intervals held {percent(held)} of {count(len(output.y))}; "
        f"{percent(low)} to {percent(high)} would be usual."
    )
    if low <= held <= high:
        return sentence
    return f"{sentence} The intervals are too {'narrow' if held < low else 'wide'}."


def _curves(output: Output) -> list[str]:
    rows, curve = len(output.y), output.reliability
    above = 1 - float(output.cells.frequencies(np.array([0.5]))[0])
    low, high = usual(rows, 0.5)
    if not low <= above <= high:
        side = "low" if above > high else "high"
        return [
            f"What happened lies above the predicted median in {percent(above)} of rows; {percent(low)} to "
            f"{percent(high)} would be usual. The predictions are too {side}."
        ]
    if curve.is_inside and output.coverage.is_inside:
        told = f"as well as can be told from {count(rows)}"
        return [f"At every level, frequencies agree with the predicted probabilities {told}."]
    quantiles = not curve.is_inside
    curve = curve if quantiles else output.coverage
    most = int(np.abs(curve.observed - curve.at).argmax())
    what = "at or below quantiles" if quantiles else "inside central intervals"
    return [
        f"The share of rows {what} differs from the predicted one by more than chance explains: at most by "
        f"{100 * abs(curve.observed[most] - curve.at[most]):.1f} percentage points, "
        f"{percent(curve.observed[most])} where {percent(curve.at[most])} were predicted."
    ]


def _sharpness(output: Output) -> list[str]:
    typical = float(np.median(output.scored[MODEL].rows["width"]))
    sentence = f"Half of the {level_text(output.level)} intervals are narrower than {number(typical, 3)}"
    if "marginal" not in output.scored:
        return [f"{sentence}."]
    without = output.scored["marginal"].values["width"]
    return [f"{sentence}; without inputs an interval is {number(without, 3)} wide."]


def _gaps(output: Output) -> list[str]:
    if output.gaps is None or not len(output.gaps.rows):
        return []
    found, rows = len(output.gaps.rows), len(output.y)
    return [
        f"In {found} of {count(rows)} ({percent(found / rows)}) the mean lies in a gap: on both sides of it "
        f"are values that the model holds more than {GAP:g} times as likely. Squared error predicts the mean."
    ]


def _impossible(scored: Scored) -> list[str]:
    impossible = int(np.isposinf(scored.rows["nll"]).sum())
    if not impossible:
        return []
    return [
        f"To what happened in {count(impossible)} the model gives a density of zero: the score is infinite."
    ]


def _steps(output: Output) -> list[str]:
    if not output.step:
        return []
    values = output.scored[MODEL].values
    if not abs(values["discretised_log_score"] - values["nll"]) > COARSE:
        return []
    return [
        f"Values are recorded in steps of {output.step:g}, which are coarse beside the predictions: compare "
        "the log score of cells, not the negative log-likelihood."
    ]
