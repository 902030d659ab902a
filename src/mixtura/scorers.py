"""Scorers of predicted distributions for model selection, as `GridSearchCV(..., scoring=scorers.log_score)`.

Each is called as `scorer(estimator, X, y)` with an estimator that has `predict_distribution`, a pipeline that
ends in one, or a search for one, and returns one number, higher for better predictions, so losses come with
their sign turned. `interval_score` and `discretised_log_score` make scorers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mixtura import scores
from mixtura.evaluation.inputs import predictor_of
from mixtura.families import Distribution

Scorer = Callable[[Any, Any, Any], float]


def log_score(estimator: Any, X: Any, y: Any) -> float:
    """Return the mean log-likelihood, in nats; of several outputs, the joint one of those not NaN."""
    p, events = _predicted(estimator, X), _events(y)
    missing = np.isnan(events)
    if not missing.any():
        return -scores.negative_log_likelihood(p, events)
    bounds = np.where(missing, -np.inf, events), np.where(missing, np.inf, events)
    return float(p.log_prob(lower=bounds[0], upper=bounds[1]).mean())


def neg_crps(estimator: Any, X: Any, y: Any) -> float:
    """Return minus the mean CRPS, in the units of y; of several outputs, minus the energy score."""
    p, events = _predicted(estimator, X), _events(y)
    return -(scores.crps(p, events) if p.event_size == 1 else scores.energy_score(p, events))


def neg_root_mean_squared_error(estimator: Any, X: Any, y: Any) -> float:
    """Return minus the root of the mean squared distance from the predicted means."""
    return -scores.root_mean_squared_error(_predicted(estimator, X), _events(y))


def interval_score(level: float = 0.9) -> Scorer:
    """Return a scorer: minus the mean score of intervals that hold `level`; y has one output."""
    return partial(_neg_interval_score, level=level)


def discretised_log_score(step: float | Sequence[float]) -> Scorer:
    """Return a scorer: the mean log probability of the cell around y, per unit, for y recorded in steps."""
    return partial(_discretised_log_score, step=step)


def _neg_interval_score(estimator: Any, X: Any, y: Any, *, level: float) -> float:
    return -scores.interval_score(_predicted(estimator, X), _events(y), level)


def _discretised_log_score(estimator: Any, X: Any, y: Any, *, step: float | Sequence[float]) -> float:
    return -scores.discretised_log_score(_predicted(estimator, X), _events(y), step)


def _predicted(estimator: Any, X: Any) -> Distribution:
    predictor, X = predictor_of(estimator, X)
    if not hasattr(predictor, "predict_distribution"):
        raise TypeError(f"this score is for estimators with predict_distribution; received {predictor!r}")
    return predictor.predict_distribution(X)


def _events(y: Any) -> np.ndarray:
    y = np.asarray(y, dtype=np.float64)
    return y[:, None] if y.ndim == 1 else y
