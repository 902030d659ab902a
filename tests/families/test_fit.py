"""Fits of every family to events alone, compared with SciPy and with the parameters that drew them."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

import mixtura as mx
from mixtura.families import host
from mixtura.families.scale import activation_of, log_scale, smallest_scale

RNG = np.random.default_rng(0)
SPREAD = RNG.normal([2.0, -1.0], [0.5, 3.0], size=(500, 2))
TILTED = SPREAD @ [[1.0, 0.4], [0.0, 1.0]]
SHARES = 1 / (1 + np.exp(-RNG.normal(1.0, 0.7, size=(500, 2))))


def mean_log_prob(family, params, y):
    return family(params).log_prob(y).mean()


# Leaves.


def test_a_diagonal_normal_is_scipys(every_option):
    for options in every_option:
        p = mx.Normal(2, **options)
        p = p(p.fit(SPREAD))
        truth = [stats.norm.fit(column) for column in SPREAD.T]
        np.testing.assert_allclose(p.mean(), [mean for mean, _ in truth], rtol=1e-12)
        np.testing.assert_allclose(np.sqrt(p.variance()), [scale for _, scale in truth], rtol=1e-12)


def test_a_spherical_normal_has_the_mean_of_the_variances(every_option):
    for options in every_option:
        family = mx.Normal(2, "spherical", **options)
        np.testing.assert_allclose(
            family(family.fit(SPREAD)).variance(), SPREAD.var(axis=0).mean(), rtol=1e-12
        )


@pytest.mark.parametrize("covariance", ["full", "bivariate"])
def test_correlations_are_scipys_and_one_uncorrelated_events(covariance, every_option):
    mean, truth = stats.multivariate_normal.fit(TILTED)
    truth *= np.where(np.eye(2), 1, 500 / 501)
    for options in every_option:
        family = mx.Normal(2, covariance, **options)
        p = family(family.fit(TILTED))
        np.testing.assert_allclose(p.mean(), mean, rtol=1e-12)
        np.testing.assert_allclose(p.covariance(), truth, rtol=1e-9)


def test_five_correlated_dimensions_are_scipys():
    y = RNG.normal(size=(200_000, 5)) @ RNG.normal(size=(5, 5))
    family = mx.Normal(5, "full")
    truth = stats.multivariate_normal.fit(y)[1]
    np.testing.assert_allclose(family(family.fit(y)).covariance(), truth, atol=1e-4)


def test_a_laplace_is_scipys(every_option):
    for options in every_option:
        p = mx.Laplace(2, **options)
        p = p(p.fit(SPREAD))
        truth = np.array([stats.laplace.fit(column) for column in SPREAD.T])
        np.testing.assert_allclose(p.mean(), truth[:, 0], rtol=1e-12)
        np.testing.assert_allclose(p.variance(), 2 * truth[:, 1] ** 2, rtol=1e-12)


def test_a_log_normal_is_scipys():
    y = np.exp(SPREAD[:, 0])
    shape, _, median = stats.lognorm.fit(y, floc=0)
    params = mx.LogNormal(scale="exp").fit(y)
    np.testing.assert_allclose(params, [math.log(median), math.log(shape)], rtol=1e-4)


def test_a_logit_normal_is_the_normal_of_the_logits():
    params = mx.LogitNormal(2, low=-1.0, high=3.0, scale="exp").fit(4 * SHARES - 1)
    truth = np.array([stats.norm.fit(column) for column in logit(SHARES).T])
    np.testing.assert_allclose(params, [*truth[:, 0], *np.log(truth[:, 1])], rtol=1e-9)


def test_events_at_an_end_of_the_support_count_half_way_to_the_nearest_inside():
    log_normal, logit_normal = mx.LogNormal(), mx.LogitNormal()
    np.testing.assert_allclose(log_normal.fit([-1.0, 0.0, 0.2, 5.0]), log_normal.fit([0.1, 0.1, 0.2, 5.0]))
    np.testing.assert_allclose(
        logit_normal.fit([0.0, 0.2, 0.6, 1.0, 7.0]), logit_normal.fit([0.1, 0.2, 0.6, 0.8, 0.8])
    )
    np.testing.assert_allclose(log_normal.fit([0.0, 0.0]), log_normal.fit([0.5, 0.5]))
    np.testing.assert_allclose(logit_normal.fit([0.0, 1.0]), logit_normal.fit([0.25, 0.75]))
    for family in (log_normal, logit_normal):
        np.testing.assert_array_equal(np.isfinite(family.fit([5e-324, 0.0])), True)


def test_probabilities_are_counted_from_half_an_event_up():
    np.testing.assert_allclose(mx.Bernoulli().fit([1.0, 1.0, 0.0]), [math.log(2.5 / 1.5)])
    np.testing.assert_allclose(mx.Bernoulli(2)(mx.Bernoulli(2).fit([[1.0, 0.5]])).mean(), [0.75, 0.5])
    params = mx.Categorical(3).fit(np.eye(3)[[0, 0, 1]])
    np.testing.assert_allclose(mx.Categorical(3)(params).mean(), np.array([2.5, 1.5, 0.5]) / 4.5)


@pytest.mark.parametrize(
    ("family", "params"),
    [
        (mx.Normal(2), [1.0, -2.0, 0.5, -1.0]),
        (mx.Normal(2, "spherical"), [1.0, -2.0, 0.5]),
        (mx.Normal(3, "full"), [1.0, -2.0, 0.0, 0.5, -1.0, 0.0, 2.0, -0.5, 1.0]),
        (mx.Normal(2, "bivariate"), [1.0, -2.0, 0.5, -1.0, 0.8]),
        (mx.Laplace(2), [1.0, -2.0, 0.5, -1.0]),
        (mx.LogNormal(2, "full"), [1.0, -2.0, -0.5, -1.0, 0.7]),
        (mx.LogitNormal(2), [1.0, -2.0, -0.5, -1.0]),
        (mx.Bernoulli(2), [-2.0, 0.5]),
        (mx.Categorical(3), [0.0, 1.0, -1.0]),
        (mx.Joint(a=mx.Normal(1), b=mx.Bernoulli()), [1.0, 0.5, -1.0]),
        (mx.Affine(mx.Normal(1), 20.0, 10.0), [1.0, 0.5]),
    ],
    ids=repr,
)
def test_no_other_parameters_of_a_leaf_are_likelier_and_those_that_drew_are_near(family, params):
    y = family(params).sample(20_000, seed=0)
    fit = family.fit(y)
    gain = mean_log_prob(family, fit, y) - mean_log_prob(family, params, y)
    # Twice the gain of all rows is chi-square distributed; counting from half an event up costs a little.
    assert -1e-6 < gain < 30 / len(y)
    # Logits have an additive constant that means nothing.
    shift = np.mean(fit - params) if isinstance(family, mx.Categorical) else 0.0
    np.testing.assert_allclose(fit - shift, params, atol=0.06)


# Scales.


def test_an_activation_is_the_inverse_of_its_scale(every_option):
    for options in every_option:
        kind, least = options["scale"], options["min_scale"]
        sigma = np.array([1.0, 1.0001, 2.0, 1e2, 1e5]) * max(1.02 * least, 1e-12)
        sigma = np.append(sigma, [0.3, math.log(2), 1.0, 1 + 1e-9, 5.0, 1e6])
        activation = activation_of(np.log(sigma), kind, least)
        np.testing.assert_allclose(np.exp(log_scale(host, activation, kind, least)), sigma, rtol=1e-11)


@pytest.mark.parametrize("kind", ["elu", "softplus", "exp"])
def test_scales_at_or_below_the_floor_become_a_hundredth_more(kind):
    log_sigma = np.array([-800.0, math.log(0.01), math.log(0.5), math.log(0.5001)])
    scales = np.exp(log_scale(host, activation_of(log_sigma, kind, 0.5), kind, 0.5))
    np.testing.assert_allclose(scales, smallest_scale(0.5), rtol=1e-12)
    assert smallest_scale(0.5) == 0.505
    scales = np.exp(log_scale(host, activation_of(log_sigma, kind, 0.0), kind, 0.0))
    np.testing.assert_allclose(scales, [math.exp(-30), 0.01, 0.5, 0.5001], rtol=1e-12)


def test_a_floor_does_not_stretch_correlated_dimensions():
    """Coefficients have no units: a conditional scale raised alone would multiply the whole row."""
    line = RNG.normal(size=(10_000, 1)) @ [[1.0, 2.0]]
    family = mx.Normal(2, "full", min_scale=0.1)
    p = family(family.fit(line))
    np.testing.assert_allclose(np.sqrt(p.variance()), line.std(axis=0), rtol=0.01)
    assert p.condition(0, [0.0]).variance() == pytest.approx(0.101**2)


def test_scales_of_constant_dimensions_are_one():
    y = np.column_stack([np.full(40, 0.1), 1e-3 * RNG.normal(size=40)])
    for covariance in ("diagonal", "full", "bivariate"):
        family = mx.Normal(2, covariance)
        np.testing.assert_allclose(family(family.fit(y)).variance(), [1.0, y[:, 1].var()], rtol=1e-9)
    spherical = mx.Normal(2, "spherical")
    np.testing.assert_allclose(spherical(spherical.fit(y)).variance(), y[:, 1].var() / 2, rtol=1e-9)
    np.testing.assert_allclose(spherical.fit(y[:, [0, 0]])[-1], 0.0, atol=1e-12)
    np.testing.assert_allclose(mx.Laplace().fit(y[:, 0]), [0.1, 0.0], atol=1e-12)


# Mixtures.


def sorted_components(p):
    order = np.argsort(p.means[:, 0])
    return p.weights[order], p.means[order], p.scales[order]


@pytest.mark.parametrize("leaf", [mx.Normal(1), mx.Laplace(1)], ids=repr)
def test_components_of_one_dimension_stand_at_quantiles(leaf):
    """Of uniform events: equal weights, the middle of each K-th, and nearly its own spread."""
    family = mx.Mixture(leaf, 5)
    weights, means, _ = sorted_components(family(family.fit(np.linspace(-1, 1, 10_001))))
    np.testing.assert_allclose(weights, 0.2, atol=1e-3)
    np.testing.assert_allclose(means[:, 0], [-0.8, -0.4, 0, 0.4, 0.8], atol=1e-3)


def test_a_components_spread_is_pooled_with_everyones():
    y = np.linspace(-1, 1, 1000)
    family = mx.Mixture(mx.Normal(1), 4)
    extra = 1 + 250 / 100
    truth = (250 * y[:250].var() + extra * y.var() / 16) / (250 + extra)
    np.testing.assert_allclose(family(family.fit(y)).scales[:, 0] ** 2, truth, rtol=1e-9)
    # Whose rows are all the same: a tenth of a K-th of the overall scale.
    y = np.append(np.zeros(10**6), np.ones(10**6))
    family = mx.Mixture(mx.Normal(1), 2)
    np.testing.assert_allclose(family(family.fit(y)).scales, 0.5 / 2 / math.sqrt(101), rtol=1e-3)


def test_mixtures_of_one_component_are_the_component():
    for leaf in (mx.Normal(2, "full"), mx.Laplace(2), mx.LogNormal(2), mx.Bernoulli(2), mx.Categorical(2)):
        params = mx.Mixture(leaf, 1).fit(SHARES)
        np.testing.assert_allclose(params, [0.0, *leaf.fit(SHARES)], atol=1e-12)


CENTRES = np.array([[-10.0, 0.0], [0.0, 500.0], [10.0, 0.0], [10.0, 1000.0]])


@pytest.mark.parametrize("covariance", ["spherical", "diagonal", "full", "bivariate"])
@pytest.mark.parametrize("rows", [2_000, 30_000])  # more than k-means searches
def test_components_of_two_dimensions_stand_at_the_clusters(covariance, rows):
    rng = np.random.default_rng(1)
    which = rng.choice(4, size=rows, p=[0.4, 0.3, 0.2, 0.1])
    y = CENTRES[which] + rng.normal(size=(rows, 2)) * [1.0, 50.0]
    family = mx.Mixture(mx.Normal(2, covariance), 4)
    p = family(family.fit(y))
    order = np.lexsort(p.means.round(-1).T[::-1])
    np.testing.assert_allclose(p.weights[order], [0.4, 0.3, 0.2, 0.1], atol=0.04)
    np.testing.assert_allclose(p.means[order] / [10.0, 500.0], CENTRES / [10.0, 500.0], atol=0.03)
    if covariance != "spherical":
        np.testing.assert_allclose(p.scales / [1.0, 50.0], 1.0, atol=0.25)
        # As likely, but for the pooled spread, as the parameters that drew.
        truth = -np.log(50.0) - np.log(2 * np.pi) - 1 - stats.entropy([0.4, 0.3, 0.2, 0.1])
        assert p.log_prob(y).mean() > truth - 0.1


def test_a_mixture_of_log_normals_is_one_of_normals_of_the_logarithms():
    y = 2 * RNG.normal(size=400)
    fits = mx.Mixture(mx.LogNormal(1), 5).fit(np.exp(y)), mx.Mixture(mx.Normal(1), 5).fit(y)
    np.testing.assert_allclose(*fits, rtol=1e-9, atol=1e-9)


def degenerate(size):
    """Events without the spread that covariances need."""
    rng = np.random.default_rng(size)
    return {
        "one row": rng.normal(size=(1, size)),
        "two rows": rng.normal(size=(2, size)),
        "two values": np.repeat(rng.normal(size=(2, size)), 50, axis=0),
        "one value": np.full((40, size), 0.1),
        "a line": rng.normal(size=(200, 1)) @ [10.0 ** -np.arange(size)],
        "a constant": np.column_stack([rng.normal(size=(50, size - 1)), np.full(50, 7.0)]),
        "an outlier": np.vstack([rng.normal(size=(99, size)), np.full((1, size), 1e3)]),
        "many zeros": np.where(rng.random((500, 1)) < 0.8, 0.0, rng.normal(size=(500, size))),
        "nearly the same": 5 + 1e-6 * rng.normal(size=(50, size)),
    }


NORMALS = [(size, covariance) for size in (1, 2, 5) for covariance in ("spherical", "diagonal", "full")]


@pytest.mark.parametrize(("size", "covariance"), [*NORMALS, (2, "bivariate")])
@pytest.mark.parametrize("name", degenerate(1))
def test_no_component_is_singular_or_the_same_as_another(size, covariance, name):
    y = degenerate(size)[name]
    spread = np.where(np.ptp(y, axis=0) > 1e-9, y.std(axis=0), 1.0)
    for count in (1, 2, 5, 20):
        family = mx.Mixture(mx.Normal(size, covariance), count)
        p = family(family.fit(y))
        assert np.isfinite(p.log_prob(y)).all()
        assert p.weights.min() > 0
        scales = p.scales / spread
        # A scale for all dimensions is the mean square of them.
        least = 1 / (11 * count) if covariance != "spherical" else 0
        assert scales.min() > least
        narrowest = np.linalg.eigvalsh(p.covariances / spread[:, None] / spread).min()
        assert narrowest > 1e-4 / count**2
        described = np.column_stack([p.means.reshape(count, -1), p.covariances.reshape(count, -1)])
        assert len(np.unique(described.round(12), axis=0)) == count


def test_a_mixture_of_discrete_events_has_different_components():
    rng = np.random.default_rng(2)
    which = rng.integers(2, size=(1000, 1))
    y = (rng.random((1000, 3)) < np.where(which, 0.95, 0.05)).astype(float)
    for leaf, events in ((mx.Bernoulli(3), y), (mx.Categorical(3), np.eye(3)[which[:, 0]])):
        family = mx.Mixture(leaf, 2)
        params = family.fit(events)
        weights = family(params).weights
        np.testing.assert_allclose(weights, 0.5, atol=0.05)
        assert np.ptp(family.means(params), axis=0).max() > 0.8
        assert mean_log_prob(family, params, events) > mean_log_prob(leaf, leaf.fit(events), events) - 0.02
    for events in ([1.0], [1.0, 0.0], y[:, 0]):
        family = mx.Mixture(mx.Bernoulli(), 5)
        params = family.fit(events)
        assert np.isfinite(family(params).log_prob(np.array(events)[:, None])).all()
        assert len(np.unique(family.means(params).round(12))) == 5


def test_mixtures_of_mixtures_start_at_different_places():
    y = np.linspace(0, 1, 2000)
    inner = mx.Mixture(mx.Normal(1), 2)
    family = mx.Mixture(inner, 3)
    params = family.fit(y)
    one_level = mx.Mixture(mx.Normal(1), 6)
    tables = [params.reshape(7, 3)[1:, k].reshape(3, 2) for k in range(3)]
    means = np.concatenate([table[1] for table in tables])
    np.testing.assert_allclose(np.sort(means), np.sort(one_level(one_level.fit(y)).means[:, 0]), atol=1e-3)


# Families of families.


def test_parts_copies_and_units_are_fitted_on_their_own():
    joint = mx.Joint(place=mx.Normal(2, "full"), end=mx.Bernoulli())
    y = np.column_stack([TILTED, TILTED[:, 0] > 2])
    np.testing.assert_array_equal(
        joint.fit(y), [*mx.Normal(2, "full").fit(TILTED), *mx.Bernoulli().fit(y[:, 2])]
    )
    copies = mx.Independent(mx.Mixture(mx.Normal(1), 3), 2)
    np.testing.assert_array_equal(copies.fit(SPREAD), np.ravel([copies.family.fit(c) for c in SPREAD.T]))
    pairs = mx.Independent(mx.Normal(2, "full"), 2)
    four = np.column_stack([TILTED, SPREAD])
    np.testing.assert_array_equal(pairs.fit(four), np.ravel([pairs.family.fit(c) for c in (TILTED, SPREAD)]))
    affine = mx.Affine(mx.Mixture(mx.Normal(2), 3), [1.0, 2.0], [3.0, 4.0])
    np.testing.assert_array_equal(affine.fit(SPREAD), affine.family.fit((SPREAD - [1, 2]) / [3, 4]))


# The contract.

BASES = [
    mx.Normal(1),
    mx.Normal(2, "spherical", "softplus"),
    mx.Normal(2, "full", "exp", 0.05),
    mx.Normal(2, "bivariate"),
    mx.Laplace(2, "softplus", 0.05),
    mx.LogNormal(1),
    mx.LogNormal(2, "full"),
    mx.LogitNormal(2, -3.0, 3.0),
    mx.Bernoulli(2),
    mx.Categorical(3),
    mx.Joint(a=mx.Mixture(mx.Normal(2, "full"), 2), end=mx.Bernoulli()),
    mx.Affine(mx.Normal(2), 20.0, 10.0),
]
NESTED = [
    around
    for family in BASES
    for around in (
        family,
        mx.Mixture(family, 3),
        mx.Independent(family, 2),
        mx.Mixture(mx.Mixture(family, 2), 2),
    )
]


@pytest.mark.parametrize("family", NESTED, ids=repr)
def test_every_family_describes_what_it_draws(family):
    params = np.random.default_rng(0).normal(scale=0.5, size=family.params_size)
    p = family(params)
    for y in (p.sample(300, seed=0), p.sample(1, seed=1), np.repeat(p.sample(2, seed=2), 3, axis=0)):
        before = y.copy()
        fit = family.fit(y)
        np.testing.assert_array_equal(y, before)
        assert (fit.shape, fit.dtype) == ((family.params_size,), np.float64)
        assert np.isfinite(fit).all()
        assert np.isfinite(family(fit).log_prob(y)).all()
        np.testing.assert_array_equal(family.fit(y), fit)


def test_the_seed_decides():
    family = mx.Mixture(mx.Normal(2), 20)
    np.testing.assert_array_equal(family.fit(SPREAD, seed=3), family.fit(SPREAD, seed=3))
    assert (family.fit(SPREAD, seed=3) != family.fit(SPREAD, seed=4)).any()


def test_tensors_and_single_columns_are_read(tensor):
    y = tensor(SPREAD[:, 0])
    np.testing.assert_array_equal(mx.Normal(1).fit(y), mx.Normal(1).fit(np.array(y, "float64")[:, None]))


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (
            np.zeros((3, 1)),
            r"Normal\(event_size=2\) is fitted to y of shape \(rows, 2\); received shape \(3, 1\)",
        ),
        (np.zeros(2), r"of shape \(rows, 2\); received shape \(2,\)"),
        (np.zeros((4, 3, 2)), r"of shape \(rows, 2\); received shape \(4, 3, 2\)"),
        (np.zeros((0, 2)), "at least one row"),
        ([[0, 1], [2, np.nan]], "y must hold finite numbers; received nan in row 1, column 1"),
        ([[0, 1], [-np.inf, 2], [np.nan, 0]], "received -inf in row 1, column 0"),
    ],
)
def test_what_cannot_be_fitted_is_said(y, sentence):
    with pytest.raises(ValueError, match=sentence):
        mx.Normal(2).fit(y)


def test_numbers_that_are_no_probabilities_are_named():
    for family in (mx.Bernoulli(2), mx.Categorical(2), mx.Mixture(mx.Bernoulli(2), 2)):
        with pytest.raises(ValueError, match=r"events between 0 and 1; received 3 in row 2, dimension 1"):
            family.fit([[0, 1], [1, 0], [0, 3]])


def test_a_seed_is_a_whole_number():
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        mx.Normal(1).fit([0.0], seed=-1)
    with pytest.raises(TypeError, match="seed must be an int"):
        mx.Normal(1).fit([0.0], seed="0")
