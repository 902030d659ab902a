"""Surprise: how improbable a model finds each sample, and whether ventricular beats stand out by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from mixtura.data.sequences import Sequences
from mixtura.systems.signals.data import Beats, beats

NORMAL, VENTRICULAR = "N", "V"
BEFORE, AFTER = 0.1, 0.2  # seconds around a beat's mark: the QRS complex, normal or ventricular


class BeatScores(NamedTuple):
    """Scores of the normal and ventricular beats of several recordings.

    Attributes:
        scores: by name, `(beats,)`; higher is stranger.
        is_ventricular: which beats are.
        recording: which recording each beat is from.
    """

    scores: Mapping[str, np.ndarray]
    is_ventricular: np.ndarray
    recording: np.ndarray


def score_beats(
    signals: Sequences, surprise: Mapping[str, Sequence[np.ndarray]], fs: float
) -> BeatScores | None:
    """Return scores of all beats labelled N or V that have another before them and lie inside a recording.

    - for each model, the mean surprise per sample in the beat's window, less the recording's median over
      beats of every kind, which needs no labels;
    - "early": the interval since the beat before, negative, in units of the recording's median;
    - "size": the largest less the smallest value in the window, in units of the recording's median.

    Args:
        signals: recordings.
        surprise: by a model's name, the dequantised NLL of every sample, `(length,)` for each recording.
        fs: samples per second.
    """
    rows: dict[str, list[np.ndarray]] = {name: [] for name in (*surprise, "early", "size")}
    truth, recording = [], []
    for number, signal in enumerate(signals):
        found = beats(signals, number)
        inside = None if found is None else _inside(found, len(signal), fs)
        if found is None or inside is None or not inside.any():
            continue
        marks = found.samples[inside]
        windows = marks[:, None] + np.arange(-round(BEFORE * fs), round(AFTER * fs))
        values = {name: series[number][windows].mean(axis=1) for name, series in surprise.items()}
        intervals = np.diff(found.samples, prepend=found.samples[0])[inside]
        sizes = np.ptp(signal[windows, 0], axis=1)
        kept = np.isin(found.symbols[inside], [NORMAL, VENTRICULAR])
        for name, value in values.items():
            rows[name].append((value - np.median(value))[kept])
        rows["early"].append(-(intervals / np.median(intervals))[kept])
        rows["size"].append((sizes / max(np.median(sizes), 1e-9))[kept])
        truth.append(found.symbols[inside][kept] == VENTRICULAR)
        recording.append(np.full(kept.sum(), number))
    if not truth:
        return None
    scores = {name: np.concatenate(parts) for name, parts in rows.items()}
    return BeatScores(scores, np.concatenate(truth), np.concatenate(recording))


def _inside(found: Beats, length: int, fs: float) -> np.ndarray:
    """Return which beats have a whole window and another beat before them."""
    enough = (found.samples >= BEFORE * fs + 1) & (found.samples < length - AFTER * fs - 1)
    return enough & (np.arange(len(found.samples)) > 0)


def areas(found: BeatScores, names: Sequence[str], least: int = 5) -> dict[str, Any]:
    """Return the area under the ROC of each score, of all beats and of each recording with enough of both.

    Args:
        found: the scores.
        names: of the recordings.
        least: of beats of each kind that a recording needs.
    """
    kinds = found.is_ventricular
    rows = {
        name: found.recording == number
        for number, name in enumerate(names)
        if min(np.sum(own := kinds[found.recording == number]), np.sum(~own)) >= least
    }
    return {
        "normal": int((~kinds).sum()),
        "ventricular": int(kinds.sum()),
        "pooled": {name: _area(kinds, score) for name, score in found.scores.items()},
        "per_recording": {
            record: {name: _area(kinds[own], score[own]) for name, score in found.scores.items()}
            for record, own in rows.items()
        },
    }


def _area(truth: np.ndarray, score: np.ndarray) -> float | None:
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else None
