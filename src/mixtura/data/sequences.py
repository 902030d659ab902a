"""Sequences of events: many arrays of different lengths as one, and the files that hold them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, overload

import numpy as np

from mixtura.data.tables import FLOAT32_MAX, Inputs, Table, counted, read_table, recording_step
from mixtura.errors import InputError
from mixtura.files import replacing

NAME = "sequence"  # the column, and the field, that tells the sequences of a CSV file apart
_LAYOUT = "arrays `data` (steps, dimensions) and `offsets` (sequences + 1)"


@dataclass(frozen=True, eq=False)
class Sequences(Sequence[np.ndarray]):
    """Sequences of events, each an array `(length, event_size)`, stored one after the other.

    `sequences[3]` is an array; a slice, a mask or an array of numbers gives Sequences. The arrays are
    read-only.

    Attributes:
        data: all events, `(total, event_size)`, in the type they came in.
        offsets: sequence i is `data[offsets[i]:offsets[i + 1]]`; `(n + 1,)`.
        fields: arrays with one entry per sequence: a label, a split, a writer.
        facts: arrays about all of them, such as the names of the labels. They stay as they are when sequences
            are picked.

    Raises:
        ValueError: if the shapes do not fit each other.

    Example:
        >>> s = Sequences.of([[[1, 2]], [[3, 4], [5, 6]]], label=[0, 7])
        >>> len(s), s.event_size, s.lengths.tolist(), s[1:].fields["label"].tolist()
        (2, 2, [1, 2], [7])
    """

    data: np.ndarray
    offsets: np.ndarray
    fields: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data, offsets = np.asarray(self.data), np.asarray(self.offsets)
        if data.ndim != 2 or data.dtype.kind not in "iuf":
            raise ValueError(f"data must be numbers (steps, dimensions); received {data.dtype} {data.shape}")
        if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or not len(offsets):
            raise ValueError(
                f"offsets must be integers (sequences + 1,); received {offsets.dtype} {offsets.shape}"
            )
        offsets = offsets.astype(np.int64)
        if offsets[0] != 0 or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
            raise ValueError(
                f"offsets must rise from 0 to the number of steps, {len(data)}; received {_short(offsets)}"
            )
        fields = {name: np.asarray(value) for name, value in self.fields.items()}
        for name, value in fields.items():
            if value.ndim == 0 or len(value) != len(offsets) - 1:
                raise ValueError(
                    f"the field {name!r} must have one entry for each of {len(offsets) - 1} sequences; "
                    f"received the shape {value.shape}"
                )
        facts = {name: np.asarray(value) for name, value in self.facts.items()}
        for name, value in (("data", data), ("offsets", offsets)):
            object.__setattr__(self, name, _read_only(value))
        for name, several in (("fields", fields), ("facts", facts)):
            object.__setattr__(self, name, {key: _read_only(value) for key, value in several.items()})

    @classmethod
    def of(cls, sequences: Iterable[Any], **fields: Any) -> Self:
        """Put a list of arrays `(length, event_size)` together.

        Args:
            sequences: the arrays; at least one.
            **fields: see the class.

        Raises:
            ValueError: if there is none, or they are not all `(length, event_size)` with one `event_size`.
        """
        arrays = [np.asarray(sequence) for sequence in sequences]
        if not arrays:
            raise ValueError("there are no sequences")
        for number, array in enumerate(arrays):
            if array.ndim != 2 or array.shape[1] != arrays[0].shape[-1]:
                size = arrays[0].shape[-1] if arrays[0].ndim == 2 else "event_size"
                raise ValueError(
                    f"a sequence must have the shape (length, {size}); sequence {number} has {array.shape}"
                )
        return cls(np.concatenate(arrays), _offsets([len(array) for array in arrays]), fields)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, where: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, where: Any) -> Sequences: ...
    def __getitem__(self, where: Any) -> Any:
        """Return a sequence by its number, or some of them by a slice, a mask or numbers."""
        if isinstance(where, int | np.integer):
            number = range(len(self))[where]
            return self.data[self.offsets[number] : self.offsets[number + 1]]
        if not isinstance(where, slice):
            where = np.asarray(where)
            where = where.astype(np.int64) if where.size == 0 and where.dtype != bool else where
        numbers = np.arange(len(self))[where]
        lengths = self.lengths[numbers]
        offsets = _offsets(lengths)
        steps = np.arange(offsets[-1]) + np.repeat(self.offsets[numbers] - offsets[:-1], lengths)
        fields = {name: value[numbers] for name, value in self.fields.items()}
        return type(self)(self.data[steps], offsets, fields, self.facts)

    def __repr__(self) -> str:
        about = f"{len(self)} of {self.event_size} dimensions, {len(self.data)} steps"
        return f"Sequences({about}, fields {list(self.fields)})"

    @property
    def lengths(self) -> np.ndarray:
        """The number of steps of each sequence, `(n,)`."""
        return np.diff(self.offsets)

    @property
    def event_size(self) -> int:
        """The number of dimensions of an event."""
        return self.data.shape[1]

    def map(self, change: Callable[[np.ndarray], Any]) -> Sequences:
        """Return the sequences changed one by one; their number, fields and facts stay."""
        changed = Sequences.of(change(sequence) for sequence in self)
        return type(self)(changed.data, changed.offsets, self.fields, self.facts)

    def split(
        self, shares: float | Sequence[float], seed: int, groups: str | Any = None
    ) -> tuple[Sequences, ...]:
        """Deal whole sequences out at random; in each part they keep their order.

        Args:
            shares: of the sequences, for each part, adding up to 1; or one number, the share of the second of
                two parts.
            seed: the same parts for the same seed.
            groups: sequences of one group stay together: the name of a field, or one entry per sequence. A
                group goes where its middle falls, so shares are met as nearly as groups allow.

        Raises:
            ValueError: if shares do not add up to 1, or a part is empty.

        Example:
            >>> s = Sequences.of([[[i]] for i in range(10)])
            >>> [part.data[:, 0].tolist() for part in s.split(0.2, seed=0)]
            [[0, 2, 3, 4, 5, 6, 7, 9], [1, 8]]
        """
        shares = [1 - shares, shares] if isinstance(shares, int | float) else list(shares)
        if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
            raise ValueError(f"shares must be positive and add up to 1; received {shares}")
        named = self.fields[groups] if isinstance(groups, str) else groups
        named = np.arange(len(self)) if named is None else np.asarray(named)
        if named.shape != (len(self),):
            raise ValueError(f"groups must have the shape ({len(self)},); received {named.shape}")
        known, group, counts = np.unique(named, return_inverse=True, return_counts=True)
        order = np.random.default_rng(seed).permutation(len(known))
        middle = np.empty(len(known))
        middle[order] = (np.cumsum(counts[order]) - counts[order] / 2) / max(1, len(self))
        part = np.searchsorted(np.cumsum(shares)[:-1], middle)[group]
        for number, share in enumerate(shares):
            if not (part == number).any():
                raise ValueError(f"a share of {share:g} of {len(known)} sequences or groups is none at all")
        return tuple(self[part == number] for number in range(len(shares)))

    def recording_step(self) -> np.ndarray:
        """Return each dimension's recording step, 0.0 where there is none; see `tables.recording_step`."""
        return np.array([_step(column) for column in self.data.T])


def require(
    sequences: Sequences, event_size: int | None = None, steps: int = 1, what: str = "the sequences"
) -> None:
    """Check that a model can be trained or scored on sequences.

    Args:
        sequences: what to check.
        event_size: how many dimensions the model's events have.
        steps: how many a sequence must have at least.
        what: what a message calls them, such as a file's path.

    Raises:
        InputError: if the dimensions differ, there are no sequences, one is too short, or a value is not
            finite in float32. Sequences, steps and dimensions are counted from 0.
    """
    if event_size is not None and sequences.event_size != event_size:
        raise InputError(
            f"{what}: events have {counted(sequences.event_size, 'dimension')}; expected {event_size}"
        )
    if not len(sequences):
        raise InputError(f"{what}: there is no sequence; expected at least one")
    lengths = sequences.lengths
    if lengths.min() < steps:
        short, number = lengths < steps, int(lengths.argmin())
        others = f" (and {short.sum() - 1} more like it)" if short.sum() > 1 else ""
        raise InputError(
            f"{what}: sequence {number} has {counted(int(lengths[number]), 'step')}{others}; "
            f"expected at least {steps}"
        )
    bad = ~(np.abs(sequences.data) <= FLOAT32_MAX)
    if bad.any():
        row, dimension = np.argwhere(bad)[0]
        number = int(np.searchsorted(sequences.offsets, row, side="right")) - 1
        raise InputError(
            f"{what}: sequence {number}, step {row - sequences.offsets[number]}, dimension {dimension} is "
            f"{sequences.data[row, dimension]}; expected a finite number of at most {FLOAT32_MAX:.2g}"
        )


def read_sequences(path: str | Path, sequence: str | None = None) -> Sequences:
    """Read sequences from a file or a folder.

    - `.npz`: `data` and `offsets` as in `Sequences`. Every other array with one entry per sequence is a
      field, the rest are facts. No pickles are read.
    - CSV: a header, and one row per step, the rows of a sequence together. The column `sequence` tells the
      sequences apart; without one, the first column does if it is text; else the file is one sequence.
      Columns called `sequence.<name>` are fields; all others must be numbers and are the dimensions.
    - a folder of CSV files, one sequence each, in the order of their names.

    From CSV the field `sequence` has the names of the sequences, the fact `columns` those of the dimensions.

    Args:
        path: the file or folder.
        sequence: the column of a CSV file that tells the sequences apart.

    Raises:
        InputError: if the file is none of these, or `require` refuses the sequences.
    """
    path = Path(path)
    if path.is_dir():
        found = _read_folder(path)
    elif path.suffix.lower() == ".npz":
        found = _read_npz(path)
    else:
        found = _read_csv(read_table(path), sequence)
    require(found, what=str(path))
    return found


def write_sequences(path: str | Path, sequences: Sequences) -> None:
    """Write what `read_sequences` reads: `.npz`, or `.csv` where fields have one value for each sequence.

    The file is there whole or not at all.

    Raises:
        InputError: if the name ends in something else, or a field or fact has no place in a CSV file.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        arrays = {**sequences.facts, **sequences.fields}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, allow_pickle=False, data=sequences.data, offsets=sequences.offsets, **arrays
            )
    elif path.suffix.lower() == ".csv":
        _write_csv(path, sequences)
    else:
        raise InputError(f"{path} ends in {path.suffix!r}; sequences are written to .npz or .csv")


def _read_npz(path: Path) -> Sequences:
    arrays: dict[str, np.ndarray] = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            for name in stored.files:
                try:
                    arrays[name] = stored[name]
                except ValueError as error:
                    if "pickle" not in str(error):
                        raise
                    raise InputError(
                        f"{path}: {name!r} holds pickled Python objects, which are not read; "
                        f"expected {_LAYOUT}"
                    ) from None
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a file of sequences") from None
    except InputError:
        raise
    except Exception as error:  # damage shows in any way: a zip file's, NumPy's
        raise InputError(f"{path} is damaged or no npz file ({error})") from error
    if not {"data", "offsets"} <= arrays.keys():
        raise InputError(f"{path} holds the arrays {list(arrays)}; expected {_LAYOUT}")
    data, offsets = arrays.pop("data"), arrays.pop("offsets")
    is_field = {
        name: name != "columns" and array.ndim > 0 and len(array) == len(offsets) - 1
        for name, array in arrays.items()
    }
    try:
        return Sequences(
            data,
            offsets,
            {name: array for name, array in arrays.items() if is_field[name]},
            {name: array for name, array in arrays.items() if not is_field[name]},
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _read_csv(table: Table, sequence: str | None) -> Sequences:
    columns, first = table.columns, next(iter(table.columns))
    if sequence is not None and sequence not in columns:
        raise InputError(f"{table.path} has no column {sequence!r}; its columns are {list(columns)}")
    if sequence is None:
        sequence = NAME if NAME in columns else None if _are_numbers(columns[first]) else first
    names = columns[sequence] if sequence is not None else [table.path.stem] * len(table.lines)
    starts = starts_of(table, names, "sequence")
    fields = {NAME: np.array([names[row] for row in starts])}
    for column in [name for name in columns if name.startswith(f"{NAME}.") and name != sequence]:
        cells, start = columns[column], 0
        for row, cell in enumerate(cells):
            start = row if row == 0 or names[row] != names[row - 1] else start
            if cell != cells[start]:
                raise InputError(
                    f"{table.path}, line {table.lines[row]}, column {column!r}: {cell!r} differs from "
                    f"{cells[start]!r} in the same sequence; a field has one value for each"
                )
        fields[column.removeprefix(f"{NAME}.")] = _values([cells[row] for row in starts])
    dimensions = [name for name in columns if name != sequence and not name.startswith(f"{NAME}.")]
    if not dimensions:
        raise InputError(f"{table.path} has no column of numbers beside {sequence!r}; expected one at least")
    frame = Inputs(dict.fromkeys(dimensions, "numbers"), {}).read(table)
    data = np.stack([frame[name] for name in dimensions], axis=1)
    return Sequences(data, np.array([*starts, len(names)]), fields, {"columns": np.array(dimensions)})


def starts_of(table: Table, names: Sequence[str], what: str) -> list[int]:
    """Return the rows in which a sequence starts.

    Args:
        table: whose rows they are.
        names: of each row's sequence.
        what: a message calls a sequence.

    Raises:
        InputError: if the rows of one do not stand together.
    """
    starts = [row for row, name in enumerate(names) if row == 0 or name != names[row - 1]]
    seen: set[str] = set()
    for row in starts:
        if names[row] in seen:
            raise InputError(
                f"{table.path}, line {table.lines[row]}: {what} {names[row]!r} goes on after another; "
                f"the rows of a {what} must stand together"
            )
        seen.add(names[row])
    return starts


def _read_folder(path: Path) -> Sequences:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".csv")
    if not files:
        raise InputError(f"{path} has no .csv files; expected one for each sequence")
    arrays, columns = [], None
    for file in files:
        table = read_table(file)
        own = list(table.columns)
        if columns is not None and own != columns:
            raise InputError(f"{file} has the columns {own}; expected {columns}, as in {files[0].name}")
        columns = own
        frame = Inputs(dict.fromkeys(own, "numbers"), {}).read(table)
        arrays.append(np.stack([frame[name] for name in own], axis=1))
    found = Sequences.of(arrays, **{NAME: [file.stem for file in files]})
    return Sequences(found.data, found.offsets, found.fields, {"columns": np.array(columns)})


def _write_csv(path: Path, sequences: Sequences) -> None:
    facts, fields = dict(sequences.facts), dict(sequences.fields)
    columns = facts.pop("columns", np.array([f"x{number}" for number in range(sequences.event_size)]))
    if columns.shape != (sequences.event_size,):
        raise InputError(
            f"{path}: `columns` must name {counted(sequences.event_size, 'dimension')}; received {columns}"
        )
    names = fields.pop(NAME, np.arange(len(sequences)))
    unfit = [*facts, *(name for name, value in fields.items() if value.ndim > 1)]
    if unfit:
        raise InputError(f"{path}: a CSV file has no place for {unfit[0]!r}; write a .npz file")
    table = [np.repeat(names, sequences.lengths), *sequences.data.T]
    table += [np.repeat(value, sequences.lengths) for value in fields.values()]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([NAME, *columns, *(f"{NAME}.{name}" for name in fields)])
        writer.writerows(zip(*(column.astype(str) for column in table), strict=True))


def _values(cells: list[str]) -> np.ndarray:
    """Return cells as integers or numbers where all are, else as text."""
    for kind in (np.int64, np.float64):
        try:
            return np.array(cells).astype(kind)
        except ValueError:
            continue
    return np.array(cells)


def _are_numbers(cells: list[str]) -> bool:
    return _values(cells).dtype.kind != "U"


def _offsets(lengths: Any) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.setflags(write=False)
    return view


def _step(column: np.ndarray) -> float:
    values = np.unique(column)
    if values.dtype in (np.float16, np.float32):
        # The decimals that were meant. All lie on a grid only if some do, which is quick to see.
        if len(values) > 1000 and not recording_step(values[:1000].astype(str).astype(np.float64)):
            return 0.0
        values = values.astype(str).astype(np.float64)
    return recording_step(values)


def _short(values: np.ndarray) -> str:
    shown = ", ".join(map(str, values.tolist()))
    return f"[{shown if len(values) <= 6 else ', '.join(map(str, [*values[:3], '...', *values[-2:]]))}]"
