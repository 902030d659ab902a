"""Tables: CSV files as text, and the columns of them that a model reads as numbers and categories.

A line number in a message is the physical line of the file, as an editor shows it.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np

from mixtura.errors import InputError

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_HEADER = re.compile(r'(?:[ \t]*[\r\n]+)*((?:"[^"]*"|[^\r\n])*)')
_DECIMAL_COMMA = re.compile(r"[+-]?[\d.,]*,[\d.,]*\d(?:[eE][+-]?\d+)?")
_COMMA = "has a comma; numbers are written with a decimal point, as in 3.14"
_INPUT = "every input must be a finite number"
_MISSING = {"", "na", "n/a", "nan", "null", "none"}
FLOAT32_MAX = float(np.finfo(np.float32).max)  # the largest number that networks compute with

Kind = Literal["numbers", "text"]


@dataclass(frozen=True)
class Table:
    """A CSV file as text.

    Attributes:
        path: the file.
        columns: from each name in the header to the column's cells, stripped of spaces.
        lines: the line of the file on which each row starts.
    """

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]


def read_table(path: str | Path) -> Table:
    """Read a CSV file with a header line.

    The text is UTF-8, or UTF-16 with a byte order mark. The separator (comma, semicolon, tab or vertical bar)
    is the one that the header has most of. Blank lines are skipped. A repeated name gets a number: "a",
    "a.1"; an empty one its position: "column 3".

    Args:
        path: the file.

    Raises:
        InputError: if the file cannot be read, is not text, has no rows, or has a row of another length.
    """
    path = Path(path)
    return parse_table(read_text(path), path)


def parse_table(text: str, path: Path) -> Table:
    """Read the text of a CSV file as `read_table` does; the path is what messages call it."""
    found = _HEADER.match(text)
    header = re.sub(r'"[^"]*"', "", found[1] if found else "")
    separator = max(_SEPARATORS, key=header.count)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    names: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    start = 1
    try:
        for row in reader:
            line, start = start, reader.line_num + 1
            if not row or (len(row) == 1 and not row[0].strip() and len(names) != 1):
                continue
            if not names:
                names = _names(row)
            elif len(row) == len(names):
                rows.append(row)
                lines.append(line)
            else:
                raise InputError(
                    f"{path}, line {line}: the row has {counted(len(row), 'cell')}, but the header has "
                    f"{len(names)} (the separator is a {_SEPARATORS[separator]})"
                )
    except csv.Error as error:
        raise InputError(f"{path}, line {start}: the quotes do not pair up ({error})") from None
    if not names:
        raise InputError(f"{path} is empty; expected a header line and rows")
    if not rows:
        raise InputError(f"{path} has a header line but no rows")
    cells = zip(*rows, strict=True)
    columns = {name: [cell.strip() for cell in column] for name, column in zip(names, cells, strict=True)}
    return Table(path, columns, lines)


def read_text(path: Path) -> str:
    """Return the text of a file, UTF-8 or, with a byte order mark, UTF-16; see `read_table`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a CSV file") from None
    except OSError as error:  # Windows calls reading a folder a lack of permission
        what = "is a folder" if path.is_dir() else f"cannot be read ({error.strerror})"
        raise InputError(f"{path} {what}; expected a CSV file") from None
    data = data.removeprefix(codecs.BOM_UTF8)
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8")
    except UnicodeDecodeError as error:
        if utf16 or b"\0" in data:
            raise InputError(f"{path} is not a text file; expected a CSV file") from None
        line = len(data[: error.start + 1].splitlines())
        raise InputError(f"{path}, line {line}: the text is not UTF-8; save the file as UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path} is not a text file; expected a CSV file")
    return text


def _names(header: Sequence[str]) -> list[str]:
    wanted = [name.strip() or f"column {i}" for i, name in enumerate(header, start=1)]
    names: dict[str, None] = {}  # in order, and quick to search
    for name in wanted:
        new, repeat = name, 0
        while new in names or (repeat and new in wanted):
            repeat += 1
            new = f"{name}.{repeat}"
        names[new] = None
    return list(names)


@dataclass(frozen=True)
class Frame:
    """Columns as values: what a regressor reads of a data frame.

    Attributes:
        values: from each column's name to its values, float64 where they are numbers, objects where text.
        index: what the rows are called.
    """

    values: dict[str, np.ndarray]
    index: list[str]

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.values)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and of columns."""
        return len(self.index), len(self.values)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.values[name]

    def rows(self, places: np.ndarray) -> Frame:
        """Return some of the rows."""
        return Frame(
            {name: values[places] for name, values in self.values.items()}, [self.index[i] for i in places]
        )


@dataclass(frozen=True)
class Inputs:
    """Which columns of a table are inputs.

    Attributes:
        kinds: from the name of each column that is used, in order, to what it holds.
        left_out: from the name of each column that is not used to the reason.
    """

    kinds: dict[str, Kind]
    left_out: dict[str, str]

    @classmethod
    def find(cls, table: Table, target: str | None = None, rows: np.ndarray | None = None) -> Inputs:
        """Decide which columns to use.

        A column is numeric if every cell is a finite number, and text if fewer than half are. Left out are
        columns that are constant, copies of an earlier one, and text with more than 100 different values, or
        with more than 20 that fill over half of the rows.

        Args:
            table: the table.
            target: the column that is not an input.
            rows: the training rows, by which columns are left out; all by default.

        Raises:
            InputError: if a column mixes numbers with other cells, or no column is left.
        """
        if target is not None:
            _cells(table, target)
        kinds: dict[str, Kind] = {}
        left_out: dict[str, str] = {}
        known: dict[tuple, str] = {}
        for name in table.columns:
            if name == target:
                continue
            values = _values(table, name)
            train = values if rows is None else values[rows]
            reason, key = _useless(train), tuple(train.tolist())
            if reason is None and key in known:
                reason = f"copy of {known[key]!r}"
            if reason is not None:
                left_out[name] = reason
                continue
            known[key] = name
            kinds[name] = "text" if values.dtype == object else "numbers"
        if not kinds:
            why = ", ".join(f"{name!r} ({reason})" for name, reason in left_out.items()) or "no other column"
            raise InputError(f"{table.path} has no column to use as an input: {why}")
        return cls(kinds, left_out)

    def read(self, table: Table) -> Frame:
        """Return the inputs in a table, whose other columns are ignored; rows are called by their lines.

        Raises:
            InputError: if a column is absent, or a cell of a numeric one is not a finite number.
        """
        absent = [repr(name) for name in self.kinds if name not in table.columns]
        if absent:
            raise InputError(
                f"{table.path} lacks {counted(len(absent), 'input column')}: {', '.join(absent)}"
            )
        values = {
            name: _finite(table, name, _INPUT) if kind == "numbers" else _texts(table, name)
            for name, kind in self.kinds.items()
        }
        return Frame(values, [f"line {line}" for line in table.lines])


def read_target(table: Table, name: str) -> np.ndarray:
    """Return the column to predict, float64 `(rows,)`.

    Raises:
        InputError: if there is no such column, a cell is not a finite number, or all cells are the same.
    """
    values = _finite(table, name, "a target must be numeric and finite")
    if len(values) == 1:
        raise InputError(f"{table.path} has one row; expected at least two")
    if np.all(values == values[0]):
        raise InputError(
            f"{table.path}, column {name!r}: every value is {table.columns[name][0]}; a target must vary"
        )
    return values


def recording_step(y: np.ndarray) -> float:
    """Return the step of the coarsest decimal grid that all values lie on, 0.0 where there is none.

    Looks at up to 6 decimals.

    Example:
        >>> recording_step(np.array([0.1 + 0.2, 0.45, 1.0]))
        0.05
    """
    y = np.asarray(y, dtype=np.float64)
    largest = float(np.abs(y).max(initial=0.0))
    for decimals in range(7):
        if largest * 10**decimals >= 1e15:  # there, neighbouring floats are an eighth or more apart
            break
        scaled = y * 10**decimals
        whole = np.round(scaled)
        rounding = 1e-12 * np.abs(scaled) + 1e-15 * largest * 10**decimals
        if np.all(np.abs(scaled - whole) <= np.minimum(rounding, 1e-3)):
            steps = (whole - whole.min(initial=np.inf)).astype(np.int64)
            return float(np.gcd.reduce(steps) / 10**decimals)
    return 0.0


def _values(table: Table, name: str) -> np.ndarray:
    """Return an input column as float64 where it is numeric, as objects where it is text."""
    cells = table.columns[name]
    values = _numbers(cells)
    numeric = np.isfinite(values)
    if numeric.all():
        return _finite(table, name, _INPUT)
    present = sum(cell.lower() not in _MISSING for cell in cells)
    commas = [row for row, cell in enumerate(cells) if _DECIMAL_COMMA.fullmatch(cell)]
    if 2 * len(commas) > present:
        _refuse(table, name, commas[0], _COMMA)
    if not numeric.any() or 2 * numeric.sum() < present:
        return _texts(table, name)
    return _finite(table, name, _INPUT)


def _texts(table: Table, name: str) -> np.ndarray:
    return np.array(table.columns[name], dtype=object)


def _useless(values: np.ndarray) -> str | None:
    """Say why a column cannot help, or return None."""
    levels = len(set(values.tolist()))
    if levels == 1:
        return "constant"
    if values.dtype == object and (levels > 100 or (levels > 20 and 2 * levels > len(values))):
        return f"text with {levels} different values"
    return None


def _finite(table: Table, name: str, rule: str) -> np.ndarray:
    """Return a column as finite numbers, or name the first cell that is none and the rule it breaks."""
    cells = _cells(table, name)
    values = _numbers(cells)
    bad = ~(np.abs(values) <= FLOAT32_MAX)
    if bad.any():
        row = int(bad.argmax())
        if cells[row].lower() in _MISSING:
            raise InputError(f"{_place(table, name, row)}: the value is missing; {rule}")
        if _DECIMAL_COMMA.fullmatch(cells[row]):
            _refuse(table, name, row, _COMMA)
        if np.isfinite(values[row]):
            _refuse(table, name, row, f"is too large; no number may exceed {FLOAT32_MAX:.2g}")
        what = "is not a number" if np.isnan(values[row]) else "is not finite"
        _refuse(table, name, row, f"{what}; {rule}")
    return values


def _cells(table: Table, name: str) -> list[str]:
    """Return a column's cells, or say which columns there are."""
    if name in table.columns:
        return table.columns[name]
    folded = {column.casefold(): column for column in table.columns}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    hint = f" (did you mean {folded[close[0]]!r}?)" if close else ""
    listed = ", ".join(repr(column) for column in table.columns)
    if 2 * np.isfinite(_numbers(list(table.columns))).sum() >= len(table.columns):
        listed += "; these look like numbers, so the file may lack a header line"
    raise InputError(f"{table.path} has no column {name!r}{hint}; its columns are {listed}")


def _refuse(table: Table, name: str, row: int, what: str) -> NoReturn:
    cell = table.columns[name][row]
    shown = cell if len(cell) <= 40 else cell[:37] + "..."
    raise InputError(f"{_place(table, name, row)}: {shown!r} {what}")


def _place(table: Table, name: str, row: int) -> str:
    return f"{table.path}, line {table.lines[row]}, column {name!r}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _numbers(cells: Sequence[str]) -> np.ndarray:
    """Return cells as float64, NaN where a cell is not a number."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        known = {cell: _number(cell) for cell in set(cells)}
        return np.array([known[cell] for cell in cells])


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
