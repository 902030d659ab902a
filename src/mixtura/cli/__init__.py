"""The command `mixtura`. It imports Keras only once a command that needs it has read its arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.table import Table

import mixtura
from mixtura.cli import data, handwriting, sequences, sketch, tables, touches, world
from mixtura.cli.shared import cache_folder
from mixtura.errors import InputError, TrainingError

app = App(
    name="mixtura",
    help="Neural networks that predict distributions.",
    version=mixtura.__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # `main` says what Ctrl-C leaves
)


def doctor() -> None:
    """Print the backend and why it was chosen, devices, versions and caches."""
    from mixtura.doctor import findings

    table = Table(show_header=False, box=None)
    for name, value in findings(cache_folder()):
        table.add_row(name, value)
    Console().print(table)


for _command in (
    tables.demo,
    tables.fit,
    tables.predict,
    sequences.train,
    sequences.systems,
    sequences.generate,
    sequences.evaluate,
    sequences.export,
    touches.respond,
    touches.serve,
    handwriting.write,
    handwriting.capture,
    sketch.app,
    world.app,
    data.app,
    doctor,
):
    app.command(_command)
app.command(sequences.import_, name="import")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake in the input is one sentence on standard error and exit code 2.

    Args:
        arguments: the words after the command's name; by default those of this process.
    """
    try:
        app(sys.argv[1:] if arguments is None else arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _refuse(str(error).strip())
    except InputError as error:
        _refuse(str(error))
    except TrainingError as error:
        _refuse(str(error), code=1)
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _refuse(f"{error.filename or 'the file system'}: {error.strerror or error}.")
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped; nothing half-written is left. A run goes on with --resume.")
        sys.exit(130)


def _refuse(sentence: str, code: int = 2) -> NoReturn:
    print(f"mixtura: {sentence}", file=sys.stderr)
    sys.exit(code)
