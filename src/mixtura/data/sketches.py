"""Files of drawings: all that are read and written, by the ending of the name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.data.ink import read_ink, write_ink
from mixtura.data.inkml import read_labelled, write_inkml
from mixtura.data.pickles import read_object_arrays
from mixtura.data.quickdraw import read_bin, read_ndjson, shortened, write_bin, write_ndjson
from mixtura.data.sequences import Sequences, read_sequences, write_sequences
from mixtura.data.strokes import (
    COLUMNS,
    categories_of,
    check,
    from_polylines,
    polylines,
    quickdraw,
    with_categories,
)
from mixtura.data.svg import read_svg, write_svg
from mixtura.data.tables import FLOAT32_MAX
from mixtura.errors import InputError
from mixtura.files import write_folder

NAME = "name"  # the field with the names of files of one drawing each
SPLITS = ("train", "valid", "test")  # the arrays of sketch-rnn's files; the field `split` numbers them
ENDINGS = (".npz", ".ndjson", ".bin", ".svg", ".inkml", ".json")
_FACTS = ("categories", "columns", "left_out", "styles")


def read_sketches(path: str | Path, simplify: bool = False) -> Sequences:
    """Read drawings.

    - `.npz` as `write_sketches` writes it, or of sketch-rnn: object arrays `train`, `valid`, `test`, of which
      the field `split` says 0, 1, 2. They are read without running their pickles.
    - `.ndjson` and `.bin` of Quick, Draw!: see `read_ndjson` and `read_bin`.
    - `.svg`, one drawing, `.inkml` and `.json`: see `read_svg`, `read_labelled` and `read_ink`.
    - a folder of such files, in the order of their names; or of folders of them, whose names are the
      categories. Where each file has one drawing, the field `name` has their names. A file that is none of
      these is not read; one that should be and has no drawing is left out.

    Args:
        path: the file or folder.
        simplify: change each drawing as `quickdraw` does.

    Returns:
        The drawings in float64: `(dx, dy, end)`, the fact `columns`. The field `label` numbers the fact
        `categories`. The fact `left_out` has sentences about lines and files that were left out, if any were.

    Raises:
        InputError: if there is no such file, or no drawing in it; if a drawing is none (see `check`), or its
            label no number of a category.
    """
    path = Path(path)
    if path.is_dir():
        found = _read_folder(path)
    elif path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{path} ends in {path.suffix!r}; drawings are read from {_one_of(ENDINGS)} or a folder"
        )
    elif not path.exists():
        raise InputError(f"{path} does not exist; expected a file of drawings")
    else:
        found = _read_file(path)
    if simplify:
        found = found.map(lambda drawing: from_polylines(quickdraw(polylines(drawing))))
    return found


def left_out_of(drawings: Sequences) -> list[str]:
    """Return the sentences on what was left out when drawings were read."""
    return [str(sentence) for sentence in drawings.facts.get("left_out", ())]


def write_sketches(path: str | Path, sequences: Sequences) -> None:
    """Write drawings as `read_sketches` reads them.

    - `.npz`: arrays `data` and `offsets`, fields and facts, without pickles. sketch-rnn's own files are
      pickles, and are read but not written.
    - `.ndjson`, `.bin`, `.inkml`, `.json`: see `write_ndjson`, `write_bin`, `write_inkml` and `write_ink`.
    - `.svg`: one drawing.
    - a name without an ending: a folder with one SVG file for each drawing, `1.svg`, `2.svg` and so on, which
      takes the place of a folder of that name. Its drawings have no fields.

    A file or folder is there whole or not at all.

    Raises:
        InputError: if the name ends in something else, a drawing is none, or the format has no place for it.
    """
    path, ending = Path(path), Path(path).suffix.lower()
    sequences = _checked(sequences, f"the drawings for {path}")
    if ending == ".npz":
        facts = {name: value for name, value in sequences.facts.items() if name != "left_out"}
        write_sequences(path, replace(sequences, facts=facts))
    elif ending == ".ndjson":
        write_ndjson(path, sequences)
    elif ending == ".bin":
        write_bin(path, sequences)
    elif ending == ".inkml":
        write_inkml(path, sequences)
    elif ending == ".json":
        write_ink(path, sequences)
    elif ending == ".svg":
        if len(sequences) != 1:
            raise InputError(
                f"{path}: an .svg file holds one drawing; received {len(sequences)}; name a folder instead"
            )
        write_svg(path, sequences[0])
    elif not ending:
        write_folder(path, ".svg", sequences, write_svg)
    else:
        raise InputError(f"{path} ends in {ending!r}; drawings are written to {_one_of(ENDINGS)} or a folder")


def _read_file(path: Path) -> Sequences:
    ending = path.suffix.lower()
    if ending == ".npz":
        return _read_npz(path)
    if ending == ".ndjson":
        return read_ndjson(path)
    if ending == ".bin":
        return read_bin(path)
    if ending == ".svg":
        found = Sequences.of([from_polylines(read_svg(path))], **{NAME: [path.stem]})
    elif ending == ".json":
        found = read_ink(path)
    else:
        drawings, labels = read_labelled(path)
        found = with_categories(Sequences.of([from_polylines(lines) for lines in drawings]), labels)
    return _checked(found, str(path))


def _read_npz(path: Path) -> Sequences:
    arrays = read_object_arrays(path)
    if {"data", "offsets"} <= arrays.keys():
        return _checked(read_sequences(path), str(path))
    parts = [name for name in SPLITS if name in arrays]
    if not parts:
        raise InputError(
            f"{path} holds {list(arrays)}; expected `data` and `offsets`, or {_one_of(SPLITS, 'and')}"
        )
    drawings: list[np.ndarray] = []
    split: list[int] = []
    for name in parts:
        for number, drawing in enumerate(arrays[name]):
            check(drawing, f"{path}: drawing {number + 1} of {name}")
            drawings.append(drawing)
            split.append(SPLITS.index(name))
    if not drawings:
        raise InputError(f"{path} has no drawing in {_one_of(parts, 'and')}")
    return _checked(Sequences.of(drawings, split=np.array(split, dtype=np.int8)), str(path))


def _checked(sequences: Sequences, name: str) -> Sequences:
    """Return drawings in float64, each with an end, with the names of the columns, if all are drawings."""
    # Files tell fields by their length, which a fact may have too.
    known = {**sequences.facts, **sequences.fields}
    facts = {key: value for key, value in known.items() if key in _FACTS or key in sequences.facts}
    fields = {key: value for key, value in known.items() if key not in facts}
    columns = facts.get("columns", np.array(COLUMNS)).astype(str).ravel().tolist()
    if columns != list(COLUMNS):
        raise InputError(f"{name}: the columns are {', '.join(columns)}; expected {', '.join(COLUMNS)}")
    if not len(sequences):
        raise InputError(f"{name}: there is no drawing; expected at least one")
    data, lasts = sequences.data.astype(np.float64), sequences.offsets[1:] - 1
    fine = data.shape[1] == len(COLUMNS) and sequences.lengths.min() > 0
    if not fine or not (np.abs(data) <= FLOAT32_MAX).all() or not np.isin(data[:, 2], (0, 1)).all():
        for number, drawing in enumerate(sequences):
            check(drawing, f"{name}, drawing {number + 1}")
    if "label" in fields and "categories" in facts:
        _check_labels(fields["label"], facts["categories"].size, name)
    data[lasts, 2] = 1
    return Sequences(data, sequences.offsets, fields, {**facts, "columns": np.array(COLUMNS)})


def _check_labels(labels: np.ndarray, known: int, name: str) -> None:
    """Raise an InputError if a label is no number of a category."""
    wrong = ~np.isin(labels, np.arange(known)) | (labels.dtype.kind not in "iu")
    if wrong.any():
        number = int(wrong.argmax())
        raise InputError(
            f"{name}, drawing {number + 1}: the label is {labels[number]}; expected the number of a "
            f"category, from 0 to {known - 1}"
        )


def _read_folder(path: Path) -> Sequences:
    named: list[tuple[Path, str | None]] = [(file, None) for file in files_in(path)]
    folders = [place for place in sorted(path.iterdir()) if place.is_dir() and place.name[0] != "."]
    inside = [(file, place.name) for place in folders for file in files_in(place)]
    if named and inside:
        raise InputError(
            f"{path} holds files of drawings beside folders of them, whose names are categories; expected "
            "either"
        )
    named += inside
    if not named:
        raise InputError(f"{path} has no files of drawings; expected {_one_of(ENDINGS)}")
    parts: list[tuple[str, Sequences, list[str]]] = []
    left_out: list[str] = []
    for file, category in named:
        place = file.relative_to(path)
        try:
            part = _read_file(file)
        except InputError as error:
            left_out.append(f"{place}: {str(error).removeprefix(str(file)).lstrip(':, ')}")
            continue
        left_out += [f"{place}, {sentence}" for sentence in left_out_of(part)]
        names = [category] * len(part) if category is not None else categories_of(part) or [""] * len(part)
        parts.append((file.stem, part, names))
    if not parts:
        raise InputError(f"{path} has no drawing that can be read; {left_out[0]}")
    return joined(parts, left_out)


def joined(parts: list[tuple[str, Sequences, list[str]]], left_out: list[str]) -> Sequences:
    """Return the drawings of several files as one.

    Args:
        parts: of each file its stem, drawings and the names of their categories. Fields that all have stay.
        left_out: sentences on what was left out.
    """
    several = [part for _, part, _ in parts]
    common = set.intersection(*(set(part.fields) for part in several)) - {"label", NAME}
    fields: dict[str, Any] = {
        name: np.concatenate([part.fields[name] for part in several])
        for name in several[0].fields
        if name in common
    }
    if all(len(part) == 1 for part in several):
        fields[NAME] = np.array([stem for stem, _, _ in parts])
    facts: dict[str, Any] = {"columns": np.array(COLUMNS)}
    if left_out:
        facts["left_out"] = shortened(left_out)
    joined = Sequences.of(drawing for part in several for drawing in part)
    joined = Sequences(joined.data, joined.offsets, fields, facts)
    return with_categories(joined, [name for _, _, names in parts for name in names])


def files_in(folder: Path) -> list[Path]:
    """Return the files of drawings in a folder; hidden ones are no part of it."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.name[0] != ".")
    return sorted(file for file in files if file.is_file())


def _one_of(names: Sequence[str], word: str = "or") -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else names[0]
