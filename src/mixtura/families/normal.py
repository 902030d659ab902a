"""The normal distribution: spherical, diagonal or full covariance."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Literal, get_args

import keras
import numpy as np
from scipy.special import erfcinv

from mixtura.families.base import Array, Family, one_of, positive_int
from mixtura.families.host import as_array
from mixtura.families.scale import SCALE_ACTIVATIONS, ScaleActivation, log_scale
from mixtura.families.seeds import split_seed

# Farther out, the sum of squares of 64 dimensions would overflow float32.
LARGEST_Z = 1e18

CovarianceType = Literal["spherical", "diagonal", "full"]


@keras.saving.register_keras_serializable(package="mixtura")
class Normal(Family):
    r"""A (multivariate) normal distribution.

    $$\log p(y) = -\tfrac12 \lVert z \rVert^2 - \sum_d \log \sigma_d - \tfrac D2 \log 2\pi$$

    with $u = (y - \mu) / \sigma$ and, for spherical and diagonal covariance, $z = u$. For full covariance
    $z_i = u_i - \sum_{j<i} \varphi_{ij} u_j$: each dimension, in units of its scale, is regressed on those
    before it (the modified Cholesky factor; Pourahmadi 1999). So $\Sigma = L L^\top$ with
    $L = \mathrm{diag}(\sigma)\, T^{-1}$, $T$ unit lower triangular holding $-\varphi$. The density needs no
    triangular solve, the $\varphi$ have no units, and $\sigma_d$, the standard deviation of dimension $d$
    given the earlier ones, bounds the density: a floor on it is a floor on every direction. In two
    dimensions the correlation is $\rho = \varphi / \sqrt{1 + \varphi^2}$, which never reaches 1.

    Parameters, in this order on the last axis: `event_size` means; the scale activations (one if
    spherical, else `event_size`); for full covariance the `event_size (event_size - 1) / 2` regression
    coefficients $\varphi_{10}, \varphi_{20}, \varphi_{21}, \dots$ row by row.

    Args:
        event_size: the number of dimensions of an event.
        covariance: "spherical" (one scale), "diagonal" or "full".
        scale: the activation that makes scales positive: "elu" (ELU + 1), "softplus" or "exp".
        min_scale: a floor added to every scale, in the event's units. Recorded data lie on grids, where
            a likelihood can grow without bound; a floor of half the recording step prevents it.

    Raises:
        ValueError: for a non-positive `event_size`, an unknown option or a negative `min_scale`.

    Example:
        >>> import mixtura as mx
        >>> p = mx.Normal(2)([1.0, -1.0, 0.0, 0.0])  # activations of zero are scales of one
        >>> p.mean()
        array([ 1., -1.])
        >>> float(p.log_prob([1.0, -1.0]).round(6))  # -log(2 pi)
        -1.837877
    """

    def __init__(
        self,
        event_size: int = 1,
        covariance: CovarianceType = "diagonal",
        scale: ScaleActivation = "elu",
        min_scale: float = 0.0,
    ) -> None:
        self._configure(
            event_size=positive_int("event_size", event_size),
            covariance=one_of("covariance", covariance, get_args(CovarianceType)),
            scale=one_of("scale", scale, SCALE_ACTIVATIONS),
            min_scale=_floor(min_scale),
        )

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        size = self.event_size
        scales = 1 if self.structure == "spherical" else size
        return size + scales + (size * (size - 1) // 2 if self.structure == "full" else 0)

    @property
    def structure(self) -> str:
        """The covariance's structure, as given to the constructor."""
        return dict(self._config)["covariance"]

    def _split(self, xp: Any, params: Any) -> tuple[Any, Any, Any]:
        """Return means `(*batch, D)`, log scales `(*batch, D)` and coefficients."""
        size = self.event_size
        scales_end = size + (1 if self.structure == "spherical" else size)
        log_sigma = log_scale(xp, params[..., size:scales_end], self.scale, self.min_scale)
        mean = params[..., :size]
        return mean, xp.broadcast_to(log_sigma, xp.shape(mean)), params[..., scales_end:]

    def log_prob(self, params: Array, y: Array) -> Array:
        """Return log N(y; mean, covariance), `(*batch,)`."""
        xp, params, y = self._read(params, y)
        mean, log_sigma, coefficients = self._split(xp, params)
        z = (y - mean) * xp.exp(-log_sigma)
        if self.structure == "full":
            z = _whiten(xp, coefficients, z)
        z = xp.clip(z, -LARGEST_Z, LARGEST_Z)
        return (
            -0.5 * xp.sum(xp.square(z), axis=-1)
            - xp.sum(log_sigma, axis=-1)
            - 0.5 * self.event_size * math.log(2 * math.pi)
        )

    def sample(self, params: Array, seed: Any = None) -> Array:
        """Draw one event for each row, reparameterised: gradients flow into `params`."""
        xp, params = self._read(keras.ops.convert_to_tensor(params))
        mean, log_sigma, coefficients = self._split(xp, params)
        noise = keras.random.normal(xp.shape(mean), dtype=mean.dtype, seed=split_seed(seed, 1)[0])
        if self.structure == "full":
            noise = _colour(xp, coefficients, noise)
        return mean + xp.exp(log_sigma) * noise

    def mean(self, params: Array) -> Array:
        """Return the mean, `(*batch, event_size)`."""
        xp, params = self._read(params)
        return xp.copy(params[..., : self.event_size])

    def variance(self, params: Array) -> Array:
        """Return the marginal variances, `(*batch, event_size)`."""
        xp, params = self._read(params)
        _, log_sigma, coefficients = self._split(xp, params)
        variance = xp.exp(2 * log_sigma)
        if self.structure == "full":
            variance = variance * xp.sum(xp.square(self._inverse(xp, coefficients)), axis=-2)
        return variance

    def covariance(self, params: Array) -> Array:
        """Return the covariance matrix, `(*batch, event_size, event_size)`."""
        xp, params = self._read(params)
        _, log_sigma, coefficients = self._split(xp, params)
        sigma = xp.exp(log_sigma)
        correlation = xp.eye(self.event_size, dtype=params.dtype)
        if self.structure == "full":
            inverse = self._inverse(xp, coefficients)
            correlation = xp.matmul(xp.swapaxes(inverse, -1, -2), inverse)
        return sigma[..., :, None] * correlation * sigma[..., None, :]

    def _inverse(self, xp: Any, coefficients: Any) -> Any:
        """Return the transpose of T's inverse, `(*batch, D, D)`: row k is the response to noise k."""
        size = self.event_size
        unit = xp.eye(size, dtype=coefficients.dtype)
        noise = xp.broadcast_to(unit, (*xp.shape(coefficients)[:-1], size, size))
        return _colour(xp, coefficients[..., None, :], noise)

    def cdf(self, params: Array, y: Array) -> Array:
        """Return the distribution function of a one-dimensional normal, `(*batch,)`."""
        return self._tail("cdf", params, y, sign=-1)

    def sf(self, params: Array, y: Array) -> Array:
        """Return the survival function of a one-dimensional normal, `(*batch,)`."""
        return self._tail("sf", params, y, sign=1)

    def _tail(self, method: str, params: Array, y: Array, sign: int) -> Array:
        self._univariate(method)
        xp, params, y = self._read(params, y)
        mean, log_sigma, _ = self._split(xp, params)
        z = (y - mean) * xp.exp(-log_sigma)
        return 0.5 * xp.erfc(sign * z[..., 0] / math.sqrt(2))

    def quantile(self, params: Array, q: Array) -> np.ndarray:
        """Return the quantile of a one-dimensional normal, `(*batch, 1)`, in float64."""
        return self._inverse_tail("quantile", params, q, sign=-1)

    def isf(self, params: Array, q: Array) -> np.ndarray:
        """Return the inverse survival function of a one-dimensional normal, `(*batch, 1)`, in float64."""
        return self._inverse_tail("isf", params, q, sign=1)

    def _inverse_tail(self, method: str, params: Array, q: Array, sign: int) -> np.ndarray:
        self._univariate(method)
        xp, params = self._read(as_array(params))
        mean, log_sigma, _ = self._split(xp, params)
        return mean + np.exp(log_sigma) * (sign * math.sqrt(2) * erfcinv(2 * as_array(q)))[..., None]


def _floor(value: Any) -> float:
    if not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise ValueError(f"min_scale must be a finite number, 0 or more; received {value!r}")
    return float(value)


def _whiten(xp: Any, coefficients: Any, u: Any) -> Any:
    """Return z with z_i = u_i - sum over j < i of phi_ij u_j."""
    rows, start = [u[..., :1]], 0
    for i in range(1, u.shape[-1]):
        phi = coefficients[..., start : start + i]
        rows.append(u[..., i : i + 1] - xp.sum(phi * u[..., :i], axis=-1, keepdims=True))
        start += i
    return xp.concatenate(rows, axis=-1)


def _colour(xp: Any, coefficients: Any, z: Any) -> Any:
    """Return u with u_i = z_i + sum over j < i of phi_ij u_j: the inverse of `_whiten`."""
    u, start = z[..., :1], 0
    for i in range(1, z.shape[-1]):
        phi = coefficients[..., start : start + i]
        row = z[..., i : i + 1] + xp.sum(phi * u, axis=-1, keepdims=True)
        u = xp.concatenate([u, row], axis=-1)
        start += i
    return u
