"""Paths as moves, and back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mixtura.data.sequences import Sequences, read_sequences, require


def read_paths(path: Path) -> Sequences:
    """Return the positions `(steps, 2)` of the paths in a file.

    Raises:
        InputError: if the file cannot be read or its events are not (x, y).
    """
    positions = read_sequences(path)
    require(positions, event_size=2, what=str(path))
    return positions


def origin_of(positions: Sequences) -> np.ndarray:
    """Return the start of a path, of all starts the one nearest to their mean: it lies on the data's grid."""
    starts = positions.data[positions.offsets[:-1]]
    return starts[np.square(starts - starts.mean(axis=0)).sum(axis=1).argmin()].astype(float)


def moves_of(positions: Iterable[np.ndarray], origin: np.ndarray) -> Sequences:
    """Return paths as events (dx, dy, last), the first move being the one from the origin."""
    events = []
    for one in positions:
        moves = np.diff(one, axis=0, prepend=origin[None])
        last = np.arange(len(moves)) == len(moves) - 1
        events.append(np.concatenate([moves, last[:, None]], axis=1, dtype=np.float32))
    return Sequences.of(events)


def positions_of(moves: Iterable[np.ndarray], origin: np.ndarray) -> list[np.ndarray]:
    """Return the positions `(steps, 2)` that moves lead to."""
    return [origin + np.cumsum(one[:, :2], axis=0, dtype=float) for one in moves]
