"""Touch performances: what fingers did on a screen, as MicroJam records and RoboJam learns them.

A touch is `(x, y, dt, moving)`: the place as fractions of the touch area, y downwards; the seconds since the
touch before, 0 in a performance's first row; and 0 where the finger came down, 1 where it moved here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixtura.data.pickles import read_object_arrays
from mixtura.data.sequences import (
    NAME,
    Sequences,
    read_sequences,
    require,
    starts_of,
    write_sequences,
)
from mixtura.data.tables import Inputs, Table, counted, parse_table, read_text
from mixtura.errors import InputError
from mixtura.files import replacing, write_folder

COLUMNS = ("x", "y", "dt", "moving")
TAP = 0.1  # seconds: after a longer pause a touch is a new one (Martin & Torresen 2018)
LONGEST_PAUSE = 5.0  # seconds: what `clean_touches` cuts dt to
_HEADER = ("time", "x", "y", "z", "moving")
_Z = 38.0  # the size of a finger, which RoboJam writes too
_ARRAYS = ("raw_perfs", "arr_0")  # object arrays of the published data sets


def moving_of(dt: np.ndarray) -> np.ndarray:
    """Tell from the pauses `(n,)` of a performance which touches are movements: 1 where dt is at most 0.1 s.

    A rule of thumb (Martin & Torresen 2018), for files that do not say. The first touch is a new one.

    Example:
        >>> moving_of(np.array([0.0, 0.02, 0.1, 0.3])).tolist()
        [0.0, 1.0, 1.0, 0.0]
    """
    moving = (np.asarray(dt) <= TAP).astype(np.float64)
    moving[:1] = 0
    return moving


def parse_performance(text: str, name: str) -> np.ndarray:
    r"""Return the performance `(n, 4)` that a CSV text holds.

    The header names `time`, seconds from the start, `x` and `y`, and may name `z`, which is not used, and
    `moving`, without which `moving_of` decides. `dt` is the difference of times, 0 in the first row, whose
    `moving` is 0 too.

    Args:
        text: the CSV text; spaces after commas, blank lines and any line ends are fine.
        name: what a message calls it, such as a file's path.

    Raises:
        InputError: if a column is missing or unknown, a cell is not a finite number, `moving` is not 0 or 1,
            time runs backwards, a row has another length than the header, or there is no row.

    Example:
        >>> parse_performance("time, x, y, moving\n 0.25, 0.5, 0.5, 0\n 0.5, 0.75, 0.5, 1", "call").tolist()
        [[0.5, 0.5, 0.0, 0.0], [0.75, 0.5, 0.25, 1.0]]
    """
    return _touches(_table(text.removeprefix("\ufeff"), Path(name), _HEADER), [0])


def format_performance(performance: np.ndarray) -> str:
    """Return the CSV text of a performance `(n, 4)` with MicroJam's columns: `time,x,y,z,moving`.

    Time is the sum of dt, and z, which is not known, 38. Numbers have 6 decimals, so `parse_performance`
    returns them to within 1e-6 s, but for the dt of the first row, which no file has.

    Raises:
        InputError: if the shape is another, a number is not finite, or a dt is negative.
    """
    return _csv_text([_HEADER, *_rows(performance, "the performance")])


def read_touches(path: str | Path) -> Sequences:
    """Read touch performances.

    - CSV: see `parse_performance`. A column `sequence` tells several performances in a file apart.
    - a folder of CSV files, one performance each, in the order of their names.
    - `.npz` as `write_touches` writes it. The fact `columns` says which dimension is which; without it they
      are x, y, dt and, if there are four, moving.
    - the object arrays of the published data sets, `raw_perfs` (x, y, dt, moving) or `arr_0` (x, y, dt), in
      `.npz` or `.npy` files. They are read without running their pickles.

    Nothing is cleaned (see `clean_touches`), but that a performance's first touch is a new one.

    Args:
        path: the file or folder.

    Returns:
        The performances in float64, with the fact `columns`, and the field `sequence`, their names, where the
        file has them.

    Raises:
        InputError: if the file is none of these, or what it holds is no performance.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".csv")
        if not files:
            raise InputError(f"{path} has no .csv files; expected one for each performance")
        arrays = [parse_performance(read_text(file), str(file)) for file in files]
        found = Sequences.of(arrays, **{NAME: [file.stem for file in files]})
    elif path.suffix.lower() in (".npz", ".npy"):
        found = _read_arrays(path)
    else:
        found = _read_csv(path)
    return _called(found, found.data)


def write_touches(path: str | Path, sequences: Sequences) -> None:
    """Write what `read_touches` reads.

    - `.csv`: see `format_performance`; several performances get a first column, `sequence`.
    - `.npz`: the arrays as they are, with their fields.
    - a name without an ending: a folder with one CSV file for each performance, `1.csv`, `2.csv` and so on,
      which takes the place of a folder of that name.

    A file or folder is there whole or not at all.

    Raises:
        InputError: if the name ends in something else, or `format_performance` refuses a performance.
    """
    path, ending = Path(path), Path(path).suffix.lower()
    if ending == ".npz":
        write_sequences(path, _called(sequences, sequences.data))
    elif ending == ".csv":
        text = _csv_text(_rows_of_all(sequences, path))
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    elif not ending:
        names = (f"{path}: performance {number}" for number in range(1, len(sequences) + 1))
        rows = (_rows(performance, name) for performance, name in zip(sequences, names, strict=True))
        write_folder(path, ".csv", [_csv_text([_HEADER, *own]) for own in rows], _write_text)
    else:
        raise InputError(f"{path} ends in {ending!r}; performances are written to .csv, .npz or a folder")


@dataclass(frozen=True)
class Cleaning:
    """What `clean_touches` changed.

    Attributes:
        outside: values of x and y outside [0, 1].
        negative: rows whose dt was below 0.
        long: rows whose dt was above 5 s.
        performances: in how many performances.
        rows: all rows there are.
        total: all performances there are.
    """

    outside: int
    negative: int
    long: int
    performances: int
    rows: int
    total: int

    def describe(self) -> str:
        """Return the counts as one sentence."""
        return (
            f"{counted(self.outside, 'value')} of x or y outside [0, 1], {self.negative} of dt below 0 and "
            f"{self.long} above {LONGEST_PAUSE:g} s were moved to the nearer end, in {self.performances} of "
            f"{self.total} performances ({self.rows} touches)."
        )


def clean_touches(sequences: Sequences) -> tuple[Sequences, Cleaning]:
    """Move x and y into [0, 1] and dt into [0, 5] s, as the published data sets are (Martin & Torresen 2018).

    Args:
        sequences: performances `(x, y, dt, moving)`; those of one row stay too.

    Returns:
        The performances, and what was changed.
    """
    x_y, dt = sequences.data[:, :2], sequences.data[:, 2]
    outside, negative, long = (x_y < 0) | (x_y > 1), dt < 0, dt > LONGEST_PAUSE
    changed = outside.any(axis=1) | negative | long
    number = np.repeat(np.arange(len(sequences)), sequences.lengths)
    cleaning = Cleaning(
        outside=int(outside.sum()),
        negative=int(negative.sum()),
        long=int(long.sum()),
        performances=len(np.unique(number[changed])),
        rows=len(dt),
        total=len(sequences),
    )
    data = np.clip(sequences.data, (0, 0, 0, -np.inf), (1, 1, LONGEST_PAUSE, np.inf))
    return _called(sequences, data), cleaning


def move_inwards(sequences: Sequences, step: Sequence[float]) -> Sequences:
    """Move what lies at the ends of its range inwards by half a recording step.

    x and y end up at least half a step from 0 and from 1, dt at least half a step above 0: by so little more
    that float32 has it too, even with noise of half a step either way. So densities on (0, 1) and (0, ∞) hold
    for them.

    Args:
        sequences: performances `(x, y, dt, moving)`, clean ones.
        step: of each column, such as `(1 / 600, 1 / 600, 0.001, 0)`: pixels of a screen, milliseconds. 0
            leaves a column as it is.

    Raises:
        ValueError: if there are not four steps from 0 to below 1.
    """
    steps = np.asarray(step, dtype=np.float64)
    if steps.shape != (len(COLUMNS),) or not ((steps >= 0) & (steps < 1)).all():
        raise ValueError(f"step must be {len(COLUMNS)} numbers from 0 to below 1; received {step}")
    data = sequences.data.astype(np.float64)
    for column in np.flatnonzero(steps[:3]):
        half = np.float32(steps[column] / 2)
        half = half if half >= steps[column] / 2 else np.nextafter(half, np.float32(1))
        low, high = np.nextafter(half, np.float32(1)), np.float32(1) - half
        while not high + half < 1:
            high = np.nextafter(high, np.float32(0))
        data[:, column] = np.clip(data[:, column], low, high if column < 2 else np.inf)
    return _called(sequences, data)


def _called(sequences: Sequences, data: np.ndarray) -> Sequences:
    """Return performances with other data, and the names of the columns."""
    return Sequences(
        data, sequences.offsets, sequences.fields, {**sequences.facts, "columns": np.array(COLUMNS)}
    )


def _read_csv(path: Path) -> Sequences:
    table = _table(read_text(path), path, (NAME, *_HEADER))
    names = table.columns.get(NAME, [path.stem] * len(table.lines))
    starts = starts_of(table, names, "performance")
    offsets = np.array([*starts, len(names)])
    return Sequences(_touches(table, starts), offsets, {NAME: np.array([names[row] for row in starts])})


def _table(text: str, path: Path, known: tuple[str, ...]) -> Table:
    """Return a CSV text as a table, if its columns are those of touches."""
    expected = f"expected the columns {','.join(known)}, of which only time, x and y must be there"
    if not text.strip():
        raise InputError(f"{path} is empty; {expected}")
    table = parse_table(text, path)
    for what, columns in (
        ("unknown", [column for column in table.columns if column not in known]),
        ("missing", [column for column in ("time", "x", "y") if column not in table.columns]),
    ):
        if columns:
            raise InputError(f"{path}: {what} {', '.join(map(repr, columns))[:200]}; {expected}")
    return table


def _touches(table: Table, starts: list[int]) -> np.ndarray:
    """Return touches `(n, 4)` of performances that start at some rows of a table."""
    numeric = [column for column in table.columns if column != NAME]
    frame = Inputs(dict.fromkeys(numeric, "numbers"), {}).read(table)
    time = frame["time"]
    dt = np.diff(time, prepend=time[:1])
    dt[starts] = 0
    if (dt < 0).any():
        row = int((dt < 0).argmax())
        raise InputError(
            f"{table.path}, line {table.lines[row]}: time runs backwards, from {time[row - 1]:g} to "
            f"{time[row]:g} s; expected the seconds from the start"
        )
    moving = frame["moving"].copy() if "moving" in numeric else moving_of(dt)
    wrong = (moving != 0) & (moving != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{table.path}, line {table.lines[row]}: moving is {moving[row]:g}; expected 0 or 1")
    moving[starts] = 0
    return np.stack([frame["x"], frame["y"], dt, moving], axis=1)


def _read_arrays(path: Path) -> Sequences:
    arrays = read_object_arrays(path)
    if {"data", "offsets"} <= arrays.keys():
        found = read_sequences(path)
    else:
        name = next((name for name in _ARRAYS if name in arrays), None)
        if name is None:
            raise InputError(
                f"{path} holds {list(arrays)}; expected `data` and `offsets`, or {' or '.join(_ARRAYS)}"
            )
        try:
            found = Sequences.of(arrays[name])
        except ValueError as error:
            raise InputError(f"{path}, {name!r}: {error}") from None
        require(found, what=f"{path}, {name!r}")
    named = found.facts.get("columns")
    columns = list(COLUMNS[: found.event_size]) if named is None else named.astype(str).ravel().tolist()
    named_once = len(columns) == len(set(columns)) == found.event_size
    if not named_once or not set(COLUMNS[:3]) <= set(columns) <= {*COLUMNS, "z"}:
        raise InputError(
            f"{path} has {counted(found.event_size, 'column')}"
            f"{'' if named is None else ' called ' + ', '.join(columns)}; "
            "expected x, y, dt and, if there is a fourth, moving"
        )
    x_y_dt = found.data[:, [columns.index(name) for name in COLUMNS[:3]]].astype(np.float64)
    if "moving" in columns:
        moving = found.data[:, columns.index("moving")].astype(np.float64)
    else:
        moving = moving_of(x_y_dt[:, 2])
    wrong = (moving != 0) & (moving != 1)
    if wrong.any():
        row = int(wrong.argmax())
        number = int(np.searchsorted(found.offsets, row, side="right")) - 1
        raise InputError(
            f"{path}: sequence {number}, step {row - found.offsets[number]} has moving {moving[row]:g}; "
            "expected 0 or 1"
        )
    moving[found.offsets[:-1]] = 0
    return Sequences(np.column_stack([x_y_dt, moving]), found.offsets, found.fields, found.facts)


def _rows(performance: np.ndarray, name: str) -> list[list[str]]:
    performance = np.asarray(performance, dtype=np.float64)
    if performance.ndim != 2 or performance.shape[1] != len(COLUMNS):
        raise InputError(f"{name} has the shape {performance.shape}; expected (n, {len(COLUMNS)})")
    if not np.isfinite(performance).all() or (performance[:, 2] < 0).any():
        raise InputError(
            f"{name} has a dt below 0 or a number that is not finite; a CSV file has no place for it"
        )
    x, y, dt, moving = performance.T
    return [
        [f"{time:.6f}", f"{a:.6f}", f"{b:.6f}", str(_Z), f"{m:.0f}"]
        for time, a, b, m in zip(np.cumsum(dt), x, y, moving, strict=True)
    ]


def _rows_of_all(sequences: Sequences, path: Path) -> list[Sequence[str]]:
    if len(sequences) == 1:
        return [_HEADER, *_rows(sequences[0], f"{path}: performance 1")]
    names = [str(name) for name in sequences.fields.get(NAME, [])]
    if len(set(names)) != len(sequences):
        names = [str(number) for number in range(1, len(sequences) + 1)]
    rows: list[Sequence[str]] = [(NAME, *_HEADER)]
    for name, performance in zip(names, sequences, strict=True):
        rows += [[name, *row] for row in _rows(performance, f"{path}: performance {name}")]
    return rows


def _csv_text(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
