import json
import math

import keras
import numpy as np
import pytest
from keras import ops
from keras.saving import deserialize_keras_object, serialize_keras_object
from scipy import linalg, stats
from scipy.special import expit, logit, softmax

import mixtura as mx
from mixtura.families import host

PARTS = {
    "place": mx.Normal(2, "full"),
    "dt": mx.LogNormal(1),
    "pen": mx.Categorical(3),
    "end": mx.Bernoulli(),
}
FAMILY = mx.Joint(**PARTS)
NAMES = tuple(PARTS)

# Places in the parameters and in the event.
THETA = dict(zip(NAMES, (slice(0, 5), slice(5, 7), slice(7, 10), slice(10, 11)), strict=True))
PLACES = dict(zip(NAMES, (slice(0, 2), slice(2, 3), slice(3, 6), slice(6, 7)), strict=True))

# Numbers that float32 holds exactly.
PARAMS = 0.5 * np.random.default_rng(0).normal(size=(4, 11)).astype("float32").astype(float)
Y = np.array(
    [
        [0.5, -1.0, 2.0, 0, 1, 0, 1],
        [1.5, 0.25, 0.5, 1, 0, 0, 0],
        [-2.0, 0.0, 0.125, 0, 0, 1, 1],
        [0.0, 3.0, 8.0, 0, 1, 0, 0],
    ]
)


@pytest.fixture
def truths(normal_by_hand, scale_by_hand):
    """SciPy's distributions of the four parts, row by row."""
    rows = []
    for row in PARAMS:
        theta = {name: row[at] for name, at in THETA.items()}
        location, activation = theta["dt"]
        rows.append(
            {
                "place": stats.multivariate_normal(*normal_by_hand(theta["place"], 2, "full")),
                "dt": stats.lognorm(scale_by_hand(activation), scale=math.exp(location)),
                "pen": stats.multinomial(1, softmax(theta["pen"])),
                "end": stats.bernoulli(expit(theta["end"][0])),
            }
        )
    return rows


# Identity.

AWKWARD = ("config", "class_name", "params", "sample", "names", "parts", "self", "_config", "event size")
NAMED = mx.Joint(**{name: mx.Normal(size) for size, name in enumerate(AWKWARD, 1)})
NESTED = mx.Joint(z=mx.Joint(b=mx.Normal(1), a=mx.Bernoulli()), a=mx.Independent(FAMILY, 2))


def test_the_order_of_the_parts_is_part_of_the_family():
    a, b = mx.Normal(1), mx.Bernoulli()
    one, other = mx.Joint(a=a, b=b), mx.Joint(b=b, a=a)
    assert one != other
    assert len({one, other, mx.Joint(a=a, b=b)}) == 2
    assert one.get_config() == {"parts": [["a", a], ["b", b]]}
    assert other.get_config() == {"parts": [["b", b], ["a", a]]}
    assert repr(other) == "Joint(b=Bernoulli(), a=Normal())"


@pytest.mark.parametrize("family", [FAMILY, NAMED, NESTED], ids=["plain", "named", "nested"])
def test_files_with_sorted_keys_keep_the_order_and_the_parts(family):
    text = json.dumps(serialize_keras_object(family), sort_keys=True)
    restored = deserialize_keras_object(json.loads(text))
    assert restored == family
    assert restored.names == family.names


def test_a_part_may_have_any_name():
    assert NAMED.names == AWKWARD
    assert [NAMED[name] for name in AWKWARD] == [mx.Normal(size) for size in range(1, 10)]
    p = NAMED(np.arange(90.0))
    assert [p[name].event_size for name in AWKWARD] == list(range(1, 10))
    np.testing.assert_array_equal(p["class_name"].params, [2, 3, 4, 5])


def test_parts_of_one_class_stay_different_in_a_saved_model(tmp_path):
    """Keras remembers objects by id while it saves: parts must not be mixed up."""
    same = mx.Mixture(mx.Normal(1), 2)
    family = mx.Joint(
        first=same,
        second=mx.Mixture(mx.Normal(1, scale="exp"), 2),
        third=mx.Mixture(mx.Normal(2), 3),
        again=same,
        inner=mx.Joint(first=mx.Bernoulli(2), second=mx.Bernoulli()),
        copies=mx.Independent(mx.Joint(first=mx.Bernoulli(), second=mx.Bernoulli(2)), 2),
    )
    model = keras.Sequential([keras.Input((4,)), mx.MDN(family)])
    model.compile("sgd", mx.NegativeLogLikelihood(family))
    model.save(tmp_path / "m.keras")
    restored = keras.models.load_model(tmp_path / "m.keras")
    assert restored.layers[-1].family == restored.loss.family == family
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (restored, model)))


# Parts.


def test_parts_are_asked_by_name():
    assert FAMILY.names == NAMES
    assert (FAMILY.event_size, FAMILY.params_size, FAMILY.is_continuous) == (7, 11, False)
    assert mx.Joint(place=mx.Normal(2), dt=mx.LogNormal(1)).is_continuous
    p = FAMILY(PARAMS)
    for name, part in PARTS.items():
        assert FAMILY[name] == getattr(FAMILY, name) == p[name].family == part
        np.testing.assert_array_equal(p[name].params, PARAMS[:, THETA[name]])
        np.testing.assert_array_equal(p[1:3][name].params, p[name][1:3].params)


@pytest.mark.parametrize("kind", ["arrays", "tensors"])
def test_events_are_split_into_parts(kind, tensor):
    y = Y.tolist() if kind == "arrays" else tensor(Y)
    parts = FAMILY.split(y)
    assert tuple(parts) == NAMES
    for name, part in parts.items():
        assert ops.is_tensor(part) == (kind == "tensors")
        np.testing.assert_array_equal(ops.convert_to_numpy(part), Y[:, PLACES[name]])
    number = 5.0 if kind == "arrays" else tensor(5.0)
    assert mx.Joint(a=mx.Normal(1)).split(number)["a"].shape == (1,)
    with pytest.raises(ValueError, match=r"has events of size 7 on the last axis.*y of shape \(4, 6\)"):
        FAMILY.split(y[:, :6] if kind == "tensors" else Y[:, :6])


@pytest.mark.parametrize(
    ("ask", "known"),
    [
        (lambda: FAMILY["speed"], "place, dt, pen, end"),
        (lambda: FAMILY(PARAMS)["speed"], "place, dt, pen, end"),
        (lambda: mx.Affine(mx.Joint(a=mx.Normal(1)), 0.0, 1.0)([0.0, 0.0])["speed"], "a"),
    ],
    ids=["family", "distribution", "other units"],
)
def test_unknown_parts_are_one_error_that_lists_the_known(ask, known):
    with pytest.raises(KeyError, match=f"has no part 'speed'; its parts are {known}\"") as error:
        ask()
    assert error.value.__cause__ is error.value.__context__ is None


def test_unknown_parts_are_no_attributes():
    with pytest.raises(AttributeError, match="Joint has no attribute 'speed'"):
        _ = FAMILY.speed


@pytest.mark.parametrize(
    "family",
    [mx.Normal(1), mx.Affine(mx.Normal(1), 0, 1), mx.Mixture(mx.Normal(1), 2)],
    ids=repr,
)
def test_other_families_have_no_parts(family):
    with pytest.raises(TypeError, match=r"has no parts; p\['a'\] is for a Joint"):
        family(np.zeros(family.params_size))["a"]


def test_parts_in_other_units_are_in_theirs():
    inner = mx.Joint(place=mx.Normal(2, "full"), dt=mx.LogNormal(1))
    shift, scale = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    p = mx.Affine(inner, shift, scale)(PARAMS[:, :7])
    assert p["place"].family == mx.Affine(inner.place, shift[:2], scale[:2])
    assert p["dt"].family == mx.Affine(inner.dt, 3.0, 6.0)
    y = Y[:, :3] + [0.0, 0.0, 3.0]
    expected = p["place"].log_prob(y[:, :2]) + p["dt"].log_prob(y[:, 2:])
    np.testing.assert_allclose(p.log_prob(y), expected, rtol=1e-12)
    np.testing.assert_allclose(p["dt"].mean()[:, 0], p.mean()[:, 2], rtol=1e-12)


TOUCH = mx.Mixture(
    mx.Joint(place=mx.LogitNormal(2), dt=mx.Affine(mx.LogNormal(1), 0.0, 0.02), moving=mx.Bernoulli()), 3
)
TOUCHED = np.array([[0.2, 0.9, 0.01, 1.0], [0.5, 0.4, 0.3, 0.0]])


@pytest.fixture(scope="module")
def touch():
    """Return the weights (2, 3) and the log densities (2, 3) of each part of a mixture of joints, by hand."""
    params = np.random.default_rng(3).normal(size=(2, TOUCH.params_size))
    table = params.reshape(2, -1, 3)
    sigma = np.where(table[:, 3:5] > 0, table[:, 3:5] + 1, np.exp(np.minimum(table[:, 3:5], 0)))
    x = logit(TOUCHED[:, :2, None])
    slope = np.log(TOUCHED[:, :2] * (1 - TOUCHED[:, :2])).sum(axis=1)[:, None]
    place = stats.norm.logpdf(x, table[:, 1:3], sigma).sum(axis=1) - slope
    spread = np.where(table[:, 6] > 0, table[:, 6] + 1, np.exp(np.minimum(table[:, 6], 0)))
    dt = stats.lognorm.logpdf(TOUCHED[:, 2:3], spread, scale=0.02 * np.exp(table[:, 5]))
    moving = stats.bernoulli.logpmf(TOUCHED[:, 3:], expit(table[:, 7]))
    return params, softmax(table[:, 0], axis=1), {"place": place, "dt": dt, "moving": moving}


def test_a_mixture_of_joints_shares_the_choice_of_a_component(touch, assert_exact):
    params, weights, parts = touch
    assert_exact(
        TOUCH.log_prob, params, TOUCHED, truth=np.log((weights * np.exp(sum(parts.values()))).sum(1))
    )


def test_parts_of_a_mixture_of_joints_are_mixtures(touch):
    params, weights, parts = touch
    for name, where in (("place", slice(0, 2)), ("dt", slice(2, 3)), ("moving", slice(3, 4))):
        p = TOUCH(params)[name]
        assert p.family == mx.Mixture(TOUCH.family[name], 3)
        expected = np.log((weights * np.exp(parts[name])).sum(axis=1))
        np.testing.assert_allclose(p.log_prob(TOUCHED[:, where]), expected, rtol=1e-12)


def test_parts_of_a_mixture_of_joints_in_other_units_are_in_theirs():
    inner = mx.Mixture(mx.Joint(place=mx.Normal(2), dt=mx.LogNormal(1)), 3)
    p = mx.Affine(inner, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])(np.random.default_rng(0).normal(size=(4, 21)))
    assert p["dt"].family == mx.Affine(mx.Mixture(mx.LogNormal(1), 3), 3.0, 6.0)
    y = Y[:, :3] + [0.0, 0.0, 3.0]
    for name, where in (("place", [0, 1]), ("dt", [2])):
        expected = p.marginal(where).log_prob(y[:, where])
        np.testing.assert_allclose(p[name].log_prob(y[:, where]), expected, rtol=1e-12)


def test_marginals_are_of_the_parts_that_are_kept(touch):
    params, weights, parts = touch
    expected = np.log((weights * np.exp(parts["place"] + parts["dt"])).sum(axis=1))
    p = TOUCH(params).marginal([0, 1, 2])
    np.testing.assert_allclose(p.log_prob(TOUCHED[:, :3]), expected, rtol=1e-12)
    p = FAMILY(PARAMS)
    kept = p.marginal([0, 2, 6])
    place = p["place"].marginal(0)
    assert kept.family == mx.Joint(place=place.family, dt=FAMILY["dt"], end=FAMILY["end"])
    expected = p["dt"].log_prob(Y[:, 2:3]) + p["end"].log_prob(Y[:, 6:])
    expected = expected + place.log_prob(Y[:, :1])
    np.testing.assert_allclose(kept.log_prob(Y[:, [0, 2, 6]]), expected, rtol=1e-12)
    assert p.marginal(2).family == FAMILY["dt"]
    with pytest.raises(NotImplementedError, match=r"keep their order; received \[2, 0\]"):
        p.marginal([2, 0])


def test_only_named_parts_of_components_are_moved(touch):
    params, _, _ = touch
    moved = TOUCH._relocated(host, params, np.array([[0.5, -0.25, 9.0, 9.0]]), ("place",)).reshape(2, -1, 3)
    change = moved - params.reshape(2, -1, 3)
    np.testing.assert_allclose(change[:, 1:3], np.broadcast_to([[0.5], [-0.25]], (2, 2, 3)))
    assert not change[:, [0, *range(3, 8)]].any()


def test_events_are_standardised_as_each_part_does_it():
    standard = TOUCH._standardised(host, TOUCHED)
    expected = [*logit(TOUCHED[:, :2].T), np.log(TOUCHED[:, 2] / 0.02), TOUCHED[:, 3]]
    np.testing.assert_allclose(standard, np.transpose(expected))
    # What no part has a density for looks like the middle.
    np.testing.assert_array_equal(TOUCH._standardised(host, np.zeros((1, 4))), np.zeros((1, 4)))


# Densities and moments.


def test_log_prob_is_the_sum_of_the_parts(truths, assert_exact):
    truth = []
    for row, y in zip(truths, Y, strict=True):
        place, dt, pen, end = row.values()
        truth.append(place.logpdf(y[:2]) + dt.logpdf(y[2]) + pen.logpmf(y[3:6]) + end.logpmf(y[6]))
    assert_exact(FAMILY.log_prob, PARAMS, Y, truth=np.array(truth))


def test_moments_are_the_parts(truths, on_tensors):
    p = FAMILY(PARAMS)
    for row, truth in enumerate(truths):
        place, dt, pen, end = truth.values()
        mean = [*place.mean, dt.mean(), *pen.p, end.mean()]
        covariance = linalg.block_diag(place.cov, dt.var(), pen.cov(), end.var())
        np.testing.assert_allclose(p.mean()[row], mean, rtol=1e-12)
        np.testing.assert_allclose(p.covariance()[row], covariance, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(p.variance()[row], np.diag(covariance), rtol=1e-11)
        entropy = place.entropy() + dt.entropy() + stats.entropy(pen.p) + end.entropy()
        np.testing.assert_allclose(p.entropy()[row], entropy, rtol=1e-12)
        likeliest = [*np.eye(3)[np.argmax(pen.p)], float(end.mean() > 0.5)]
        highest = math.exp(PARAMS[row, 5] - dt.args[0] ** 2)
        np.testing.assert_allclose(p.mode()[row], [*place.mean, highest, *likeliest], rtol=1e-12)
    methods = ("mean", "variance", "covariance", "entropy")
    values = on_tensors(lambda params: [getattr(FAMILY, method)(params) for method in methods], PARAMS)
    for method, value in zip(methods, values, strict=True):
        assert value == pytest.approx(getattr(FAMILY, method)(PARAMS), rel=2e-5, abs=2e-5)


def test_log_prob_of_an_interval_takes_observed_parts_as_they_are(truths, assert_exact):
    """The bounds of the discrete parts are equal, which is their mass, but in the last row."""
    family = mx.Joint(**{name: PARTS[name] for name in NAMES[1:]})
    lower, upper = Y[:, 2:].copy(), Y[:, 2:].copy()
    lower[:, 0], upper[:, 0] = [0.25, 0.0, 0.125, 1.0], [2.0, math.inf, 0.125, 8.0]
    lower[3, 1:], upper[3, 1:] = [-1, -1, -1, 0], [0, 1, 1, 1]
    truth = []
    for row, (low, high, y) in enumerate(zip(lower[:, 0], upper[:, 0], Y, strict=True)):
        _, dt, pen, end = truths[row].values()
        time = dt.pdf(low) if low == high else dt.cdf(high) - dt.cdf(low)
        discrete = pen.pmf(y[3:6]) * end.pmf(y[6]) if row < 3 else (1 - pen.p[0]) * end.pmf(1)
        truth.append(math.log(time * discrete))

    def log_prob(params, lower, upper):
        return family.log_prob(params, lower=lower, upper=upper)

    assert_exact(log_prob, PARAMS[:, 5:], lower, upper, truth=np.array(truth))


def test_a_bound_left_out_is_open(truths):
    p = FAMILY(PARAMS)
    for part, bound in (("dt", 2.0), ("end", 0.0)):
        truth = np.array([row[part].sf(bound) for row in truths])
        np.testing.assert_allclose(p[part].log_prob(lower=[bound]), np.log(truth), rtol=1e-11)
    family = mx.Joint(dt=PARTS["dt"], end=PARTS["end"])
    both = family.log_prob(PARAMS[:, [5, 6, 10]], lower=[2.0, 0.0])
    expected = [math.log(row["dt"].sf(2.0) * row["end"].sf(0.0)) for row in truths]
    np.testing.assert_allclose(both, expected, rtol=1e-11)


@pytest.mark.parametrize("method", ["cdf", "sf", "quantile", "isf", "interval"])
def test_tails_are_asked_of_a_part(method):
    argument = Y if method in ("cdf", "sf") else 0.5
    with pytest.raises(NotImplementedError, match=r"one-dimensional event.*ask a part, such as p\['place'\]"):
        getattr(FAMILY(PARAMS), method)(argument)


def test_a_single_part_is_the_family(assert_same_answers):
    for family in (mx.Mixture(mx.Normal(1), 3), mx.Bernoulli()):
        params = PARAMS[:, : family.params_size]
        one, plain = mx.Joint(part=family)(params), family(params)
        assert_same_answers(one, plain)


# Samples.


def test_samples_are_the_parts_drawn_independently(draw, truths, assert_follow):
    n = 20_000
    x, again, other = draw(FAMILY, PARAMS[0], {"seed": 1}, {"seed": 1}, {"seed": 2}, n=n)
    assert x.shape == (n, 7)
    np.testing.assert_array_equal(x, again)
    assert (x[:, :3] != other[:, :3]).all()
    place, dt, pen, end = truths[0].values()
    white = np.linalg.solve(np.linalg.cholesky(place.cov), (x[:, :2] - place.mean).T)
    for row in white:
        assert_follow(row, stats.norm.cdf)
    assert_follow(x[:, 2], dt.cdf)
    np.testing.assert_array_equal(np.sort(x[:, 3:6], axis=-1), np.tile([0, 0, 1], (n, 1)))
    assert stats.chisquare(x[:, 3:6].sum(axis=0), n * pen.p).pvalue > 1e-4
    assert set(np.unique(x[:, 6])) == {0, 1}
    assert stats.binomtest(int(x[:, 6].sum()), n, end.mean()).pvalue > 1e-4
    parts = [*white, np.log(x[:, 2]), *x[:, 4:].T]
    correlations = np.corrcoef(parts)
    correlations[3, 4] = correlations[4, 3] = 0  # two classes of one part
    assert (np.abs(correlations - np.eye(6)) < 5 / math.sqrt(n)).all()


def test_equal_parts_have_draws_of_their_own(draw):
    """Nor is one a shifted copy of another."""
    family, n = mx.Joint(a=mx.Normal(1), b=mx.Normal(1), c=mx.Joint(a=mx.Normal(1))), 2000
    x = draw(family, np.zeros(6), n=n).T
    for a, b in ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)):
        for lag in range(4):
            assert abs(np.corrcoef(x[a, lag:], x[b, : n - lag])[0, 1]) < 5 / math.sqrt(n - lag)


def test_samples_of_a_batch_have_its_shape(compiled):
    assert FAMILY(PARAMS).sample(5, seed=0).shape == (5, 4, 7)
    assert compiled(lambda params: FAMILY.sample(params, seed=0), PARAMS).shape == (4, 7)


# Joints within.


def test_a_joint_in_a_joint_is_one_flat_joint():
    inner = mx.Joint(dt=PARTS["dt"], pen=PARTS["pen"])
    p = mx.Joint(place=PARTS["place"], rest=inner, end=PARTS["end"])(PARAMS)
    flat = FAMILY(PARAMS)
    np.testing.assert_allclose(p.log_prob(Y), flat.log_prob(Y), rtol=1e-14)
    for method in ("mean", "variance", "covariance", "mode"):
        np.testing.assert_array_equal(getattr(p, method)(), getattr(flat, method)())
    np.testing.assert_allclose(p.entropy(), flat.entropy(), rtol=1e-14)
    np.testing.assert_array_equal(p["rest"]["pen"].params, flat["pen"].params)
    assert p.family.rest.pen == p.family["rest"]["pen"] == PARTS["pen"]
    np.testing.assert_array_equal(p.family.split(Y)["rest"], Y[:, 2:6])


def test_copies_of_a_joint_are_joints_side_by_side(on_tensors):
    family = mx.Independent(FAMILY, 2)
    params, y = PARAMS.reshape(2, 22), Y.reshape(2, 14)
    p, each = family(params), FAMILY(PARAMS)
    log_prob = each.log_prob(Y).reshape(2, 2).sum(axis=-1)
    np.testing.assert_allclose(p.log_prob(y), log_prob, rtol=1e-14)
    assert on_tensors(family.log_prob, params, y) == pytest.approx(log_prob, rel=2e-5)
    np.testing.assert_array_equal(p.mean(), each.mean().reshape(2, 14))
    np.testing.assert_array_equal(p.mode(), each.mode().reshape(2, 14))
    np.testing.assert_allclose(p.entropy(), each.entropy().reshape(2, 2).sum(axis=-1), rtol=1e-14)
    blocks = [linalg.block_diag(*pair) for pair in each.covariance().reshape(2, 2, 7, 7)]
    np.testing.assert_array_equal(p.covariance(), blocks)
    second = p.marginal(range(7, 14))
    np.testing.assert_array_equal(second["dt"].params, each["dt"].params[1::2])


# Mistakes.


def test_a_joint_needs_a_part():
    with pytest.raises(ValueError, match="a Joint needs at least one part, such as Joint"):
        mx.Joint()


@pytest.mark.parametrize("part", [3, "normal", mx.Normal, None], ids=repr)
def test_parts_are_families(part):
    with pytest.raises(TypeError, match=r"end must be a mixtura family, such as Normal\(1\); received"):
        mx.Joint(place=mx.Normal(2), end=part)
