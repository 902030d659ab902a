"""Scores of a model beside those of the baselines, with the errors of their differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from mixtura import scores
from mixtura.evaluation.diagnostics import CONFIDENCE, Cells
from mixtura.families import Affine, Distribution

MODEL = "model"


@dataclass(frozen=True)
class Score:
    """What a score is called and how it is read.

    Attributes:
        label: its name in tables; `{level}` and `{step}` are filled in.
        unit: "nats", "y" for the units of y, or "share".
        ranks: whether lower is better, which tells models apart; coverage and width do not.
    """

    label: str
    unit: str
    ranks: bool = True


SCORES = {
    "nll": Score("negative log-likelihood", "nats"),
    "discretised_log_score": Score("log score of steps of {step}", "nats"),
    "crps": Score("CRPS", "y"),
    "energy_score": Score("energy score", "std"),
    "interval_score": Score("interval score, {level}", "y"),
    "rmse": Score("RMSE of the mean", "y"),
    "coverage": Score("coverage of {level} intervals", "share", ranks=False),
    "width": Score("mean width of {level} intervals", "y", ranks=False),
}


class Difference(NamedTuple):
    """By how much a baseline's score exceeds the model's.

    Attributes:
        value: the difference; positive is worse than the model, for all but coverage and width.
        error: its standard error, of paired rows taken as independent; NaN for a single row.
        is_clear: whether 0 lies outside its 95 % confidence interval (Student's t, one degree of freedom less
            than rows).
    """

    value: float
    error: float
    is_clear: bool


@dataclass
class Scored:
    """The scores of one predictor.

    Attributes:
        values: the averages over rows, by name.
        rows: what each row contributes to them, `(rows,)` each, for the errors of differences.
    """

    values: dict[str, float] = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, name: str, values: np.ndarray) -> None:
        """Store the values of a score that is an average over rows."""
        self.values[name], self.rows[name] = float(values.mean()), values

    def less(self, other: Scored, name: str) -> Difference:
        """Return by how much a score exceeds the other's."""
        count = len(self.rows[name])
        with np.errstate(invalid="ignore"):  # of infinite scores
            difference = float(self.values[name] - other.values[name])
            each = self.rows[name] - other.rows[name]
            error = float(each.std(ddof=1) / np.sqrt(count)) if count > 1 else math.nan
        limit = student.isf((1 - CONFIDENCE) / 2, count - 1) if count > 1 else math.inf
        return Difference(difference, error, abs(difference) > limit * error)


def of_one_output(p: Distribution, y: np.ndarray, step: float, level: float, cells: Cells) -> Scored:
    """Return the scores of one-dimensional predictions `(rows,)` of events `(rows, 1)`.

    Coverage counts a value recorded in steps in part where an interval's end cuts its cell. Families without
    a mean have no RMSE.
    """
    scored = Scored()
    scored.add("nll", scores.negative_log_likelihood(p, y, average=False))
    if step > 0:
        scored.add("discretised_log_score", scores.discretised_log_score(p, y, step, average=False))
    scored.add("crps", scores.crps(p, y, average=False))
    scored.add("interval_score", scores.interval_score(p, y, level, average=False))
    try:
        squared = np.square(p.mean() - y)[:, 0]
    except NotImplementedError:
        pass
    else:
        root = float(np.sqrt(squared.mean()))
        # To first order, the root of a mean changes by this much as a row changes.
        scored.values["rmse"], scored.rows["rmse"] = root, squared / (2 * root if root > 0 else 1.0)
    scored.add("coverage", cells.within(level))
    scored.add("width", scores.interval_width(p, level, average=False))
    return scored


def of_all_outputs(p: Distribution, y: np.ndarray) -> Scored:
    """Return the scores of whole events `(rows, outputs)`, of which some may be missing (NaN).

    A row is scored on what it has, by the marginal distribution of that. The energy score is that of
    outputs in units of their standard deviations among these rows.
    """
    std = np.nanstd(y, axis=0)
    std = np.where(std > 0, std, 1.0)

    def energy(p: Distribution, y: np.ndarray, present: list[int]) -> np.ndarray:
        unit = 1 / std[present]
        return scores.energy_score(_in_units(p, unit), y * unit, average=False)

    scored = Scored()
    scored.add("nll", _by_pattern(p, y, lambda p, y, _: scores.negative_log_likelihood(p, y, average=False)))
    scored.add("energy_score", _by_pattern(p, y, energy))
    return scored


def _in_units(p: Distribution, unit: np.ndarray) -> Distribution:
    return Affine(p.family, 0.0, unit.tolist())(p.params)


def _by_pattern(
    p: Distribution, y: np.ndarray, f: Callable[[Distribution, np.ndarray, list[int]], np.ndarray]
) -> np.ndarray:
    """Apply f to the rows that have the same outputs, and to the marginal distributions of these."""
    values = np.empty(len(y))
    patterns, which = np.unique(~np.isnan(y), axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        rows, present = np.flatnonzero(which.ravel() == i), np.flatnonzero(pattern).tolist()
        some = p[rows] if pattern.all() else p[rows].marginal(present)
        values[rows] = f(some, y[rows][:, present], present)
    return values


def differences(scored: Mapping[str, Scored]) -> dict[str, dict[str, Difference]]:
    """Return by how much each baseline's scores exceed the model's, with standard errors."""
    model = scored[MODEL]
    return {
        name: {score: other.less(model, score) for score in model.values if score in other.values}
        for name, other in scored.items()
        if name != MODEL
    }


def marginal_of(p: Distribution, output: int) -> Distribution:
    """Return the distribution of one output, one-dimensional."""
    return p if p.event_size == 1 else p.marginal(output)
