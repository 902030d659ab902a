import math

import numpy as np
import pytest
from scipy import stats

import mixtura as mx

SHIFT, SCALE = np.array([20.0, -3.0]), np.array([10.0, 0.25])
ACROSS = np.outer(SCALE, SCALE)

NORMAL = mx.Normal(2, "full")
MIXTURE = mx.Mixture(NORMAL, 3)
PARAMS = np.random.default_rng(0).normal(size=(4, MIXTURE.params_size))
Y = SHIFT + SCALE * np.random.default_rng(1).normal(size=(4, 2))


def test_log_prob_is_that_of_scipys_normal_in_other_units(normal_by_hand):
    rows = PARAMS[:, : NORMAL.params_size]
    p = mx.Affine(NORMAL, SHIFT, SCALE)(rows)
    for row, (params, y) in enumerate(zip(rows, Y, strict=True)):
        mean, cov = normal_by_hand(params, 2, "full")
        truth = stats.multivariate_normal(SHIFT + SCALE * mean, ACROSS * cov)
        assert p[row].log_prob(y) == pytest.approx(truth.logpdf(y), rel=1e-11)
        np.testing.assert_allclose(p.mean()[row], truth.mean, rtol=1e-12)
        np.testing.assert_allclose(p.covariance()[row], truth.cov, rtol=1e-12)
        np.testing.assert_allclose(p.variance()[row], np.diag(truth.cov), rtol=1e-12)


def test_accessors_of_a_mixture_are_in_the_events_units(mixture_by_hand):
    p = mx.Affine(MIXTURE, SHIFT, SCALE)(PARAMS)
    for row, params in enumerate(PARAMS):
        weights, means, covs = mixture_by_hand(params, 3, 2, "full")
        np.testing.assert_allclose(p.weights[row], weights, rtol=1e-12)
        np.testing.assert_allclose(p.means[row], SHIFT + SCALE * means, rtol=1e-12)
        np.testing.assert_allclose(p.covariances[row], ACROSS * covs, rtol=1e-11)
        variances = np.diagonal(covs, axis1=-2, axis2=-1)
        np.testing.assert_allclose(p.scales[row], SCALE * np.sqrt(variances), rtol=1e-12)
        parts = [
            stats.multivariate_normal(SHIFT + SCALE * m, ACROSS * c) for m, c in zip(means, covs, strict=True)
        ]
        density = sum(w * part.pdf(Y[row]) for w, part in zip(weights, parts, strict=True))
        assert p.log_prob(Y)[row] == pytest.approx(math.log(density), rel=1e-11)


def test_log_volume_is_what_the_units_cost():
    family = mx.Affine(MIXTURE, SHIFT, SCALE)
    assert family.log_volume == pytest.approx(math.log(10.0 * 0.25))
    inward = MIXTURE.log_prob(PARAMS, (Y - SHIFT) / SCALE)
    np.testing.assert_allclose(inward - family.log_prob(PARAMS, Y), family.log_volume, rtol=1e-12)


def test_tails_are_scipys():
    p = mx.Affine(mx.Normal(1), 20.0, 10.0)([0.5, 1.0])  # mean 25, scale 20
    truth = stats.norm(25.0, 20.0)
    y, q = np.array([-100.0, 20.0, 160.0]), np.array([0.0, 1e-9, 0.3, 1.0])
    np.testing.assert_allclose(p.cdf(y[:, None]), truth.cdf(y), rtol=1e-12)
    np.testing.assert_allclose(p.sf(y[:, None]), truth.sf(y), rtol=1e-12)
    np.testing.assert_allclose(p.quantile(q)[:, 0], truth.ppf(q), rtol=1e-12)
    np.testing.assert_allclose(p.isf(q)[:, 0], truth.isf(q), rtol=1e-12)


def test_tensors_give_the_arrays_numbers_in_float32(compiled):
    family = mx.Affine(MIXTURE, SHIFT, SCALE)
    params, y = (a.astype("float32").astype(float) for a in (PARAMS, Y))
    for method, arguments in {"log_prob": (params, y), "covariance": (params,), "means": (params,)}.items():
        actual = compiled(getattr(family, method), *arguments)
        expected = getattr(family, method)(*arguments)
        assert actual == pytest.approx(expected, rel=2e-5, abs=2e-5)


def test_samples_are_in_the_events_units():
    x = mx.Affine(mx.Normal(1), 20.0, 10.0)([0.5, 1.0]).sample(100_000, seed=0)[:, 0]
    assert stats.kstest(x, stats.norm(25.0, 20.0).cdf).pvalue > 1e-4


def test_one_number_serves_every_dimension():
    assert mx.Affine(mx.Normal(2), 1, 2) == mx.Affine(mx.Normal(2), [1.0, 1.0], np.array([2.0, 2.0]))


def test_it_goes_inside_a_mixture():
    inside = mx.Mixture(mx.Affine(mx.Normal(1), 20.0, 10.0), 2)([0.0, 1.0, -1.0, 2.0, 0.5, 0.0])
    outside = mx.Affine(mx.Mixture(mx.Normal(1), 2), 20.0, 10.0)([0.0, 1.0, -1.0, 2.0, 0.5, 0.0])
    assert inside.log_prob(17.0) == pytest.approx(outside.log_prob(17.0), rel=1e-12)
    assert inside.quantile(0.9) == pytest.approx(outside.quantile(0.9), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, 0, 1), TypeError, "family must be a mixtura family.*received 3"),
        ((mx.Normal(2), [1, 2, 3], 1), ValueError, r"shift must be one finite number or 2.*\[1, 2, 3\]"),
        ((mx.Normal(2), math.inf, 1), ValueError, "shift must be one finite number.*received inf"),
        ((mx.Normal(2), [[1, 2]], 1), ValueError, "shift must be one finite number"),
        ((mx.Normal(2), 0, [1, math.nan]), ValueError, r"scale must be one finite.*\[1, nan\]"),
        ((mx.Normal(2), 0, [1, -1]), ValueError, r"scale must be positive; received \[1, -1\]"),
        ((mx.Normal(2), 0, 0), ValueError, "scale must be positive; received 0"),
        ((mx.Normal(1), "a", 1), ValueError, "shift must be one finite number.*received 'a'"),
        ((mx.Normal(2), [[1], 2], 1), ValueError, r"shift must be one finite number.*\[\[1\], 2\]"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        mx.Affine(*arguments)
