"""Ensembles of mixtures, which are mixtures of all members' components."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mixtura.families.affine import Affine, without_units
from mixtura.families.base import Family, a_family
from mixtura.families.checks import positive_int
from mixtura.families.distribution import Distribution
from mixtura.families.mixture import Mixture, weighted
from mixtura.families.special import logsumexp


def ensemble_of(family: Family, num_members: int) -> Family:
    r"""Return the family of an ensemble's prediction: the members' mixture with M times the components.

    $$p(y) = \frac1M \sum_m \sum_k \pi_{mk}\, p_{mk}(y)$$

    Component `m * K + k` is component k of member m.

    Args:
        family: what each member predicts: a `Mixture`, or an `Affine` of one.
        num_members: M.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if it is no mixture, or `num_members` is not a positive integer.
    """
    positive_int("num_members", num_members)
    if isinstance(family, Affine):
        return Affine(ensemble_of(family.family, num_members), family.shift, family.scale)
    if not isinstance(a_family("family", family), Mixture):
        raise ValueError(f"an ensemble is made of mixtures; received {family!r}")
    return Mixture(family.family, num_members * family.num_components)


def num_components(family: Family) -> int:
    """Return the number of components of a mixture, in whatever units."""
    return without_units(family).num_components


def members_log_prob(xp: Any, joint: Any, num_members: int) -> Any:
    """Return each member's log density, `(*batch, M)`, from that of all components, `(*batch, M K)`.

    Args:
        xp: `keras.ops` or its NumPy twin.
        joint: the logs of weight times density, the weights of all components adding up to one.
        num_members: M.
    """
    shape = (*xp.shape(joint)[:-1], num_members, joint.shape[-1] // num_members)
    return logsumexp(xp, xp.reshape(joint, shape)) + math.log(num_members)


def variances(p: Distribution, num_members: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the aleatoric and the epistemic variance of an ensemble's prediction, `(*batch, event_size)`.

    $$\mathrm{Var}(y) = \frac1M \sum_m \mathrm{Var}_m(y)
      + \frac1M \sum_m \bigl(E_m y - \overline{E y}\bigr)^2$$

    What every member says is noise, and how far the members' means lie apart. They add up to `p.variance()`.
    One member has no epistemic variance.
    """
    shape = (*p.batch_shape, num_members, -1)
    weights = p.weights.reshape(shape)
    # 1/M each, but for the rounding of the network's float32.
    shares = weights.sum(axis=-1, keepdims=True)
    means, scales = (part.reshape(*shape, p.event_size) for part in (p.means, p.scales))
    within_member = (weights / shares)[..., None]
    mean = weighted(np, within_member, means, axis=-2)
    noise = weighted(np, within_member, scales**2 + (means - mean[..., None, :]) ** 2, axis=-2)
    apart = (mean - (shares * mean).sum(axis=-2, keepdims=True)) ** 2
    return (shares * noise).sum(axis=-2), (shares * apart).sum(axis=-2)
