"""Everything that a report says of one output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mixtura.evaluation import comparison
from mixtura.evaluation.comparison import MODEL, Difference, Scored
from mixtura.evaluation.diagnostics import (
    Band,
    Cells,
    Components,
    Gaps,
    is_mixture,
    number_of_bins,
    plausible,
    usual,
)
from mixtura.families import Distribution

WORST = 10
# Nats; the last digit that tables show.
SEEN = 0.0005
# Of the curves of reliability and coverage.
PROBABILITIES = np.linspace(0.02, 0.98, 49)


class Curve(NamedTuple):
    """Observed frequencies and the band of a calibrated model's.

    Attributes:
        at: the probabilities they belong to; of a histogram the lower ends of equal bins.
        observed: the frequencies.
        band: where they would lie.
    """

    at: np.ndarray
    observed: np.ndarray
    band: Band

    @property
    def is_inside(self) -> bool:
        """Whether every frequency lies in the band."""
        return not self.band.outside(self.observed).any()

    def to_dict(self) -> dict[str, list[float]]:
        """Return the curve as lists."""
        parts = {"at": self.at, "observed": self.observed, "low": self.band.low, "high": self.band.high}
        return {name: values.tolist() for name, values in parts.items()}


@dataclass(frozen=True)
class Output:
    """Predictions of one output and what happened.

    Attributes:
        name: what it is called.
        step: its recording step, 0 for none.
        level: of its intervals.
        rows: the numbers of the rows that have a value, `(n,)`.
        labels: what these are called, where their names are not their numbers.
        y: the values, `(n, 1)`.
        predictions: one-dimensional, `(n,)`: the model's under "model", and the baselines'.
        scored: their scores, by the same names.
        cells: where the values lie in the model's predictions.
    """

    name: str
    step: float
    level: float
    rows: np.ndarray
    labels: list[str] | None
    y: np.ndarray
    predictions: Mapping[str, Distribution]
    scored: Mapping[str, Scored]
    cells: Cells

    @classmethod
    def of(
        cls,
        name: str,
        step: float,
        level: float,
        rows: np.ndarray,
        labels: list[str] | None,
        y: np.ndarray,
        predictions: Mapping[str, Distribution],
    ) -> Output:
        """Score the predictions."""
        cells = {other: Cells.of(p, y, step) for other, p in predictions.items()}
        scored = {
            other: comparison.of_one_output(p, y, step, level, cells[other])
            for other, p in predictions.items()
        }
        return cls(name, step, level, rows, labels, y, predictions, scored, cells[MODEL])

    @property
    def p(self) -> Distribution:
        """The model's predictions, `(n,)`."""
        return self.predictions[MODEL]

    @property
    def shown(self) -> list[str]:
        """The names of the scores that tables show: not twice the same, where the steps are fine."""
        names = list(self.scored[MODEL].values)
        apart = [
            abs(one.values.get("discretised_log_score", np.inf) - one.values["nll"])
            for one in self.scored.values()
        ]
        return [name for name in names if name != "discretised_log_score" or not max(apart) < SEEN]

    @property
    def log_score(self) -> str:
        """The name of the log score to compare: of cells, where the values are recorded in steps."""
        return "discretised_log_score" if self.step > 0 else "nll"

    @cached_property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """By how much each baseline's scores exceed the model's, with standard errors."""
        return comparison.differences(self.scored)

    @cached_property
    def histogram(self) -> Curve:
        """The share of rows in equal bins of the PIT."""
        edges = np.linspace(0, 1, number_of_bins(len(self.y)) + 1)
        inner = np.concatenate([[0.0], self.cells.frequencies(edges[1:-1]), [1.0]])
        return Curve(edges[:-1], np.diff(inner), Band.bins(len(self.y), len(edges) - 1))

    @cached_property
    def reliability(self) -> Curve:
        """How often values lie at or below the q-quantile, for q from 0.02 to 0.98."""
        observed = self.cells.frequencies(PROBABILITIES)
        return Curve(PROBABILITIES, observed, Band.cumulative(len(self.y), PROBABILITIES))

    @cached_property
    def coverage(self) -> Curve:
        """The share of values inside central intervals, of levels from 0.02 to 0.98."""
        observed = self.cells.coverage(PROBABILITIES)
        return Curve(PROBABILITIES, observed, Band.cumulative(len(self.y), PROBABILITIES))

    @cached_property
    def usual_coverage(self) -> tuple[float, float]:
        """Between which shares the coverage at `level` of a calibrated model lies 95 times out of 100."""
        return usual(len(self.y), self.level)

    @cached_property
    def components(self) -> Components | None:
        """How the mixture's components are used; None for other predictions."""
        return Components.of(self.p) if is_mixture(self.p) else None

    @cached_property
    def gaps(self) -> Gaps | None:
        """Which means lie in gaps, by place among `rows`; None for predictions that are no mixtures."""
        return Gaps.of(self.p) if is_mixture(self.p) else None

    @cached_property
    def worst(self) -> list[dict[str, Any]]:
        """The ten rows of worst log score, the worst first."""
        values = self.scored[MODEL].rows[self.log_score]
        places = np.argsort(-values, kind="stable")[:WORST]
        some = self.p[places]
        median, (low, high) = some.quantile(0.5), some.interval(self.level)
        return [
            {
                "row": int(self.rows[place]),
                "name": self.label(place),
                "y": float(self.y[place, 0]),
                "median": float(median[i, 0]),
                "low": float(low[i, 0]),
                "high": float(high[i, 0]),
                "log_score": float(values[place]),
            }
            for i, place in enumerate(places)
        ]

    def label(self, place: int) -> str:
        """Return what a row is called, by its place among `rows`."""
        return str(self.rows[place]) if self.labels is None else self.labels[place]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as what JSON can hold, but for NaN and infinities."""
        rows = len(self.y)
        coverage = self.scored[MODEL].values["coverage"]
        found: dict[str, Any] = {
            "name": self.name,
            "rows": rows,
            "recording_step": self.step,
            **scores_dict(self.scored, self.differences),
            "calibration": {
                "coverage": coverage,
                "usual": list(self.usual_coverage),
                "confidence_interval": list(plausible(rows, coverage)),
                "pit_histogram": self.histogram.to_dict(),
                "reliability": self.reliability.to_dict(),
                "central_intervals": self.coverage.to_dict(),
            },
            "worst_rows": self.worst,
        }
        if self.components is not None and self.gaps is not None:
            found["components"] = {
                "average_weights": self.components.weights.tolist(),
                "effective": self.components.effective,
                "effective_per_row": self.components.effective_per_row,
            }
            found["means_in_gaps"] = {
                "count": len(self.gaps.rows),
                "share": len(self.gaps.rows) / rows,
                "rows": self.rows[self.gaps.rows].tolist(),
            }
        return found


def scores_dict(
    scored: Mapping[str, Scored], differences: Mapping[str, Mapping[str, Difference]]
) -> dict[str, Any]:
    """Return scores by predictor, and the differences of the baselines from the model."""
    return {
        "scores": {name: dict(one.values) for name, one in scored.items()},
        "differences": {
            name: {
                score: {"difference": found.value, "standard_error": found.error}
                for score, found in each.items()
            }
            for name, each in differences.items()
        },
    }
