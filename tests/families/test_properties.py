"""What holds for every family and every way to nest families, on examples that Hypothesis builds."""

import json

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from keras.saving import deserialize_keras_object, serialize_keras_object

import mixtura as mx


def quick(examples=60):
    """The same examples every time."""
    return settings(derandomize=True, deadline=None, max_examples=examples)


# Families.

COUNTS = st.integers(1, 3)
SHIFTS = st.sampled_from([0.0, -3.0, 0.125, 20.0])
UNITS = st.sampled_from([1.0, 0.25, 10.0])
# Those that are methods and attributes too: a part's name may be any.
NAMES = st.sampled_from(["a", "mean", "names", "family", "parts", "event_size"])


def leaves(size, covariances=("spherical", "diagonal", "full")):
    """Build continuous families of so many dimensions."""
    size, ways = st.just(size), {"scale": st.sampled_from(["elu", "softplus", "exp"])}
    ways["min_scale"] = st.sampled_from([0.0, 0.05])
    normals = {"covariance": st.sampled_from(covariances), **ways}
    return st.one_of(
        st.builds(mx.Normal, size, **normals),
        st.builds(mx.Laplace, size, **ways),
        st.builds(mx.LogNormal, size, **normals),
        st.builds(mx.LogitNormal, size, low=st.just(-1.0), high=st.just(2.5), **normals),
    )


def in_other_units(family, units):
    """Return an `Affine` family where there are units to change."""
    shift, scale = zip(*[units[d % len(units)] for d in range(family.event_size)], strict=True)
    return mx.Affine(family, shift, scale) if family.is_continuous else family


def affines(families):
    units = st.lists(st.tuples(SHIFTS, UNITS), min_size=1, max_size=3)
    return st.builds(in_other_units, families, units)


def joints(families, most):
    return st.dictionaries(NAMES, families, min_size=1, max_size=most).map(lambda parts: mx.Joint(**parts))


def nested(leaves, most=2):
    """Build families around families, with at most so many copies and parts."""

    def around(families):
        return st.one_of(
            st.builds(mx.Mixture, families, COUNTS),
            affines(families),
            st.builds(mx.Independent, families, st.integers(1, most)),
            joints(families, most),
        )

    return st.recursive(leaves, around, max_leaves=4)


COVARIANCES = ("spherical", "diagonal", "full", "bivariate")
DISCRETE = st.one_of(st.builds(mx.Bernoulli, COUNTS), st.builds(mx.Categorical, COUNTS))
CONTINUOUS = st.one_of(leaves(1), leaves(2, COVARIANCES), leaves(3))
FAMILIES = nested(CONTINUOUS | DISCRETE)
# With probabilities of intervals.
UNCORRELATED = nested(leaves(1) | leaves(2, COVARIANCES[:2]) | DISCRETE)
# Of one dimension.
LINES = nested(leaves(1), most=1)
# With marginals.
SPACES = st.recursive(
    leaves(2, COVARIANCES) | leaves(3) | st.builds(mx.Independent, LINES, st.integers(2, 3)),
    lambda spaces: st.builds(mx.Mixture, spaces, COUNTS) | affines(spaces),
    max_leaves=2,
)


# Their parameters and events.


def params_of(family, seed, batch=(3,), spread=0.5):
    """Draw parameters that float32 holds exactly.

    With a larger spread, scales are so wide that events are rounded to the ends of their supports.
    """
    params = np.random.default_rng(seed).normal(scale=spread, size=(*batch, family.params_size))
    return params.astype("float32").astype(float)


@st.composite
def bound(draw, families):
    """Build a family and parameters `(3, params_size)`."""
    family = draw(families)
    return family, params_of(family, draw(st.integers(0, 999)), spread=draw(st.sampled_from([0.1, 0.5])))


def assert_close(actual, expected, digits=10):
    np.testing.assert_allclose(actual, expected, rtol=10.0**-digits, atol=10.0**-digits)


def assert_same(p, q):
    """Compare two distributions by their densities at the first one's samples, moments and tails."""
    y = p.sample(5, seed=0)
    assert_close(q.log_prob(y), p.log_prob(y))
    assert_close(q.mean(), p.mean())
    assert_close(q.variance(), p.variance())
    if p.event_size == 1 and p.family.is_continuous:
        assert_close(q.cdf(y), p.cdf(y))
        assert_close(q.quantile(0.9), p.quantile(0.9))


# Identity.


@quick()
@given(FAMILIES)
def test_a_family_is_what_its_files_and_its_repr_say(family):
    assert deserialize_keras_object(json.loads(json.dumps(serialize_keras_object(family)))) == family
    assert type(family).from_config(family.get_config()) == family
    assert eval(repr(family), vars(mx).copy()) == family


# Densities.


@quick()
@given(FAMILIES, mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=3, max_side=3))
def test_log_prob_broadcasts_parameters_and_events(family, shapes):
    batches, batch = shapes.input_shapes, shapes.result_shape
    params = params_of(family, 0, batches[0])
    y = family.sample(params_of(family, 1, batches[1]), seed=0)
    value = family.log_prob(params, y)
    assert value.shape == batch
    whole = (np.broadcast_to(a, (*batch, a.shape[-1])) for a in (params, y))
    assert_close(value, family.log_prob(*whole))


# One program an example: compiling it takes most of the time.
@settings(quick(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bound(FAMILIES))
def test_tensors_give_the_numbers_of_arrays(on_tensors, example):
    family, params = example
    # Closer to the centre than most events, where float32 has the digits to tell how far an end is.
    y = family.sample(params, seed=0, sampler=mx.Sampler(scale=0.5)).astype("float32").astype(float)

    def numbers(params, y):
        values = [family.log_prob(params, y), family.mean(params), family.variance(params)]
        if family.event_size == 1 and family.is_continuous:
            values += [family.cdf(params, y), family.sf(params, y)]
        return values

    for actual, expected in zip(on_tensors(numbers, params, y), numbers(params, y), strict=True):
        assert (np.abs(actual - expected) <= 1e-4 * np.maximum(1, np.abs(expected))).all()


@quick()
@given(bound(UNCORRELATED))
def test_an_interval_of_no_width_is_an_observation(example):
    family, params = example
    y = family.sample(params, seed=0)
    assert_close(family.log_prob(params, lower=y, upper=y), family.log_prob(params, y))


@quick()
@given(bound(LINES))
def test_the_probability_of_an_interval_is_a_difference_of_cdfs(example):
    p = example[0](example[1])
    lower, upper = np.sort(p.sample(2, seed=0), axis=0)
    assert_close(np.exp(p.log_prob(lower=lower, upper=upper)), p.cdf(upper) - p.cdf(lower))
    assert_close(p.log_prob(upper=upper), np.log(p.cdf(upper)))
    assert_close(p.log_prob(lower=lower), np.log(p.sf(lower)))


# Samples and modes.


@quick()
@given(bound(FAMILIES))
def test_samples_have_their_shape_and_a_density(example):
    family, params = example
    for rows in (params, params[0]):
        assert family.sample(rows, seed=0).shape == (*rows.shape[:-1], family.event_size)
    y = family(params).sample(50, seed=0)
    assert y.shape == (50, 3, family.event_size)
    assert np.isfinite(family.log_prob(params, y)).all()


@quick()
@given(bound(LINES | nested(CONTINUOUS) | st.builds(mx.Mixture, CONTINUOUS, COUNTS)))
def test_no_sample_is_more_probable_than_the_mode(example):
    p = example[0](example[1])
    try:
        mode = p.mode()
    except NotImplementedError:
        return
    assert (p.log_prob(p.sample(200, seed=0)) <= p.log_prob(mode) + 1e-9).all()


# Mixtures.


@quick()
@given(bound(st.builds(mx.Mixture, FAMILIES, st.integers(2, 4))), st.randoms(use_true_random=False))
def test_the_order_of_components_and_a_constant_in_the_logits_change_nothing(example, random):
    family, params = example
    order = random.sample(range(family.num_components), family.num_components)
    table = params.reshape(3, -1, family.num_components)[..., order]
    table[:, 0] += 7.0
    p, q = family(params), family(table.reshape(params.shape))
    assert_same(p, q)
    assert_close(q.weights, p.weights[..., order])
    assert_close(q.means, p.means[:, order])
    y = p.sample(1, seed=0)
    assert_close(q.responsibilities(y), p.responsibilities(y)[..., order])


# Affine, Independent and Joint.


@quick()
@given(bound(nested(CONTINUOUS)), st.data())
def test_affine_shifts_and_scales(example, data):
    family, params = example
    shift, scale = (
        np.array(data.draw(st.lists(values, min_size=family.event_size, max_size=family.event_size)))
        for values in (SHIFTS, UNITS)
    )
    u, y = family(params), mx.Affine(family, shift, scale)(params)
    events = u.sample(5, seed=0)
    np.testing.assert_array_equal(y.sample(5, seed=0), shift + scale * events)
    assert_close(y.log_prob(shift + scale * events), u.log_prob(events) - np.log(scale).sum(), digits=8)
    assert_close(y.mean(), shift + scale * u.mean())
    assert_close(y.variance(), scale**2 * u.variance())


@quick()
@given(bound(LINES), SHIFTS, UNITS)
def test_affine_moves_quantiles_and_keeps_probabilities(example, shift, scale):
    family, params = example
    u, y = family(params), mx.Affine(family, shift, scale)(params)
    levels = np.array([[0.01], [0.5], [0.9]])
    assert_close(y.quantile(levels), shift + scale * u.quantile(levels))
    assert_close(y.isf(levels), shift + scale * u.isf(levels))
    events = u.sample(5, seed=0)
    assert_close(y.cdf(shift + scale * events), u.cdf(events), digits=8)


@quick()
@given(bound(FAMILIES), NAMES)
def test_one_copy_and_one_part_are_the_family_itself(example, name):
    family, params = example
    p, copy, joint = family(params), mx.Independent(family, 1)(params), mx.Joint(**{name: family})(params)
    assert_same(p, copy)
    assert_same(p, joint)
    assert joint[name].family == family
    np.testing.assert_array_equal(copy.sample(5, seed=0), p.sample(5, seed=0))


@quick()
@given(bound(FAMILIES), st.integers(2, 3))
def test_copies_are_parts_of_one_family(example, repeats):
    family, params = example
    params = np.concatenate([(1 - 0.25 * r) * params for r in range(repeats)], axis=-1)
    parts = mx.Joint(**{f"part{r}": family for r in range(repeats)})
    assert_same(mx.Independent(family, repeats)(params), parts(params))


# One dimension.


@quick()
@given(bound(LINES))
def test_cdf_rises_and_quantile_is_its_inverse(example):
    p = example[0](example[1])
    levels = np.linspace(0.01, 0.99, 21)[:, None]
    y = p.quantile(levels)
    assert (np.diff(y, axis=0) >= 0).all()
    assert_close(p.cdf(y), levels * np.ones(3))
    assert_close(p.isf(1 - levels), y, digits=8)
    y = np.sort(p.sample(50, seed=0), axis=0)
    below, above = p.cdf(y), p.sf(y)
    assert (np.diff(below, axis=0) >= 0).all()
    assert (np.diff(above, axis=0) <= 0).all()
    assert_close(below + above, 1.0, digits=12)
    # Where the density is low, a rounding of the level moves the quantile far.
    slack = 1e-9 * np.maximum(1, np.abs(y)) + 1e-14 * np.exp(-p.log_prob(y))[..., None]
    assert (np.abs(p.quantile(below) - y) <= slack).all()


# Several dimensions.


@quick()
@given(bound(SPACES), st.randoms(use_true_random=False))
def test_a_marginal_of_all_dimensions_in_any_order_is_the_whole(example, random):
    family, params = example
    p, size = family(params), family.event_size
    y = p.sample(5, seed=0)
    for order in (range(size), random.sample(range(size), size)):
        q = p.marginal(list(order))
        assert_close(q.log_prob(y[..., order]), p.log_prob(y), digits=8)
        assert_close(q.mean(), p.mean()[..., order])


@quick()
@given(bound(SPACES), st.data())
def test_a_marginal_times_a_conditional_is_the_density(example, data):
    family, params = example
    p, dims = family(params), st.lists(st.integers(0, family.event_size - 1), min_size=1, unique=True)
    known = data.draw(dims.filter(lambda dims: len(dims) < family.event_size))
    rest = [d for d in range(family.event_size) if d not in known]
    y = p.sample(5, seed=0)
    value = p.marginal(known).log_prob(y[..., known])
    value = value + p.condition(known, y[..., known]).log_prob(y[..., rest])
    assert_close(value, p.log_prob(y), digits=8)
