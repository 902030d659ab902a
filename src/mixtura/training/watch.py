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

    The model is left with the weights of the epoch's start.

    Args:
        batches: what `keras.Model.fit` trains on, if it does on `Batches`. Then the error names the row.
    """

    async_safe = True  # Keras need not wait for it after every step

    def __init__(self, batches: Batches | None) -> None:
        super().__init__()
        self._batches = batches
        self._step: int | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights, and draw the epoch's order."""
        self._start = state.snapshot(self.model)
        if self._batches is not None:
            self._batches.start(epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stop the epoch in the first step whose loss is not finite."""
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            # Keras calls this from several threads, in any order. `self.model` would write the state of
            # the moment into the model on JAX, while the next step is using it up.
            self._step = batch if self._step is None else min(batch, self._step)
            self._model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Raise the error."""
        if self._step is None and (self._batches is None or state.is_finite(self.model)):
            return
        for variable, value in zip(state.variables(self.model), self._start, strict=False):
            variable.assign(value)  # TensorFlow has made the optimizer's in the first step only
        if self._batches is None:
            raise error(epoch, self._step, "Keras made the batches, so the row is not known")
        raise diverged(self.model, epoch, self._batches)
