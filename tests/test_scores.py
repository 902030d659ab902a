from itertools import pairwise

import mpmath
import numpy as np
import pytest
import scoringrules
from scipy import stats
from scipy.integrate import quad

import mixtura as mx
from mixtura import scores


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    family = mx.Affine(mx.Mixture(mx.Normal(1), 4), shift=3.0, scale=2.5)
    return family(rng.normal(size=(200, family.params_size))), rng.normal(3, 4, size=(200, 1))


def some(family, rows=6, seed=0, spread=1.0):
    """Return random predictions and an event of each."""
    rng = np.random.default_rng(seed)
    p = family(spread * rng.normal(size=(rows, family.params_size)))
    return p, p.sample(1, seed=seed)[0]


EVERY_SCORE = {
    "negative_log_likelihood": scores.negative_log_likelihood,
    "bits_per_dimension": scores.bits_per_dimension,
    "discretised_log_score": lambda p, y, **options: scores.discretised_log_score(p, y, 0.1, **options),
    "dequantised_nll": lambda p, y, **options: scores.dequantised_nll(p, y, 0.1, **options),
    "crps": scores.crps,
    "energy_score": lambda p, y, **options: scores.energy_score(p, y, draws=10, **options),
    "interval_coverage": lambda p, y, **options: scores.interval_coverage(p, y, 0.5, **options),
    "interval_width": lambda p, y, **options: scores.interval_width(p, 0.5, **options),
}


@pytest.mark.parametrize("score", EVERY_SCORE)
@pytest.mark.parametrize("family", [mx.Mixture(mx.Normal(1), 2), mx.Mixture(mx.Laplace(1), 2)], ids=repr)
def test_every_score_comes_per_row_too(score, family):
    p = family(np.random.default_rng(0).normal(size=(2, 3, family.params_size)))
    y = p.sample(1, seed=0)[0]
    rows = EVERY_SCORE[score](p, y, average=False)
    assert rows.shape == (2, 3)
    assert EVERY_SCORE[score](p, y) == pytest.approx(rows.mean())
    assert isinstance(EVERY_SCORE[score](p, y), float)


@pytest.mark.parametrize("score", [name for name in EVERY_SCORE if name != "interval_width"])
def test_events_without_their_axis_are_refused(score, predictions):
    """NumPy would broadcast them to all pairs of rows."""
    p, y = predictions
    with pytest.raises(ValueError, match="events of size 1 on the last axis"):
        EVERY_SCORE[score](p, y[:, 0])


@pytest.mark.parametrize("score", [scores.pit, scores.root_mean_squared_error])
def test_their_averages_refuse_them_too(score, predictions):
    p, y = predictions
    with pytest.raises(ValueError, match="events of size 1 on the last axis"):
        score(p, y[:, 0])


# Likelihoods.


def test_nll_and_rmse_of_one_normal():
    p = mx.Mixture(mx.Normal(1), 1)([[0.0, 1.0, 1.0]] * 3)  # N(1, 2^2)
    y = np.array([[0.0], [1.0], [4.0]])
    assert scores.negative_log_likelihood(p, y) == pytest.approx(-stats.norm(1, 2).logpdf(y).mean())
    assert scores.root_mean_squared_error(p, y) == pytest.approx(np.sqrt(10 / 3))


def test_bits_per_dimension_of_a_standard_normal():
    p, y = mx.Normal(3)(np.zeros((1, 6))), np.array([[1.0, -1.0, 2.0]])
    assert scores.bits_per_dimension(p, y) == pytest.approx(-stats.norm.logpdf(y).mean() / np.log(2))


def test_a_coin_costs_one_bit():
    assert scores.bits_per_dimension(mx.Bernoulli(4)(np.zeros(4)), [0, 1, 1, 0]) == pytest.approx(1)


# Recording steps.


def cells_by_mpmath(p, y, step):
    """Minus the log of each cell's probability per volume, for mixtures of diagonal normals."""
    mpmath.mp.dps = 50
    out = []
    for weights, means, scales, event in zip(p.weights, p.means, p.scales, y, strict=True):
        total = mpmath.mpf(0)
        for weight, mean, scale in zip(weights, means, scales, strict=True):
            product = mpmath.mpf(weight)
            for m, s, value, delta in zip(mean, scale, event, np.broadcast_to(step, y.shape[1]), strict=True):
                m, s, value, delta = (mpmath.mpf(float(a)) for a in (m, s, value, delta))
                if delta == 0:
                    product *= mpmath.npdf(value, m, s)
                    continue
                low, high = (value - delta / 2 - m) / s, (value + delta / 2 - m) / s
                if low > 0:
                    low, high = -high, -low
                product *= (mpmath.ncdf(high) - mpmath.ncdf(low)) / delta
            total += product
        out.append(float(-mpmath.log(total)))
    return out


@pytest.mark.parametrize("step", [1e-6, 0.1, 5.0])
@pytest.mark.parametrize("distance", [0.0, 30.0])
def test_a_cells_probability_is_mpmaths(step, distance):
    p, y = some(mx.Mixture(mx.Normal(1), 3))
    y = y + distance
    actual = scores.discretised_log_score(p, y, step, average=False)
    np.testing.assert_allclose(actual, cells_by_mpmath(p, y, step), rtol=1e-8)


@pytest.mark.parametrize("step", [0.1, [0.1, 2.0], [0.5, 0.0], [0.0, 0.5], 0.0], ids=str)
def test_a_cells_probability_is_mpmaths_in_two_dimensions(step):
    p, y = some(mx.Mixture(mx.Normal(2), 3))
    actual = scores.discretised_log_score(p, y, step, average=False)
    np.testing.assert_allclose(actual, cells_by_mpmath(p, y, step), rtol=1e-10)


STEPPED = [
    mx.Mixture(mx.Normal(1), 3),
    mx.Mixture(mx.Normal(2, "spherical"), 3),
    mx.Mixture(mx.Laplace(2), 3),
    mx.Mixture(mx.LogNormal(2), 3),
    mx.Mixture(mx.LogitNormal(1, -1.0, 4.0), 3),
    mx.Affine(mx.Mixture(mx.Normal(2), 3), [3.0, -3.0], [2.0, 0.5]),
    mx.Independent(mx.Mixture(mx.Normal(1), 2), 3),
    mx.Joint(place=mx.Mixture(mx.Normal(1), 2), dt=mx.LogNormal(1)),
]
stepped = pytest.mark.parametrize("family", STEPPED, ids=repr)


@stepped
def test_small_steps_and_none_are_the_nll(family):
    p, y = some(family)
    nll = scores.negative_log_likelihood(p, y, average=False)
    for step in (1e-4, 1e-7, 1e-12, 0.0):
        score = scores.discretised_log_score(p, y, step, average=False)
        np.testing.assert_allclose(score, nll, rtol=1e-5, atol=1e-5)


def test_a_step_too_small_for_float64_is_none():
    p, y = mx.Normal(1)([1e6, 0.0]), [1e6 + 1]
    assert scores.discretised_log_score(p, y, 1e-12) == scores.negative_log_likelihood(p, y)


@stepped
def test_sharpness_has_its_bound(family):
    """However narrow the components, a cell's probability is at most 1."""
    p, _ = some(family)
    sharp = family(p.params - 60)  # every scale is tiny now
    y, step = sharp.sample(1, seed=0)[0], 0.01
    score = scores.discretised_log_score(sharp, y, step, average=False)
    assert (score >= family.event_size * np.log(step) - 1e-12).all()


def test_the_bound_is_reached():
    p = mx.Normal(2, scale="exp")([1.0, 2.0, -25.0, -25.0])
    assert scores.discretised_log_score(p, [1.0, 2.0], [0.1, 0.2]) == pytest.approx(np.log(0.1 * 0.2))
    assert scores.negative_log_likelihood(p, [1.0, 2.0]) < -40


def test_a_discrete_part_has_step_zero():
    family = mx.Joint(place=mx.Normal(2), pen=mx.Categorical(3), end=mx.Bernoulli())
    p, y = some(family)
    actual = scores.discretised_log_score(p, y, [0.1, 0.1, 0, 0, 0, 0], average=False)
    place = scores.discretised_log_score(p["place"], y[:, :2], 0.1, average=False)
    rest = -p["pen"].log_prob(y[:, 2:5]) - p["end"].log_prob(y[:, 5:])
    np.testing.assert_allclose(actual, place + rest)


def test_cells_of_correlated_normals_have_no_formula():
    p = mx.Normal(2, "full")(np.zeros((1, 5)))
    with pytest.raises(NotImplementedError, match="diagonal covariance"):
        scores.discretised_log_score(p, [[0.0, 0.0]], 0.1)
    assert np.isfinite(scores.dequantised_nll(p, [[0.0, 0.0]], 0.1))


@pytest.mark.parametrize("family", [STEPPED[0], STEPPED[5], STEPPED[6]], ids=repr)
def test_noise_bounds_the_discretised_score_from_above(family):
    p, y = some(family, rows=300)
    step = 0.7
    y = np.round(y / step) * step
    exact = scores.discretised_log_score(p, y, step, average=False)
    noisy = [scores.dequantised_nll(p, y, step, draws=4, seed=s, average=False) for s in range(40)]
    gap = np.mean(noisy, axis=0) - exact
    assert gap.mean() > 0
    assert (gap > -5 * np.std(noisy, axis=0) / np.sqrt(40)).all()


def test_noise_is_the_same_for_the_same_seed(predictions):
    p, y = predictions
    assert scores.dequantised_nll(p, y, 0.5) == scores.dequantised_nll(p, y, 0.5)
    assert scores.dequantised_nll(p, y, 0.5) != scores.dequantised_nll(p, y, 0.5, seed=1)
    assert scores.dequantised_nll(p, y, 0.0) == pytest.approx(scores.negative_log_likelihood(p, y))


@pytest.mark.parametrize("step", [-0.1, np.nan, np.inf, [0.1, 0.1]], ids=str)
@pytest.mark.parametrize("score", [scores.discretised_log_score, scores.dequantised_nll])
def test_steps_are_checked(score, step, predictions):
    with pytest.raises(ValueError, match="step must be one number, 0 or more, or 1 of them"):
        score(*predictions, step)


# The continuous ranked probability score.


def crps_by_definition(p, outcome):
    """Integrate (F - step)^2 of a single distribution between many of its quantiles."""
    levels = np.concatenate([np.logspace(-12, -3, 10), np.linspace(0.005, 0.5, 20)])
    ends = np.concatenate([p.quantile(levels)[:, 0], p.isf(levels)[:, 0], [outcome]])
    ends = np.unique(ends)
    return sum(
        quad(lambda t: (p.cdf([t]) - (t >= outcome)) ** 2, a, b, epsabs=1e-10)[0] for a, b in pairwise(ends)
    )


def test_crps_equals_an_independent_implementation(predictions):
    p, y = predictions
    expected = scoringrules.crps_mixnorm(y[:, 0], p.means[..., 0], p.scales[..., 0], p.weights)
    assert scores.crps(p, y) == pytest.approx(expected.mean(), rel=1e-6)  # its erf is a float32 one


def test_crps_of_single_distributions_equals_an_independent_implementation():
    y = np.array([[0.1], [1.0], [8.0]])
    params = np.tile([0.5, np.log(0.7)], (3, 1))
    np.testing.assert_allclose(
        scores.crps(mx.Normal(scale="exp")(params), y, average=False),
        scoringrules.crps_normal(y[:, 0], 0.5, 0.7),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        scores.crps(mx.Laplace(scale="exp")(params), y, average=False),
        scoringrules.crps_laplace(y[:, 0], 0.5, 0.7),
    )
    for scale in (0.1, 1.0, 4.0):
        params[:, 1] = np.log(scale)
        np.testing.assert_allclose(
            scores.crps(mx.LogNormal(scale="exp")(params), y, average=False),
            scoringrules.crps_lognormal(y[:, 0], 0.5, scale),
            rtol=2e-6,
        )


@pytest.mark.parametrize(
    "family",
    [
        mx.Mixture(mx.Normal(1), 4),
        mx.Affine(mx.Mixture(mx.Normal(1), 4), 3.0, 2.5),
        mx.Mixture(mx.Affine(mx.Normal(1), 3.0, 2.5), 4),
        mx.Mixture(mx.Mixture(mx.Normal(1), 2), 3),
        mx.Mixture(mx.Affine(mx.Mixture(mx.Normal(1), 2), 3.0, 2.5), 3),
        mx.Mixture(mx.LogNormal(1), 3),
        mx.Mixture(mx.Laplace(1), 3),
        mx.Affine(mx.Mixture(mx.Laplace(1, scale="exp"), 8), 3.0, 2.5),
        mx.Mixture(mx.LogitNormal(1, 2.0, 5.0), 3),
        mx.Joint(dt=mx.Mixture(mx.Laplace(1), 3)),
        mx.Independent(mx.Mixture(mx.Laplace(1), 3), 1),
    ],
    ids=repr,
)
def test_crps_is_the_integral_that_defines_it(family):
    p, y = some(family, rows=2, spread=2.0)
    expected = [crps_by_definition(p[row], y[row, 0]) for row in range(2)]
    np.testing.assert_allclose(scores.crps(p, y, average=False), expected, rtol=1e-6)


def test_crps_of_a_coin_is_its_brier_score():
    p = mx.Bernoulli()([[0.3], [-1.0]])
    expected = (p.mean()[:, 0] - [1, 0]) ** 2
    np.testing.assert_allclose(scores.crps(p, [[1], [0]], average=False), expected)


def test_crps_of_a_sharp_prediction_is_the_absolute_error():
    for family in (mx.Mixture(mx.Normal(1, scale="exp"), 1), mx.Mixture(mx.Laplace(1, scale="exp"), 1)):
        assert scores.crps(family([[0.0, 2.0, -25.0]]), [[5.0]]) == pytest.approx(3.0)


def test_crps_takes_one_event_for_all_rows():
    p, _ = some(mx.Mixture(mx.Laplace(1), 2))
    rows = scores.crps(p, np.full((6, 1), 0.3), average=False)
    np.testing.assert_allclose(scores.crps(p, [0.3], average=False), rows)


def test_crps_needs_one_dimension():
    with pytest.raises(NotImplementedError, match=r"one-dimensional.*use energy_score"):
        scores.crps(mx.Mixture(mx.Normal(2), 1)(np.zeros((1, 5))), [[0.0, 0.0]])


@pytest.mark.parametrize("family", [mx.Mixture(mx.Normal(1), 3), mx.Mixture(mx.LogNormal(1), 3)], ids=repr)
def test_energy_is_crps_in_one_dimension(family):
    p, y = some(family, rows=50)
    energies = [scores.energy_score(p, y, draws=200, seed=seed, average=False) for seed in range(20)]
    error = np.std(energies, axis=0) / np.sqrt(20)
    assert (np.abs(np.mean(energies, axis=0) - scores.crps(p, y, average=False)) < 5 * error).all()


def test_energy_equals_an_independent_implementation():
    """The other pairs all draws, with themselves too, which this undoes."""
    p, y = some(mx.Mixture(mx.Normal(2, "full"), 3), rows=3)
    draws = 1000
    x = p.sample(draws, seed=5)
    near = np.linalg.norm(x - y, axis=-1).mean(axis=0)
    theirs = scoringrules.es_ensemble(y, x.swapaxes(0, 1))
    expected = near - (near - theirs) * draws / (draws - 1)
    energies = [scores.energy_score(p, y, draws=draws, seed=seed, average=False) for seed in range(5, 15)]
    error = 4 * np.std(energies, axis=0)
    np.testing.assert_array_less(np.abs(energies[0] - expected), error)
    np.testing.assert_array_less(np.abs(np.mean(energies, axis=0) - expected), error)


def test_energy_needs_two_draws(predictions):
    with pytest.raises(ValueError, match="draws must be at least 2"):
        scores.energy_score(*predictions, draws=1)
    with pytest.raises(ValueError, match="draws must be at least 1"):
        scores.dequantised_nll(*predictions, 0.1, draws=0)


# Calibration.


@pytest.mark.parametrize(
    "family",
    [
        mx.Mixture(mx.Normal(1), 3),
        mx.Mixture(mx.LogNormal(1), 3),
        mx.Mixture(mx.Normal(2, "full"), 3),
        mx.Affine(mx.Mixture(mx.Normal(2, "bivariate"), 2), 3.0, [1.0, 2.0]),
        mx.Independent(mx.Mixture(mx.Laplace(1), 2), 2),
    ],
    ids=repr,
)
def test_pit_of_true_distributions_is_uniform(family):
    p, y = some(family, rows=2000)
    values = scores.pit(p, y)
    assert values.shape == (2000, family.event_size)
    for dimension in values.T:
        assert stats.kstest(dimension, "uniform").pvalue > 1e-3


def test_pit_of_two_dimensions_is_each_marginals():
    p = mx.Normal(2, "full")([[0.0, 0.0, 0.0, 0.0, 1.0]])  # unit scales, coefficient 1: variances 1 and 2
    np.testing.assert_allclose(scores.pit(p, [[1.0, 1.0]]), stats.norm([[0, 0]], [[1, 2**0.5]]).cdf(1.0))


def test_coverage_of_true_distributions_is_their_level(predictions):
    p, _ = predictions
    y = p.sample(400, seed=1)
    assert scores.interval_coverage(p, y, 0.9) == pytest.approx(0.9, abs=0.005)
    assert scores.interval_coverage(p, y, 0.5) == pytest.approx(0.5, abs=0.01)


def test_coverage_and_width_are_the_intervals():
    p, y = some(mx.Mixture(mx.Laplace(1), 3), rows=50)
    low, high = p.interval(0.5)
    inside = ((y > low) & (y < high))[:, 0]
    assert 5 < inside.sum() < 45
    np.testing.assert_array_equal(scores.interval_coverage(p, y, 0.5, average=False), inside)
    np.testing.assert_allclose(scores.interval_width(p, 0.5, average=False), (high - low)[:, 0])


def test_intervals_are_checked(predictions):
    p, y = predictions
    for level in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"level must lie in \[0, 1\]"):
            scores.interval_coverage(p, y, level)
        with pytest.raises(ValueError, match=r"level must lie in \[0, 1\]"):
            scores.interval_width(p, level)
    with pytest.raises(NotImplementedError, match="continuous events"):
        scores.interval_coverage(mx.Bernoulli()([[0.0]]), [[1]], 0.9)


@pytest.mark.parametrize("level", [0.0, 0.5, 0.9])
def test_interval_score_equals_an_independent_implementation(level, predictions):
    p, y = predictions
    low, high = p.interval(level)
    expected = scoringrules.interval_score(y[:, 0], low[:, 0], high[:, 0], 1 - level)
    np.testing.assert_allclose(scores.interval_score(p, y, level, average=False), expected)


def test_interval_score_refuses_all_of_the_probability(predictions):
    with pytest.raises(ValueError, match=r"level must lie in \[0, 1\)"):
        scores.interval_score(*predictions, 1.0)


def test_pit_of_recorded_values_is_uniform_within_their_cells():
    drawn = np.random.default_rng(3).normal(size=(4000, 1))
    p, y = mx.Normal(1, scale="exp")(np.zeros((4000, 2))), np.round(drawn)
    assert stats.kstest(scores.pit(p, y)[:, 0], "uniform").pvalue < 1e-6
    values = scores.pit(p, y, step=1.0, seed=1)
    assert stats.kstest(values[:, 0], "uniform").pvalue > 1e-3
    low, high = stats.norm.cdf(y - 0.5), stats.norm.cdf(y + 0.5)
    assert ((low <= values) & (values <= high)).all()
