"""IAM-OnDB as it is downloaded: lines of English, written on a whiteboard (Liwicki & Bunke 2005)."""

from __future__ import annotations

import html
import math
import re
from pathlib import Path

import numpy as np

from mixtura.data.markup import LARGEST_COORDINATE, read_xml
from mixtura.data.quickdraw import shortened
from mixtura.data.sequences import Sequences
from mixtura.data.strokes import COLUMNS, Lines, from_polylines
from mixtura.data.tables import counted
from mixtura.errors import InputError

STROKES, TEXTS, FORMS = "lineStrokes", "ascii", "original"  # the folders
SETS = ("trainset", "testset_v", "testset_f", "testset_t")  # the official lists, in the order of `iam_set`
NOT_LISTED = -1  # in `iam_set`: in none; in `writer`: not known
ENDING = ".xml"
_BROKEN = ("z01-000z",)  # forms whose transcription is known to be another text's
_LINE = re.compile(r"(?P<form>.+)-(?P<number>\d+)")
_BREAK = "%%%%%%%%%%%"  # sjvasquez' reader takes it for a line break; forms that have it are rare
_WRITER = re.compile(rb'writerID\s*=\s*"(\d+)"')
_HEAD = 4096  # bytes of an original form, in which its writer is named


def is_iam_ondb(path: str | Path) -> bool:
    """Tell whether a path is IAM-OnDB, or something in its folder `lineStrokes`."""
    path = Path(path)
    return _inside(path) is not None or _folder(path, STROKES) is not None


def read_iam_ondb(path: str | Path) -> Sequences:
    """Read lines of IAM-OnDB.

    The folder has `lineStrokes` (`a01/a01-000/a01-000u-01.xml`, a file a line) and `ascii` (`a01-000u.txt`,
    the lines of a form), as such or in `lineStrokes-all` and so on. It may have `original`, whose forms name
    their writers, and the official lists of forms, `trainset.txt`, `testset_v.txt`, `testset_f.txt` and
    `testset_t.txt`, at the top or in folders.

    The numbers of files are those of lines in a form. A form with more lines of strokes than of text is left
    out, for which text is whose cannot be told; where a file is missing, its text is. A line whose file is
    broken is left out.

    Args:
        path: the folder, `lineStrokes`, or a folder or file in that.

    Returns:
        The lines in the whiteboard's units, y downwards, each from where its pen came down first. Fields:
        `text`, `line_id`, `form_id`, `iam_set` (the number of a list, or -1) and, with `original`, `writer`
        (-1 if it is not known). The fact `left_out` has sentences about what was left out.

    Raises:
        InputError: if a folder is missing, or no line is left.
    """
    path = Path(path)
    strokes = path if _inside(path) else _folder(path, STROKES)
    if strokes is None or not strokes.exists():
        raise InputError(f"{path} has no folder {STROKES}; expected IAM-OnDB, with {STROKES} and {TEXTS}")
    root = _root(path)
    texts = _folder(root, TEXTS)
    if texts is None:
        raise InputError(f"{root} has no folder {TEXTS}; expected the transcriptions beside {STROKES}")
    transcriptions = {file.stem: file for file in _files(texts, ".txt")}

    left_out: list[str] = []
    lines: list[np.ndarray] = []
    known: list[tuple[str, str, str]] = []
    for form, files in _forms(strokes, left_out).items():
        if form in _BROKEN:
            left_out.append(f"form {form}: its transcription is known to be wrong")
            continue
        if form not in transcriptions:
            left_out.append(f"form {form}: there is no transcription {form}.txt in {TEXTS}")
            continue
        try:
            written = read_transcription(transcriptions[form])
        except InputError as error:
            left_out.append(str(error))
            continue
        if max(files) > len(written):
            left_out.append(
                f"form {form}: {counted(max(files), 'line')} of strokes, "
                f"{files[min(files)].stem} to {files[max(files)].stem}, but {len(written)} of text"
            )
            continue
        for number in sorted(set(range(1, len(written) + 1)) - set(files)) if path.is_dir() else ():
            left_out.append(
                f"line {form}-{number:02}: there are no strokes for the text {written[number - 1]!r}"
            )
        for number, file in sorted(files.items()):
            try:
                lines.append(from_polylines(_lifted(read_strokes(file))))
            except InputError as error:
                left_out.append(str(error))
                continue
            known.append((written[number - 1], file.stem, form))
    if not lines:
        raise InputError(
            f"{path} has no line that can be read; {(left_out or ['there are no XML files'])[0]}"
        )
    text, line_id, form_id = map(np.array, zip(*known, strict=True))
    facts = {"columns": np.array(COLUMNS), **({"left_out": shortened(left_out)} if left_out else {})}
    found = Sequences.of(lines, text=text, line_id=line_id, form_id=form_id, **_about(form_id.tolist(), root))
    return Sequences(found.data, found.offsets, found.fields, facts)


def read_strokes(path: Path) -> Lines:
    """Return the lines that a file of `lineStrokes` draws, `(m, 2)` each, y downwards.

    Raises:
        InputError: if the file is none that `markup.read_xml` reads, is no such file, has no points, or a
            coordinate is no number. Strokes and points are counted from 1.
    """
    root = read_xml(path, "strokes of IAM-OnDB")
    if root.tag != "WhiteboardCaptureSession":
        raise InputError(
            f"{path} begins with the element {str(root.tag)[:80]!r}; expected WhiteboardCaptureSession, as "
            "IAM-OnDB has it"
        )
    lines = []
    for number, stroke in enumerate(root.iterfind("StrokeSet/Stroke"), start=1):
        texts = [(point.get("x", ""), point.get("y", "")) for point in stroke.iterfind("Point")]
        try:
            places = np.array(texts, dtype=np.float64).reshape(-1, 2)
        except ValueError:
            places = np.array([[_number(x), _number(y)] for x, y in texts])
        wrong = ~(np.abs(places) <= LARGEST_COORDINATE).all(axis=1)
        if wrong.any():
            point = int(wrong.argmax())
            raise InputError(
                f"{path}, stroke {number}, point {point + 1}: x and y are {texts[point][0]!r} and "
                f"{texts[point][1]!r}; expected numbers of at most {LARGEST_COORDINATE:g}"
            )
        if len(places):
            lines.append(places)
    if not lines:
        raise InputError(f"{path} has no stroke with a point; expected at least one")
    return lines


def read_transcription(path: Path) -> list[str]:
    """Return the lines of a form as a file of `ascii` has them, corrected (the part CSR).

    Entities of HTML stand for their letters. Empty lines count for nothing.

    Raises:
        InputError: if there is no such part, or nothing in it.
    """
    raw = path.read_bytes()
    try:
        content = raw.decode("utf-8")
    except UnicodeDecodeError:
        content = raw.decode("latin1")
    _, part, after = f"\n{content}".partition("\nCSR:")
    lines = (" ".join(html.unescape(line).split()) for line in after.replace(_BREAK, "\n").splitlines())
    found = [line for line in lines if line]
    if not part or not found:
        raise InputError(f"{path} has no lines after 'CSR:'; expected a transcription of IAM-OnDB")
    return found


def _about(forms: list[str], root: Path) -> dict[str, np.ndarray]:
    """Return the fields that tell the official list and the writer of forms."""
    listed: dict[str, int] = {}
    for number, name in enumerate(SETS):
        for file in (file for depth in ("", "*/", "*/*/") for file in root.glob(f"{depth}{name}.txt")):
            listed |= dict.fromkeys(file.read_text(encoding="utf-8", errors="replace").split(), number)
    fields = {"iam_set": np.array([listed.get(form, NOT_LISTED) for form in forms], dtype=np.int8)}
    originals = _folder(root, FORMS)
    if originals is not None:
        writers: dict[str, int] = {}
        for file in _files(originals, ENDING):  # a01/a01-000/strokesu.xml is of the form a01-000u
            with file.open("rb") as opened:
                named = _WRITER.search(opened.read(_HEAD))
            if named:
                writers[file.parent.name + file.stem.removeprefix("strokes")] = int(named[1])
        fields["writer"] = np.array([writers.get(form, NOT_LISTED) for form in forms])
    return fields


def _forms(strokes: Path, left_out: list[str]) -> dict[str, dict[int, Path]]:
    """Return for each form its files by their numbers; the last of two that have one counts."""
    forms: dict[str, dict[int, Path]] = {}
    for file in [strokes] if strokes.is_file() else _files(strokes, ENDING):
        named = _LINE.fullmatch(file.stem)
        if named is None or int(named["number"]) < 1:
            left_out.append(f"{file}: its name is no line's; expected one like a01-000u-01{ENDING}")
        else:
            forms.setdefault(named["form"], {})[int(named["number"])] = file
    return forms


def _lifted(lines: Lines) -> Lines:
    """Return lines moved so that the first begins at the origin."""
    return [line - lines[0][0] for line in lines]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _inside(path: Path) -> Path | None:
    """Return the folder `lineStrokes` that a path is or is in."""
    places = (path, *path.absolute().parents)
    return next((place for place in places if place.name == STROKES), None)


def _root(path: Path) -> Path:
    """Return the folder that has all parts."""
    root = (_inside(path) or path).absolute()
    while root.name.startswith(STROKES):  # lineStrokes-all/lineStrokes
        root = root.parent
    return root


def _folder(root: Path, name: str) -> Path | None:
    places = (root / name, *sorted(root.glob(f"*/{name}")))
    return next((place for place in places if place.is_dir()), None)


def _files(folder: Path, ending: str) -> list[Path]:
    """Return the files in a folder and all below it; hidden ones are no part of it."""
    files = (file for file in folder.rglob(f"*{ending}") if file.name[0] != "." and file.is_file())
    return sorted(files)
