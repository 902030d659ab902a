"""Training a system, and using what training left: the commands `train`, `generate` and `evaluate`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import keras

from mixtura.data.sequences import Sequences, require
from mixtura.data.strokes import categories_of
from mixtura.data.tables import counted
from mixtura.drawing import COLOURS, loss_curves, new_figure, save_figure
from mixtura.errors import InputError
from mixtura.evaluation.sequences import SequenceScores
from mixtura.files import check_output
from mixtura.models import SequenceModel
from mixtura.systems.registry import find, shipped
from mixtura.systems.system import Outcome, Preset, System
from mixtura.training import Run, load


class Trained(NamedTuple):
    """What training found.

    Attributes:
        scores: on held-out sequences.
        held_out: which these were: "test" or "validation".
        numbers: the system's own.
        params: how many weights the network has.
        epochs: of training, the ones before a resumption included.
        usage: the command that uses the model, with RUN for the folder.
    """

    scores: SequenceScores
    held_out: str
    numbers: Mapping[str, Any]
    params: int
    epochs: int
    usage: str


def train(
    system: System,
    data: Path | None,
    out: Path,
    *,
    preset: str = "small",
    start: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
) -> Trained:
    """Train a system and leave a run folder: the model, its history, figures and `report.json`.

    Args:
        system: which.
        data: a file of what it learns from; by default `MIXTURA_DATA` is searched for the system's own.
        out: the run folder to make.
        preset: the name of one of the system's presets.
        start: a run of the system, or its name for the model that it ships, to go on from with these data in
            place of a new network.
        epochs: in place of the preset's.
        seed: of the split, the weights, the batches and the samples.
        overwrite: replace the run in `out` if there is one.
        resume: go on with the run in `out`; its settings must be these.

    Raises:
        InputError: for a mistake in the input, before training and with nothing written.
        TrainingError: if the loss becomes infinite or NaN, or the folder can no longer be written.
    """
    settings = _preset(system, preset)
    settings = settings if epochs is None else replace(settings, epochs=epochs)
    data = _located(system, data)
    if not resume:
        check_output(out, overwrite)
    if start is None:
        model, corpus = None, system.corpus(data, settings, seed)
    else:
        _, base, about = opened(start, system)
        model, corpus = system.start_from(base, about["facts"], data, settings, seed)
    for name in ("training", "validation", "test"):
        if (part := getattr(corpus, name)) is not None:
            require(part, steps=2, what=f"{data or system.name}, the {name} part")
    keras.utils.set_random_seed(seed)
    model = model or system.build(settings, corpus, seed)
    step = [float(one) for one in (corpus.step or corpus.training.recording_step())]
    config = {
        "system": system.name,
        "mixtura": version("mixtura"),
        "preset": preset,
        "start": start.name if start else None,
        "settings": asdict(settings),
        "data": data.name if data else None,
        "data_sha256": _digest(data) if data else None,
        "seed": seed,
        "recording_step": step,
        "facts": dict(corpus.facts),
    }
    run = Run.begin(out, config, overwrite=overwrite, resume=resume)
    history = system.fit(model, settings, corpus, seed, run)
    held_out = "validation" if corpus.test is None else "test"
    scores = system.score(model, corpus.test or corpus.validation, step)
    numbers = system.report(Outcome(model, settings, corpus, history, scores, run.path / "figures", seed))
    _draw_losses(history, scores, held_out, run.figure("loss"))
    usage = system.usage(model)
    result = Trained(scores, held_out, numbers, model.count_params(), len(history["loss"]), usage)
    about = {"params": result.params, "epochs": result.epochs, "held_out": held_out}
    run.write("report.json", {"scores": scores.to_dict(), **about, system.name: dict(numbers)})
    return result


def generate(
    run: Path,
    out: Path,
    *,
    count: int = 1,
    steps: int | None = None,
    seed: int | None = None,
    temperature: float | None = None,
    prompt: Path | None = None,
    category: str | None = None,
    overwrite: bool = False,
    system: System | None = None,
) -> Sequences:
    """Draw sequences from a run and write them; the output's ending picks the format.

    Args:
        run: the folder that training left, or the name of a system that ships a model.
        out: the file to write.
        count: how many sequences.
        steps: of each; by default the system's own number.
        seed: of the draws; None for fresh ones.
        temperature: as in `mixtura.generation.generate`.
        prompt: a file of what the sequences begin with: one sequence for all, or one for each.
        category: what to draw, for a system with categories.
        overwrite: replace the output if it exists.
        system: of the run, where it is not one of Mixtura's.

    Raises:
        InputError: if the folder is no run of a system, the ending or the category is unknown, or the output
            exists.
    """
    check_output(out, overwrite)
    system, model, config = opened(run, system)
    system.check_ending(out, config["facts"])
    settings: dict[str, Any] = {"seed": seed, "temperature": temperature}
    if category is not None:
        if "categories" not in config["facts"]:
            raise InputError(f"{run} knows no categories; received {category!r}.")
        settings["category"] = category
    if prompt is not None:
        begun = system.read(prompt, config["facts"])
        require(begun, model.family.event_size, what=str(prompt))
        if len(begun) not in (1, count):
            amount = counted(len(begun), "sequence")
            raise InputError(f"{prompt} has {amount}; expected 1 or, one for each, {count}.")
        settings["prompt"] = begun[0] if len(begun) == 1 else list(begun)
        if category is None and "categories" in config["facts"] and (names := categories_of(begun)):
            settings["category"] = names * (count // len(names))
    drawn = system.generate(model, config["facts"], count, steps, **settings)
    sequences = drawn if isinstance(drawn, Sequences) else Sequences.of(drawn[n] for n in range(len(drawn)))
    system.write(out, sequences, config["facts"])
    return sequences


def evaluate(run: Path, data: Path, *, system: System | None = None) -> SequenceScores:
    """Score a run on the sequences of a file, in the data's units.

    Args:
        run: as for `generate`.
        data: the file.
        system: of the run, where it is not one of Mixtura's.

    Raises:
        InputError: if the folder is no run of a system, or the file does not hold its kind of sequences.
    """
    system, model, config = opened(run, system)
    sequences = system.read(data, config["facts"])
    require(sequences, model.family.event_size, what=str(data))
    return system.score(model, sequences, config["recording_step"])


def opened(run: Path, system: System | None = None) -> tuple[System, SequenceModel, dict[str, Any]]:
    """Return the system, the model and the configuration of a run folder.

    Args:
        run: the folder; or, where there is none of that name, a system's name: the model that it ships.
        system: of the run, where it is not one of Mixtura's.

    Raises:
        InputError: if the folder is no run, or one of another system or of none.
    """
    if not run.is_dir():
        run = shipped(run)
    config = Run(run).config
    name = config.get("system")
    if name in (None, "tables"):
        whose = "`mixtura fit`" if name else "no system"
        raise InputError(f"{run} is a run of {whose}; expected one that `mixtura train` left.")
    if system is None:
        system = find(name, run)
    elif system.name != name:
        raise InputError(f"{run} is a run of the system {name!r}; received the system {system.name!r}.")
    model = load(run)
    if not isinstance(model, SequenceModel):
        raise InputError(f"{run} holds a {type(model).__name__}; expected a sequence model.")
    return system, model, config


def adopt(
    file: Path, out: Path, system: System, *, scale: float | None = None, overwrite: bool = False
) -> SequenceModel:
    """Make a run folder of another package's model; see `System.take`.

    Args:
        file: the model.
        out: the run folder to make.
        system: whose events the model predicts.
        scale: by what its events are multiplied.
        overwrite: replace the run in `out` if there is one.

    Raises:
        InputError: for a mistake in the input, with nothing written.
    """
    check_output(out, overwrite)
    model, facts, step = system.take(file, scale)
    config = {
        "system": system.name,
        "mixtura": version("mixtura"),
        "imported": file.name,
        "imported_sha256": _digest(file),
        "scale": 1 / model.family.units[1][0],
        "recording_step": list(step),
        "facts": dict(facts),
    }
    Run.begin(out, config, overwrite=overwrite).save(model)
    return model


def ship(run: Path, folder: Path, system: System | None = None) -> None:
    """Copy of a run what using it takes: the configuration, and the model without its optimiser.

    Args:
        run: the folder that training left.
        folder: a system's `shipped`; a `NOTICE` on the licence of the training data belongs into it.
        system: of the run, where it is not one of Mixtura's.
    """
    _, model, config = opened(run, system)
    Run.begin(folder, config, overwrite=True)
    plain = type(model).from_config(model.get_config())
    plain.set_weights(model.get_weights())
    plain.save(folder / "model.keras")


def _preset(system: System, name: str) -> Preset:
    if name not in system.presets:
        known = ", ".join(system.presets)
        raise InputError(f"{system.name} has no preset {name!r}; expected one of {known}.")
    return system.presets[name]


def _located(system: System, data: Path | None) -> Path | None:
    """Return the data's file: the one given, or the system's own below `MIXTURA_DATA`."""
    if data is None and system.data_name and (folder := os.environ.get("MIXTURA_DATA")):
        data = Path(folder) / system.data_name
    if data is not None and not data.exists():
        raise InputError(f"{data} does not exist.")
    return data


def _digest(data: Path) -> str:
    """Return a text that other data do not have."""
    digest = hashlib.sha256()
    for file in [data] if data.is_file() else sorted(data.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(data)}".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _draw_losses(history: Mapping[str, Any], scores: SequenceScores, held_out: str, path: Path) -> None:
    figure, (axes,) = new_figure(width=5.5)
    loss_curves(axes, history, "blue")
    label = f"{held_out}, dequantised"
    axes.axhline(scores.nll_per_step, color=COLOURS["ink"], linewidth=0.8, linestyle="--", label=label)
    axes.set_ylabel("nats per step")
    axes.legend()
    save_figure(figure, path)
