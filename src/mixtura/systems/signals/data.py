"""Signals: recordings read, one channel of each picked, patients kept apart, beats found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixtura.data.records import read_records
from mixtura.data.sequences import Sequences, read_sequences
from mixtura.errors import InputError

LEAD = "MLII"  # of an electrocardiogram, where a recording has it
PACED = 0  # the value of `ds` for recordings of patients with a pacemaker
SAME_PATIENT = ("201", "202")  # of MIT-BIH (Moody & Mark 2001); de Chazal's split has one on each side


def read_signals(path: Path) -> Sequences:
    """Read recordings and keep one channel of each, `(length, 1)`, in the units of the file.

    - `.npz`, CSV and folders of CSV: see `read_sequences`;
    - a WFDB header `.hea`, or a folder with some: see `read_records`.

    Where a field `leads` names the channels, MLII is kept if there is one; else the first channel is. A fact
    `adc_zero`, the count that stands for zero, is taken away. Recordings whose field `ds` is 0 (pacemakers,
    in the split of de Chazal et al. 2004) are left out. The field `number` has a recording's place in the
    file, by which `beats` finds what belongs to it.

    Raises:
        InputError: as the readers; or if there are only recordings of pacemakers.
    """
    is_wfdb = path.suffix == ".hea" or (path.is_dir() and any(path.glob("*.hea")))
    found = read_records(path) if is_wfdb else read_sequences(path)
    leads = found.fields.get("leads")
    names = [[]] * len(found) if leads is None else np.reshape(leads, (len(found), -1)).tolist()
    channels = [one.index(LEAD) if LEAD in one else 0 for one in names]
    zero = float(found.facts.get("adc_zero", 0.0))
    signals = Sequences.of(
        [(one[:, [channel]] - zero).astype(np.float32) for one, channel in zip(found, channels, strict=True)]
    )
    fields = {**found.fields, "number": np.arange(len(found))}
    signals = Sequences(signals.data, signals.offsets, fields, found.facts)
    if "ds" in fields:
        signals = signals[fields["ds"] != PACED]
        if not len(signals):
            raise InputError(f"{path} has only recordings whose ds is {PACED}: patients with a pacemaker")
    return signals


class Split(NamedTuple):
    """Recordings to learn from, to stop by, and to score."""

    training: Sequences
    validation: Sequences
    test: Sequences
    how: str


def split_signals(signals: Sequences, seed: int) -> Split:
    """Split recordings so that no patient is on two sides, as far as the file tells.

    - with a field `ds`: a fifth of DS1 stops training, DS2 is scored (de Chazal, O'Dwyer & Reilly 2004). Of
      recordings 201 and 202, which are one patient, 201 is left out;
    - else at random, eight tenths, one and one, from each value of the field `group` alike;
    - fewer than ten recordings: each is cut in time, in the same shares, the last tenth is scored.

    Raises:
        InputError: if DS1 has fewer than two recordings, or DS2 none.
    """
    if "ds" in signals.fields:
        learnt, test = (signals[signals.fields["ds"] == side] for side in (1, 2))
        if "record" in learnt.fields:
            learnt = learnt[learnt.fields["record"] != SAME_PATIENT[0]]
        if len(learnt) < 2 or not len(test):
            raise InputError(
                f"the field ds puts {len(learnt)} recordings in DS1 and {len(test)} in DS2; "
                "expected at least 2 and 1"
            )
        training, validation = learnt.split(0.2, seed=seed)
        return Split(training, validation, test, "by patient: DS1 learnt from, DS2 scored")
    if len(signals) < 10:
        training, validation, test = (_stretch(signals, *part) for part in ((0, 8), (8, 9), (9, 10)))
        return Split(training, validation, test, "in time: the last tenth of each scored")
    groups = signals.fields.get("group", np.zeros(len(signals)))
    part = np.empty(len(signals), int)
    rng = np.random.default_rng(seed)
    for group in np.unique(groups):
        own = rng.permutation(np.flatnonzero(groups == group))
        part[own] = np.digitize(np.arange(len(own)) / len(own), [0.8, 0.9])
    return Split(signals[part == 0], signals[part == 1], signals[part == 2], "by recording, at random")


def _stretch(signals: Sequences, first: int, last: int) -> Sequences:
    """Return the tenths `first` to `last` of every recording, without beats, whose places are the whole's."""
    cut = signals.map(lambda one: one[len(one) * first // 10 : len(one) * last // 10])
    facts = {name: value for name, value in cut.facts.items() if not name.startswith("beat_")}
    return Sequences(cut.data, cut.offsets, cut.fields, facts)


class Beats(NamedTuple):
    """The labelled beats of one recording."""

    samples: np.ndarray
    symbols: np.ndarray


def beats(signals: Sequences, which: int) -> Beats | None:
    """Return the beats of a recording; None where there are none."""
    facts: Any = signals.facts
    if "beat_offsets" not in facts:
        return None
    number = int(signals.fields["number"][which])
    own = slice(*facts["beat_offsets"][number : number + 2].tolist())
    return Beats(facts["beat_sample"][own], facts["beat_symbol"][own])
