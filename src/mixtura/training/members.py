"""The best weights of every member of an ensemble."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class KeepBestMembers(keras.callbacks.Callback):
    """Keeps each ensemble member's weights of its own best epoch, and stops when no member gets better.

    Members have their best epochs at different times, and each is judged by its own rows. The weights of an
    ensemble's layers hold one slice for each member, so its best epoch is a copy of slices.

    The model is compiled with the metric `mixtura.metrics.EnsembleLikelihoods`, which after an epoch holds
    the values of validation.

    Args:
        patience: stop when for so many epochs no member has improved.

    Attributes:
        best: each member's lowest validation loss, `(num_members,)`.
        best_epochs: when that was, counted from 0.
    """

    def __init__(self, patience: int) -> None:
        super().__init__()
        self._patience = patience
        self.best = self.best_epochs = np.empty(0)
        self._weights: list[np.ndarray] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the members."""
        metrics = getattr(self.model._compile_metrics, "metrics", [])  # None where none was compiled
        found = [metric for metric in metrics if hasattr(metric, "num_members")]
        if not found:
            raise ValueError("KeepBestMembers needs a model compiled with the metric EnsembleLikelihoods")
        self._metric, self._weights = found[0], []
        self.best = np.full(self._metric.num_members, np.inf)
        self.best_epochs = np.zeros(self._metric.num_members, int)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Copy the slices of members that have improved."""
        values = np.asarray(keras.ops.convert_to_numpy(self._metric.values()), np.float64)
        better = values < self.best
        weights = [keras.ops.convert_to_numpy(weight) for weight in self.model.trainable_weights]
        if not self._weights:
            self._weights = [np.array(weight) for weight in weights]
        elif better.any():
            for kept, weight in zip(self._weights, weights, strict=True):
                kept[better] = weight[better]
        self.best = np.where(better, values, self.best)
        self.best_epochs = np.where(better, epoch, self.best_epochs)
        if epoch - self.best_epochs.max() >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """Give the model the kept weights."""
        for weight, kept in zip(self.model.trainable_weights, self._weights, strict=True):
            weight.assign(kept)
