"""The callback that keeps a run's state after every epoch, and puts it back when the run goes on."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mixtura.errors import InputError
from mixtura.training import state
from mixtura.training.checkpoint import Checkpoint
from mixtura.training.interrupt import StopAfterEpoch
from mixtura.training.processes import by_the_first

if TYPE_CHECKING:
    from mixtura.training.run import Run

# Where epochs are shorter, the state is kept once in so many seconds.
INTERVAL = 1.0


class Resume(keras.callbacks.Callback):
    """Keeps the state of a run. It comes after all callbacks whose state it keeps.

    Args:
        run: where.
        seed: of a new run; an old one has its own.
        settings: what must be the same when the run goes on, by name.
        callbacks: the callbacks before it.
        interrupt: what stops training on Ctrl-C, which a resumed run must not take for its end.
    """

    def __init__(
        self,
        run: Run,
        seed: int,
        settings: dict[str, Any],
        callbacks: Sequence[keras.callbacks.Callback],
        interrupt: StopAfterEpoch,
    ) -> None:
        super().__init__()
        self._run, self._settings, self._interrupt = run, settings, interrupt
        own = [callback for callback in callbacks if isinstance(callback, keras.callbacks.History)]
        self._history = own[0] if own else keras.callbacks.History()
        self._callbacks = [callback for callback in callbacks if callback is not self._history]
        # In this order: what it keeps must be up to date when its turn comes.
        self.callbacks = [self] if own else [self._history, self]
        self._old = run.checkpoint()
        for name, value in self._old.settings.items() if self._old else ():
            if value != settings[name]:
                raise InputError(f"{run.path} was begun with {name} {value}; received {settings[name]}.")
        self.seed = self._old.seed if self._old else seed
        self._last: Checkpoint | None = self._old
        self._rows = list(self._old.history) if self._old else []
        self._written = 0.0

    def initial_epoch(self, epochs: int) -> int:
        """Return where to go on: after the epochs that are done, or at the end if training was over."""
        return 0 if self._old is None else epochs if self._old.is_over else self._old.epochs

    def on_train_begin(self, logs: Any = None) -> None:
        """Put the state back, or store the untrained model: what its checkpoints belong to."""
        self._untrained = [copy.deepcopy(_plain_attributes(callback)) for callback in self._callbacks]
        if self._old is None:
            self._run.save(self.model)
            return
        kinds = [type(callback).__name__ for callback in self._callbacks]
        if kinds != [kept["class"] for kept in self._old.callbacks]:
            raise InputError(
                f"{self._run.path} was begun with the callbacks "
                f"{[kept['class'] for kept in self._old.callbacks]}; received {kinds}."
            )
        self._run.restore(self.model, self._old)
        state.set_generator(self._old.generator)
        for callback, kept in zip(self._callbacks, self._old.callbacks, strict=True):
            vars(callback).update({name: _value(entry) for name, entry in kept["attributes"].items()})
        self._history.history = {}
        for row in self._rows:
            for name, value in row.items():
                self._history.history.setdefault(name, []).append(value)
        self._history.epoch = list(range(self._old.epochs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the state, at the latest when training stops."""
        # Not every epoch has every metric: those of validation may come every other one.
        old = Counter(name for row in self._rows for name in row)
        columns = self._history.history.items()
        self._rows.append({name: values[-1] for name, values in columns if len(values) > old[name]})
        ends = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if ends or time.monotonic() - self._written > INTERVAL:
            self._last = Checkpoint(
                epochs=epoch + 1,
                seed=self.seed,
                settings=self._settings,
                is_over=self.model.stop_training and not self._interrupt.stopped,
                is_final=False,
                history=list(self._rows),
                optimizer=type(self.model.optimizer).__name__,
                callbacks=[
                    {"class": type(callback).__name__, "attributes": _changes(before, callback)}
                    for before, callback in zip(self._untrained, self._callbacks, strict=True)
                ],
                generator=state.generator(),
                variables=state.snapshot(self.model),
            )
            self._run.keep(self._last)
            self._written = time.monotonic()

    def finish(self) -> None:
        """Store the model that training has led to; other processes wait, so that they can read it."""
        by_the_first(self._finish)

    def _finish(self) -> None:
        self._run.save(self.model)
        if self._last and (self._last.is_over or self._last.epochs == self.params["epochs"]):
            self._run.keep(self._last._replace(is_final=True))


def _changes(before: dict[str, Any], callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return what training has changed in a callback: what it was made with may be another the next time."""
    now = _plain_attributes(callback)
    return {
        name: value for name, value in now.items() if name not in before or not _is_same(before[name], value)
    }


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return type(one) is type(other) and bool(np.array_equal(one, other))


def _plain_attributes(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return what a callback remembers in numbers, words, arrays and Keras' operations.

    Keras' callbacks that watch a metric negate their `min_delta` when they choose their comparison, so the
    one must not be kept without the other.
    """
    kept = {}
    for name, value in vars(callback).items():
        own_name = getattr(value, "__name__", None)
        if own_name and getattr(keras.ops, own_name, None) is value:
            kept[name] = {"operation": own_name}
        elif name not in ("params", "_model") and _is_plain(value):
            kept[name] = value
    return kept


def _value(kept: Any) -> Any:
    """Undo what `_plain_attributes` does to a value."""
    return getattr(keras.ops, kept["operation"]) if isinstance(kept, dict) else kept


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(inner) for inner in value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf" or "float" in value.dtype.name  # bfloat16
    return value is None or isinstance(value, bool | int | float | str | np.number | np.bool)
