"""The commands on drawings and a trained Sketch-RNN: reconstruct, interpolate, complete and others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from cyclopts import App, Parameter, validators
from cyclopts.types import NonNegativeInt, PositiveInt

from mixtura.cli.shared import cache_compiled_programs, check_temperature
from mixtura.errors import InputError

if TYPE_CHECKING:
    from mixtura.systems.sketch.commands import Draft, Given

app = App(name="sketch", help="Copy, mix, complete and add up drawings with a trained Sketch-RNN.")

T = TypeVar("T")
Count = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1000))]
Steps = Annotated[int, Parameter(validator=validators.Number(gte=2, lte=32))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What every command takes.

    Attributes:
        out: the sheet to write, an SVG file; what was given is orange on it, what the model drew black.
        category: of the drawings, where their file does not say; else, which of its drawings to take.
        temperature: 1 draws from the model itself; lower is neater, higher is wilder; by default the run's
            own.
        seed: of the draws; by default fresh ones each time.
        overwrite: replace the sheet if it exists.
    """

    out: Path
    category: str | None = None
    temperature: float | None = None
    seed: NonNegativeInt | None = None
    overwrite: bool = False


@app.command
def reconstruct(
    run: Path, drawings: Path, /, *, pick: str | None = None, count: Count = 10, sheet: Sheet
) -> None:
    """Copy drawings: each is read into a latent vector, and drawn again from that.

    Args:
        run: the folder that `mixtura train sketch` left, or a system's name: the model that it ships.
        drawings: a file or folder of drawings, as for `mixtura data convert`.
        pick: which drawings, such as 3,17, counted from 1; by default some at random.
        count: how many, where none are picked.
        sheet: what every command takes.
    """
    draft, numbers = _draft(run, sheet), _numbers("--pick", pick)
    from mixtura.systems.sketch import commands

    _tell(commands.reconstruct(draft, drawings, numbers, count), sheet)


@app.command
def interpolate(
    run: Path,
    drawings: Path,
    /,
    *,
    pick: str | None = None,
    steps: Steps = 8,
    how: Literal["slerp", "lerp"] = "slerp",
    sheet: Sheet,
) -> None:
    """Draw what is between two drawings, or between four as a grid.

    Args:
        run: the folder that `mixtura train sketch` left, or a system's name: the model that it ships.
        drawings: a file or folder of drawings, as for `mixtura data convert`.
        pick: which two or four drawings, such as 3,17, counted from 1; by default the first two.
        steps: drawings from one to another, copies of both included.
        how: slerp along an arc, or lerp along a line.
        sheet: what every command takes.
    """
    draft, numbers = _draft(run, sheet), _numbers("--pick", pick)
    from mixtura.systems.sketch import commands

    _tell(commands.interpolate(draft, drawings, numbers, steps, how), sheet)


@app.command
def complete(
    run: Path,
    begun: Path,
    /,
    *,
    pick: str | None = None,
    points: PositiveInt | None = None,
    count: Count = 8,
    candidates: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=10_000))] = None,
    sheet: Sheet,
) -> None:
    """Go on with a drawing that was begun, and show the best of what comes out.

    Best is what the model finds likeliest: by the log-likelihood of the points that were added, over their
    number to the power of 3/4, so that neither short drawings nor endless ones win.

    Args:
        run: the folder that `mixtura train` left, or a system's name: the model that it ships.
        begun: a file or folder of drawings, as for `mixtura data convert`.
        pick: which drawing, counted from 1; by default the first.
        points: how many of its points were drawn; by default all.
        count: how many completions to show.
        candidates: how many to draw; by default four for each that is shown.
        sheet: what every command takes.
    """
    draft, numbers = _draft(run, sheet), _numbers("--pick", pick)
    from mixtura.systems.sketch import commands

    _tell(commands.complete(draft, begun, numbers, points, count, candidates), sheet)


@app.command
def combine(
    run: Path, drawings: Path, /, *, plus: str, minus: str | None = None, count: Count = 4, sheet: Sheet
) -> None:
    """Add the latent vectors of drawings up, such as a cat's head and a pig without its head.

    Args:
        run: the folder that `mixtura train sketch` left, or a system's name: the model that it ships.
        drawings: a file or folder of drawings, as for `mixtura data convert`.
        plus: which drawings to add up, such as 1,2, counted from 1.
        minus: which to take away.
        count: how often to draw the result.
        sheet: what every command takes.
    """
    draft = _draft(run, sheet)
    terms = _numbers("--plus", plus) or [], _numbers("--minus", minus) or []
    from mixtura.systems.sketch import commands

    _tell(commands.combine(draft, drawings, *terms, count), sheet)


@app.command
def temperatures(
    run: Path,
    /,
    *,
    values: str = "0.1,0.3,0.5,0.7,0.9,1.1",
    count: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=50))] = 10,
    out: Path,
    category: str | None = None,
    seed: NonNegativeInt | None = None,
    overwrite: bool = False,
) -> None:
    """Draw the same drawings at several temperatures, a row for each.

    Args:
        run: the folder that `mixtura train` left, or a system's name: the model that it ships.
        values: the temperatures: 1 draws from the model itself; lower is neater, higher is wilder.
        count: how many drawings.
        out: the sheet to write, an SVG file.
        category: what to draw, for a model with categories; by default each something by chance.
        seed: of the draws; by default fresh ones each time.
        overwrite: replace the sheet if it exists.
    """
    sheet = Sheet(out=out, category=category, seed=seed, overwrite=overwrite)
    draft = _draft(run, sheet)
    numbers = _listed("--values", values, float, "temperatures such as 0.3,1")
    for number in numbers:
        check_temperature(number)
    from mixtura.systems.sketch import commands

    commands.temperatures(draft, numbers, count)
    print(f"The sheet is {out}.")


def _draft(run: Path, sheet: Sheet) -> Draft:
    check_temperature(sheet.temperature)
    cache_compiled_programs()
    from mixtura.systems.sketch.commands import Draft

    return Draft(run, **vars(sheet))


def _numbers(option: str, text: str | None) -> list[int] | None:
    return None if text is None else _listed(option, text, int, "numbers of drawings such as 3,17")


def _listed(option: str, text: str, kind: Callable[[str], T], expected: str) -> list[T]:
    """Return what is between commas."""
    try:
        return [kind(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"{option} takes {expected}; received {text!r}.") from None


def _tell(given: Given, sheet: Sheet) -> None:
    for sentence in given.left_out:
        print(f"mixtura: {sentence}", file=sys.stderr)
    print(f"The sheet is {sheet.out}.")
