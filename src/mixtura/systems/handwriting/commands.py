"""The command `mixtura write`: a run, a text, and pages of handwriting."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixtura.data.cleaning import cleaned
from mixtura.data.handwriting import ENDINGS, read_handwriting, write_handwriting
from mixtura.data.sequences import Sequences
from mixtura.data.sketches import left_out_of
from mixtura.data.tables import counted
from mixtura.drawing import Paper, animate, check_picture, pages, write_pages
from mixtura.errors import InputError
from mixtura.evaluation.sequences import score_sequences
from mixtura.files import check_output
from mixtura.models.handwriting import Handwriting
from mixtura.systems import runs
from mixtura.systems.handwriting.data import like_the_runs, style_number
from mixtura.systems.handwriting.pictures import attention_picture, density_picture
from mixtura.systems.handwriting.writing import Written, write_lines

SIZES = {"a4": (210.0, 297.0), "a5": (148.0, 210.0), "letter": (215.9, 279.4), "line": (None, None)}
MARGIN, NARROW = 18.0, 0.09  # millimetres, but no more than this share of the page's width
BESIDE = 4.0  # millimetres: the margin of what has no size
BODY = 0.28  # of the pitch: the height of an x
INK = "#1b1f3b"


@dataclass(frozen=True, kw_only=True)
class Order:
    """How and on what a text is written.

    Attributes:
        style: the name of a style, or a file of ink whose hand is taken up; None for the run's first style,
            or its last if it was trained on from another.
        line: of the file of ink, counted from 1.
        bias: see `Handwriting.write`; None for the run's own.
        seed: of the draws; None for fresh ones.
        substitute: whether the nearest characters stand for those that are not in the alphabet.
        size: a name in `SIZES`, or millimetres such as 100x50.
        margin: in mm; None for one that suits the size.
        pitch: from line to line, in mm.
        pen: the width of its line, in mm.
        colours: of the lines, in turn.
        ruled: whether baselines are drawn.
        title: in print above the lines.
        animated: whether a .svg is one page on which the text appears as it was written.
        attention: a picture of what the network looked at as it wrote the first line.
        density: a picture of where it expected the first line's points.
        overwrite: replace the outputs if they exist.
    """

    style: str | None = None
    line: int = 1
    bias: float | None = None
    seed: int | None = None
    substitute: bool = False
    size: str = "a4"
    margin: float | None = None
    pitch: float = 12.0
    pen: float = 0.45
    colours: Sequence[str] = (INK,)
    ruled: bool = False
    title: str = ""
    animated: bool = False
    attention: Path | None = None
    density: Path | None = None
    overwrite: bool = False

    def paper(self, lines: int | None = None) -> Paper:
        """Return the paper of so many lines.

        Raises:
            InputError: for a size that is none, or what `Paper` refuses.
        """
        width, height = size_of(self.size)
        margin = self.margin
        if margin is None:
            margin = BESIDE if width is None else min(MARGIN, NARROW * width)
        count = len(self.colours) if lines is None else lines
        ink = [self.colours[number % len(self.colours)] for number in range(count)]
        return Paper(
            width=width,
            height=height,
            margin=margin,
            pitch=self.pitch,
            pen=self.pen,
            ink=ink,
            ruled=self.ruled,
            title=self.title,
        )


class Given(NamedTuple):
    """What was written.

    Attributes:
        paths: of the files.
        texts: of the lines.
        sentences: on what went wrong, and on what was left out of the style's file.
    """

    paths: list[Path]
    texts: list[str]
    sentences: list[str]


def write(run: Path, text: str, out: Path, order: Order) -> Given:
    """Write a text as pages, an animation or ink, as the ending says.

    Args:
        run: as `runs.opened` takes it.
        text: of any length.
        out: .svg for pages (`page-1.svg` and so on if there are several), .gif for an animation, .json,
            .inkml or .npz for ink in millimetres.
        order: how.

    Raises:
        InputError: for a mistake in the input; nothing is written then.
    """
    ending = out.suffix.lower()
    if ending not in (".gif", *ENDINGS):
        raise InputError(
            f"{out} ends in {out.suffix!r}; handwriting is written to {', '.join(('.gif', *ENDINGS))}."
        )
    pictures = [path for path in (order.attention, order.density) if path is not None]
    if len({out, *pictures}) <= len(pictures):
        raise InputError(f"{out} and the pictures are to be different files; received one name twice.")
    for path in (out, *pictures):
        check_output(path, order.overwrite, Path(order.style) if order.style else None)
    for path in pictures:
        check_picture(path)
    paper, text = order.paper(), unicodedata.normalize("NFC", text)
    _, model, config = runs.opened(run)
    if not isinstance(model, Handwriting) or model.alphabet is None:
        raise InputError(f"{run} is no run of handwriting that knows texts; expected one.")
    facts = config["facts"]
    text = _writable(model, text, order.substitute)
    style, primed, sentences = _hand(model, facts, config.get("start") is not None, order)
    unit = BODY * order.pitch / facts["body"]  # mm
    bias = facts["bias"] if order.bias is None else order.bias
    written = write_lines(
        model,
        facts,
        text,
        width=None if paper.width is None else (paper.width - 2 * paper.margin) / unit,
        bias=bias,
        style=style,
        primed=primed,
        seed=order.seed,
    )
    paths = _write(out, written, unit, order)
    first = next(n for n, line in enumerate(written.lines) if line is not None)
    _draw(model, written.lines[first], written.texts[first], style, order)
    return Given([*paths, *pictures], written.texts, [*sentences, *written.troubles])


def size_of(size: str) -> tuple[float | None, float | None]:
    """Return the width and height of paper in mm; None where it is as large as what is on it.

    Raises:
        InputError: for a size that is none.
    """
    if size.lower() in SIZES:
        return SIZES[size.lower()]
    try:
        width, height = map(float, size.lower().split("x"))
    except ValueError:
        raise InputError(
            f"there is no size {size!r}; expected one of {', '.join(SIZES)}, or millimetres such as 100x50"
        ) from None
    return width, height


def _writable(model: Handwriting, text: str, substitute: bool) -> str:
    """Return a text in the model's alphabet, its lines kept.

    Raises:
        InputError: if it is empty or has other characters.
    """
    assert model.alphabet is not None
    alphabet, lines = model.alphabet, text.splitlines()
    lines = [" ".join(line.split()) for line in lines]
    if substitute:
        lines = [alphabet.substituted(line) for line in lines]
    try:
        alphabet.check("".join(lines))
    except InputError as error:
        offer = "" if substitute or not "".join(lines) else "; --substitute writes the nearest"
        raise InputError(f"{error}{offer}") from None
    return "\n".join(lines).strip("\n")


def _hand(
    model: Handwriting, facts: Mapping[str, Any], is_continued: bool, order: Order
) -> tuple[int | None, tuple[np.ndarray, str] | None, list[str]]:
    """Return the number of the style, the line to take up with its text, and sentences on its file."""
    styles = list(facts.get("styles", ())) if model.num_styles else []
    if order.style is None:
        return (len(styles) - 1 if is_continued else 0) if styles else None, None, []
    if order.style in styles:
        return style_number(order.style, styles), None, []
    path = Path(order.style)
    if not path.exists():
        known = f"one of {', '.join(styles)}, or " if styles else ""
        raise InputError(f"there is no style {order.style!r}; expected {known}a file of handwriting")
    found = read_handwriting(path)
    if order.line > len(found):
        raise InputError(f"{path} has {counted(len(found), 'line')}; there is no line {order.line}.")
    lines = cleaned(found, like_the_runs(found, facts))
    assert model.alphabet is not None
    text = model.alphabet.substituted(str(found.fields["text"][order.line - 1]))
    text = "".join(one for one in text if not model.alphabet.unknown(one))
    if not text.strip():
        raise InputError(f"{path}, line {order.line}: the alphabet has none of the characters of its text")
    drawing = lines[order.line - 1]
    sentences = [f"{path}, {sentence}" for sentence in left_out_of(found)]
    if not styles:
        return None, (drawing, text), sentences
    events = [model.events(drawing)] * len(styles)
    context = model.context([text] * len(styles), np.arange(len(styles)))
    nearest = score_sequences(model, Sequences.of(events), [0.0] * model.family.event_size, context=context)
    return int(nearest.nll.argmin()), (drawing, text), sentences


def _write(out: Path, written: Written, unit: float, order: Order) -> list[Path]:
    """Write the lines as the ending says, and return the files."""
    ending = out.suffix.lower()
    if ending not in (".svg", ".gif"):
        pairs = zip(written.lines, written.texts, strict=True)
        known = [(line * [unit, unit, 1], text) for line, text in pairs if line is not None]
        lines = Sequences.of([line for line, _ in known], text=np.array([text for _, text in known]))
        write_handwriting(out, lines)
        return [out]
    paper = order.paper(len(written.lines))
    if ending == ".gif" or order.animated:
        return [animate(written.lines, out, unit, paper)]
    texts = pages(written.lines, unit, paper)
    if len(texts) > 1 and not order.overwrite:
        for path in out.parent.glob(f"{out.stem}-*{out.suffix}"):
            check_output(path, overwrite=path.stem.removeprefix(f"{out.stem}-").strip("0123456789") != "")
    return write_pages(out, texts)


def _draw(model: Handwriting, line: Any, text: str, style: int | None, order: Order) -> None:
    """Draw the pictures of a line that are asked for."""
    if order.attention is not None:
        attention_picture(model, line, text, order.attention, style)
    if order.density is not None:
        density_picture(model, line, order.density, text, style)
