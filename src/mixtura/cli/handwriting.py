"""The commands on handwriting: write and capture."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from cyclopts.types import NonNegativeInt, PositiveInt

from mixtura.cli.shared import cache_compiled_programs
from mixtura.errors import InputError
from mixtura.files import check_output

Bias = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=20))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Page:
    """What is written on.

    Attributes:
        size: a4, a5, letter, millimetres such as 100x50, or line: one line for each of the text's, and a
            page as large as they are.
        margin: in mm.
        pitch: from baseline to baseline, in mm; letters are as large as suits it.
        pen: the width of its line, in mm.
        colour: of the ink, a name or #1b1f3b; several are for the lines in turn.
        ruled: draw the baselines.
        title: a line of print above.
    """

    size: str = "a4"
    margin: float | None = None
    pitch: float = 12.0
    pen: float = 0.45
    colour: list[str] | None = None
    ruled: bool = False
    title: str = ""


def write(
    words: str | None = None,
    /,
    *,
    text: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    out: Path = Path("page.svg"),
    run: Path = Path("handwriting"),
    style: str | None = None,
    line: PositiveInt = 1,
    bias: Bias | None = None,
    seed: NonNegativeInt | None = None,
    substitute: bool = False,
    animate: bool = False,
    attention: Path | None = None,
    density: Path | None = None,
    overwrite: bool = False,
    page: Page | None = None,
) -> None:
    """Write a text of any length by hand.

    Args:
        words: the text. Its lines stay lines.
        text: a file with the text, in UTF-8, in place of the words; - for standard input.
        out: the file to write: .svg for pages, .gif for an animation, .json, .inkml or .npz for the ink.
        run: the folder that `mixtura train handwriting` left, or handwriting: the model that it ships.
        style: the name of a style of the run; or a file with a line of handwriting and its text, in whose
            hand to go on.
        line: which line of that file.
        bias: 0 is wild, 2 is neat; by default the run's own.
        seed: of the draws; by default fresh ones each time.
        substitute: write the nearest characters in place of those that the run's alphabet has not.
        animate: let the text of a .svg appear as it was written.
        attention: a picture of what the network looked at as it wrote the first line.
        density: a picture of where it expected the first line's next points.
        overwrite: replace outputs that exist.
        page: what is written on.
    """
    content = _content(words, text)
    if not content.strip():
        raise InputError("The text is empty; expected something to write.")
    cache_compiled_programs()
    from mixtura.evaluation.words import count
    from mixtura.systems.handwriting import commands

    settings = vars(page or Page())
    colours = settings.pop("colour") or [commands.INK]
    order = commands.Order(
        style=style,
        line=line,
        bias=bias,
        seed=seed,
        substitute=substitute,
        animated=animate,
        attention=attention,
        density=density,
        overwrite=overwrite,
        colours=colours,
        **settings,
    )
    given = commands.write(run, content, out, order)
    for sentence in given.sentences:
        print(f"mixtura: {sentence}", file=sys.stderr)
    amount = count(sum(map(bool, given.texts)), "line")
    print(f"Wrote {amount}, to {', '.join(map(str, given.paths))}.")


def _content(words: str | None, text: Path | None) -> str:
    """Return what is to be written."""
    if (words is None) == (text is None):
        raise InputError("Give a text, or a file with --text, and not both.")
    if text is None:
        assert words is not None
        return words
    try:
        return sys.stdin.read() if text == Path("-") else text.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{text} is no text in UTF-8.") from None


def capture(out: Path, /, *, texts: Path | None = None, overwrite: bool = False) -> None:
    """Write a web page that takes down your own hand: open it, write, and save the ink.

    Args:
        out: the .html file to write.
        texts: a file with a sentence to ask for on each line; by default ten that have all letters.
        overwrite: replace the page if it exists.
    """
    check_output(out, overwrite, texts)
    from mixtura.data.capture import SENTENCES, write_capture

    write_capture(out, SENTENCES if texts is None else _content(None, texts).splitlines())
    print(f"Open {out} in a browser. Then: mixtura write TEXT --style my-hand.json")
