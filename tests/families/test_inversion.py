import math

import numpy as np
import pytest
from scipy import stats

import mixtura as mx

FAMILY = mx.Mixture(mx.Normal(1), 5)
ROWS = np.random.default_rng(0).normal(size=(7, 15)) * 2
GAP = mx.Mixture(mx.Normal(1), 2)([0.0, 0.0, -100.0, 100.0, 0.0, 0.0])


def test_quantile_inverts_the_cdf_and_isf_the_sf():
    p = FAMILY(ROWS)
    y = np.random.default_rng(1).normal(size=(7, 1)) * 3
    np.testing.assert_allclose(p.quantile(p.cdf(y)), y, rtol=1e-9)
    np.testing.assert_allclose(p.isf(p.sf(y)), y, rtol=1e-9)


def test_levels_come_back():
    p = FAMILY(ROWS)
    levels = np.array([1e-9, 0.01, 0.5, 0.99])[:, None]
    assert p.quantile(levels).shape == (4, 7, 1)
    np.testing.assert_allclose(p.cdf(p.quantile(levels)), levels * np.ones(7), rtol=1e-12)
    np.testing.assert_allclose(p.sf(p.isf(levels)), levels * np.ones(7), rtol=1e-12)


def test_each_row_may_have_its_own_level():
    p = FAMILY(ROWS)
    levels = np.linspace(0.1, 0.9, 7)
    together = p.quantile(levels)
    alone = [p[i].quantile(level) for i, level in enumerate(levels)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@pytest.mark.parametrize("tail", [1e-9, 1e-15, 1e-100])
def test_far_tails_are_exact(tail):
    """The far component's tail is the mixture's."""
    assert GAP.isf(tail)[0] == pytest.approx(100 + stats.norm.isf(2 * tail), rel=1e-12)
    assert GAP.quantile(tail)[0] == pytest.approx(-100 + stats.norm.ppf(2 * tail), rel=1e-12)


@pytest.mark.parametrize("method", ["quantile", "isf"])
def test_a_gap_gives_its_left_edge(method):
    """inf{y: F(y) >= 1/2}: F rounds to 1/2 from some eight scales above the left component on."""
    assert -93 < getattr(GAP, method)(0.5)[0] < -90


def test_the_quantile_is_the_least_solution():
    y = GAP.quantile(0.5)
    assert GAP.cdf(y) >= 0.5
    assert GAP.cdf(y - 1e-6) < 0.5


def test_zero_and_one_are_infinite():
    for p in (GAP, mx.Normal(1)([0.0, 0.0])):
        assert p.quantile(0.0) == p.isf(1.0) == -math.inf
        assert p.quantile(1.0) == p.isf(0.0) == math.inf


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_components_that_agree_are_one(scale):
    """The bracket between the components' quantiles has no width."""
    activation = scale - 1 if scale > 1 else math.log(scale)
    p = mx.Mixture(mx.Normal(1), 3)([*[0.3, -0.2, 1.0], *[-scale] * 3, *[activation] * 3])
    levels = np.linspace(0.01, 0.99, 99)
    truth = stats.norm(-scale, scale)
    np.testing.assert_allclose(p.quantile(levels)[:, 0], truth.ppf(levels), rtol=1e-9, atol=1e-12 * scale)
    np.testing.assert_allclose(p.isf(levels)[:, 0], truth.isf(levels), rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("logit", [-1e4, -math.inf])
def test_a_component_of_weight_zero_does_not_matter(logit):
    p = mx.Mixture(mx.Normal(1), 2)([0.0, logit, 0.0, 1e12, 0.0, 0.0])
    assert p.quantile(0.9)[0] == pytest.approx(stats.norm.ppf(0.9), rel=1e-12)
    assert p.isf(1e-9)[0] == pytest.approx(stats.norm.isf(1e-9), rel=1e-12)
