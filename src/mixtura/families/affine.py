"""Affine: a family in other units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from mixtura.families.base import Array, Family, a_family
from mixtura.families.checks import dimensions, observed
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events
from mixtura.families.host import is_tensor
from mixtura.sampling import Samplers

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution


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
        ValueError: if `shift` or `scale` has another size, is not finite, or a scale is not positive; if
            `family` has a discrete part.

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
        if not family.is_continuous:
            raise ValueError(f"{family!r} has discrete events, which have no units to change")

    @property
    def event_size(self) -> int:  # type: ignore[override]
        """The number of dimensions of an event."""
        return self.family.event_size

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return self.family.params_size

    @property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale of each dimension of the events, `(event_size,)`."""
        shift, scale = self.family.units
        return np.array(self.shift) + np.array(self.scale) * shift, np.array(self.scale) * scale

    @property
    def floors(self) -> np.ndarray:
        """The floor of each dimension's scale, in its units, `(event_size,)`."""
        return self.family.floors * np.array(self.scale)

    @property
    def log_volume(self) -> float:
        """Sum of log scale: what the change of units adds to a negative log-likelihood, in nats."""
        return float(np.log(self.scale).sum())

    def _units(self, like: Any) -> tuple[Any, Any]:
        """Return shift and scale as the kind of array that `like` is."""
        if not is_tensor(like):
            return np.array(self.shift), np.array(self.scale)
        return tuple(ops.convert_to_tensor(units, dtype=like.dtype) for units in (self.shift, self.scale))

    def _inward(self, y: Any) -> Any:
        shift, scale = self._units(y)
        return (y - shift) / scale

    def _outward(self, u: Any) -> Any:
        shift, scale = self._units(u)
        return shift + scale * u

    def _stretch(self, covariance: Any) -> Any:
        _, scale = self._units(covariance)
        return scale[:, None] * covariance * scale

    def _standardised(self, xp: Any, y: Any) -> Any:
        return self.family._standardised(xp, self._inward(y))

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        return self.family._relocated(xp, params, by, parts)

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        return self.family._log_prob(xp, params, self._inward(y)) - self.log_volume

    def _log_probs(self, xp: Any, table: Any, y: Any) -> Any:
        return self.family._log_probs(xp, table, self._inward(y)) - self.log_volume

    def _joint(self, xp: Any, params: Any, y: Any) -> Any:
        return self.family._joint(xp, params, self._inward(y)) - self.log_volume

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        value = self.family._log_interval(xp, params, self._inward(lower), self._inward(upper))
        return value + self._log_unit(xp, lower, upper)

    def _joint_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        value = self.family._joint_interval(xp, params, self._inward(lower), self._inward(upper))
        return value + self._log_unit(xp, lower, upper)[..., None]

    def _log_unit(self, xp: Any, lower: Any, upper: Any) -> Any:
        """Return what the log probability of an interval changes by with its units, `(*batch,)`."""
        low, high = self._inward(lower), self._inward(upper)
        # Where both bounds became one, the inner value is a density per unit of u.
        width = xp.where(lower == upper, 1.0, upper - lower)
        return xp.sum(xp.log(xp.where(low == high, width / self._units(lower)[1], 1.0)), axis=-1)

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        return self._outward(self.family._sample(xp, params, source, sampler, draws))

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        return self.family._fit(events.each(self._inward), rng)

    def _mean(self, xp: Any, params: Any) -> Any:
        return self._outward(self.family._mean(xp, params))

    def _variance(self, xp: Any, params: Any) -> Any:
        variance = self.family._variance(xp, params)
        return variance * self._units(variance)[1] ** 2

    def _covariance(self, xp: Any, params: Any) -> Any:
        return self._stretch(self.family._covariance(xp, params))

    def _entropy(self, xp: Any, params: Any) -> Any:
        return self.family._entropy(xp, params) + self.log_volume

    def mode(self, params: Array) -> np.ndarray:
        """Return the event of highest density, in float64, `(*batch, event_size)`."""
        return self._outward(self.family.mode(params))

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        return self._outward(self.family._mixture_mode(log_weights, components))

    def _mixture_entropy(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray | None:
        entropy = self.family._mixture_entropy(log_weights, components)
        return None if entropy is None else entropy + self.log_volume

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        return self.family._cdf(xp, params, self._inward(y))

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        return self.family._sf(xp, params, self._inward(y))

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        return self._outward(self.family._quantile(params, q, upper)[..., None])[..., 0]

    def _edges(self, params: np.ndarray) -> np.ndarray:
        return self._outward(self.family._edges(params)[..., None])[..., 0]

    def responsibilities(self, params: Array, y: Array) -> Array:
        """Return each mixture component's share in the density at y, `(*batch, num_components)`."""
        _, params, y = self._read(params, y)
        return self.family.responsibilities(params, self._inward(y))

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the distribution of some dimensions, in their units."""
        return self._of(self.family.marginal(params, dims), dimensions("dims", dims, self.event_size))

    def condition(self, params: Array, dims: int | Sequence[int], values: Array) -> Distribution:
        """Return the distribution of the other dimensions, given values of some in their units."""
        known, rest, values = observed(dims, values, self.event_size)
        shift, scale = np.array(self.shift)[known], np.array(self.scale)[known]
        return self._of(self.family.condition(params, known, (values - shift) / scale), rest)

    def _of(self, inner: Distribution, dims: list[int]) -> Distribution:
        """Return the distribution of some dimensions in their units."""
        shift, scale = ([units[d] for d in dims] for units in (self.shift, self.scale))
        return Affine(inner.family, shift, scale)(inner.params)

    def _part(self, name: str, params: np.ndarray) -> tuple[Family, np.ndarray]:
        part, own = self.family._part(name, params)
        events = self._events_of(name)
        return Affine(part, self.shift[events], self.scale[events]), own

    def _events_of(self, name: str) -> slice:
        return self.family._events_of(name)

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


def without_units(family: Family) -> Family:
    """Return a family as it is inside every change of units."""
    while isinstance(family, Affine):
        family = family.family
    return family


def _numbers(name: str, value: float | Sequence[float], size: int) -> tuple[float, ...]:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if numbers.shape not in ((), (size,)) or not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be one finite number or {size} of them; received {value!r}")
    return tuple(np.broadcast_to(numbers, (size,)).tolist())
