"""Mixtures: a weighted sum of members of one family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from mixtura.families import host
from mixtura.families.base import Array, Family, a_family
from mixtura.families.checks import observed, positive_int
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events
from mixtura.families.implicit import reparameterised
from mixtura.families.inversion import invert
from mixtura.families.quadrature import NODES, integrate
from mixtura.families.special import logsumexp
from mixtura.families.tables import cut
from mixtura.sampling import Samplers, for_one, is_plain

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution

ENTROPY_SAMPLES = 4096


@keras.saving.register_keras_serializable(package="mixtura")
class Mixture(Family):
    r"""A mixture of `num_components` members of one family (Bishop 1994, eq. 22).

    $$\log p(y) = \log \sum_k \exp\bigl(\log \pi_k + \log p_k(y)\bigr), \qquad \pi = \mathrm{softmax}(a)$$

    Everything stays in log space (log-softmax for the weights, his eq. 25; logsumexp for the sum), so no
    density is too small to have a gradient.

    Parameters on the last axis are a table of `1 + family.params_size` rows and `num_components` columns,
    row by row: first the weights' logits of all components, then the family's first parameter of all
    components, and so on. For `Mixture(Normal(2), K)`: K logits, K means of the first dimension, K of the
    second, K scale activations of the first, K of the second. (Component-last order lets compilers
    vectorise over components; it is also the order of Graves' and Ha's networks.)

    Args:
        family: what each component is.
        num_components: how many there are.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if `num_components` is not a positive integer.

    Example:
        >>> import mixtura as mx
        >>> family = mx.Mixture(mx.Normal(1), num_components=2)
        >>> p = family([0.0, 0.0, -5.0, 5.0, 1.0, 2.0])  # the lecture's: scales ELU + 1 = 2 and 3
        >>> p.weights, p.means[:, 0], p.scales[:, 0]
        (array([0.5, 0.5]), array([-5.,  5.]), array([2., 3.]))
        >>> float(p.mean()[0]), float(p.variance()[0])
        (0.0, 31.5)
    """

    def __init__(self, family: Family, num_components: int) -> None:
        self._configure(
            family=a_family("family", family), num_components=positive_int("num_components", num_components)
        )

    @property
    def event_size(self) -> int:  # type: ignore[override]
        """The number of dimensions of an event."""
        return self.family.event_size

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return self.num_components * (1 + self.family.params_size)

    @property
    def is_continuous(self) -> bool:  # type: ignore[override]
        """Whether events have a density in every dimension."""
        return self.family.is_continuous

    @property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale of each dimension of the events: the components' own."""
        return self.family.units

    @property
    def continuous(self) -> np.ndarray:
        """Which dimensions of an event have a density: the components' own."""
        return self.family.continuous

    @property
    def floors(self) -> np.ndarray:
        """The floor of each dimension's scale: the components' own."""
        return self.family.floors

    # ------------------------------------------------------------------ layout

    def _table(self, xp: Any, params: Any) -> tuple[Any, Any]:
        """Return the logits `(*batch, K)` and the components' parameters `(*batch, P, K)`."""
        logits, table = cut(xp, params, [self.num_components])
        return logits, xp.reshape(
            table, (*xp.shape(params)[:-1], self.family.params_size, self.num_components)
        )

    def _split(self, xp: Any, params: Any) -> tuple[Any, Any]:
        """Return the logits `(*batch, K)` and the components' parameters `(*batch, K, P)`."""
        logits, table = self._table(xp, params)
        return logits, xp.swapaxes(table, -1, -2)

    def _split_weights(self, xp: Any, params: Any) -> tuple[Any, Any]:
        """Return the weights `(*batch, K)` and the components' parameters `(*batch, K, P)`."""
        logits, components = self._split(xp, params)
        # Keras' softmax warns of an axis of size 1, which a single component has.
        return xp.exp(xp.log_softmax(logits, axis=-1)), components

    def _rows(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log weights `(rows, K)` and the components' parameters `(rows, K, P)` of a flat batch."""
        logits, components = self._split(host, params.reshape(-1, self.params_size))
        return host.log_softmax(logits, axis=-1), components

    def _flattened(self, log_weights: np.ndarray, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read mixtures of mixtures `(rows, K)` as mixtures of all their components."""
        logits, inner = self._split(host, components)
        log_weights = log_weights[..., None] + host.log_softmax(logits, axis=-1)
        rows = len(components)
        return log_weights.reshape(rows, -1), inner.reshape(rows, -1, self.family.params_size)

    def _of(self, logits: np.ndarray, components: Distribution) -> Distribution:
        """Return the mixture of bound components `(*batch, K)`."""
        shape = (*np.broadcast_shapes(logits.shape, components.batch_shape), components.family.params_size)
        return Mixture(components.family, self.num_components)(
            table_of(logits, np.broadcast_to(components.params, shape))
        )

    def _part(self, name: str, params: np.ndarray) -> tuple[Family, np.ndarray]:
        logits, components = self._split(host, params)
        part, own = self.family._part(name, components)
        return Mixture(part, self.num_components), table_of(logits, own)

    def _events_of(self, name: str) -> slice:
        return self.family._events_of(name)

    def _standardised(self, xp: Any, y: Any) -> Any:
        return self.family._standardised(xp, y)

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        logits, table = cut(xp, params, [self.num_components])
        return xp.concatenate([logits, self.family._relocated(xp, table, by, parts)], axis=-1)

    # ------------------------------------------------------------------ densities

    def _joint(self, xp: Any, params: Any, y: Any) -> Any:
        """Return log pi_k + log p_k(y), `(*batch, K)`."""
        logits, table = cut(xp, params, [self.num_components])
        return xp.log_softmax(logits, axis=-1) + self.family._log_probs(xp, table, y)

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        return logsumexp(xp, self._joint(xp, params, y))

    def _joint_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        """Return log pi_k + log P_k(lower < Y <= upper), `(*batch, K)`."""
        logits, components = self._split(xp, params)
        bounds = lower[..., None, :], upper[..., None, :]
        return xp.log_softmax(logits, axis=-1) + self.family._log_interval(xp, components, *bounds)

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        return logsumexp(xp, self._joint_interval(xp, params, lower, upper))

    def responsibilities(self, params: Array, y: Array) -> Array:
        r"""Return each component's share in the density at y, `(*batch, num_components)`.

        $$\gamma_k = \frac{\pi_k p_k(y)}{\sum_j \pi_j p_j(y)}$$ (Bishop 1994, eq. 30)
        """
        xp, params, y = self._read(params, y)
        return xp.exp(xp.log_softmax(self._joint(xp, params, y), axis=-1))

    # ------------------------------------------------------------------ samples

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        sampler = for_one(sampler)
        logits, table = self._table(xp, params)
        choices, events = source.split(2)
        picked = choices.pick(draws, logits, sampler.weights, table)
        y = self.family._sample(xp, picked, events, sampler, ())
        if self.num_components == 1 or xp is host:
            return y
        if self.event_size == 1 and self.is_continuous and is_plain(sampler):
            return reparameterised(self, params, y)
        # The chosen component's own gradient would leave out how the choice depends on the parameters.
        return ops.stop_gradient(y)

    # ------------------------------------------------------------------ fitted to events alone

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        sizes, clusters = zip(*events.clusters(self.num_components, rng), strict=True)
        logits = np.log(np.array(sizes) + 1.0) - math.log(len(events.rows) + self.num_components)
        return table_of(logits, np.stack([self.family._fit(cluster, rng) for cluster in clusters]))

    # ------------------------------------------------------------------ components and moments

    def weights(self, params: Array) -> Array:
        """Return the mixture weights, `(*batch, num_components)`."""
        return self._split_weights(*self._read(params))[0]

    def means(self, params: Array) -> Array:
        """Return the components' means, `(*batch, num_components, event_size)`."""
        xp, params = self._read(params)
        return self.family._mean(xp, self._split(xp, params)[1])

    def scales(self, params: Array) -> Array:
        """Return the components' standard deviations, `(*batch, num_components, event_size)`."""
        xp, params = self._read(params)
        return xp.sqrt(self.family._variance(xp, self._split(xp, params)[1]))

    def covariances(self, params: Array) -> Array:
        """Return the components' covariances, `(*batch, num_components, event_size, event_size)`."""
        xp, params = self._read(params)
        return self.family._covariance(xp, self._split(xp, params)[1])

    def _mean(self, xp: Any, params: Any) -> Any:
        weights, components = self._split_weights(xp, params)
        return weighted(xp, weights[..., None], self.family._mean(xp, components), axis=-2)

    def _variance(self, xp: Any, params: Any) -> Any:
        weights, components, deviation = self._deviations(xp, params)
        within = self.family._variance(xp, components)
        return weighted(xp, weights[..., None], within + xp.square(deviation), axis=-2)

    def _covariance(self, xp: Any, params: Any) -> Any:
        weights, components, deviation = self._deviations(xp, params)
        within = self.family._covariance(xp, components)
        between = deviation[..., :, None] * deviation[..., None, :]
        return weighted(xp, weights[..., None, None], within + between, axis=-3)

    def _deviations(self, xp: Any, params: Any) -> tuple[Any, Any, Any]:
        """Return weights, components' parameters, and their means less the mixture's, `(*batch, K, D)`."""
        weights, components = self._split_weights(xp, params)
        means = self.family._mean(xp, components)
        mean = weighted(xp, weights[..., None], means, axis=-2)
        return weights, components, means - mean[..., None, :]

    def entropy(self, params: Array) -> Array:
        r"""Return the entropy in nats, computed with NumPy, `(*batch,)`.

        A mixture's entropy $-\int p \log p$ has no closed form, except where events are few (`Categorical`,
        one `Bernoulli`). In one dimension it is computed by quadrature between the components' quantiles, to
        1e-6. In several it is the mean of $-\log p$ over 4096 samples drawn with seed 0: the standard error
        is the standard deviation of $\log p$, about $\sqrt{D / 2}$, divided by 64.
        """
        return super().entropy(params)

    def _entropy(self, xp: Any, params: Any) -> Any:
        if self.num_components == 1:
            return self.family._entropy(xp, self._split(xp, params)[1][..., 0, :])
        array = host.as_array(params)
        entropy = self.family._mixture_entropy(*self._rows(array))
        if entropy is None:
            entropy = self._integrated_entropy(array.reshape(-1, self.params_size))
        entropy = entropy.reshape(array.shape[:-1])
        return entropy if xp is host else ops.convert_to_tensor(entropy, dtype=params.dtype)

    def _mixture_entropy(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray | None:
        return self.family._mixture_entropy(*self._flattened(log_weights, components))

    def _integrated_entropy(self, params: np.ndarray) -> np.ndarray:
        """Return the entropy of rows: by quadrature in one dimension, by samples in several."""
        if self.event_size > 1 or not self.is_continuous:
            return host.in_pieces(self._entropy_by_samples, ENTROPY_SAMPLES * self.params_size, params)
        work = self._edges(params[:1]).size * len(NODES) * self.params_size
        return host.in_pieces(self._entropy_by_quadrature, work, params)

    def _entropy_by_quadrature(self, params: np.ndarray) -> np.ndarray:
        def surprise(y: np.ndarray) -> np.ndarray:
            log_p = self._log_prob(host, params[:, None], y[..., None])
            return -np.exp(log_p) * np.maximum(log_p, -1e6)

        edges = np.sort(self._edges(params), axis=-1)
        step = 1 + 2**23 // (params.size * len(NODES))
        starts = range(0, edges.shape[-1] - 1, step)
        return sum(integrate(host, surprise, edges[:, start : start + step + 1]) for start in starts)

    def _entropy_by_samples(self, params: np.ndarray) -> np.ndarray:
        return -self._log_prob(host, params, self(params).sample(ENTROPY_SAMPLES, seed=0)).mean(axis=0)

    def _edges(self, params: np.ndarray) -> np.ndarray:
        components = self._split(host, params)[1]
        return self.family._edges(components).reshape(*params.shape[:-1], -1)

    def mode(self, params: Array) -> np.ndarray:
        """Return the event of highest density, in float64, `(*batch, event_size)`.

        The best of the maxima that ascent reaches from the components' centres and from where two of them
        cross, at most one start for each component that is the tallest somewhere (see `modes.py`).
        """
        xp, params = self._read(host.as_array(params))
        if self.num_components == 1:
            return self.family.mode(self._split(xp, params)[1][..., 0, :])
        return self.family._mixture_mode(*self._rows(params)).reshape(*params.shape[:-1], self.event_size)

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        return self.family._mixture_mode(*self._flattened(log_weights, components))

    # ------------------------------------------------------------------ one-dimensional events

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        weights, components = self._split_weights(xp, params)
        return xp.sum(weights * self.family._cdf(xp, components, y[..., None, :]), axis=-1)

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        weights, components = self._split_weights(xp, params)
        return xp.sum(weights * self.family._sf(xp, components, y[..., None, :]), axis=-1)

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        """A search between the smallest and the largest of the components' own quantiles."""
        bounds = self.family._quantile(self._split(host, params)[1], q[..., None], upper)
        return invert(self, params, q, bounds.min(axis=-1), bounds.max(axis=-1), upper)

    # ------------------------------------------------------------------ several dimensions

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the mixture of the components' marginals, with the same weights."""
        xp, params = self._read(host.as_array(params))
        logits, components = self._split(xp, params)
        return self._of(logits, self.family.marginal(components, dims))

    def condition(self, params: Array, dims: int | Sequence[int], values: Array) -> Distribution:
        """Return the mixture of the components' conditionals.

        Each weight is multiplied by that component's marginal density at `values`, in log space.
        """
        xp, params = self._read(host.as_array(params))
        logits, components = self._split(xp, params)
        _, _, values = observed(dims, values, self.event_size)
        values = values[..., None, :]
        evidence = self.family.marginal(components, dims).log_prob(values)
        return self._of(
            host.log_softmax(logits, axis=-1) + evidence, self.family.condition(components, dims, values)
        )


def weighted(xp: Any, weights: Any, values: Any, axis: int) -> Any:
    """Return the weighted sum of values, even infinite ones where a weight is zero."""
    return xp.sum(weights * xp.where(weights > 0, values, 0.0), axis=axis)


def table_of(logits: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Return parameters from logits `(*batch, K)` and the components' parameters `(*batch, K, P)`."""
    table = np.concatenate([logits[..., None], components], axis=-1)
    return np.swapaxes(table, -1, -2).reshape(*logits.shape[:-1], table.shape[-2] * table.shape[-1])
