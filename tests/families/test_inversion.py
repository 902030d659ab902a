import math

import numpy as np
import pytest
from scipy import stats

import mixtura as mx
from mixtura.families import inversion

FAMILY = mx.Mixture(mx.Normal(1), 5)
ROWS = np.random.default_rng(0).normal(size=(7, 15)) * 2
GAP = mx.Mixture(mx.Normal(1), 2)([0.0, 0.0, -100.0, 100.0, 0.0, 0.0])
LEAVES = [
    mx.Normal(1, scale="exp"),
    mx.Laplace(1, scale="exp"),
    mx.LogNormal(1),
    mx.LogitNormal(1, -1.0, 3.0),
    mx.Affine(mx.Normal(1), 20.0, 0.1),
    mx.Mixture(mx.Normal(1), 2),
]
every_leaf = pytest.mark.parametrize("leaf", LEAVES, ids=repr)


# The inverse.


@every_leaf
def test_quantile_inverts_the_cdf_and_isf_the_sf(leaf):
    """Wherever the density exceeds 1e-6."""
    family = mx.Mixture(leaf, 5)
    rng = np.random.default_rng(0)
    p = family(rng.normal(size=(50, family.params_size)))
    y = p.quantile(rng.random((40, 50)))
    dense = p.log_prob(y) > math.log(1e-6)
    assert dense.mean() > 0.99
    tails = {"quantile": p.cdf(y), "isf": p.sf(y)}
    for method, level in tails.items():
        # Where a probability is close to 1, its own rounding moves the quantile.
        allowed = 1e-12 * np.abs(y[..., 0]) + 1e-14 + 1e-15 * level / np.exp(p.log_prob(y))
        assert (np.abs(getattr(p, method)(level) - y)[dense, 0] <= allowed[dense]).all()


@every_leaf
@pytest.mark.parametrize("spread", [1, 3])
def test_levels_come_back(leaf, spread):
    family = mx.Mixture(leaf, 5)
    p = family(spread * np.random.default_rng(1).normal(size=(50, family.params_size)))
    levels = np.array([1e-300, 1e-30, 1e-9, 0.01, 0.3, 0.5, 0.7, 0.99])[:, None]
    for inverse, tail, sign in ((p.quantile, p.cdf, 1), (p.isf, p.sf, -1)):
        y = inverse(levels)
        assert y.shape == (8, 50, 1)
        # The level lies between those a few roundings of y to either side.
        room = 4e-15 * np.abs(y) + (1e-14 if isinstance(leaf, mx.Affine | mx.LogitNormal) else 0.0)
        ends = np.stack([tail(y - sign * room), tail(y + sign * room)])
        assert (ends[0] <= levels * (1 + 1e-12)).all()
        assert (ends[1] >= levels * (1 - 1e-12)).all()


def test_each_row_may_have_its_own_level():
    p = FAMILY(ROWS)
    levels = np.linspace(0.1, 0.9, 7)
    together = p.quantile(levels)
    alone = [p[i].quantile(level) for i, level in enumerate(levels)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


# Tails.


@pytest.mark.parametrize("tail", [1e-9, 1e-15, 1e-100, 1e-300])
def test_far_tails_are_exact(tail):
    """The far component's tail is the mixture's."""
    assert GAP.isf(tail)[0] == pytest.approx(100 + stats.norm.isf(2 * tail), rel=1e-12)
    assert GAP.quantile(tail)[0] == pytest.approx(-100 + stats.norm.ppf(2 * tail), rel=1e-12)


@pytest.mark.parametrize("tail", [1e-9, 1e-300])
def test_tails_hold_their_level_to_nine_digits(tail, mp):
    """Three normals that share a tail, by mpmath."""
    logits, means, activations = [0.5, -0.5, 1.0], [-1.0, 0.5, 2.0], [0.5, 1.25, 0.75]
    p = mx.Mixture(mx.Normal(1), 3)([*logits, *means, *activations])

    def exact_cdf(y, sign):
        weights = [mp.exp(logit) for logit in logits]
        parts = zip(weights, means, activations, strict=True)
        z = [(w, sign * (mp.mpf(float(y)) - m) / (1 + a)) for w, m, a in parts]
        return sum(w * mp.ncdf(z) for w, z in z) / sum(weights)

    assert abs(exact_cdf(p.quantile(tail)[0], 1) / tail - 1) < 1e-9
    assert abs(exact_cdf(p.isf(tail)[0], -1) / tail - 1) < 1e-9


@pytest.mark.parametrize("leaf", [mx.Laplace(1), mx.LogNormal(1)], ids=repr)
def test_tails_of_equal_components_are_scipys(leaf):
    p = mx.Mixture(leaf, 3)([0.5, -0.5, 1.0, *[2.0] * 3, *[1.0] * 3])
    truth = {mx.Laplace(1): stats.laplace(2, 2), mx.LogNormal(1): stats.lognorm(2, scale=math.exp(2))}[leaf]
    levels = np.array([1e-300, 1e-9, 0.2, 0.5])
    np.testing.assert_allclose(p.quantile(levels)[:, 0], truth.ppf(levels), rtol=1e-12)
    np.testing.assert_allclose(p.isf(levels)[:, 0], truth.isf(levels), rtol=1e-12)


def test_zero_and_one_are_the_ends_of_the_support():
    for p in (GAP, mx.Normal(1)([0.0, 0.0])):
        assert p.quantile(0.0) == p.isf(1.0) == -math.inf
        assert p.quantile(1.0) == p.isf(0.0) == math.inf
    for leaf, low, high in ((mx.LogNormal(1), 0, math.inf), (mx.LogitNormal(1, -1.0, 3.0), -1, 3)):
        p = mx.Mixture(leaf, 2)(np.arange(6.0))
        assert p.quantile(0.0) == p.isf(1.0) == low
        assert p.quantile(1.0) == p.isf(0.0) == high


# Gaps.


@pytest.mark.parametrize("width", [1e2, 1e5, 1e8])
@pytest.mark.parametrize("share", [0.5, 0.3, 0.1, 1 / 3, 0.9])
def test_a_gap_gives_its_left_edge(share, width):
    """However the weight of what lies below is rounded: F reaches it some eight scales above that."""
    p = mx.Mixture(mx.Normal(1), 2)([math.log(share), math.log(1 - share), 0.0, width, 0.0, 0.0])
    assert 7 < p.quantile(share)[0] < 9
    assert 7 < p.isf(1 - share)[0] < 9
    assert p.quantile(share * (1 + 1e-9))[0] == pytest.approx(width, abs=7)
    assert p.quantile(share * (1 - 1e-9))[0] < 7
    assert p.isf((1 - share) * (1 - 1e-9))[0] == pytest.approx(width, abs=7)
    assert p.isf((1 - share) * (1 + 1e-9))[0] < 7


def test_a_gap_between_many_components_gives_its_left_edge():
    """Weights 0.1, ..., 0.4 add up with roundings."""
    weights = np.array([1, 2, 3, 4]) / 10
    p = mx.Mixture(mx.Normal(1), 4)([*np.log(weights), *(1e3 * np.arange(4)), *np.zeros(4)])
    for below in (1, 2, 3):
        left = 1e3 * (below - 1)
        for q in (weights[:below].sum(), sum(weights[:below]), math.fsum(weights[:below])):
            assert left + 7 < p.quantile(q)[0] < left + 9
            assert left + 7 < p.isf(1 - q)[0] < left + 9


def test_the_quantile_is_the_least_solution():
    y = GAP.quantile(0.5)
    assert GAP.cdf(y) >= 0.5 * (1 - 2**-49)
    assert GAP.cdf(y - 1e-3) < 0.5 * (1 - 2**-52)


def test_discrete_events_have_steps():
    p = mx.Mixture(mx.Bernoulli(), 2)([0.0, 1.0, -2.0, 0.5])
    zero = math.exp(p.log_prob(0.0))
    levels = [0.0, 0.5 * zero, zero * (1 - 1e-9), zero * (1 + 1e-9), 1.0]
    np.testing.assert_array_equal(p.quantile(levels)[:, 0], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(p.isf(1 - np.array(levels))[:, 0], [0, 0, 0, 1, 1])


# Extremes.


def test_scales_of_every_size_side_by_side():
    """Scales of 1e-6 and 1e6 around the same place: F by SciPy at the quantile is the level."""
    parts = stats.norm([1.0, 0.0], [1e-6, 1e6])
    p = mx.Mixture(mx.Normal(1), 2)([0.0, 0.0, 1.0, 0.0, math.log(1e-6), 1e6 - 1])
    levels = np.array([1e-9, 0.2, 0.26, 0.5, 0.74, 0.9, 1 - 1e-9])
    y = p.quantile(levels)
    np.testing.assert_allclose(parts.cdf(y).mean(axis=-1), levels, rtol=1e-9)
    y = p.isf(levels)
    np.testing.assert_allclose(parts.sf(y).mean(axis=-1), levels, rtol=1e-9)


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


def test_a_thousand_components():
    """Equal normals in a row are nearly uniform."""
    p = mx.Mixture(mx.Normal(1), 1000)([*np.zeros(1000), *np.arange(1000.0), *np.zeros(1000)])
    levels = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(p.quantile(levels)[:, 0], 1000 * levels - 0.5, atol=1e-6)
    np.testing.assert_allclose(p.isf(levels)[:, 0], 999.5 - 1000 * levels, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("leaf", [mx.Normal(1), mx.Laplace(1), mx.LogNormal(1), mx.LogitNormal(1)], ids=repr)
def test_raw_activations_of_any_size_have_quantiles(leaf):
    family = mx.Mixture(leaf, 3)
    params = np.random.default_rng(0).choice([-1e4, -100.0, 0.0, 1.0, 100.0, 1e4], size=(200, 9))
    levels = np.array([0.0, 1e-300, 1e-9, 0.3, 0.5, 1 - 1e-9, 1.0])[:, None]
    for method in ("quantile", "isf"):
        y = getattr(family(params), method)(levels)
        lower, higher = (y[:-1], y[1:]) if method == "quantile" else (y[1:], y[:-1])
        room = 1e-14 * np.where(np.isfinite(higher), np.abs(higher), 0.0) + 1e-300
        assert (lower <= higher + room).all()


@pytest.mark.slow
def test_a_component_beyond_the_largest_number_does_not_matter():
    """Its own quantiles are infinite."""
    p = mx.Mixture(mx.LogNormal(1, scale="exp"), 2)([0.0, 0.0, 0.0, 1e4, 0.0, 0.0])
    np.testing.assert_allclose(p.quantile([0.1, 0.25, 0.4])[:, 0], stats.lognorm(1).ppf([0.2, 0.5, 0.8]))
    np.testing.assert_allclose(p.isf([0.9, 0.75, 0.6])[:, 0], stats.lognorm(1).ppf([0.2, 0.5, 0.8]))
    assert p.quantile(0.6)[0] == p.isf(0.4)[0] == math.inf


def test_rows_that_are_not_numbers_stay_so():
    p = mx.Mixture(mx.Normal(1), 2)([[math.nan, 0, 0, 1, 0, 0], [0, 0, 1, 1, 0, 0]])
    y = p.quantile(0.5)[:, 0]
    assert np.isnan(y[0])
    assert y[1] == pytest.approx(1)


# Work.


@pytest.mark.parametrize(("leaf", "most"), [(mx.Normal(1), 20), (mx.Laplace(1), 20), (mx.LogNormal(1), 40)])
def test_a_search_takes_few_evaluations_and_no_loop_over_rows(leaf, most, monkeypatch):
    family = mx.Mixture(leaf, 5)
    p = family(np.random.default_rng(0).normal(size=(1000, family.params_size)))
    sizes = []

    def cdf(self, xp, params, y, original=mx.Mixture._cdf):
        sizes.append(len(params))
        return original(self, xp, params, y)

    monkeypatch.setattr(mx.Mixture, "_cdf", cdf)
    p.quantile(np.linspace(0.01, 0.99, 8)[:, None])
    assert sum(sizes) < most * 8000  # that many evaluations for each quantile
    assert len(sizes) < 300  # in so many calls for all of them


def test_many_quantiles_are_solved_in_pieces_that_agree(monkeypatch):
    p, levels = FAMILY(ROWS), np.linspace(0.01, 0.99, 50)[:, None]
    together = p.quantile(levels)
    monkeypatch.setattr(inversion, "PIECE", 15 * 11)
    np.testing.assert_array_equal(p.quantile(levels), together)


@pytest.mark.slow
def test_a_million_quantiles_in_one_call():
    p = mx.Mixture(mx.Normal(1), 5)(np.random.default_rng(0).normal(size=(100_000, 15)))
    levels = np.linspace(0.05, 0.95, 10)[:, None]
    y = p.quantile(levels)
    np.testing.assert_allclose(p.cdf(y), levels * np.ones(100_000), rtol=1e-12)


def test_nothing_is_asked_of_an_empty_batch():
    assert FAMILY(ROWS[:0]).quantile(0.5).shape == (0, 1)
