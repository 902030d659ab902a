"""From a CSV file to a run folder: read, split, train, report on held-out rows, store."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixtura.data.tables import Inputs, read_table, read_target, recording_step
from mixtura.drawing import save_figure
from mixtura.errors import InputError
from mixtura.estimators import MDNRegressor
from mixtura.estimators.storage import described
from mixtura.evaluation import Baselines, Report, figures, report
from mixtura.systems.tables import pictures
from mixtura.systems.tables.runs import configuration
from mixtura.training import EpochProgress, Run, TensorBoard, progress_bar

FEWEST_ROWS = 10


class Fit(NamedTuple):
    """What `fit` found.

    Attributes:
        report: on the held-out rows.
        rows: how many there were for training and for the report.
        members: networks in the ensemble.
        epochs: of training.
        decisions: what was decided about the target, in sentences.
        left_out: from the name of each column that is not used to the reason.
        seconds_to_first_epoch: from the start of the program.
    """

    report: Report
    rows: dict[str, int]
    members: int
    epochs: int
    decisions: list[str]
    left_out: dict[str, str]
    seconds_to_first_epoch: float


def fit(
    data: Path,
    target: str,
    out: Path,
    *,
    held_out: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    **settings: Any,
) -> Fit:
    """Train an `MDNRegressor` on a table and leave a run folder.

    The rows are split at random: a held-out part for the report, the rest for the regressor. Everything
    reported is in the target's units.

    Args:
        data: a CSV file with a header line.
        target: the column to predict.
        out: the run folder to make.
        held_out: the share of rows to report on.
        seed: of the split and of the regressor.
        overwrite: replace the run in `out` if there is one.
        resume: go on with the run in `out`; its settings, but for `max_iter`, must be these.
        tensorboard: also write the losses for TensorBoard, into `out/tensorboard`.
        **settings: other parameters of the regressor.

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
    test, training = _split(len(y), held_out, seed)
    if np.ptp(y[training]) == 0:
        raise InputError(
            f"{data}: column {target!r} is {y[training][0]:g} in every training row; a target must vary."
        )
    inputs = Inputs.find(table, target, training)
    x = inputs.read(table)

    regressor = MDNRegressor(random_state=seed, **settings)
    plan = regressor._plan(x.rows(training), y[training])
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    if resume and (out / "config.json").is_file():
        begun = configuration(out)
        if begun["data_sha256"] != digest:
            raise InputError(f"{out} was begun with another table than {data}.")
        # What threads add up may differ in its last digits from one time to the next.
        regressor._baselines = Baselines.from_dict(begun["regressor"]["baselines"])
    description = described(regressor)
    del description["params"]["max_iter"]  # a run may go on for more epochs
    config = {
        "system": "tables",
        "mixtura": version("mixtura"),
        "data": data.name,
        "data_sha256": digest,
        "target": target,
        "rows": len(y),
        "held_out": held_out,
        "seed": seed,
        "inputs": asdict(inputs),
        "regressor": description,
    }
    run = Run.begin(out, config, overwrite=overwrite, resume=resume)
    nats = float(np.log(regressor._targets.std).sum())  # from standardised targets to the target's units
    with progress_bar() as progress:
        shown = EpochProgress(progress, f"{data.stem}: {target}", nats, metric="member_likelihoods")
        regressor._train(plan, run, [shown, *([TensorBoard(out / "tensorboard")] if tensorboard else [])])

    found = report(regressor, x.rows(test), y[test], step=recording_step(y), names=target, title=target)
    result = Fit(
        report=found,
        rows={"training": len(training), "held_out": len(test)},
        members=regressor.ensemble,
        epochs=regressor.n_iter_,
        decisions=regressor.decisions(),
        left_out=inputs.left_out,
        seconds_to_first_epoch=round(shown.seconds_to_first_epoch, 2),
    )
    about = {name: value for name, value in result._asdict().items() if name != "report"}
    run.write("report.json", {**found.to_dict(), "fit": about})
    found.save(out / "report.html")
    save_figure(figures.predictions(found.outputs[0]), run.figure("densities"))
    pictures.losses(regressor, nats, found.scores["nll"], target, run.figure("loss"))
    return result


def _split(rows: int, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of held-out and of training rows, in their order."""
    order = np.random.default_rng(seed).permutation(rows)
    first = max(1, round(held_out * rows))
    return np.sort(order[:first]), np.sort(order[first:])
