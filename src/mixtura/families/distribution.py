"""A family with its parameters bound: what people look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mixtura.families import host
from mixtura.families.base import Family, probabilities
from mixtura.families.draws import ArrayDraws
from mixtura.families.host import as_array
from mixtura.sampling import Samplers, resolve

# Samples are drawn in pieces of about this many numbers, so that memory holds little beside the result.
PIECE = 2**20


class Distribution:
    """A batch of distributions: a family's methods with the parameters bound.

    Everything is computed with NumPy in float64, whatever the network computed in, and samples too are the
    same on every backend.

    Args:
        family: how the parameters are read.
        params: raw activations, `(*batch, family.params_size)`: a tensor, an array or a list.

    Raises:
        ValueError: if the parameters' last axis has another size.

    Example:
        >>> import mixtura as mx
        >>> p = mx.Normal(1)([[0.0, 0.0], [3.0, 1.0]])  # two rows: N(0, 1) and N(3, 2^2)
        >>> p.interval(0.9)[0].round(3)
        array([[-1.645],
               [-0.29 ]])
        >>> p.sample(1000, seed=0).shape
        (1000, 2, 1)
    """

    def __init__(self, family: Family, params: Any) -> None:
        self.family = family
        _, self.params = family._read(as_array(params))

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The shape of the batch: `()` for a single distribution."""
        return self.params.shape[:-1]

    @property
    def event_size(self) -> int:
        """The number of dimensions of an event."""
        return self.family.event_size

    def __len__(self) -> int:
        if not self.batch_shape:
            raise TypeError("a single distribution has no length")
        return self.batch_shape[0]

    def __getitem__(self, index: Any) -> Distribution:
        """Return some rows (`p[0]`, `p[:10]`, `p[mask]`) or one part of a `Joint` (`p["end"]`)."""
        if isinstance(index, str):
            return Distribution(*self.family._part(index, self.params))
        if not self.batch_shape:
            raise TypeError("a single distribution cannot be indexed")
        rows = np.arange(np.prod(self.batch_shape)).reshape(self.batch_shape)[index]
        return Distribution(self.family, self.params.reshape(-1, self.params.shape[-1])[rows])

    def __repr__(self) -> str:
        rows = "x".join(map(str, self.batch_shape)) or "one"
        return f"<{rows} of {self.family!r}{describe(self)}>"

    # ------------------------------------------------------------------ densities

    def log_prob(self, y: Any = None, *, lower: Any = None, upper: Any = None) -> np.ndarray:
        """Return the log density at `y` `(*batch, event_size)`, in nats: `(*batch,)`.

        With bounds in place of `y`: log P(lower < Y <= upper), as in `Family.log_prob`.
        """
        y, lower, upper = (None if value is None else as_array(value) for value in (y, lower, upper))
        return self.family.log_prob(self.params, y, lower=lower, upper=upper)

    def responsibilities(self, y: Any) -> np.ndarray:
        """Return each mixture component's share in the density at y, `(*batch, num_components)`."""
        return self.family.responsibilities(self.params, as_array(y))

    # ------------------------------------------------------------------ samples

    def sample(
        self,
        n: int,
        seed: int | None = None,
        sampler: Samplers | None = None,
        temperature: float | None = None,
    ) -> np.ndarray:
        """Draw `n` events from each row, `(n, *batch, event_size)`.

        Args:
            n: how many.
            seed: an int for the same draws every time, None for fresh ones.
            sampler: as in `Family.sample`.
            temperature: as in `Family.sample`.
        """
        if isinstance(n, bool) or not hasattr(n, "__index__") or n < 0:
            raise ValueError(f"n must be a whole number, 0 or more; received {n!r}")
        rows = max(1, math.prod(self.batch_shape))
        piece = max(1, PIECE // (rows * (self.event_size + self.family.params_size)))
        source, sampler = ArrayDraws(seed), resolve(sampler, temperature)
        out = np.empty((n, *self.batch_shape, self.event_size))
        for start in range(0, n, piece):
            draws = (min(piece, n - start),)
            out[start : start + piece] = self.family._sample(host, self.params, source, sampler, draws)
        return out

    # ------------------------------------------------------------------ moments

    def mean(self) -> np.ndarray:
        """Return the mean, `(*batch, event_size)`."""
        return self.family.mean(self.params)

    def variance(self) -> np.ndarray:
        """Return the variance of each dimension, `(*batch, event_size)`."""
        return self.family.variance(self.params)

    def covariance(self) -> np.ndarray:
        """Return the covariance matrix, `(*batch, event_size, event_size)`."""
        return self.family.covariance(self.params)

    def entropy(self) -> np.ndarray:
        """Return the entropy in nats, `(*batch,)`."""
        return self.family.entropy(self.params)

    def mode(self) -> np.ndarray:
        """Return the event of highest density, `(*batch, event_size)`."""
        return self.family.mode(self.params)

    # ------------------------------------------------------------------ one-dimensional events

    def cdf(self, y: Any) -> np.ndarray:
        """Return P(Y <= y) of a one-dimensional event, `(*batch,)`."""
        return self.family.cdf(self.params, as_array(y))

    def sf(self, y: Any) -> np.ndarray:
        """Return P(Y > y), exact in the upper tail, `(*batch,)`."""
        return self.family.sf(self.params, as_array(y))

    def quantile(self, q: Any) -> np.ndarray:
        """Return inf{y : cdf(y) >= q} of a one-dimensional event, `(*batch, 1)`.

        Args:
            q: probabilities that broadcast against `batch`: a number, one per row, or, for several
                levels of every row, a column such as `[[0.05], [0.95]]`, which gives `(2, *batch, 1)`.

        Raises:
            ValueError: if a probability is outside [0, 1] or the shapes do not broadcast.
        """
        return self.family.quantile(self.params, self._probabilities("q", q))

    def isf(self, q: Any) -> np.ndarray:
        """Return inf{y : sf(y) <= q}: the quantile of 1 - q without its rounding, `(*batch, 1)`."""
        return self.family.isf(self.params, self._probabilities("q", q))

    def interval(self, level: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the central interval that holds `level` of the probability."""
        return self.family.interval(self.params, self._probabilities("level", level))

    def _probabilities(self, name: str, value: Any) -> np.ndarray:
        value = probabilities(name, value)
        try:
            np.broadcast_shapes(value.shape, self.batch_shape)
        except ValueError:
            raise ValueError(
                f"{name} of shape {value.shape} does not fit a batch of shape {self.batch_shape}; "
                f"for several levels of every row give a column, {name}[:, None]"
            ) from None
        return value

    # ------------------------------------------------------------------ several dimensions

    def marginal(self, dims: int | Sequence[int]) -> Distribution:
        """Return the distribution of some dimensions, in the order given."""
        return self.family.marginal(self.params, dims)

    def condition(self, dims: int | Sequence[int], values: Any) -> Distribution:
        """Return the distribution of the other dimensions, given `values` `(*batch, len(dims))`."""
        return self.family.condition(self.params, dims, values)

    # ------------------------------------------------------------------ components

    @property
    def weights(self) -> np.ndarray:
        """A mixture's weights, `(*batch, num_components)`."""
        return self.family.weights(self.params)

    @property
    def means(self) -> np.ndarray:
        """A mixture's component means, `(*batch, num_components, event_size)`."""
        return self.family.means(self.params)

    @property
    def scales(self) -> np.ndarray:
        """A mixture's component standard deviations, `(*batch, num_components, event_size)`."""
        return self.family.scales(self.params)

    @property
    def covariances(self) -> np.ndarray:
        """A mixture's component covariances, `(*batch, num_components, event_size, event_size)`."""
        return self.family.covariances(self.params)

    # ------------------------------------------------------------------ pictures and words

    def plot(self, axes: Any = None, rows: int = 5) -> Any:
        """Draw the densities: curves for one dimension, shades for two (of the first row).

        Args:
            axes: matplotlib axes to draw on; new ones by default.
            rows: at most so many rows are drawn.

        Returns:
            The axes.
        """
        from mixtura.drawing import densities

        return densities(self, axes, rows)


def describe(p: Distribution) -> str:
    """Return what a single distribution of a few numbers looks like, for its `repr`."""
    if p.batch_shape or p.event_size > 3:
        return ""
    try:
        weights, means, scales = p.weights, p.means, p.scales
    except NotImplementedError:
        weights = means = scales = np.empty((0, 0, 0))
    if weights.ndim == 1 and len(weights) <= 6:
        parts = zip(weights, means, scales, strict=True)
        listed = (f"{100 * weight:.3g} % at {_spread(mean, scale)}" for weight, mean, scale in parts)
        return f": {', '.join(listed)}"
    try:
        return f": {_spread(p.mean(), np.sqrt(p.variance()))}"
    except NotImplementedError:
        return ""


def _spread(mean: np.ndarray, scale: np.ndarray) -> str:
    return f"{_numbers(mean)} ± {_numbers(scale)}"


def _numbers(values: np.ndarray) -> str:
    text = ", ".join(f"{value:.3g}" for value in values)
    return text if len(values) == 1 else f"({text})"
