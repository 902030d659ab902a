import numpy as np
import pytest
import scoringrules
from scipy import stats
from scipy.integrate import quad

import mixtura as mx
from mixtura import scores


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    family = mx.Affine(mx.Mixture(mx.Normal(1), 4), shift=3.0, scale=2.5)
    return family(rng.normal(size=(200, family.params_size))), rng.normal(3, 4, size=(200, 1))


def test_crps_equals_an_independent_implementation(predictions):
    p, y = predictions
    expected = scoringrules.crps_mixnorm(y[:, 0], p.means[..., 0], p.scales[..., 0], p.weights)
    assert scores.crps(p, y) == pytest.approx(expected.mean(), rel=1e-6)  # its erf is a float32 one


def test_crps_is_the_integral_that_defines_it(predictions):
    p, y = predictions
    row, outcome = p[0], y[0, 0]

    def squared_distance(t):
        return (row.cdf([t]) - (t >= outcome)) ** 2

    low, high = (float(end[0]) for end in row.interval(1 - 1e-9))
    integral = quad(squared_distance, low - 20, outcome, limit=200)[0]
    integral += quad(squared_distance, outcome, high + 20, limit=200)[0]
    assert scores.crps(p[:1], y[:1]) == pytest.approx(integral, rel=1e-6)


def test_crps_of_a_sharp_prediction_is_the_absolute_error():
    p = mx.Mixture(mx.Normal(1, scale="exp"), 1)([[0.0, 2.0, -25.0]])
    assert scores.crps(p, [[5.0]]) == pytest.approx(3.0)


def test_crps_needs_one_dimension():
    with pytest.raises(NotImplementedError, match="one-dimensional"):
        scores.crps(mx.Mixture(mx.Normal(2), 1)(np.zeros((1, 5))), [[0.0, 0.0]])


def test_coverage_of_true_distributions_is_their_level(predictions):
    p, _ = predictions
    y = p.sample(400, seed=1)
    assert scores.interval_coverage(p, y, 0.9) == pytest.approx(0.9, abs=0.005)
    assert scores.interval_coverage(p, y, 0.5) == pytest.approx(0.5, abs=0.01)


def test_nll_and_rmse_of_one_normal():
    p = mx.Mixture(mx.Normal(1), 1)([[0.0, 1.0, 1.0]] * 3)  # N(1, 2^2)
    y = np.array([[0.0], [1.0], [4.0]])
    assert scores.negative_log_likelihood(p, y) == pytest.approx(-stats.norm(1, 2).logpdf(y).mean())
    assert scores.root_mean_squared_error(p, y) == pytest.approx(np.sqrt(10 / 3))
