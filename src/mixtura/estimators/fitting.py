"""How an ensemble for tables is trained: which rows each member sees, for how long, in which batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from mixtura.models.tabular import start_from
from mixtura.training import DataNoise, KeepBestMembers, fit

if TYPE_CHECKING:
    from mixtura.training import Run


# Steps of training at most, unless that would be fewer or more epochs than these.
STEPS, EPOCHS = 20_000, (100, 1000)


class Plan(NamedTuple):
    """What there is to train on, in the units of the network."""

    x: np.ndarray
    """`(rows, width)`."""
    lower: np.ndarray
    """`(rows, outputs)`: y, or the lower end of where it lies."""
    upper: np.ndarray
    """The upper end."""
    start: np.ndarray
    """One value for each, NaN where nothing is known."""
    weight: np.ndarray
    """How much each row counts, `(rows,)`."""


def train(
    network: keras.Model,
    plan: Plan,
    *,
    old: Sequence[np.ndarray] | None,
    settings: Mapping[str, Any],
    seed: int,
    run: Run | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[dict[str, list[float]], np.ndarray | None]:
    """Train an ensemble; return the history of its losses, and each member's best validation loss.

    Args:
        network: what `tabular_ensemble` returned.
        plan: the data.
        old: weights to go on from; None for a start from the data.
        settings: the regressor's parameters.
        seed: of the validation rows, the batches and the noise.
        run: a run folder to train in.
        callbacks: of Keras.
    """
    if old is not None:
        network.set_weights(old)
    else:
        complete = np.isfinite(plan.start).all(axis=1)
        start = plan.start[complete] if complete.any() else np.nan_to_num(plan.start)
        start_from(network, start, seed)
        for layer in network.layers:
            if hasattr(layer, "adapt"):
                layer.adapt(plan.x)
    rows, members = len(plan.x), network.layers[-1].num_members
    held_out = np.zeros((rows, members))
    if settings["early_stopping"]:
        held_out = validation_rows(rows, members, settings["validation_fraction"], seed)
    weight = plan.weight / plan.weight.mean()
    is_known = bool((plan.lower == plan.upper).all())
    y = plan.lower if is_known else np.hstack([plan.lower, plan.upper])
    data = [plan.x, y, weight[:, None] * (1 - held_out), weight[:, None] * held_out]
    x, y, trained, validated = (filled(part, padded(rows)) for part in data)
    batch_size = settings["batch_size"]
    if isinstance(batch_size, str):
        batch_size = int(np.clip(2 ** round(np.log2(max(1.0, rows / 30))), 16, 256))
    epochs = settings["max_iter"]
    if isinstance(epochs, str):
        epochs = int(np.clip(STEPS * batch_size // len(x), *EPOCHS))
    keep = KeepBestMembers(settings["n_iter_no_change"]) if settings["early_stopping"] else None
    if keep:
        # Puts the averaged weights in place at the end of an epoch, before the next one looks at them.
        callbacks = [*callbacks, keras.callbacks.SwapEMAWeights(swap_on_epoch=True), keep]
    history = fit(
        network,
        x,
        y,
        sample_weight=trained,
        validation_data=(x, y, validated) if keep else None,
        validation_batch_size=4096,
        batch_size=batch_size,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
        seed=seed,
        noise=DataNoise(x=settings["input_noise"]) if settings["input_noise"] else None,
        run=run,
    )
    return history.history, keep.best if keep else None


def validation_rows(rows: int, members: int, share: float, seed: int) -> np.ndarray:
    """Return 1 where a row is one that a member is validated on, else 0, `(rows, members)`.

    Members take their shares one after the other from one random order, so that they differ: as in
    cross-validation, rows that one is validated on are trained on by others.
    """
    count = min(max(1, round(share * rows)), rows - 1)
    order = np.random.default_rng((seed, 1)).permutation(rows)
    held_out = np.zeros((rows, members))
    for member in range(members):
        held_out[order[np.arange(member * count, (member + 1) * count) % rows], member] = 1
    return held_out


def padded(rows: int) -> int:
    """Return a number of rows, at most an eighth or 15 more, of which there are few.

    Programs are compiled for a number of rows; those that are added have weight 0. Whole batches divide it.
    """
    step = 1 << max(4, (rows - 1).bit_length() - 4)
    return -(-rows // step) * step


def filled(values: np.ndarray, rows: int) -> np.ndarray:
    """Return an array with zeros for the missing rows, in float32."""
    out = np.zeros((rows, *values.shape[1:]), np.float32)
    out[: len(values)] = values
    return out
