"""Tunes in ABC notation, as symbols: notes, lengths, bars, keys and metres."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from mixtura.errors import InputError
from mixtura.files import replacing

KEPT = "MLK"  # the fields of a tune's head that are music: metre, unit of length, key

# What stands first wins; the last alternative takes any other character, so that nothing is lost.
_SYMBOL = re.compile(
    r"""
    ^[A-Za-z]:[^\n]*\n              # a field on a line of its own
    | \[[A-Za-z]:[^\]\n]*\]         # a field within a line
    | "[^"\n]*" | ![^!\n]*!         # chord symbols; ornaments
    | :*\|[:\]|]*\d? | ::+ | \[[|\d]  # bars, repeats and endings
    | [_=^]{0,2}[A-Ga-g][,']*       # notes: accidental, letter, octave
    | \d+(?:/\d+)? | /+\d*          # lengths
    | \(\d(?::\d?){0,2}             # tuplets
    | <+ | >+                       # broken rhythm
    | .                             # rests, slurs, ties, spaces, ends of lines
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def abc_symbols(music: str) -> list[str]:
    r"""Return the symbols of music in ABC notation; put together again they are the same text.

    Lengths are symbols of their own, as in folk-rnn (Sturm et al. 2016, Music transcription modelling and
    composition using deep learning, arXiv:1604.08723).

    Args:
        music: fields, one a line, and notes.

    Example:
        >>> abc_symbols("M:6/8\nK:Dmix\n|: ^c'2B/ (3ABc :|")
        ['M:6/8\n', 'K:Dmix\n', '|:', ' ', "^c'", '2', 'B', '/', ' ', '(3', 'A', 'B', 'c', ' ', ':|']
    """
    return _SYMBOL.findall(music)


def read_abc(path: Path) -> list[list[str]]:
    """Return the tunes of a file, each as symbols: metre, unit of length, key, then the notes.

    Titles and all else that is not music (further fields of the head, words, comments) are left out. A tune
    begins with the field X: and ends with an empty line.

    Raises:
        InputError: if the file cannot be read, or holds no tune.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="latin-1")  # what older collections are written in
    text = re.sub(r"(?<!\\)%.*", "", text.replace("\r\n", "\n").replace("\r", "\n"))
    tunes = [_music(lines) for lines in re.split(r"^X:", text, flags=re.MULTILINE)[1:]]
    if not any(tunes):
        raise InputError(f"{path} holds no tune; expected ABC notation, whose tunes begin with a line X:")
    return [abc_symbols(tune) for tune in tunes if tune]


def write_abc(path: Path, tunes: Iterable[Sequence[str]]) -> None:
    """Write tunes that `read_abc` reads back symbol by symbol."""
    texts = (f"X:{number}\nT:{number}\n{''.join(tune).rstrip()}\n" for number, tune in enumerate(tunes, 1))
    with replacing(path) as temporary:
        temporary.write_text("\n".join(texts), encoding="utf-8")


def _music(text: str) -> str:
    """Return what of a tune is music, from its metre to its last bar; nothing if it has no notes."""
    head, body, in_head = "", "", True
    for line in text.split("\n")[1:]:  # the first is the tune's number
        line = line.strip()
        if in_head:
            head += _field(line) if line[:1] in KEPT and line[1:2] == ":" else ""
            in_head = not line.startswith("K:")
        elif not line:
            break
        elif line[1:2] != ":" or line[0] in KEPT + "|:":
            body += _field(line) if line[1:2] == ":" and line[0] in KEPT else f"{line}\n"
    return head + body.rstrip() if body else ""


def _field(line: str) -> str:
    """Return a field's line as all are written: no space before its value."""
    return f"{line[:2]}{line[2:].strip()}\n"
