"""What held-out rows say of one-dimensional predictions: calibration, gaps, components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binom

from mixtura.families import Distribution

CONFIDENCE = 0.95  # of every band
SIMULATED = 2000  # data sets that a calibrated model could have met
GAP = 10.0


@dataclass(frozen=True)
class Cells:
    r"""Where what happened lies in the predicted distributions: the PIT, without its random part.

    A value recorded in steps of $\delta$ stands for its cell, which takes up the probabilities from
    $F(y - \delta/2)$ to $F(y + \delta/2)$; it counts in parts where a threshold cuts the cell (Czado,
    Gneiting & Held 2009, eq. 2). Without steps both ends are F(y).

    Attributes:
        low: the lower ends, `(rows,)`.
        high: the upper ends.
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, p: Distribution, y: np.ndarray, step: float) -> Cells:
        """Locate events `(rows, 1)` in predictions `(rows,)`."""
        low, high = p.cdf(y - 0.5 * step), p.cdf(y + 0.5 * step)
        return cls(low, np.maximum(low, high))

    def below(self, q: np.ndarray) -> np.ndarray:
        """Return each row's part at or below its q-quantile, `(len(q), rows)`."""
        q = np.asarray(q, dtype=np.float64)[:, None]
        width = self.high - self.low
        part = (q - self.low) / np.where(width > 0, width, 1.0)
        return np.where(width > 0, np.clip(part, 0.0, 1.0), self.low <= q)

    def within(self, level: float) -> np.ndarray:
        """Return each row's part inside the central interval of that level, `(rows,)`."""
        lower, upper = self.below(np.array([(1 - level) / 2, (1 + level) / 2]))
        return upper - lower

    def frequencies(self, q: np.ndarray) -> np.ndarray:
        """Return how often what happened is at or below the q-quantile, `(len(q),)`."""
        return np.array([self.below(q[i : i + 1]).mean() for i in range(len(q))])

    def coverage(self, levels: np.ndarray) -> np.ndarray:
        """Return the share of rows inside the central intervals, `(len(levels),)`."""
        return np.array([self.within(level).mean() for level in levels])


@dataclass(frozen=True)
class Band:
    """Where frequencies of a calibrated model lie, all of them at once, in 95 of 100 data sets.

    Attributes:
        low: the lower ends, of the shape of the frequencies.
        high: the upper ends.
    """

    low: np.ndarray
    high: np.ndarray

    def outside(self, frequencies: np.ndarray) -> np.ndarray:
        """Tell which frequencies lie outside, but for roundings."""
        return (frequencies < self.low - 1e-9) | (frequencies > self.high + 1e-9)

    @classmethod
    def cumulative(cls, rows: int, q: np.ndarray, seed: int = 0) -> Band:
        """Return the band of the share of rows at or below each of increasing probabilities q."""
        cells = np.diff(q, prepend=0.0, append=1.0)
        counts = _simulated(rows, cells, seed).cumsum(axis=1)[:, :-1]
        return cls._of(rows, q, counts)

    @classmethod
    def bins(cls, rows: int, count: int, seed: int = 0) -> Band:
        """Return the band of the share of rows in each of so many equal bins."""
        cells = np.full(count, 1 / count)
        return cls._of(rows, cells, _simulated(rows, cells, seed))

    @classmethod
    def _of(cls, rows: int, chance: np.ndarray, counts: np.ndarray) -> Band:
        """Return binomial limits, each so unlikely that 95 % of simulated data sets `(sets, n)` obey all.

        As in Säilynoja, Bürkner & Vehtari (2022), section 2.2, which adjusts the level of pointwise limits.
        """
        tails = np.minimum(binom.cdf(counts, rows, chance), binom.sf(counts - 1, rows, chance))
        tail = np.quantile(tails.min(axis=1), 1 - CONFIDENCE, method="lower")
        # A count whose own tail is exactly the limit belongs to the band.
        low = binom.ppf(tail * (1 - 1e-9), rows, chance)
        high = binom.isf(tail * (1 - 1e-9), rows, chance)
        return cls(low / rows, high / rows)


def _simulated(rows: int, cells: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(rows, cells / cells.sum(), size=SIMULATED)


def usual(rows: int, chance: float) -> tuple[float, float]:
    """Return the shares between which a binomial count of rows lies 95 times out of 100."""
    low, high = binom.interval(CONFIDENCE, rows, chance)
    return float(low / rows), float(high / rows)


def plausible(rows: int, share: float) -> tuple[float, float]:
    """Return the chances that an observed share speaks for: the interval of Clopper & Pearson (1934)."""
    tail, hits = (1 - CONFIDENCE) / 2, share * rows
    low = beta.ppf(tail, hits, rows - hits + 1) if hits > 0 else 0.0
    high = beta.isf(tail, hits + 1, rows - hits) if hits < rows else 1.0
    return float(low), float(high)


def number_of_bins(rows: int) -> int:
    """Return how many bins a histogram of the PIT has: about 20 rows each, from 5 to 20."""
    return int(np.clip(rows // 20, 5, 20))


@dataclass(frozen=True)
class Gaps:
    r"""Rows whose mean lies in a gap: on both sides of it are values ten times as likely.

    $$\min\Bigl(\max_{\mu_k < m} p(\mu_k), \max_{\mu_k > m} p(\mu_k)\Bigr) > 10\, p(m), \qquad m = E[Y]$$

    with the components' means $\mu_k$. Squared error predicts m there, a value that the model calls unlikely.

    Attributes:
        rows: their numbers, the deepest gap first.
        depth: the logarithm of how many times as likely the lower of the two sides is, for those rows.
    """

    rows: np.ndarray
    depth: np.ndarray

    @classmethod
    def of(cls, p: Distribution) -> Gaps:
        """Find the gaps of one-dimensional mixtures `(rows,)`."""
        means, centre = p.means[..., 0], p.mean()
        inside = p.log_prob(centre)
        left, right = np.full(len(p), -np.inf), np.full(len(p), -np.inf)
        for k in range(means.shape[1]):  # one component at a time keeps memory small
            height = p.log_prob(means[:, k : k + 1])
            left = np.where(means[:, k] < centre[:, 0], np.maximum(left, height), left)
            right = np.where(means[:, k] > centre[:, 0], np.maximum(right, height), right)
        depth = np.minimum(left, right) - np.maximum(inside, -1e300)
        rows = np.flatnonzero(depth > np.log(GAP))
        rows = rows[np.argsort(-depth[rows], kind="stable")]
        return cls(rows, depth[rows])


@dataclass(frozen=True)
class Components:
    r"""How much a mixture's components are used.

    Attributes:
        weights: the average weights $\bar\pi_k$ over rows, `(K,)`.
        effective: $\exp(-\sum_k \bar\pi_k \log \bar\pi_k)$, the number in use over all rows, from 1 to K.
        effective_per_row: the same of one row's weights, averaged over rows.
    """

    weights: np.ndarray
    effective: float
    effective_per_row: float

    @classmethod
    def of(cls, p: Distribution) -> Components:
        """Measure the mixtures `(rows,)`."""
        weights = p.weights
        average = weights.mean(axis=0)
        return cls(average, float(_effective(average)), float(_effective(weights).mean()))


def _effective(weights: np.ndarray) -> np.ndarray:
    return np.exp(-np.sum(weights * np.log(np.where(weights > 0, weights, 1.0)), axis=-1))


def is_mixture(p: Distribution) -> bool:
    """Tell whether predictions `(rows,)` of one dimension are mixtures with means of their components."""
    try:
        return p.weights.ndim == 2 and p.weights.shape[1] > 1 and p.means.shape[1:] == (p.weights.shape[1], 1)
    except NotImplementedError:
        return False
