"""The Laplace distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mixtura.families import host, modes
from mixtura.families.base import Array, Family
from mixtura.families.checks import dimensions, floor, observed, one_of, positive_int
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events, units
from mixtura.families.scale import SCALE_ACTIVATIONS, ScaleActivation, activation_of, log_scale
from mixtura.families.special import LARGEST_Z, bounded, log1mexp, log_zero
from mixtura.families.tables import move_first_rows
from mixtura.sampling import Samplers, for_one

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution


@keras.saving.register_keras_serializable(package="mixtura")
class Laplace(Family):
    r"""A Laplace distribution in each dimension: a sharp peak and tails heavier than a normal's.

    $$\log p(y) = -\sum_d \left( \frac{|y_d - \mu_d|}{b_d} + \log 2 b_d \right)$$

    Its negative log-likelihood with constant b is the absolute error. The variance is $2 b^2$.

    Parameters, in this order on the last axis: `event_size` locations $\mu$, `event_size` activations of the
    scales $b$.

    Args:
        event_size: the number of dimensions of an event, independent of each other.
        scale: the activation that makes scales positive: "elu" (ELU + 1), "softplus" or "exp".
        min_scale: a floor added to every scale, in the event's units.

    Raises:
        ValueError: for a non-positive `event_size`, an unknown option or a negative `min_scale`.

    Reference: Johnson, Kotz & Balakrishnan (1995), Continuous Univariate Distributions 2, chapter 24.

    Example:
        >>> import mixtura as mx
        >>> p = mx.Laplace()([1.0, 0.0])  # location 1, scale 1
        >>> p.variance(), float(p.log_prob(1.0).round(6))  # -log 2
        (array([2.]), -0.693147)
    """

    def __init__(self, event_size: int = 1, scale: ScaleActivation = "elu", min_scale: float = 0.0) -> None:
        self._configure(
            event_size=positive_int("event_size", event_size),
            scale=one_of("scale", scale, SCALE_ACTIVATIONS),
            min_scale=floor(min_scale),
        )

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return 2 * self.event_size

    def _split(self, xp: Any, params: Any) -> tuple[Any, Any]:
        """Return locations and log scales, `(*batch, D)` each."""
        size = self.event_size
        return params[..., :size], log_scale(xp, params[..., size:], self.scale, self.min_scale)

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        return move_first_rows(xp, params, by, params.shape[-1] // self.params_size)

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        location, log_b = self._split(xp, params)
        z = bounded(xp, (y - location) * xp.exp(-log_b))
        return -xp.sum(xp.absolute(z) + log_b, axis=-1) - self.event_size * math.log(2)

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        location, log_b = self._split(xp, params)
        lower, upper = bounded(xp, lower), bounded(xp, upper)
        width = upper - lower
        inverse = xp.exp(-log_b)
        low, high = ((end - location) * inverse for end in (lower, upper))
        low, high = (xp.clip(end, -LARGEST_Z, LARGEST_Z) for end in (low, high))
        density = -xp.absolute(xp.where(width == 0, low, 0.0)) - log_b - math.log(2)
        # Mirrored so that more of the interval lies below the location.
        mirrored = low + high > 0
        low, high = xp.where(mirrored, -high, low), xp.where(mirrored, -low, high)
        below = high <= 0
        length = xp.clip(width * inverse, 0.0, 2 * LARGEST_Z)
        one_side = xp.where(below, high, 0.0) + log1mexp(xp, -length) - math.log(2)
        # P = (1 - e^low) / 2 + (1 - e^-high) / 2, neither of them negative.
        left, right = xp.where(below, -1.0, low), xp.where(below, -1.0, -high)
        across = xp.log(-0.5 * (xp.expm1(left) + xp.expm1(right)))
        value = xp.where(length > 0, xp.where(below, one_side, across), log_zero(xp))
        return xp.sum(xp.where(width == 0, density, value), axis=-1)

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        location, log_b = self._split(xp, params)
        # A uniform number gives the side and, stretched to [0, 1) again, the size.
        uniform = 2 * source.uniform((*draws, *xp.shape(location)), location)
        above = uniform >= 1
        size = -xp.log1p(-xp.where(above, uniform - 1, uniform))
        noise = xp.where(above, size, -size)
        return location + xp.exp(log_b) * (noise * for_one(sampler).scale)

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        unit, constant = units(events.everyone)

        def square_deviation(y: np.ndarray) -> np.ndarray:
            """Return the square of the mean absolute deviation from the median, in everyone's units."""
            deviation = np.abs(y - np.median(y, axis=0)).mean(axis=0) / unit
            return np.square(np.where(constant, 1.0, deviation))

        everyones = square_deviation(events.everyone) / events.parts**2
        # Squares, as a normal pools them: a hundredth of the rows keeps a tenth of the scale.
        log_b = np.log(unit) + 0.5 * np.log(events.pooled(square_deviation(events.rows), everyones))
        location = np.median(events.rows, axis=0)
        return np.concatenate([location, activation_of(log_b, self.scale, self.min_scale)])

    def _mean(self, xp: Any, params: Any) -> Any:
        return xp.copy(params[..., : self.event_size])

    def _variance(self, xp: Any, params: Any) -> Any:
        return 2 * xp.exp(2 * self._split(xp, params)[1])

    def _entropy(self, xp: Any, params: Any) -> Any:
        return xp.sum(self._split(xp, params)[1] + (1 + math.log(2)), axis=-1)

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        location, log_b = self._split(host, components)
        return modes.of_laplaces(log_weights, location, np.exp(log_b))

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._tail(xp, params, y, sign=1)

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._tail(xp, params, y, sign=-1)

    def _tail(self, xp: Any, params: Any, y: Any, sign: int) -> Any:
        location, log_b = self._split(xp, params)
        z = sign * ((y - location) * xp.exp(-log_b))[..., 0]
        small = 0.5 * xp.exp(-xp.absolute(z))
        return xp.where(z < 0, small, 1 - small)

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        location, log_b = self._split(host, params)
        small = np.minimum(q, 1 - q)
        size = -host.log(np.minimum(2 * small, 1.0))
        sign = np.where(q < 0.5, -1.0, 1.0) * (-1 if upper else 1)
        return location[..., 0] + np.exp(log_b[..., 0]) * sign * size

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the distribution of some dimensions."""
        _, params = self._read(host.as_array(params))
        kept = dimensions("dims", dims, self.event_size)
        family = Laplace(len(kept), self.scale, self.min_scale)
        return family(params[..., kept + [self.event_size + d for d in kept]])

    def condition(self, params: Array, dims: int | Sequence[int], values: Array) -> Distribution:
        """Return the distribution of the other dimensions: values of some say nothing about them."""
        return self.marginal(params, observed(dims, values, self.event_size)[1])
