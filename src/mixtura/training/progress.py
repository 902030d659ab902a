"""A progress bar for training, with the loss in the data's units and the time left."""

from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mixtura.backend import uptime


def progress_bar() -> Progress:
    """Return a progress display on standard error, so that results alone go to standard output."""
    return Progress(
        TextColumn("{task.description}", markup=False),  # a column may be called "[x]"
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
    )


class EpochProgress(keras.callbacks.Callback):
    """Advances one line of a progress display after every epoch, with the newest loss.

    Args:
        progress: the display, entered by the caller.
        description: what is being trained.
        offset: added to what is shown. `Affine.log_volume` turns a loss on standardised targets into
            nats in the data's units.
        metric: what is shown, of the training rows and, where there are some, of those of validation.

    Attributes:
        seconds_to_first_epoch: from the start of the program to the end of the first epoch, which is spent
            on imports and compiling.
    """

    def __init__(
        self, progress: Progress, description: str, offset: float = 0.0, metric: str = "loss"
    ) -> None:
        super().__init__()
        self._progress = progress
        self._description = description
        self._offset = offset
        self._metric = metric
        self.seconds_to_first_epoch = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Show the line."""
        self._task = self._progress.add_task(self._description, total=self.params["epochs"], loss="")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Advance the line and show the newest loss."""
        self.seconds_to_first_epoch = self.seconds_to_first_epoch or uptime()
        logs = logs or {}
        shown = [
            f"{name} {logs[key] + self._offset:.3f}"
            for key, name in ((self._metric, "loss"), (f"val_{self._metric}", "val"))
            if key in logs
        ]
        self._progress.update(self._task, completed=epoch + 1, loss=" ".join(shown))

    def on_train_end(self, logs: Any = None) -> None:
        """Fill the line, also where training stopped early."""
        if done := self._progress.tasks[self._task].completed:
            self._progress.update(self._task, total=done)
