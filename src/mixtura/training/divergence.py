"""What made a loss infinite or NaN: the step, the row and the part of the family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from mixtura.errors import TrainingError
from mixtura.families import Family, Joint, host
from mixtura.losses import NegativeLogLikelihood, event_axis
from mixtura.training import arrays, state
from mixtura.training.batches import Batches


def diverged(model: keras.Model, epoch: int, batches: Batches) -> TrainingError:
    """Repeat an epoch from its start until it fails, and return the error that says where and why.

    Args:
        model: with the weights of the epoch's start, the last good ones. It has them again afterwards.
        epoch: its number, from 0.
        batches: those of this epoch.
    """
    if keras.distribution.distribution() is not None:
        return error(epoch, None, "on several devices the row is not looked for, train on one to find it")
    good = state.snapshot(model)
    try:
        for step in range(len(batches)):
            before = state.snapshot(model)
            if not _train(model, batches[step]):
                return error(epoch, step, _cause(model, before, batches, step))
    finally:
        state.restore(model, good)
    return error(epoch, None, "it did not happen again when the epoch was repeated")


def error(epoch: int, step: int | None, cause: str) -> TrainingError:
    """Return the error; epoch and step count from 0 here and from 1 in its text."""
    where = f"epoch {epoch + 1}" + ("" if step is None else f", step {step + 1}")
    return TrainingError(f"The loss or a weight became infinite or NaN in {where}: {cause}.")


def _train(model: keras.Model, data: tuple[Any, ...]) -> bool:
    """Train on a batch; tell whether the loss and the weights are finite."""
    x, y, weight = (*data, None, None)[:3]
    logs = model.train_on_batch(x, y, sample_weight=weight, return_dict=True)
    return bool(np.isfinite(logs["loss"])) and state.is_finite(model)


def _cause(model: keras.Model, before: list[np.ndarray], batches: Batches, step: int) -> str:
    data, rows = batches[step], batches.where(step)
    for name, part in zip(("x", "y", "sample_weight"), data, strict=False):
        for leaf in keras.tree.flatten(part):
            if leaf is not None and not np.isfinite(leaf).all():
                row, *place = np.argwhere(~np.isfinite(leaf))[0].tolist()
                index = f"[{', '.join(map(str, [rows[row], *place]))}]"
                return f"{name}{index} is {leaf[(row, *place)]}" + _part_at(model, name, place)
    for number, row in enumerate(rows):
        state.restore(model, before)
        single = arrays.take(data, slice(number, number + 1))
        if not _train(model, single):
            state.restore(model, before)
            return f"{batches.name(row)} alone causes it" + _part(model, single)
    return "no row alone causes it, its whole batch does; a lower learning rate or clipnorm may help"


def _part_at(model: keras.Model, name: str, place: list[int]) -> str:
    """Say to which part of the loss's family a column of the targets belongs."""
    family = getattr(model.loss, "family", None)
    if name != "y" or not isinstance(family, Joint) or not place:
        return ""
    columns = family.split(np.arange(family.event_size))
    return next(f", in part {part!r}" for part, own in columns.items() if place[-1] in own)


def _part(model: keras.Model, data: tuple[Any, ...]) -> str:
    """Say which part of the loss's family has no finite log density for a row."""
    loss = model.loss
    if not isinstance(loss, NegativeLogLikelihood):
        return ""
    params = keras.ops.convert_to_numpy(model(data[0], training=False))
    if not np.isfinite(params).all():
        return ": the network's output for it is not finite"
    y = event_axis(loss.family, np.asarray(data[1]), params)
    for name, family, own, event in _parts(loss.family, params, y):
        value = host.as_array(family.log_prob(own, event))
        if not np.isfinite(value).all():
            at = np.argwhere(~np.isfinite(value))[0]
            when = f" at time step {at[1]}" if len(at) > 1 else ""
            return f": the log density of {name} is {value[tuple(at)]}{when}"
    return ": its log density is finite, the gradient is not"


def _parts(family: Family, params: Any, y: Any, name: str = "") -> Iterator[tuple[str, Family, Any, Any]]:
    if isinstance(family, Joint):
        for part, event in family.split(y).items():
            yield from _parts(*family._part(part, params), event, f"{name}.{part}" if name else part)
    else:
        yield (f"part {name!r}" if name else repr(family)), family, params, y
