"""Files of Quick, Draw!: a drawing a line in JSON, raw or simplified, and the binary of simplified ones."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.strokes import COLUMNS, Lines, categories_of, check, polylines, with_categories
from mixtura.data.tables import FLOAT32_MAX
from mixtura.errors import InputError
from mixtura.files import replacing

_FIELDS = {"countrycode": str, "timestamp": str, "recognized": bool, "key_id": str}
_SHOWN = 20  # sentences about what was left out
_DECIMALS = 6  # of written coordinates
_HEAD = struct.Struct("<Q2sbIH")  # key, country, recognized, seconds since 1970, strokes
_LENGTH = struct.Struct("<H")
_PER_STROKE = 2**16 - 1  # the largest number of points, and of strokes, that a binary file can say


class _Wrong(Exception):
    """What is the matter with a drawing: what was received, and what was expected."""


@dataclass(frozen=True)
class _Drawing:
    number: int  # its line, or its place among the drawings
    places: np.ndarray  # of its points, (n, 2)
    counts: list[int]  # the points of each stroke
    word: str | None
    fields: dict[str, Any]


def read_ndjson(path: str | Path) -> Sequences:
    """Read drawings of Quick, Draw!, one JSON object a line.

    `drawing` holds the strokes: `[[x...], [y...], [milliseconds...]]` in raw files, `[[x...], [y...]]` in
    simplified ones. Coordinates stay as they are, times are not read. Blank lines are skipped. A line that is
    no drawing is left out, and so is one without a `word` if others have one.

    Args:
        path: the file.

    Returns:
        The drawings in float64. Fields: `label`, which numbers the sorted words, the fact `categories`; and
        of `countrycode`, `timestamp`, `recognized` and `key_id` those that every drawing has. The fact
        `left_out`, if any was, has a sentence for each line left out, the first 20 of them.

    Raises:
        InputError: if the file cannot be read, or no line is a drawing.
    """
    path = Path(path)
    found: list[_Drawing] = []
    wrong: dict[int, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.isspace():
            try:
                found.append(_parse(line, number))
            except _Wrong as error:
                wrong[number] = str(error)
    if any(one.word is not None for one in found):
        what = "no `word`, the category, which other lines have"
        wrong |= {one.number: what for one in found if one.word is None}
        found = [one for one in found if one.word is not None]
    left_out = [f"line {number}: {wrong[number]}" for number in sorted(wrong)]
    return _together(path, found, left_out)


def _together(path: Path, found: list[_Drawing], left_out: list[str]) -> Sequences:
    if not found:
        why = f"; {left_out[0]}" if left_out else ""
        raise InputError(f"{path} has no drawing of Quick, Draw!{why}")
    places = np.concatenate([one.places for one in found], dtype=np.float64)
    offsets = np.concatenate([[0], np.cumsum([len(one.places) for one in found])])
    data = np.zeros((len(places), len(COLUMNS)))
    data[:, :2] = np.diff(places, axis=0, prepend=0)
    data[offsets[:-1], :2] = places[offsets[:-1]]  # from the origin, not from the drawing before
    data[np.cumsum([count for one in found for count in one.counts]) - 1, 2] = 1
    fields = {
        name: np.array([one.fields[name] for one in found])
        for name in _FIELDS
        if all(name in one.fields for one in found)
    }
    facts = {"columns": np.array(COLUMNS)}
    if left_out:
        facts["left_out"] = shortened(left_out)
    drawings = Sequences(data, offsets, fields, facts)
    return with_categories(drawings, [one.word or "" for one in found])


def shortened(sentences: list[str]) -> np.ndarray:
    """Return the first 20 sentences, and how many more there are."""
    more = len(sentences) - _SHOWN
    return np.array(sentences[:_SHOWN] + [f"and {more} more"] * (more > 0))


def write_ndjson(path: str | Path, sequences: Sequences) -> None:
    """Write drawings as simplified files of Quick, Draw! are: `[[x...], [y...]]` for each stroke.

    Coordinates have 6 decimals, and none if all of a drawing's are whole. `word` is the category, and what
    other fields `read_ndjson` knows are written too. The file is there whole or not at all.

    Raises:
        InputError: if one is no drawing.
    """
    path = Path(path)
    words = categories_of(sequences)
    fields = {name: sequences.fields[name].tolist() for name in _FIELDS if name in sequences.fields}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for number, drawing in enumerate(sequences):
            check(drawing, f"drawing {number + 1} for {path}")
            known: dict[str, Any] = {"word": words[number]} if words else {}
            known |= {name: _FIELDS[name](values[number]) for name, values in fields.items()}
            known["drawing"] = [line.T.tolist() for line in _whole(drawing)]
            file.write(json.dumps(known, separators=(",", ":")) + "\n")


def read_bin(path: str | Path) -> Sequences:
    """Read drawings of a binary file of Quick, Draw!.

    Its name is the category: `cat.bin`. A drawing without a stroke, or with a stroke without a point, is left
    out.

    Returns:
        See `read_ndjson`; times are written as there, to the second.

    Raises:
        InputError: if the file cannot be read, ends within a drawing, or has no drawing.
    """
    path = Path(path)
    raw = b"".join(_lines(path))
    found: list[_Drawing] = []
    left_out = []
    at = number = 0
    while at < len(raw):
        number += 1
        try:
            key, country, recognized, seconds, strokes = _HEAD.unpack_from(raw, at)
            at += _HEAD.size
            lines = []
            for _ in range(strokes):
                (length,) = _LENGTH.unpack_from(raw, at)
                at += _LENGTH.size
                lines.append(np.frombuffer(raw, np.uint8, 2 * length, at).reshape(2, length).T)
                at += 2 * length
        except (struct.error, ValueError):
            raise InputError(
                f"{path} ends within drawing {number}; expected a binary file of Quick, Draw!"
            ) from None
        if not lines or not all(map(len, lines)):
            left_out.append(f"drawing {number}: {'a stroke is empty' if lines else 'no strokes'}")
            continue
        fields = {
            "countrycode": country.decode("latin1").rstrip("\0"),
            "timestamp": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC",
            "recognized": bool(recognized),
            "key_id": str(key),
        }
        found.append(_Drawing(number, np.concatenate(lines), [len(one) for one in lines], path.stem, fields))
    return _together(path, found, left_out)


def write_bin(path: str | Path, sequences: Sequences) -> None:
    """Write drawings as a binary file of Quick, Draw!, whose name should be the category.

    What fields are missing are written as zeros. The file is there whole or not at all.

    Raises:
        InputError: if one is no drawing, a coordinate is no integer from 0 to 255, the drawings are of
            several categories, or the format has no place for a field's value.
    """
    path = Path(path)
    if len(set(categories_of(sequences))) > 1:
        raise InputError(f"{path}: a .bin file holds one category; write one for each, or an .ndjson file")
    with replacing(path) as temporary, temporary.open("wb") as file:
        for number, drawing in enumerate(sequences):
            name = f"drawing {number + 1} for {path}"
            check(drawing, name)
            lines = _whole(drawing)
            if any(line.dtype.kind != "i" or line.min() < 0 or line.max() > 255 for line in lines):
                raise InputError(
                    f"{name} has coordinates that are no integers from 0 to 255; simplify the drawings first"
                )
            if max(len(lines), *map(len, lines)) > _PER_STROKE:
                raise InputError(f"{name} has more strokes, or points in a stroke, than {_PER_STROKE}")
            own = {field: values[number] for field, values in sequences.fields.items() if field in _FIELDS}
            file.write(_head(own, len(lines), name))
            for line in lines:
                file.write(_LENGTH.pack(len(line)) + line.T.astype(np.uint8).tobytes())


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a file of Quick, Draw!") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); expected a file of Quick, Draw!"
        ) from None


def _parse(line: bytes, number: int) -> _Drawing:
    try:
        known = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = f" ({error.msg}, character {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else ""
        raise _Wrong(f"this is not JSON{said}; expected an object with `drawing`") from None
    if not isinstance(known, dict) or "drawing" not in known:
        what = f"the keys {list(known)}" if isinstance(known, dict) else f"a {type(known).__name__}"
        raise _Wrong(f"received {what[:100]}; expected an object with `drawing`")
    word = known.get("word")
    if not isinstance(word, str | None):
        raise _Wrong(f"`word` is {str(word)[:40]}; expected a text")
    fields = {name: known[name] for name, kind in _FIELDS.items() if isinstance(known.get(name), kind)}
    return _Drawing(number, *_strokes(known["drawing"]), word or None, fields)


def _strokes(drawing: Any) -> tuple[np.ndarray, list[int]]:
    """Return the places of all points, `(n, 2)`, and the number of points of each stroke."""
    if not isinstance(drawing, list) or not drawing:
        what = "is empty" if drawing == [] else "is no list"
        raise _Wrong(f"`drawing` {what}; expected strokes [[x...], [y...]]")
    lengths, x, y = [], [], []
    for number, stroke in enumerate(drawing, start=1):
        x_and_y = (
            isinstance(stroke, list)
            and len(stroke) >= 2
            and isinstance(stroke[0], list)
            and isinstance(stroke[1], list)
        )
        if not x_and_y or not stroke[0]:
            raise _Wrong(f"stroke {number} is not [[x...], [y...]] with a point at least")
        if len(stroke[0]) != len(stroke[1]):
            raise _Wrong(f"stroke {number} has {len(stroke[0])} x but {len(stroke[1])} y")
        lengths.append(len(stroke[0]))
        x += stroke[0]
        y += stroke[1]
    try:
        places = np.array([x, y])
    except ValueError:  # lists among the numbers
        places = np.empty(0, dtype=object)
    if places.ndim != 2 or places.dtype.kind not in "iuf":
        raise _Wrong("a coordinate is no number")
    places = places.T.astype(np.float64)
    if not (np.abs(places) <= FLOAT32_MAX).all():
        raise _Wrong("a coordinate is not finite, or too large")
    return places, lengths


def _whole(drawing: np.ndarray) -> Lines:
    """Return the lines of a drawing, rounded to 6 decimals, as integers if all are."""
    lines = polylines(drawing)
    places = np.round(np.concatenate(lines), _DECIMALS) + 0.0  # and no -0.0
    if (places == np.rint(places)).all() and np.abs(places).max() < 2**53:
        places = places.astype(np.int64)
    return np.split(places, np.cumsum([len(line) for line in lines])[:-1])


def _head(fields: dict[str, Any], strokes: int, name: str) -> bytes:
    """Return what stands before a drawing's strokes in a binary file."""
    moment = str(fields.get("timestamp", ""))
    try:
        key = int(fields.get("key_id", 0))
        time = datetime.fromisoformat(moment.replace(" UTC", "+00:00")) if moment else None
        country = str(fields.get("countrycode", "")).encode("ascii")
        if len(country) > 2:
            raise ValueError("countrycode")
        seconds = math.floor(time.timestamp()) if time else 0
        return _HEAD.pack(key, country, bool(fields.get("recognized", 0)), seconds, strokes)
    except (ValueError, struct.error, OverflowError):
        shown = ", ".join(f"{field} {value}" for field, value in fields.items())
        raise InputError(
            f"{name} has {shown}; a .bin file has place for a key_id from 0 to 2^64 - 1, a time from 1970 to "
            "2106 and two letters of a country"
        ) from None
