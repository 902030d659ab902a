"""Training by compiled epochs: the loop of `keras.Model.fit` around whole epochs. JAX only."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import keras

from mixtura.training import arrays
from mixtura.training.batches import Batches
from mixtura.training.divergence import diverged
from mixtura.training.programs import groups_of, programs

# Data may take this share of the memory: beside them stand the state, its next value and the batches.
SHARE_OF_MEMORY = 0.25


def fits_on_device(data: Any) -> bool:
    """Tell whether a copy of the data on the device leaves room for everything else."""
    device = jax.local_devices()[0]
    limit = _host_memory() if device.platform == "cpu" else (device.memory_stats() or {}).get("bytes_limit")
    return limit is None or arrays.size(data) < SHARE_OF_MEMORY * limit


def _host_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # the system does not say
        return None


def fit(
    model: keras.Model,
    batches: Batches,
    *,
    epochs: int,
    initial_epoch: int,
    verbose: Any,
    callbacks: Sequence[keras.callbacks.Callback],
    validate: Callable[[keras.callbacks.CallbackList], Mapping[str, Any]] | None,
    validation_freq: Any,
) -> keras.callbacks.History:
    """Train a built model: the loop of `keras.Model.fit`, with one call of a program for each epoch.

    Args:
        model: built and compiled.
        batches: the training data.
        epochs: as in `keras.Model.fit`.
        initial_epoch: see there.
        verbose: see there.
        callbacks: see there; none acts on batches.
        validate: evaluates the model, and tells the callbacks.
        validation_freq: see there.

    Raises:
        TrainingError: if the loss or a weight is no longer finite; the model has those of the epoch's start.
    """
    train = CompiledEpoch(model, batches)
    events = keras.callbacks.CallbackList(
        list(callbacks),
        add_history=True,
        add_progbar=verbose != 0,
        verbose=verbose,
        epochs=epochs,
        steps=len(batches),
        model=model,
    )
    model.stop_training = False
    logs: dict[str, Any] = {}
    is_finished = False
    events.on_train_begin()
    try:
        for epoch in range(initial_epoch, epochs):
            events.on_epoch_begin(epoch)
            logs = train(epoch)
            if validate and model._should_eval(epoch, validation_freq):
                logs |= {f"val_{name}": value for name, value in validate(events).items()}
            events.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        is_finished = True
    finally:
        if epochs > 0:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        if is_finished:
            events.on_train_end(logs)
    return model.history


def evaluation(
    model: keras.Model, data: Any, batch_size: int | None, steps: int | None
) -> Callable[[keras.callbacks.CallbackList], Mapping[str, Any]] | None:
    """Return what evaluates a built model on validation data: compiled for arrays, else Keras."""
    if data is None:
        return None
    if isinstance(data, Batches) and fits_on_device(data):
        return CompiledEvaluation(model, data)
    parts = data if isinstance(data, tuple | list) else (data,)
    read = arrays.read(*parts) if steps is None and len(parts) > 1 else None
    if read is not None and fits_on_device(read):
        return CompiledEvaluation(model, Batches(read, batch_size or 32, shuffle=False))
    x, y, weight = (*parts, None, None)[:3]
    from keras.src.backend.jax.trainer import JAXEpochIterator

    # One iterator for all epochs: a generator goes on, as in `keras.Model.fit`.
    iterator = JAXEpochIterator(
        x,
        y,
        weight,
        batch_size=batch_size,
        steps_per_epoch=steps,
        steps_per_execution=model.steps_per_execution,
    )

    def evaluate(events: keras.callbacks.CallbackList) -> Mapping[str, Any]:
        model._eval_epoch_iterator = iterator
        try:
            return model.evaluate(callbacks=events, return_dict=True, _use_cached_eval_dataset=True)
        finally:
            del model._eval_epoch_iterator

    return evaluate


class CompiledEpoch:
    """One epoch of training on arrays: one call of a compiled program for each of `Batches.segments`."""

    def __init__(self, model: keras.Model, batches: Batches) -> None:
        self._model, self._batches = model, batches
        self._program = programs(model, batches.noise).train
        self._placed = place(batches.parts)
        self._groups = groups_of(model)
        self._no_metrics = _reset(model)
        self._has_own_step = not _is_keras(model.train_step)

    def __call__(self, epoch: int) -> dict[str, Any]:
        """Train for one epoch and return its logs."""
        self._batches.start(epoch)
        state = (*_values(self._groups[:3]), self._no_metrics)
        logs, finite = {}, []
        key = self._batches.key
        for part, first, whole, rest in self._batches.segments():
            data = self._placed[part]
            state, logs, is_finite = self._program(self._model, state, data, first, whole, rest, key)
            finite.append(is_finite)
        logs, finite = jax.device_get((logs, finite))
        if not all(finite):
            raise diverged(self._model, epoch, self._batches)
        _assign(self._groups, state)
        return dict(self._model._get_metrics_result_or_logs(logs)) if self._has_own_step else logs


class CompiledEvaluation:
    """Evaluates a built model by a call of a compiled program for each part of the data.

    The result is that of `keras.Model.evaluate`.
    """

    def __init__(self, model: keras.Model, batches: Batches) -> None:
        self._model, self._program = model, programs(model, None).test
        self._segments = [
            (part, 0, *batches.split(number)) for number, part in enumerate(place(batches.parts))
        ]
        weights, others, _, metrics = groups_of(model)
        self._groups = (weights, others, metrics)
        self._no_metrics = _reset(model)
        self._has_own_step = not _is_keras(model.test_step)

    def __call__(self, callbacks: keras.callbacks.CallbackList) -> dict[str, Any]:
        """Return the logs."""
        callbacks.on_test_begin()
        state = (*_values(self._groups[:2]), self._no_metrics)
        for segment in self._segments:
            state, logs = self._program(self._model, state, *segment, None)
        _assign(self._groups[1:], state[1:])
        logs = jax.device_get(logs)
        if self._has_own_step:
            logs = dict(self._model._get_metrics_result_or_logs(logs))
        callbacks.on_test_end(logs)
        return logs


def _reset(model: keras.Model) -> list[Any]:
    """Return the metrics' values at the start of an epoch; resetting them costs more than a small one."""
    model.reset_metrics()
    return [variable.value for variable in model.metrics_variables]


def _is_keras(step: Any) -> bool:
    """Tell whether a step is Keras' own, which returns the metrics; Keras reports them in any case."""
    return str(getattr(step, "__module__", "")).startswith("keras.")


def _values(groups: Any) -> Any:
    return tuple([variable.value for variable in group] for group in groups)


def _assign(groups: Any, values: Any) -> None:
    for group, new in zip(groups, values, strict=True):
        for variable, value in zip(group, new, strict=True):
            variable.assign(value)


def place(data: Any) -> Any:
    """Put arrays on the device; under a distribution, on every device of every process."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return jax.tree.map(jax.device_put, data)
    everywhere = jax.sharding.NamedSharding(
        distribution.device_mesh.backend_mesh, jax.sharding.PartitionSpec()
    )
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(leaf.shape, everywhere, lambda index: leaf[index]), data
    )
