"""Convolutions that train as fast on processors as elsewhere."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="mixtura")
class PatchConv2D(keras.layers.Conv2D):
    r"""`keras.layers.Conv2D`, fast on processors.

    $$y_{ijo} = b_o + \sum_{u, v, c} x_{s i + u,\, s j + v,\, c}\, k_{uvco}$$

    Arguments, weights and numbers are those of Keras' layer. It is also computed as there, except on
    processors with JAX: there it is products of matrices (`mixtura.layers.patches`), if nothing is padded,
    dilated or grouped. `benchmarks/world.py` measures what that saves.

    Input shape: `(batch, height, width, channels)`. Output shape:
    `(batch, (height - kernel) // stride + 1, (width - kernel) // stride + 1, filters)`.

    Raises:
        ValueError: as Keras' layer does.

    Example:
        >>> PatchConv2D(8, 4, strides=2).compute_output_shape((None, 64, 64, 3))
        (None, 31, 31, 8)
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution, without the bias."""
        if self.groups > 1 or not _is_for_products(self, inputs):
            return super().convolution_op(inputs, kernel)
        from mixtura.layers.patches import convolve

        return convolve(inputs, keras.ops.cast(kernel, inputs.dtype), self.strides)


@keras.saving.register_keras_serializable(package="mixtura")
class TransposedConv2D(keras.layers.Conv2DTranspose):
    r"""`keras.layers.Conv2DTranspose`, fast on processors: every input paints a patch, and patches add up.

    $$y_{s i + u,\, s j + v,\, o} \mathrel{+}= x_{ijc}\, k_{uvoc}, \qquad y \text{ begins as } b_o$$

    Arguments, weights and numbers are those of Keras' layer; how it is computed, see `PatchConv2D`.

    Input shape: `(batch, height, width, channels)`. Output shape: `(batch, height', width', filters)` with
    `height' = (height - 1) * stride + max(kernel, stride)`, and the width likewise.

    Raises:
        ValueError: as Keras' layer does.

    Example:
        >>> TransposedConv2D(3, 6, strides=2).compute_output_shape((None, 30, 30, 8))
        [None, 64, 64, 3]
    """

    def call(self, inputs: Any) -> Any:
        """Return the sum of the patches."""
        if self.output_padding is not None or not _is_for_products(self, inputs):
            return super().call(inputs)
        from mixtura.layers.patches import paint

        kernel = keras.ops.cast(self.kernel, inputs.dtype)
        size = self.compute_output_shape(inputs.shape)[1:3]
        outputs = paint(inputs, kernel, self.strides, tuple(size))
        outputs = outputs if self.bias is None else outputs + keras.ops.cast(self.bias, outputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)


def _is_for_products(layer: Any, inputs: Any) -> bool:
    """Tell whether a layer's convolution is one that `mixtura.layers.patches` computes, and faster."""
    if keras.backend.backend() != "jax" or not keras.ops.is_tensor(inputs):
        return False
    import jax

    return (
        jax.default_backend() == "cpu"
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
        and max(layer.dilation_rate) == 1
    )
