"""The commands on data sets: convert, show and fetch. None of them needs Keras."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
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
    from mixtura.data.cleaning import Cleaning
    from mixtura.data.fetching import PublicFile
    from mixtura.systems.datasets import Statistics

app = App(name="data", help="Convert, look at and fetch data sets.")

_MOST = 12  # categories that `show` lists
Amount = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1e9))]
Points = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=1001))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Steps:
    """Cleaning, in this order.

    Attributes:
        limit: move offsets into [-limit, limit], in the file's units.
        outliers: fill in or interpolate steps inside strokes longer than so many times the median step.
        baseline: turn lines of handwriting to run horizontally.
        slant: shear them so that letters stand upright.
        smooth: replace each place by the mean of so many points; an odd number.
        savgol: filter by Savitzky's and Golay's cubics through seven points.
        thin: keep every so many-th point of each stroke, and its last.
        height: scale lines so that a small letter is so high.
    """

    limit: Amount = 0.0
    outliers: Amount = 0.0
    baseline: bool = False
    slant: bool = False
    smooth: Points = 0
    savgol: bool = False
    thin: PositiveInt = 1
    height: Amount = 0.0

    def cleaning(self) -> Cleaning:
        """Return these steps, if they go together."""
        from mixtura.data.cleaning import Cleaning

        try:
            return Cleaning(**asdict(self))
        except ValueError as error:
            raise InputError(str(error)) from None


_AS_IT_IS = Steps()


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
    steps: Steps = _AS_IT_IS,
    overwrite: bool = False,
) -> None:
    """Convert drawings or lines of handwriting from one format to another; endings pick the formats.

    Formats are .npz, .ndjson and .bin (Quick, Draw!), .svg, .inkml, .json (ink), and a folder of such files;
    IAM-OnDB as it is downloaded is read too. Several drawings in one .svg file become a sheet of pictures; a
    target without an ending is a folder with one SVG file for each. What is broken is named and left out.

    Args:
        source: the file or folder to read.
        target: the file or folder to write.
        simplify: simplify as Quick, Draw! does: fitted into 255 x 255, a point at every unit, lines
            straightened with a tolerance of 2, rounded.
        epsilon: another tolerance; without --simplify, straighten lines alone, in the file's units.
        category: keep the drawings of one category.
        count: keep the first so many.
        steps: of cleaning, before anything is simplified.
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
        cleaning=steps.cleaning(),
        overwrite=overwrite,
    )
    _tell(left_out)
    kind = "line" if "text" in drawings.fields else "drawing"
    amount = f"{counted(len(drawings), kind)}, {counted(len(drawings.data), 'point')}"
    print(f"Wrote {amount}, to {target}.")


@app.command
def show(
    file: Path,
    /,
    *,
    out: Path | None = None,
    count: PositiveInt = 64,
    seed: NonNegativeInt = 0,
    steps: Steps = _AS_IT_IS,
    overwrite: bool = False,
) -> None:
    """Describe the drawings or lines of a file, and put some of them on a sheet of pictures.

    With steps of cleaning, the sheet has each as it was, in orange, and cleaned below.

    Args:
        file: a file or folder of drawings, as for `mixtura data convert`.
        out: the sheet, an SVG file; by default named after the file, in the current folder.
        count: how many drawings to put on it, drawn at random.
        seed: of that draw.
        steps: of cleaning, to see what they do.
        overwrite: replace the sheet if it exists.
    """
    from mixtura.systems import datasets

    out = out or Path(f"{file.resolve().stem}.svg")
    found, left_out = datasets.show(
        file, out, count=count, seed=seed, cleaning=steps.cleaning(), overwrite=overwrite
    )
    _tell(left_out)
    Console().print(_statistics_table(found, file.resolve().name))
    if found.texts is not None:
        print(f"The characters are {found.texts.characters!r}.")
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

    kind = "drawing" if found.texts is None else "line"
    title = f"{name}: {counted(found.drawings, kind)}"
    table = Table(title=escape(title), min_width=len(title))
    for column in ("", "least", "median", "most"):
        table.add_column(column, justify="right" if column else "left")

    def spanned(label: str, values: Iterable[float]) -> None:
        table.add_row(label, *(f"{value:.6g}" for value in values))

    spanned(f"points of a {kind}", found.points)
    spanned("strokes", found.strokes)
    spanned("width", found.width)
    spanned("height", found.height)
    if found.texts is not None:
        spanned("letters", found.texts.letters)
        spanned("points per letter", found.texts.points_per_letter)
    table.add_section()
    table.add_row("scale factor: standard deviation of dx and dy", f"{found.spread:.4g}")
    for axis, step in zip(("dx", "dy"), found.step, strict=True):
        table.add_row(f"recording step of {axis}", f"{step:.6g}" if step else "none")
    for what, share in zip(("dx is 0", "dy is 0", "both are 0"), found.still, strict=True):
        table.add_row(f"points where {what}", f"{100 * share:.1f} %")
    if found.texts is not None:
        table.add_row("different characters", str(len(found.texts.characters)))
    if found.change is not None:
        change = found.change
        table.add_section()
        for label, pair in (
            (f"points of a {kind}", change.points),
            ("degrees that it rises to the right", change.slope),
            ("degrees that it leans to the right", change.slant),
        ):
            for values, when in zip(pair, ("", ", cleaned"), strict=True):
                table.add_row(f"{label}{when}", *(f"{value + 0.0:.4g}" for value in values))
        for long, scale, when in zip(change.long, change.spread, ("", ", cleaned"), strict=True):
            table.add_row(f"steps longer than {change.limit:g} medians{when}", str(long))
            table.add_row(f"scale factor{when}", f"{scale:.4g}")
    sets = found.texts.sets if found.texts is not None else {}
    for what, tally in (("split", found.splits), ("set", sets), ("category", found.categories)):
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
