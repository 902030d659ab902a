import keras
import numpy as np
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("products of patches are for JAX", allow_module_level=True)

import jax
from jax import lax

from mixtura.layers import patches

RNG = np.random.default_rng(0)
BATCH, LARGE, SMALL = 6, 3, 4  # images, and channels
# kernel, strides, and height and width of the large image
CASES = [
    ((4, 4), (2, 2), (10, 10)),
    ((5, 5), (2, 2), (9, 12)),  # a column is in no patch
    ((6, 6), (2, 2), (16, 14)),
    ((4, 4), (4, 4), (8, 12)),
    ((3, 3), (1, 1), (5, 4)),
    ((1, 1), (1, 1), (2, 3)),
    ((2, 2), (3, 3), (9, 8)),  # the stride leaves gaps
    ((5, 2), (2, 3), (9, 11)),
    ((5, 5), (2, 2), (5, 5)),  # one patch
    ((4, 3), (2, 2), (4, 9)),  # one row of patches
]


def arrays(kernel, strides, size):
    """Return a large image, a small one and a kernel."""
    small = [(n - k) // s + 1 for n, k, s in zip(size, kernel, strides, strict=True)]
    shapes = (BATCH, *size, LARGE), (BATCH, *small, SMALL), (*kernel, LARGE, SMALL)
    return [RNG.normal(size=shape).astype("float32") for shape in shapes]


def by_hand(large, small, kernel, strides):
    """Return the convolution, its transpose and the derivative for the kernel, one patch after the other."""
    (down, across), (s, t) = kernel.shape[:2], strides
    convolved, painted, slope = np.zeros(small.shape), np.zeros(large.shape), np.zeros(kernel.shape)
    for i, j in np.ndindex(*small.shape[1:3]):
        patch = np.s_[:, s * i : s * i + down, t * j : t * j + across]
        convolved[:, i, j] = np.einsum("nuvc,uvcd->nd", large[patch], kernel)
        painted[patch] += np.einsum("nd,uvcd->nuvc", small[:, i, j], kernel)
        slope += np.einsum("nuvc,nd->uvcd", large[patch], small[:, i, j])
    return convolved, painted, slope


@pytest.fixture(params=[2**18, 1], ids=["all at once", "in blocks"])
def cache(request, monkeypatch):
    monkeypatch.setattr(patches, "CACHE", request.param)


@pytest.mark.parametrize(("kernel", "strides", "size"), CASES)
def test_products_are_the_sums_over_patches(kernel, strides, size, cache, compiled):
    large, small, weights = arrays(kernel, strides, size)

    def found(large, small, weights):
        made = (
            patches.convolve(large, weights, strides),
            patches.paint(small, weights, strides, size),
            patches.slope(large, small, kernel, strides),
        )
        shapes.extend(part.shape for part in made)
        return jax.numpy.concatenate([part.ravel() for part in made])

    shapes = []
    expected = by_hand(large, small, weights, strides)
    values = compiled(found, large, small, weights)
    assert shapes == [part.shape for part in expected]
    np.testing.assert_allclose(values, np.concatenate([part.ravel() for part in expected]), atol=2e-4)


def test_images_are_taken_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(patches, "CACHE", 4)
    seen = []

    def of(images):
        seen.append(images.shape)
        return images[:, 0] + 1

    x = np.arange(12.0).reshape(6, 2)
    for copied, at_least, few in ((2, 0, 2), (1, 0, 3), (9, 0, 1), (1, 5, 3), (1, 6, 6), (0, 0, 6)):
        seen.clear()
        np.testing.assert_array_equal(patches._by_few(of, copied, at_least, x), x[:, 0] + 1)
        assert (few, 2) in seen  # four would not divide six
        total = patches._by_few(lambda images: images.sum(axis=0), copied, at_least, x, sums=True)
        np.testing.assert_array_equal(total, x.sum(axis=0))


@pytest.mark.parametrize(("kernel", "strides", "size"), [CASES[1], CASES[8]])
def test_derivatives_are_those_of_a_convolution(kernel, strides, size):
    large, small, weights = arrays(kernel, strides, size)

    def convolved(large, weights):
        return lax.conv_general_dilated(
            large, weights, strides, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    @jax.jit
    def compared(large, small, weights):
        _, expected = jax.vjp(convolved, large, weights)
        _, found = jax.vjp(lambda x, k: patches.convolve(x, k, strides), large, weights)
        painted, transposed = jax.vjp(lambda y, k: patches.paint(y, k, strides, size), small, weights)
        _, second = jax.vjp(lambda x: expected(convolved(x, weights))[0], large)
        _, ours = jax.vjp(lambda x: found(patches.convolve(x, weights, strides))[0], large)
        return (
            (found(small), expected(small)),
            (transposed(large), (convolved(large, weights), expected(small)[1] * 0 + slope(large, small))),
            (painted, expected(small)[0]),
            (ours(large), second(large)),
        )

    def slope(large, small):
        return jax.vjp(convolved, large, weights)[1](small)[1]

    for found, expected in compared(large, small, weights):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3, rtol=1e-4), found, expected)
