"""What a session is like: how often values repeat, how many controls move at once, how fast events come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def moved_at_once(sessions: Iterable[np.ndarray]) -> np.ndarray:
    """Return how many controls moved in each event after the first of its session, `(rows,)`."""
    return np.concatenate([(np.diff(one[:, :-1], axis=0) != 0).sum(axis=1) for one in sessions])


def statistics(sessions: list[np.ndarray]) -> dict[str, Any]:
    """Return numbers by which real and generated sessions compare.

    Args:
        sessions: `(n, controls + 1)` each, on the grid of the recording.
    """
    controls = sessions[0].shape[1] - 1
    moved = moved_at_once(sessions)
    steps = np.concatenate([np.diff(one[:, :-1], axis=0).ravel() for one in sessions])
    dt = np.concatenate([one[1:, -1] for one in sessions])
    ends = np.concatenate([one[:, :-1].ravel() for one in sessions])
    return {
        "events": len(moved),
        "repeats": float((steps == 0).mean()),
        "moved_at_once": (np.bincount(moved, minlength=controls + 1) / len(moved)).tolist(),
        "mean_move": float(np.abs(steps[steps != 0]).mean()) if steps.any() else 0.0,
        "at_an_end": float(((ends == 0) | (ends == 1)).mean()),
        "dt_quantiles": dict(zip(map(str, QUANTILES), np.quantile(dt, QUANTILES).tolist(), strict=True)),
    }
