"""Sessions of controls: read, cleaned, and the steps that they were recorded in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mixtura.data.control_logs import read_logs
from mixtura.data.sequences import Sequences

LONGEST = 5.0  # seconds that one event may take; a longer pause is nobody playing
FINEST = 1e-6  # seconds: what logs write


def read_sessions(path: Path) -> tuple[Sequences, str]:
    """Read sessions `(x1, ..., xn, dt)`, and say what was cleaned.

    Pauses of more than 5 s become 5 s; a dt of 0 or less, half the step of the times, since simultaneous
    events are less than that apart; values outside [0, 1] move to the nearer end.

    Raises:
        InputError: as `mixtura.data.control_logs.read_logs`.
    """
    found = read_logs(path)
    values, dt = found.data[:, :-1], found.data[:, -1]
    clean = np.clip(found.data, 0.0, [1.0] * values.shape[1] + [LONGEST])
    clean[:, -1] = np.maximum(clean[:, -1], 0.5 * time_step(dt))
    outside = int(((values < 0) | (values > 1)).any(axis=1).sum())
    what = (
        f"of {len(dt)} events in {len(found)} sessions, {int((dt > LONGEST).sum())} had a dt above "
        f"{LONGEST:g} s, {int((dt <= 0).sum())} one of 0 or less, {outside} a value outside [0, 1]"
    )
    return Sequences(clean, found.offsets, found.fields, {"columns": found.facts["columns"]}), what


def time_step(dt: np.ndarray) -> float:
    """Return the step that times were recorded in: a microsecond, if no coarser one shows."""
    # As float32 they are the decimals that were meant.
    return float(Sequences.of([dt[:, None].astype(np.float32)]).recording_step()[0]) or FINEST


def value_step(values: np.ndarray) -> float:
    """Return the step that values were recorded in, such as 1/127: the smallest difference between two.

    If all lie on the grid of a whole number of steps from 0 to 1, that is what is returned, without rounding.

    Example:
        >>> 1 / value_step(np.float32([0, 1, 5, 127]) / 127)
        127.0
    """
    apart = np.diff(np.unique(values.astype(np.float64).round(6)))
    if not len(apart):
        return 1 / 127  # as MIDI has it
    whole = max(1, round(1 / apart.min()))
    on_grid = np.abs(values * whole - np.round(values * whole)).max() < 1e-3
    return 1 / whole if on_grid else float(apart.min())


def snapped(events: np.ndarray, step: float) -> np.ndarray:
    """Return events as an instrument records them: values on the grid from 0 to 1, time forwards."""
    events = events.astype(np.float64)
    values = np.clip(np.round(events[:, :-1] / step) * step, 0.0, 1.0) + 0.0  # no minus 0
    return np.concatenate([values, np.clip(events[:, -1:], 0.0, LONGEST)], axis=1)


def moves(sessions: Sequences) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return events after the first of every session, as how far each value moved, and dt.

    Returns:
        Moves `(rows, controls)`, dt `(rows,)`, and the last event's row in `sessions.data`, `(rows,)`.
    """
    later = np.ones(len(sessions.data), bool)
    later[sessions.offsets[:-1]] = False
    rows = np.flatnonzero(later)
    moved = sessions.data[rows, :-1] - sessions.data[rows - 1, :-1]
    return moved, sessions.data[rows, -1], rows - 1
