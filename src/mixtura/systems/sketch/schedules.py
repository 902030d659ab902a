"""Sketch-RNN's learning rate."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mixtura")
class Falling(keras.optimizers.schedules.LearningRateSchedule):
    r"""A learning rate that falls exponentially to one above 0.

    $$\eta_n = (\eta_0 - \eta_\infty) R^n + \eta_\infty$$

    (Ha & Eck 2017, arXiv:1704.03477, appendix: from 1e-3 to 1e-5 with R = 0.9999.)

    Args:
        initial: η₀.
        final: η∞.
        decay: R.
    """

    def __init__(self, initial: float, final: float, decay: float) -> None:
        self.initial, self.final, self.decay = initial, final, decay

    def __call__(self, step: Any) -> Any:
        """Return the rate after so many steps."""
        return (self.initial - self.final) * self.decay ** ops.cast(step, "float32") + self.final

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"initial": self.initial, "final": self.final, "decay": self.decay}
