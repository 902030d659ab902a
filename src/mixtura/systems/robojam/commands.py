"""The commands `mixtura respond` and `mixtura serve`: a run, and calls in files."""

from __future__ import annotations

from pathlib import Path

from mixtura.data.sequences import Sequences
from mixtura.data.tables import counted
from mixtura.data.touches import clean_touches, read_touches, write_touches
from mixtura.drawing import check_picture
from mixtura.errors import InputError
from mixtura.files import check_output
from mixtura.systems import runs
from mixtura.systems.registry import find
from mixtura.systems.robojam import pictures
from mixtura.systems.robojam.responding import DURATION, Responder


def responder(run: Path) -> Responder:
    """Return what answers with the model of a run, or the shipped one.

    Raises:
        InputError: as `runs.opened`, and for a run of another system.
    """
    system, model, _ = runs.opened(run)
    if system.name != "robojam":
        raise InputError(f"{run} is a run of the system {system.name!r}; only robojam's answer calls.")
    return Responder(model, run.name)


def respond(
    run: Path,
    call: Path,
    out: Path,
    *,
    count: int = 1,
    duration: float = DURATION,
    seed: int | None = None,
    temperature: float | None = None,
    picture: Path | None = None,
    overwrite: bool = False,
) -> Sequences:
    """Answer a call in a file, write the answers, and draw both on request.

    Args:
        run: as `runs.opened` takes it.
        call: a file with one performance.
        out: as `write_touches` takes it.
        count: how many answers.
        duration: of each, in seconds.
        seed: answer i of a seed is always the same; None for fresh ones.
        temperature: as in `mixtura.generation.generate`.
        picture: an image file to draw; its ending picks the format.
        overwrite: replace what is there.

    Raises:
        InputError: for a mistake in the input; nothing is written then.
    """
    if picture is not None:
        check_picture(picture)
    for path in (out, picture):
        if path is not None:
            check_output(path, overwrite)
    find("robojam").check_ending(out, {})
    heard = read_touches(call)
    if len(heard) != 1:
        raise InputError(f"{call} has {counted(len(heard), 'performance')}; expected one, the call.")
    (played,) = clean_touches(heard)[0]
    answers = responder(run).respond(played, count, duration, seed, temperature)
    write_touches(out, answers)
    if picture is not None:
        pictures.call_and_response(played, list(answers)[:16], picture)
    return answers
