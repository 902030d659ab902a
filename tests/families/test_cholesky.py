import numpy as np
import pytest
from keras import ops

from mixtura.families import host
from mixtura.families.cholesky import coefficients_of, colour, whiten

SIZES = [1, 2, 3, 7]


def draw(size, *batch, seed=0):
    """Coefficients, and the matrix T that holds their negatives."""
    rng = np.random.default_rng([seed, size])
    coefficients = rng.normal(size=(*batch, size * (size - 1) // 2)).astype("float32").astype(float)
    T = np.broadcast_to(np.eye(size), (*batch, size, size)).copy()
    start = 0
    for i in range(size):
        T[..., i, :i] = -coefficients[..., start : start + i]
        start += i
    u = rng.normal(size=(*batch, size)).astype("float32").astype(float)
    return coefficients, T, u


@pytest.mark.parametrize("size", SIZES)
def test_whitening_is_a_product_with_the_documented_matrix(size, assert_exact):
    coefficients, T, u = draw(size, 5)
    truth = (T @ u[..., None])[..., 0]
    assert_exact(
        lambda c, u: whiten(ops if ops.is_tensor(u) else host, c, u),
        coefficients,
        u,
        truth=truth,
        float64=1e-14,
    )


@pytest.mark.parametrize("size", SIZES)
def test_colouring_solves_for_what_was_whitened(size, assert_exact):
    coefficients, T, z = draw(size, 5)
    truth = np.linalg.solve(T, z[..., None])[..., 0]
    assert_exact(
        lambda c, z: colour(ops if ops.is_tensor(z) else host, c, z),
        coefficients,
        z,
        truth=truth,
        float64=1e-13,
    )
    np.testing.assert_allclose(
        colour(host, coefficients, whiten(host, coefficients, z)), z, rtol=1e-12, atol=1e-12
    )


def test_coefficients_and_numbers_broadcast():
    coefficients, T, _ = draw(3, 4)
    u = np.random.default_rng(1).normal(size=(2, 4, 3))
    for f, matrix in ((whiten, T), (colour, np.linalg.inv(T))):
        np.testing.assert_allclose(
            f(host, coefficients, u), (matrix @ u[..., None])[..., 0], rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("further", [0, 2])
def test_coefficients_are_read_from_any_root(size, further):
    root = np.random.default_rng(size).normal(size=(4, size, size + further))
    log_sigma, coefficients = coefficients_of(root)
    lower = np.linalg.cholesky(root @ np.swapaxes(root, -1, -2))
    assert log_sigma.shape == (4, size)
    np.testing.assert_allclose(np.exp(log_sigma), np.diagonal(lower, axis1=-2, axis2=-1), rtol=1e-8)
    noise = np.eye(size)
    coloured = colour(host, coefficients[:, None], np.broadcast_to(noise, (4, size, size)))
    again = np.exp(log_sigma)[..., None] * np.swapaxes(coloured, -1, -2)
    np.testing.assert_allclose(again, lower, rtol=1e-8, atol=1e-9)


def test_a_root_of_tiny_and_huge_scales_keeps_its_digits():
    """Its square would not: 1e-12 beside 1e12."""
    root = np.array([[1e6, 0.0], [1e6, 1e-6]])
    log_sigma, coefficients = coefficients_of(root)
    np.testing.assert_allclose(np.exp(log_sigma), [1e6, 1e-6], rtol=1e-3)
    np.testing.assert_allclose(coefficients, [1e12], rtol=1e-3)
