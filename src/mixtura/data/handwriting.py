"""Lines of handwriting with their texts: data sets, and anybody's own ink."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mixtura.data.iam_ondb import is_iam_ondb, read_iam_ondb
from mixtura.data.ink import TEXT
from mixtura.data.inkml import read_labelled
from mixtura.data.markup import escaped, local_name, read_xml
from mixtura.data.quickdraw import shortened
from mixtura.data.sequences import Sequences
from mixtura.data.sketches import files_in, joined, left_out_of, read_sketches, write_sketches
from mixtura.data.strokes import categories_of, with_categories
from mixtura.data.svg import NAMESPACE, write_svg
from mixtura.data.tables import counted
from mixtura.errors import InputError
from mixtura.files import replacing, write_folder

ENDINGS = (".npz", ".json", ".inkml", ".svg")  # of files that are written


def read_handwriting(path: str | Path) -> Sequences:
    """Read lines of handwriting and what is written.

    - IAM-OnDB as it is downloaded: see `read_iam_ondb`.
    - a file that `read_sketches` reads, with texts: the field `text` of an `.npz` or `.json` file, the label
      or truth of drawings in an `.inkml` file, the title of an `.svg` file, or else a file of the same name
      that ends in `.txt` and has the text of a line in each of its own.
    - a folder of such files.

    A line without a text, or with fewer points than its text has letters, is left out.

    Args:
        path: the file or folder.

    Returns:
        The lines in float64: `(dx, dy, end)`, y downwards; the field `text`. The fact `left_out` has
        sentences about what was left out, if anything was.

    Raises:
        InputError: if there is no such file, it has no texts, or no line is left.
    """
    path = Path(path)
    if is_iam_ondb(path):
        found = read_iam_ondb(path)
    elif path.is_dir():
        found = _read_folder(path)
    else:
        found = _read_file(path)
    return _matching(found, path)


def has_texts(path: str | Path) -> bool:
    """Tell whether a path has texts that `read_sketches` would not read: IAM-OnDB, titles, files beside.

    Of a folder the first file tells.
    """
    path = Path(path)
    if is_iam_ondb(path):
        return True
    file = next(iter(files_in(path)), path) if path.is_dir() else path
    return file.with_suffix(".txt").is_file() or (
        file.suffix.lower() == ".svg" and file.is_file() and bool(_title(file))
    )


def write_handwriting(path: str | Path, sequences: Sequences) -> None:
    """Write lines with the field `text` as `read_handwriting` reads them.

    - `.npz`, `.json`: see `write_sketches`.
    - `.inkml`: the texts are labels.
    - `.svg`: one line; a name without an ending: a folder of such files. The texts are titles.

    A file or folder is there whole or not at all.

    Raises:
        InputError: if the name ends in something else, or `write_sketches` refuses a line.
    """
    path, ending = Path(path), Path(path).suffix.lower()
    texts = [str(text) for text in sequences.fields[TEXT]]
    if ending not in (*ENDINGS, ""):
        raise InputError(
            f"{path} ends in {ending!r}; handwriting is written to {', '.join(ENDINGS)} or a folder"
        )
    if ending == ".svg" and len(sequences) == 1:
        with replacing(path) as temporary:
            _write_titled(temporary, (sequences[0], texts[0]))
    elif not ending:
        write_folder(path, ".svg", list(zip(sequences, texts, strict=True)), _write_titled)
    elif ending == ".inkml":
        write_sketches(path, with_categories(sequences, texts))
    else:
        write_sketches(path, sequences)


def _read_file(path: Path) -> Sequences:
    found = read_sketches(path)
    if TEXT in found.fields and found.fields[TEXT].dtype.kind == "U":
        return found
    if path.suffix.lower() == ".inkml":
        texts = read_labelled(path)[1]
    elif path.suffix.lower() == ".svg":
        texts = [_title(path)]
    else:
        texts = categories_of(found)
    if not any(texts):
        texts = _beside(path, len(found))
    return replace(found, fields={**found.fields, TEXT: np.array(texts)})


def _read_folder(path: Path) -> Sequences:
    parts: list[tuple[str, Sequences, list[str]]] = []
    left_out: list[str] = []
    for file in files_in(path):
        try:
            part = _read_file(file)
        except InputError as error:
            left_out.append(str(error))
            continue
        left_out += [f"{file}, {sentence}" for sentence in left_out_of(part)]
        parts.append((file.stem, part, [""] * len(part)))
    if not parts:
        why = f"; {left_out[0]}" if left_out else ""
        raise InputError(f"{path} has no files of handwriting that can be read{why}")
    return joined(parts, left_out)


def _matching(lines: Sequences, path: Path) -> Sequences:
    """Return the lines whose text can be what is written; `left_out` says of the others why not."""
    texts = [" ".join(str(text).split()) for text in lines.fields[TEXT]]
    named = next((lines.fields[name] for name in ("line_id", "name") if name in lines.fields), None)
    names = range(1, len(lines) + 1) if named is None else named.tolist()
    kept, left_out = [], left_out_of(lines)
    for number, (name, text, points) in enumerate(zip(names, texts, lines.lengths.tolist(), strict=True)):
        if not text:
            left_out.append(f"line {name}: it has no text")
        elif points < len(text.replace(" ", "")):
            left_out.append(
                f"line {name}: it has {counted(points, 'point')}, too few for the text {text[:40]!r}"
            )
        else:
            kept.append(number)
    if not kept:
        raise InputError(f"{path} has no line of handwriting that can be read; {left_out[0]}")
    facts = {**lines.facts, **({"left_out": shortened(left_out)} if left_out else {})}
    found = replace(lines, fields={**lines.fields, TEXT: np.array(texts)}, facts=facts)
    return found if len(kept) == len(lines) else found[kept]


def _beside(path: Path, count: int) -> list[str]:
    """Return the texts of the lines of a file as the text file beside it has them."""
    beside = path.with_suffix(".txt")
    try:
        content = beside.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path} has drawings but no texts; expected them in it or in {beside.name}"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{beside} is no text in UTF-8; expected what is written in {path.name}") from None
    texts = [line for line in content.splitlines() if line.strip()]
    if count == 1:
        return [" ".join(texts)]
    if len(texts) != count:
        raise InputError(
            f"{beside} has {counted(len(texts), 'line')} of text, but {path.name} {count} of strokes"
        )
    return texts


def _title(path: Path) -> str:
    """Return the title of an SVG file, or nothing."""
    titles = (child for child in read_xml(path, "an SVG file") if local_name(child, NAMESPACE) == "title")
    return next((" ".join("".join(title.itertext()).split()) for title in titles), "")


def _write_titled(path: Path, line: tuple[np.ndarray, str]) -> None:
    drawing, text = line
    write_svg(path, drawing)
    titled = path.read_text(encoding="utf-8").replace("\n", f"\n<title>{escaped(text)}</title>\n", 1)
    path.write_text(titled, encoding="utf-8", newline="\n")
