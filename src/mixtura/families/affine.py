"""Affine: a family in other units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.families.base import Array, Family, a_family
from mixtura.families.host import is_tensor


@keras.saving.register_keras_serializable(package="mixtura")
class Affine(Family):
    r"""The distribution of $y = \text{shift} + \text{scale} \odot u$ where `family` describes $u$.

    $$\log p(y) = \log p_u\bigl((y - \text{shift}) / \text{scale}\bigr) - \sum_d \log \text{scale}_d$$

    A network is trained on standardised targets. `Affine(family, mean, std)` reads the same outputs in the
    data's own units, so every figure that people see (densities, quantiles, samples, the NLL) is in units
    that mean something to them. The parameters are those of `family`.

    Args:
        family: the distribution of the standardised event.
        shift: `event_size` numbers, or one for all, in the data's units.
        scale: the same, positive.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if `shift` or `scale` has another size, is not finite, or a scale is not positive.

    Example:
        >>> import mixtura as mx
        >>> p = mx.Affine(mx.Normal(1), shift=20.0, scale=10.0)([0.0, 0.0])
        >>> p.mean(), p.variance()
        (array([20.]), array([100.]))
    """

    def __init__(
        self, family: Family, shift: float | Sequence[float], scale: float | Sequence[float]
    ) -> None:
        size = a_family("family", family).event_size
        self._configure(
            family=family, shift=_numbers("shift", shift, size), scale=_numbers("scale", scale, size)
        )
        if min(self.scale) <= 0:
            raise ValueError(f"scale must be positive; received {scale!r}")

    @property
    def event_size(self) -> int:  # type: ignore[override]
        """The number of dimensions of an event."""
        return self.family.event_size

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return self.family.params_size

    @property
    def log_volume(self) -> float:
        """Sum of log scale: what the change of units adds to a negative log-likelihood, in nats."""
        return float(np.log(self.scale).sum())

    def _units(self, like: Any) -> tuple[Any, Any]:
        """Return shift and scale as the kind of array that `like` is."""
        if not is_tensor(like):
            return np.array(self.shift), np.array(self.scale)
        return tuple(ops.convert_to_tensor(units, dtype=like.dtype) for units in (self.shift, self.scale))

    def _inward(self, params: Any, y: Any) -> tuple[Any, Any]:
        _, params, y = self._read(params, y)
        shift, scale = self._units(y)
        return params, (y - shift) / scale

    def _outward(self, u: Any) -> Any:
        shift, scale = self._units(u)
        return shift + scale * u

    def _stretch(self, covariance: Any) -> Any:
        _, scale = self._units(covariance)
        return scale[:, None] * covariance * scale

    def log_prob(self, params: Array, y: Array) -> Array:
        """Return the log density per unit of y, `(*batch,)`."""
        return self.family.log_prob(*self._inward(params, y)) - self.log_volume

    def sample(self, params: Array, seed: Any = None) -> Array:
        """Draw one event for each row, `(*batch, event_size)`."""
        return self._outward(self.family.sample(params, seed))

    def mean(self, params: Array) -> Array:
        """Return the mean, `(*batch, event_size)`."""
        return self._outward(self.family.mean(params))

    def variance(self, params: Array) -> Array:
        """Return the variance of each dimension, `(*batch, event_size)`."""
        variance = self.family.variance(params)
        return variance * self._units(variance)[1] ** 2

    def covariance(self, params: Array) -> Array:
        """Return the covariance matrix, `(*batch, event_size, event_size)`."""
        return self._stretch(self.family.covariance(params))

    def cdf(self, params: Array, y: Array) -> Array:
        """Return P(Y <= y) of a one-dimensional event, `(*batch,)`."""
        return self.family.cdf(*self._inward(params, y))

    def sf(self, params: Array, y: Array) -> Array:
        """Return P(Y > y) of a one-dimensional event, `(*batch,)`."""
        return self.family.sf(*self._inward(params, y))

    def quantile(self, params: Array, q: Array) -> np.ndarray:
        """Return inf{y : cdf(y) >= q} in float64, `(*batch, 1)`."""
        return self._outward(self.family.quantile(params, q))

    def isf(self, params: Array, q: Array) -> np.ndarray:
        """Return inf{y : sf(y) <= q} in float64, `(*batch, 1)`."""
        return self._outward(self.family.isf(params, q))

    def weights(self, params: Array) -> Array:
        """Return a mixture's weights, `(*batch, num_components)`."""
        return self.family.weights(params)

    def means(self, params: Array) -> Array:
        """Return the components' means, `(*batch, num_components, event_size)`."""
        return self._outward(self.family.means(params))

    def scales(self, params: Array) -> Array:
        """Return the components' standard deviations, `(*batch, num_components, event_size)`."""
        scales = self.family.scales(params)
        return scales * self._units(scales)[1]

    def covariances(self, params: Array) -> Array:
        """Return the components' covariances, `(*batch, num_components, event_size, event_size)`."""
        return self._stretch(self.family.covariances(params))


def _numbers(name: str, value: float | Sequence[float], size: int) -> tuple[float, ...]:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if numbers.shape not in ((), (size,)) or not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be one finite number or {size} of them; received {value!r}")
    return tuple(np.broadcast_to(numbers, (size,)).tolist())
