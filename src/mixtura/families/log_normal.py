"""The log-normal distribution: positive quantities whose logarithm is normal."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from mixtura.families import host
from mixtura.families.base import Family
from mixtura.families.normal import CovarianceType, Normal
from mixtura.families.scale import ScaleActivation
from mixtura.families.transformed import TransformedNormal


@keras.saving.register_keras_serializable(package="mixtura")
class LogNormal(TransformedNormal):
    r"""A log-normal distribution of positive numbers: $\log y$ is normal.

    $$\log p(y) = \log N(\log y; \mu, \Sigma) - \sum_d \log y_d, \qquad y > 0$$

    For times between events, sizes, prices: what varies by factors. The parameters are those of
    `Normal(event_size, covariance)`, read for $\log y$; so `min_scale` is a relative width (0.01 is 1 %).
    The median is $e^\mu$, the mean $e^{\mu + \sigma^2 / 2}$.

    Args:
        event_size: the number of dimensions of an event.
        covariance: of $\log y$, as in `Normal`.
        scale: the activation that makes scales positive, as in `Normal`.
        min_scale: a floor added to every scale of $\log y$.

    Raises:
        ValueError: as `Normal` does.

    Reference: Johnson, Kotz & Balakrishnan (1994), Continuous Univariate Distributions 1, chapter 14.

    Example:
        >>> import mixtura as mx
        >>> p = mx.LogNormal()([0.0, 0.0])  # the logarithm has mean 0 and scale 1
        >>> p.quantile(0.5), p.mean().round(4)  # exp(0), exp(1/2)
        (array([1.]), array([1.6487]))
    """

    def __init__(
        self,
        event_size: int = 1,
        covariance: CovarianceType = "diagonal",
        scale: ScaleActivation = "elu",
        min_scale: float = 0.0,
    ) -> None:
        normal = Normal(event_size, covariance, scale, min_scale)
        self._configure(**normal.get_config())
        self._transform(normal, 0.0, np.inf)

    def _like(self, normal: Any) -> Family:
        return LogNormal(normal.event_size, normal.structure, normal.scale)

    def _outward(self, xp: Any, x: Any) -> Any:
        return xp.exp(x)

    def _inward(self, xp: Any, y: Any) -> Any:
        return xp.log(y)

    def _inward_width(self, xp: Any, lower: Any, upper: Any) -> Any:
        return xp.log1p((upper - lower) / lower)

    def _log_slope(self, xp: Any, x: Any) -> Any:
        return x

    def _slope_of_log_slope(self, x: np.ndarray) -> np.ndarray:
        return np.ones_like(x)

    def _mean(self, xp: Any, params: Any) -> Any:
        return xp.exp(self._normal._mean(xp, params) + 0.5 * self._normal._variance(xp, params))

    def _variance(self, xp: Any, params: Any) -> Any:
        variance = self._normal._variance(xp, params)
        # expm1(v) as exp(v) (1 - exp(-v)), with the large factor in the one exponential.
        return -xp.exp(2 * (self._normal._mean(xp, params) + variance)) * xp.expm1(-variance)

    def _covariance(self, xp: Any, params: Any) -> Any:
        log_mean = self._normal._mean(xp, params) + 0.5 * self._normal._variance(xp, params)
        covariance = self._normal._covariance(xp, params)
        positive = covariance > 0
        large, small = xp.where(positive, covariance, 0.0), xp.where(positive, -covariance, covariance)
        scale = xp.exp(log_mean[..., :, None] + log_mean[..., None, :] + large)
        return xp.where(positive, -scale, scale) * xp.expm1(small)

    def _mixture_mode(self, log_weights: np.ndarray, components: np.ndarray) -> np.ndarray:
        if components.shape[1] > 1:
            return super()._mixture_mode(log_weights, components)
        row_sums = self._normal._covariance(host, components[:, 0]).sum(axis=-1)
        return host.exp(components[:, 0, : self.event_size] - row_sums)

    def _entropy(self, xp: Any, params: Any) -> Any:
        return self._normal._entropy(xp, params) + xp.sum(self._normal._mean(xp, params), axis=-1)
