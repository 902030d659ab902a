"""The commands on touch performances: respond and serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from cyclopts.types import NonNegativeInt

from mixtura.cli.shared import cache_compiled_programs, check_temperature
from mixtura.errors import InputError


def respond(
    run: Path,
    call: Path,
    /,
    *,
    out: Path,
    count: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=1000))] = 1,
    duration: Annotated[float, Parameter(validator=validators.Number(gt=0, lte=600))] = 5.0,
    seed: NonNegativeInt | None = None,
    temperature: float | None = None,
    picture: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Answer a touch performance, as RoboJam does: draw what a model goes on with after it.

    Args:
        run: the folder that `mixtura train robojam` left, or robojam: the model that it ships.
        call: a CSV file with the columns time, x, y, z, moving, as MicroJam writes it.
        out: the file to write: .csv, .npz, or, without an ending, a folder with one CSV file for each answer.
        count: how many answers.
        duration: of each, in seconds.
        seed: of the draws; by default fresh ones each time.
        temperature: 1 draws from the model itself; lower is neater, higher is wilder.
        picture: an image file to draw the call and the answers into, such as answers.png.
        overwrite: replace the outputs if they exist.
    """
    check_temperature(temperature)
    cache_compiled_programs()
    from mixtura.evaluation import words
    from mixtura.systems.robojam import commands

    answers = commands.respond(
        run,
        call,
        out,
        count=count,
        duration=duration,
        seed=seed,
        temperature=temperature,
        picture=picture,
        overwrite=overwrite,
    )
    amount = f"{words.count(len(answers), 'answer')}, {words.count(len(answers.data), 'touch event')}"
    print(f"Wrote {amount}, to {out}{f' and {picture}' if picture else ''}.")


def serve(
    run: Path = Path("robojam"),
    /,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 5000,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Answer touch performances over HTTP, RoboJam's old clients included; Ctrl-C ends it.

    Args:
        run: the folder that `mixtura train robojam` left, or robojam: the model that it ships.
        host: the address to listen on; 0.0.0.0 for all of this machine's.
        port: the port.
        certificate: a PEM file, to answer over HTTPS.
        key: its private key, a PEM file.
    """
    cache_compiled_programs()
    try:
        from mixtura import studio
    except ImportError as error:
        raise InputError(
            f"{error.name} is missing; install the extra: pip install 'mixtura[studio]'"
        ) from None
    from mixtura.systems.robojam.commands import responder

    studio.serve(responder(run), host, port, certificate, key)
