"""Scores of predicted distributions against what happened.

Each takes predictions `p`, a `Distribution` of `(*batch,)`, and events `y`, `(*batch, event_size)`. Each
returns the average over rows, or with `average=False` one value per row, `(*batch,)`, for paired comparisons
and for finding the worst rows. Lower is better for all but `interval_coverage`, which should equal its level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from mixtura.families import Distribution, Family, Mixture, Normal, host
from mixtura.families.affine import without_units
from mixtura.families.base import probabilities
from mixtura.families.host import as_array
from mixtura.families.quadrature import NODES, integrate

Score = Any  # a float, or an array of one value per row with average=False


def negative_log_likelihood(p: Distribution, y: Any, *, average: bool = True) -> Score:
    """Return -log p(y), in nats. It depends on the units of y, and a density's can be negative."""
    return _averaged(-p.log_prob(y), average)


def bits_per_dimension(p: Distribution, y: Any, *, average: bool = True) -> Score:
    """Return the negative log-likelihood in bits, divided by the event's size."""
    return _averaged(-p.log_prob(y) / (p.event_size * math.log(2)), average)


def discretised_log_score(
    p: Distribution, y: Any, step: float | Sequence[float], *, average: bool = True
) -> Score:
    r"""Return minus the log of the probability of the cell around y, per unit of volume, in nats.

    $$-\log \frac{P(y - \delta/2 < Y \le y + \delta/2)}{\prod_d \delta_d}$$

    For targets recorded on a grid of that step. A probability is at most 1, so the score is bounded below
    by the sum of $\log \delta_d$ however sharp the prediction; where densities vary little within a cell
    it equals the negative log-likelihood.

    Args:
        p: predictions.
        y: what was recorded.
        step: the recording step $\delta$, one for all dimensions or one for each; 0 for a dimension that
            is truly continuous, or discrete. Those contribute their density or probability.
        average: whether to average over rows.

    Raises:
        ValueError: for a step that is negative, not finite, or of another shape.
        NotImplementedError: for normals whose dimensions are correlated.
    """
    y, half = _events(p, y), 0.5 * _steps(step, p.event_size)
    lower, upper = y - half, y + half
    width = upper - lower  # the step, as far as float64 can hold it next to y
    volume = np.log(np.where(width > 0, width, 1.0)).sum(axis=-1)
    return _averaged(volume - p.log_prob(lower=lower, upper=upper), average)


def dequantised_nll(
    p: Distribution,
    y: Any,
    step: float | Sequence[float],
    *,
    draws: int = 8,
    seed: int = 0,
    average: bool = True,
) -> Score:
    r"""Return the negative log-likelihood of y plus uniform noise of one step, averaged over draws.

    It is an upper bound on the discretised log score (Theis, van den Oord & Bethge 2016, section 3.1) and
    works for every family.

    Args:
        p: predictions.
        y: what was recorded, on a grid.
        step: the recording step, one for all dimensions or one for each; 0 leaves a dimension as it is.
        draws: how often noise is drawn.
        seed: of the noise.
        average: whether to average over rows.

    Raises:
        ValueError: for a step that is negative, not finite, or of another shape; for no draws.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1; received {draws}")
    y, cell = _events(p, y), _steps(step, p.event_size)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, size=(draws, *y.shape))
    return _averaged(-p.log_prob(y + cell * noise).mean(axis=0), average)


def crps(p: Distribution, y: Any, *, average: bool = True) -> Score:
    r"""Return the continuous ranked probability score, in the units of y.

    $$\mathrm{CRPS} = \int \bigl(F(t) - [t \ge y]\bigr)^2 dt = E|Y - y| - \tfrac12 E|Y - Y'|$$

    (Gneiting & Raftery 2007, eqs. 20 and 21.) For a point prediction it is the absolute error. Mixtures of
    normals have a closed form (see `crps_of_normals`); other families are integrated between their
    components' quantiles, to a relative error of 1e-6 (log-normals up to a scale of 4).

    Raises:
        NotImplementedError: for events of several dimensions; `energy_score` serves those.
    """
    if p.event_size != 1:
        raise NotImplementedError(
            f"crps needs a one-dimensional event; {p!r} has events of size {p.event_size}: use energy_score"
        )
    y = _events(p, y)
    if is_mixture_of_normals(p.family):
        return _averaged(crps_of_normals(host, p.family, p.params, y), average)
    batch = np.broadcast_shapes(p.batch_shape, y.shape[:-1])
    params = np.broadcast_to(p.params, (*batch, p.family.params_size)).reshape(-1, p.family.params_size)
    outcomes = np.broadcast_to(y[..., 0], batch).ravel()
    work = p.family._edges(params[:1]).size * len(NODES) * p.family.params_size
    values = host.in_pieces(partial(_crps_by_quadrature, p.family), work, params, outcomes)
    return _averaged(values.reshape(batch), average)


def is_mixture_of_normals(family: Family) -> bool:
    """Tell whether a family is a normal or a mixture of normals, in whatever units."""
    family = without_units(family)
    if isinstance(family, Mixture):  # a mixture of mixtures is none: its components are not normal
        family = without_units(family.family)
    return isinstance(family, Normal)


def crps_of_normals(xp: Any, family: Family, params: Any, y: Any) -> Any:
    r"""Return the CRPS of one-dimensional mixtures of normals, `(*batch,)`; differentiable on tensors.

    $$\mathrm{CRPS} = \sum_k \pi_k A(y - \mu_k, \sigma_k)
      - \tfrac12 \sum_{k,l} \pi_k \pi_l A\bigl(\mu_k - \mu_l, \sqrt{\sigma_k^2 + \sigma_l^2}\bigr)$$

    with $A(d, s) = E\,|d + s\,\varepsilon| = 2 s\,\phi(d/s) + d\,(2\Phi(d/s) - 1)$ for a standard normal
    $\varepsilon$ (Grimit et al. 2006, eq. 5).
    """
    weights, means, scales = _components(xp, family, params)
    near = xp.sum(weights * _mean_distance(xp, y - means, scales), axis=-1)
    spread = xp.zeros_like(near)
    for k in range(weights.shape[-1]):  # a loop over one index keeps memory at rows x components
        one = slice(k, k + 1)
        distance = _mean_distance(
            xp, means - means[..., one], xp.sqrt(xp.square(scales) + xp.square(scales[..., one]))
        )
        spread = spread + weights[..., k] * xp.sum(weights * distance, axis=-1)
    return near - 0.5 * spread


def energy_score(p: Distribution, y: Any, *, draws: int = 1000, seed: int = 0, average: bool = True) -> Score:
    r"""Return the energy score, the CRPS of several dimensions, in the units of y.

    $$\mathrm{ES} = E\lVert Y - y \rVert - \tfrac12 E\lVert Y - Y' \rVert$$

    (Gneiting & Raftery 2007, eq. 22), estimated without bias from seeded draws: every draw is paired with
    the next one for the second term. Its standard error falls as one over the square root of `draws`.

    Args:
        p: predictions.
        y: what happened.
        draws: how many samples a row, at least 2.
        seed: of the draws.
        average: whether to average over rows.
    """
    if draws < 2:
        raise ValueError(f"draws must be at least 2; received {draws}")
    x = p.sample(draws, seed=seed)
    near = np.linalg.norm(x - _events(p, y), axis=-1).mean(axis=0)
    spread = np.linalg.norm(x - np.roll(x, 1, axis=0), axis=-1).mean(axis=0)
    return _averaged(near - 0.5 * spread, average)


def pit(p: Distribution, y: Any, step: float | Sequence[float] = 0.0, *, seed: int = 0) -> np.ndarray:
    r"""Return the probability integral transform F(y), `(*batch, event_size)`, of each dimension.

    If predictions are calibrated, its values are uniform on [0, 1]. Several dimensions are transformed by
    their marginal distributions. A value recorded in steps of $\delta$ stands for its whole cell: it becomes
    a number drawn uniformly from $F(y - \delta/2)$ to $F(y + \delta/2)$ (Czado, Gneiting & Held 2009, eq. 1).

    Args:
        p: predictions.
        y: what happened.
        step: the recording step, one for all dimensions or one for each; 0 where y is continuous.
        seed: of the draws within cells.

    Raises:
        ValueError: for a step that is negative, not finite, or of another shape.
    """
    y, half = _events(p, y), 0.5 * _steps(step, p.event_size)
    place = np.random.default_rng(seed).uniform(size=np.broadcast_shapes((*p.batch_shape, 1), y.shape))
    values = np.empty(place.shape)
    for d in range(p.event_size):
        one, at = (p if p.event_size == 1 else p.marginal(d)), y[..., d : d + 1]
        low, high = one.cdf(at - half[d]), one.cdf(at + half[d])
        values[..., d] = low + place[..., d] * (high - low)
    return values


def root_mean_squared_error(p: Distribution, y: Any) -> float:
    """Return the root mean squared distance from the predicted means to y."""
    return float(np.sqrt(np.mean((p.mean() - _events(p, y)) ** 2)))


def interval_coverage(p: Distribution, y: Any, level: float, *, average: bool = True) -> Score:
    """Return the share of y inside the central interval that holds `level` of the probability.

    Raises:
        ValueError: for a level outside [0, 1].
        NotImplementedError: for discrete events, whose intervals hold more than `level`, and for events of
            several dimensions.
    """
    if not p.family.is_continuous:
        raise NotImplementedError(f"interval coverage is for continuous events; received {p!r}")
    tail = (1 - probabilities("level", level)) / 2
    return _averaged(((p.cdf(y) >= tail) & (p.sf(y) >= tail)).astype(float), average)


def interval_width(p: Distribution, level: float, *, average: bool = True) -> Score:
    """Return the width of the central interval that holds `level` of the probability, in the units of y."""
    low, high = p.interval(level)
    return _averaged((high - low)[..., 0], average)


def interval_score(p: Distribution, y: Any, level: float, *, average: bool = True) -> Score:
    r"""Return the score of the central interval [l, u] that holds `level` of the probability, in y's units.

    $$(u - l) + \tfrac{2}{\alpha} \max(l - y, 0) + \tfrac{2}{\alpha} \max(y - u, 0),
      \qquad \alpha = 1 - \text{level}$$

    (Gneiting & Raftery 2007, eq. 43.) Narrow intervals are good; each that misses pays for the distance.

    Raises:
        ValueError: for a level outside [0, 1).
        NotImplementedError: for events of several dimensions.
    """
    if not 0 <= level < 1:
        raise ValueError(f"level must lie in [0, 1); received {level!r}")
    y, (low, high) = _events(p, y), p.interval(level)
    missed = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    return _averaged(((high - low) + 2 / (1 - level) * missed)[..., 0], average)


def _events(p: Distribution, y: Any) -> np.ndarray:
    """Return events as an array, or raise: of another size they would broadcast to a wrong number."""
    return p.family._read(p.params, as_array(y))[2]


def _averaged(values: np.ndarray, average: bool) -> Score:
    return float(np.mean(values)) if average else values


def _steps(step: float | Sequence[float], size: int) -> np.ndarray:
    steps = as_array(step)
    if steps.shape not in ((), (size,)) or not (np.isfinite(steps) & (steps >= 0)).all():
        raise ValueError(f"step must be one number, 0 or more, or {size} of them; received {step!r}")
    return np.broadcast_to(steps, (size,))


def _components(xp: Any, family: Family, params: Any) -> tuple[Any, Any, Any]:
    """Return weights, means and scales of a one-dimensional mixture of normals, `(*batch, K)` each."""
    try:
        means, scales = family.means(params)[..., 0], family.scales(params)[..., 0]
    except NotImplementedError:  # a plain normal
        means, scales = family.mean(params), xp.sqrt(family.variance(params))
        return xp.ones_like(means), means, scales
    return family.weights(params), means, scales


def _mean_distance(xp: Any, distance: Any, scale: Any) -> Any:
    """Return the expectation of |distance + scale * noise|."""
    z = distance / scale
    bell = scale * math.sqrt(2 / math.pi) * xp.exp(-0.5 * xp.square(z))
    return bell + distance * xp.erf(z / math.sqrt(2))


def _crps_by_quadrature(family: Family, params: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the CRPS of rows `(rows, params_size)` at outcomes `(rows,)`."""
    edges = np.sort(np.concatenate([family._edges(params), y[:, None]], axis=-1), axis=-1)

    def squared_distance(t: np.ndarray) -> np.ndarray:
        given = params[:, None], t[..., None]
        return np.square(np.where(t < y[:, None], family.cdf(*given), family.sf(*given)))

    return integrate(host, squared_distance, edges)
