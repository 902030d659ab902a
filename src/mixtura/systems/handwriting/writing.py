"""Any text in one hand: line after line, the network going on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from mixtura.data.cleaning import Cleaning, body, clean
from mixtura.generation import Generated
from mixtura.generation.stopping import Stop
from mixtura.layers.window import Window
from mixtura.models.handwriting import Handwriting, events_line
from mixtura.sampling import Sampler

TRIES = 4  # times that a line is written, if it goes wrong
ROOM = 64  # letters: programs are compiled for texts of a multiple of so many
BEHIND = 8  # letters of the line before that the network still sees
LINGERING = 8.0  # usual letters' points: longer at one letter the pen goes astray
SHORTEST, LONGEST = 0.4, 2.5  # usual letters' points: of a line's letters, on average
SQUEEZED = 1.04  # by how much a line may be wider than the page: it is drawn as much smaller
TURNED = 12  # letters of a line, fewer of which tell no slope


class Written(NamedTuple):
    """A text as lines of handwriting.

    Attributes:
        lines: drawings `(n, 3)` of (dx, dy, end) in the network's units, their origin the line's left end on
            the baseline; None for an empty line.
        texts: of each line.
        troubles: sentences on lines that went wrong each time.
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

    Each line is written at once, and the next begins with the state that the network has at its end: its
    hand, size and slant stay. Only the text is changed, to the end of the line before and the next line, and
    the window is moved back by as many letters as are gone. So a network sees no more letters than it has
    learnt to, however long the text is, and a line that goes wrong can be written again.

    How many words a line takes is guessed from the width of the letters so far; if it comes out too wide, it
    is written again without its last words. A line that does not come to its end, or leaves letters out, is
    written again with other random numbers, up to four times, and the best one stays.

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
    if model.alphabet is None:
        raise ValueError("this network only predicts: it knows no texts")
    model.alphabet.check("".join(text.splitlines()))
    pen = Pen(model, facts, bias, style, primed)
    rng = np.random.default_rng(seed)
    lines: list[np.ndarray | None] = []
    texts, troubles = [], []
    for words in map(str.split, text.splitlines()):
        if not words:
            lines.append(None)
            texts.append("")
        while words:
            count = _fitting(words, width, pen.advance)
            own = int(rng.integers(2**31))
            while True:
                line = pen.write(" ".join(words[:count]), own)
                if width is None or count == 1 or line.width <= SQUEEZED * width:
                    break
                count = min(count - 1, _fitting(words, width, line.width / len(line.text)))
            pen.accept(line)
            lines.append(line.drawing)
            texts.append(line.text)
            if line.trouble:
                troubles.append(
                    f"line {len(lines)}, {line.text!r}, {line.trouble}, as often as it was tried "
                    f"({TRIES} times)."
                )
            words = words[count:]
    return Written(lines, texts, troubles)


def _fitting(words: Sequence[str], width: float | None, advance: float) -> int:
    """Return how many words a line takes whose letters are so wide; one at least."""
    if width is None:
        return len(words)
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return max(1, int((ends * advance <= width).sum()))


@dataclass(frozen=True)
class Attended(Stop):
    """Counts at how many points the window was on each letter; ends what stays at one for too long.

    Args:
        letters: that are counted.
        limit: points at a letter.
    """

    letters: int
    limit: float

    def start(self, batch_size: int) -> Any:
        """Return counts of zero, `(batch, letters)`."""
        return ops.zeros((batch_size, self.letters))

    def __call__(self, event: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        """Return which sequences linger, and the counts."""
        weights = Window(*ops.split(state[-2], 3, axis=-1)).weights(self.letters)
        memory = memory + ops.one_hot(ops.argmax(weights, axis=-1), self.letters, dtype=memory.dtype)
        return ops.max(memory, axis=-1) > self.limit, memory


class Line(NamedTuple):
    """A line that was written, and where its pen stopped."""

    text: str
    drawing: np.ndarray
    width: float
    trouble: str
    seen: str  # the text as the network saw it, the end of the line before included
    found: Generated


class Pen:
    """A network that writes line after line.

    Args:
        model: which.
        facts: of its corpus.
        bias: see `Handwriting.write`.
        style: the number of a style.
        primed: a line and its text.
    """

    def __init__(
        self,
        model: Handwriting,
        facts: Mapping[str, Any],
        bias: float,
        style: int | None = None,
        primed: tuple[np.ndarray, str] | None = None,
    ) -> None:
        self.model, self.sampler = model, Sampler.graves(bias)
        self.styles = None if style is None else [style]
        self.prompt = None if primed is None else model.events(primed[0], whole=False)
        self.points = facts["points_per_letter"]  # of a letter
        self.advance = facts["mean"][0] * self.points  # of a letter, in the network's units
        self.width = self.letters = 0.0  # of all lines
        self.seen = "" if primed is None else primed[1]
        self.found: Generated | None = None

    def write(self, text: str, seed: int) -> Line:
        """Return a line that follows what was accepted; the best one of a few if they go wrong."""
        best: Line | None = None
        for attempt in range(TRIES):
            line = self._written(text, seed + attempt)
            if best is None or len(line.trouble) < len(best.trouble):
                best = line
            if not line.trouble:
                break
        assert best is not None
        return best

    def accept(self, line: Line) -> None:
        """Go on after this line."""
        self.found, self.seen = line.found, line.seen
        self.width += line.width
        self.letters += len(line.text)
        self.advance = self.width / self.letters

    def _written(self, text: str, seed: int) -> Line:
        before = self.seen if self.found is None else self.seen[-BEHIND:]
        seen = f"{before} {text}" if before else text
        length = ROOM * -(-(len(seen) + 1) // ROOM)
        context = self.model.context([seen], self.styles, length)
        rule = Attended(length, round(LINGERING * self.points))
        after = None
        if self.found is not None:
            after = gone_on(self.model, self.found, context, len(self.seen) - len(before), rule)
        found = self.model.generate(
            round(LONGEST * self.points * (len(text) + 4)),
            context=context,
            prompt=self.prompt if after is None else None,
            stop=rule,
            sampler=self.sampler,
            seed=seed,
            after=after,
        )
        begun = 0 if after is not None or self.prompt is None else len(self.prompt)
        events = found[0][begun:]
        is_fresh = after is None and not begun
        drawing = events_line(events)
        if not is_fresh:  # the first event is the way to the first point
            drawing = drawing[1:]
            drawing[0, :2] = 0
        drawing = straight(drawing, text)
        counts = np.asarray(ops.convert_to_numpy(found.carry.memory))[0]
        trouble = _trouble(text, len(drawing) / self.points, counts[len(seen) - len(text) :], found)
        width = float(np.cumsum(drawing[:, 0]).max())
        return Line(text, drawing, width, trouble, seen, found)


def gone_on(model: Handwriting, found: Generated, context: np.ndarray, letters: int, rule: Stop) -> Generated:
    """Return what was written, to go on with another text.

    Args:
        model: which.
        found: where it stopped.
        context: the text that it sees from now on.
        letters: how many letters of the text before are not in this one.
        rule: that ends what comes.
    """
    *state, window, _ = found.state
    normals = window.shape[-1] // 3
    back = np.repeat(np.array([[0.0, 0.0, float(letters)]], "float32"), normals, axis=1)
    state = [*state, window - ops.cast(back, window.dtype), ops.cast(model.text_of(context), window.dtype)]
    # No event of training follows the end of a text: the pen was lifted.
    event = np.array(ops.convert_to_numpy(found.carry.event))
    event[:, 2:] = [1.0] if event.shape[1] == 3 else [0.0, 1.0, 0.0]
    carry = found.carry._replace(
        event=ops.convert_to_tensor(event, dtype=found.carry.event.dtype),
        state=state,
        memory=rule.start(len(found)),
        ended=ops.zeros((len(found),), dtype="bool"),
    )
    return replace(found, carry=carry, stop=rule)


def _trouble(text: str, letters: float, counts: np.ndarray, found: Generated) -> str:
    """Return what went wrong with a line, or nothing.

    Args:
        text: of the line.
        letters: how many usual letters have as many points.
        counts: of points at which the window was on each letter.
        found: what was written.
    """
    if not found.ended[0]:
        return "did not come to its end"
    usual = letters / len(text)
    if not SHORTEST * len(text) - 2 <= letters <= LONGEST * len(text) + 2:
        return f"has {usual:.1f} times the usual points of a letter"
    missed = [letter for letter, count in zip(text, counts, strict=False) if letter != " " and count == 0]
    return f"seems to lack {''.join(missed)!r}" if missed else ""


def straight(drawing: np.ndarray, text: str) -> np.ndarray:
    """Return a line that runs horizontally, from its left end on the baseline.

    Args:
        drawing: `(n, 3)`.
        text: of the line; a short one is not turned, as it tells no slope.
    """
    if len(text) >= TURNED:
        drawing = clean(drawing, Cleaning(baseline=True))
    drawing = np.array(drawing, np.float64)
    left = np.cumsum(drawing[:, 0]).min()
    drawing[0, :2] -= left, body(drawing)[0]
    return drawing
