import copy
import json
import pickle

import numpy as np
import pytest
from keras.saving import deserialize_keras_object, serialize_keras_object

import mixtura as mx
from mixtura.families import Distribution, Family

NORMAL = mx.Normal(2, covariance="full", scale="exp", min_scale=0.1)
FAMILIES = [
    mx.Normal(1),
    mx.Normal(3, "spherical"),
    NORMAL,
    mx.Mixture(NORMAL, 3),
    mx.Affine(mx.Normal(1, scale="softplus"), 20.0, 0.1),
    mx.Affine(mx.Mixture(NORMAL, 3), [1.0, -2.5], [0.1, 1e3]),
    mx.Mixture(mx.Affine(mx.Mixture(mx.Normal(2), 2), 0.5, 2.0), 3),
    mx.Normal(2, "bivariate", scale="exp"),
    mx.Laplace(2, min_scale=0.5),
    mx.LogNormal(2, "full"),
    mx.LogitNormal(1, low=-1.0, high=2.5),
    mx.Bernoulli(),
    mx.Bernoulli(3),
    mx.Categorical(3),
    mx.Independent(mx.Mixture(mx.Normal(1), 2), 3),
    mx.Joint(offset=mx.Mixture(NORMAL, 3), end=mx.Bernoulli()),
    mx.Joint(end=mx.Bernoulli(), offset=mx.Mixture(NORMAL, 3)),
]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=repr)


# Identity.


@every_family
def test_families_differ_and_are_equal_only_to_themselves(family):
    assert [family == other for other in FAMILIES].count(True) == 1
    assert family != "a family"
    assert len({*FAMILIES, family}) == len(FAMILIES)


@every_family
def test_copies_are_equal_and_hash_alike(family):
    again = eval(repr(family), vars(mx).copy())
    for other in (again, copy.copy(family), copy.deepcopy(family), pickle.loads(pickle.dumps(family))):
        assert other == family
        assert hash(other) == hash(family)


@every_family
def test_keras_saves_and_restores_it_through_json(family):
    text = json.dumps(serialize_keras_object(family))
    restored = deserialize_keras_object(json.loads(text))
    assert restored == family
    assert hash(restored) == hash(family)


def test_from_config_reads_what_get_config_returns():
    family = mx.Mixture(mx.Normal(1), 2)
    assert mx.Mixture.from_config(family.get_config()) == family


def test_arguments_are_attributes_and_nothing_else_is():
    assert (NORMAL.event_size, NORMAL.scale, NORMAL.min_scale) == (2, "exp", 0.1)
    with pytest.raises(AttributeError, match="Normal has no attribute 'colour'"):
        _ = NORMAL.colour


@every_family
def test_families_do_not_change(family):
    for name in ("event_size", "min_scale", "anything"):
        with pytest.raises(AttributeError, match=f"immutable.*{name}"):
            setattr(family, name, 1)


def test_counts_may_be_numpy_integers():
    assert mx.Mixture(mx.Normal(np.int64(2)), np.int32(3)) == mx.Mixture(mx.Normal(2), 3)
    assert type(mx.Normal(np.int64(2)).event_size) is int


# What a family without methods can do.


class Nothing(Family):
    event_size = 1
    params_size = 1

    def __init__(self):
        self._configure()


WITH_EVENTS = ["log_prob", "cdf", "sf", "quantile", "isf", "responsibilities", "marginal"]


@pytest.mark.parametrize("method", [*WITH_EVENTS, "fit", "sample", "mean", "variance", "entropy", "mode"])
def test_what_a_family_lacks_it_says(method):
    arguments = [[0.0]] * (2 if method in WITH_EVENTS else 1)
    with pytest.raises(NotImplementedError, match=rf"Nothing\(\) has no {method}; use "):
        getattr(Nothing(), method)(*arguments)


def test_a_covariance_asks_for_the_variance():
    with pytest.raises(NotImplementedError, match=r"Nothing\(\) has no variance; use sample"):
        Nothing().covariance([0.0])


def test_other_things_a_family_lacks_it_says_too():
    with pytest.raises(NotImplementedError, match=r"Nothing\(\) has no log_prob of an interval; use "):
        Nothing().log_prob([0.0], lower=[0.0])
    with pytest.raises(NotImplementedError, match=r"Nothing\(\) has no condition; use "):
        Nothing().condition([0.0], 0, 0.0)


def test_an_interval_or_an_event_but_not_both():
    p = mx.Normal(1)([0.0, 0.0])
    for arguments in ({}, {"y": 0.0, "lower": 0.0}):
        with pytest.raises(ValueError, match="either y or the bounds"):
            p.log_prob(**arguments)
    with pytest.raises(ValueError, match="lower must not exceed upper"):
        p.log_prob(lower=1.0, upper=0.0)


@pytest.mark.parametrize("kind", ["arrays", "tensors"])
def test_batches_that_do_not_fit_are_named(kind, tensor):
    make = np.asarray if kind == "arrays" else tensor
    with pytest.raises(ValueError, match=r"batch shape \(3,\) do not fit events of batch shape \(4,\)"):
        mx.Normal(1).log_prob(make(np.zeros((3, 2))), make(np.zeros((4, 1))))


@pytest.mark.parametrize("dims", [2, -1, [0, 0], [], [0.5], "x", None], ids=repr)
def test_dimensions_are_checked(dims):
    p = mx.Normal(2)(np.zeros(4))
    with pytest.raises(ValueError, match="dims must be distinct dimensions between 0 and 1; received"):
        p.marginal(dims)


def test_conditions_are_checked():
    p = mx.Normal(2, "full")(np.zeros(5))
    with pytest.raises(ValueError, match="dims must leave a dimension to predict"):
        p.condition([0, 1], [0.0, 0.0])
    with pytest.raises(ValueError, match=r"values must have 1 on the last axis.*received shape \(2,\)"):
        p.condition(0, [0.0, 0.0])


@pytest.mark.parametrize("accessor", ["weights", "means", "scales", "covariances"])
def test_only_mixtures_have_components(accessor):
    with pytest.raises(NotImplementedError, match=rf"Normal\(\) has no {accessor}; use "):
        getattr(mx.Normal(1)([0.0, 0.0]), accessor)


# Sizes.


@every_family
def test_parameters_of_another_size_are_refused(family):
    size = family.params_size
    for shape in ((size + 1,), (size, size + 1), ()):
        with pytest.raises(ValueError, match=f"takes parameters of size {size} on the last axis") as error:
            family(np.zeros(shape))
        assert f"received shape {shape}" in str(error.value)


@every_family
def test_events_of_another_size_are_refused(family):
    p = family(np.zeros(family.params_size))
    with pytest.raises(ValueError, match=rf"has events of size {family.event_size} .* y of shape \(7,\)"):
        p.log_prob(np.zeros(7))


def test_a_missing_event_axis_is_hinted_at(tensor):
    for kind in (np.asarray, tensor):
        with pytest.raises(ValueError, match="add the event axis"):
            mx.Normal(1).log_prob(kind([[0.0, 0.0]] * 5), kind([0.0] * 5))


def test_a_number_is_an_event_of_one_dimension():
    assert mx.Normal(1)([[0.0, 0.0]] * 3).log_prob(0.0).shape == (3,)


def test_calling_a_family_binds_parameters():
    p = mx.Normal(1)([0.0, 0.0])
    assert isinstance(p, Distribution)
    assert p.family == mx.Normal(1)


# Units.


@pytest.mark.parametrize(
    ("family", "shift", "scale"),
    [
        (NORMAL, [0, 0], [1, 1]),
        (mx.Categorical(3), [0, 0, 0], [1, 1, 1]),
        (mx.Affine(NORMAL, [1, -2], [2, 0.5]), [1, -2], [2, 0.5]),
        (mx.Affine(mx.Affine(mx.Normal(1), 3, 2), 10, 4), [22], [8]),
        (mx.Mixture(mx.Affine(NORMAL, [1, -2], [2, 0.5]), 3), [1, -2], [2, 0.5]),
        (mx.Independent(mx.Affine(NORMAL, [1, -2], [2, 0.5]), 2), [1, -2, 1, -2], [2, 0.5, 2, 0.5]),
        (mx.Joint(pen=mx.Bernoulli(), y=mx.Affine(mx.Normal(1), 3, 2)), [0, 3], [1, 2]),
    ],
    ids=repr,
)
def test_units_are_those_of_an_affine_inside(family, shift, scale):
    np.testing.assert_array_equal(family.units, [shift, scale])
    assert family.units[0].dtype == family.units[1].dtype == np.float64
