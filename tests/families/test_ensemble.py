import math

import numpy as np
import pytest
from keras import ops
from scipy.special import logsumexp

import mixtura as mx
from mixtura.families import host
from mixtura.families.ensemble import ensemble_of, members_log_prob, num_components, variances

RNG = np.random.default_rng(0)
MIXTURE = mx.Mixture(mx.Normal(2), 3)


def test_an_ensembles_family_has_all_members_components():
    assert ensemble_of(MIXTURE, 4) == mx.Mixture(mx.Normal(2), 12)
    assert num_components(ensemble_of(MIXTURE, 4)) == 12
    in_units = mx.Affine(MIXTURE, [1.0, 2.0], [3.0, 4.0])
    assert ensemble_of(in_units, 4) == mx.Affine(mx.Mixture(mx.Normal(2), 12), [1.0, 2.0], [3.0, 4.0])
    twice = mx.Affine(in_units, 1.0, 2.0)
    assert ensemble_of(twice, 2) == mx.Affine(
        mx.Affine(mx.Mixture(mx.Normal(2), 6), [1, 2], [3, 4]), 1.0, 2.0
    )
    assert num_components(twice) == 3
    assert ensemble_of(MIXTURE, 1) == MIXTURE


def test_only_mixtures_make_ensembles():
    for family in (mx.Normal(1), mx.Affine(mx.Normal(1), 0.0, 1.0), mx.Independent(MIXTURE, 2)):
        with pytest.raises(ValueError, match="an ensemble is made of mixtures; received"):
            ensemble_of(family, 2)
    with pytest.raises(TypeError, match="family must be a mixtura family"):
        ensemble_of("mixture", 2)
    with pytest.raises(ValueError, match="num_members must be a positive integer; received 0"):
        ensemble_of(MIXTURE, 0)


def test_each_member_has_its_own_density(on_tensors):
    joint = RNG.normal(size=(5, 12)).astype("float32").astype(float)
    expected = logsumexp(joint.reshape(5, 4, 3), axis=-1) + math.log(4)
    np.testing.assert_allclose(members_log_prob(host, joint, 4), expected, rtol=1e-12)
    drawn = on_tensors(lambda joint: members_log_prob(ops, joint, 4), joint)
    np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-6)


def ensemble(members, components=3, rows=5):
    """Each member's mixture, and their ensemble as `EnsembleMDN` lays it out."""
    family = mx.Affine(mx.Mixture(mx.Normal(2, "full"), components), [1.0, -2.0], [3.0, 0.5])
    tables = RNG.normal(size=(members, rows, 6, components))
    tables[:, :, 0] -= logsumexp(tables[:, :, 0], axis=-1, keepdims=True)
    table = np.moveaxis(tables, 0, 2).reshape(rows, -1)
    return [family(one.reshape(rows, -1)) for one in tables], ensemble_of(family, members)(table)


@pytest.mark.parametrize("members", [1, 2, 7])
def test_variance_is_noise_and_disagreement(members):
    each, p = ensemble(members)
    noise, apart = variances(p, members)
    means = np.array([q.mean() for q in each])
    np.testing.assert_allclose(noise, np.mean([q.variance() for q in each], axis=0), rtol=1e-12)
    np.testing.assert_allclose(apart, means.var(axis=0), rtol=1e-12, atol=1e-28)
    np.testing.assert_allclose(noise + apart, p.variance(), rtol=1e-13)
    assert noise.shape == apart.shape == (5, 2)


def test_weights_that_do_not_quite_add_up_are_taken_as_they_are():
    """A network computes in float32."""
    _, p = ensemble(4)
    rounded = p.family(p.params.astype("float16").astype(float))
    noise, apart = variances(rounded, 4)
    np.testing.assert_allclose(noise + apart, rounded.variance(), rtol=1e-13)


def test_batches_may_have_any_shape():
    _, p = ensemble(2, rows=6)
    noise, apart = variances(p, 2)
    shaped = variances(p.family(p.params.reshape(2, 3, -1)), 2)
    np.testing.assert_allclose(shaped[0].reshape(6, 2), noise)
    np.testing.assert_allclose(shaped[1].reshape(6, 2), apart)
    alone = variances(p.family(p.params[0]), 2)
    np.testing.assert_allclose(alone[0], noise[0])
