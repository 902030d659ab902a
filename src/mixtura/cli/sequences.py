"""The commands on systems of sequences: train, systems, generate, import and evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators
from cyclopts.types import NonNegativeInt, PositiveInt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mixtura.cli.shared import cache_compiled_programs, check_temperature
from mixtura.errors import InputError
from mixtura.files import check_output

if TYPE_CHECKING:
    from mixtura.evaluation.sequences import SequenceScores


def train(
    system: str,
    /,
    *,
    data: Path | None = None,
    out: Path | None = None,
    preset: str = "small",
    start: Annotated[Path | None, Parameter(name="--from")] = None,
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
        preset: paper (the published sizes), small (good within minutes) or tiny (seconds); a system may have
            others, see `mixtura systems`.
        start: a run of the system, or its name for the model that it ships, to train on from with these data.
        epochs: in place of the preset's.
        seed: of the split, the weights, the batches and the samples.
        overwrite: replace the run in the folder.
        resume: go on with the run in the folder, if there is one.
    """
    cache_compiled_programs()
    from mixtura.evaluation import words
    from mixtura.systems import runs
    from mixtura.systems.registry import find

    found = find(system)
    out = out or Path(f"{found.name}-{preset}")
    result = runs.train(
        found,
        data,
        out,
        preset=preset,
        start=start,
        epochs=epochs,
        seed=seed,
        overwrite=overwrite,
        resume=resume,
    )
    print(f"{words.count(result.params, 'parameter')}, {words.count(result.epochs, 'epoch')}.")
    Console().print(_sequence_table(result.scores, f"{found.name}, {result.held_out} part"))
    for name, value in result.numbers.items():
        if isinstance(value, int | float | str):
            shown = f"{value:.4g}" if isinstance(value, float) else value
            label = name if name[0].isupper() else name.replace("_", " ")  # L_R is a symbol
            print(f"{label}: {shown}")
    own = f" --system {system}" if system.endswith(".py") else ""
    print(f"All numbers are in {out}/report.json, figures in {out}/figures.")
    print(f"Next: {result.usage.replace('RUN', f'{out}{own}')}")


def systems() -> None:
    """List the systems that `mixtura train` trains."""
    from mixtura.systems.registry import find, names

    table = Table(show_header=False, box=None)
    for system in map(find, names()):
        table.add_row(system.name, system.about, f"presets: {', '.join(system.presets)}")
    Console().print(table)
    print("Agents that learn games are trained by `mixtura world`.")


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
    category: str | None = None,
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
        temperature: 1 draws from the model itself; lower is neater, higher is wilder; by default the run's
            own, or 1.
        prompt: a file of what the sequences begin with: one sequence for all, or one for each.
        category: what to draw, for a system with categories.
        overwrite: replace the output if it exists.
        system: the Python file of the run's system, if it is your own.
    """
    check_temperature(temperature)
    cache_compiled_programs()
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
        category=category,
        overwrite=overwrite,
        system=find(system) if system else None,
    )
    amount = f"{words.count(len(sequences), 'sequence')}, {words.count(len(sequences.data), 'step')}"
    print(f"Wrote {amount}, to {out}.")


def import_(
    file: Path,
    /,
    *,
    out: Path | None = None,
    system: str | None = None,
    scale: float | None = None,
    overwrite: bool = False,
) -> None:
    """Make a run of another package's model, for `generate` and the others.

    These are .keras files of keras-mdn-layer, IMPSY and RoboJam: one chain of LSTM layers and an MDN layer;
    and .json files of sketch-rnn-js and @magenta/sketch. Nothing that a file names is run.

    Args:
        file: the model.
        out: the run folder to make; by default named after the file.
        system: impsy for controls, robojam for touches, sketch for drawings; by default sketch for .json,
            impsy where the name of the model or the file begins with musicMDRNN, else robojam.
        scale: by what the model's events are multiplied; by default as its name says (scale10), or 1.
        overwrite: replace the run in the folder.
    """
    if scale is not None and not 1e-6 <= scale <= 1e6:
        raise InputError(f"The scale must be between 1e-6 and 1e6; received {scale}.")
    out = out or Path(file.stem)
    check_output(out, overwrite)
    cache_compiled_programs()
    from mixtura.evaluation import words
    from mixtura.models.imports import columns_of
    from mixtura.systems import runs
    from mixtura.systems.registry import find

    is_sketch = file.suffix.lower() in (".json", ".js")
    found = find(system or ("sketch" if is_sketch else columns_of(file)))
    model = runs.adopt(file, out, found, scale=scale, overwrite=overwrite)
    print(f"{words.count(model.count_params(), 'parameter')}; events of {found.name}: {model.family!r}.")
    print(f"Next: mixtura generate {out} --out FILE")


def export(run: Path, /, *, out: Path, overwrite: bool = False) -> None:
    """Write a run's model for another program: one of drawings, for sketch-rnn-js and @magenta/sketch.

    Args:
        run: the folder that `mixtura train` left, or a system's name: the model that it ships.
        out: the .json file to write.
        overwrite: replace the file if it exists.
    """
    check_output(out, overwrite)
    cache_compiled_programs()
    from mixtura.systems import runs

    system, model, config = runs.opened(run)
    said = system.give(model, config["facts"], out)
    print(f"Wrote {out}.{f' {said}' if said else ''}")


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
    cache_compiled_programs()
    from mixtura.systems import runs
    from mixtura.systems.registry import find

    scores = runs.evaluate(run, data, system=find(system) if system else None)
    if json:
        from json import dumps

        print(dumps(scores.to_dict()))
    else:
        Console().print(_sequence_table(scores, data.name))


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
