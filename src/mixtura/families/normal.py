"""The normal distribution: spherical, diagonal or full covariance, or the papers' bivariate form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import keras
import numpy as np
from scipy.special import erfcinv

from mixtura.families import host, modes
from mixtura.families.base import Array, Family
from mixtura.families.checks import dimensions, floors, observed, one_of, positive_int
from mixtura.families.cholesky import coefficients_of, colour, whiten
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events, units
from mixtura.families.scale import (
    SCALE_ACTIVATIONS,
    ScaleActivation,
    activation_of,
    log_scale,
    smallest_scale,
)
from mixtura.families.special import HALF_LOG_2PI, LARGEST_Z, bounded, log_ndtr_interval, softplus
from mixtura.families.tables import add_rows, cut, move_first_rows, rows_of
from mixtura.sampling import Samplers, for_one

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution

CovarianceType = Literal["spherical", "diagonal", "full", "bivariate"]

# Beyond, not even float64 tells rho = tanh(a) from 1, and sinh(a) times a large z would leave float32.
LARGEST_RHO_ACTIVATION = 20.0


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

    "bivariate" is the form of Graves (2013, eqs. 24 and 25) and Sketch-RNN, for two dimensions:
    $\sigma_1$ and $\sigma_2$ are the marginal standard deviations and $\rho = \tanh(a)$. It is read as the
    same factor, with $\varphi = \sinh(a)$ and conditional scale $\sigma_2 / \cosh(a)$, so that
    $1 - \rho^2 = 1 / \cosh^2(a)$ is never computed by subtraction.

    Parameters, in this order on the last axis: `event_size` means; the scale activations (one if
    spherical, else `event_size`); for full covariance the `event_size (event_size - 1) / 2` regression
    coefficients $\varphi_{10}, \varphi_{20}, \varphi_{21}, \dots$ row by row, for bivariate covariance $a$.

    Args:
        event_size: the number of dimensions of an event.
        covariance: "spherical" (one scale), "diagonal", "full" or "bivariate".
        scale: the activation that makes scales positive: "elu" (ELU + 1), "softplus" or "exp".
        min_scale: a floor added to every scale, in the event's units; one number, or one for each dimension.
            Recorded data lie on grids, where a likelihood can grow without bound; a floor of half the
            recording step prevents it. For bivariate covariance it bounds the marginal scales only; $|\rho|$
            can still approach 1.

    Raises:
        ValueError: for a non-positive `event_size`, an unknown option, a `min_scale` that is negative or of
            another size (a spherical normal has one), or bivariate covariance of other than two dimensions.

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
        min_scale: float | Sequence[float] = 0.0,
    ) -> None:
        size = positive_int("event_size", event_size)
        self._configure(
            event_size=size,
            covariance=one_of("covariance", covariance, get_args(CovarianceType)),
            scale=one_of("scale", scale, SCALE_ACTIVATIONS),
            min_scale=floors(min_scale, 1 if covariance == "spherical" else size),
        )
        if covariance == "bivariate" and self.event_size != 2:
            raise ValueError(f"bivariate covariance needs event_size=2; received {event_size!r}")

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        size = self.event_size
        scales = 1 if self.structure == "spherical" else size
        return size + scales + (size * (size - 1) // 2 if self._is_correlated else 0)

    @property
    def structure(self) -> CovarianceType:
        """The covariance's structure, as given to the constructor."""
        return dict(self._config)["covariance"]

    @property
    def _is_correlated(self) -> bool:
        return self.structure in ("full", "bivariate")

    def _split(self, xp: Any, params: Any, columns: int = 1) -> tuple[Any, Any, Any]:
        """Return means, log (conditional) scales and coefficients, flat tables of so many columns."""
        size = self.event_size * columns
        scales_end = size + (columns if self.structure == "spherical" else size)
        mean, activation, coefficients = cut(xp, params, [size, scales_end])
        log_sigma = log_scale(xp, activation, self.scale, self._floor(columns))
        if self.structure == "spherical":
            log_sigma = xp.concatenate([log_sigma] * self.event_size, axis=-1)
        elif self.structure == "bivariate":
            a = xp.clip(coefficients, -LARGEST_RHO_ACTIVATION, LARGEST_RHO_ACTIVATION)
            # log cosh(a), without overflow.
            log_cosh = softplus(xp, -2 * a) + a - math.log(2)
            first, second = rows_of(xp, log_sigma, 2)
            log_sigma = xp.concatenate([first, second - log_cosh], axis=-1)
            coefficients = 0.5 * (xp.expm1(a) - xp.expm1(-a))  # sinh(a), with its digits near 0
        return mean, log_sigma, coefficients

    def _floor(self, columns: int = 1) -> Any:
        """Return the floor of all scales, or those of a flat table of scales."""
        return np.repeat(self.min_scale, columns) if isinstance(self.min_scale, tuple) else self.min_scale

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        return move_first_rows(xp, params, by, params.shape[-1] // self.params_size)

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        return self._log_probs(xp, params, y)[..., 0]

    def _log_probs(self, xp: Any, table: Any, y: Any) -> Any:
        columns = table.shape[-1] // self.params_size
        mean, log_sigma, coefficients = self._split(xp, table, columns)
        y = xp.repeat(y, columns, axis=-1) if columns > 1 else y
        z = (y - mean) * xp.exp(-log_sigma)
        if self._is_correlated:
            z = whiten(xp, coefficients, z, columns)
        # Not clip, whose gradient costs JAX two divisions; the sign is squared away.
        z = xp.where(xp.absolute(z) > LARGEST_Z, LARGEST_Z, z)
        terms = 0.5 * xp.square(z) + log_sigma
        return -add_rows(xp, terms, self.event_size) - self.event_size * HALF_LOG_2PI

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        if self._is_correlated and self.event_size > 1:
            return self._log_marginal(xp, params, lower, upper)
        lower, upper = bounded(xp, lower), bounded(xp, upper)
        return xp.sum(self._log_intervals(xp, params, lower, upper, upper - lower), axis=-1)

    def _log_marginal(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        """Return the log density of the dimensions whose bounds coincide; the others' bounds are infinite.

        Each row of the root is made orthogonal to those of the observed dimensions before it: what is left
        is the dimension's noise given those. (A Cholesky factor of the observed block would square it.)
        """
        missing = (lower == -math.inf) & (upper == math.inf)
        if xp is host and not (missing | (lower == upper)).all():
            raise self._cannot("log_prob of an interval", "diagonal covariance")
        mean, log_sigma, coefficients = self._split(xp, params)
        root = xp.exp(log_sigma)[..., None] * xp.swapaxes(self._inverse(xp, coefficients), -1, -2)
        observed = xp.cast(~missing, mean.dtype)
        distance = xp.where(missing, 0.0, xp.where(missing, mean, lower) - mean)
        directions: list[Any] = []
        scores: list[Any] = []
        total = 0.0
        for d in range(self.event_size):
            row, left = root[..., d, :], distance[..., d]
            for direction, score in zip(directions, scores, strict=True):
                shared = xp.sum(row * direction, axis=-1)
                row, left = row - shared[..., None] * direction, left - shared * score
            log_noise = 0.5 * xp.log(xp.sum(xp.square(row), axis=-1))
            score = xp.clip(left * xp.exp(-log_noise), -LARGEST_Z, LARGEST_Z) * observed[..., d]
            directions.append(row * (xp.exp(-log_noise) * observed[..., d])[..., None])
            scores.append(score)
            total = total - 0.5 * xp.square(score) - (log_noise + HALF_LOG_2PI) * observed[..., d]
        return total

    def _log_intervals(self, xp: Any, params: Any, lower: Any, upper: Any, width: Any) -> Any:
        """Return each dimension's log probability, or its log density where the width is 0."""
        if self._is_correlated and self.event_size > 1:
            raise self._cannot("log_prob of an interval", "diagonal covariance")
        mean, log_sigma, _ = self._split(xp, params)
        lower, upper, width = (bounded(xp, bound) for bound in (lower, upper, width))
        inverse = xp.exp(-log_sigma)
        low, high = (lower - mean) * inverse, (upper - mean) * inverse
        z = xp.clip(xp.where(width == 0, low, 0.0), -LARGEST_Z, LARGEST_Z)
        density = -0.5 * xp.square(z) - log_sigma - HALF_LOG_2PI
        return xp.where(width == 0, density, log_ndtr_interval(xp, low, high, width * inverse))

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        mean, log_sigma, coefficients = self._split(xp, params)
        noise = source.normal((*draws, *xp.shape(mean)), mean)
        if self._is_correlated:
            noise = colour(xp, coefficients, noise)
        return mean + xp.exp(log_sigma) * (noise * for_one(sampler).scale)

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        unit, constant = units(events.everyone)

        def covariance(y: np.ndarray) -> np.ndarray:
            """Return the covariance in everyone's units; constant dimensions have a variance of 1."""
            u = np.where(constant, 0.0, (y - y.mean(axis=0)) / unit)
            return u.T @ u / len(u) + np.diag(constant.astype(float))

        pooled = events.pooled(covariance(events.rows), covariance(events.everyone) / events.parts**2)
        sigma, coefficients = unit * np.sqrt(np.diagonal(pooled)), np.empty(0)
        if self.structure == "spherical":
            # One scale for all: a constant dimension has a say only where there is no other.
            varying = ~constant if not constant.all() else constant
            sigma = np.sqrt(np.sum(np.square(sigma[varying]), keepdims=True) / self.event_size)
        elif self._is_correlated:
            # One more row, which has no correlations.
            share = len(events.rows) / (len(events.rows) + 1)
            correlated = share * pooled + (1 - share) * np.diag(np.diagonal(pooled))
            root = unit[:, None] * np.linalg.cholesky(correlated)
            if self.structure == "bivariate":
                coefficients = np.arctanh(root[1:, 0] / sigma[1])
            else:
                sigma, coefficients = self._factor(root)
        mean = events.rows.mean(axis=0)
        return np.concatenate([mean, activation_of(np.log(sigma), self.scale, self._floor()), coefficients])

    def _factor(self, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return conditional scales, none below the smallest, and the coefficients of a Cholesky factor.

        The scales are the diagonal. Raised only when they become activations, they would stretch the whole
        rows, since coefficients have no units.
        """
        smallest = smallest_scale(self._floor())
        root = root + np.diag(np.maximum(smallest - np.diagonal(root), 0.0))
        log_sigma, coefficients = coefficients_of(root)
        return np.exp(log_sigma), coefficients

    def _mean(self, xp: Any, params: Any) -> Any:
        return xp.copy(params[..., : self.event_size])

    def _variance(self, xp: Any, params: Any) -> Any:
        _, log_sigma, coefficients = self._split(xp, params)
        variance = xp.exp(2 * log_sigma)
        if self._is_correlated:
            variance = variance * xp.sum(xp.square(self._inverse(xp, coefficients)), axis=-2)
        return variance

    def _covariance(self, xp: Any, params: Any) -> Any:
        _, log_sigma, coefficients = self._split(xp, params)
        sigma = xp.exp(log_sigma)
        correlation = xp.eye(self.event_size, dtype=params.dtype)
        if self._is_correlated:
            inverse = self._inverse(xp, coefficients)
            correlation = xp.matmul(xp.swapaxes(inverse, -1, -2), inverse)
        return sigma[..., :, None] * correlation * sigma[..., None, :]

    def _inverse(self, xp: Any, coefficients: Any) -> Any:
        """Return the transpose of T's inverse, `(*batch, D, D)`: row k is the response to noise k."""
        size = self.event_size
        unit = xp.eye(size, dtype=coefficients.dtype)
        noise = xp.broadcast_to(unit, (*xp.shape(coefficients)[:-1], size, size))
        return colour(xp, coefficients[..., None, :], noise)

    def _entropy(self, xp: Any, params: Any) -> Any:
        _, log_sigma, _ = self._split(xp, params)
        return xp.sum(log_sigma, axis=-1) + self.event_size * (0.5 + HALF_LOG_2PI)

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        if components.shape[1] == 1:  # also where no digit of the precision is left
            return components[:, 0, : self.event_size].copy()
        return modes.of_normals(log_weights, *self._whiteners(components))

    def _whiteners(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return means `(*batch, D)` and matrices W `(*batch, D, D)` with standard normal (y - mean) @ W."""
        mean, log_sigma, coefficients = self._split(host, params)
        columns = np.eye(self.event_size) * np.exp(-log_sigma)[..., None]
        if self._is_correlated:
            columns = whiten(host, coefficients[..., None, :], columns)
        return mean, columns

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._tail(xp, params, y, sign=-1)

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._tail(xp, params, y, sign=1)

    def _tail(self, xp: Any, params: Any, y: Any, sign: int) -> Any:
        mean, log_sigma, _ = self._split(xp, params)
        z = (y - mean) * xp.exp(-log_sigma)
        return 0.5 * xp.erfc(sign / math.sqrt(2) * z[..., 0])

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        mean, log_sigma, _ = self._split(host, params)
        sign = 1 if upper else -1
        return mean[..., 0] + np.exp(log_sigma[..., 0]) * (sign * math.sqrt(2) * erfcinv(2 * q))

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the normal of some dimensions: the rows and columns of mean and covariance."""
        _, params = self._read(host.as_array(params))
        kept = dimensions("dims", dims, self.event_size)
        return self._from_moments(self.mean(params)[..., kept], self._root(params)[..., kept, :])

    def condition(self, params: Array, dims: int | Sequence[int], values: Array) -> Distribution:
        r"""Return the normal of the other dimensions given `values` of some.

        $$\mu_{a|b} = \mu_a + \Sigma_{ab} \Sigma_{bb}^{-1} (y_b - \mu_b), \qquad
          \Sigma_{a|b} = \Sigma_{aa} - \Sigma_{ab} \Sigma_{bb}^{-1} \Sigma_{ba}$$

        computed by an orthogonal factorisation, in which no covariance is squared or subtracted.
        """
        _, params = self._read(host.as_array(params))
        known, rest, values = observed(dims, values, self.event_size)
        mean, root = self.mean(params), self._root(params)
        given = values - mean[..., known]
        # Rows of the root are dimensions. Rotate it so that only the first len(known) sources of noise
        # reach the known dimensions: those are then determined, the others are what remains.
        rotation, triangle = np.linalg.qr(np.swapaxes(root[..., known, :], -1, -2), mode="complete")
        triangle = np.swapaxes(triangle[..., : len(known), :], -1, -2)
        source = np.linalg.solve(triangle, given[..., None])
        rotated = root[..., rest, :] @ rotation
        explained, left = rotated[..., : len(known)], rotated[..., len(known) :]
        return self._from_moments(mean[..., rest] + (explained @ source)[..., 0], left)

    def _root(self, params: np.ndarray) -> np.ndarray:
        """Return L with covariance L L^T, `(*batch, D, D)`."""
        _, log_sigma, coefficients = self._split(host, params)
        root = (
            np.swapaxes(self._inverse(host, coefficients), -1, -2)
            if self._is_correlated
            else np.eye(self.event_size)
        )
        return np.exp(log_sigma)[..., None] * root

    def _from_moments(self, mean: np.ndarray, root: np.ndarray) -> Distribution:
        """Return the normal with this mean and a covariance of `root @ root.T`, in full form."""
        family = Normal(mean.shape[-1], "full" if self._is_correlated else "diagonal", scale="exp")
        log_sigma, coefficients = coefficients_of(root)
        parts = [mean, log_sigma, coefficients][: 3 if self._is_correlated else 2]
        shape = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
        return family(np.concatenate([np.broadcast_to(p, (*shape, p.shape[-1])) for p in parts], axis=-1))
