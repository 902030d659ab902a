import numpy as np
import pytest
from scipy.stats import norm

from mixtura.systems.signals import baselines
from mixtura.systems.signals.baselines import Autoregression, Linear, Noise

RNG = np.random.default_rng(0)


def autoregression(length, a=(1.2, -0.5), mean=7.0, noise=None):
    signal = np.zeros(length)
    noise = RNG.normal(size=length) if noise is None else noise
    for t in range(length):
        signal[t] = noise[t] + sum(a[i] * signal[t - 1 - i] for i in range(len(a)) if t > i)
    return signal + mean


def test_errors_are_those_of_the_formula():
    signal = RNG.normal(size=30)
    linear = Linear(0.5, np.array([0.7, -0.2, 0.1]))
    padded = np.concatenate([np.zeros(3), signal - 0.5])
    wanted = [
        padded[t] - 0.7 * padded[t - 1] + 0.2 * padded[t - 2] - 0.1 * padded[t - 3] for t in range(3, 33)
    ]
    np.testing.assert_allclose(linear.errors(signal), wanted)


def test_least_squares_is_numpys():
    signals = [autoregression(200), autoregression(90)]
    linear = baselines.fit_linear(signals, 3)
    centred = [signal - linear.mean for signal in signals]
    rows = [one[t - 3 : t][::-1] for one in centred for t in range(3, len(one))]
    targets = np.concatenate([one[3:] for one in centred])
    np.testing.assert_allclose(linear.coefficients, np.linalg.lstsq(rows, targets, rcond=None)[0], atol=1e-8)
    assert linear.mean == pytest.approx(np.concatenate(signals).mean())


def test_pieces_do_not_show(monkeypatch):
    signals = [autoregression(300)]
    whole = baselines.fit_linear(signals, 2).coefficients
    monkeypatch.setattr(baselines, "FIT", 7)
    np.testing.assert_allclose(baselines.fit_linear(signals, 2).coefficients, whole)


def test_the_spread_follows_the_errors():
    errors = RNG.normal(size=40)
    wanted = [2.0]
    for e in errors[:-1]:
        wanted.append(0.75 * wanted[-1] + 0.25 * e**2)
    noise = Noise(np.ones(1), np.zeros(1), np.ones(1), memory=4, floor=0.3, start=2.0)
    np.testing.assert_allclose(noise.spread(errors), np.sqrt(np.square(0.3) + wanted))


def test_the_density_is_a_mixture_in_units_of_the_spread():
    noise = Noise(np.array([0.3, 0.7]), np.array([-1.0, 1.0]), np.array([0.25, 4.0]))
    density = noise.log_density(np.array([0.4]), np.array([2.0]))
    wanted = 0.3 * norm.pdf(0.4, -2.0, 1.0) + 0.7 * norm.pdf(0.4, 2.0, 4.0)
    assert density[0] == pytest.approx(np.log(wanted))


def test_dequantised_values_cost_what_theory_says():
    model = Autoregression(Linear(0.0, np.array([0.5])), Noise(np.ones(1), np.zeros(1), np.ones(1)))
    signal = RNG.normal(size=20_000)
    raw, noisy = model.nll(signal, 0.0).mean(), model.nll(signal, 2.0).mean()
    assert noisy - raw == pytest.approx(2**2 / 12 / 2, abs=0.01)  # half the variance of the noise


@pytest.fixture(scope="module")
def fitted():
    # Quiet and loud by turns, as the adaptive spread can follow.
    spread = np.where(np.arange(4000) // 200 % 2, 4.0, 1.0)
    signals = [np.round(10 * autoregression(4000, noise=spread * RNG.normal(size=4000))) for _ in range(3)]
    models = baselines.fit_autoregressions(signals[:1], signals[1:2], step=1.0)
    return {name: model.nll(signals[2], 1.0).mean() for name, model in models.items()}, models


def test_better_noise_is_better(fitted):
    nll, models = fitted
    assert nll["normal"] > nll["mixture"] + 0.05 > nll["adaptive"] + 0.1
    assert all(len(model.linear.coefficients) >= 2 for model in models.values())


def test_the_adaptive_spread_nears_the_truth(fitted):
    # Half the time the scale is 10, half 40: the entropy given the scale.
    limit = np.log(10 * np.sqrt(2 * np.pi * np.e)) + np.log(4) / 2
    assert limit - 0.03 < fitted[0]["adaptive"] < limit + 0.15
