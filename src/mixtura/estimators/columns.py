"""Arrays and data frames as the matrix that a network reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from numbers import Number
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from mixtura.data.tables import FLOAT32_MAX

# Each is a column of the matrix; what has more, an identifier say, tells nothing about new rows.
MOST_CATEGORIES = 255


@dataclass(frozen=True)
class Columns:
    """How the columns of X become numbers: the numeric ones standardised, then 0/1 for every category.

    Attributes:
        numeric: the positions of numeric columns.
        mean: what is subtracted from them.
        std: what they are divided by; where a column is constant, its size, at least 1.
        categorical: the positions of categorical columns.
        levels: the categories of each, as text.
    """

    numeric: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    categorical: tuple[int, ...]
    levels: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, x: Any, categorical: Sequence[int], weight: np.ndarray) -> Columns:
        """Learn means, standard deviations and categories from training rows.

        Args:
            x: an array or a data frame.
            categorical: positions of the categorical columns.
            weight: how much each row counts, `(rows,)`; one of 0 is not looked at.

        Raises:
            ValueError: for a number that is not finite or beyond float32, a cell that is no number, or a
                column of more than 255 categories.
        """
        numeric = tuple(i for i in range(x.shape[1]) if i not in categorical)
        used = weight > 0
        mean, std = moments(numbers(x, numeric)[used], weight[used])
        levels = tuple(
            tuple(sorted({text for text, counts in zip(texts(x, i), used, strict=True) if counts}))
            for i in categorical
        )
        for position, found in zip(categorical, levels, strict=True):
            if len(found) > MOST_CATEGORIES:
                name = str(list(getattr(x, "columns", range(x.shape[1])))[position])
                raise ValueError(
                    f"column {name!r} has {len(found)} categories; "
                    f"at most {MOST_CATEGORIES} can be learned from"
                )
        return cls(numeric, tuple(mean), tuple(std), tuple(categorical), levels)

    @property
    def width(self) -> int:
        """The number of columns of the matrix."""
        return len(self.numeric) + sum(map(len, self.levels))

    def encode(self, x: Any) -> np.ndarray:
        """Return the matrix, float32 `(rows, width)`; a category that is not known is all zeros.

        Raises:
            ValueError: as `fit`.
        """
        blocks = [(numbers(x, self.numeric) - np.array(self.mean)) / np.array(self.std)]
        # A number far outside what was seen says nothing more, and must not leave float32 in the layers.
        blocks[0] = np.clip(blocks[0], -1e6, 1e6)
        for position, levels in zip(self.categorical, self.levels, strict=True):
            blocks.append(np.array(texts(x, position))[:, None] == np.array(levels, dtype=object))
        return np.hstack(blocks).astype(np.float32)

    def unseen(self, x: Any) -> dict[int, list[str]]:
        """Return the categories that are not known, by the position of their column."""
        found = {
            position: sorted(set(texts(x, position)).difference(levels))
            for position, levels in zip(self.categorical, self.levels, strict=True)
        }
        return {position: new for position, new in found.items() if new}

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, floats exactly."""
        return asdict(self)

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Columns:
        """Return what `to_dict` described."""
        levels = tuple(map(tuple, config["levels"]))
        rest = {name: tuple(value) for name, value in config.items() if name != "levels"}
        return cls(**rest, levels=levels)


def categorical_columns(x: Any, asked: Any) -> list[int]:
    """Return the positions of categorical columns.

    Args:
        x: an array or a data frame.
        asked: "from_dtype" for the columns of a data frame that hold text or categories; or positions, names,
            or one boolean for each column; or None.

    Raises:
        ValueError: for a column that is not there.
    """
    count, names = x.shape[1], list(getattr(x, "columns", []))
    if asked is None or (isinstance(asked, str) and asked == "from_dtype"):
        if asked is None or not names:
            return []
        return [i for i in range(count) if _holds_categories(x, i)]
    asked = list(np.atleast_1d(np.asarray(asked, dtype=object)))
    if len(asked) == count and all(isinstance(one, bool | np.bool) for one in asked):
        return [i for i, one in enumerate(asked) if one]
    positions = []
    for one in asked:
        known = names.index(one) if one in names else one
        if isinstance(known, bool) or not hasattr(known, "__index__") or not -count <= known < count:
            raise ValueError(
                f"categorical_features names columns, their positions or one boolean for each of {count}; "
                f"received {one!r}"
            )
        positions.append(int(known) % count)
    return sorted(set(positions))


def column(x: Any, position: int) -> np.ndarray:
    """Return one column of an array, of a pandas or polars data frame, or of a table."""
    names = getattr(x, "columns", None)
    if names is None:
        return np.asarray(x)[:, position]
    series = x.iloc[:, position] if hasattr(x, "iloc") else x[names[position]]
    return np.asarray(series.to_numpy() if hasattr(series, "to_numpy") else series)


def _holds_categories(x: Any, position: int) -> bool:
    """Tell whether a data frame's column is not of numbers; pandas' categories may look like some.

    One of objects may hold numbers all the same; one that holds times is left to `numbers`, which refuses it.
    """
    if hasattr(x, "iloc") and str(x.iloc[:, position].dtype) == "category":
        return True
    values = column(x, position)
    if _holds_times(values):
        return False
    if values.dtype.kind != "O":
        return values.dtype.kind not in "biuf"
    cells = [cell for cell in values if cell is not None]
    return not cells or not all(isinstance(cell, Number) and not isinstance(cell, bool) for cell in cells)


def _holds_times(values: np.ndarray) -> bool:
    """Tell whether a column holds dates or durations; those with a time zone are objects."""
    if values.dtype.kind == "O":
        return any(isinstance(cell, timedelta) or hasattr(cell, "year") for cell in values)
    return values.dtype.kind in "mM"


def texts(x: Any, position: int) -> list[str]:
    """Return a categorical column as text: 1, 1.0 and "1" are one category, and so are missing values."""
    found = []
    for cell in column(x, position).tolist():
        if cell is None or str(cell) == "<NA>" or cell != cell:
            found.append("")
        else:
            found.append(str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell))
    return found


def numbers(x: Any, positions: Sequence[int]) -> np.ndarray:
    """Return columns as finite float64, `(rows, len(positions))`.

    Raises:
        ValueError: for a cell that is no number, or not finite, or beyond float32, named by row and column;
            for a column of a data frame that holds times.
    """
    if not positions:
        return np.empty((x.shape[0], 0))
    if hasattr(x, "columns"):
        names = [str(list(x.columns)[i]) for i in positions]
        columns = [column(x, i) for i in positions]
        for name, values in zip(names, columns, strict=True):
            if _holds_times(values):
                raise ValueError(
                    f"column {name!r} holds times; turn them into numbers, such as days since a date"
                )
        cells = np.column_stack(columns)
    else:
        names, cells = [str(i) for i in positions], np.asarray(x)[:, list(positions)]
    try:
        found = check_array(cells, dtype=np.float64, ensure_all_finite=False, ensure_min_samples=0)
    except ValueError:
        _refuse_text(cells, names)
        raise
    refuse_non_finite("X", found, names)
    return found


def _refuse_text(cells: np.ndarray, names: Sequence[str]) -> None:
    """Raise a ValueError that names the first cell that is text and no number, if there is one."""
    for (row, place), cell in np.ndenumerate(cells):
        if isinstance(cell, str):
            try:
                float(cell)
            except ValueError:
                raise ValueError(
                    f"could not convert string to float: {str(cell)!r} in row {row}, "
                    f"column {names[place]!r}; categorical_features names columns of text"
                ) from None


def refuse_non_finite(name: str, values: np.ndarray, names: Sequence[str] | None = None) -> None:
    """Raise a ValueError that names the first number that is not finite or that float32 cannot hold."""
    bad = ~(np.abs(values) <= FLOAT32_MAX)
    if not bad.any():
        return
    row, place = np.argwhere(bad)[0]
    value = values[row, place]
    what = "NaN" if np.isnan(value) else "infinity or a value too large for dtype('float32')"
    where = f"row {row}" if values.shape[1] == 1 and not names else f"row {row}, column {place}"
    if names and names[place] != str(place):
        where = f"row {row}, column {names[place]!r}"
    raise ValueError(f"Input {name} contains {what}: {value} in {where}")


def moments(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted means and standard deviations of columns; NaN is no value.

    For a constant one the latter is its size, at least 1, so that the rounding of the mean stays small.
    """
    present = np.isfinite(values)
    # Relative to the largest, whose square could leave the range of numbers.
    size = np.maximum(np.max(np.abs(values), axis=0, where=present, initial=0.0), np.finfo(float).tiny)
    share = weight[:, None] * present
    share = share / np.maximum(share.sum(axis=0), np.finfo(float).tiny)
    scaled = np.where(present, values / size, 0.0)
    mean = (share * scaled).sum(axis=0)
    std = np.sqrt((share * (scaled - mean) ** 2).sum(axis=0))
    # What rounding leaves of a deviation of 0 is a few times 1e-16.
    return mean * size, np.where(std > 1e-14, std * size, np.maximum(size, 1.0))
