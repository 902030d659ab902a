import numpy as np
import pytest
from scipy import stats

import mixtura as mx
from mixtura.evaluation.diagnostics import (
    Band,
    Cells,
    Components,
    Gaps,
    is_mixture,
    number_of_bins,
    plausible,
    usual,
)

Q = np.linspace(0.02, 0.98, 49)


def test_places_of_continuous_values_are_their_distribution_function():
    rng = np.random.default_rng(0)
    mean, y = rng.normal(size=500), rng.normal(size=500)
    p = mx.Normal(1, scale="exp")(np.stack([mean, np.zeros(500)], axis=1))
    cells = Cells.of(p, y[:, None], 0.0)
    truth = stats.norm.cdf(y, mean)
    np.testing.assert_allclose(cells.low, truth)
    np.testing.assert_allclose(cells.frequencies(Q), [(truth <= q).mean() for q in Q])
    inside = (truth > 0.05) & (truth <= 0.95)
    np.testing.assert_array_equal(cells.within(0.9), inside)


def test_recorded_values_of_the_true_distribution_are_calibrated():
    rng = np.random.default_rng(0)
    p = mx.Normal(1, scale="exp")(np.stack([rng.uniform(0, 9, 20_000), np.zeros(20_000)], axis=1))
    y = np.round(p.sample(1, seed=0)[0])  # in steps as wide as a standard deviation
    cells = Cells.of(p, y, 1.0)
    np.testing.assert_allclose(cells.frequencies(Q), Q, atol=0.01)
    np.testing.assert_allclose(cells.coverage(Q), Q, atol=0.01)
    # Each value's part is what drawing within its cell gives on average.
    drawn = cells.low[:5] + rng.random((2000, 5)) * (cells.high - cells.low)[:5]
    np.testing.assert_allclose(cells.below(np.array([0.3]))[0, :5], (drawn <= 0.3).mean(axis=0), atol=0.05)


@pytest.mark.parametrize("rows", [30, 400])
def test_a_calibrated_model_stays_in_the_bands_in_95_of_100_data_sets(rows):
    rng = np.random.default_rng(1)
    u = rng.random((1000, rows))
    bins = number_of_bins(rows)
    cumulative, even = Band.cumulative(rows, Q), Band.bins(rows, bins)
    left = right = 0
    for one in u:
        left += not cumulative.outside((one[:, None] <= Q).mean(axis=0)).any()
        right += not even.outside(np.histogram(one, bins, (0, 1))[0] / rows).any()
    assert 930 <= left <= 985
    assert 930 <= right <= 995  # counts are whole: a band cannot be cut as finely


def test_the_band_tells_wrong_predictions():
    u = stats.norm.cdf(1.5 * np.random.default_rng(0).normal(size=500))  # too narrow
    assert Band.cumulative(500, Q).outside((u[:, None] <= Q).mean(axis=0)).any()


def test_shares_and_chances():
    low, high = usual(206, 0.9)
    counts = stats.binom(206, 0.9)
    assert counts.cdf(round(206 * low) - 1) < 0.025 <= counts.cdf(round(206 * low))
    assert counts.sf(round(206 * high)) < 0.025 <= counts.sf(round(206 * high) - 1)
    expected = stats.binomtest(45, 50).proportion_ci(method="exact")
    np.testing.assert_allclose(plausible(50, 0.9), expected)
    assert plausible(1, 1.0) == (pytest.approx(0.025), 1.0)
    assert plausible(3, 0.0)[0] == 0.0


def mixture(weights, means, scales):
    family = mx.Mixture(mx.Normal(1, scale="exp"), len(weights))
    return family(np.concatenate([np.log(weights), means, np.log(scales)])[None])


@pytest.mark.parametrize(
    ("weights", "means", "scales", "found"),
    [
        ([0.5, 0.5], [-5, 5], [1, 1], True),
        ([0.5, 0.5], [-1, 1], [1, 1], False),  # one peak
        ([0.5, 0.5], [-2, 2], [1, 1], False),  # two, and a mean that is a quarter as likely
        ([0.5, 0.5], [0, 0.3], [0.01, 1], False),  # a spike beside the mean, but on one side only
        ([0.3, 0.4, 0.3], [-5, 0, 5], [0.5, 0.5, 0.5], False),  # the mean is on the middle peak
        ([0.2, 0.8], [0, 100], [1, 1], True),  # a density of zero at the mean
    ],
)
def test_means_in_gaps(weights, means, scales, found):
    gaps = Gaps.of(mixture(weights, means, scales))
    assert len(gaps.rows) == found


def test_the_depth_of_a_gap_is_a_ratio_of_densities():
    weights, means, scales = [0.4, 0.6], [-3, 3], [1, 1]
    gaps = Gaps.of(mixture(weights, means, scales))

    def density(y):
        return sum(w * stats.norm.pdf(y, m, s) for w, m, s in zip(weights, means, scales, strict=True))

    np.testing.assert_allclose(gaps.depth, [np.log(density(-3) / density(0.6))])


def test_the_deepest_gap_comes_first():
    x = np.array([1.0, 2.0, 5.0, 3.0])
    zero, log_scale = np.zeros(4), np.full(4, np.log(0.5))
    family = mx.Mixture(mx.Normal(1, scale="exp"), 2)
    p = family(np.stack([zero, zero, -x, x, log_scale, log_scale], axis=1))
    assert Gaps.of(p).rows.tolist() == [2, 3, 1]


def test_components_in_use():
    family = mx.Mixture(mx.Normal(1), 4)
    logits = np.array([[0, 0, -1e3, -1e3], [-1e3, 0, 0, -1e3]])
    found = Components.of(family(np.concatenate([logits, np.ones((2, 8))], axis=1)))
    np.testing.assert_allclose(found.weights, [0.25, 0.5, 0.25, 0])
    np.testing.assert_allclose(found.effective, 2**1.5)
    np.testing.assert_allclose(found.effective_per_row, 2)


def test_which_predictions_are_mixtures():
    assert is_mixture(mx.Affine(mx.Mixture(mx.Normal(1), 2), 0, 1)(np.zeros((1, 6))))
    assert not is_mixture(mx.Mixture(mx.Normal(1), 1)(np.zeros((1, 3))))
    assert not is_mixture(mx.Normal(1)(np.zeros((1, 2))))
