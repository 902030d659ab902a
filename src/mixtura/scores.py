"""Scores of predicted distributions against what happened. All are averages over rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import erf

from mixtura.families import Distribution
from mixtura.families.host import as_array


def negative_log_likelihood(p: Distribution, y: Any) -> float:
    """Return the mean of -log p(y), in nats: lower is better, in the units of y, and it can be negative."""
    return -float(np.mean(p.log_prob(y)))


def crps(p: Distribution, y: Any) -> float:
    r"""Return the mean continuous ranked probability score of mixtures of normals, in the units of y.

    $$\mathrm{CRPS} = \sum_k \pi_k A(y - \mu_k, \sigma_k)
      - \tfrac12 \sum_{k,l} \pi_k \pi_l A\bigl(\mu_k - \mu_l, \sqrt{\sigma_k^2 + \sigma_l^2}\bigr)$$

    with $A(d, s) = E\,|d + s\,\varepsilon| = 2 s\,\phi(d/s) + d\,(2\Phi(d/s) - 1)$ for a standard normal
    $\varepsilon$ (Grimit et al. 2006, eq. 5). For a point prediction it is the absolute error.

    Args:
        p: predictions with one-dimensional events and normal components, `(*batch,)`.
        y: what happened, `(*batch, 1)`.
    """
    if p.event_size != 1:
        raise NotImplementedError(
            f"crps needs a one-dimensional event; {p!r} has events of size {p.event_size}"
        )
    weights, means, scales = p.weights, p.means[..., 0], p.scales[..., 0]
    near = np.sum(weights * _mean_distance(as_array(y) - means, scales), axis=-1)
    spread = np.zeros(near.shape)
    for k in range(weights.shape[-1]):  # a loop over one index keeps memory at rows x components
        pairs = _mean_distance(means - means[..., [k]], np.hypot(scales, scales[..., [k]]))
        spread += weights[..., k] * np.sum(weights * pairs, axis=-1)
    return float(np.mean(near - 0.5 * spread))


def _mean_distance(distance: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the expectation of |distance + scale * noise|."""
    z = distance / scale
    return scale * math.sqrt(2 / math.pi) * np.exp(-0.5 * z**2) + distance * erf(z / math.sqrt(2))


def root_mean_squared_error(p: Distribution, y: Any) -> float:
    """Return the root mean squared distance from the predicted means to y."""
    return float(np.sqrt(np.mean((p.mean() - as_array(y)) ** 2)))


def interval_coverage(p: Distribution, y: Any, level: float) -> float:
    """Return the share of y inside the central interval that holds `level` of the probability."""
    tail = (1 - level) / 2
    return float(np.mean((p.cdf(y) >= tail) & (p.sf(y) >= tail)))
