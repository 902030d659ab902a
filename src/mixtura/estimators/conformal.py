"""Intervals that keep their promise: distributional conformal prediction."""

from __future__ import annotations

import math

import numpy as np

from mixtura.families import Distribution


def tails(p: Distribution, y: np.ndarray) -> np.ndarray:
    """Return the probability beyond each outcome, on the side where there is less, `(rows,)`."""
    events = y[:, None]
    return np.minimum(p.cdf(events), p.sf(events))


def conformal_tail(calibration: np.ndarray, level: float) -> np.ndarray:
    """Return the tail to leave on both sides so that an interval holds a new outcome, one per output.

    A new row's tail is equally likely to have any rank among those of the calibration rows, so it is below
    the k-th smallest of n with a probability of at most k / (n + 1).

    Args:
        calibration: what `tails` returned for rows that were not trained on, `(rows, outputs)`.
        level: the probability that is promised.
    """
    # Rounded, because (n + 1)(1 - 0.9) is 0.99... for n = 9.
    rank = math.floor(round((len(calibration) + 1) * (1 - level), 9))
    rank = min(rank, len(calibration))
    return np.sort(calibration, axis=0)[rank - 1] if rank else np.zeros(calibration.shape[1])
