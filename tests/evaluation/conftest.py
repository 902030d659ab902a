"""Models that know the truth, and ones that do not."""

import numpy as np
import pytest

import mixtura as mx


class Known:
    """A model that predicts what a function of X says."""

    def __init__(self, predict):
        self._predict = predict

    def predict_distribution(self, X):
        return self._predict(np.asarray(X, dtype=float))


@pytest.fixture
def known():
    return Known


@pytest.fixture
def true_normal():
    """y ~ N(x, exp(z)^2), in columns x and z."""
    return Known(mx.Normal(1, scale="exp"))


@pytest.fixture
def fork():
    """Half the probability at -x, half at x, with a scale of 0.3."""

    def predict(X):
        zero, x = np.zeros(len(X)), X[:, 0]
        log_scale = np.full(len(X), np.log(0.3))
        family = mx.Mixture(mx.Normal(1, scale="exp"), 2)
        return family(np.stack([zero, zero, -x, x, log_scale, log_scale], axis=1))

    return Known(predict)


@pytest.fixture
def rows():
    """Inputs `(300, 2)` and outcomes of `true_normal`."""
    rng = np.random.default_rng(0)
    X = np.stack([3 * rng.normal(size=300), 0.5 * rng.normal(size=300)], axis=1)
    return X, X[:, 0] + np.exp(X[:, 1]) * rng.normal(size=300)
