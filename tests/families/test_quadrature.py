import math

import numpy as np
import pytest
from keras import ops
from scipy.special import expit

from mixtura.families import host
from mixtura.families.quadrature import integrate, normal_expectation


def test_panels_integrate_polynomials_exactly():
    """Sixteen points do up to degree 31."""
    edges = np.array([[0.0, 0.5, 2.0], [-1.0, -1.0, 1.0]])
    for degree in (0, 1, 30, 31):
        high, low = ((edges[:, end]) ** (degree + 1) / (degree + 1) for end in (-1, 0))
        total = integrate(host, lambda x, n=degree: x**n, edges)
        np.testing.assert_allclose(total, high - low, rtol=1e-13, atol=1e-14)


def test_a_function_sees_its_own_row():
    edges = np.array([[0.0, 1.0], [0.0, 1.0]])
    factors = np.array([[1.0], [3.0]])
    np.testing.assert_allclose(integrate(host, lambda x: factors * x, edges), [0.5, 1.5], rtol=1e-14)


MEANS, SIGMAS = np.meshgrid([-30.0, -1.0, 0.0, 0.5, 100.0], [1e-6, 0.1, 1.0, 10.0, 1000.0])


@pytest.mark.parametrize(
    ("f", "truth"),
    [
        (lambda x: 1 + 0 * x, 1 + 0 * MEANS),
        (lambda x: x, MEANS),
        (lambda x: x * x, MEANS**2 + SIGMAS**2),
    ],
    ids=["mass", "mean", "square"],
)
def test_expectations_of_polynomials_are_the_normals_moments(f, truth):
    actual = normal_expectation(host, f, MEANS, SIGMAS)
    np.testing.assert_allclose(actual, truth, rtol=1e-13, atol=1e-12)


def test_expectations_of_logistic_functions_are_symmetric():
    """A normal and a logistic function mirrored together give the rest of 1."""
    upper = normal_expectation(host, expit, MEANS, SIGMAS)
    lower = normal_expectation(host, expit, -MEANS, SIGMAS)
    np.testing.assert_allclose(upper + lower, 1, rtol=1e-14)
    np.testing.assert_allclose(upper[MEANS == 0], 0.5, rtol=1e-14)


@pytest.mark.parametrize(
    ("mean", "sigma"), [(-30.0, 1.0), (-3.0, 0.5), (0.5, 1.0), (0.5, 5.0), (2.0, 30.0), (-40.0, 30.0)]
)
def test_expectations_of_logistic_functions_are_mpmaths(mean, sigma, mp):
    cuts = sorted([*range(-40, 41, 4), *(min(max((c - mean) / sigma, -40), 40) for c in (-8, -1, 1, 8))])
    with mp.workdps(20):
        truth = mp.quad(lambda z: mp.npdf(z) / (1 + mp.exp(-(mean + sigma * z))), cuts)
    actual = normal_expectation(host, expit, np.array(mean), np.array(sigma))
    assert actual == pytest.approx(float(truth), rel=1e-13)


def test_tensors_keep_their_dtype_and_digits(on_tensors):
    """Also where sigma is small beside the mean."""
    truth = normal_expectation(host, expit, MEANS, SIGMAS)
    for dtype, digits in (("float32", 1e-6), ("float64", 1e-14)):
        actual = on_tensors(
            lambda m, s: normal_expectation(ops, ops.sigmoid, m, s), MEANS, SIGMAS, dtype=dtype
        )
        np.testing.assert_allclose(actual, truth, rtol=digits, atol=digits)


def test_slopes_of_expectations_are_expectations_of_slopes(assert_slopes):
    params = np.array([[0.0, 0.0], [0.5, 1.0], [-3.0, -1.0]])

    def mean_of_tanh(params):
        xp, tanh, exp = (ops, ops.tanh, ops.exp) if ops.is_tensor(params) else (host, np.tanh, np.exp)
        return normal_expectation(xp, tanh, params[..., 0], exp(params[..., 1]))

    assert_slopes(mean_of_tanh, params)
    assert math.isclose(mean_of_tanh(params)[0], 0, abs_tol=1e-16)
