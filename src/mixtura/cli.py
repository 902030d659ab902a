"""The command `mixtura`. It imports Keras only once a command that needs it has read its arguments."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter, validators
from cyclopts.types import NonNegativeInt, PositiveInt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import mixtura
from mixtura.errors import InputError, TrainingError
from mixtura.files import check_output

if TYPE_CHECKING:
    from mixtura.evaluation.sequences import SequenceScores
    from mixtura.systems.tables import Fit

app = App(
    name="mixtura",
    help="Neural networks that predict distributions.",
    version=mixtura.__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # `main` says what Ctrl-C leaves
)


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


@app.command
def demo(*, out: Path = Path("mixtura-demo"), seed: NonNegativeInt = 0, epochs: PositiveInt = 200) -> None:
    """Reproduce the lecture: two toy problems, three networks, scores beside the exact limits.

    Args:
        out: folder for the figures and `report.json`; only the demo's own files in it are replaced.
        seed: seed of the data, the networks and the samples.
        epochs: epochs of training; the lecture's is 200.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out takes a folder.")
    _cache_compiled_programs()
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


@app.command
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
    _cache_compiled_programs()
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


@app.command
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
    _cache_compiled_programs()
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


@app.command
def train(
    system: str,
    /,
    *,
    data: Path | None = None,
    out: Path | None = None,
    preset: str = "small",
    epochs: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
    overwrite: bool = False,
    resume: bool = False,
) -> None:
    """Train a system on sequences, score it on held-out ones, and leave a run folder.

    Ctrl-C stops after the current epoch; the run can then be used, and continued with --resume, as it can
    after a crash.

    Args:
        system: its name, as `mixtura systems` lists them, or a Python file with a system of your own.
        data: a file of what it learns from; by default the system's own below the folder MIXTURA_DATA, or
            what it generates.
        out: the run folder to make; by default named after the system and the preset.
        preset: paper (the published sizes), small (good within minutes) or tiny (seconds).
        epochs: in place of the preset's.
        seed: of the split, the weights, the batches and the samples.
        overwrite: replace the run in the folder.
        resume: go on with the run in the folder, if there is one.
    """
    _cache_compiled_programs()
    from mixtura.evaluation import words
    from mixtura.systems import runs
    from mixtura.systems.registry import find

    found = find(system)
    out = out or Path(f"{found.name}-{preset}")
    result = runs.train(
        found, data, out, preset=preset, epochs=epochs, seed=seed, overwrite=overwrite, resume=resume
    )
    print(f"{words.count(result.params, 'parameter')}, {words.count(result.epochs, 'epoch')}.")
    Console().print(_sequence_table(result.scores, f"{found.name}, {result.held_out} part"))
    for name, value in result.numbers.items():
        if isinstance(value, int | float | str):
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"{name.replace('_', ' ')}: {shown}")
    own = f" --system {system}" if system.endswith(".py") else ""
    print(f"All numbers are in {out}/report.json, figures in {out}/figures.")
    print(f"Next: mixtura generate {out}{own} --out FILE")


@app.command
def systems() -> None:
    """List the systems that `mixtura train` trains."""
    from mixtura.systems.registry import find, names

    table = Table(show_header=False, box=None)
    for system in map(find, names()):
        table.add_row(system.name, system.about, f"presets: {', '.join(system.presets)}")
    Console().print(table)


@app.command
def generate(
    run: Path,
    /,
    *,
    out: Path,
    count: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=100_000))] = 1,
    steps: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=10_000_000))] = None,
    seed: NonNegativeInt | None = None,
    temperature: float | None = None,
    prompt: Path | None = None,
    overwrite: bool = False,
    system: str | None = None,
) -> None:
    """Draw sequences from a run and write them to a file, whose ending picks the format.

    Args:
        run: the folder that `mixtura train` left, or a system's name: the model that it ships.
        out: the file to write.
        count: how many sequences.
        steps: of each; by default the system's own number.
        seed: of the draws; by default fresh ones each time.
        temperature: 1 draws from the model itself; lower is neater, higher is wilder.
        prompt: a file of what the sequences begin with: one sequence for all, or one for each.
        overwrite: replace the output if it exists.
        system: the Python file of the run's system, if it is your own.
    """
    _check_temperature(temperature)
    _cache_compiled_programs()
    from mixtura.evaluation import words
    from mixtura.systems import runs
    from mixtura.systems.registry import find

    sequences = runs.generate(
        run,
        out,
        count=count,
        steps=steps,
        seed=seed,
        temperature=temperature,
        prompt=prompt,
        overwrite=overwrite,
        system=find(system) if system else None,
    )
    amount = f"{words.count(len(sequences), 'sequence')}, {words.count(len(sequences.data), 'step')}"
    print(f"Wrote {amount}, to {out}.")


@app.command(name="import")
def import_(
    file: Path,
    /,
    *,
    out: Path | None = None,
    system: str | None = None,
    scale: float | None = None,
    overwrite: bool = False,
) -> None:
    """Make a run of a model that keras-mdn-layer, IMPSY or RoboJam wrote, for `generate` and the others.

    Nothing that the file names is run. Models are of one chain of LSTM layers and an MDN layer.

    Args:
        file: a .keras file.
        out: the run folder to make; by default named after the file.
        system: impsy for controls, robojam for touches; by default impsy where the
            name of the model or the file begins with musicMDRNN, else robojam.
        scale: by what the model's events are multiplied; by default as its name says (scale10), or 1.
        overwrite: replace the run in the folder.
    """
    if scale is not None and not 1e-6 <= scale <= 1e6:
        raise InputError(f"The scale must be between 1e-6 and 1e6; received {scale}.")
    out = out or Path(file.stem)
    check_output(out, overwrite)
    _cache_compiled_programs()
    from mixtura.evaluation import words
    from mixtura.models.imports import columns_of
    from mixtura.systems import runs
    from mixtura.systems.registry import find

    found = find(system or columns_of(file))
    model = runs.adopt(file, out, found, scale=scale, overwrite=overwrite)
    print(f"{words.count(model.count_params(), 'parameter')}; events of {found.name}: {model.family!r}.")
    print(f"Next: mixtura generate {out} --out FILE")


@app.command
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
    _check_temperature(temperature)
    _cache_compiled_programs()
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


@app.command
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
    _cache_compiled_programs()
    try:
        from mixtura import studio
    except ImportError as error:
        raise InputError(
            f"{error.name} is missing; install the extra: pip install 'mixtura[studio]'"
        ) from None
    from mixtura.systems.robojam.commands import responder

    studio.serve(responder(run), host, port, certificate, key)


@app.command
def evaluate(run: Path, /, *, data: Path, json: bool = False, system: str | None = None) -> None:
    """Score a run on the sequences of a file: negative log-likelihoods in the data's units.

    Every step is predicted from all before it. Values recorded in steps are scored with noise of one step
    (dequantised), averaged over 8 seeded draws.

    Args:
        run: the folder that `mixtura train` left, or a system's name: the model that it ships.
        data: a file of sequences: npz, CSV, or another format of the run's system.
        json: print one JSON object instead of a table.
        system: the Python file of the run's system, if it is your own.
    """
    _cache_compiled_programs()
    from mixtura.systems import runs
    from mixtura.systems.registry import find

    scores = runs.evaluate(run, data, system=find(system) if system else None)
    if json:
        from json import dumps

        print(dumps(scores.to_dict()))
    else:
        Console().print(_sequence_table(scores, data.name))


def _check_temperature(temperature: float | None) -> None:
    if temperature is not None and not 0 <= temperature <= 100:
        raise InputError(f"The temperature must be between 0 and 100; received {temperature}.")


def _sequence_table(scores: SequenceScores, title: str) -> Table:
    from mixtura.evaluation import words

    found = scores.to_dict()
    amount = f"{words.count(found['sequences'], 'sequence')}, {words.count(found['steps'], 'step')}"
    title = f"{title}: {amount}"
    table = Table(title=escape(title), min_width=len(title))
    table.add_column("")
    table.add_column("nats", justify="right")
    table.add_row("NLL per step", f"{found['nll_per_step']:.4f}")
    if found["bits_per_step"] is not None:
        table.add_row("  in bits", f"{found['bits_per_step']:.4f}")
    if found["standard_error"] is not None:
        table.add_row("  its standard error", f"{found['standard_error']:.4f}")
    if len(found["nll_per_part"]) > 1:
        for name, value in found["nll_per_part"].items():
            table.add_row(f"  of {escape(name)}", f"{value:.4f}")
    table.add_row("NLL per sequence", f"{found['nll_per_sequence']:.2f}")
    if any(found["recording_step"]):
        table.add_row("NLL per step of the values as recorded", f"{found['raw_nll_per_step']:.4f}")
    return table


@app.command
def doctor() -> None:
    """Print the backend and why it was chosen, devices, versions and caches."""
    from mixtura.doctor import findings

    table = Table(show_header=False, box=None)
    for name, value in findings(_cache_folder()):
        table.add_row(name, value)
    Console().print(table)


def _cache_folder() -> Path:
    """Return the folder where this user's caches belong."""
    if named := os.environ.get("MIXTURA_CACHE"):
        return Path(named)
    home = Path.home()
    base = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or base) / "mixtura"


def _cache_compiled_programs() -> None:
    """Let JAX keep compiled programs between commands, unless the user chose a place for them.

    Call it before Keras is imported. A second run then starts in a quarter of the time.
    """
    folder = _cache_folder() / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


if __name__ == "__main__":
    main()
