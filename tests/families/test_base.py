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
    again = eval(repr(family), {name: getattr(mx, name) for name in ("Normal", "Mixture", "Affine")})
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


@pytest.mark.parametrize(
    "method", ["log_prob", "sample", "mean", "variance", "covariance", "cdf", "sf", "quantile", "isf"]
)
def test_what_a_family_lacks_it_says(method):
    arguments = [[0.0]] * (2 if method in ("log_prob", "cdf", "sf", "quantile", "isf") else 1)
    with pytest.raises(NotImplementedError, match=rf"Nothing\(\) has no {method}; use "):
        getattr(Nothing(), method)(*arguments)


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
