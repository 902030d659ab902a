"""Spike and slab: a value that stays exactly where it was, or moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from scipy.special import logit

from mixtura.families import host
from mixtura.families.base import Array, Family, a_family
from mixtura.families.checks import dimensions, finite
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events
from mixtura.families.inversion import invert
from mixtura.families.mixture import Mixture, weighted
from mixtura.families.special import bounded, log_zero, logsumexp, softplus
from mixtura.families.tables import cut
from mixtura.sampling import Samplers, for_one

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution

POINTS, HALVINGS = 33, 40  # of the search for the highest point within a spike


@keras.saving.register_keras_serializable(package="mixtura")
class SpikeAndSlab(Family):
    r"""With probability $\pi$ a known value once more, else a draw from another distribution, the slab.

    $$p(y) = \frac{\pi}{w} \left[ |y - \ell| \le \tfrac{w}{2} \right] + (1 - \pi)\, p_\text{slab}(y),
      \qquad \pi = \frac{1}{1 + e^{-a}}$$

    For what is recorded on a grid and mostly stays: controls of an instrument, prices, counters. The spike is
    as wide as the recording step w, so that its density is the probability of repeating a recorded value, per
    step. A draw of it is the location $\ell$ itself, exactly, where the density spreads it over the step.

    $\ell$ is to be given, by `relative` in `MDNRNN` or by `LinearMDNRNN`: moved there, the spike lies at the
    last event exactly, whatever the network's output for $\ell$, and the slab is moved as its own family is.
    Not moved, it lies at that output, which training leaves as it is: likelihoods have slope 0 in $\ell$.

    Parameters, in this order on the last axis: a, the logit of staying; $\ell$; those of the slab.

    Mitchell & Beauchamp (1988) named a prior of regression coefficients so: a spike at 0, and a wide uniform
    slab. Here the spike has a width and any place, and the slab any shape.

    Args:
        slab: a continuous family of one dimension. Of other units, put an `Affine` around the whole.
        width: of the spike: the recording step, in the event's units.

    Raises:
        TypeError: if `slab` is not a family.
        ValueError: if it has several dimensions or is discrete; if `width` is not positive.

    Reference: Mitchell, T. J. & Beauchamp, J. J. (1988), Bayesian Variable Selection in Linear Regression,
    Journal of the American Statistical Association 83, 1023-1032.

    Example:
        >>> import mixtura as mx
        >>> p = mx.SpikeAndSlab(mx.Normal(1), width=0.1)([0.0, 3.0, 0.0, 0.0])  # stays at 3 every other time
        >>> float(p.mean()[0]), float(p.cdf(2.0).round(3))
        (1.5, 0.489)
        >>> int((p.sample(1000, seed=0) == 3).sum())
        496
    """

    event_size = 1

    def __init__(self, slab: Family, width: float) -> None:
        self._configure(slab=a_family("slab", slab), width=finite("width", width))
        if slab.event_size != 1 or not slab.is_continuous:
            raise ValueError(f"slab must be continuous, of one dimension; received {slab!r}")
        if self.width <= 0:
            raise ValueError(f"width must be positive; received {width!r}")

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return 2 + self.slab.params_size

    @property
    def floors(self) -> np.ndarray:
        """The floor of the slab's scale."""
        return self.slab.floors

    def _split(self, xp: Any, params: Any) -> tuple[Any, Any, Any, Any]:
        """Return log pi, log (1 - pi) and the location, `(*batch, 1)` each, and the slab's parameters."""
        a, location, slab = cut(xp, params, [1, 2])
        return -softplus(xp, -a), -softplus(xp, a), location, slab

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        probe = np.array([[0.25], [4.0]])
        if not np.array_equal(self.slab._standardised(host, probe), probe):
            raise self._cannot("location to move", "a slab without units, and an Affine around both")
        columns = params.shape[-1] // self.params_size
        a, location, slab = cut(xp, params, [columns, 2 * columns])
        # Not added: what the network says of the location would blur it.
        location = xp.zeros_like(location) + by
        return xp.concatenate([a, location, self.slab._relocated(xp, slab, by, parts)], axis=-1)

    # ------------------------------------------------------------------ densities

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        stays, moves, location, slab = self._split(xp, params)
        inside = xp.absolute(y - location) <= 0.5 * self.width
        spike = xp.where(inside, stays - math.log(self.width), log_zero(xp))[..., 0]
        return self._either(xp, spike, moves[..., 0] + self.slab._log_prob(xp, slab, y))

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        stays, moves, location, slab = self._split(xp, params)
        half = 0.5 * self.width
        low, high = (bounded(xp, end) - location for end in (lower, upper))
        held = xp.clip(high, -half, half) - xp.clip(low, -half, half)
        # An interval of no length counts as observed: 1 is the length that its density is per.
        held = xp.where((lower == upper) & (xp.absolute(low) <= half), 1.0, held)
        some = held > 0
        share = xp.log(xp.where(some, held, 1.0)) - math.log(self.width)
        spike = xp.where(some, stays + share, log_zero(xp))[..., 0]
        return self._either(xp, spike, moves[..., 0] + self.slab._log_interval(xp, slab, lower, upper))

    def _either(self, xp: Any, spike: Any, slab: Any) -> Any:
        return logsumexp(xp, xp.stack([spike + xp.zeros_like(slab), slab + xp.zeros_like(spike)], axis=-1))

    # ------------------------------------------------------------------ samples

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        """The choice between spike and slab is tempered as a mixture's is; a spike has no noise to scale."""
        a, location, slab = cut(xp, params, [1, 2])
        choices, events = source.split(2)
        pairs = xp.concatenate([xp.zeros_like(a), a], axis=-1)
        stays = choices.choose(draws, pairs, for_one(sampler).weights)[..., None] == 1
        moved = self.slab._sample(xp, slab, events, sampler, draws)
        y = xp.where(stays, location, moved)
        return y if xp is host else ops.stop_gradient(y)

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        # Of everyone: a component that takes only what moved has the same spike, of little weight.
        values, counts = np.unique(events.everyone, return_counts=True)
        location = values[counts.argmax()]
        near, nears = (np.abs(y[:, 0] - location) <= 0.5 * self.width for y in (events.rows, events.everyone))
        own, everyones = ((there.sum() + 0.5) / (len(there) + 1) for there in (near, nears))
        everyone = events.everyone if nears.all() else events.everyone[~nears]
        moved = Events(everyone if near.all() else events.rows[~near], everyone, events.parts)
        return np.concatenate([[logit(events.pooled(own, everyones)), location], self.slab._fit(moved, rng)])

    # ------------------------------------------------------------------ moments

    def _mean(self, xp: Any, params: Any) -> Any:
        weights, location, slab = self._two(xp, params)
        means = xp.concatenate([location, self.slab._mean(xp, slab)], axis=-1)
        return weighted(xp, weights, means, axis=-1)[..., None]

    def _variance(self, xp: Any, params: Any) -> Any:
        weights, location, slab = self._two(xp, params)
        means = xp.concatenate([location, self.slab._mean(xp, slab)], axis=-1)
        away = means - weighted(xp, weights, means, axis=-1)[..., None]
        spread = self.slab._variance(xp, slab)
        within = xp.concatenate([xp.zeros_like(spread) + self.width**2 / 12, spread], axis=-1)
        return weighted(xp, weights, within + xp.square(away), axis=-1)[..., None]

    def _two(self, xp: Any, params: Any) -> tuple[Any, Any, Any]:
        """Return both weights `(*batch, 2)`, the location and the slab's parameters."""
        stays, moves, location, slab = self._split(xp, params)
        return xp.exp(xp.concatenate([stays, moves], axis=-1)), location, slab

    def entropy(self, params: Array) -> Array:
        """Return the entropy in nats, computed with NumPy by quadrature to 1e-6, `(*batch,)`."""
        return super().entropy(params)

    def _entropy(self, xp: Any, params: Any) -> Any:
        array = host.as_array(params)
        rows = array.reshape(-1, self.params_size)
        alone = np.concatenate([np.zeros_like(rows[:, :1]), rows], axis=-1)
        entropy = Mixture(self, 1)._integrated_entropy(alone).reshape(array.shape[:-1])
        return entropy if xp is host else xp.convert_to_tensor(entropy, dtype=params.dtype)

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        """The higher of the slabs' own mode and the highest point within a spike."""
        _, moves, locations, slabs = self._split(host, components)

        def height(y: np.ndarray) -> np.ndarray:
            """Return log densities at `(rows, places, points)`."""
            each = self._log_prob(host, components[:, None, None], y[..., None, None])
            return logsumexp(host, log_weights[:, None, None] + each)

        slab = self.slab._mixture_mode(log_weights + moves[..., 0], slabs)[:, None]
        half = 0.5 * self.width * (1 - 1e-9)  # rounding must not lead out of a spike
        edges = np.sort(np.concatenate([locations - half, locations + half], axis=1)[..., 0], axis=-1)
        inside = _highest_between(height, edges[:, :-1], edges[:, 1:])
        places = np.concatenate([slab[..., 0], locations[..., 0], inside], axis=1)
        best = height(places[..., None])[..., 0].argmax(axis=-1)
        return np.take_along_axis(places, best[:, None], axis=1)

    # ------------------------------------------------------------------ one dimension

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._tail(xp, "_cdf", 1, params, y)

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._tail(xp, "_sf", -1, params, y)

    def _tail(self, xp: Any, method: str, sign: int, params: Any, y: Any) -> Any:
        stays, moves, location, slab = self._split(xp, params)
        share = xp.clip(0.5 + sign * (y - location) / self.width, 0.0, 1.0)[..., 0]
        slabs = getattr(self.slab, method)(xp, slab, y)
        return xp.exp(stays[..., 0]) * share + xp.exp(moves[..., 0]) * slabs

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        """A search between the spike's own quantile and the slab's."""
        _, _, location, slab = self._split(host, params)
        spike = location[..., 0] + (-1 if upper else 1) * self.width * (q - 0.5)
        slabs = self.slab._quantile(slab, q, upper)
        return invert(self, params, q, np.minimum(spike, slabs), np.maximum(spike, slabs), upper)

    def _edges(self, params: np.ndarray) -> np.ndarray:
        _, _, location, slab = self._split(host, params)
        half = 0.5 * self.width
        return np.concatenate([location - half, location + half, self.slab._edges(slab)], axis=-1)

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the distribution of the one dimension: itself."""
        dimensions("dims", dims, 1)
        return self(self._read(host.as_array(params))[1])


def _highest_between(
    height: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Return where a function is highest between `low` and `high`, `(rows, places)` each.

    The best of evenly spaced points, then golden sections between its neighbours.
    """
    points = low[..., None] + (high - low)[..., None] * np.linspace(0, 1, POINTS)
    best = height(points).argmax(axis=-1)[..., None]
    low, high = (
        np.take_along_axis(points, np.clip(best + side, 0, POINTS - 1), axis=-1)[..., 0] for side in (-1, 1)
    )
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(HALVINGS):
        inner = np.stack([high - golden * (high - low), low + golden * (high - low)], axis=-1)
        first, second = np.moveaxis(height(inner), -1, 0)
        low, high = (
            np.where(first < second, inner[..., 0], low),
            np.where(first < second, high, inner[..., 1]),
        )
    return 0.5 * (low + high)
