"""The callback that keeps a run's state after every epoch, and puts it back when the run goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from mixtura.errors import InputError
from mixtura.training import state
from mixtura.training.checkpoint import Checkpoint
from mixtura.training.interrupt import StopAfterEpoch

if TYPE_CHECKING:
    from mixtura.training.run import Run

# Where epochs are shorter, the state is kept once in so many seconds.
INTERVAL = 1.0


class Resume(keras.callbacks.Callback):
    """Keeps the state of a run. It comes after all callbacks whose state it keeps.

    Args:
        run: where.
        seed: of a new run; an old one has its own.
        data: a fingerprint of the training data.
        callbacks: the callbacks before it.
        interrupt: what stops training on Ctrl-C, which a resumed run must not take for its end.
    """

    def __init__(
        self,
        run: Run,
        seed: int,
        data: str,
        callbacks: Sequence[keras.callbacks.Callback],
        interrupt: StopAfterEpoch,
    ) -> None:
        super().__init__()
        self._run, self._data, self._interrupt = run, data, interrupt
        own = [callback for callback in callbacks if isinstance(callback, keras.callbacks.History)]
        self._history = own[0] if own else keras.callbacks.History()
        self._callbacks = [callback for callback in callbacks if callback is not self._history]
        # In this order: what it keeps must be up to date when its turn comes.
        self.callbacks = [self] if own else [self._history, self]
        self._old = run.checkpoint()
        if self._old and self._old.data != data:
            raise InputError(f"{run.path} was begun with other training data.")
        self.seed = self._old.seed if self._old else seed
        self._last: Checkpoint | None = self._old
        self._written = 0.0

    def initial_epoch(self, epochs: int) -> int:
        """Return where to go on: after the epochs that are done, or at the end if training was over."""
        return 0 if self._old is None else epochs if self._old.is_over else self._old.epochs

    def on_train_begin(self, logs: Any = None) -> None:
        """Put the state back, or store the untrained model: what its checkpoints belong to."""
        if self._old is None:
            self._run.save(self.model)
            return
        variables = state.variables(self.model)
        if [tuple(v.shape) for v in variables] != [array.shape for array in self._old.variables]:
            raise InputError(f"The checkpoint in {self._run.path} belongs to another network or optimizer.")
        kinds = [type(callback).__name__ for callback in self._callbacks]
        if kinds != [kept["class"] for kept in self._old.callbacks]:
            raise InputError(
                f"{self._run.path} was begun with the callbacks "
                f"{[kept['class'] for kept in self._old.callbacks]}; received {kinds}."
            )
        state.restore(self.model, self._old.variables)
        state.set_generator(self._old.generator)
        for callback, kept in zip(self._callbacks, self._old.callbacks, strict=True):
            vars(callback).update(kept["attributes"])
        self._history.history = {name: list(values) for name, values in self._old.history.items()}
        self._history.epoch = list(range(self._old.epochs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the state, at the latest when training stops."""
        ends = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if ends or time.monotonic() - self._written > INTERVAL:
            self._last = Checkpoint(
                epochs=epoch + 1,
                seed=self.seed,
                data=self._data,
                is_over=self.model.stop_training and not self._interrupt.stopped,
                is_final=False,
                history=self._history.history,
                callbacks=[
                    {"class": type(callback).__name__, "attributes": _plain_attributes(callback)}
                    for callback in self._callbacks
                ],
                generator=state.generator(),
                variables=state.snapshot(self.model),
            )
            self._run.keep(self._last)
            self._written = time.monotonic()

    def finish(self) -> None:
        """Store the model that training has led to."""
        self._run.save(self.model)
        if self._last and (self._last.is_over or self._last.epochs == self.params["epochs"]):
            self._run.keep(self._last._replace(is_final=True))


def _plain_attributes(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return what a callback remembers in numbers, words and arrays."""
    return {
        name: value
        for name, value in vars(callback).items()
        if name not in ("params", "_model") and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(inner) for inner in value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, bool | int | float | str | np.number)
