"""The baseline: n-grams with interpolated, modified Kneser-Ney smoothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize


class KneserNey:
    r"""An n-gram model over whole numbers, in which shorter contexts stand in for rare longer ones.

    With the context h, h' the same without its first symbol, and c the counts,

    $$p_k(w \mid h)
        = \frac{\max(c(hw) - d_k(c(hw)), 0) + p_{k-1}(w \mid h') \sum_v d_k(c(hv))}{\sum_v c(hv)}$$

    and $p_k = p_{k-1}$ where h was never seen; $p_0 = 1 / V$. Below the highest order, c counts the different
    symbols that precede hw. The discounts $d_k(1), d_k(2), d_k(3+)$ are those that predict the validation
    sequences best. A sequence is preceded by start symbols, which are no part of the alphabet.

    Args:
        training: sequences of numbers from 0 to `num_symbols` - 1.
        validation: the same; the discounts are fitted to them.
        num_symbols: V.
        order: n; 3 is a trigram model.

    Raises:
        ValueError: for an order below 1, or one whose n-grams have no 64-bit numbers.

    Reference: Chen, S. F. & Goodman, J. (1999), An empirical study of smoothing techniques for language
    modeling, Computer Speech and Language 13, section 3 (equations for interpolated modified Kneser-Ney).
    """

    def __init__(
        self,
        training: Sequence[np.ndarray],
        validation: Sequence[np.ndarray],
        num_symbols: int,
        order: int = 3,
    ) -> None:
        if order < 1 or order * np.log2(num_symbols + 1) > 63:
            raise ValueError(
                f"order must be from 1 to {int(63 / np.log2(num_symbols + 1))}; received {order}"
            )
        self.num_symbols, self.order = num_symbols, order
        grams = np.concatenate([self._grams(one) for one in training])
        self._tables = [_Table(*self._counts(grams, size), num_symbols + 1) for size in range(1, order + 1)]
        self.discounts = np.full((order, 3), 0.75)
        self._fit(np.concatenate([self._grams(one) for one in validation]))

    def nll(self, sequence: np.ndarray) -> np.ndarray:
        """Return minus the log of the probability of each symbol given all before it, in nats."""
        return -np.log(self._probability(self._found(self._grams(sequence)), self.discounts))

    def _grams(self, sequence: np.ndarray) -> np.ndarray:
        """Return the n-gram that each symbol ends, `(length, n)`."""
        start = np.full(self.order - 1, self.num_symbols)
        padded = np.concatenate([start, np.asarray(sequence)]).astype(np.int64)
        return np.lib.stride_tricks.sliding_window_view(padded, self.order)

    def _codes(self, grams: np.ndarray, size: int) -> np.ndarray:
        """Return one number for the last `size` symbols of each n-gram."""
        base = self.num_symbols + 1
        return grams[:, grams.shape[1] - size :] @ base ** np.arange(size - 1, -1, -1, dtype=np.int64)

    def _counts(self, grams: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the different grams of a size, and how often each counts."""
        if size == self.order:
            return np.unique(self._codes(grams, size), return_counts=True)
        longer = np.unique(self._codes(grams, size + 1))
        return np.unique(longer % (self.num_symbols + 1) ** size, return_counts=True)

    def _found(self, grams: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        return [table.find(self._codes(grams, size)) for size, table in enumerate(self._tables, 1)]

    def _probability(self, found: list[tuple[np.ndarray, ...]], discounts: np.ndarray) -> np.ndarray:
        p = np.full(len(found[0][0]), 1 / self.num_symbols)
        for (count, total, classes), discount in zip(found, discounts, strict=True):
            kept = np.maximum(count - np.append(0.0, discount)[np.minimum(count, 3)], 0)
            p = np.where(total > 0, (kept + classes @ discount * p) / np.maximum(total, 1), p)
        return p

    def _fit(self, grams: np.ndarray) -> None:
        found = self._found(grams)

        def loss(discounts: np.ndarray) -> float:
            return float(-np.log(self._probability(found, discounts.reshape(-1, 3))).mean())

        # A discount above the count that it is taken from would leave more than all of the probability.
        bounds = [(0.01, upper - 0.01) for upper in (1, 2, 3)] * self.order
        best = minimize(loss, self.discounts.ravel(), method="L-BFGS-B", bounds=bounds)
        self.discounts = best.x.reshape(-1, 3)


class _Table:
    """The grams of one size and their counts; of each context the total, and how many count 1, 2, 3+."""

    def __init__(self, codes: np.ndarray, counts: np.ndarray, base: int) -> None:
        self.codes, self.counts, self.base = codes, counts, base
        self.contexts, place = np.unique(codes // base, return_inverse=True)
        self.totals = np.bincount(place, weights=counts)
        self.classes = np.zeros((len(self.contexts), 3))
        np.add.at(self.classes, (place, np.minimum(counts, 3) - 1), 1)

    def find(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return for each gram its count, and its context's total and classes; 0 for unseen ones."""
        own, known = _place(self.codes, codes)
        context, seen = _place(self.contexts, codes // self.base)
        return (
            np.where(known, self.counts[own], 0),
            np.where(seen, self.totals[context], 0.0),
            np.where(seen[:, None], self.classes[context], 0.0),
        )


def _place(table: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each wanted number is in a sorted table, and whether it is there at all."""
    place = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return place, table[place] == wanted
