"""Ctrl-C stops training after the current epoch."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

import keras


class StopAfterEpoch(keras.callbacks.Callback):
    """A context in which the first Ctrl-C lets the epoch finish, and the second interrupts at once.

    It is a callback too, which stops the model's training when an epoch ends. Leaving the context raises the
    KeyboardInterrupt that was held back: whoever pressed Ctrl-C wants the program to stop, and by then the
    model is whole. Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._requested = False
        self.stopped = False

    def __enter__(self) -> Self:
        self._in_main = threading.current_thread() is threading.main_thread()
        if self._in_main:
            self._previous = signal.getsignal(signal.SIGINT)
            if callable(self._previous):  # else Ctrl-C is ignored, as in a background job
                signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
        print("\nStopping after this epoch; Ctrl-C again stops at once.", file=sys.stderr)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop training if Ctrl-C was pressed and nothing else has stopped it."""
        if self._requested and not self.model.stop_training:
            self.stopped = self.model.stop_training = True

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if self._in_main and callable(self._previous):
            signal.signal(signal.SIGINT, self._previous)
        if self._requested and kind is None:
            raise KeyboardInterrupt
