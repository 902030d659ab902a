import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy import optimize

import mixtura as mx

LINES = [mx.Normal(1), mx.Laplace(1), mx.LogNormal(1), mx.LogitNormal(1, -1.0, 3.0)]
PLANES = [
    mx.Normal(2, "spherical"),
    mx.Normal(2),
    mx.Normal(2, "full"),
    mx.Normal(2, "bivariate"),
    mx.Laplace(2),
    mx.LogNormal(2, "full"),
    mx.LogitNormal(2, -1.0, 3.0, "full"),
]


def random_rows(family, count, spread=0.7):
    return spread * np.random.default_rng(family.params_size).normal(size=(count, family.params_size))


def assert_highest(p, y, room=1e-12):
    """The mode's density is at least that of all points y `(points, rows, D)`."""
    height = p.log_prob(p.mode())
    assert (p.log_prob(y).max(axis=0) <= height + room * (1 + np.abs(height))).all()


def line(p, points):
    """Many quantiles of each row, and each component's location."""
    levels = np.concatenate([np.geomspace(1e-9, 0.01, 30), np.linspace(0.01, 1, points, endpoint=False)])
    y = p.quantile(levels[:, None])
    return np.concatenate([y, p.isf(levels[:30, None])])


@pytest.mark.parametrize(
    "leaf", [*LINES, mx.Mixture(mx.Normal(1), 2), mx.Affine(mx.LogNormal(1), -3.0, 0.1)], ids=repr
)
@pytest.mark.parametrize("count", [2, 6, pytest.param(40, marks=pytest.mark.slow)])
def test_a_mode_beats_a_fine_line(leaf, count):
    family = mx.Mixture(leaf, count)
    p = family(random_rows(family, 20, spread=1.0))
    assert_highest(p, line(p, 400))
    outside = mx.Affine(family, 5.0, 2.0)(p.params)
    np.testing.assert_allclose(outside.mode(), 5 + 2 * p.mode(), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("leaf", [*PLANES, mx.Mixture(mx.Normal(2, "full"), 2)], ids=repr)
@pytest.mark.parametrize("count", [2, 5])
def test_a_mode_beats_a_fine_grid(leaf, count):
    family = mx.Mixture(leaf, count)
    p = family(random_rows(family, 10))
    first, second = (line(p.marginal(d), 60)[..., 0] for d in (0, 1))
    y = np.stack(np.broadcast_arrays(first[:, None], second[None]), axis=-1)
    assert_highest(p, y.reshape(-1, 10, 2))
    inside = mx.Mixture(mx.Affine(leaf, [1.0, -2.0], [0.5, 3.0]), count)(p.params)
    np.testing.assert_allclose(inside.mode(), [1, -2] + np.array([0.5, 3]) * p.mode(), rtol=1e-12)


@pytest.mark.parametrize("leaf", [mx.Normal(1, scale="exp"), mx.LogNormal(1, scale="exp")], ids=repr)
def test_a_mode_is_where_the_slope_vanishes(leaf, mp):
    """To nine digits, by mpmath."""
    family = mx.Mixture(leaf, 4)
    params = random_rows(family, 10)
    modes = family(params).mode()[:, 0]
    for mode, row in zip(modes, params, strict=True):
        logits, means, scales = (list(map(mp.mpf, values)) for values in row.reshape(3, 4))

        def slope(x, components=(logits, means, scales)):
            """Of the density in y, times positive numbers."""
            total = 0
            for logit, mean, a in zip(*components, strict=True):
                z = (mean - x) / mp.exp(a)
                pull = z / mp.exp(a) - isinstance(leaf, mx.LogNormal)
                total += mp.exp(logit - a - z**2 / 2) * pull
            return total

        x = math.log(mode) if isinstance(leaf, mx.LogNormal) else mode
        assert abs(mp.findroot(slope, x) - x) < 1e-9


def test_components_that_nearly_agree_have_one_mode_between_them():
    """The fixed-point iteration alone converges there as slowly as at the edge of two modes."""
    for gap in (1.9, 1.99, 1.9999, 2.0):
        p = mx.Mixture(mx.Normal(1), 2)([0.0, 0.0, -gap / 2, gap / 2, 0.0, 0.0])
        assert p.mode()[0] == pytest.approx(0, abs=1e-3)
        assert p.log_prob(p.mode()) == pytest.approx(p.log_prob(0.0), abs=1e-12)
    p = mx.Mixture(mx.Normal(1), 2)([0.0, 0.0, -1.5, 1.5, 0.0, 0.0])
    slopeless = optimize.brentq(lambda y: math.tanh(1.5 * y) - y / 1.5, 1, 2)
    assert abs(p.mode()[0]) == pytest.approx(slopeless, abs=1e-6)


@pytest.mark.parametrize("width", [0.3, 0.03, 1e-3])
@pytest.mark.parametrize("leaf", [mx.Normal(2, scale="exp"), mx.LogNormal(2, scale="exp")], ids=repr)
def test_where_ridges_cross_there_can_be_a_mode_far_from_every_mean(leaf, width):
    """A long level ridge and a long upright one."""
    wide, narrow = math.log(2), math.log(width)
    p = mx.Mixture(leaf, 2)(np.ravel([[0, 0], [-1, 0], [0, -1], [wide, narrow], [narrow, wide]]))
    mode = p.mode()
    if isinstance(leaf, mx.Normal):
        np.testing.assert_allclose(mode, [0, 0], atol=width)
    steps = np.stack(np.meshgrid(*[np.linspace(-3 * width, 3 * width, 61)] * 2), axis=-1)
    start = np.zeros(2) if isinstance(leaf, mx.Normal) else np.ones(2)
    assert p.log_prob(mode) >= p.log_prob(start + steps).max() - 1e-12


def test_a_mode_of_laplace_distributions_need_not_be_at_ones_location():
    """Component 0 knows where dimension 0 is, component 1 where dimension 1 is."""
    sharp, flat = math.log(0.01), 9.0
    p = mx.Mixture(mx.Laplace(2), 2)([0, 0, 1, -1, 2, -2, sharp, flat, flat, sharp])
    np.testing.assert_array_equal(p.mode(), [1, -2])
    candidates = list(itertools.product([1, -1], [2, -2]))
    assert p.log_prob(p.mode()) == max(p.log_prob(y) for y in candidates)


@pytest.mark.parametrize("size", [2, 3])
def test_modes_of_laplace_distributions_are_the_best_of_all_combinations(size):
    """A maximum has each coordinate at some component's location."""
    family = mx.Mixture(mx.Laplace(size), 6)
    params = random_rows(family, 50, spread=1.5)
    p = family(params)
    locations = params[:, 6 : 6 + 6 * size].reshape(50, size, 6)
    choices = np.array(list(itertools.product(range(6), repeat=size)))
    y = locations[:, np.arange(size), choices].transpose(1, 0, 2)
    assert_highest(p, y)


def test_modes_of_discrete_mixtures_are_the_likeliest_events():
    family = mx.Mixture(mx.Categorical(4), 3)
    p = family(random_rows(family, 50, spread=2.0))
    likeliest = np.argmax([p.log_prob(outcome) for outcome in np.eye(4)], axis=0)
    np.testing.assert_array_equal(p.mode(), np.eye(4)[likeliest])
    family = mx.Mixture(mx.Bernoulli(), 3)
    p = family(random_rows(family, 50, spread=2.0))
    np.testing.assert_array_equal(p.mode()[:, 0], p.log_prob(1.0) > p.log_prob(0.0))


def test_a_mixture_of_several_bernoulli_events_says_that_it_has_no_mode():
    p = mx.Mixture(mx.Bernoulli(2), 2)(np.zeros(6))
    with pytest.raises(NotImplementedError, match="has no mode of a mixture; use the best of many samples"):
        p.mode()


def test_modes_of_parts_and_copies_are_theirs():
    mixture = mx.Mixture(mx.Normal(1), 3)
    copies = mx.Independent(mixture, 4)
    params = random_rows(copies, 5)
    expected = mixture(params.reshape(5, 4, 9)).mode()[..., 0]
    np.testing.assert_array_equal(copies(params).mode(), expected)
    joint = mx.Joint(copies=copies, pen=mx.Categorical(3), end=mx.Bernoulli())
    params = np.concatenate([params, np.tile([0.0, 1.0, -1.0, 2.0], (5, 1))], axis=-1)
    tail = np.tile([0, 1, 0, 1], (5, 1))
    np.testing.assert_array_equal(joint(params).mode(), np.concatenate([expected, tail], axis=-1))


def test_a_mode_at_an_end_of_the_support_is_inside_it():
    """With this scale the density rises towards 1 closer than float64 resolves."""
    p = mx.Mixture(mx.LogitNormal(1), 2)([0.0, 0.0, 1.0, 1.5, 7.0, 6.5])
    assert p.mode()[0] < 1
    assert np.isfinite(p.log_prob(p.mode()))


@pytest.mark.parametrize("a", [5.0, 20.0, 30.0])
def test_dimensions_that_hardly_differ_have_a_mode(a):
    """Correlations tanh(a): from 20 on float64 cannot tell them from 1."""
    family = mx.Mixture(mx.Normal(2, "bivariate"), 3)
    params = random_rows(family, 20)
    params[:, -3:] = a * np.sign(params[:, -3:])
    p = family(params)
    assert_highest(p, np.moveaxis(p.means, 1, 0))


def test_raw_activations_of_any_size_have_a_mode():
    rng = np.random.default_rng(0)
    for leaf in (*LINES, mx.Normal(2), mx.Normal(2, "full"), mx.Laplace(2)):
        family = mx.Mixture(leaf, 3)
        params = rng.choice([-1e4, -30.0, -1.0, 0.0, 1.0, 30.0, 1e4], size=(100, family.params_size))
        assert not np.isnan(family(params).mode()).any()


@pytest.mark.slow
@pytest.mark.parametrize("leaf", [mx.Normal(2, "full"), mx.Laplace(2), mx.LogNormal(2)], ids=repr)
def test_modes_of_many_components_need_little_memory(leaf):
    family = mx.Mixture(leaf, 500)
    p = family(random_rows(family, 2))
    tracemalloc.start()
    mode = p.mode()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500e6
    centres = np.moveaxis(p.means, 1, 0)
    assert (p.log_prob(mode) >= p.log_prob(centres).max(axis=0) - 1e-9).all()


def test_modes_of_many_rows_are_those_of_each():
    family = mx.Mixture(mx.Normal(1), 3)
    params = random_rows(family, 40).reshape(2, 20, -1)
    together = family(params).mode()
    assert together.shape == (2, 20, 1)
    np.testing.assert_allclose(together[1, 7], family(params[1, 7]).mode(), atol=1e-6)
    assert family(params[:, :0]).mode().shape == (2, 0, 1)
