"""Lines of handwriting with their texts: the data sets and anybody's own ink."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mixtura.data.quickdraw import shortened
from mixtura.data.sequences import Sequences
from mixtura.data.sketches import left_out_of, read_sketches
from mixtura.data.tables import counted
from mixtura.errors import InputError

TEXT = "text"  # the field with what is written
FEWEST_POINTS = 1  # of a character: with less, text and strokes are of different lines


def read_handwriting(path: str | Path) -> Sequences:
    """Read lines of handwriting.

    - `.npz`: drawings as `read_sketches` reads them, with the field `text`.

    A line without a text, or with fewer points than its text has characters, is left out.

    Args:
        path: the file.

    Returns:
        The lines in float64: `(dx, dy, end)`, the field `text`. The fact `left_out` has sentences about what
        was left out, if anything was.

    Raises:
        InputError: if `read_sketches` refuses the file, it has no texts, or no line is left.
    """
    path = Path(path)
    found = read_sketches(path)
    if TEXT not in found.fields or found.fields[TEXT].dtype.kind != "U":
        raise InputError(f"{path} has drawings but no texts; expected the field `{TEXT}`, what is written")
    return matching(found, str(path))


def matching(lines: Sequences, what: str) -> Sequences:
    """Return the lines whose text can be what is written; `left_out` says of the others why not.

    Args:
        lines: drawings with the field `text`.
        what: what a message calls them, such as a file's path.

    Raises:
        InputError: if no line is left.
    """
    texts = [" ".join(str(text).split()) for text in lines.fields[TEXT]]
    names = lines.fields["line_id"].tolist() if "line_id" in lines.fields else range(1, len(lines) + 1)
    kept, left_out = [], left_out_of(lines)
    for number, (name, text, points) in enumerate(zip(names, texts, lines.lengths.tolist(), strict=True)):
        fewest = FEWEST_POINTS * len(text.replace(" ", ""))
        if not text:
            left_out.append(f"line {name}: it has no text")
        elif points < fewest:
            left_out.append(
                f"line {name}: it has {counted(points, 'point')}, too few for the text {text[:40]!r}"
            )
        else:
            kept.append(number)
    if not kept:
        raise InputError(f"{what} has no line of handwriting that can be read; {left_out[0]}")
    facts = {**lines.facts, **({"left_out": shortened(left_out)} if left_out else {})}
    found = replace(lines, fields={**lines.fields, TEXT: np.array(texts)}, facts=facts)
    return found if len(kept) == len(lines) else found[kept]
