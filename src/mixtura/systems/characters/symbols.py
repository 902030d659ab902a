"""Files as sequences of symbols, and symbols as events: the alphabet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixtura.data.abc_playing import abc_melody
from mixtura.data.abc_tunes import abc_symbols, read_abc, write_abc
from mixtura.data.midi import read_midi, write_midi
from mixtura.data.sequences import Sequences
from mixtura.errors import InputError
from mixtura.files import replacing

UNKNOWN, END = "\ufffd", "<end>"
RAREST = 5  # a symbol that training has less often is unknown,
MOST = 400  # and so are all but so many
BLOCK = 4000  # characters of a text that stay together, about; in a short text fewer

Symbols = Sequence[str]


@dataclass(frozen=True)
class Kind:
    """A kind of files.

    Attributes:
        suffixes: what their names end in.
        read: a file's sequences of symbols.
        parse: a prompt's symbols.
        write: what writes sequences of symbols, by the ending of the path; the first is the kind's own.
        ends: whether sequences end, as tunes do, or are pieces of something longer.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Path], Sequence[Symbols]]
    parse: Callable[[str], Symbols]
    write: Mapping[str, Callable[[Path, Iterable[Symbols]], None]]
    ends: bool


def read_text(path: Path) -> list[Symbols]:
    """Return the characters of a UTF-8 file.

    Raises:
        InputError: if the file is not UTF-8 or empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(f"{path} is no UTF-8 text: byte {error.start} is {byte:#04x}") from None
    if not text.strip():
        raise InputError(f"{path} is empty; expected text")
    return [text]


def blocks(text: Symbols, size: int = BLOCK) -> list[Symbols]:
    """Cut a text into contiguous blocks of about a size, which end where a line ends.

    A line that is too long is cut, and a last block that would be shorter than half the size is none.
    """
    found: list[Symbols] = []
    start = 0
    while start < len(text):
        near = range(start + size, min(start + 2 * size, len(text)) + 1)
        end = next((end for end in near if text[end - 1] == "\n"), start + size)
        if len(text) - end < size // 2:
            end = len(text)
        found.append(text[start:end])
        start = end
    return found


def write_text(path: Path, texts: Iterable[Symbols]) -> None:
    """Write texts, an empty line between them."""
    with replacing(path) as temporary:
        temporary.write_text("\n\n".join("".join(text) for text in texts) + "\n", encoding="utf-8")


def write_lines(path: Path, melodies: Iterable[Symbols]) -> None:
    """Write the symbols of melodies, one melody a line."""
    with replacing(path) as temporary:
        temporary.write_text("".join(" ".join(melody) + "\n" for melody in melodies), encoding="utf-8")


def write_abc_as_midi(path: Path, tunes: Iterable[Symbols]) -> None:
    """Write tunes in ABC notation as they sound."""
    write_midi(path, [abc_melody(tune) for tune in tunes])


KINDS = {
    "abc": Kind(
        (".abc",),
        read_abc,
        abc_symbols,
        {".abc": write_abc, ".txt": write_abc, ".mid": write_abc_as_midi},
        ends=True,
    ),
    "midi": Kind(
        (".mid", ".midi"),
        lambda path: [read_midi(path)],
        str.split,
        {".mid": write_midi, ".midi": write_midi, ".txt": write_lines},
        ends=True,
    ),
    "text": Kind((".txt",), read_text, list, {".txt": write_text}, ends=False),
}


def read_symbols(path: Path, kind: str | None = None) -> tuple[str, list[Symbols]]:
    """Return the kind of a file, or of the files in a folder, and their sequences of symbols.

    A file whose ending is not of another kind is text. Of a folder the files of one kind are read, in the
    order of their names.

    Args:
        path: the file or folder.
        kind: the kind that it must be.

    Raises:
        InputError: if it is of another kind, or cannot be read.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    named = {name: [file for file in files if file.suffix.lower() in KINDS[name].suffixes] for name in KINDS}
    if path.is_file() and not any(named.values()):
        named["text"] = [path]
    found = max(named, key=lambda name: len(named[name]))
    if not named[found]:
        raise InputError(f"{path} has no files that end in .txt, .abc or .mid")
    if kind not in (None, found):
        raise InputError(f"{path} holds {found}; expected {kind}, which the run was trained on")
    return found, [symbols for file in named[found] for symbols in KINDS[found].read(file)]


def alphabet(kind: str, sequences: Iterable[Symbols]) -> list[str]:
    """Return the symbols of the training sequences; first the one that stands for rare and unknown ones."""
    counts = Counter(symbol for symbols in sequences for symbol in symbols)
    common = [symbol for symbol, count in counts.most_common(MOST) if count >= RAREST and symbol != UNKNOWN]
    return [UNKNOWN, *([END] if KINDS[kind].ends else []), *sorted(common)]


def encode(symbols: Iterable[str], letters: Symbols) -> np.ndarray:
    """Return one-hot events `(length, letters)`."""
    places = {letter: place for place, letter in enumerate(letters)}
    return np.eye(len(letters), dtype=np.uint8)[[places.get(symbol, 0) for symbol in symbols]]


def encode_all(sequences: Iterable[Symbols], letters: Symbols) -> Sequences:
    """Return sequences of one-hot events; where sequences end, their last symbol says so."""
    last = [END] if END in letters else []
    return Sequences.of(encode([*symbols, *last], letters) for symbols in sequences)


def decode(events: np.ndarray, letters: Symbols) -> list[str]:
    """Return the symbols of one-hot events, without the one that says that they end."""
    return [letters[place] for place in np.argmax(events, axis=-1) if letters[place] != END]
