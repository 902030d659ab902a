"""Convolutions on processors as products of matrices, a few images at a time. JAX only.

XLA computes a convolution with strides, and its derivatives most of all, many times slower than the processor
could. Here each is a product of matrices, which runs at the processor's speed. Images are cut into blocks as
large as the stride, so that a kernel of k covers ceil(k / stride) of them at neighbouring places; and as many
images are taken at a time as the processor's cache holds copies of what enters a product.

`convolve` and `paint` (the transposed convolution) are each other's derivative with respect to the image;
with respect to the kernel, both have `slope`. All three know a large image `(batch, height, width, c)`, a
small one `(batch, rows, columns, d)` of numbers for each patch of the large one, and a kernel as large as a
patch, `(kernel height, kernel width, c, d)`. Nothing is padded: the height is at least
`(rows - 1) * stride + kernel height`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp

Pair = tuple[int, int]

CACHE = 2**18  # numbers that a product reads at once, if the kernel is not larger


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(large: Any, kernel: Any, strides: Pair) -> Any:
    """Return the small image: the product of the kernel and each patch of the large one."""
    rows, columns = (
        (size - extent) // stride + 1
        for size, extent, stride in zip(large.shape[1:3], kernel.shape, strides, strict=False)
    )
    strides = _steps(strides, kernel.shape, (rows, columns))
    parts = _parts(kernel, strides)
    down, across, block, filters = parts.shape
    parts = parts.reshape(down, across * block, filters)

    def of(images: Any) -> Any:
        strips = _shifted(_blocks(images, strides, rows + down - 1, columns + across - 1), 2, across, columns)
        return sum(strips[:, i : i + rows] @ parts[i] for i in range(down))

    copied = (rows + down - 1) * columns * across * block
    return _by_few(of, copied if down * across > 1 else 0, kernel.size, large)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def paint(small: Any, kernel: Any, strides: Pair, size: Pair) -> Any:
    """Return the large image, of this size: patches of the kernel times the small one's numbers, added up."""
    rows, columns = small.shape[1:3]
    strides = _steps(strides, kernel.shape, (rows, columns))
    parts = _parts(kernel, strides)
    down, across, block, channels = parts.shape
    parts = parts.reshape(-1, channels).T

    def of(images: Any) -> Any:
        patches = (images @ parts).reshape(*images.shape[:3], down, across, block)
        total = sum(
            jnp.pad(patches[:, :, :, i, j], ((0, 0), (i, down - 1 - i), (j, across - 1 - j), (0, 0)))
            for i in range(down)
            for j in range(across)
        )
        return _image(total, strides, size)

    copied = rows * columns * down * across * block
    return _by_few(of, copied if down * across > 1 else 0, kernel.size, small)


def slope(large: Any, small: Any, extent: Pair, strides: Pair) -> Any:
    """Return the derivative with respect to the kernel: patches times the small image's numbers, added up."""
    rows, columns = small.shape[1:3]
    strides = _steps(strides, extent, (rows, columns))
    down, across = _parts_in(extent, strides)
    width = columns + across - 1

    def of(images: Any, numbers: Any) -> Any:
        blocks = _blocks(images, strides, rows + down - 1, width)
        if 2 * width > 3 * columns:
            strips = _shifted(blocks, 2, across, columns)
            parts = jnp.stack([_product(strips[:, i : i + rows], numbers) for i in range(down)])
            return parts.reshape(down, across, blocks.shape[3], -1)
        # The more alike the sides of a product, the faster it is: rows are shifted here, columns there.
        shifted = jnp.pad(numbers, ((0, 0), (0, 0), (across - 1, across - 1), (0, 0)))
        parts = _product(_shifted(blocks, 1, down, rows), _shifted(shifted, 2, across, width))
        return parts.reshape(down, blocks.shape[3], across, -1)[:, :, ::-1].transpose(0, 2, 1, 3)

    copied = down * rows * width * strides[0] * strides[1] * large.shape[3] if down * across > 1 else 0
    size = extent[0] * extent[1] * large.shape[3] * small.shape[3]
    parts = _by_few(of, copied, size, large, small, sums=True)
    return _image(parts.transpose(3, 0, 1, 2), strides, extent).transpose(1, 2, 3, 0)


def _convolve_forward(large: Any, kernel: Any, strides: Pair) -> tuple[Any, Any]:
    return convolve(large, kernel, strides), (large, kernel)


def _convolve_backward(strides: Pair, kept: Any, slopes: Any) -> tuple[Any, Any]:
    large, kernel = kept
    return paint(slopes, kernel, strides, large.shape[1:3]), slope(large, slopes, kernel.shape[:2], strides)


def _paint_forward(small: Any, kernel: Any, strides: Pair, size: Pair) -> tuple[Any, Any]:
    return paint(small, kernel, strides, size), (small, kernel)


def _paint_backward(strides: Pair, size: Pair, kept: Any, slopes: Any) -> tuple[Any, Any]:
    small, kernel = kept
    return convolve(slopes, kernel, strides), slope(slopes, small, kernel.shape[:2], strides)


convolve.defvjp(_convolve_forward, _convolve_backward)
paint.defvjp(_paint_forward, _paint_backward)


def _by_few(of: Callable[..., Any], copied: int, at_least: int, *images: Any, sums: bool = False) -> Any:
    """Return a function of images, computed for a few of them at a time.

    Args:
        of: the function of arrays whose first axis counts images.
        copied: how many numbers the function copies for an image: none where patches do not overlap.
        at_least: how many of these are worth reading the kernel once more.
        *images: the arrays.
        sums: whether the function is a sum over images.
    """
    batch = images[0].shape[0]
    few = max(1, max(CACHE, at_least) // copied) if copied else batch
    if few >= batch:
        return of(*images)
    few = max(n for n in range(1, few + 1) if batch % n == 0)
    pieces = tuple(array.reshape(-1, few, *array.shape[1:]) for array in images)
    if not sums:
        return lax.map(lambda piece: of(*piece), pieces).reshape(
            batch, *jax.eval_shape(of, *images).shape[1:]
        )
    first = jnp.zeros_like(jax.eval_shape(of, *images))
    return lax.scan(lambda total, piece: (total + of(*piece), None), first, pieces)[0]


def _product(a: Any, b: Any) -> Any:
    """Return the sum of outer products over images, rows and columns."""
    return a.reshape(-1, a.shape[3]).T @ b.reshape(-1, b.shape[3])


def _shifted(x: Any, axis: int, times: int, length: int) -> Any:
    """Return the channels of several neighbours along an axis side by side."""
    if times == 1:
        return x
    return jnp.concatenate([lax.slice_in_dim(x, n, n + length, axis=axis) for n in range(times)], axis=3)


def _blocks(images: Any, strides: Pair, rows: int, columns: int) -> Any:
    """Return images as rows and columns of blocks, each as long as a block's numbers."""
    (s, t), channels = strides, images.shape[3]
    x = _sized(images, rows * s, columns * t).reshape(-1, rows, s, columns, t, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, rows, columns, s * t * channels)


def _image(blocks: Any, strides: Pair, size: Pair) -> Any:
    """Return what `_blocks` was given."""
    (s, t), (rows, columns) = strides, blocks.shape[1:3]
    x = blocks.reshape(-1, rows, columns, s, t, blocks.shape[3] // (s * t))
    return _sized(x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, rows * s, columns * t, x.shape[5]), *size)


def _steps(strides: Pair, extent: Any, patches: Pair) -> Pair:
    """Return strides, as large as the kernel where there is one patch: it is then one block, as it lies."""
    steps = zip(strides, extent, patches, strict=False)
    down, across = (size if count == 1 else stride for stride, size, count in steps)
    return down, across


def _parts_in(extent: Any, strides: Pair) -> Pair:
    """Return how many blocks a kernel covers, down and across."""
    return -(-extent[0] // strides[0]), -(-extent[1] // strides[1])


def _parts(kernel: Any, strides: Pair) -> Any:
    """Return a kernel by the blocks that it covers: `(down, across, numbers of a block, d)`."""
    return _blocks(kernel.transpose(3, 0, 1, 2), strides, *_parts_in(kernel.shape, strides)).transpose(
        1, 2, 3, 0
    )


def _sized(images: Any, height: int, width: int) -> Any:
    """Return images cut, or padded with zeros, to this size."""
    short = [max(0, size - own) for size, own in zip((height, width), images.shape[1:3], strict=True)]
    if any(short):
        images = jnp.pad(images, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)))
    return images[:, :height, :width]
