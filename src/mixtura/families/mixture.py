"""Mixtures: a weighted sum of members of one family."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from mixtura.families.base import Array, Family, a_family, positive_int
from mixtura.families.host import as_array
from mixtura.families.inversion import invert_tail
from mixtura.families.seeds import split_seed


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

    def _split(self, xp: Any, params: Any) -> tuple[Any, Any]:
        """Return the logits `(*batch, K)` and the components' parameters `(*batch, K, P)`."""
        table = xp.reshape(params, (*xp.shape(params)[:-1], 1 + self.family.params_size, self.num_components))
        return table[..., 0, :], xp.swapaxes(table[..., 1:, :], -1, -2)

    def _split_weights(self, xp: Any, params: Any) -> tuple[Any, Any]:
        """Return the weights `(*batch, K)` and the components' parameters `(*batch, K, P)`."""
        logits, components = self._split(xp, params)
        # Keras' softmax warns of an axis of size 1, which a single component has.
        return xp.exp(xp.log_softmax(logits, axis=-1)), components

    def log_prob(self, params: Array, y: Array) -> Array:
        """Return the log density of the mixture, `(*batch,)`."""
        xp, params, y = self._read(params, y)
        logits, components = self._split(xp, params)
        log_probs = self.family.log_prob(components, y[..., None, :])
        return xp.logsumexp(xp.log_softmax(logits, axis=-1) + log_probs, axis=-1)

    def sample(self, params: Array, seed: Any = None) -> Array:
        """Draw one event for each row: a component by its weight, then an event of that component."""
        xp, params = self._read(keras.ops.convert_to_tensor(params))
        weights, components = self._split_weights(xp, params)
        choice_seed, event_seed = split_seed(seed, 2)
        # Inverting the cumulative weights takes one uniform number a row, where Gumbel noise would take K.
        # Dividing by the last makes it exactly 1, so that a component of weight zero is never drawn.
        cumulative = xp.cumsum(weights, axis=-1)
        cumulative = cumulative[..., :-1] / cumulative[..., -1:]
        uniform = keras.random.uniform((*xp.shape(params)[:-1], 1), dtype=params.dtype, seed=choice_seed)
        chosen = xp.sum(xp.cast(uniform >= cumulative, "int32"), axis=-1)
        picked = xp.take_along_axis(components, chosen[..., None, None], axis=-2)[..., 0, :]
        return self.family.sample(picked, event_seed)

    def weights(self, params: Array) -> Array:
        """Return the mixture weights, `(*batch, num_components)`."""
        xp, params = self._read(params)
        return self._split_weights(xp, params)[0]

    def means(self, params: Array) -> Array:
        """Return the components' means, `(*batch, num_components, event_size)`."""
        xp, params = self._read(params)
        return self.family.mean(self._split(xp, params)[1])

    def scales(self, params: Array) -> Array:
        """Return the components' standard deviations, `(*batch, num_components, event_size)`."""
        xp, params = self._read(params)
        return xp.sqrt(self.family.variance(self._split(xp, params)[1]))

    def covariances(self, params: Array) -> Array:
        """Return the components' covariances, `(*batch, num_components, event_size, event_size)`."""
        xp, params = self._read(params)
        return self.family.covariance(self._split(xp, params)[1])

    def mean(self, params: Array) -> Array:
        """Return the mean: the weighted mean of the components' means, `(*batch, event_size)`."""
        xp, params = self._read(params)
        return xp.sum(self.weights(params)[..., None] * self.means(params), axis=-2)

    def variance(self, params: Array) -> Array:
        """Return the variance: within components plus between their means, `(*batch, event_size)`."""
        xp, params = self._read(params)
        weights, components, deviation = self._deviations(xp, params)
        within = self.family.variance(components)
        return xp.sum(weights[..., None] * (within + xp.square(deviation)), axis=-2)

    def covariance(self, params: Array) -> Array:
        """Return the covariance matrix, `(*batch, event_size, event_size)`."""
        xp, params = self._read(params)
        weights, components, deviation = self._deviations(xp, params)
        between = deviation[..., :, None] * deviation[..., None, :]
        return xp.sum(weights[..., None, None] * (self.family.covariance(components) + between), axis=-3)

    def _deviations(self, xp: Any, params: Any) -> tuple[Any, Any, Any]:
        """Return weights, components' parameters, and their means less the mixture's, `(*batch, K, D)`."""
        weights, components = self._split_weights(xp, params)
        means = self.family.mean(components)
        mean = xp.sum(weights[..., None] * means, axis=-2, keepdims=True)
        return weights, components, means - mean

    def cdf(self, params: Array, y: Array) -> Array:
        """Return the distribution function of a one-dimensional mixture, `(*batch,)`."""
        return self._weigh("cdf", params, y)

    def sf(self, params: Array, y: Array) -> Array:
        """Return the survival function of a one-dimensional mixture, `(*batch,)`."""
        return self._weigh("sf", params, y)

    def _weigh(self, method: str, params: Array, y: Array) -> Array:
        self._univariate(method)
        xp, params, y = self._read(params, y)
        weights, components = self._split_weights(xp, params)
        values = getattr(self.family, method)(components, y[..., None, :])
        return xp.sum(weights * values, axis=-1)

    def quantile(self, params: Array, q: Array) -> np.ndarray:
        """Return inf{y : cdf(y) >= q} of a one-dimensional mixture, `(*batch, 1)`, in float64.

        It lies between the smallest and the largest of the components' own quantiles; a bracketing root
        finder narrows that interval to a relative width of 1e-15. In a gap of the density, where the
        distribution function is flat, the left edge is returned.
        """
        return self._invert("quantile", params, q)

    def isf(self, params: Array, q: Array) -> np.ndarray:
        """Return inf{y : sf(y) <= q} of a one-dimensional mixture, `(*batch, 1)`, in float64."""
        return self._invert("isf", params, q)

    def _invert(self, method: str, params: Array, q: Array) -> np.ndarray:
        self._univariate(method)
        xp, params = self._read(as_array(params))
        q = as_array(q)
        components = self._split(xp, params)[1]
        bounds = getattr(self.family, method)(components, q[..., None])[..., 0]
        return invert_tail(self, method, params, q, bounds.min(axis=-1), bounds.max(axis=-1))[..., None]
