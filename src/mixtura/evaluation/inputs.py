"""What `report` is given, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from mixtura.data.tables import recording_step
from mixtura.evaluation.baselines import Baselines
from mixtura.families import Distribution
from mixtura.families.host import as_array

# Fewer values lie on a coarse grid by chance.
FEWEST_FOR_STEP = 10


class Targets(NamedTuple):
    """What happened, `(rows, outputs)`, and what the outputs are called."""

    y: np.ndarray
    names: list[str]


def read_targets(y: Any, names: str | Sequence[str] | None) -> Targets:
    """Return the targets, or raise a ValueError that names the row and column of what is wrong.

    Args:
        y: `(rows,)` or `(rows, outputs)`; with several outputs some of a row may be missing (NaN).
        names: what the outputs are called; by default as the columns of y, a table with names, are.
    """
    given = getattr(y, "columns", None)
    given = [getattr(y, "name", None)] if given is None else list(given)
    try:
        values = as_array(y)
    except (TypeError, ValueError):
        raise ValueError("y must hold numbers") from None
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"y must have shape (rows,) or (rows, outputs); received {values.shape}")
    rows, outputs = values.shape
    if not rows:
        raise ValueError("report needs at least one row; received none")
    missing = np.isnan(values)
    wrong = np.isinf(values) | missing.all(axis=1, keepdims=True)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        what = "has no value in any output" if outputs > 1 and missing[row].all() else "must be finite"
        place = f"row {row}" if outputs == 1 or missing[row].all() else f"row {row}, column {column}"
        raise ValueError(f"y in {place} {what}; received {values[row, column]}")
    if missing.all(axis=0).any():
        raise ValueError(f"y has no value at all in column {int(missing.all(axis=0).argmax())}")
    if names is None:
        named = len(given) == outputs and all(name is not None for name in given)
        default = ["y"] if outputs == 1 else [f"y[{d}]" for d in range(outputs)]
        return Targets(values, [str(name) for name in given] if named else default)
    listed = [names] if isinstance(names, str) else [str(name) for name in names]
    if len(listed) != outputs:
        raise ValueError(f"names must be {outputs}, one for each output; received {listed!r}")
    return Targets(values, listed)


def row_names(X: Any, rows: int) -> list[str] | None:
    """Return what a table's rows are called, or None where they are only counted.

    Raises:
        ValueError: if X has another number of rows.
    """
    count = X.shape[0] if hasattr(X, "shape") else len(X)
    if count != rows:
        raise ValueError(f"X has {count} rows and y has {rows}; they must have the same number")
    index = getattr(X, "index", None)
    if index is None or callable(index) or len(index) != rows:
        return None
    names = [str(name) for name in index]
    return None if names == [str(row) for row in range(rows)] else names


def predictor_of(model: Any, X: Any) -> tuple[Any, Any]:
    """Return what predicts distributions in a fitted pipeline or search, and X as that takes it."""
    while not hasattr(model, "predict_distribution"):
        if hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif isinstance(model, Pipeline):
            model, X = model[-1], model[:-1].transform(X) if len(model) > 1 else X
        else:
            break
    return model, X


def predictions_of(model: Any, X: Any, rows: int, outputs: int) -> Distribution:
    """Return the model's predictions, `(rows,)`.

    Raises:
        TypeError: if the model does not predict distributions.
        ValueError: for another number of rows or outputs, discrete events, or parameters that are not finite.
    """
    predict = getattr(model, "predict_distribution", None)
    if not callable(predict):
        raise TypeError(
            "report needs a model with a method predict_distribution(X) that returns a mixtura Distribution; "
            f"received {model!r}"
        )
    p = predict(X)
    if not isinstance(p, Distribution):
        raise TypeError(f"predict_distribution must return a mixtura Distribution; received {type(p)}")
    if p.batch_shape != (rows,):
        raise ValueError(f"predictions must be of batch shape ({rows},), one a row; received {p.batch_shape}")
    if p.event_size != outputs:
        raise ValueError(f"the model predicts {p.event_size} outputs and y has {outputs}")
    if not p.family.is_continuous:
        raise ValueError(f"report is for events with a density; the model predicts {p.family!r}")
    if not np.isfinite(p.params).all():
        row = int((~np.isfinite(p.params)).any(axis=1).argmax())
        raise ValueError(f"the prediction for row {row} holds numbers that are not finite")
    return p


def steps_of(step: Any, model: Any, y: np.ndarray, training: np.ndarray | None) -> list[float]:
    """Return each output's recording step: the one given, else the model's, else that of the values.

    Fewer than 10 values have none.
    """
    outputs = y.shape[1]
    step = getattr(model, "recording_step_", None) if step is None else step
    if step is not None:
        steps = as_array(step)
        if steps.shape not in ((), (outputs,)) or not (np.isfinite(steps) & (steps >= 0)).all():
            raise ValueError(f"step must be one number, 0 or more, or {outputs} of them; received {step!r}")
        return np.broadcast_to(steps, outputs).tolist()
    known = y if training is None else np.concatenate([training, y])
    columns = [column[~np.isnan(column)] for column in known.T]
    return [recording_step(column) if len(column) >= FEWEST_FOR_STEP else 0.0 for column in columns]


def baselines_of(
    model: Any, X: Any, rows: int, training: tuple[Any, np.ndarray] | None, steps: list[float]
) -> tuple[dict[str, Distribution], str]:
    """Return the baselines' predictions by name, and a sentence on those that there are not.

    They are fitted to the training rows if these are given; else the model is asked for
    `baseline_distributions(X)`.
    """
    if training is None:
        offered = getattr(model, "baseline_distributions", None)
        if not callable(offered):
            return (
                {},
                "There is nothing to compare with: give training=(X, y), from which baselines are fitted.",
            )
        found = dict(offered(X))
        for name, p in found.items():
            if p.batch_shape != (rows,) or p.event_size != len(steps):
                raise ValueError(
                    f"the baseline {name!r} must predict {len(steps)} outputs for each of {rows} rows; "
                    f"received {p!r}"
                )
        return found, ""
    known, y = training
    if np.isnan(y).any(axis=1).all():
        return {}, "There is nothing to compare with: no training row has a value for every output."
    try:
        tables = as_array(known), as_array(X)
    except (TypeError, ValueError):
        tables = np.empty(0), np.empty(0)
    if all(x.ndim == 2 and np.isfinite(x).all() for x in tables):
        return Baselines.fit(tables[0], y, steps).predict(tables[1]), ""
    reason = "The linear model is left out: it needs inputs that are finite numbers, (rows, columns)."
    return Baselines.fit(None, y, steps).predict(None, rows), reason
