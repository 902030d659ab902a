"""From a CSV file to a run folder: read, split, train, score on held-out rows, draw, store."""

from __future__ import annotations

import csv
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from mixtura import scores
from mixtura.data.tables import Encoder, read_table, read_target, recording_step
from mixtura.errors import InputError, TrainingError
from mixtura.families import Distribution
from mixtura.files import new_folder
from mixtura.systems.tables import network, pictures
from mixtura.training import EpochProgress, progress_bar

LEVEL = 0.9
FEWEST_ROWS = 10


class Fit(NamedTuple):
    """What `fit` found."""

    scores: dict[str, float]
    baseline: dict[str, float]
    min_scale: float
    recording_step: float
    rows: dict[str, int]
    left_out: dict[str, str]
    epochs: int
    target: str


def fit(
    data: Path,
    target: str,
    out: Path,
    *,
    components: int = 5,
    epochs: int = 1000,
    held_out: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
) -> Fit:
    """Train a mixture density network on a table and leave a run folder.

    The rows are split at random: a held-out part for the scores, of the rest 15 % to stop training by.
    Inputs and target are standardised by the training rows; everything reported is in the target's units.

    Args:
        data: a CSV file with a header line.
        target: the column to predict.
        out: the run folder to make.
        components: normals in the mixture.
        epochs: at most so many.
        held_out: the share of rows to score on.
        seed: of the split, the weights and the batches.
        overwrite: replace `out` if it exists.

    Raises:
        InputError: for a mistake in the input, before training and with nothing written.
        TrainingError: if the loss becomes infinite or NaN; nothing is written.
    """
    if not 0 < held_out < 0.9:
        raise InputError(f"The held-out share must lie between 0 and 0.9; received {held_out}.")
    table = read_table(data)
    y = read_target(table, target)
    if len(y) < FEWEST_ROWS:
        raise InputError(f"{data} has {len(y)} rows; expected at least {FEWEST_ROWS}.")
    test, validation, training = _split(len(y), held_out, np.random.default_rng(seed))
    if np.ptp(y[training]) == 0:
        raise InputError(
            f"{data}: column {target!r} is {y[training][0]:g} in every training row; a target must vary."
        )
    encoder = Encoder.fit(table, target, training)
    x, _ = encoder.encode(table)

    step = recording_step(y)
    min_scale = max(step / 2, 1e-3 * float(y[training].std()))
    family = network.head(components, y[training], min_scale)
    standardised = ((y - family.shift[0]) / family.scale[0])[:, None]

    with new_folder(out, overwrite) as folder:
        keras.utils.set_random_seed(seed)
        model = network.build(encoder.width, family)
        with progress_bar() as progress:
            history = network.train(
                model,
                (x[training], standardised[training]),
                (x[validation], standardised[validation]),
                epochs,
                EpochProgress(progress, f"{data.stem}: {target}", family.log_volume),
            )
        if not np.isfinite(history["loss"]).all():
            raise TrainingError("The loss became infinite or NaN; nothing was kept. Try another seed.")
        p = predicted(model, x[test])
        result = Fit(
            scores=_scores(p, y[test]),
            baseline=_scores(_baseline(y[training], len(test)), y[test]),
            min_scale=min_scale,
            recording_step=step,
            rows={"training": len(training), "validation": len(validation), "held_out": len(test)},
            left_out=encoder.left_out,
            epochs=len(history["loss"]),
            target=target,
        )
        _store(folder, model, encoder, history, result, {"data": data.name, "seed": seed})
        pictures.losses(
            history, family.log_volume, result.scores["nll"], target, folder / "figures" / "loss.png"
        )
        pictures.densities(p, y[test], target, folder / "figures" / "densities.png")
    return result


def predicted(model: keras.Model, x: np.ndarray) -> Distribution:
    """Return the predicted distributions, in the target's units."""
    return model.layers[-1].family(model.predict(x, batch_size=4096, verbose=0))


def _split(rows: int, held_out: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    order = rng.permutation(rows)
    first = max(1, round(held_out * rows))
    second = first + max(1, round(0.15 * (rows - first)))
    return order[:first], order[first:second], order[second:]


def _baseline(y: np.ndarray, rows: int) -> Distribution:
    """Return what can be said without inputs: for every row, one normal with the training moments."""
    return network.head(1, y, min_scale=0.0)(np.zeros((rows, 3)))


def _scores(p: Distribution, y: np.ndarray) -> dict[str, float]:
    events = y[:, None]
    return {
        "nll": scores.negative_log_likelihood(p, events),
        "crps": scores.crps(p, events),
        "rmse": scores.root_mean_squared_error(p, events),
        "coverage_90": scores.interval_coverage(p, events, LEVEL),
    }


def _store(
    folder: Path,
    model: keras.Model,
    encoder: Encoder,
    history: dict[str, list[float]],
    result: Fit,
    origin: dict[str, Any],
) -> None:
    model.save(folder / "model.keras")
    config = {
        "system": "tables",
        "mixtura": version("mixtura"),
        **origin,
        "target": result.target,
        "encoder": encoder.to_dict(),
        "min_scale": result.min_scale,
        "recording_step": result.recording_step,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "report.json").write_text(json.dumps(result._asdict(), indent=2) + "\n")
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows(
            [epoch, *row] for epoch, row in enumerate(zip(*history.values(), strict=True), start=1)
        )
