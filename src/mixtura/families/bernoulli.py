"""The Bernoulli distribution: yes or no."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from scipy.special import entr, logit

from mixtura.families import host
from mixtura.families.base import Family
from mixtura.families.checks import positive_int
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events, shares
from mixtura.families.special import log_zero, softplus
from mixtura.sampling import Samplers, for_one


@keras.saving.register_keras_serializable(package="mixtura")
class Bernoulli(Family):
    r"""Independent events that happen (1) or do not (0); the parameters are logits a.

    $$\log P(y) = -\sum_d \bigl( y_d \log(1 + e^{-a_d}) + (1 - y_d) \log(1 + e^{a_d}) \bigr)$$

    so that $P(1) = 1 / (1 + e^{-a})$; minus this is the binary cross-entropy. Graves (2013) writes the
    end-of-stroke probability as $1 / (1 + e^{\hat e})$: his $\hat e$ is $-a$. A y between 0 and 1 is taken as
    a soft label.

    Args:
        event_size: how many.

    Raises:
        ValueError: for a non-positive `event_size`.

    Example:
        >>> import mixtura as mx
        >>> mx.Bernoulli()([0.0]).mean()
        array([0.5])
    """

    is_continuous = False

    def __init__(self, event_size: int = 1) -> None:
        self._configure(event_size=positive_int("event_size", event_size))

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return self.event_size

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        return -xp.sum(y * softplus(xp, -params) + (1 - y) * softplus(xp, params), axis=-1)

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        holds_0, holds_1 = ((lower < value) & (value <= upper) for value in (0, 1))
        log_0, log_1 = -softplus(xp, params), -softplus(xp, -params)
        value = xp.where(holds_0, log_0, xp.where(holds_1, log_1, log_zero(xp)))
        value = xp.where(holds_0 & holds_1, 0.0, value)
        observed = (lower == upper) & (xp.absolute(lower) < math.inf)
        y = xp.where(observed, lower, 0.0)  # infinity times 0 would be NaN
        return xp.sum(xp.where(observed, y * log_1 + (1 - y) * log_0, value), axis=-1)

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        # With the logit of an opposing 0, temperature 0 decides by the sign and a tie by the coin.
        pairs = xp.stack([xp.zeros_like(params), params], axis=-1)
        return xp.cast(source.choose(draws, pairs, for_one(sampler).discrete), params.dtype)

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        own, everyones = ((y.sum(axis=0) + 0.5) / (len(y) + 1) for y in shares(self, events))
        return logit(events.pooled(own, everyones))

    def _probability(self, xp: Any, params: Any) -> Any:
        return xp.exp(-softplus(xp, -params))

    def _mean(self, xp: Any, params: Any) -> Any:
        return self._probability(xp, params)

    def _variance(self, xp: Any, params: Any) -> Any:
        return self._probability(xp, params) * self._probability(xp, -params)

    def _entropy(self, xp: Any, params: Any) -> Any:
        surprise = self._probability(xp, params) * softplus(xp, -params)
        return xp.sum(surprise + self._probability(xp, -params) * softplus(xp, params), axis=-1)

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        if components.shape[1] > 1 and self.event_size > 1:
            raise self._cannot("mode of a mixture", "the best of many samples by log_prob")
        return (self._mixed(log_weights, components) > 0.5).astype(float)

    def _mixture_entropy(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray | None:
        if self.event_size > 1:
            return None
        sides = [self._mixed(log_weights, sign * components) for sign in (-1, 1)]
        return sum(entr(side).sum(axis=-1) for side in sides)

    def _mixed(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        """Return the probabilities of 1 `(rows, event_size)` of mixtures."""
        weights = np.exp(host.log_softmax(log_weights, axis=-1))[..., None]
        return np.sum(weights * self._probability(host, components), axis=1)

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        below = xp.where(y < 1, self._probability(xp, -params), 1.0)
        return xp.where(y < 0, 0.0, below)[..., 0]

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        above = xp.where(y < 1, self._probability(xp, params), 0.0)
        return xp.where(y < 0, 1.0, above)[..., 0]

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        if upper:
            return (q < self._probability(host, params[..., 0])).astype(float)
        return (q > self._probability(host, -params[..., 0])).astype(float)
