"""Derivatives kept within limits while a network trains."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mixtura.families.checks import finite


@keras.saving.register_keras_serializable(package="mixtura")
class ClipGradient(keras.layers.Layer):
    r"""The identity, whose derivatives are clipped on their way back.

    $$y = x, \qquad
      \frac{\partial L}{\partial x} := \min\bigl(\max(\tfrac{\partial L}{\partial y}, -c), c\bigr)$$

    Every value is clipped by itself, so one far event cannot throw the weights off, and the others of its
    batch keep theirs. Graves (2013, arXiv:1308.0850, sections 2.1 and 4.2) clips the derivatives with
    respect to the network's outputs to 100 and those of the LSTM layers to 10. So

        LSTM -> ClipGradient(10) -> MDN -> ClipGradient(100)

    His are derivatives of a sequence's loss, summed over its steps. Keras' loss is a mean: divide his limits
    by the number of rows (for sequences: of steps) in a batch to clip the same events. Loss scaling (the
    policy `mixed_float16`) multiplies the derivatives before they are clipped.

    The layer sees derivatives between layers. Those that pass from step to step inside a recurrent layer,
    which Graves clips too, an `LSTMCell` clips itself, if told to. To clip the gradients of the weights,
    Keras' optimizers have the arguments `clipvalue` (each value), `clipnorm` (each weight's norm) and
    `global_clipnorm` (the norm of all).

    Args:
        limit: c, the largest absolute derivative.
        **kwargs: the arguments of every Keras layer.

    Shapes: any in, the same out; the dtype stays, and masks pass through.

    Raises:
        ValueError: if `limit` is not a positive finite number.

    Example:
        >>> import mixtura.layers.clipping
        >>> mixtura.layers.clipping.ClipGradient(10).compute_output_shape((None, 7, 3))
        (None, 7, 3)
    """

    def __init__(self, limit: float, **kwargs: Any) -> None:
        if finite("limit", limit) <= 0:
            raise ValueError(f"limit must be positive; received {limit!r}")
        # Not cast: the float32 output of a head under mixed precision stays float32.
        super().__init__(autocast=False, **kwargs)
        self.limit = float(limit)
        self.supports_masking = True
        self._identity = ops.custom_gradient(self._with_clipped_gradient)

    def _with_clipped_gradient(self, x: Any) -> tuple[Any, Any]:
        # JAX and TensorFlow call it with the derivative alone, PyTorch with x and the derivative by name.
        def gradient(*args: Any, upstream: Any = None) -> Any:
            return ops.clip(args[-1] if upstream is None else upstream, -self.limit, self.limit)

        return x, gradient

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return the inputs."""
        return self._identity(inputs)

    def compute_output_spec(self, inputs: Any, mask: Any = None) -> Any:
        """Return the inputs' shape and dtype."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "limit": self.limit}
