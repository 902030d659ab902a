import numpy as np
import pytest
from scipy.integrate import quad

from mixtura.systems.demo import data


def test_limits_are_the_known_figures():
    limits = data.limits()
    assert limits.conditional_entropy == pytest.approx(1.288, abs=5e-4)
    assert limits.single_normal == pytest.approx(2.736, abs=5e-4)
    assert limits.constant_variance == pytest.approx(2.948, abs=5e-4)


def test_conditional_entropy_by_monte_carlo():
    x, y = data.inverse_sine(20_000, np.random.default_rng(0))
    exact = np.array([data.conditional_density(x[i], y[i])[0, 0] for i in range(400)])
    error = np.log(exact).std() / np.sqrt(len(exact))
    assert -np.log(exact).mean() == pytest.approx(data.limits().conditional_entropy, abs=4 * error)


def test_conditional_density_integrates_to_one():
    integral = quad(
        lambda y: data.conditional_density(np.array([1.3]), np.array([y]))[0, 0], -10.5, 10.5, limit=200
    )
    assert integral[0] == pytest.approx(1.0, abs=1e-6)


def test_samples_follow_the_recipe():
    rng = np.random.default_rng(0)
    x, y = data.inverse_sine(50_000, rng)
    assert np.abs(y).max() <= 10.5
    assert np.std(x - 7 * np.sin(0.75 * y) - 0.5 * y) == pytest.approx(1.0, abs=0.02)
    samples = data.sample_mixture(50_000, rng)
    assert samples.mean() == pytest.approx(0.0, abs=0.1)
    assert samples.var() == pytest.approx(25 + (4 + 9) / 2, rel=0.03)
