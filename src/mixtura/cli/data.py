"""The commands on data sets: convert, show and fetch. None of them needs Keras."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators
from cyclopts.types import NonNegativeInt, PositiveInt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mixtura.cli.shared import cache_folder
from mixtura.errors import InputError
from mixtura.files import check_output, replacing

if TYPE_CHECKING:
    from mixtura.data.fetching import PublicFile
    from mixtura.systems.datasets import Statistics

app = App(name="data", help="Convert, look at and fetch data sets.")

_MOST = 12  # categories that `show` lists


@app.command
def convert(
    source: Path,
    target: Path,
    /,
    *,
    simplify: bool = False,
    epsilon: Annotated[float | None, Parameter(validator=validators.Number(gt=0, lte=1e6))] = None,
    category: str | None = None,
    count: PositiveInt | None = None,
    overwrite: bool = False,
) -> None:
    """Convert drawings from one format to another; endings pick the formats.

    Formats are .npz, .ndjson and .bin (Quick, Draw!), .svg, .inkml, and a folder of such files. Several
    drawings in one .svg file become a sheet of pictures; a target without an ending is a folder with one SVG
    file for each. Lines of an .ndjson file that are broken are named and left out.

    Args:
        source: the file or folder to read.
        target: the file or folder to write.
        simplify: simplify as Quick, Draw! does: fitted into 255 x 255, a point at every unit, lines
            straightened with a tolerance of 2, rounded.
        epsilon: another tolerance; without --simplify, straighten lines alone, in the file's units.
        category: keep the drawings of one category.
        count: keep the first so many.
        overwrite: replace the target if it exists.
    """
    from mixtura.data.tables import counted
    from mixtura.systems import datasets

    drawings, left_out = datasets.convert(
        source,
        target,
        simplify=simplify,
        epsilon=epsilon,
        category=category,
        count=count,
        overwrite=overwrite,
    )
    _tell(left_out)
    amount = f"{counted(len(drawings), 'drawing')}, {counted(len(drawings.data), 'point')}"
    print(f"Wrote {amount}, to {target}.")


@app.command
def show(
    file: Path,
    /,
    *,
    out: Path | None = None,
    count: PositiveInt = 64,
    seed: NonNegativeInt = 0,
    overwrite: bool = False,
) -> None:
    """Describe the drawings of a file, and put some of them on a sheet of pictures.

    Args:
        file: a file or folder of drawings, as for `mixtura data convert`.
        out: the sheet, an SVG file; by default named after the file, in the current folder.
        count: how many drawings to put on it, drawn at random.
        seed: of that draw.
        overwrite: replace the sheet if it exists.
    """
    from mixtura.systems import datasets

    out = out or Path(f"{file.resolve().stem}.svg")
    found, left_out = datasets.show(file, out, count=count, seed=seed, overwrite=overwrite)
    _tell(left_out)
    Console().print(_statistics_table(found, file.resolve().name))
    print(f"The sheet is {out}.")


@app.command
def fetch(
    name: str | None = None, /, *, accept: bool = False, out: Path | None = None, overwrite: bool = False
) -> None:
    """Fetch a public data set, verify it and print where it is; without a name, list them.

    Its source and licence are shown first. What is there already is not fetched again.

    Args:
        name: of the data set.
        accept: accept the licence without being asked.
        out: the file to write; by default one in the folder of the command's caches, MIXTURA_CACHE.
        overwrite: replace the output if it exists.
    """
    from mixtura.data import fetching

    if name is None:
        Console().print(_list(fetching.FILES.values()))
        return
    file = fetching.find(name)
    if out is not None:
        if file.matches(out):
            print(out)
            return
        check_output(out, overwrite)
    folder = cache_folder() / "data"
    path = file.place(folder)
    if not file.matches(path):
        _agree(file, accept)
        _fetch(file, folder)
    if out is not None:
        with replacing(out) as temporary:
            shutil.copyfile(path, temporary)
    print(out or path)


def _agree(file: PublicFile, accept: bool) -> None:
    """Show a file's source and licence, and raise an InputError unless the user accepts."""
    if not accept and not sys.stdin.isatty():
        raise InputError(
            f"{file.name}, from {file.repository}, is under the licence {file.licence!r}, and there is no "
            "terminal to ask whether you accept it; give --accept if you do."
        )
    for label, value in (
        (file.name, f"{file.about}, {_megabytes(file)}"),
        ("source", file.address()),
        ("licence", file.licence),
    ):
        print(f"{label}: {value}", file=sys.stderr)
    if not accept:
        print("Fetch it under this licence? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise InputError(f"The licence of {file.name} was not accepted; nothing was fetched.")


def _fetch(file: PublicFile, folder: Path) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from mixtura.data.fetching import fetch

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(compact=True), console=Console(stderr=True)) as progress:
        task = progress.add_task(file.name, total=file.size)
        fetch(file, folder, advance=lambda received: progress.advance(task, received))


def _list(files: Iterable[PublicFile]) -> Table:
    table = Table(box=None)
    for column in ("name", "size", "what", "licence"):
        table.add_column(column, justify="right" if column == "size" else "left", no_wrap=column == "name")
    for file in files:
        table.add_row(file.name, _megabytes(file), file.about, file.licence)
    return table


def _megabytes(file: PublicFile) -> str:
    return f"{file.size / 1e6:.2f} MB"


def _statistics_table(found: Statistics, name: str) -> Table:
    from mixtura.data.tables import counted

    title = f"{name}: {counted(found.drawings, 'drawing')}"
    table = Table(title=escape(title), min_width=len(title))
    for column in ("", "least", "median", "most"):
        table.add_column(column, justify="right" if column else "left")
    for label, values in (
        ("points of a drawing", found.points),
        ("strokes", found.strokes),
        ("width", found.width),
        ("height", found.height),
    ):
        table.add_row(label, *(f"{value:.6g}" for value in values))
    table.add_section()
    table.add_row("scale factor: standard deviation of dx and dy", f"{found.spread:.4g}")
    for axis, step in zip(("dx", "dy"), found.step, strict=True):
        table.add_row(f"recording step of {axis}", f"{step:.6g}" if step else "none")
    for what, share in zip(("dx is 0", "dy is 0", "both are 0"), found.still, strict=True):
        table.add_row(f"points where {what}", f"{100 * share:.1f} %")
    for what, tally in (("split", found.splits), ("category", found.categories)):
        if tally:
            table.add_section()
        for each, amount in sorted(tally.items(), key=lambda item: -item[1])[:_MOST]:
            table.add_row(f"{what} {escape(each)}", str(amount))
        if len(tally) > _MOST:
            table.add_row(f"and {len(tally) - _MOST} more", str(sum(sorted(tally.values())[:-_MOST])))
    return table


def _tell(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print(f"mixtura: {sentence}", file=sys.stderr)
