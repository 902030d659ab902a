"""Where Keras does the training: gives every epoch its batches, and stops when the loss is lost."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from mixtura.training import state
from mixtura.training.batches import Batches
from mixtura.training.divergence import diverged, error


class Watch(keras.callbacks.Callback):
    """Raises a TrainingError in the epoch in which the loss becomes infinite or NaN.

    Args:
        batches: what `keras.Model.fit` trains on, if it does on `Batches`. Then the error names the row, and
            the model is left with the weights of the epoch's start.
    """

    async_safe = True  # Keras need not wait for it after every step

    def __init__(self, batches: Batches | None) -> None:
        super().__init__()
        self._batches = batches
        self._step: int | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights, and draw the epoch's order."""
        if self._batches is not None:
            self._start = state.snapshot(self.model)
            self._batches.start(epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stop the epoch in the first step whose loss is not finite."""
        if self._step is None and not np.isfinite((logs or {}).get("loss", 0.0)):
            self._step = batch
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Raise the error."""
        if self._batches is None and self._step is not None:
            raise error(epoch, self._step, "the data are no arrays, so the row is not known")
        if self._batches is not None and (self._step is not None or not state.is_finite(self.model)):
            state.restore(self.model, self._start)
            raise diverged(self.model, epoch, self._batches)
