"""Letters of single-line fonts as the strokes of a hand: order, joins and proportions of some styles."""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cache

import numpy as np

from mixtura.data.strokes import Lines
from mixtura.errors import InputError
from mixtura.systems.handwriting.strings import SYMBOLS

_BASELINE, _X_HEIGHT = 9.0, {"futural": 14.0, "cursive": 9.0}  # in the fonts' units, y downwards
_SLANT = 1 / 3  # of the cursive font, which is made upright here
_CAP_HEIGHT = 21.0
_DESCENT = {
    "futural": 1.1,
    "cursive": 0.85,
}  # of what reaches below the base line, as multiples of the fonts'
_JOIN = {"futural": 0.15, "cursive": 0.0}  # x-heights that a join adds
_SPACE = 0.9  # x-heights between words
_FINEST = 0.3  # x-heights: longer lines get points in between, so that they can bend


@dataclass(frozen=True)
class Style:
    """A way of writing.

    Args:
        letters, capitals: their fonts, `futural` (print) or `cursive`.
        slant: how far the top of a letter leans to the right, as a multiple of its height.
        width: of letters, as a multiple of the font's.
        ascent: how far letters reach above the x-height, as a multiple of the font's.
        capital: the height of capitals, in x-heights.
        joined: the share of joins that are made where letters allow one.
        small_capitals: whether capitals of a smaller size stand for the other letters.
        among: the style of capitals beside others, if these are made to begin words.
    """

    letters: str
    capitals: str
    slant: float
    width: float = 1.0
    ascent: float = 1.0
    capital: float = 1.5
    joined: float = 0.0
    small_capitals: bool = False
    among: str | None = None


STYLES = {
    "cursive": Style("cursive", "cursive", 0.36, 0.95, ascent=0.75, capital=1.9, joined=1.0, among="round"),
    "round": Style("cursive", "futural", 0.0, 1.1, ascent=0.65, capital=1.7, joined=1.0),
    "print": Style("futural", "futural", 0.02, 0.95, ascent=1.25, capital=1.6),
    "italic": Style("futural", "futural", 0.32, 0.8, ascent=1.4, capital=1.65),
    "joined": Style("futural", "futural", 0.15, 0.9, ascent=1.3, capital=1.65, joined=0.8),
    "capitals": Style("futural", "futural", 0.05, 0.95, capital=1.4, small_capitals=True),
}

# How print is written: the font's strokes in order, "r" backwards, "+" without lifting the pen, "," with a
# lift. What is not listed has the font's order, with lifts.
_PRINT = {
    **{"a": "1+0", "b": "0+1", "d": "1+0", "g": "1+0", "h": "0+1", "i": "1,0", "j": "1,0", "k": "0,1+2"},
    **{"m": "0+1+2", "n": "0+1", "p": "0+1", "q": "1+0", "r": "0+1", "u": "0+1", "v": "0+1r", "z": "1+0+2"},
    **{"w": "0+1r+2+3r", "A": "0r+1,2", "B": "0,1+2", "E": "1r+0+3,2", "G": "0+1r", "K": "0,1+2", "L": "0+1"},
    **{"M": "0r+1+2r+3", "N": "0r+1+2r", "R": "0,1+2", "T": "1,0", "V": "0+1r", "W": "0+1r+2+3r"},
    **{"Z": "1+0+2", "7": "1+0", "4": "0,1"},
}
# And cursive; what is not listed is written without a lift.
_CURSIVE = {
    **{"i": "1,0", "j": "1,0", "t": "0+1,2", "x": "0,1", "F": "0,1,2", "H": "0,1", "K": "0,1+2", "T": "0,1"},
    **{"W": "0+1r+2+3r", "X": "0,1"},
}
# Drawn here, in the units of the font for print: (left, right, strokes).
_OWN: dict[str, tuple[float, float, list]] = {
    ",": (-4, 4, [[(1, 7), (0.5, 10), (-2, 13)]]),
    ";": (-4, 4, [[(0, -1), (0.5, 0)], [(1, 7), (0.5, 10), (-2, 13)]]),
    "'": (-5, 7, [[(0.5, -13), (-0.5, -8)]]),
    '"': (-6, 6, [[(-2, -13), (-2.5, -8)], [(2.5, -13), (2, -8)]]),
    "-": (-8, 8, [[(-5, 2), (5, 2)]]),
    "I": (-7, 7, [[(0, -12), (0, 9)], [(-4, -12), (4, -12)], [(-4, 9), (4, 9)]]),  # else the same as l
    "l": (-4, 6, [[(0, -12), (0, 6), (1, 8.5), (3, 9), (4.5, 8)]]),
}
_SIZES = {"(": 0.8, ")": 0.8, "/": 0.8, "#": 0.7, "+": 0.65, "&": 0.9}  # of the font's: made for capitals
_LEAVE = {  # what the pen can go on from to the next letter
    "cursive": string.ascii_lowercase + "ACEHJKLMNRUYZ",
    "futural": "acdehklmnu",
}
_ENTER = {"cursive": string.ascii_lowercase, "futural": "acdegijmnopqruvwy"}  # and what it can go on to
_STRAIGHT, _TAIL = "adhmnu", np.array([[0, -0.15], [0.13, 0], [0.35, -0.15]])  # stems, which bend for a join
_ROUND = "acdgoq"  # reached over the top of the bowl, which the pen then follows back


@dataclass(frozen=True, eq=False)
class Glyphs:
    """What is written for each symbol in each style, joined by the pen to its neighbours or not.

    Vertices are in x-heights, y downwards from the base line, x from where the symbol begins; upright.

    Attributes:
        vertices: of all ways of writing one after the other, `(total, 2)`.
        starts: whether the pen is put down at a vertex, `(total,)`.
        offsets: way i is `vertices[offsets[i]:offsets[i + 1]]`; see `way`.
        advance: how far each symbol moves the pen, `(styles, symbols)`.
        leaves, enters: whether it can be joined to the next, and to the one before, `(styles, symbols)`.
        room: how much more room a join takes, `(styles,)`.
    """

    vertices: np.ndarray
    starts: np.ndarray
    offsets: np.ndarray
    advance: np.ndarray
    leaves: np.ndarray
    enters: np.ndarray
    room: np.ndarray


def way(style: np.ndarray, symbol: np.ndarray, after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return the numbers of the ways to write symbols, joined to the one before (`after`) and to the next."""
    return ((style * len(SYMBOLS) + symbol) * 2 + after) * 2 + before


@cache
def glyphs() -> Glyphs:
    """Return the glyphs of all styles.

    Raises:
        InputError: if the package with the fonts is missing.
    """
    fonts = {name: _font(name) for name in _X_HEIGHT}
    shape = (len(STYLES), len(SYMBOLS))
    advance, leaves, enters = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool)
    ways = []
    for row, style in enumerate(STYLES.values()):
        for column, symbol in enumerate(SYMBOLS):
            font = _font_of(symbol, style)
            strokes, advance[row, column] = _written(symbol, style, font, fonts[font])
            leaves[row, column] = style.joined > 0 and symbol in _LEAVE[font]
            enters[row, column] = style.joined > 0 and symbol in _ENTER[font]
            for after in (False, True):
                for before in (False, True):
                    ways.append(_joined(symbol, strokes, font, after, before))
    lines = [line for strokes in ways for line in strokes]
    starts = np.zeros(sum(map(len, lines)), bool)
    starts[np.cumsum([0] + [len(line) for line in lines[:-1]])] = True
    offsets = np.cumsum([0] + [sum(map(len, strokes)) for strokes in ways])
    room = np.array([_JOIN[style.letters] for style in STYLES.values()])
    return Glyphs(np.concatenate(lines), starts, offsets, advance, leaves, enters, room)


def _font(name: str) -> dict[str, tuple[float, float, Lines]]:
    """Return the left and right ends and the strokes of a font's symbols, in its units."""
    try:
        from HersheyFonts import HersheyFonts
    except ImportError:
        raise InputError(
            "the fonts that handwriting is made of need a package that is not installed: "
            "pip install 'mixtura[fonts]'"
        ) from None
    font = HersheyFonts()
    font.load_default_font(name)
    found = {
        symbol: (
            glyph.left_offset,
            glyph.left_offset + glyph.char_width,
            [_plain(np.array(stroke, float)) for stroke in glyph.strokes],
        )
        for symbol, glyph in font.all_glyphs.items()
    }
    own = {
        symbol: (left, right, [np.array(line, float) for line in lines])
        for symbol, (left, right, lines) in _OWN.items()
    }
    if name == "futural":
        found |= own
    return found


def _plain(stroke: np.ndarray) -> np.ndarray:
    """Return a stroke; one that only draws the outline of a dot becomes a dab of the pen."""
    if len(stroke) > 2 and (stroke[0] == stroke[-1]).all() and np.ptp(stroke, axis=0).max() <= 2:
        return stroke.mean(axis=0) + np.array([[-0.2, -0.4], [0.3, 0.5]])
    return stroke


def _font_of(symbol: str, style: Style) -> str:
    if symbol == "Q" or not symbol.isalpha():  # the cursive Q looks like a 2
        return "futural"
    return style.letters if symbol.islower() else style.capitals


def _written(symbol: str, style: Style, font: str, shapes: dict) -> tuple[Lines, float]:
    """Return the strokes of a symbol as a hand makes them, and its advance; in x-heights."""
    if symbol == " ":
        return [], _SPACE
    small = style.small_capitals and symbol.islower()
    shape = symbol.upper() if small else symbol
    left, right, drawn = shapes[shape]
    orders = _CURSIVE if font == "cursive" else _PRINT
    default = ("+" if font == "cursive" else ",").join(map(str, range(len(drawn))))
    order = default if shape in _OWN and font == "futural" else orders.get(shape, default)
    strokes = [
        np.concatenate([drawn[int(part[0])][:: -1 if part.endswith("r") else 1] for part in run.split("+")])
        for run in order.split(",")
    ]
    if small or symbol.isupper() or symbol.isdigit():
        unit = _CAP_HEIGHT / (1.0 if small else style.capital if symbol.isupper() else 0.94 * style.capital)
    else:
        unit = _X_HEIGHT[font] / _SIZES.get(symbol, 1.0)
    placed = []
    for stroke in strokes:
        x, y = (stroke - [left, _BASELINE]).T / unit
        if font == "cursive":
            x = x + _SLANT * y
        if symbol.islower() and not small:
            y = np.where(y < -1, -1 + (y + 1) * style.ascent, y)
            y = np.where(y > 0, y * _DESCENT[font], y)
        placed.append(np.column_stack([style.width * x, y]))
    return placed, style.width * (right - left) / unit


def _joined(symbol: str, strokes: Lines, font: str, after: bool, before: bool) -> Lines:
    """Return the strokes of a symbol that is joined to the one before (`after`) or to the next (`before`)."""
    strokes = list(strokes)
    if after and symbol in _ROUND:
        first = strokes[0]
        leftmost = int(np.argmax(np.append(np.diff(first[:, 0]) > 0, True)))
        strokes[0] = np.concatenate([first[leftmost:0:-1], first])
    if before and strokes:
        leaving = int(np.argmax([stroke[-1, 0] for stroke in strokes]))
        if leaving < len(strokes) - 1:  # the pen returns after the dot or the bar
            strokes.append(strokes[leaving][-1:])
        elif font == "cursive":
            strokes[-1] = strokes[-1][:-1]  # the next begins just where this ends
        elif symbol in _STRAIGHT:
            strokes[-1] = np.concatenate([strokes[-1][:-1], strokes[-1][-1] + _TAIL])
    return [_finer(stroke) for stroke in strokes]


def _finer(stroke: np.ndarray) -> np.ndarray:
    """Return a stroke with points added to its longer lines."""
    lengths = np.hypot(*np.diff(stroke, axis=0).T)
    parts = np.maximum(np.ceil(lengths / _FINEST).astype(int), 1)
    at = np.concatenate(
        [np.arange(count) / count + number for number, count in enumerate(parts)] + [[len(parts)]]
    )
    return np.column_stack([np.interp(at, np.arange(len(stroke)), column) for column in stroke.T])
