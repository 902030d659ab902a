"""The documented functions of the logarithms, against mpmath with 50 digits."""

import numpy as np
import pytest
from keras import ops
from scipy.special import expit

from mixtura.families import host, special


@pytest.fixture
def exact(assert_exact):
    """Assert that `f(xp, *arrays)` is the truth on arrays and on tensors."""

    def check(f, *arrays, truth, **digits):
        def on_either(*values):
            return f(ops if ops.is_tensor(values[0]) else host, *values)

        assert_exact(on_either, *arrays, truth=truth, **digits)

    return check


def single(*values):
    """Numbers that float32 holds exactly."""
    return np.array(values, "float32").astype(float)


def test_softplus_is_exact(exact, mp):
    x = single(-1e4, -300, -20.5, -1, -1e-3, 0, 1e-9, 0.5, 20, 20.5, 37, 1e4)
    exact(special.softplus, x, truth=np.array([float(mp.log1p(mp.exp(mp.mpf(v)))) for v in x]), float64=1e-15)
    small = special.softplus(host, x[:2])
    np.testing.assert_allclose(small, np.exp(x[:2]), rtol=1e-14)  # relatively, too


def test_slope_of_softplus_is_the_logistic_function_at_zero_too(slopes):
    x = single(-1e4, -30, -1, 0, 1, 30, 1e4)
    for dtype in ("float32", "float64"):
        slope = slopes(lambda x: special.softplus(ops, x), x, dtype=dtype)
        np.testing.assert_allclose(slope, expit(x), rtol=1e-6)


def test_logaddexp_is_exact_and_its_slope_is_a_share(exact, slopes, mp):
    a, b = single(-1e4, -3, 0, 0, 2, 2, 1e4), single(1e4, -3, 0, 1, -30, 2.5, 1e4)
    truth = [float(mp.log(mp.exp(mp.mpf(u)) + mp.exp(mp.mpf(v)))) for u, v in zip(a, b, strict=True)]
    exact(special.logaddexp, a, b, truth=np.array(truth), float64=1e-15)
    for dtype in ("float32", "float64"):
        slope = slopes(lambda a, b: special.logaddexp(ops, a, b), a, b, dtype=dtype)
        np.testing.assert_allclose(slope, expit(a - b), rtol=1e-6)


def test_log1mexp_is_exact(exact, mp):
    x = -single(1e-30, 1e-9, 1e-3, 0.5, np.log(2) - 1e-6, np.log(2), np.log(2) + 1e-6, 1, 2, 30, 500, 1e18)
    truth = np.array([float(mp.log1p(-mp.exp(mp.mpf(v)))) for v in x])
    exact(special.log1mexp, x, truth=truth, float64=1e-15)
    np.testing.assert_allclose(special.log1mexp(host, x), truth, rtol=1e-14)  # relatively, too


def test_log1mexp_of_zero_is_the_logarithm_of_zero(gradient):
    assert special.log1mexp(host, np.array(0.0)) == -np.inf
    value, slope = gradient(lambda x: special.log1mexp(ops, x), [0.0, -1e-38, -1.0, -1e30])
    assert value[0] == np.float32(-1e30)
    assert np.isfinite(slope).all()


def test_log_ndtr_is_exact(exact, mp):
    x = single(-1e4, -1e3, -40, -13, -12.001, -12, -11.999, -8, -1, -1e-9, 0, 0.5, 3, 8, 9, 40, 1e18)
    truth = np.array([float(mp.log(mp.ncdf(mp.mpf(v)))) for v in x])
    exact(special.log_ndtr, x, truth=truth, float64=2e-12)
    np.testing.assert_allclose(special.log_ndtr(host, x), truth, rtol=1e-12)


def test_slopes_of_log_ndtr_are_exact(slopes, mp):
    x = single(-1e4, -40, -12.001, -11.999, -8, -1, 0, 3, 8)
    truth = np.array([float(mp.npdf(mp.mpf(v)) / mp.ncdf(mp.mpf(v))) for v in x])
    for dtype, digits in (("float32", 2e-5), ("float64", 1e-10)):
        slope = slopes(lambda x: special.log_ndtr(ops, x), x, dtype=dtype)
        np.testing.assert_allclose(slope, truth, rtol=digits)


def test_log_ndtr_interval_is_exact_for_every_place_and_width(exact, exact_mass, mp):
    middles = single(0, 1e-3, 0.5, 2, 5, 11.9, 12.1, 20, 38, 100, 1e4)
    widths = single(1e-30, 1e-8, 1e-3, 0.1, 0.5, 1, 1.9, 2.1, 5, 20, 100, 1e5)
    low = np.concatenate(
        [np.subtract.outer(middles, widths / 2).ravel(), -np.add.outer(middles, widths / 2).ravel()]
    )
    low = single(*low)
    width = np.tile(np.broadcast_to(widths, (len(middles), len(widths))).ravel(), 2)
    with mp.workdps(80):  # the narrowest cancel 30 digits
        ends = [(mp.mpf(a), mp.mpf(a) + mp.mpf(w)) for a, w in zip(low, width, strict=True)]
        truth = np.array([float(mp.log(exact_mass(*pair))) for pair in ends])
    high = np.array([float(b) for _, b in ends])
    exact(special.log_ndtr_interval, low, high, width, truth=truth)


def test_log_ndtr_interval_of_no_width_is_the_logarithm_of_zero():
    one = np.array(1.0)
    assert special.log_ndtr_interval(host, one, one, 0 * one) == -np.inf


def test_the_logarithm_of_zero_stays_finite_on_tensors():
    assert special.log_zero(host) == -np.inf
    assert special.log_zero(ops) == -1e30
    np.testing.assert_array_equal(special.bounded(host, np.array([-np.inf, 2.0, np.inf])), [-1e30, 2, 1e30])
