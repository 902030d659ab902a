"""Small data and regressors that differ in as little as possible, so that they share compiled programs."""

import numpy as np
import pytest

import mixtura as mx

SMALL = {
    "max_iter": 20,
    "ensemble": 2,
    "n_components": 2,
    "hidden_layer_sizes": (8,),
    "n_bins": 4,
    "random_state": 0,
}


@pytest.fixture(scope="session")
def small():
    """Make a regressor that trains in a second, once its programs are compiled."""
    return lambda **options: mx.MDNRegressor(**{**SMALL, **options})


@pytest.fixture(scope="session")
def rows():
    """X `(60, 3)` and two outputs, of which the second depends on the first."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    first = X[:, 0] + 0.3 * rng.normal(size=60)
    return X, np.column_stack([first, 10 + 5 * first + 3 * X[:, 1] + rng.normal(size=60)])


@pytest.fixture(scope="session")
def one(small, rows):
    """A regressor of one output; not to be changed."""
    X, Y = rows
    return small().fit(X, Y[:, 1])


@pytest.fixture(scope="session")
def two(small, rows):
    """A regressor of two outputs, whose normals have full covariance; not to be changed."""
    return small().fit(*rows)
