"""An honest report on a model that predicts distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtura.evaluation import comparison, inputs, verdicts, words
from mixtura.evaluation.comparison import MODEL, SCORES, Difference, Scored
from mixtura.evaluation.output import Output, scores_dict
from mixtura.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Report:
    """What `report` found. Print it, show it in a notebook, or save it as one HTML page.

    Attributes:
        title: the first line.
        level: of the intervals.
        rows: how many rows were scored.
        outputs: one `Output` each, with its scores, curves, worst rows, gaps and components.
        joint: with several outputs, the scores of whole events by predictor; else None.
        notes: sentences on what is missing or amiss.
    """

    title: str
    level: float
    rows: int
    outputs: tuple[Output, ...]
    joint: Mapping[str, Scored] | None
    notes: tuple[str, ...]

    @property
    def scores(self) -> dict[str, float]:
        """The model's scores by name: of the only output, or of whole events."""
        return dict(self._scored[MODEL].values)

    @property
    def baselines(self) -> dict[str, dict[str, float]]:
        """The same scores of the baselines, "marginal" and "linear", as far as there are any."""
        return {name: dict(one.values) for name, one in self._scored.items() if name != MODEL}

    @cached_property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """By baseline and score, how much higher the baseline's is than the model's."""
        return comparison.differences(self._scored)

    @property
    def _scored(self) -> Mapping[str, Scored]:
        return self.outputs[0].scored if self.joint is None else self.joint

    @cached_property
    def verdicts(self) -> tuple[str, ...]:
        """What the numbers say, in sentences."""
        if self.joint is None:
            return (*self._compared, *verdicts.of_output(self.outputs[0]))
        each = [f"{one.name}: {sentence}" for one in self.outputs for sentence in verdicts.of_output(one)]
        return (*self._compared, *each)

    @cached_property
    def summary(self) -> tuple[str, ...]:
        """The first of the verdicts: the comparison with baselines, and each output's coverage."""
        coverage = [(one.name, verdicts.of_coverage(one)) for one in self.outputs]
        if self.joint is None:
            return (*self._compared, coverage[0][1])
        return (*self._compared, *(f"{name}: {sentence}" for name, sentence in coverage))

    @property
    def _compared(self) -> list[str]:
        log_score = "nll" if self.joint is not None else self.outputs[0].log_score
        return verdicts.of_comparison(self.differences, log_score, self.rows)

    def table(self) -> str:
        """Return the scores beside the baselines' as text."""
        blocks = []
        if self.joint is not None:
            blocks.append(
                text_table("all outputs together", self.joint, list(self.joint[MODEL].values), self.level)
            )
        for output in self.outputs:
            blocks.append(text_table(output.name, output.scored, output.shown, self.level, output.step))
        return "\n\n".join(blocks)

    def __str__(self) -> str:
        sentences = [f"- {sentence}" for sentence in (*self.verdicts, *self.notes)]
        return "\n".join([f"{self.title}, {words.count(self.rows)}", *sentences, "", self.table()])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return everything as what JSON can hold: NaN and infinities are None."""
        found: dict[str, Any] = {
            "title": self.title,
            "rows": self.rows,
            "level": self.level,
            "verdicts": list(self.verdicts),
            "notes": list(self.notes),
            "outputs": [output.to_dict() for output in self.outputs],
        }
        if self.joint is not None:
            found["joint"] = scores_dict(self.joint, self.differences)
        return _finite(found)

    def figures(self) -> list[dict[str, Figure]]:
        """Return the figures of each output by name."""
        from mixtura.evaluation import figures  # matplotlib takes a moment

        drawn = [figures.of_output(output) for output in self.outputs]
        first = self.outputs[0].components
        for output, found in zip(self.outputs[1:], drawn[1:], strict=True):  # outputs may share the weights
            if first and output.components and np.array_equal(output.components.weights, first.weights):
                del found["components"]
        return drawn

    def save(self, path: str | Path) -> Path:
        """Write one HTML page that needs no other file, no network and no scripts; at once or not at all."""
        from mixtura.evaluation import page

        path = Path(path)
        with replacing(path) as temporary:
            temporary.write_text(page.document(self), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        from mixtura.evaluation import page

        return page.fragment(self)


def report(
    model: Any,
    X: Any,
    y: Any,
    *,
    training: tuple[Any, Any] | None = None,
    level: float = 0.9,
    step: float | Sequence[float] | None = None,
    names: str | Sequence[str] | None = None,
    title: str | None = None,
) -> Report:
    """Evaluate predicted distributions on rows that training never saw.

    The model is scored beside two baselines: one density for all rows (`marginal`) and a linear model with
    normal errors (`Linear`). Everything is in the units of y. Several outputs are scored together, and each
    by its marginal distribution; a row may lack some of them (NaN) and is scored on the others.

    Args:
        model: anything with a method `predict_distribution(X)` that returns a `Distribution` of batch shape
            `(rows,)`, in the units of y; a fitted pipeline that ends in it, or a search for it.
        X: the inputs, as the model takes them.
        y: what happened, `(rows,)` or `(rows, outputs)`.
        training: `(X, y)` that the baselines are fitted to; by default the model's own
            `baseline_distributions(X)`, a mapping from names to predictions, if it has that method.
        level: how much of the probability the intervals hold.
        step: the recording step of y, one for all outputs or one for each, 0 for none; by default the model's
            `recording_step_` if it has one, else found in the values.
        names: what the outputs are called, with their units; by default as the columns of y.
        title: the first line; by default the model's class.

    Raises:
        TypeError: for a model that does not predict distributions.
        ValueError: for rows that do not match, none at all, a y that is not finite (its row is named), a
            level outside (0, 1), or predictions that do not fit y.
        NotImplementedError: for several outputs of a family without marginal distributions.

    References: Gneiting, T., Balabdaoui, F. & Raftery, A. E. (2007), Probabilistic forecasts, calibration and
    sharpness, JRSS B 69; Czado, C., Gneiting, T. & Held, L. (2009), Predictive model assessment for count
    data, Biometrics 65.
    """
    if not (isinstance(level, Real) and 0 < level < 1):
        raise ValueError(f"level must lie between 0 and 1; received {level!r}")
    values, labels = inputs.read_targets(y, names)
    rows, outputs = values.shape
    row_names = inputs.row_names(X, rows)
    known, notes = None, []
    if training is not None:
        known = inputs.read_targets(training[1], None).y
        inputs.row_names(training[0], len(known))
        if known.shape[1] != outputs:
            raise ValueError(f"y has {outputs} outputs and the training targets have {known.shape[1]}")
        if np.array_equal(known, values, equal_nan=True):
            notes.append("These are the training rows: what follows is no evidence on new ones.")
    model, read = inputs.predictor_of(model, X)
    p = inputs.predictions_of(model, read, rows, outputs)
    steps = inputs.steps_of(step, model, values, known)
    fitted = None if training is None or known is None else (training[0], known)
    others, reason = inputs.baselines_of(model, read if fitted is None else X, rows, fitted, steps)
    predictions = {MODEL: p, **others}
    for d in range(outputs):
        if missing := int(np.isnan(values[:, d]).sum()):
            notes.append(f"{words.count(missing)} have no value of {labels[d]} and are not scored on it.")
    if reason:
        notes.append(reason)

    parts = []
    for d in range(outputs):
        present = np.flatnonzero(~np.isnan(values[:, d]))
        own = {name: comparison.marginal_of(one, d)[present] for name, one in predictions.items()}
        called = None if row_names is None else [row_names[row] for row in present]
        parts.append(Output.of(labels[d], steps[d], level, present, called, values[present, d : d + 1], own))
    joint = None
    if outputs > 1:
        joint = {name: comparison.of_all_outputs(one, values) for name, one in predictions.items()}
    return Report(
        title or f"Report on {type(model).__name__}", float(level), rows, tuple(parts), joint, tuple(notes)
    )


def text_table(
    title: str, scored: Mapping[str, Scored], shown: Sequence[str], level: float, step: float = 0.0
) -> str:
    """Return scores as lines of text: the model's, then each baseline's and how it differs."""
    model = scored[MODEL]
    others = [name for name in scored if name != MODEL]
    found = comparison.differences(scored)
    lines = [[title, *(words.PREDICTORS.get(name, name) for name in (MODEL, *others))]]
    for name in shown:
        line = [words.score_label(name, level, step), words.score_text(name, model.values[name])]
        for other in others:
            value = scored[other].values.get(name, math.nan)
            ranked = SCORES[name].ranks and name in found[other]
            told = words.difference_text(found[other][name]) if ranked else ""
            line.append(words.score_text(name, value) + (f" ({told})" if told else ""))
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
