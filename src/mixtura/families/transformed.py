"""What log-normal and logit-normal have in common: a normal seen through an increasing function."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mixtura.families import host, modes
from mixtura.families.base import Array, Family
from mixtura.families.checks import observed
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events
from mixtura.families.mixture import Mixture, table_of
from mixtura.families.normal import Normal
from mixtura.families.special import AS_GOOD_AS_INFINITE, log_zero
from mixtura.sampling import Samplers

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution


class TransformedNormal(Family):
    r"""The distribution of $y = g(x)$, $x$ normal, $g$ increasing and elementwise.

    $$\log p(y) = \log N\bigl(g^{-1}(y); \mu, \Sigma\bigr) - \sum_d \log g'(x_d)$$

    A subclass calls `_transform` in its constructor and says what g is by the methods below.
    """

    _normal: Normal
    _support: tuple[float, float]

    def _transform(self, normal: Normal, low: float, high: float) -> None:
        object.__setattr__(self, "_normal", normal)
        object.__setattr__(self, "_support", (low, high))

    # ------------------------------------------------------------------ what a subclass writes

    def _outward(self, xp: Any, x: Any) -> Any:
        """Return g(x)."""
        raise NotImplementedError

    def _inward(self, xp: Any, y: Any) -> Any:
        """Return the inverse of g at y inside the support."""
        raise NotImplementedError

    def _inward_width(self, xp: Any, lower: Any, upper: Any) -> Any:
        """Return the distance between two near y inside the support, in x, without cancellation."""
        raise NotImplementedError

    def _log_slope(self, xp: Any, x: Any) -> Any:
        """Return log g'(x) elementwise."""
        raise NotImplementedError

    def _slope_of_log_slope(self, x: np.ndarray) -> np.ndarray:
        """Return the derivative of log g'(x) elementwise."""
        raise NotImplementedError

    def _like(self, normal: Any) -> Family:
        """Return the same transformation of another normal."""
        raise NotImplementedError

    # ------------------------------------------------------------------ what follows

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return self._normal.params_size

    def _inside(self, xp: Any, y: Any) -> tuple[Any, Any]:
        """Return where y lies inside the support, and y with a harmless value elsewhere."""
        low, high = self._support
        inside = (y > low) & (y < high)
        return inside, xp.where(inside, y, self._outward(host, np.zeros(())).item())

    def _standardised(self, xp: Any, y: Any) -> Any:
        inside, y = self._inside(xp, y)
        return xp.where(inside, self._inward(xp, y), 0.0)

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        return self._normal._relocated(xp, params, by, parts)

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        return self._log_probs(xp, params, y)[..., 0]

    def _log_probs(self, xp: Any, table: Any, y: Any) -> Any:
        inside, y = self._inside(xp, y)
        x = self._inward(xp, y)
        value = self._normal._log_probs(xp, table, x) - xp.sum(self._log_slope(xp, x), axis=-1, keepdims=True)
        return xp.where(xp.all(inside, axis=-1, keepdims=True), value, log_zero(xp))

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        low, high = self._support
        lower_inside, lower_ = self._inside(xp, lower)
        upper_inside, upper_ = self._inside(xp, upper)
        x, x_upper = self._inward(xp, lower_), self._inward(xp, upper_)
        both = lower_inside & upper_inside
        near = both & (x_upper - x < 1)
        width = self._inward_width(xp, lower_, xp.where(near, upper_, lower_))
        width = xp.where(near, width, xp.where(both, x_upper - x, AS_GOOD_AS_INFINITE))
        width = xp.where(lower == upper, 0.0, width)
        start = xp.where(lower_inside, x, -AS_GOOD_AS_INFINITE)
        end = xp.where(upper_inside, x_upper, AS_GOOD_AS_INFINITE)
        values = self._normal._log_intervals(xp, params, start, end, width)
        values = values - xp.where(width == 0, self._log_slope(xp, x), 0.0)
        impossible = (upper <= low) | (lower >= high)
        return xp.sum(xp.where(impossible, log_zero(xp), values), axis=-1)

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        y = self._outward(xp, self._normal._sample(xp, params, source, sampler, draws))
        # Rounding must not carry an event onto an end, where its density would be zero.
        dtype = keras.backend.standardize_dtype(y.dtype)
        (low, high), tiny = np.array(self._support, dtype), np.finfo(dtype).tiny
        return xp.clip(y, max(np.nextafter(low, high), low + tiny), min(np.nextafter(high, low), high - tiny))

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        return self._normal._fit(events.each(lambda y: self._inward(host, self._moved(y, events))), rng)

    def _moved(self, y: np.ndarray, events: Events) -> np.ndarray:
        """Return y, values outside the support half-way between its end and everyone's nearest inside.

        Where none is inside, g(0) counts as the nearest.
        """
        everyone, (low, high) = events.everyone, self._support
        inside, _ = self._inside(host, everyone)
        middle = self._outward(host, np.zeros(()))
        ends = []
        for end, nearest in ((low, np.min), (high, np.max)):
            next_in = nearest(everyone, axis=0, where=inside, initial=high if end == low else low)
            next_in = np.where(inside.any(axis=0), next_in, middle)
            half_way = 0.5 * (end + next_in)
            # Between neighbouring numbers there is no half-way.
            ends.append(np.where(self._inside(host, half_way)[0], half_way, next_in))
        return np.where(y <= low, ends[0], np.where(y >= high, ends[1], y))

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._tail(xp, "_cdf", params, y, below=0.0)

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._tail(xp, "_sf", params, y, below=1.0)

    def _tail(self, xp: Any, method: str, params: Any, y: Any, below: float) -> Any:
        low, high = self._support
        value = getattr(self._normal, method)(xp, params, self._inward(xp, self._inside(xp, y)[1]))
        value = xp.where(y[..., 0] <= low, below, value)
        return xp.where(y[..., 0] >= high, 1 - below, value)

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        return self._outward(host, self._normal._quantile(params, q, upper))

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        mean, whiteners = self._normal._whiteners(components)
        covariance = self._normal._covariance(host, components)
        size = self.event_size
        # A component's maxima lie where x - mean = covariance @ slope, with slopes between -1 and 1.
        corners = (
            itertools.product([-1, 0, 1], repeat=size) if size <= 3 else np.eye(3)[:, :1] * np.ones(size)
        )
        starts = mean[:, :, None] + np.einsum("nkij,cj->nkci", covariance, np.array(list(corners), float))
        starts = np.clip(starts, mean[:, :, None] - 40, mean[:, :, None] + 40)

        def log_slope(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self._log_slope(host, x).sum(axis=-1), -self._slope_of_log_slope(x)

        x = modes.of_normals(log_weights, mean, whiteners, starts.reshape(len(mean), -1, size), log_slope)
        low, high = self._support
        # Rounding must not put it on an end, where the density is zero.
        return np.clip(self._outward(host, x), np.nextafter(low, high), np.nextafter(high, low))

    def _mixture_entropy(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        # In x: no quadrature over y fits a density that spans powers of ten.
        slope = self._entropy(host, components) - self._normal._entropy(host, components)
        weights = np.exp(host.log_softmax(log_weights, axis=-1))
        normals = Mixture(self._normal, log_weights.shape[-1])
        return normals.entropy(table_of(log_weights, components)) + np.sum(weights * slope, axis=-1)

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the distribution of some dimensions."""
        inner = self._normal.marginal(params, dims)
        return self._like(inner.family)(inner.params)

    def condition(self, params: Array, dims: int | Sequence[int], values: Array) -> Distribution:
        """Return the distribution of the other dimensions given values of some, inside the support."""
        known, _, values = observed(dims, values, self.event_size)
        inside, values = self._inside(host, values)
        if not inside.all():
            raise ValueError(f"values must lie inside the support {self._support} of {self!r}")
        inner = self._normal.condition(params, known, self._inward(host, values))
        return self._like(inner.family)(inner.params)
