"""Logs of controls: what the knobs and faders of an instrument did, as IMPSY records and learns it.

An event is `(x1, ..., xn, dt)`: the values of n controls, in [0, 1], and the seconds since the event before.
IMPSY's own arrays have dt first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from mixtura.data.pickles import read_object_arrays
from mixtura.data.sequences import NAME, Sequences, read_sequences, require, write_sequences
from mixtura.data.tables import FLOAT32_MAX, counted
from mixtura.errors import InputError
from mixtura.files import replacing

SOURCES = ("interface", "rnn")  # of a line: who moved the controls, the player or the network
START = datetime(2000, 1, 1)
_NAME = re.compile(r"(\d+)d-mdrnn")  # how many values an event has, dt among them
_ARRAY = "perfs"  # the object array of IMPSY's data sets

Source = Literal["interface", "rnn", "all"]


def read_logs(path: str | Path, source: Source = "interface") -> Sequences:
    """Read sessions of control events.

    - IMPSY's logs, `.log`, or a folder of them in the order of their names: lines of a time in ISO 8601,
      `interface` or `rnn`, and the values. `dt` is the difference of the times of lines of the source, so the
      first only gives the time, as IMPSY does it.
    - IMPSY's data sets: `.npz` with an array `perfs` of arrays `(n, dimensions)`, dt first. They are read
      without running their pickles.
    - `.npz` with `data` and `offsets`. The fact `columns` says where dt is; without it dt is first.
    - what else `read_sequences` reads, with a column `dt`.

    Sessions without events in logs and data sets of IMPSY are left out.

    Args:
        path: the file or folder.
        source: which lines of a log to read.

    Returns:
        The sessions in float64, with the fact `columns`, `x1` to `dt`, and the field `sequence`: the names of
        logs, or numbers in `perfs`, from 0, as `session 3`.

    Raises:
        ValueError: if there is no such source.
        InputError: if the file is none of these, a line of a log is no event or its time runs backwards, dt
            is not a column, or no event is left.
    """
    if source not in (*SOURCES, "all"):
        raise ValueError(f"source must be 'interface', 'rnn' or 'all'; received {source!r}")
    path = Path(path)
    logs = sorted(path.glob("*.log")) if path.is_dir() else [path] if path.suffix.lower() == ".log" else []
    if logs:
        found = _sessions(path, {log.stem: _read_log(log, source) for log in logs})
    elif path.suffix.lower() in (".npz", ".npy"):
        found = _read_arrays(path)
    else:
        found = _dt_last(path, read_sequences(path))
    require(found, what=str(path))
    return found


def write_logs(
    path: str | Path,
    sequences: Sequences,
    start: datetime = START,
    source: Literal["interface", "rnn"] = "rnn",
) -> None:
    """Write what `read_logs` reads.

    - `.npz` or `.csv`: see `write_sequences`.
    - `.log`: one session as IMPSY logs it. Its first line, which gives the time, repeats the first event's
      values. IMPSY makes its data sets of logs called `<anything>-{dimensions}d-mdrnn.log`, of the source
      `interface`; an array `perfs`, which would be pickled, is not written.

    Args:
        path: the file; it is there whole or not at all.
        sequences: sessions `(x1, ..., xn, dt)`.
        start: the time of the first line of a log. Times are written in microseconds.
        source: the source of a log's lines.

    Raises:
        ValueError: if there is no such source.
        InputError: if the name ends in something else, or a log cannot hold the sessions: there are several,
            a number is not finite, or a dt is negative.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be 'interface' or 'rnn'; received {source!r}")
    path = Path(path)
    if path.suffix.lower() != ".log":
        write_sequences(path, _called(sequences, sequences.data))
        return
    if len(sequences) != 1:
        raise InputError(f"{path}: a log holds one session; received {len(sequences)}; write an .npz file")
    events = sequences[0].astype(np.float64)
    if not np.isfinite(events).all() or (events[:, -1] < 0).any():
        raise InputError(f"{path}: a dt is below 0 or a number is not finite; a log has no place for it")
    times = np.cumsum([0.0, *events[:, -1]])
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for time, values in zip(times, events[[0, *range(len(events))], :-1], strict=True):
            moment = (start + timedelta(seconds=float(time))).isoformat(timespec="microseconds")
            file.write(f"{','.join([moment, source, *map(repr, values.tolist())])}\n")


def columns_of(size: int) -> list[str]:
    """Return the names of an event's dimensions: `x1` and so on, and `dt`."""
    return [*(f"x{number}" for number in range(1, size)), "dt"]


def _read_log(path: Path, source: Source) -> np.ndarray:
    """Return the events `(n, dimensions)` of a log, dt first."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a log of controls") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected a log of controls") from None
    named = _NAME.search(path.name)
    size = int(named[1]) - 1 if named else None
    rows: list[list[float]] = []
    last = kept = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        moment, origin, values = _event(line, where)
        size = len(values) if size is None else size
        if len(values) != size or not size:
            what = f"{size}, as {'the name' if named else 'the first line'} says" if size else "one at least"
            raise InputError(f"{where}: the event has {counted(len(values), 'value')}; expected {what}")
        if last is not None and moment < last:
            raise InputError(f"{where}: time runs backwards, by {(last - moment).total_seconds():g} s")
        last = moment
        if source in (origin, "all"):
            if kept is not None:
                rows.append([(moment - kept).total_seconds(), *values])
            kept = moment
    return np.array(rows, dtype=np.float64).reshape(len(rows), 1 + (size or 0))


def _event(line: str, where: str) -> tuple[datetime, str, list[float]]:
    """Return the time, the source and the values of a log's line."""
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) < 2 or cells[1] not in SOURCES:
        what = f"the source {cells[1][:20]!r}" if len(cells) > 1 else "no source"
        raise InputError(f"{where}: {what}; expected a time, 'interface' or 'rnn', and values between commas")
    try:
        moment = datetime.fromisoformat(cells[0])
    except ValueError:
        raise InputError(f"{where}: {cells[0][:40]!r} is no time in ISO 8601, as in {START}") from None
    values = []
    for cell in cells[2:]:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not abs(value) <= FLOAT32_MAX:
            raise InputError(f"{where}: {cell[:40]!r} is not a finite number; expected a control's value")
        values.append(value)
    # IMPSY writes local times; should some name their zone, they compare all the same.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC), cells[1], values


def _read_arrays(path: Path) -> Sequences:
    arrays = read_object_arrays(path)
    if _ARRAY in arrays:
        sessions = arrays[_ARRAY]
        return _sessions(path, {f"session {number}": session for number, session in enumerate(sessions)})
    if {"data", "offsets"} <= arrays.keys():
        return _dt_last(path, read_sequences(path))
    raise InputError(f"{path} holds {list(arrays)}; expected {_ARRAY!r}, or `data` and `offsets`")


def _sessions(path: Path, sessions: Mapping[str, np.ndarray]) -> Sequences:
    """Return those sessions `(n, dimensions)`, dt first, that have events."""
    filled = {name: session for name, session in sessions.items() if session.size}
    if not filled:
        raise InputError(f"{path} has no events; a log has one for each line after the first")
    first, *_ = filled
    for name, session in filled.items():
        if session.ndim != 2 or session.shape[1] != filled[first].shape[-1]:
            raise InputError(
                f"{path}: {name} has the shape {session.shape}, {first} {filled[first].shape}; expected "
                "(events, dimensions) with the same dimensions"
            )
    return _dt_last(path, Sequences.of(filled.values(), **{NAME: list(filled)}))


def _dt_last(path: Path, found: Sequences) -> Sequences:
    """Return sessions with dt last, wherever `columns` says it is; without it, dt is first."""
    columns = found.facts.get("columns", np.array(["dt"])).astype(str).ravel().tolist()
    if columns.count("dt") != 1 or columns.index("dt") >= found.event_size or found.event_size < 2:
        named = "" if columns == ["dt"] else f" called {', '.join(columns)}"
        raise InputError(
            f"{path} has {counted(found.event_size, 'column')}{named}; expected one called dt and others"
        )
    place = columns.index("dt")
    order = [column for column in range(found.event_size) if column != place]
    return _called(found, found.data[:, [*order, place]].astype(np.float64))


def _called(found: Sequences, data: np.ndarray) -> Sequences:
    """Return sessions with other data, and the names of the columns."""
    columns = np.array(columns_of(found.event_size))
    return Sequences(data, found.offsets, found.fields, {**found.facts, "columns": columns})
