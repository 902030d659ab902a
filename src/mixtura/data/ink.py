"""Ink in JSON, as tablets and web pages record it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.data.markup import LARGEST, LARGEST_COORDINATE, decimals_for
from mixtura.data.quickdraw import shortened
from mixtura.data.sequences import Sequences
from mixtura.data.strokes import COLUMNS, Lines, check, from_polylines, polylines
from mixtura.errors import InputError
from mixtura.files import replacing

TEXT = "text"  # the field with what is written
_TEXTS = (TEXT, "label", "word")  # keys
_COLUMNS = "drawing"  # the key of strokes [[x...], [y...]], as Quick, Draw! has them
_STROKES = ("strokes", _COLUMNS)
_SEVERAL = ("lines", "drawings")
_LIFTED = ("pen_up", "penUp", "end")  # flags of the last point of a stroke
_EXPECTED = 'strokes, such as {"strokes": [[{"x": 1, "y": 2}, ...], ...], "text": "..."}'
_MOST = 6  # numbers of a point: x, y, time, pressure and two tilts; a longer list holds one of them for all


class _Wrong(Exception):
    """What is the matter with a line; the message follows its name."""


def read_ink(path: str | Path) -> Sequences:
    """Read lines of handwriting, or drawings, from JSON.

    The file holds one, or a list of them, which may be called `lines` or `drawings`. Each is an object with
    `strokes`, and `text` if it is known (or `label`, `word`); or a list of strokes. A stroke is a list of
    points, or an object that holds them as `points`, or their `x` and `y`, two lists; `[[x...], [y...]]` is
    one too: always if the strokes are called `drawing`, as Quick, Draw! does, else if these are longer than
    six numbers. A point is an object with `x` and `y` or a list that begins with them. After one that is
    marked `pen_up`, `penUp` or `end` a new stroke begins. Times and pressures are not read, and strokes
    without points are none.

    Args:
        path: the file.

    Returns:
        The drawings in float64: `(dx, dy, end)`, y downwards; the field `text` if any has one, empty for
        those that have none. The fact `left_out`, if any was, has a sentence for each that cannot be
        understood.

    Raises:
        InputError: if the file is no JSON, has more than 50 MB, or holds no drawing that can be understood.
            Lines, strokes and points are counted from 1.
    """
    path = Path(path)
    held = _several(_read(path))
    drawings, texts, left_out = [], [], []
    for number, one in enumerate(held, start=1):
        try:
            lines, text = _line(one)
        except _Wrong as error:
            left_out.append(f"line {number}: {error}" if len(held) > 1 else str(error))
            continue
        drawings.append(from_polylines(lines))
        texts.append(text)
    if not drawings:
        raise InputError(f"{path}: {(left_out or [f'there is nothing in it; expected {_EXPECTED}'])[0]}")
    found = Sequences.of(drawings, **({TEXT: texts} if any(texts) else {}))
    facts = {"columns": np.array(COLUMNS), **({"left_out": shortened(left_out)} if left_out else {})}
    return Sequences(found.data, found.offsets, found.fields, facts)


def write_ink(path: str | Path, sequences: Sequence[np.ndarray]) -> None:
    """Write drawings `(n, 3)` as JSON: an object with `strokes`, lists of points `[x, y]`, and `text`.

    The text is the field `text` of `Sequences`; several drawings are a list. Coordinates are rounded to a
    millionth of a drawing's larger side or finer. The file is there whole or not at all.

    Raises:
        InputError: if `strokes.check` refuses a drawing.
    """
    path = Path(path)
    texts = sequences.fields.get(TEXT) if isinstance(sequences, Sequences) else None
    written = []
    for number, drawing in enumerate(sequences):
        check(drawing, f"drawing {number + 1} for {path}")
        lines = polylines(drawing)
        decimals = decimals_for(float(np.ptp(np.concatenate(lines), axis=0).max()))
        strokes = [
            [[_short(value, decimals) for value in point] for point in line.tolist()] for line in lines
        ]
        known: dict[str, Any] = {} if texts is None else {TEXT: str(texts[number])}
        written.append(known | {"strokes": strokes})
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        json.dump(
            written[0] if len(written) == 1 else written, file, ensure_ascii=False, separators=(",", ":")
        )
        file.write("\n")


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(
                f"{path} has {path.stat().st_size} bytes; expected a file of ink of at most {LARGEST}"
            )
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a file of ink") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path} is no JSON ({error.msg}, row {error.lineno}, character {error.colno}); expected "
            f"{_EXPECTED}"
        ) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}); expected {_EXPECTED}") from None


def _several(held: Any) -> list[Any]:
    """Return the lines that a file holds."""
    if isinstance(held, dict):
        named = next((name for name in _SEVERAL if isinstance(held.get(name), list)), None)
        return held[named] if named else [held]
    if isinstance(held, list) and any(_is_line(one) for one in held):
        return held
    return [held]


def _is_line(held: Any) -> bool:
    return isinstance(held, dict) and any(name in held for name in _STROKES)


def _line(held: Any) -> tuple[Lines, str]:
    """Return the strokes of a line and its text."""
    text, columns = "", False
    if isinstance(held, dict):
        named = next((name for name in _STROKES if name in held), None)
        if named is None:
            raise _Wrong(f"an object with the keys {list(held)[:8]}; expected {_EXPECTED}")
        text = next((held[name] for name in _TEXTS if held.get(name) is not None), "")
        if not isinstance(text, str):
            raise _Wrong(f"the text is {str(text)[:40]}; expected a string")
        held, columns = held[named], named == _COLUMNS
    if not isinstance(held, list):
        raise _Wrong(f"received {_kind(held)}; expected {_EXPECTED}")
    # A list of points is a stroke, or several where the pen is lifted.
    if held and all(isinstance(one, dict) and _is_number(one.get("x")) for one in held):
        held = [held]
    strokes = chain.from_iterable(_strokes(one, number, columns) for number, one in enumerate(held, start=1))
    lines = [line for line in strokes if len(line)]
    if not lines:
        raise _Wrong("there is no stroke with a point; expected at least one")
    return lines, text


def _strokes(stroke: Any, number: int, columns: bool) -> Iterator[np.ndarray]:
    """Yield the lines of a stroke: one, or several if points say that the pen is lifted."""
    where = f"stroke {number}"
    if isinstance(stroke, dict) and "points" in stroke:
        stroke = stroke["points"]
    if isinstance(stroke, dict):
        if not isinstance(stroke.get("x"), list) or not isinstance(stroke.get("y"), list):
            raise _Wrong(f"{where} has the keys {list(stroke)[:8]}; expected `points`, or lists `x` and `y`")
        yield _from_columns(stroke["x"], stroke["y"], where)
        return
    if not isinstance(stroke, list):
        raise _Wrong(f"{where} is {_kind(stroke)}; expected a list of points")
    lists = len(stroke) >= 2 and all(isinstance(one, list) for one in stroke)
    if lists and (columns or (len(stroke) <= _MOST and all(len(one) > _MOST for one in stroke))):
        yield _from_columns(stroke[0], stroke[1], where)
        return
    if columns and stroke:
        raise _Wrong(f"{where} of `{_COLUMNS}` is not [[x...], [y...]]")
    places: list[list[float]] = []
    for index, point in enumerate(stroke, start=1):
        here = f"{where}, point {index}"
        if isinstance(point, dict):
            x, y = point.get("x"), point.get("y")
        elif isinstance(point, list) and len(point) >= 2:
            x, y = point[:2]
        else:
            raise _Wrong(f"{here} is {_kind(point)}; expected an object with x and y, or [x, y]")
        places.append([_checked(x, "x", here), _checked(y, "y", here)])
        if isinstance(point, dict) and any(
            point.get(name) is True or point.get(name) == 1 for name in _LIFTED
        ):
            yield np.array(places)
            places = []
    yield np.array(places)


def _from_columns(x: list[Any], y: list[Any], where: str) -> np.ndarray:
    if len(x) != len(y):
        raise _Wrong(f"{where} has {len(x)} x but {len(y)} y")
    return np.array(
        [
            [_checked(one, "x", f"{where}, point {index}"), _checked(other, "y", f"{where}, point {index}")]
            for index, (one, other) in enumerate(zip(x, y, strict=True), start=1)
        ]
    )


def _checked(value: Any, name: str, where: str) -> float:
    if not _is_number(value) or not abs(value) <= LARGEST_COORDINATE:
        shown = f"{value:g}" if isinstance(value, float) else json.dumps(value)[:40]
        raise _Wrong(f"{where}: {name} is {shown}; expected a number of at most {LARGEST_COORDINATE:g}")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number") + (f" of {len(value)}" if isinstance(value, list) else "")


def _short(value: float, decimals: int) -> float | int:
    rounded = round(value, decimals)
    return int(rounded) if math.isfinite(rounded) and rounded == int(rounded) else rounded
