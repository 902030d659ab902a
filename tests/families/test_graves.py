"""Graves (2013), Generating Sequences With Recurrent Neural Networks, arXiv:1308.0850, equations 18 to 37."""

import mpmath
import numpy as np
import pytest

import mixtura as mx

K, ROWS = 4, 5
FAMILY = mx.Joint(offset=mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), K), end=mx.Bernoulli())
LOSS = mx.NegativeLogLikelihood(FAMILY, reduction="sum")


@pytest.fixture(scope="module")
def case():
    """His network's outputs e_hat, pi_hat, mu_hat, sigma_hat, rho_hat, and targets x1, x2, x3."""
    rng = np.random.default_rng(0)
    e_hat = rng.normal(size=ROWS)
    pi_hat, rho_hat = rng.normal(size=(2, ROWS, K))
    mu_hat, sigma_hat = rng.normal(size=(2, ROWS, 2, K))
    x = np.concatenate([rng.normal(size=(ROWS, 2)), [[1], [0], [0], [1], [0]]], axis=-1)
    return (e_hat, pi_hat, mu_hat, sigma_hat, rho_hat), x


def parameters(e_hat, pi_hat, mu_hat, sigma_hat, rho_hat):
    """The same outputs in this project's order; his e_hat is minus a logit."""
    rows = [pi_hat, mu_hat[:, 0], mu_hat[:, 1], sigma_hat[:, 0], sigma_hat[:, 1], rho_hat, -e_hat[:, None]]
    return np.concatenate(rows, axis=-1)


def gradients_by_hand(outputs, x):
    """Equations 18 to 22, then 27 to 37, component by component."""
    e_hat, pi_hat, mu, sigma_hat, rho_hat = outputs
    e = 1 / (1 + np.exp(e_hat))  # 18
    pi = np.exp(pi_hat) / np.exp(pi_hat).sum(axis=-1, keepdims=True)  # 19
    (mu1, mu2), (s1, s2), rho = mu.swapaxes(0, 1), np.exp(sigma_hat).swapaxes(0, 1), np.tanh(rho_hat)  # 20-22
    d1, d2 = (x[:, :1] - mu1) / s1, (x[:, 1:2] - mu2) / s2
    Z = d1**2 + d2**2 - 2 * rho * d1 * d2  # 25
    C = 1 / (1 - rho**2)  # 32
    N = np.exp(-Z * C / 2) * np.sqrt(C) / (2 * np.pi * s1 * s2)  # 24
    gamma = pi * N / (pi * N).sum(axis=-1, keepdims=True)  # 28, 29
    return (
        x[:, 2] - e,  # 27
        pi - gamma,  # 30
        np.stack(
            [-gamma * C / s1 * (d1 - rho * d2), -gamma * C / s2 * (d2 - rho * d1)], axis=1
        ),  # 31, 33, 34
        np.stack([-gamma * (C * d1 * (d1 - rho * d2) - 1), -gamma * (C * d2 * (d2 - rho * d1) - 1)], axis=1),
        -gamma * (d1 * d2 + rho * (1 - C * Z)),  # 31, 37
    )


def loss_by_mpmath(outputs, x):
    """Equation 26, in fifty digits."""
    mpmath.mp.dps = 50
    total = mpmath.mpf(0)
    for t in range(ROWS):
        e_hat, pi_hat, mu, sigma_hat, rho_hat = (output[t] for output in outputs)
        density = mpmath.mpf(0)
        for j in range(K):
            pi = mpmath.exp(pi_hat[j]) / sum(mpmath.exp(a) for a in pi_hat)
            s1, s2, rho = mpmath.exp(sigma_hat[0, j]), mpmath.exp(sigma_hat[1, j]), mpmath.tanh(rho_hat[j])
            d1, d2 = (x[t, 0] - mpmath.mpf(mu[0, j])) / s1, (x[t, 1] - mpmath.mpf(mu[1, j])) / s2
            Z = d1**2 + d2**2 - 2 * rho * d1 * d2
            scale = 2 * mpmath.pi * s1 * s2 * mpmath.sqrt(1 - rho**2)
            density += pi * mpmath.exp(-Z / (2 * (1 - rho**2))) / scale
        e = 1 / (1 + mpmath.exp(e_hat))
        total -= mpmath.log(density) + mpmath.log(e if x[t, 2] == 1 else 1 - e)
    return float(total)


def test_the_loss_is_his(case, compiled):
    outputs, x = case
    expected = loss_by_mpmath(outputs, x)
    params = parameters(*outputs)
    assert -FAMILY(params).log_prob(x).sum() == pytest.approx(expected, rel=1e-13)
    assert compiled(lambda params: LOSS(x, params), params) == pytest.approx(expected, rel=1e-5)


def test_the_gradients_are_his(case, gradient):
    outputs, x = case
    e_hat, *others = gradients_by_hand(outputs, x)
    expected = parameters(e_hat, *others)  # dL/dlogit = -dL/de_hat: the same change of sign
    params = parameters(*outputs)
    _, slope = gradient(lambda params: LOSS.call(x.astype("float32"), params), params)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rho_hat", [-7.0, 7.0])
def test_they_are_where_the_correlation_is_almost_one(case, rho_hat, gradient):
    """1 - rho^2 is 3e-6: subtracted in float32 it would have one digit."""
    outputs = [np.float64(np.float32(output)) for output in case[0]]
    outputs[4] = np.full((ROWS, K), rho_hat)
    x = FAMILY(parameters(*outputs)).sample(1, seed=0)[0].astype("float32")
    expected = parameters(*gradients_by_hand(outputs, x.astype("float64")))
    assert np.abs(expected).max() > 100
    _, slope = gradient(lambda params: LOSS.call(x, params), parameters(*outputs))
    np.testing.assert_allclose(slope, expected, rtol=2e-3, atol=2e-3)


def test_the_responsibilities_are_his(case):
    outputs, x = case
    p = FAMILY(parameters(*outputs))["offset"]
    gamma = p.weights - gradients_by_hand(outputs, x)[1]
    np.testing.assert_allclose(p.responsibilities(x[:, :2]), gamma, rtol=1e-10, atol=1e-15)
