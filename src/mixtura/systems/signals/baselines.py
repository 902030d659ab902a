"""Linear autoregression: what signals were modelled with before networks, and what a network has to beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import lfilter
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture

ORDERS = (1, 2, 4, 8, 16, 32, 64)
MEMORIES = (3, 5, 10, 30, 100)  # of the adaptive spread, in samples
COMPONENTS, ROWS_FITTED = 5, 100_000
FIT = 1 << 16  # samples in one piece of the normal equations


@dataclass(frozen=True)
class Linear:
    r"""A linear prediction $\hat y_t = m + \sum_i a_i (y_{t-i} - m)$.

    Attributes:
        mean: m.
        coefficients: a, `(p,)`, the last event's first.
    """

    mean: float
    coefficients: np.ndarray

    def errors(self, signal: np.ndarray) -> np.ndarray:
        """Return by how much each value of `(length,)` misses its prediction; m lies before the first."""
        return lfilter(
            np.concatenate([[1.0], -self.coefficients]), 1.0, signal.astype(np.float64) - self.mean
        )


def fit_linear(signals: Sequence[np.ndarray], order: int) -> Linear:
    """Fit a linear prediction by least squares; its first `order` targets in each signal are left out."""
    mean = float(np.mean(np.concatenate(signals), dtype=np.float64))
    products = np.zeros((order + 1, order + 1))
    for signal in signals:
        centred = signal.astype(np.float64) - mean
        for start in range(0, len(centred) - order, FIT):
            piece = centred[start : start + FIT + order]
            lags = np.lib.stride_tricks.sliding_window_view(piece, order + 1)
            products += lags.T @ lags
    # A window's last value is the target. Least norm, for signals that are constant.
    solved = np.linalg.lstsq(products[:-1, :-1], products[:-1, -1], rcond=None)[0]
    return Linear(mean, solved[::-1])


@dataclass(frozen=True)
class Noise:
    r"""What is left, as a mixture of normals, in units of a spread $s_t$ that may follow the errors.

    $$p(e_t) = \sum_k w_k\, \mathcal{N}(e_t \mid s_t m_k,\ s_t^2 v_k), \qquad
      s_t^2 = f^2 + r_t, \qquad r_t = \lambda r_{t-1} + (1 - \lambda)\, e_{t-1}^2$$

    or $s_t = 1$ where `memory` is 0.

    Attributes:
        weights: w, `(K,)`.
        means: m.
        variances: v.
        memory: $1 / (1 - \lambda)$, in samples; 0 for a spread that does not change.
        floor: f, in the signal's units.
        start: $r_0$.
    """

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    memory: float = 0.0
    floor: float = 0.0
    start: float = 0.0

    def spread(self, errors: np.ndarray) -> np.ndarray:
        """Return s for the errors of one signal, `(length,)`; it depends on earlier errors only."""
        if not self.memory:
            return np.ones_like(errors)
        keep = 1 - 1 / self.memory
        squares = np.concatenate([[self.start], (1 - keep) * errors[:-1] ** 2])
        return np.sqrt(self.floor**2 + lfilter([1.0], [1.0, -keep], squares))

    def log_density(self, errors: np.ndarray, spread: np.ndarray | float = 1.0) -> np.ndarray:
        """Return the log density of errors, given their spread."""
        u = (errors / spread)[..., None]
        terms = np.log(self.weights) - 0.5 * np.log(2 * np.pi * self.variances)
        return logsumexp(terms - 0.5 * (u - self.means) ** 2 / self.variances, axis=-1) - np.log(spread)


def fit_noise(errors: Sequence[np.ndarray], components: int, memory: float, floor: float, seed: int) -> Noise:
    """Fit the mixture by expectation-maximisation, to at most 100 000 errors drawn at random."""
    start = float(np.mean(np.concatenate(errors) ** 2))
    empty = Noise(np.ones(1), np.zeros(1), np.ones(1), memory, floor, start)
    scaled = np.concatenate([one / empty.spread(one) for one in errors])
    rng = np.random.default_rng(seed)
    scaled = rng.choice(scaled, min(ROWS_FITTED, len(scaled)), replace=False)
    unit = scaled.std() or 1.0
    mixture = GaussianMixture(components, reg_covar=1e-4, random_state=seed, init_params="k-means++")
    mixture.fit(scaled[:, None] / unit)
    variances = mixture.covariances_[:, 0, 0] * unit**2
    if not memory:
        variances = np.maximum(variances, floor**2)
    return replace(empty, weights=mixture.weights_, means=mixture.means_[:, 0] * unit, variances=variances)


@dataclass(frozen=True)
class Autoregression:
    """A linear prediction and the distribution of what it leaves."""

    linear: Linear
    noise: Noise

    def nll(self, signal: np.ndarray, step: float, draws: int = 8, seed: int = 0) -> np.ndarray:
        """Return the negative log-likelihood of every value of a signal, `(length,)`, in nats.

        Values are dequantised as in `mixtura.scores.dequantised_nll`, what they are predicted from is not.
        """
        errors = self.linear.errors(signal)
        own = self.noise.spread(errors)
        rng = np.random.default_rng(seed)
        total = np.zeros(len(errors))
        for _ in range(draws if step else 1):
            total -= self.noise.log_density(errors + step * rng.uniform(-0.5, 0.5, len(errors)), own)
        return total / (draws if step else 1)


def fit_autoregressions(
    training: Sequence[np.ndarray], validation: Sequence[np.ndarray], step: float, seed: int = 0
) -> dict[str, Autoregression]:
    r"""Return three linear autoregressions, of the orders and memories that are best on validation signals.

    What is left is described by one normal; by a mixture of five; and by a mixture of five in units of the
    errors' recent spread, an autoregression with changing variance (after Engle 1982), of the second's order.

    Args:
        training: `(length,)` each.
        validation: the same.
        step: the recording step; over $\sqrt{12}$ it is the floor of every scale.
        seed: of the mixtures.
    """
    floor = step / np.sqrt(12) or 1e-3 * float(np.std(np.concatenate(training)))

    def fitted(linear: Linear, components: int, memory: float = 0.0) -> Autoregression:
        errors = [linear.errors(one)[len(linear.coefficients) :] for one in training]
        return Autoregression(linear, fit_noise(errors, components, memory, floor, seed))

    def best(models: Iterable[Autoregression]) -> Autoregression:
        return min(models, key=lambda model: np.mean(np.concatenate([model.nll(v, 0.0) for v in validation])))

    shortest = min(map(len, training))
    lines = [fit_linear(training, order) for order in ORDERS if order < max(2, shortest / 4)]
    normal = best(fitted(linear, 1) for linear in lines)
    mixture = best(fitted(linear, COMPONENTS) for linear in lines)
    adaptive = best(fitted(mixture.linear, COMPONENTS, memory) for memory in MEMORIES)
    return {"normal": normal, "mixture": mixture, "adaptive": adaptive}
