"""WFDB records, the format of PhysioNet: a header `.hea`, signals `.dat`, annotations `.atr`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.errors import InputError

BEATS = "NLRBAaJSVrFejnE/fQ?"  # the codes of annotations that are beats (PhysioNet, WFDB Applications Guide)


def read_records(path: str | Path) -> Sequences:
    """Read a WFDB record, or all records of a folder.

    Values are the recorder's own: whole ADC counts, less the count that stands for zero. Beats are those of
    the annotation file `.atr`, where there is one; its other marks (rhythms, noise) are left out.

    Fields: `record`, the name; `leads`, the names of the channels, `(n, event_size)`. Facts: `fs`, samples
    per second; `units_per_mV`; and `beat_sample`, `beat_symbol` and `beat_offsets`, where sequence i has the
    beats `beat_offsets[i]` to `beat_offsets[i + 1]` of the other two.

    Args:
        path: a header, `.hea`, or a folder with headers, which are read in the order of their names.

    Raises:
        InputError: if the package wfdb is missing, there is no header, a record cannot be read, or records
            differ in their channels, sampling rate or units.
    """
    try:
        import wfdb
    except ImportError:
        raise InputError(f"{path}: WFDB records are read by wfdb; pip install 'mixtura[signals]'") from None
    path = Path(path)
    headers = sorted(path.glob("*.hea")) if path.is_dir() else [path]
    if not headers:
        raise InputError(f"{path} has no WFDB header; expected files that end in .hea")
    records = [_read(wfdb, header.with_suffix("")) for header in headers]
    for name, header in zip(headers, records, strict=True):
        for what in ("fs", "units_per_mV"):
            if header[what] != records[0][what]:
                raise InputError(
                    f"{name} has {what} {header[what]:g}, {headers[0]} has {records[0][what]:g}; "
                    "expected one value in a folder"
                )
        if len(header["leads"]) != len(records[0]["leads"]):
            raise InputError(
                f"{name} has {len(header['leads'])} channels, {headers[0]} has {len(records[0]['leads'])}; "
                "expected one number in a folder"
            )
    counts = [len(record["samples"]) for record in records]
    sequences = Sequences.of(
        [record["data"] for record in records],
        record=np.array([header.stem for header in headers]),
        leads=np.array([record["leads"] for record in records]),
    )
    facts = {
        "fs": np.array(records[0]["fs"]),
        "units_per_mV": np.array(records[0]["units_per_mV"]),
        "beat_sample": np.concatenate([record["samples"] for record in records]),
        "beat_symbol": np.concatenate([record["symbols"] for record in records]),
        "beat_offsets": np.concatenate([[0], np.cumsum(counts)]),
    }
    return Sequences(sequences.data, sequences.offsets, sequences.fields, facts)


def _read(wfdb: Any, record: Path) -> dict[str, Any]:
    """Return a record's counts, channels, rate, units and beats."""
    try:
        found = wfdb.rdrecord(str(record), physical=False)
        marks = wfdb.rdann(str(record), "atr") if record.with_suffix(".atr").exists() else None
    except Exception as error:  # damage shows in any way
        raise InputError(f"{record}.hea cannot be read as a WFDB record ({error})") from error
    if found.d_signal is None:
        raise InputError(f"{record}.hea has no signals, or channels of different rates")
    gains = set(zip(found.adc_gain, found.units, strict=True))
    if len(gains) > 1 or found.units[0] != "mV":
        listed = ", ".join(f"{gain:g} per {unit}" for gain, unit in sorted(gains))
        raise InputError(f"{record}.hea has gains of {listed}; expected one for all channels, per mV")
    is_beat = np.array([], bool) if marks is None else np.isin(marks.symbol, list(BEATS))
    return {
        "data": found.d_signal - np.asarray(found.baseline),
        "leads": list(found.sig_name),
        "fs": float(found.fs),
        "units_per_mV": float(found.adc_gain[0]),
        "samples": np.asarray([] if marks is None else marks.sample, np.int64)[is_beat],
        "symbols": np.asarray([] if marks is None else marks.symbol, "<U1")[is_beat],
    }
