import itertools
import math

import numpy as np
import pytest
from keras import ops
from scipy import integrate, stats

import mixtura as mx

COVARIANCES = ["spherical", "diagonal", "full"]
LEAVES = [
    mx.Normal(1, scale="softplus"),
    mx.Normal(3, "spherical"),
    mx.Normal(3, scale="exp", min_scale=0.01),
    mx.Normal(3, "full"),
    mx.Normal(2, "bivariate"),
    mx.Laplace(2),
    mx.LogNormal(2, "full"),
    mx.LogitNormal(2, -1.0, 3.0),
    mx.Bernoulli(2),
    mx.Categorical(3),
]
ONE_DIMENSION = [mx.Normal(1), mx.Laplace(1), mx.LogNormal(1), mx.LogitNormal(1, -1.0, 3.0)]
# What these compute at extremes, the rest compute too.
LIKE_OTHERS = [*LEAVES[:3], LEAVES[4], LEAVES[6], LEAVES[8]]
every_leaf = pytest.mark.parametrize("leaf", LEAVES, ids=repr)

# Three well-spread components in one dimension: the logits, means and scale activations, row by row.
THREE = [0.5, -0.5, 1.0, -4.0, 0.0, 3.0, 0.0, -1.0, 1.5]
WEIGHTS = np.exp([0.5, -0.5, 1.0]) / np.exp([0.5, -0.5, 1.0]).sum()
LOCATIONS, SCALES = [-4, 0, 3], [1, math.exp(-1), 2.5]
PARTS = [stats.norm(*part) for part in zip(LOCATIONS, SCALES, strict=True)]


def three(method, y):
    """The mixture's pdf, cdf or sf by SciPy."""
    return sum(w * getattr(part, method)(y) for w, part in zip(WEIGHTS, PARTS, strict=True))


def events(family, y):
    """Make events of a family from real numbers."""
    if isinstance(family, mx.Mixture):
        return events(family.family, y)
    if isinstance(family, mx.LogNormal):
        return np.exp(y)
    if isinstance(family, mx.LogitNormal):
        return family.low + (family.high - family.low) / (1 + np.exp(-y))
    if isinstance(family, mx.Bernoulli):
        return (y > 0).astype(float)
    if isinstance(family, mx.Categorical):
        return np.eye(family.num_classes)[np.argmax(y, axis=-1)]
    return y


def draw_params(family, rows=3, spread=0.7):
    """Parameters that float32 holds exactly."""
    rng = np.random.default_rng(family.params_size)
    params = spread * rng.normal(size=(rows, family.params_size))
    return params.astype("float32").astype(float)


def draw_rows(family, rows=3, spread=0.7):
    """Parameters and events that float32 holds exactly."""
    y = 2 * np.random.default_rng(family.event_size).normal(size=(rows, family.event_size))
    return draw_params(family, rows, spread), events(family, y).astype("float32").astype(float)


@pytest.fixture
def exact_log_prob(mp, exact_scale):
    """Return log densities with 50 digits, as floats, of parameters and events `(rows, ...)`."""

    def normal(family, params, x):
        size, structure = family.event_size, family.get_config()["covariance"]
        count = 1 if structure == "spherical" else size
        sigma = [exact_scale(a, family.scale, family.min_scale) for a in params[size : size + count]]
        sigma, rest = sigma * (size // count), list(params[size + count :])
        if structure == "bivariate":
            sigma[1] /= mp.cosh(rest[0])
            rest = [mp.sinh(rest[0])]
        u = [(x[d] - mp.mpf(params[d])) / sigma[d] for d in range(size)]
        phi = iter(rest)
        z = [u[i] - sum(mp.mpf(next(phi)) * u[j] for j in range(i) if rest) for i in range(size)]
        return -sum(v**2 for v in z) / 2 - sum(map(mp.log, sigma)) - size * mp.log(2 * mp.pi) / 2

    def leaf(family, params, y):
        if isinstance(family, mx.Normal):
            return normal(family, params, y)
        if isinstance(family, mx.Laplace):
            scales = [exact_scale(a) for a in params[family.event_size :]]
            terms = zip(y, params, scales, strict=False)
            return -sum(abs(v - mp.mpf(m)) / b + mp.log(2 * b) for v, m, b in terms)
        if isinstance(family, mx.LogNormal):
            x = [mp.log(v) for v in y]
            return normal(family, params, x) - sum(x)
        if isinstance(family, mx.LogitNormal):
            below, above = [v - family.low for v in y], [family.high - v for v in y]
            x = [mp.log(b / a) for b, a in zip(below, above, strict=True)]
            width = family.high - family.low
            return normal(family, params, x) - sum(
                mp.log(b * a / width) for b, a in zip(below, above, strict=True)
            )
        if isinstance(family, mx.Bernoulli):
            return -sum(mp.log1p(mp.exp(-a if v else a)) for v, a in zip(y, map(mp.mpf, params), strict=True))
        total = sum(mp.exp(a) for a in params)
        return mp.log(sum(v * mp.exp(a) for v, a in zip(y, params, strict=True)) / total)

    def mixture(family, params, y):
        logits, *table = np.reshape(params, (-1, family.num_components))
        weights = [mp.exp(logit) for logit in logits]
        y = [mp.mpf(v) for v in y]
        columns = zip(weights, np.transpose(table), strict=True)
        total = sum(w * mp.exp(leaf(family.family, column, y)) for w, column in columns if w)
        return float(mp.log(total / sum(weights)))

    return lambda family, params, y: np.array([mixture(family, *row) for row in zip(params, y, strict=True)])


# The layout.


@pytest.mark.parametrize("num_components", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_accessors_read_the_documented_layout(covariance, size, num_components, mixture_by_hand):
    family = mx.Mixture(mx.Normal(size, covariance, min_scale=0.1), num_components)
    rows = draw_params(family)
    p = family(rows)
    for row, params in enumerate(rows):
        weights, means, covs = mixture_by_hand(params, num_components, size, covariance, min_scale=0.1)
        np.testing.assert_allclose(p.weights[row], weights, rtol=1e-12)
        np.testing.assert_array_equal(p.means[row], means)
        np.testing.assert_allclose(p.covariances[row], covs, rtol=1e-12, atol=1e-13)
        variances = np.diagonal(covs, axis1=-2, axis2=-1)
        np.testing.assert_allclose(p.scales[row], np.sqrt(variances), rtol=1e-12)


def test_the_layout_is_the_docstrings():
    """For Mixture(Normal(2), K): K logits, K first means, K second, K first scales, K second."""
    p = mx.Mixture(mx.Normal(2), 3)([0, 0, 0, 1, 2, 3, 10, 20, 30, 0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(p.means, [[1, 10], [2, 20], [3, 30]])
    np.testing.assert_allclose(p.scales, [[1, 4], [2, 5], [3, 6]], rtol=1e-12)


def test_accessors_of_tensors_are_the_arrays(on_tensors):
    family = mx.Mixture(mx.Normal(2, "full"), 3)
    params = draw_params(family)
    methods = ("weights", "means", "scales", "covariances", "mean", "variance", "covariance")
    values = on_tensors(lambda params: [getattr(family, method)(params) for method in methods], params)
    for method, value in zip(methods, values, strict=True):
        assert value == pytest.approx(getattr(family, method)(params), rel=2e-5, abs=2e-5)


# Densities.


def test_log_prob_is_exact(exact_log_prob, assert_exact):
    families = [mx.Mixture(leaf, count) for leaf in LEAVES for count in (1, 5)]
    drawn = [draw_rows(family, rows=20, spread=1.5) for family in families]
    assert_exact(
        lambda *tables: [
            family.log_prob(*pair) for family, *pair in zip(families, tables[::2], tables[1::2], strict=True)
        ],
        *(table for pair in drawn for table in pair),
        truth=[exact_log_prob(family, *pair) for family, pair in zip(families, drawn, strict=True)],
    )


@pytest.mark.parametrize("leaf", [mx.Normal(1), mx.Laplace(1)], ids=repr)
def test_log_prob_is_exact_at_extremes(leaf, exact_log_prob, assert_exact):
    family = mx.Mixture(leaf, 2)
    narrow, wide = np.float32(math.log(1e-6)), 1e6
    table = [
        # two logits, two locations, two activations, y
        [0, 0, 0, 1, narrow, wide, 1e-3],
        [0, 0, 0, 1, narrow, wide, 1],
        [0, 0, 0, 0, narrow, narrow, 2.0**-7],  # nearly ten thousand scales away
        [0, 0, 0, 0, wide, wide, 1e10],
        [1e4, -1e4, 0, 1, 0, 0, 0.5],
        [-1e4, 1e4, 0, 1, 0, 0, 0.5],
        [-1e4, -1e4, 0, 1, 0, 0, 0.5],
        [1e4, 1e4, 0, 1, 0, 0, 0.5],
        [0, -math.inf, 0, 0.5, 0, narrow, 0.5],
        [0, -1e4, 0, 0.5, 0, narrow, 0.5],
        [0, 0, 3e4, -3e4, 0, 0, 1],
        [10, 0, 100, -100, 0, 0, -1],
    ]
    params, y = np.split(np.float32(table).astype(float), [6], axis=1)
    assert_exact(family.log_prob, params, y, truth=exact_log_prob(family, params, y))


@pytest.mark.parametrize("leaf", [*LEAVES, mx.Independent(mx.Normal(1), 2), mx.Bernoulli(3)], ids=repr)
def test_one_component_is_the_plain_family(leaf):
    params, y = draw_rows(leaf)
    single = mx.Mixture(leaf, 1)(np.concatenate([[[-3.0], [0.0], [1e4]], params], axis=-1))
    plain = leaf(params)
    np.testing.assert_allclose(single.log_prob(y), plain.log_prob(y), rtol=1e-12)
    for method in ("mean", "covariance", "entropy", "mode"):
        expected = getattr(plain, method)()
        np.testing.assert_allclose(getattr(single, method)(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("logit", [-1e4, -1.0, 0.0, 1e4])
def test_equal_logits_of_any_size_are_equal_weights(logit):
    p = mx.Mixture(mx.Normal(1), 4)([*[logit] * 4, *[2.0] * 4, *[1.0] * 4])
    np.testing.assert_array_equal(p.weights, [0.25] * 4)
    assert p.log_prob(0.0) == pytest.approx(stats.norm(2, 2).logpdf(0), rel=1e-12)


@pytest.mark.parametrize("leaf", [*ONE_DIMENSION, mx.Mixture(mx.Normal(1), 2)], ids=repr)
def test_density_integrates_to_one(leaf):
    family = mx.Mixture(leaf, 3)
    p = family(draw_params(family, rows=1)[0])
    edges = [*p.quantile([1e-12, 1e-3, 0.1, 0.5, 0.9])[:, 0], *p.isf([1e-3, 1e-12])[:, 0]]
    panels = itertools.pairwise(edges)
    total = sum(integrate.quad(lambda y: math.exp(p.log_prob(y)), *panel)[0] for panel in panels)
    assert total == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("covariance", [*COVARIANCES, "bivariate"])
def test_density_integrates_to_one_in_two_dimensions(covariance):
    family = mx.Mixture(mx.Normal(2, covariance), 3)
    line = np.arange(-20, 20, 0.2)
    y = np.stack(np.meshgrid(line, line), axis=-1)
    p = family(0.5 * np.random.default_rng(0).normal(size=family.params_size))
    assert np.exp(p.log_prob(y)).sum() * 0.2**2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("leaf", [mx.Bernoulli(2), mx.Categorical(3)], ids=repr)
def test_probabilities_of_all_events_sum_to_one(leaf):
    family = mx.Mixture(leaf, 3)
    p = family(draw_params(family))
    outcomes = [[0, 0], [0, 1], [1, 0], [1, 1]] if isinstance(leaf, mx.Bernoulli) else np.eye(3)
    total = sum(np.exp(p.log_prob(outcome)) for outcome in outcomes)
    np.testing.assert_allclose(total, 1, rtol=1e-14)


@pytest.mark.parametrize(
    ("leaf", "outside"),
    [(mx.LogNormal(2), [1.0, 0.0]), (mx.LogNormal(2), [-1.0, 1.0]), (mx.LogitNormal(2), [0.5, 1.0])],
    ids=str,
)
def test_outside_the_support_there_is_no_density(leaf, outside, gradient, tensor):
    family = mx.Mixture(leaf, 3)
    params = draw_params(family, rows=1)
    assert family.log_prob(params, outside) == -math.inf
    value, slope = gradient(lambda params: family.log_prob(params, tensor(outside)), params)
    assert value <= -1e30
    assert np.isfinite(slope).all()
    masked, slope = gradient(lambda params: 0.0 * family.log_prob(params, tensor(outside)), params)
    np.testing.assert_array_equal([masked, *slope.T], 0)


def test_mixtures_nest():
    family = mx.Mixture(mx.Mixture(mx.Normal(1), 2), 3)
    flat = mx.Mixture(mx.Normal(1), 6)
    params = draw_params(family, rows=4)
    outer, *inner = np.split(params, [3], axis=-1)
    logits, means, scales = np.split(inner[0].reshape(4, 6, 3), 3, axis=1)
    logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)) + outer[:, None]
    table = np.concatenate([a.reshape(4, 6) for a in (logits, means, scales)], axis=-1)
    nested, plain, y = family(params), flat(table), np.array([[0.5]])
    for method in ("log_prob", "cdf", "sf"):
        np.testing.assert_allclose(getattr(nested, method)(y), getattr(plain, method)(y), rtol=1e-12)
    for method in ("mean", "covariance", "entropy"):
        np.testing.assert_allclose(getattr(nested, method)(), getattr(plain, method)(), rtol=1e-12)
    np.testing.assert_allclose(nested.quantile(0.3), plain.quantile(0.3), rtol=1e-12)


# Intervals.


def test_log_prob_of_an_interval_is_exact(exact_mass, exact_scale, mp, assert_exact):
    """Two components; for each leaf the ends come from the same ends of a standard event."""
    ends = [(-1, 1), (-9, -8), (3, math.inf), (-math.inf, -2), (0.5, 0.5 + 2.0**-20), (-math.inf, math.inf)]
    params = np.float32([0.5, -1.0, -0.25, 1.5, 0.75, -1.25]).astype(float)
    sigmas = [exact_scale(a) for a in params[4:]]
    weights = [mp.exp(a) / sum(map(mp.exp, params[:2])) for a in params[:2]]

    def laplace(low, high):
        def cdf(z):
            return mp.exp(z) / 2 if z < 0 else 1 - mp.exp(-z) / 2

        low, high = (-high, -low) if low > 0 else (low, high)
        return cdf(high) - cdf(low)

    inward = {
        mx.Normal(1): lambda y: y,
        mx.Laplace(1): lambda y: y,
        mx.LogNormal(1): lambda y: mp.log(y) if y > 0 else -mp.inf,
        mx.LogitNormal(1, -1.0, 3.0): lambda y: (
            -mp.inf if y <= -1 else mp.inf if y >= 3 else mp.log((y + 1) / (3 - y))
        ),
    }
    lower, upper, truth = [], [], []
    for leaf, transformed in inward.items():
        low, high = np.float32(events(leaf, np.float32(ends).T)).astype(float)
        mass = laplace if isinstance(leaf, mx.Laplace) else exact_mass
        lower, upper = [*lower, low[:, None]], [*upper, high[:, None]]
        for a, b in zip(low, high, strict=True):
            a, b = (transformed(mp.mpf(end)) for end in (a, b))
            parts = zip(weights, params[2:4], sigmas, strict=True)
            truth.append(float(mp.log(sum(w * mass((a - m) / s, (b - m) / s) for w, m, s in parts))))

    def intervals(params, lower, upper):
        pairs = zip(inward, lower, upper, strict=True)
        return [mx.Mixture(leaf, 2).log_prob(params, lower=a, upper=b) for leaf, a, b in pairs]

    assert_exact(intervals, params, np.array(lower), np.array(upper), truth=np.reshape(truth, (4, -1)))


@pytest.mark.parametrize("leaf", [mx.Normal(2), mx.Laplace(2), mx.LogNormal(2)], ids=repr)
def test_an_observed_dimension_and_an_interval_share_the_components(leaf):
    """Dimension 0 is known, dimension 1 up to an interval: sum of w density probability."""
    family = mx.Mixture(leaf, 3)
    params = draw_params(family, rows=1)[0]
    logits, *rows = params.reshape(5, 3)
    first, second = (mx.Mixture(type(leaf)(1), 3)([*logits, *rows[d], *rows[2 + d]]) for d in (0, 1))
    shares = first.responsibilities(0.5) * np.exp(first.log_prob(0.5))
    parts = [type(leaf)(1)([rows[1][k], rows[3][k]]) for k in range(3)]
    masses = [part.cdf(2.0) - part.cdf(0.25) for part in parts]
    actual = family.log_prob(params, lower=[0.5, 0.25], upper=[0.5, 2.0])
    assert actual == pytest.approx(math.log(shares @ masses), rel=1e-12)
    assert second.log_prob(lower=0.25, upper=2.0) == pytest.approx(
        math.log(second.weights @ masses), rel=1e-12
    )


@pytest.mark.parametrize("leaf", [mx.Bernoulli(2), mx.Categorical(3)], ids=repr)
def test_an_interval_of_discrete_events_sums_them(leaf):
    family = mx.Mixture(leaf, 3)
    p = family(draw_params(family))
    outcomes = [[0, 0], [0, 1], [1, 0], [1, 1]] if isinstance(leaf, mx.Bernoulli) else np.eye(3)
    for lower, upper in (([0] * 3, [1] * 3), ([-1, 0, -1], [1, 1, 1]), ([-1] * 3, [0, 1, 1])):
        low, high = np.array(lower[: leaf.event_size]), np.array(upper[: leaf.event_size])
        inside = [y for y in outcomes if ((low < y) & (y <= high)).all()]
        total = sum(np.exp(p.log_prob(y)) for y in inside)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(
                p.log_prob(lower=low, upper=high), np.log(total * np.ones(3)), atol=1e-14
            )


# Responsibilities.


@every_leaf
def test_responsibilities_are_bayes_rule(leaf):
    family = mx.Mixture(leaf, 4)
    params, y = draw_rows(family)
    logits, *table = params.reshape(3, -1, 4).transpose(1, 0, 2)
    joint = [
        np.exp(logits[:, k] + leaf.log_prob(np.stack(table, axis=-1)[:, k], y))  # weights up to a factor
        for k in range(4)
    ]
    shares = family.responsibilities(params, y)
    np.testing.assert_allclose(shares, np.transpose(joint / np.sum(joint, axis=0)), rtol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-14)


def test_responsibilities_are_right_where_densities_underflow(tensor):
    family = mx.Mixture(mx.Normal(1), 2)
    params = [0.0, 0.0, -1.0, 1.0, 0.0, 0.0]
    np.testing.assert_allclose(family(params).responsibilities(1000.0), [0, 1], atol=1e-300)
    shares = ops.convert_to_numpy(family.responsibilities(tensor(params), tensor([-1000.0])))
    np.testing.assert_allclose(shares, [1, 0], atol=1e-30)


# Moments.


def test_moments_are_the_densitys():
    p = mx.Mixture(mx.Normal(1), 3)(THREE)

    def moment(f):
        return integrate.quad(lambda y: f(y) * three("pdf", y), -40, 40, points=[-4, 0, 3], limit=200)[0]

    mean = moment(lambda y: y)
    assert p.mean()[0] == pytest.approx(mean, rel=1e-9)
    assert p.variance()[0] == pytest.approx(moment(lambda y: (y - mean) ** 2), rel=1e-9)


@every_leaf
def test_covariance_is_the_second_moment_less_the_means(leaf):
    family = mx.Mixture(leaf, 4)
    params = draw_params(family, rows=1)[0]
    logits, *table = params.reshape(-1, 4)
    parts = [leaf(column) for column in np.transpose(table)]
    weights = np.exp(logits) / np.exp(logits).sum()
    mean = sum(w * part.mean() for w, part in zip(weights, parts, strict=True))
    second = sum(
        w * (part.covariance() + np.outer(part.mean(), part.mean()))
        for w, part in zip(weights, parts, strict=True)
    )
    p = family(params)
    np.testing.assert_allclose(p.mean(), mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(p.covariance(), second - np.outer(mean, mean), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(p.variance(), np.diag(p.covariance()), rtol=1e-12)


def test_a_component_of_weight_zero_does_not_move_the_moments(compiled):
    """Although its own are infinite."""
    family = mx.Mixture(mx.LogNormal(1), 2)
    params = [0.0, -1e4, 0.5, 0.0, 0.5, 100.0]
    for method in ("mean", "variance", "covariance"):
        expected = getattr(mx.LogNormal(1)([0.5, 0.5]), method)()
        np.testing.assert_allclose(getattr(family, method)(params), expected, rtol=1e-12)
        np.testing.assert_allclose(compiled(getattr(family, method), params), expected, rtol=1e-5)


# Extremes. Random combinations of raw activations, of logits also -inf, and of targets.

RAW = [-1e4, -100.0, math.log(1e-6), -1.0, 0.0, 1.0, 100.0, 1e4, 1e6]
FAR = [-1e4, -1.0, 0.0, 1e-6, 0.5, 1.0, 2.0, 1e4]


@pytest.mark.parametrize(
    ("leaf", "count"),
    [
        *(pytest.param(leaf, 3, marks=[pytest.mark.slow] * (leaf in LIKE_OTHERS)) for leaf in LEAVES),
        (mx.Normal(1), 1),
        (mx.Normal(1), 1000),
        (mx.Normal(64), 2),
        *(
            pytest.param(leaf, count, marks=pytest.mark.slow)
            for leaf, count in [
                (mx.Normal(8, "full"), 2),
                (mx.Laplace(64), 2),
                (mx.LogitNormal(64), 2),
                (mx.Bernoulli(64), 2),
                (mx.Independent(mx.Mixture(mx.Normal(1), 5), 8), 2),
            ]
        ),
    ],
    ids=repr,
)
def test_values_and_gradients_are_finite_at_extremes(leaf, count, gradient, tensor):
    family = mx.Mixture(leaf, count)
    rng = np.random.default_rng(0)
    rows = 20 if count == 1000 else 300
    params = rng.choice(RAW, size=(rows, family.params_size))
    logits = rng.choice([-math.inf, -1e4, 0.0, 1e4], size=(rows, count))
    logits[:, 0] = rng.choice([-1e4, 0.0, 1e4], size=rows)
    params[:, :count] = logits
    y = rng.choice(FAR, size=(rows, family.event_size))
    y = y if leaf.is_continuous else events(leaf, y)
    value, slope = gradient(lambda params: family.log_prob(params, tensor(y)), params)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert not np.isnan(family.log_prob(params, y)).any()


@pytest.mark.parametrize(
    "leaf",
    [
        mx.Laplace(2),
        mx.LogitNormal(2),
        *(pytest.param(leaf, marks=pytest.mark.slow) for leaf in (mx.Normal(2), mx.LogNormal(2))),
    ],
    ids=repr,
)
def test_intervals_are_finite_at_extremes(leaf, gradient, tensor):
    family = mx.Mixture(leaf, 3)
    rng = np.random.default_rng(0)
    params = rng.choice(RAW, size=(300, family.params_size))
    ends = np.sort(rng.choice([-math.inf, *FAR, math.inf], size=(2, 300, 2)), axis=0)
    lower, upper = tensor(ends[0]), tensor(ends[1])
    value, slope = gradient(lambda params: family.log_prob(params, lower=lower, upper=upper), params)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("logit", [-1e4, -math.inf])
def test_a_component_of_weight_zero_leaves_value_and_gradient_finite(logit, gradient, tensor):
    family = mx.Mixture(mx.Normal(1), 2)
    params = [[logit, 0.0, 1e4, 1.0, 0.0, 1.0]]
    value, slope = gradient(lambda params: family.log_prob(params, tensor([0.5])), params)
    assert value == pytest.approx(stats.norm(1, 2).logpdf(0.5), rel=1e-5)
    np.testing.assert_allclose(slope, [[0, 0, 0, -0.125, 0, 0.0625 / 2 - 0.5]], rtol=1e-5)


def test_targets_ten_thousand_scales_away_still_pull(gradient, tensor):
    family = mx.Mixture(mx.Normal(1), 2)
    params = [[0.0, 0.0, -1.0, 1.0, 1.0, 1.0]]  # two scales of 2; the second mean is nearer
    _, slope = gradient(lambda params: family.log_prob(params, tensor([2e4])), params)
    np.testing.assert_allclose(slope, [[-0.5, 0.5, 0, 1e4 / 2, 0, 1e8 / 2]], rtol=1e-3)
