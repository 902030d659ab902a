"""Training on data that are made anew for every epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from mixtura.errors import InputError
from mixtura.training import state
from mixtura.training.checkpoint import Checkpoint
from mixtura.training.fitting import fit
from mixtura.training.run import Run


def fit_renewed(
    model: keras.Model,
    make: Callable[[int], Any],
    *,
    epochs: int,
    seed: int,
    run: Run,
    batch_size: int | None = None,
    validation_data: Any = None,
    progress: Callable[[int, dict[str, float]], Any] | None = None,
) -> dict[str, list[float]]:
    """Train a compiled model, each epoch on data of its own: a sample of what memory cannot hold, say.

    A run that was interrupted goes on after the last epoch that it kept, with the result that it would have
    had, if `make` depends on its argument alone.

    Args:
        model: compiled and built.
        make: returns the data of epoch 0, 1, ...: a `Ragged`, or inputs whose loss needs no targets.
        epochs: how many.
        seed: of the order of the rows.
        run: where the state is kept after every epoch.
        batch_size: as in `fit`.
        validation_data: as in `fit`.
        progress: called after every epoch, also with those kept earlier, with its number from 1 and losses.

    Returns:
        The losses of every epoch, by name.

    Raises:
        InputError: if the run's checkpoint does not belong to this model, seed or number of epochs.
        TrainingError: as `fit`.
    """
    model.optimizer.build(model.trainable_variables)
    kept = run.checkpoint()
    settings = {"epochs": epochs, "batch_size": batch_size}
    if kept is None:
        run.save(model)  # what its checkpoints belong to
    else:
        if (kept.seed, kept.settings) != (seed, settings):
            raise InputError(
                f"{run.path} was begun with seed {kept.seed} and {kept.settings}; "
                f"received seed {seed} and {settings}."
            )
        run.restore(model, kept)
        state.set_generator(kept.generator)
    rows = list(kept.history) if kept else []
    for number, row in enumerate(rows, start=1):
        _tell(progress, number, row)
    for epoch in range(len(rows), epochs):
        history = keras.callbacks.History()
        try:
            fit(
                model,
                make(epoch),
                batch_size=batch_size,
                validation_data=validation_data,
                seed=seed + epoch,
                verbose=0,
                callbacks=[history],
            )
        finally:  # Ctrl-C lets an epoch finish, and it is kept
            if history.history:
                rows.append({name: values[-1] for name, values in history.history.items()})
                _keep(run, model, seed, settings, rows, is_final=False)
        _tell(progress, epoch + 1, rows[-1])
    if kept is None or not kept.is_final:
        run.save(model)
        _keep(run, model, seed, settings, rows, is_final=True)
    return {
        name: [row[name] for row in rows if name in row] for name in dict.fromkeys(n for r in rows for n in r)
    }


def _keep(
    run: Run,
    model: keras.Model,
    seed: int,
    settings: dict[str, Any],
    rows: list[dict[str, Any]],
    is_final: bool,
) -> None:
    checkpoint = Checkpoint(
        epochs=len(rows),
        seed=seed,
        settings=settings,
        is_over=False,
        is_final=is_final,
        history=rows,
        optimizer=type(model.optimizer).__name__,
        callbacks=[],
        generator=state.generator(),
        variables=state.snapshot(model),
    )
    run.keep(checkpoint)


def _tell(progress: Callable[[int, dict[str, float]], Any] | None, number: int, row: dict[str, Any]) -> None:
    if progress is not None:
        progress(number, row)
