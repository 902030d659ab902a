"""The logit-normal distribution: quantities between two ends whose logit is normal."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from mixtura.families.base import Family
from mixtura.families.checks import finite
from mixtura.families.normal import CovarianceType, Normal
from mixtura.families.quadrature import normal_expectation
from mixtura.families.scale import ScaleActivation
from mixtura.families.special import softplus
from mixtura.families.transformed import TransformedNormal


@keras.saving.register_keras_serializable(package="mixtura")
class LogitNormal(TransformedNormal):
    r"""A logit-normal distribution on an interval: $x = \log\frac{y - low}{high - y}$ is normal.

    $$\log p(y) = \log N(x; \mu, \Sigma) - \sum_d \log \frac{(y_d - low)(high - y_d)}{high - low},
      \qquad low < y < high$$

    For positions on a screen, shares, percentages. The parameters are those of
    `Normal(event_size, covariance)`, read for x. The density is zero at both ends: recorded values that lie
    on an end are moved inwards by half a recording step before training. Mean, variance and entropy have no
    closed form and are computed by quadrature, to 1e-10 in float64.

    Args:
        event_size: the number of dimensions of an event.
        low: the lower end, for all dimensions.
        high: the upper end.
        covariance: of x, as in `Normal`.
        scale: the activation that makes scales positive, as in `Normal`.
        min_scale: a floor added to every scale of x.

    Raises:
        ValueError: as `Normal` does, and if `low` is not below `high` or an end is not finite.

    Reference: Aitchison, J. & Shen, S. M. (1980), Logistic-normal distributions, Biometrika 67.

    Example:
        >>> import mixtura as mx
        >>> p = mx.LogitNormal(low=0.0, high=10.0)([0.0, 0.0])  # the logit has mean 0 and scale 1
        >>> p.quantile(0.5), p.mean().round(6)
        (array([5.]), array([5.]))
    """

    def __init__(
        self,
        event_size: int = 1,
        low: float = 0.0,
        high: float = 1.0,
        covariance: CovarianceType = "diagonal",
        scale: ScaleActivation = "elu",
        min_scale: float = 0.0,
    ) -> None:
        normal = Normal(event_size, covariance, scale, min_scale)
        low, high = finite("low", low), finite("high", high)
        if low >= high:
            raise ValueError(f"low must be below high; received low={low:g} and high={high:g}")
        options = normal.get_config()
        self._configure(event_size=options.pop("event_size"), low=low, high=high, **options)
        self._transform(normal, low, high)

    def _like(self, normal: Any) -> Family:
        return LogitNormal(normal.event_size, self.low, self.high, normal.structure, normal.scale)

    def _outward(self, xp: Any, x: Any) -> Any:
        # From the nearer end, so that y keeps its digits there.
        # (Not the absolute value, whose slope at 0 is 0.)
        share = xp.exp(-softplus(xp, xp.where(x < 0, -x, x))) * (self.high - self.low)
        return xp.where(x < 0, self.low + share, self.high - share)

    def _inward(self, xp: Any, y: Any) -> Any:
        return xp.log(y - self.low) - xp.log(self.high - y)

    def _inward_width(self, xp: Any, lower: Any, upper: Any) -> Any:
        width = upper - lower
        return xp.log1p(width / (lower - self.low)) + xp.log1p(width / (self.high - upper))

    def _log_slope(self, xp: Any, x: Any) -> Any:
        return math.log(self.high - self.low) - softplus(xp, x) - softplus(xp, -x)

    def _slope_of_log_slope(self, x: np.ndarray) -> np.ndarray:
        return -np.tanh(0.5 * x)

    def _mean(self, xp: Any, params: Any) -> Any:
        below, share, _ = self._from_nearer_end(xp, params)
        distance = share * (self.high - self.low)
        return xp.where(below, self.low + distance, self.high - distance)

    def _variance(self, xp: Any, params: Any) -> Any:
        _, share, expectation = self._from_nearer_end(xp, params)
        share = share[..., None]
        variance = expectation(lambda x: xp.square(xp.exp(-softplus(xp, -x)) - share))
        return variance * (self.high - self.low) ** 2

    def _from_nearer_end(self, xp: Any, params: Any) -> tuple[Any, Any, Any]:
        """Look from the nearer end, where differences keep their digits.

        Returns:
            Where that is the lower end; y's mean distance from it, as a share of the width; and how to take
            the expectation of a function of that share's logit.
        """
        mu, sigma = self._normal._mean(xp, params), xp.sqrt(self._normal._variance(xp, params))
        below = mu < 0
        mirrored = xp.where(below, mu, -mu)

        def expectation(f: Any) -> Any:
            return normal_expectation(xp, f, mirrored, sigma)

        return below, expectation(lambda x: xp.exp(-softplus(xp, -x))), expectation

    def _covariance(self, xp: Any, params: Any) -> Any:
        if self._normal._is_correlated and self.event_size > 1:
            raise self._cannot("covariance", "the covariance of samples")
        return super()._covariance(xp, params)

    def _entropy(self, xp: Any, params: Any) -> Any:
        _, _, expectation = self._from_nearer_end(xp, params)
        slope = expectation(lambda x: self._log_slope(xp, x))  # the same seen from either end
        return self._normal._entropy(xp, params) + xp.sum(slope, axis=-1)
