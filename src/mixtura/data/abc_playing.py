"""Tunes in ABC notation as they sound: pitches and lengths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from mixtura.data.midi import GRID, LONGEST, REST

SCALE = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
FIFTHS = "FCGDAEB"  # sharps are added in this order, flats in the other
MODES = {
    "": 0,
    "maj": 0,
    "ion": 0,
    "lyd": 1,
    "mix": -1,
    "dor": -2,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "phr": -4,
    "loc": -5,
}
ACCIDENTALS = {"^": 1, "_": -1, "=": 0}
IN_TIME_OF = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # of a tuplet of so many notes; 2 for others

_NOTE = re.compile(r"([_=^]*)([A-Ga-g])([,']*)")
_LENGTH = re.compile(r"(\d*)(/*)(\d*)")


def abc_melody(symbols: Iterable[str]) -> list[str]:
    r"""Return a tune as the symbols of `mixtura.data.midi`: a pitch or a rest, then its length.

    Keys and accidentals (in all octaves until the bar's end), lengths, tuplets, broken rhythm and ties are
    heard. Of a chord the first note is; grace notes and ornaments are not, and repeats are played once.

    Reference: The ABC music standard 2.1, sections 3 and 4; 11.3 on accidentals.

    Args:
        symbols: of `mixtura.data.abc_tunes.abc_symbols`.

    Example:
        >>> abc_melody(["L:1/4\n", "K:D\n", "F", "2", "^G", "G", "|", "G", "/", "z"])
        ['n66', '24', 'n68', '12', 'n68', '12', 'n67', '6', 'r', '12']
    """
    tune = _Tune()
    for symbol in symbols:
        tune.read(symbol)
    return tune.melody()


class _Tune:
    """Notes so far, `[pitch or None, length in quarter notes]`, and what applies to the next one."""

    def __init__(self) -> None:
        self.notes: list[list[Any]] = []
        self.key: dict[str, int] = {}
        self.bar: dict[str, int] = {}  # its accidentals so far, which are for all octaves
        self.unit, self.has_unit = Fraction(1, 2), False
        self.tuplet, self.left, self.broken = Fraction(1), 0, Fraction(1)
        self.is_silent, self.chord, self.tied = False, 0, False

    def read(self, symbol: str) -> None:
        if field := re.fullmatch(r"\[?([A-Za-z]):([^\]\n]*)\]?\n?", symbol):
            self._field(*field.groups())
        elif symbol in "{}":
            self.is_silent = symbol == "{"
        elif self.is_silent:
            return
        elif "|" in symbol or "::" in symbol:
            self.bar = {}
        elif note := _NOTE.fullmatch(symbol):
            self._add(self._pitch(*note.groups()))
        elif symbol in ("z", "x", "Z"):
            self._add(None)
        elif symbol[0].isdigit() or symbol[0] == "/":
            self._lengthen(symbol)
        elif tuplet := re.fullmatch(r"\((\d)(?::(\d?))?(?::(\d?))?", symbol):
            count, time, notes = (int(group) if group else 0 for group in tuplet.groups())
            self.tuplet = Fraction(time or IN_TIME_OF.get(count, 2), count or 1)
            self.left = notes or count
        elif symbol[0] in "<>" and self.notes:
            short = Fraction(1, 2 ** len(symbol))
            before, self.broken = (short, 2 - short) if symbol[0] == "<" else (2 - short, short)
            self.notes[-1][1] *= before
        elif symbol == "-":
            self.tied = True
        elif symbol in "[]":
            self.chord = 1 if symbol == "[" else 0

    def _field(self, name: str, value: str) -> None:
        value = value.strip()
        if name == "L" and (length := re.match(r"(\d+)/(\d+)", value)) and int(length[2]):
            self.unit, self.has_unit = Fraction(int(length[1]), int(length[2])) * 4, True
        elif (
            name == "M" and not self.has_unit and (metre := re.match(r"(\d+)/(\d+)", value)) and int(metre[2])
        ):
            self.unit = (
                Fraction(1, 4) if Fraction(int(metre[1]), int(metre[2])) < Fraction(3, 4) else Fraction(1, 2)
            )
        elif name == "K" and (key := re.match(r"([A-G])([#b]?)\s*([A-Za-z]{0,3})", value)):
            mode = MODES.get(key[3].lower(), MODES.get(key[3].lower()[:1], 0))
            count = FIFTHS.index(key[1]) - 1 + {"#": 7, "b": -7, "": 0}[key[2]] + mode
            altered = FIFTHS[:count] if count > 0 else FIFTHS[count:] if count < 0 else ""
            self.key = dict.fromkeys(altered, 1 if count > 0 else -1)

    def _pitch(self, accidental: str, letter: str, octave: str) -> int:
        name = letter.upper()
        if accidental:
            self.bar[name] = sum(ACCIDENTALS[sign] for sign in accidental)
        raised = self.bar.get(name, self.key.get(name, 0))
        octaves = letter.islower() + octave.count("'") - octave.count(",")
        return 60 + SCALE[name] + 12 * octaves + raised

    def _add(self, pitch: int | None) -> None:
        if self.chord:
            self.chord += 1
            if self.chord > 2:
                return
        length = self.unit * self.broken
        if self.left:
            length, self.left = length * self.tuplet, self.left - 1
        self.broken = Fraction(1)
        if self.tied and self.notes[-1:] and self.notes[-1][0] == pitch:
            self.notes[-1].append("tied")  # sounds on into this one
        self.notes.append([pitch, length])
        self.tied = False

    def _lengthen(self, symbol: str) -> None:
        if not self.notes or self.chord > 2:
            return
        above, slashes, below = _LENGTH.match(symbol).groups()  # type: ignore[union-attr]
        divisor = int(below) if below else 2 ** len(slashes)
        if divisor:
            self.notes[-1][1] *= Fraction(int(above or 1), divisor)

    def melody(self) -> list[str]:
        symbols: list[str] = []
        start, end = 0, Fraction(0)
        for pitch, length, *tied in self.notes:
            end += length
            if tied:
                continue
            step = int(end * GRID + Fraction(1, 2))
            symbol = REST if pitch is None else f"n{pitch}"
            if symbol == REST == "".join(symbols[-2:-1]):  # a rest goes on
                start -= int(symbols.pop())
                symbols.pop()
            if step > start and (pitch is None or 0 <= pitch < 128):
                symbols += [symbol, str(min(step - start, LONGEST))]
            start = step
        return symbols
