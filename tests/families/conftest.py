"""The layout of parameters, read with plain NumPy from the docstrings of Normal and Mixture."""

import numpy as np
import pytest

ACTIVATIONS = {
    "elu": lambda a: np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))),
    "softplus": lambda a: np.log1p(np.exp(-np.abs(a))) + np.maximum(a, 0),
    "exp": np.exp,
}


def read_normal(params, size, covariance, scale="elu", min_scale=0.0):
    """Return the mean (D,) and the covariance (D, D) of one Normal."""
    params = list(params)
    mean = np.array([params.pop(0) for _ in range(size)])
    activations = np.array([params.pop(0) for _ in range(1 if covariance == "spherical" else size)])
    sigma = (ACTIVATIONS[scale](activations) + min_scale) * np.ones(size)
    T = np.eye(size)
    if covariance == "full":
        for i in range(size):
            for j in range(i):
                T[i, j] = -params.pop(0)
    assert not params
    L = np.diag(sigma) @ np.linalg.inv(T)
    return mean, L @ L.T


def read_mixture(params, num_components, size, covariance, **options):
    """Return the weights (K,), means (K, D) and covariances (K, D, D) of one Mixture of Normals."""
    table = np.reshape(params, (-1, num_components))
    weights = np.exp(table[0]) / np.exp(table[0]).sum()
    parts = [read_normal(column, size, covariance, **options) for column in table[1:].T]
    return weights, np.array([mean for mean, _ in parts]), np.array([cov for _, cov in parts])


@pytest.fixture
def normal_by_hand():
    return read_normal


@pytest.fixture
def mixture_by_hand():
    return read_mixture
