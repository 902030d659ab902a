"""Alphabets: the symbols a text may have, as numbers."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mixtura.errors import InputError

PADDING = 0  # the code that follows the end of a text
# What is written like another character, where Unicode does not say so.
_ALIKE = {
    **dict.fromkeys("‘’‚`´′", "'"),
    **dict.fromkeys("“”„″«»", '"'),
    **dict.fromkeys("–—‐‑−_", "-"),
    **dict.fromkeys("\t\n\r\u00a0", " "),
    **dict(zip("[]{}", "()()", strict=True)),
    **dict(
        zip(
            "ßæÆœŒøØđĐłŁ…×",
            ("ss", "ae", "AE", "oe", "OE", "o", "O", "d", "D", "l", "L", "...", "x"),
            strict=True,
        )
    ),
}


@dataclass(frozen=True)
class Alphabet:
    """The symbols that texts are made of; symbol i has the code i + 1, and 0 is padding.

    Args:
        symbols: different characters, each once.
        other: whether the last symbol also stands for every character that is no symbol.

    Raises:
        ValueError: if there is no symbol, or one occurs twice.

    Example:
        >>> alphabet = Alphabet("abc")
        >>> alphabet.batch(["ab", "c"]).tolist(), alphabet.decode([3, 1, 2, 0])
        ([[1, 2], [3, 0]], 'cab')
    """

    symbols: str
    other: bool = False

    def __post_init__(self) -> None:
        if not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise ValueError(f"symbols must be different characters, at least one; received {self.symbols!r}")

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Return the alphabet of all characters of some texts, sorted."""
        return cls("".join(sorted(set().union(*texts))))

    def __len__(self) -> int:
        return len(self.symbols)

    def unknown(self, text: str) -> dict[str, str]:
        """Return the characters that are no symbols, each with what could be written in its place, or ""."""
        if self.other:
            return {}
        return {one: self.substitute(one) for one in dict.fromkeys(text) if one not in self.symbols}

    def substitute(self, character: str) -> str:
        """Return the symbols nearest to a character: without its accents, in the other case; or ""."""
        bare = unicodedata.normalize("NFKD", _ALIKE.get(character, character))
        bare = "".join(one for one in bare if not unicodedata.combining(one))
        for candidate in (_ALIKE.get(character, ""), bare, bare.lower(), bare.upper()):
            if candidate and all(one in self.symbols for one in candidate):
                return candidate
        return ""

    def check(self, text: str) -> None:
        """Raise an InputError if a text is empty or has characters that are no symbols."""
        if not text.strip():
            raise InputError("the text is empty; expected something to write")
        if unknown := self.unknown(text):
            offers = [f"{one!r}" + (f" (nearest: {near!r})" if near else "") for one, near in unknown.items()]
            raise InputError(f"the alphabet has no {', '.join(offers)}; it has {self.symbols!r}")

    def substituted(self, text: str) -> str:
        """Return a text with substitutes for characters that are no symbols, where there are some."""
        near = self.unknown(text)
        return "".join(near.get(one) or one for one in text)

    def encode(self, text: str) -> np.ndarray:
        """Return the codes of a text, `(len(text),)` int32.

        Raises:
            InputError: as `check`.
        """
        self.check(text)
        codes = {symbol: number for number, symbol in enumerate(self.symbols, 1)}
        return np.array([codes.get(one, len(self)) for one in text], np.int32)

    def batch(self, texts: Sequence[str], length: int | None = None) -> np.ndarray:
        """Return the codes of several texts, `(texts, length)`, with padding.

        Args:
            texts: at least one.
            length: of the rows; by default the longest text's.

        Raises:
            InputError: as `check`.
            ValueError: if a text is longer than `length`.
        """
        rows = [self.encode(text) for text in texts]
        longest = max(map(len, rows))
        if length is not None and longest > length:
            raise ValueError(f"texts must have at most {length} characters; received {longest}")
        codes = np.full((len(rows), length or longest), PADDING, np.int32)
        for row, one in zip(codes, rows, strict=True):
            row[: len(one)] = one
        return codes

    def decode(self, codes: Iterable[int]) -> str:
        """Return the text of codes, without padding."""
        return "".join(self.symbols[code - 1] for code in codes if code != PADDING)

    def extended(self, texts: Iterable[str]) -> Self:
        """Return this alphabet with the characters of some texts that it lacks behind its own."""
        missing = sorted(set().union(*texts) - set(self.symbols))
        return type(self)(self.symbols + "".join(missing), self.other and not missing)


# Graves reduced the 80 characters of IAM-OnDB to 57, digits and most punctuation being one. Which he kept he
# does not say; these are the commonest.
GRAVES = Alphabet(string.ascii_letters + " .,'#", other=True)
