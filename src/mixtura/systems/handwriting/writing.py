"""Any text in one hand: one sequence, however long, cut into words and laid out in lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from mixtura.data.cleaning import Cleaning, body, clean
from mixtura.data.strokes import Lines, from_polylines, polylines
from mixtura.generation import Generated
from mixtura.generation.results import Carry
from mixtura.generation.stopping import Stop
from mixtura.layers.window import window_in, with_text
from mixtura.models.handwriting import Handwriting, events_line
from mixtura.sampling import Sampler

PART, BEHIND, AHEAD = 40, 8, 8  # letters: written at a time, and seen before and after these
ROOM = 64  # letters: programs are compiled for texts of a multiple of so many
TRIES = 6  # times that a part is written, if letters are missing
LONGEST = 2.5  # usual points: a part's letters have no more, on average
BEFORE = 4  # strokes before a gap, late dots and bars among them, that it is measured from
STRAYING = 0.25  # heights of an x: how much wider a gap must be that is a letter farther from a space
TURNED = 12  # letters of a line, fewer of which tell no slope


class Written(NamedTuple):
    """A text as lines of handwriting.

    Attributes:
        lines: drawings `(n, 3)` of (dx, dy, end) in the network's units, their origin the line's left end on
            the baseline; None for an empty line.
        texts: of each line.
        troubles: sentences on letters that are missing.
    """

    lines: list[np.ndarray | None]
    texts: list[str]
    troubles: list[str]


def write_lines(
    model: Handwriting,
    facts: Mapping[str, Any],
    text: str,
    *,
    width: float | None = None,
    bias: float = 0.5,
    style: int | None = None,
    primed: tuple[np.ndarray, str] | None = None,
    seed: int | None = None,
) -> Written:
    """Write a text of any length, in lines no wider than a page.

    The network writes one sequence without end, see `write_long`. It is cut into words where the strokes are
    far apart and the window is near a space, see `words_of`; words fill a line with the gaps that they were
    written with, and each line is turned and put on its baseline.

    Args:
        model: trained, with an alphabet.
        facts: of its corpus.
        text: what to write. Its lines stay lines; an empty one stays empty.
        width: of the page, in the network's units; None for lines as long as they are in the text. A word
            that is wider has a line of its own.
        bias: see `Handwriting.write`.
        style: the number of a style, where there are styles.
        primed: a line and its text, whose hand is taken up.
        seed: of the draws.

    Raises:
        InputError: if the text is empty, or has characters that are not in the alphabet.
        ValueError: as `Handwriting.context`.
    """
    paragraphs = [line.split() for line in text.splitlines()]
    words = [word for paragraph in paragraphs for word in paragraph]
    long = write_long(model, facts, " ".join(words), bias=bias, style=style, primed=primed, seed=seed)
    cut = words_of(long, words, STRAYING * facts["body"])
    lines: list[np.ndarray | None] = []
    texts: list[str] = []
    for paragraph in paragraphs:
        strokes, cut = cut[: len(paragraph)], cut[len(paragraph) :]
        if not paragraph:
            lines.append(None)
            texts.append("")
        for first, last in _filled(strokes, width):
            texts.append(" ".join(paragraph[first:last]))
            line = from_polylines([stroke for word in strokes[first:last] for stroke in word])
            lines.append(straight(line, texts[-1]) if len(line) else None)
    return Written(lines, texts, long.troubles)


class Long(NamedTuple):
    """A text as one line of handwriting.

    Attributes:
        drawing: `(n, 3)`.
        letters: at which letter of the text the window was at each point, `(n,)`.
        troubles: sentences on letters that are missing.
    """

    drawing: np.ndarray
    letters: np.ndarray
    troubles: list[str]


def write_long(
    model: Handwriting,
    facts: Mapping[str, Any],
    text: str,
    *,
    bias: float = 0.5,
    style: int | None = None,
    primed: tuple[np.ndarray, str] | None = None,
    seed: int | None = None,
) -> Long:
    """Write a text of any length as one line.

    It is one sequence: the network's state is carried on. Of the text it sees the letters that it is about to
    write and a few on both sides, as they move along, with the window moved back by as many letters as are
    gone. So it never sees the end of the text but at the end, and never more letters than it has learnt to
    see. What comes out is what it would write with the whole text before it.

    When the window has left letters out, the last forty are written again from the state before them with
    other random numbers; of a few tries the best stays.

    Args:
        model: trained, with an alphabet.
        facts: of its corpus.
        text: what to write, on one line.
        bias: see `Handwriting.write`.
        style: the number of a style, where there are styles.
        primed: a line and its text, whose hand is taken up.
        seed: of the draws.

    Raises:
        InputError: if the text is empty, or has characters that are not in the alphabet.
        ValueError: as `Handwriting.context`.
    """
    if model.alphabet is None:
        raise ValueError("this network only predicts: it knows no texts")
    model.alphabet.check(text)
    space = " " if " " in model.alphabet.symbols else ""  # there is none where single words were learnt
    before = "" if primed is None else primed[1] + space
    whole, rng = before + text, np.random.default_rng(seed)
    pen = _Pen(model, facts, bias, style, primed)
    pieces, tracks, troubles = [], [], []
    for start in range(len(before), len(whole), PART):
        part, end = None, min(start + PART, len(whole))
        for _ in range(TRIES):
            found = pen.write(whole, start, end, rng)
            if part is None or len(found.lacking) < len(part.lacking):
                part = found
            if not part.lacking:
                break
        assert part is not None
        if part.lacking:
            troubles.append(f"{whole[start:end]!r} seems to lack {', '.join(part.lacking)}.")
        pieces.append(part.events)
        tracks.append(part.letters - len(before))
        pen.went_on(part)
    drawing, letters = events_line(np.concatenate(pieces)), np.concatenate(tracks)
    if primed is None:
        return Long(drawing, np.append(letters[:1], letters), troubles)
    return Long(drawing[1:], letters, troubles)  # the first event is the way to the first point


class _Part(NamedTuple):
    """A part of a text that was written."""

    events: np.ndarray
    letters: np.ndarray  # of the whole text, at which the window was, (events,)
    lacking: list[str]  # what is missing
    found: Generated
    first: int  # letter of the whole text that the network saw


class _Pen:
    """A network that writes a text part by part.

    Args:
        model: which.
        facts: of its corpus.
        bias: see `Handwriting.write`.
        style: the number of a style.
        primed: a line and its text, with which the whole text begins.
    """

    def __init__(
        self,
        model: Handwriting,
        facts: Mapping[str, Any],
        bias: float,
        style: int | None,
        primed: tuple[np.ndarray, str] | None,
    ) -> None:
        self.model, self.sampler = model, Sampler.graves(bias)
        self.styles = None if style is None else [style]
        self.steps = round(LONGEST * facts["points_per_letter"] * (PART + BEHIND))
        self.found = None if primed is None else followed(model, *primed, self.styles)
        self.first = 0

    def went_on(self, part: _Part) -> None:
        """Take a part for what was written: the next one follows it."""
        self.found, self.first = part.found, part.first

    def write(self, whole: str, start: int, end: int, rng: np.random.Generator) -> _Part:
        """Return the letters from `start` up to `end` of a text, as they may follow what was written."""
        first = 0 if self.found is None else max(0, start - BEHIND)
        shown = whole[first : end + AHEAD]
        context = self.model.context([shown], self.styles, ROOM * -(-(len(shown) + 1) // ROOM))
        # Counted from 1, the first letter of the next part; or what is two letters behind the end.
        last = end - first + (1 if end < len(whole) else 2)
        rule = Followed(self.steps)
        found = self.model.generate(
            self.steps,
            context=context,
            stop=rule,
            sampler=self.sampler,
            seed=int(rng.integers(2**31)),
            after=gone_on(self.model, self.found, context, first - self.first, rule, last),
        )
        track = np.asarray(ops.convert_to_numpy(found.carry.memory[1]))[0, : found.lengths[0]]
        letters = first + track.astype(int) - 1
        missing = set(range(start, end)) - set(letters.tolist())
        lacking = [whole[number] for number in sorted(missing) if whole[number] != " "]
        return _Part(found[0], letters, lacking, found, first)


@dataclass(frozen=True)
class Followed(Stop):
    """Ends a sequence when the window is at a letter, and keeps at which letters it was.

    The memory of a sequence is the letter, counted from 1; at which one the window was at each step,
    `(steps,)`; and how many steps there were.

    Args:
        steps: how many, at most.
    """

    steps: int

    def start(self, batch_size: int, letter: float = 2.0**20) -> Any:
        """Return the memory before the first step; by default without a letter that ends it."""
        return (
            ops.full((batch_size,), letter),
            ops.zeros((batch_size, self.steps)),
            ops.zeros((batch_size,), dtype="int32"),
        )

    def __call__(self, event: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        """Return which sequences end, and the memory after a step."""
        last, track, count = memory
        weights = window_in(state).weights(state[-1].shape[1] + 1)
        letter = ops.cast(ops.argmax(weights, axis=-1), track.dtype) + 1
        track = track + letter[:, None] * ops.one_hot(count, self.steps, dtype=track.dtype)
        return letter >= last, (last, track, count + 1)


def followed(
    model: Handwriting, drawing: np.ndarray, text: str, styles: Sequence[int] | None = None
) -> Generated:
    """Return a line as a sequence to go on with, the window behind its text, wherever it was seen to be.

    Args:
        model: which.
        drawing: the line.
        text: of it.
        styles: the number of the style, where there are styles.
    """
    events = model.events(drawing, whole=False).astype(model.variable_dtype)[None]
    context = model.context([text], styles)
    _, state = model.program("unroll", lambda *given: model.unroll(given[0], context=given[1]))(
        events, context
    )
    weights = window_in(state).weights(len(text) + ROOM)
    ahead = int(ops.convert_to_numpy(ops.argmax(weights, axis=-1))[0]) - len(text)
    begun = gone_on(model, None, context, 0, Followed(1), 0)
    begun = replace(
        begun, carry=begun.carry._replace(event=ops.convert_to_tensor(events[:, -1]), state=state)
    )
    return gone_on(model, begun, context, ahead, Followed(1), 0)


def gone_on(
    model: Handwriting, found: Generated | None, context: np.ndarray, letters: int, rule: Followed, last: int
) -> Generated:
    """Return a sequence, to go on with another text.

    Args:
        model: which.
        found: the sequence; None for one that has not begun.
        context: the text that it sees from now on.
        letters: how many letters of the text before are not in this one.
        rule: that ends what comes.
        last: the letter of the text that ends it.
    """
    dtype = model.variable_dtype
    memory, ended = rule.start(1, float(last)), ops.zeros((1,), dtype="bool")
    if found is None:
        event = ops.cast(model.start_event(), dtype)[None]
        carry = Carry(event, model.initial_state(1, context), memory, ended)
        nothing = np.zeros((1, 0, model.family.event_size))
        return Generated(nothing, np.zeros(1, int), carry, np.zeros(1, np.int64), rule)
    state = with_text(found.state, ops.cast(model.text_of(context), dtype), letters)
    carry = Carry(found.carry.event, state, memory, ended)
    return replace(found, carry=carry, stop=rule)


def words_of(long: Long, words: Sequence[str], straying: float) -> list[Lines]:
    """Return the strokes of each word of a line, `(m, 2)` places each.

    Words are apart where the gap between all strokes before and the next one is wide, and the window is near
    the space between them. The cuts are those for which the sum of all gaps, each less `straying` for every
    letter from its space, is largest; a word has one stroke at least.

    Args:
        long: the line.
        words: what is written.
        straying: in the drawing's units.
    """
    strokes = polylines(long.drawing)
    if len(strokes) < len(words):  # there is nothing to cut: the first word has all
        return [strokes, *([] for _ in words[1:])]
    ends = np.cumsum([len(stroke) for stroke in strokes])
    left = np.array([stroke[:, 0].min() for stroke in strokes])
    right = np.array([stroke[:, 0].max() for stroke in strokes])
    right = np.array([right[max(0, n - BEFORE) : n].max() for n in range(1, len(strokes))])
    gap = left[1:] - right  # before each stroke but the first
    at = (long.letters[ends[:-1] - 1] + long.letters[ends[:-1]]) / 2
    spaces = np.cumsum([len(word) + 1 for word in words])[:-1] - 1
    # The best sums of cuts up to each space: column c has that of cuts before stroke c + 1 or earlier.
    total, choices = np.zeros(len(gap)), []
    for number, space in enumerate(spaces):
        own = gap - straying * np.abs(at - space)
        if number:
            own += np.append(-np.inf, total[:-1])
        best = np.maximum.accumulate(own)
        choices.append(np.maximum.accumulate(np.where(own == best, np.arange(len(own)), 0)))
        total = best
    cuts, stop = [], len(gap) - 1
    for choice in reversed(choices):
        cuts.append(int(choice[stop]) + 1)
        stop = cuts[-1] - 2
    bounds = [0, *reversed(cuts), len(strokes)]
    return [strokes[first:last] for first, last in pairwise(bounds)]


def _filled(words: Sequence[Lines], width: float | None) -> list[tuple[int, int]]:
    """Return which words each line takes, the first and one behind the last."""
    if not words:
        return []
    lines, first = [], 0
    left = right = None
    for number, word in enumerate(words):
        if not word:
            continue
        ends = [float(f(stroke[:, 0])) for f in (np.min, np.max) for stroke in word]
        if left is None or right is None:
            left, right = min(ends), max(ends)
        elif width is not None and max(right, *ends) - left > width:
            lines.append((first, number))
            first, left, right = number, min(ends), max(ends)
        else:
            left, right = min(left, *ends), max(right, *ends)
    return [*lines, (first, len(words))]


def straight(drawing: np.ndarray, text: str) -> np.ndarray:
    """Return a line that runs horizontally, from its left end on the baseline.

    Args:
        drawing: `(n, 3)`.
        text: of the line; a short one is not turned, as it tells no slope.
    """
    drawing = np.array(drawing, np.float64)
    drawing[0, :2] = 0
    if len(text) >= TURNED:
        drawing = np.array(clean(drawing, Cleaning(baseline=True)))
    drawing[0, :2] -= np.cumsum(drawing[:, 0]).min(), body(drawing)[0]
    return drawing
