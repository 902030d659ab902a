"""What a regressor says about its predicted distributions: points, quantiles, intervals, samples, scores."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from mixtura.estimators.conformal import conformal_tail, tails
from mixtura.estimators.targets import Targets, read_targets
from mixtura.families import Distribution


class DistributionRegressor(RegressorMixin):
    """Predictions of a regressor that has `predict_distribution`.

    "Of y's shape" is `(rows,)` for a y of one dimension, else `(rows, outputs)`. Everything is in y's units.
    """

    _targets: Targets
    n_outputs_: int
    missing_targets: str

    def predict_distribution(self, X: Any) -> Distribution:
        """Return one distribution for each row."""
        raise NotImplementedError

    def _read(self, X: Any, reset: bool) -> Any:
        raise NotImplementedError

    def predict(self, X: Any) -> np.ndarray:
        """Return the means, of y's shape."""
        return self._shaped(self.predict_distribution(X).mean())

    def predict_mode(self, X: Any) -> np.ndarray:
        """Return the events of highest (joint) density, of y's shape."""
        return self._shaped(self.predict_distribution(X).mode())

    def predict_quantile(self, X: Any, q: Any = 0.5) -> np.ndarray:
        """Return quantiles of each output's own distribution.

        Args:
            X: rows.
            q: a probability; or several, for a new first axis, as in
                `low, high = model.predict_quantile(X, [0.1, 0.9])`.

        Raises:
            ValueError: for a probability outside [0, 1].
        """
        q = np.asarray(q, np.float64)
        levels = q if q.ndim == 0 else q[:, None]
        marginals = self._marginals(X)
        return self._shaped(np.concatenate([p.quantile(levels) for p in marginals], axis=-1))

    def predict_interval(
        self, X: Any, level: float = 0.9, *, conformal: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Return the ends of the central interval of each output that holds `level` of the probability.

        Args:
            X: rows.
            level: the probability, in (0, 1).
            conformal: use the tails that `calibrate` learned: then an interval holds the outcome of a new row
                with at least that probability, however wrong the model is (see there).

        Raises:
            ValueError: for another level.
            NotFittedError: for `conformal` without `calibrate`.
        """
        if not (isinstance(level, Real) and 0 < level < 1):
            raise ValueError(f"level must lie between 0 and 1; received {level!r}")
        marginals = self._marginals(X)
        tail = np.full(len(marginals), (1 - level) / 2)
        if conformal:
            without = "conformal intervals need `calibrate`, on rows that %(name)s was not fitted to"
            check_is_fitted(self, "conformal_tails_", msg=without)
            tail = conformal_tail(self.conformal_tails_, level)
        ends = [(p.quantile(t), p.isf(t)) for p, t in zip(marginals, tail, strict=True)]
        low, high = (np.concatenate(side, axis=-1) for side in zip(*ends, strict=True))
        return self._shaped(low), self._shaped(high)

    def sample(self, X: Any, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draw from each row's distribution: `(n_samples, rows)`, or `(n_samples, rows, outputs)`.

        Args:
            X: rows.
            n_samples: draws of each, 0 or more.
            random_state: a number, for the same draws every time; a `RandomState`, which goes on; or None.

        Raises:
            ValueError: for a negative number of draws.
        """
        if isinstance(random_state, np.random.RandomState):
            random_state = int(random_state.randint(2**31 - 1))
        return self._shaped(self.predict_distribution(X).sample(n_samples, seed=random_state))

    def calibrate(self, X: Any, y: Any) -> Self:
        r"""Learn from rows that were not trained on how wide intervals must be to hold what they promise.

        With n such rows, `predict_interval(conformal=True)` uses the tail

        $$t = \lfloor (n + 1)(1 - \text{level}) \rfloor\text{-th smallest of }
          \min\bigl(F(y_i \mid x_i),\, 1 - F(y_i \mid x_i)\bigr)$$

        in place of (1 - level) / 2, 0 if that rank is 0. If the rows and the new one are exchangeable, the
        interval holds the new outcome with a probability of at least `level` (distributional conformal
        prediction: Chernozhukov, Wüthrich & Zhu 2021, PNAS 118(48)). The promise is an average over rows,
        for each output by itself.

        Raises:
            ValueError: for bad data, as `fit`.
        """
        check_is_fitted(self)
        X = self._read(X, reset=False)
        y, _, _ = read_targets(y, X.shape[0], missing=False)
        self._check_outputs(y)
        marginals = self._marginals(X)
        self.conformal_tails_ = np.column_stack([tails(p, y[:, d]) for d, p in enumerate(marginals)])
        return self

    # ------------------------------------------------------------------ scores

    def log_score(self, X: Any, y: Any, sample_weight: Any = None, *, y_upper: Any = None) -> float:
        """Return the mean joint log-likelihood of rows, in nats: higher is better.

        Args:
            X: rows.
            y: their outcomes; NaN stands for an output that is not known, if `missing_targets` allows it.
            sample_weight: how much each row counts.
            y_upper: as in `fit`.

        Raises:
            ValueError: for bad data, as `fit`.
        """
        check_is_fitted(self)
        X = self._read(X, reset=False)
        lower, upper, _ = read_targets(y, X.shape[0], self.missing_targets == "marginalize", y_upper)
        self._check_outputs(lower)
        p = self.predict_distribution(X)
        is_known = bool((lower == upper).all())
        values = p.log_prob(lower) if is_known else p.log_prob(lower=lower, upper=upper)
        weight = row_weights(sample_weight, X.shape[0])
        return float(np.average(values, weights=weight))

    # ------------------------------------------------------------------ helpers

    def _marginals(self, X: Any) -> list[Distribution]:
        p = self.predict_distribution(X)
        return [p] if p.event_size == 1 else [p.marginal(d) for d in range(p.event_size)]

    def _check_outputs(self, y: np.ndarray) -> None:
        if y.shape[1] != self.n_outputs_:
            raise ValueError(f"y must have {self.n_outputs_} output(s), as in fit; received {y.shape[1]}")

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        return self._targets.shaped(values)


def row_weights(sample_weight: Any, rows: int) -> np.ndarray:
    """Return one weight for each row, none negative, not all zero."""
    weight = _check_sample_weight(sample_weight, np.empty(rows), dtype=np.float64, ensure_non_negative=True)
    if not weight.any():  # newer versions of scikit-learn refuse them too
        raise ValueError("sample_weight must be positive for some row; all weights are zero")
    return weight
