"""Draws made of numbers that are there already."""

import math
from itertools import pairwise

import numpy as np
import pytest
from keras import ops
from scipy import stats

import mixtura as mx
from mixtura.families.draws import TapeDraws, numbers_of
from mixtura.sampling import PLAIN

ROWS = 4000
TAPE = np.floor(np.random.default_rng(0).uniform(size=(ROWS, 12)) * 2**24) * 2**-24
LAST = 1 - 2**-24

# Parameters of one distribution, and SciPy's of each dimension: a cdf, or the probabilities of its values.
LINES = mx.Mixture(mx.Normal(1, scale="exp"), 2)
LINES_PARAMS = [math.log(3), 0.0, -2.0, 3.0, 0.0, math.log(0.5)]


def lines(x):
    return 0.75 * stats.norm(-2).cdf(x) + 0.25 * stats.norm(3, 0.5).cdf(x)


FAMILIES = {
    "normal": (mx.Normal(2, scale="exp"), [1, -1, 0, math.log(2)], [stats.norm(1), stats.norm(-1, 2)]),
    "laplace": (mx.Laplace(1, scale="exp"), [1, math.log(2)], [stats.laplace(1, 2)]),
    "log_normal": (mx.LogNormal(1, scale="exp"), [0.5, math.log(2)], [stats.lognorm(2, scale=math.exp(0.5))]),
    "logit_normal": (
        mx.LogitNormal(1, low=-1.0, high=3.0, scale="exp"),
        [0.5, 0],
        [lambda x: stats.norm(0.5).cdf(np.log((x + 1) / (3 - x)))],
    ),
    "bernoulli": (mx.Bernoulli(2), [math.log(4), -math.log(4)], [[0.2, 0.8], [0.8, 0.2]]),
    "categorical": (mx.Categorical(3), np.log([1, 2, 5]), [[7 / 8, 1 / 8], [6 / 8, 2 / 8], [3 / 8, 5 / 8]]),
    "mixture": (LINES, LINES_PARAMS, [lines]),
    "many components": (
        mx.Mixture(mx.Normal(1, scale="exp"), 40),
        np.concatenate([np.zeros(40), np.arange(40), np.full(40, -3)]),
        [lambda x: stats.norm(np.arange(40), math.exp(-3)).cdf(np.asarray(x)[:, None]).mean(axis=1)],
    ),
    "independent": (mx.Independent(LINES, 2), LINES_PARAMS * 2, [lines, lines]),
    "affine": (mx.Affine(LINES, 10, 4), LINES_PARAMS, [lambda y: lines((y - 10) / 4)]),
    "joint": (
        mx.Joint(a=mx.Bernoulli(), b=LINES, c=mx.Affine(mx.Normal(1, scale="exp"), 1, 2)),
        [math.log(4), *LINES_PARAMS, 0, 0],
        [[0.2, 0.8], lines, stats.norm(1, 2)],
    ),
}


def drawn(family, params, tape, compiled):
    """Return draws, and how many numbers of the tape they have taken."""
    taken = []

    def draw(params, tape):
        source = TapeDraws(tape)
        y = family._sample(ops, params, source, PLAIN, ())
        taken.append(source._taken)
        return y

    params = np.tile(np.asarray(params, "float32"), (len(tape), 1))
    return compiled(draw, params, tape), taken[-1]


@pytest.mark.parametrize("name", FAMILIES)
def test_they_are_distributed_as_scipy_says(name, compiled):
    family, params, truths = FAMILIES[name]
    y, taken = drawn(family, params, TAPE, compiled)
    assert taken == numbers_of(family)
    assert y.shape == (ROWS, family.event_size)
    for values, truth in zip(y.T, truths, strict=True):
        if isinstance(truth, list):
            assert stats.chisquare(np.bincount(values.astype(int)), ROWS * np.array(truth)).pvalue > 1e-3
        else:
            assert stats.kstest(values, getattr(truth, "cdf", truth)).pvalue > 1e-3
    continuous = [v for v, truth in zip(y.T, truths, strict=True) if not isinstance(truth, list)]
    for one, other in pairwise(continuous):
        assert stats.spearmanr(one, other).pvalue > 1e-3


@pytest.mark.parametrize("covariance", ["full", "bivariate"])
def test_correlated_dimensions_are_scipys(covariance, compiled, normal_by_hand):
    family = mx.Normal(2, covariance, scale="exp")
    params = np.array([1.0, -1.0, 0.0, 0.5, 0.8])
    y, taken = drawn(family, params, TAPE, compiled)
    assert taken == numbers_of(family) == 2
    mean, cov = normal_by_hand(params, 2, covariance, scale="exp")
    white = np.linalg.solve(np.linalg.cholesky(cov), (y - mean).T)
    for values in white:
        assert stats.kstest(values, "norm").pvalue > 1e-3
    assert stats.pearsonr(*white).pvalue > 1e-3


def test_a_row_is_drawn_from_its_own_numbers(compiled):
    family, params, _ = FAMILIES["joint"]
    several, _ = drawn(family, params, TAPE[:3], compiled)
    for row in range(3):
        alone, _ = drawn(family, params, TAPE[row : row + 1], compiled)
        np.testing.assert_allclose(alone[0], several[row], rtol=1e-6)
    # Numbers beyond those it takes are for others.
    taken = numbers_of(family)
    assert taken == 1 + 2 + 1
    np.testing.assert_array_equal(drawn(family, params, TAPE[:3, :taken], compiled)[0], several)


def test_normal_numbers_are_finite_at_the_ends_and_exact_between(compiled):
    tape = np.concatenate([[0, 2**-24, 0.5 - 2**-24, 0.5, 1 - 2**-23, LAST], TAPE[:200, 0]])[:, None]
    z = compiled(lambda u: TapeDraws(u).normal((len(tape), 1), u), tape)[:, 0]
    assert np.isfinite(z).all()
    exact = stats.norm.ppf(tape[:, 0] + 2**-25)
    np.testing.assert_allclose(z, exact, rtol=1e-4, atol=1e-6)
    assert z[0] == pytest.approx(-z[5], rel=1e-6)
    assert 5 < z[5] < 6


@pytest.mark.parametrize("name", FAMILIES)
def test_the_ends_of_the_tape_are_drawn_within_the_support(name, compiled):
    family, params, _ = FAMILIES[name]
    y, _ = drawn(family, params, np.repeat([[0.0], [LAST]], 12, axis=1), compiled)
    assert np.isfinite(y).all()
    assert np.isfinite(family.log_prob(np.asarray(params), y)).all()
