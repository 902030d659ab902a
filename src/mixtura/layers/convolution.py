"""Convolutions as products of matrices, which is how processors compute them fastest through XLA."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Pair = tuple[int, int]


@keras.saving.register_keras_serializable(package="mixtura")
class PatchConv2D(keras.layers.Conv2D):
    r"""`keras.layers.Conv2D` without padding: one product of the kernel and all patches of an image.

    $$y_{ijo} = b_o + \sum_{u, v, c} x_{s i + u,\, s j + v,\, c}\, k_{uvco}$$

    The weights, their shapes and the numbers are those of Keras' layer; only how they are computed differs.
    An image is cut into blocks as large as the stride, and a patch is a few of these side by side: one where
    the kernel is as large as the stride. `benchmarks/world.py` measures it.

    Args:
        filters: channels of the output.
        kernel_size: height and width of the kernel, or one number for both.
        strides: the step s from patch to patch, down and across, or one number for both.
        activation: as in `keras.layers.Conv2D`.
        **kwargs: its other arguments.

    Input shape: `(batch, height, width, channels)`; height and width are known when the layer is built.
    Output shape: `(batch, (height - kernel) // stride + 1, (width - kernel) // stride + 1, filters)`.

    Raises:
        ValueError: if `padding`, `data_format`, `dilation_rate` or `groups` asks for another convolution,
            or the height or width of the input is not known.

    Example:
        >>> PatchConv2D(8, 4, strides=2).compute_output_shape((None, 64, 64, 3))
        (None, 31, 31, 8)
    """

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, activation: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(filters, kernel_size, strides, activation=activation, **kwargs)
        _check(self, groups=1)

    def build(self, input_shape: Any) -> None:
        """Create `kernel` `(height, width, channels, filters)` and `bias` `(filters,)`."""
        _check_size(self, input_shape)
        super().build(input_shape)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Return the convolution, without the bias."""
        return convolve(inputs, ops.cast(kernel, inputs.dtype), self.strides)


@keras.saving.register_keras_serializable(package="mixtura")
class TransposedConv2D(keras.layers.Conv2DTranspose):
    r"""`keras.layers.Conv2DTranspose` without padding: each input paints a patch; patches add up.

    $$y_{s i + u,\, s j + v,\, o} \mathrel{+}= x_{ijc}\, k_{uvoc}, \qquad y \text{ begins as } b_o$$

    The weights, their shapes and the numbers are those of Keras' layer, as in `PatchConv2D`.

    Args:
        filters: channels of the output.
        kernel_size: height and width of a patch, or one number for both.
        strides: the step s from patch to patch, down and across, or one number for both.
        activation: as in `keras.layers.Conv2DTranspose`.
        **kwargs: its other arguments.

    Input shape: `(batch, height, width, channels)`; height and width are known when the layer is built.
    Output shape: `(batch, (height - 1) * stride + max(kernel, stride), ..., filters)`.

    Raises:
        ValueError: if `padding`, `output_padding`, `data_format` or `dilation_rate` asks for another
            convolution, or the height or width of the input is not known.

    Example:
        >>> tuple(TransposedConv2D(3, 6, strides=2).compute_output_shape((None, 30, 30, 8)))
        (None, 64, 64, 3)
    """

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, activation: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(filters, kernel_size, strides, activation=activation, **kwargs)
        _check(self, output_padding=None)

    def build(self, input_shape: Any) -> None:
        """Create `kernel` `(height, width, filters, channels)` and `bias` `(filters,)`."""
        _check_size(self, input_shape)
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return the sum of the patches."""
        outputs = paint(inputs, ops.cast(self.kernel, inputs.dtype), self.strides)
        outputs = outputs if self.bias is None else outputs + ops.cast(self.bias, outputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)


def convolve(x: Any, kernel: Any, strides: Pair) -> Any:
    """Return the convolution without padding.

    Args:
        x: images `(batch, height, width, channels)`.
        kernel: `(kernel height, kernel width, channels, filters)`.
        strides: down and across.

    Returns:
        `(batch, (height - kernel height) // stride + 1, ..., filters)`.
    """
    rows, columns = (
        (size - extent) // stride + 1
        for size, extent, stride in zip(x.shape[1:3], kernel.shape, strides, strict=False)
    )
    kernel, (down, across) = _whole_blocks(kernel, strides)
    (s, t), channels = strides, x.shape[3]
    x = _sized(x, (rows + down - 1) * s, (columns + across - 1) * t)
    x = ops.reshape(x, (-1, rows + down - 1, s, columns + across - 1, t, channels))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, *x.shape[1:4:2], s * t * channels))
    shifted = [x[:, i : i + rows, j : j + columns] for i in range(down) for j in range(across)]
    patches = ops.concatenate(shifted, axis=-1) if len(shifted) > 1 else x
    kernel = ops.reshape(kernel, (down, s, across, t, channels, -1))
    kernel = ops.reshape(ops.transpose(kernel, (0, 2, 1, 3, 4, 5)), (patches.shape[-1], -1))
    return ops.matmul(patches, kernel)


def paint(x: Any, kernel: Any, strides: Pair) -> Any:
    """Return the transposed convolution without padding, which is the derivative of `convolve`.

    Args:
        x: images `(batch, height, width, channels)`.
        kernel: `(kernel height, kernel width, filters, channels)`.
        strides: down and across.

    Returns:
        `(batch, (height - 1) * stride + max(kernel height, stride), ..., filters)`.
    """
    (rows, columns), (s, t), filters = x.shape[1:3], strides, kernel.shape[2]
    height, width = (
        (size - 1) * stride + max(extent, stride)
        for size, extent, stride in zip((rows, columns), kernel.shape, strides, strict=False)
    )
    kernel, (down, across) = _whole_blocks(kernel, strides)
    kernel = ops.reshape(kernel, (down, s, across, t, filters, x.shape[3]))
    kernel = ops.reshape(ops.transpose(kernel, (5, 0, 2, 1, 3, 4)), (x.shape[3], -1))
    blocks = ops.reshape(ops.matmul(x, kernel), (-1, rows, columns, down * across, s * t * filters))
    total = None
    for n in range(down * across):
        i, j = divmod(n, across)
        padding = ((0, 0), (i, down - 1 - i), (j, across - 1 - j), (0, 0))
        own = ops.pad(blocks[:, :, :, n], padding)
        total = own if total is None else total + own
    y = ops.reshape(total, (-1, rows + down - 1, columns + across - 1, s, t, filters))
    y = ops.transpose(y, (0, 1, 3, 2, 4, 5))
    y = ops.reshape(y, (-1, (rows + down - 1) * s, (columns + across - 1) * t, filters))
    return y[:, :height, :width]


def _whole_blocks(kernel: Any, strides: Pair) -> tuple[Any, Pair]:
    """Return a kernel padded with zeros to blocks as large as the strides; how many, down and across."""
    down, across = (-(-extent // stride) for extent, stride in zip(kernel.shape, strides, strict=False))
    return _sized(kernel, down * strides[0], across * strides[1], first=0), (down, across)


def _sized(x: Any, height: int, width: int, first: int = 1) -> Any:
    """Return an array whose axes `first` and the next are cut, or padded with zeros, to these sizes."""
    short = [max(0, size - own) for size, own in zip((height, width), x.shape[first:], strict=False)]
    if any(short):
        padding = [(0, 0)] * len(x.shape)
        padding[first : first + 2] = [(0, n) for n in short]
        x = ops.pad(x, padding)
    return x[(slice(None),) * first + (slice(height), slice(width))]


def _check(layer: Any, **expected: Any) -> None:
    """Raise ValueError if a layer was asked for another convolution."""
    expected |= {"padding": "valid", "data_format": "channels_last", "dilation_rate": (1, 1)}
    for name, value in expected.items():
        if (received := getattr(layer, name)) != value:
            raise ValueError(f"{name} of {type(layer).__name__} must be {value!r}; received {received!r}")


def _check_size(layer: Any, input_shape: Any) -> None:
    """Raise ValueError unless height and width of the input are known."""
    if len(input_shape) != 4 or None in input_shape[1:]:
        raise ValueError(
            f"{type(layer).__name__} takes images (batch, height, width, channels) of known size; "
            f"received the shape {tuple(input_shape)}"
        )
