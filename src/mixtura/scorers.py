"""Scorers of predicted distributions for model selection, as `GridSearchCV(..., scoring=scorers.log_score)`.

Each is called as `scorer(estimator, X, y)` with an estimator that has `predict_distribution`, and returns one
number, higher for better predictions, so losses come with their sign turned. `interval_score` and
`discretised_log_score` make scorers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mixtura import scores

Scorer = Callable[[Any, Any, Any], float]


def log_score(estimator: Any, X: Any, y: Any) -> float:
    """Return the mean log-likelihood, in nats; of several outputs, the joint one."""
    return -scores.negative_log_likelihood(estimator.predict_distribution(X), _events(y))


def neg_crps(estimator: Any, X: Any, y: Any) -> float:
    """Return minus the mean CRPS, in the units of y; of several outputs, minus the energy score."""
    p, events = estimator.predict_distribution(X), _events(y)
    return -(scores.crps(p, events) if p.event_size == 1 else scores.energy_score(p, events))


def neg_root_mean_squared_error(estimator: Any, X: Any, y: Any) -> float:
    """Return minus the root of the mean squared distance from the predicted means."""
    return -scores.root_mean_squared_error(estimator.predict_distribution(X), _events(y))


def interval_score(level: float = 0.9) -> Scorer:
    """Return a scorer: minus the mean score of intervals that hold `level`; y has one output."""
    return partial(_neg_interval_score, level=level)


def discretised_log_score(step: float | Sequence[float]) -> Scorer:
    """Return a scorer: the mean log probability of the cell around y, for y recorded in steps."""
    return partial(_discretised_log_score, step=step)


def _neg_interval_score(estimator: Any, X: Any, y: Any, *, level: float) -> float:
    return -scores.interval_score(estimator.predict_distribution(X), _events(y), level)


def _discretised_log_score(estimator: Any, X: Any, y: Any, *, step: float | Sequence[float]) -> float:
    return -scores.discretised_log_score(estimator.predict_distribution(X), _events(y), step)


def _events(y: Any) -> np.ndarray:
    y = np.asarray(y, dtype=np.float64)
    return y[:, None] if y.ndim == 1 else y
