"""The categorical distribution: one of several."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from scipy.special import entr

from mixtura.families import host
from mixtura.families.base import Family
from mixtura.families.checks import positive_int
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events, shares
from mixtura.families.special import log_zero, logsumexp
from mixtura.sampling import Samplers, for_one

IMPOSSIBLE = -1e30


@keras.saving.register_keras_serializable(package="mixtura")
class Categorical(Family):
    r"""One of `num_classes` classes; an event is one-hot, the parameters are logits a.

    $$\log P(y) = \sum_i y_i \log \mathrm{softmax}(a)_i$$

    Minus this is the categorical cross-entropy. The mean of the one-hot events is the probabilities. A y
    that is not one-hot but sums to 1 is taken as a soft label.

    Args:
        num_classes: how many classes; also the event's size.

    Raises:
        ValueError: for a non-positive `num_classes`.

    Example:
        >>> import mixtura as mx
        >>> p = mx.Categorical(3)([0.0, 0.0, 0.0])
        >>> p.mean().round(3), float(p.log_prob([0, 1, 0]).round(6))  # -log 3
        (array([0.333, 0.333, 0.333]), -1.098612)
    """

    is_continuous = False

    def __init__(self, num_classes: int) -> None:
        self._configure(num_classes=positive_int("num_classes", num_classes))

    @property
    def event_size(self) -> int:  # type: ignore[override]
        """The number of classes: events are one-hot."""
        return self.num_classes

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return self.num_classes

    @property
    def _one_dimension(self) -> str:
        return "ask mean(), the probabilities"

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        value = xp.sum(y * self._log_probabilities(xp, params), axis=-1)
        return xp.where(value > IMPOSSIBLE, value, log_zero(xp))

    def _log_probabilities(self, xp: Any, params: Any) -> Any:
        # Not -inf where a logit is: times a y of 0 that would be NaN.
        value = xp.log_softmax(params, axis=-1)
        return xp.where(value > IMPOSSIBLE, value, IMPOSSIBLE)

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        one_hot = xp.eye(self.num_classes, dtype=params.dtype)
        lower_, upper_ = lower[..., None, :], upper[..., None, :]
        inside = xp.where(lower_ == upper_, one_hot == lower_, (lower_ < one_hot) & (one_hot <= upper_))
        log_masses = xp.where(xp.all(inside, axis=-1), self._log_probabilities(xp, params), log_zero(xp))
        return logsumexp(xp, log_masses)

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        chosen = source.choose(draws, params, for_one(sampler).discrete)
        return xp.one_hot(chosen, self.num_classes, dtype=params.dtype)

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        counts = [y.sum(axis=0) + 0.5 for y in shares(self, events)]
        return np.log(events.pooled(*(count / count.sum() for count in counts)))

    def _mean(self, xp: Any, params: Any) -> Any:
        return xp.exp(xp.log_softmax(params, axis=-1))

    def _variance(self, xp: Any, params: Any) -> Any:
        mean = self._mean(xp, params)
        return mean * (1 - mean)

    def _covariance(self, xp: Any, params: Any) -> Any:
        mean = self._mean(xp, params)
        return mean[..., None] * (xp.eye(self.num_classes, dtype=params.dtype) - mean[..., None, :])

    def _entropy(self, xp: Any, params: Any) -> Any:
        return -xp.sum(self._mean(xp, params) * self._log_probabilities(xp, params), axis=-1)

    def _mixed(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        """Return the probabilities `(rows, num_classes)` of mixtures, which are categorical too."""
        weights = np.exp(host.log_softmax(log_weights, axis=-1))[..., None]
        return np.sum(weights * self._mean(host, components), axis=1)

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        return np.eye(self.num_classes)[np.argmax(self._mixed(log_weights, components), axis=-1)]

    def _mixture_entropy(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        return entr(self._mixed(log_weights, components)).sum(axis=-1)
