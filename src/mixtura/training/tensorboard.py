"""Losses and metrics for TensorBoard, without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from mixtura.errors import InputError


class TensorBoard(keras.callbacks.Callback):
    """Writes each epoch's logs as scalars that `tensorboard --logdir FOLDER` shows.

    `keras.callbacks.TensorBoard` needs TensorFlow on every backend; this one needs tensorboardX, which the
    extra `mixtura[tensorboard]` installs. A run that goes on replaces what it writes again.

    Args:
        folder: where; it is made.

    Raises:
        InputError: if tensorboardX is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        try:
            import tensorboardX  # noqa: F401 - so that training does not begin without it
        except ImportError as error:
            raise InputError(
                "TensorBoard's files need tensorboardX: pip install 'mixtura[tensorboard]'."
            ) from error
        self._folder = str(folder)

    def on_train_begin(self, logs: Any = None) -> None:
        """Wait for the first epoch: only then it is known where a run goes on."""
        self._writer: Any = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the logs."""
        import tensorboardX

        if self._writer is None:
            suffix = f".from{epoch + 1}"  # two runs within a second would share a name
            self._writer = tensorboardX.SummaryWriter(
                self._folder, purge_step=epoch + 1, filename_suffix=suffix
            )
        for name, value in (logs or {}).items():
            self._writer.add_scalar(f"epoch/{name}", value, epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
