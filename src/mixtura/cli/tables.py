"""The commands on tables: the lecture's demo, fit and predict."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.types import NonNegativeInt, PositiveInt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mixtura.cli.shared import cache_compiled_programs
from mixtura.errors import InputError
from mixtura.files import check_output

if TYPE_CHECKING:
    from mixtura.systems.tables import Fit


def demo(*, out: Path = Path("mixtura-demo"), seed: NonNegativeInt = 0, epochs: PositiveInt = 200) -> None:
    """Reproduce the lecture: two toy problems, three networks, scores beside the exact limits.

    Args:
        out: folder for the figures and `report.json`; only the demo's own files in it are replaced.
        seed: seed of the data, the networks and the samples.
        epochs: epochs of training; the lecture's is 200.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out takes a folder.")
    cache_compiled_programs()
    from mixtura.systems.demo import NAMES, run

    report = run(out, seed=seed, epochs=epochs)
    table = Table(
        title=f"Negative log-likelihood on {report['fresh_points']} fresh points of the inverse sine"
    )
    for column in ("", "parameters", "nats", "seconds"):
        table.add_column(column, justify="left" if not column else "right")
    for key, name in NAMES.items():
        row = report[key]
        table.add_row(name, str(row["params"]), f"{row['nll']:.3f}", f"{row['seconds']:.1f}")
    table.add_section()
    limits = {
        "constant_variance": "limit: a normal, one variance for all x",
        "single_normal": "limit: a normal for each x",
        "conditional_entropy": "limit: any distribution, h(y|x)",
    }
    for key, name in limits.items():
        table.add_row(name, "", f"{report['limits'][key]:.3f}", "")
    Console().print(table)
    print(f"Figures and report.json are in {out}/ ({report['seconds']:.0f} s).")


def fit(
    data: Path,
    /,
    *,
    target: str,
    out: Path | None = None,
    components: PositiveInt = 5,
    ensemble: PositiveInt = 8,
    epochs: PositiveInt | None = None,
    held_out: float = 0.2,
    seed: NonNegativeInt = 0,
    overwrite: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
) -> None:
    """Train an ensemble of mixture density networks on a table and report on held-out rows.

    The run folder holds the report, as a page (`report.html`) and as data (`report.json`). Ctrl-C stops after
    the current epoch; the run can then be used, and continued with --resume, as it can after a crash.

    Args:
        data: a CSV file with a header line; numeric and text columns both serve as inputs.
        target: the column to predict.
        out: the run folder to make; by default named after the file and the target.
        components: normals in each network's mixture.
        ensemble: how many networks predict together.
        epochs: at most so many, by default as many as make 20 000 steps, between 100 and 1000; training
            stops when no network's validation loss falls any more.
        held_out: share of the rows to report on.
        seed: of the split, the weights and the batches.
        overwrite: replace the run in the folder.
        resume: go on with the run in the folder, if there is one.
        tensorboard: also write the losses for TensorBoard, into the folder.
    """
    out = out or Path(f"{data.stem}-{re.sub(r'[^A-Za-z0-9]+', '-', target).strip('-').lower()}")
    if not resume:
        check_output(out, overwrite)
    cache_compiled_programs()
    from mixtura.systems.tables import fit

    result = fit(
        data,
        target,
        out,
        held_out=held_out,
        seed=seed,
        overwrite=overwrite,
        resume=resume,
        tensorboard=tensorboard,
        n_components=components,
        ensemble=ensemble,
        max_iter=epochs or "auto",
    )
    console = Console()
    for line in _description(result):
        console.print(line, markup=False, highlight=False)
    console.print(_score_table(result))
    for sentence in (*result.report.verdicts, *result.report.notes):
        console.print(f"- {sentence}", markup=False, highlight=False)
    print(f"The report is {out}/report.html; next: mixtura predict {out} NEW.csv")


def _description(result: Fit) -> Iterator[str]:
    if result.seconds_to_first_epoch:
        yield f"The first epoch was done {result.seconds_to_first_epoch:.1f} s after the start."
    rows = result.rows["training"]
    who = f"each of {result.members} networks" if result.members > 1 else "the network"
    yield f"{result.epochs} epochs on {rows} rows, of which {who} held some back to know when to stop."
    yield from result.decisions
    for name, why in result.left_out.items():
        yield f"Left out: column {name!r} ({why})."


def _score_table(result: Fit) -> Table:
    from mixtura.evaluation import words

    (output,), level = result.report.outputs, result.report.level
    table = Table(
        title=escape(output.name) + f": {result.rows['held_out']} held-out rows, in the target's units"
    )
    table.add_column("")
    for name in output.scored:
        table.add_column(words.PREDICTORS[name], justify="right")
    for name in output.shown:
        values = [one.values[name] for one in output.scored.values()]
        label = words.score_label(name, level, output.step)
        table.add_row(label, *(words.score_text(name, value) for value in values))
    return table


def predict(
    run: Path,
    data: Path,
    /,
    *,
    out: Path | None = None,
    quantiles: Annotated[tuple[float, ...], Parameter(consume_multiple=True)] = (0.05, 0.5, 0.95),
    samples: NonNegativeInt = 0,
    seed: NonNegativeInt = 0,
    overwrite: bool = False,
) -> None:
    """Predict the rows of a table with a run: mean, quantiles and, on request, samples, as CSV.

    Args:
        run: the folder that `mixtura fit` left.
        data: a CSV file with the run's input columns; other columns are ignored.
        out: the CSV file to write; by default standard output.
        quantiles: probabilities, each a column.
        samples: draws for each row, each a column.
        seed: of the draws.
        overwrite: replace the output if it exists.
    """
    cache_compiled_programs()
    from mixtura.systems.tables import predict

    unseen = predict(
        run,
        data,
        out or sys.stdout,
        quantiles=quantiles,
        samples=samples,
        seed=seed,
        overwrite=overwrite,
    )
    for column, levels in unseen.items():
        shown = ", ".join(map(repr, levels[:5])) + (", ..." if len(levels) > 5 else "")
        print(f"mixtura: column {column!r}: not seen in training, read as none: {shown}", file=sys.stderr)
    if out:
        print(f"Wrote {out}.")
