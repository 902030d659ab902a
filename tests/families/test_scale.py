import math

import numpy as np
import pytest

import mixtura as mx

EXTREME = [-1e4, -20.0, -15.000001, -15.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 20.0, 300.0]
SMALLEST = math.exp(-30)  # the documented bound on scales without a floor

EXACT = {
    "elu": lambda a: a + 1 if a > 0 else math.exp(a),
    "softplus": lambda a: a + math.log1p(math.exp(-a)) if a > 0 else math.log1p(math.exp(a)),
    "exp": math.exp,
}


def scale_of(kind, activation, min_scale=0.0):
    return math.sqrt(mx.Normal(1, scale=kind, min_scale=min_scale)([0.0, activation]).variance()[0])


@pytest.mark.parametrize("activation", EXTREME)
@pytest.mark.parametrize("kind", EXACT)
def test_scales_are_the_activations_exact_values(kind, activation):
    assert scale_of(kind, activation) == pytest.approx(
        max(EXACT[kind](activation), SMALLEST), rel=1e-11, abs=0
    )


@pytest.mark.parametrize("kind", ["elu", "softplus"])
def test_large_activations_grow_linearly(kind):
    assert scale_of(kind, 1e4) == pytest.approx(EXACT[kind](1e4), rel=1e-12)


@pytest.mark.parametrize("activation", [-1e4, -15.0, 0.0, 1e4])
@pytest.mark.parametrize("kind", EXACT)
def test_log_density_at_the_mean_is_minus_the_log_scale(kind, activation):
    log_scale = activation if kind == "exp" else math.log(EXACT[kind](activation) or SMALLEST)
    expected = -max(log_scale, -30.0) - 0.5 * math.log(2 * math.pi)
    log_prob = mx.Normal(1, scale=kind)([0.0, activation]).log_prob(0.0)
    assert log_prob == pytest.approx(expected, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("activation", [-1e4, -20.0, 0.0, 3.0])
@pytest.mark.parametrize("kind", EXACT)
def test_min_scale_is_added_to_the_scale(kind, activation):
    assert scale_of(kind, activation, 0.25) == pytest.approx(EXACT[kind](activation) + 0.25, rel=1e-11, abs=0)


def test_scales_are_exact_on_tensors(every_option, exact_scale, assert_exact, mp):
    activations = np.array([[0.0, a] for a in (-20, -15.5, -15, -14.5, -1, -0.5, 0, 0.5, 1, 20, 80)])
    truth = [[float(exact_scale(a, **options)) for a in activations[:, 1]] for options in every_option]
    families = [mx.Laplace(**options) for options in every_option]
    # Relative errors: the logarithm of twice the scale is minus the log density at the centre.
    truth = -np.log(2 * np.array(truth))
    assert_exact(lambda params: [f.log_prob(params, 0.0) for f in families], activations, truth=truth)


def test_slopes_are_exact_at_zero_and_away(every_option, slopes, mp, exact_scale):
    """Zero is where networks begin, and where backends differ on the slopes of maximum and logaddexp."""
    activations = (-20, -15, -1, 0, 1, 20)

    def log_scales(a):
        return mp.fsum(mp.log(exact_scale(a, **options)) for options in every_option)

    truth = [float(-mp.diff(log_scales, a, direction=1)) for a in activations]
    families = [mx.Laplace(**options) for options in every_option]
    slope = slopes(
        lambda params: sum(f.log_prob(params, 0.0) for f in families), [[0, a] for a in activations]
    )
    np.testing.assert_allclose(slope[:, 1], truth, rtol=1e-5)


@pytest.mark.parametrize("kind", EXACT)
def test_the_slope_at_minus_fifteen_has_no_step(kind, gradient, tensor):
    """The slope of log p at the mean is minus that of the log scale, about -1 far below zero."""
    params = [[0.0, -15.001], [0.0, -14.999], [0.0, -29.0]]
    _, slope = gradient(lambda p: mx.Normal(1, scale=kind).log_prob(p, tensor([0.0])), params)
    np.testing.assert_allclose(slope[:, 1], -1.0, atol=1e-5)
