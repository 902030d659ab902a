"""Independent: several copies of one family side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mixtura.families import host
from mixtura.families.base import Array, Family, a_family
from mixtura.families.checks import dimensions, observed, positive_int
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events
from mixtura.sampling import Samplers

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution


@keras.saving.register_keras_serializable(package="mixtura")
class Independent(Family):
    r"""`repeats` independent events of one family, each with its own parameters.

    $$\log p(y) = \sum_r \log p(y_r; \theta_r)$$

    World Models predicts 64 latents so, each by its own mixture of five normals (Ha & Schmidhuber 2018).
    A `Mixture` over `Normal(64)` is another model: there all dimensions share one choice of component.

    Parameters on the last axis: those of the first copy, then those of the second, and so on. Events
    likewise. `weights`, `means`, `scales` and `covariances` have an axis of copies: `(*batch, repeats, ...)`.

    Args:
        family: what each copy is.
        repeats: how many there are.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if `repeats` is not a positive integer.

    Example:
        >>> import mixtura as mx
        >>> p = mx.Independent(mx.Normal(1), repeats=2)([0.0, 0.0, 5.0, 1.0])
        >>> p.mean(), p.variance()
        (array([0., 5.]), array([1., 4.]))
        >>> p.marginal(1).quantile(0.5)
        array([5.])
    """

    def __init__(self, family: Family, repeats: int) -> None:
        self._configure(family=a_family("family", family), repeats=positive_int("repeats", repeats))

    @property
    def event_size(self) -> int:  # type: ignore[override]
        """The number of dimensions of an event: of all copies together."""
        return self.repeats * self.family.event_size

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return self.repeats * self.family.params_size

    @property
    def is_continuous(self) -> bool:  # type: ignore[override]
        """Whether events have a density in every dimension."""
        return self.family.is_continuous

    @property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale of each dimension of the events: those of each copy."""
        shift, scale = self.family.units
        return np.tile(shift, self.repeats), np.tile(scale, self.repeats)

    @property
    def continuous(self) -> np.ndarray:
        """Which dimensions of an event have a density: those of each copy."""
        return np.tile(self.family.continuous, self.repeats)

    @property
    def floors(self) -> np.ndarray:
        """The floor of each dimension's scale: those of each copy."""
        return np.tile(self.family.floors, self.repeats)

    def _copies(self, xp: Any, values: Any) -> Any:
        """Give every copy its row: `(*batch, repeats * n)` to `(*batch, repeats, n)`."""
        shape = xp.shape(values)
        return xp.reshape(values, (*shape[:-1], self.repeats, shape[-1] // self.repeats))

    def _joined(self, xp: Any, values: Any) -> Any:
        """Put the copies' rows side by side again."""
        return xp.reshape(values, (*xp.shape(values)[:-2], self.event_size))

    def _standardised(self, xp: Any, y: Any) -> Any:
        return self._joined(xp, self.family._standardised(xp, self._copies(xp, y)))

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        moved = self.family._relocated(xp, self._copies(xp, params), self._copies(xp, by), parts)
        return xp.reshape(moved, xp.shape(params))

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        return xp.sum(self.family._log_prob(xp, self._copies(xp, params), self._copies(xp, y)), axis=-1)

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        rows = (self._copies(xp, values) for values in (params, lower, upper))
        return xp.sum(self.family._log_interval(xp, *rows), axis=-1)

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        return self._joined(xp, self.family._sample(xp, self._copies(xp, params), source, sampler, draws))

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        copies = events.each(lambda y: self._copies(host, y))
        fits = [self.family._fit(copies.some(r), rng) for r in range(self.repeats)]
        return np.concatenate(fits)

    def _mean(self, xp: Any, params: Any) -> Any:
        return self._joined(xp, self.family._mean(xp, self._copies(xp, params)))

    def _variance(self, xp: Any, params: Any) -> Any:
        return self._joined(xp, self.family._variance(xp, self._copies(xp, params)))

    def _covariance(self, xp: Any, params: Any) -> Any:
        blocks = self.family._covariance(xp, self._copies(xp, params))  # (*batch, R, E, E)
        unit = xp.eye(self.repeats, dtype=params.dtype)[:, None, :, None]
        shape = (*xp.shape(blocks)[:-3], self.event_size, self.event_size)
        return xp.reshape(blocks[..., :, :, None, :] * unit, shape)

    def _entropy(self, xp: Any, params: Any) -> Any:
        return xp.sum(self.family._entropy(xp, self._copies(xp, params)), axis=-1)

    def mode(self, params: Array) -> np.ndarray:
        """Return the copies' modes, in float64, `(*batch, event_size)`."""
        _, params = self._read(host.as_array(params))
        return self._joined(host, self.family.mode(self._copies(host, params)))

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        return self.family._cdf(xp, params, y)  # reached with one copy only

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        return self.family._sf(xp, params, y)

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        return self.family._quantile(params, q, upper)

    def _edges(self, params: np.ndarray) -> np.ndarray:
        return self.family._edges(params)

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the distribution of some copies; of a single one as `family` itself.

        Where a copy has several dimensions, `dims` must lie within one copy.
        """
        _, params = self._read(host.as_array(params))
        kept, size = dimensions("dims", dims, self.event_size), self.family.event_size
        copies = self._copies(host, params)
        if size == 1 and len(kept) > 1:
            chosen = copies[..., kept, :]
            return Independent(self.family, len(kept))(chosen.reshape(*chosen.shape[:-2], -1))
        [first, *others] = {d // size for d in kept}
        if others:
            raise NotImplementedError(f"dims must lie within one copy of {self.family!r}; received {kept}")
        copy = copies[..., first, :]
        within = [d % size for d in kept]
        return self.family(copy) if within == list(range(size)) else self.family.marginal(copy, within)

    def condition(self, params: Array, dims: int | Sequence[int], values: Array) -> Distribution:
        """Return the distribution of the other copies: one copy's values say nothing about another."""
        if self.family.event_size > 1:
            raise self._cannot("condition", "marginal, and condition on that")
        return self.marginal(params, observed(dims, values, self.event_size)[1])

    def weights(self, params: Array) -> Array:
        """Return the copies' mixture weights, `(*batch, repeats, num_components)`."""
        return self._each("weights", params)

    def means(self, params: Array) -> Array:
        """Return the copies' component means, `(*batch, repeats, num_components, event_size)`."""
        return self._each("means", params)

    def scales(self, params: Array) -> Array:
        """Return the copies' component scales, `(*batch, repeats, num_components, event_size)`."""
        return self._each("scales", params)

    def covariances(self, params: Array) -> Array:
        """Return the copies' component covariances, `(*batch, repeats, K, event_size, event_size)`."""
        return self._each("covariances", params)

    def _each(self, method: str, params: Array) -> Array:
        xp, params = self._read(params)
        return getattr(self.family, method)(self._copies(xp, params))
