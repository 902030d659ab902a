"""From a CSV file to a run folder: read, split, train, score on held-out rows, draw, store."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from mixtura import scores
from mixtura.data.tables import Encoder, read_table, read_target, recording_step
from mixtura.errors import InputError
from mixtura.families import Distribution
from mixtura.systems.tables import network, pictures
from mixtura.training import EpochProgress, Run, TensorBoard, progress_bar

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
    seconds_to_first_epoch: float


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
    resume: bool = False,
    tensorboard: bool = False,
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
        overwrite: replace the run in `out` if there is one.
        resume: go on with the run in `out`; its settings, but for `epochs`, must be these.
        tensorboard: also write the losses for TensorBoard, into `out/tensorboard`.

    Raises:
        InputError: for a mistake in the input, before training and with nothing written.
        TrainingError: if the loss becomes infinite or NaN, or the folder can no longer be written. The run
            keeps what was learnt before.
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

    config = {
        "system": "tables",
        "mixtura": version("mixtura"),
        "data": data.name,
        "target": target,
        "rows": len(y),
        "components": components,
        "held_out": held_out,
        "seed": seed,
        "encoder": encoder.to_dict(),
        "min_scale": min_scale,
        "recording_step": step,
    }
    run = Run.begin(out, config, overwrite=overwrite, resume=resume)
    keras.utils.set_random_seed(seed)
    model = network.build(encoder.width, family)
    with progress_bar() as progress:
        shown = EpochProgress(progress, f"{data.stem}: {target}", family.log_volume)
        history = network.train(
            model,
            (x[training], standardised[training]),
            (x[validation], standardised[validation]),
            epochs,
            [shown, *([TensorBoard(out / "tensorboard")] if tensorboard else [])],
            run,
            seed,
        )
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
        seconds_to_first_epoch=round(shown.seconds_to_first_epoch, 2),
    )
    run.write("report.json", result._asdict())
    pictures.losses(history, family.log_volume, result.scores["nll"], target, run.figure("loss"))
    pictures.densities(p, y[test], target, run.figure("densities"))
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
