import json

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import stats

import mixtura as mx
from mixtura.layers import EnsembleMDN
from mixtura.losses import EnsembleNegativeLogLikelihood

REDUCTIONS = ["sum_over_batch_size", "sum", "mean_with_sample_weight"]
NORMAL = mx.Normal(1)


def scipy_losses(params, y):
    """Minus the log density of each row: a mean and an ELU + 1 scale."""
    scale = np.where(params[..., 1] > 0, params[..., 1] + 1, np.exp(np.minimum(params[..., 1], 0)))
    return -stats.norm(params[..., 0], scale).logpdf(y[..., 0])


def reduced(losses, weight, mask, reduction):
    """What Keras documents, in NumPy."""
    total = (losses * weight * mask).sum()
    return (
        total
        / {
            "sum_over_batch_size": mask.sum(),
            "sum": 1.0,
            "mean_with_sample_weight": (weight * mask).sum(),
        }[reduction]
    )


def draw(*shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=(*shape, 2)).astype("float32"), rng.normal(size=(*shape, 1)).astype("float32")


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_it_is_scipys_negative_log_density(reduction):
    params, y = draw(6)
    loss = mx.NegativeLogLikelihood(NORMAL, reduction=reduction)
    expected = reduced(scipy_losses(params, y), 1.0, np.ones(6), reduction)
    assert float(loss(y, params)) == pytest.approx(expected, rel=1e-5)


def test_it_is_scipys_for_several_dimensions_every_time():
    family = mx.Mixture(mx.Normal(2, "full"), 1)
    y = np.array([[0.5, -1.0], [2.0, 0.0]], "float32")
    params = np.array([[0, 1, 2, 0, 1, 0.5]] * 2, "float32")  # a weight; means 1, 2; scales 1, 2; phi 1/2
    factor = np.array([[1, 0], [1, 2]])  # the second scale times phi times the first dimension's noise
    expected = -stats.multivariate_normal([1, 2], factor @ factor.T).logpdf(y).mean()
    loss = mx.NegativeLogLikelihood(family)
    assert float(loss(y, params)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(y, params)) == float(loss(y, params))


def test_the_event_axis_of_one_dimension_may_be_left_out():
    loss = mx.NegativeLogLikelihood(NORMAL)
    for shape in ((6,), (3, 4)):  # rows, and sequences
        params, y = draw(*shape)
        assert float(loss(y[..., 0], params)) == float(loss(y, params))


def test_lists_are_taken_as_by_keras_own_losses():
    params, y = draw(6)
    loss, weight = mx.NegativeLogLikelihood(NORMAL), np.arange(6.0)
    assert float(loss(y.tolist(), params.tolist(), weight.tolist())) == float(loss(y, params, weight))


# Weights and masks.

weights_of_rows = pytest.mark.parametrize("shape", [(6,), (6, 1)], ids=str)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@weights_of_rows
def test_rows_are_weighed(shape, reduction):
    params, y = draw(6)
    weight = np.arange(6.0)
    expected = reduced(scipy_losses(params, y), weight, np.ones(6), reduction)
    actual = mx.NegativeLogLikelihood(NORMAL, reduction=reduction)(y, params, weight.reshape(shape))
    assert float(actual) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["none", "batch", "batch x 1", "batch x time", "batch x time x 1"])
@pytest.mark.parametrize("time", [3, 4])  # three rows: with three steps, batch == time
def test_sequences_are_weighed_and_masked(time, kind, masked, reduction):
    x, y = draw(3, time)
    mask = np.ones((3, time), bool)
    if masked:
        mask[0, 2:] = mask[1, 1:] = False
        x[~mask] = 0
    params = layers.Masking()(x) if masked else ops.convert_to_tensor(x)
    rows = np.repeat([[1.0], [2.0], [3.0]], time, axis=1)
    steps = rows + np.arange(time)
    given, weight = {
        "none": (None, np.ones((3, time))),
        "batch": (rows[:, 0], rows),
        "batch x 1": (rows[:, :1], rows),
        "batch x time": (steps, steps),
        "batch x time x 1": (steps[..., None], steps),
    }[kind]
    expected = reduced(scipy_losses(x, y), weight, mask, reduction)
    actual = mx.NegativeLogLikelihood(NORMAL, reduction=reduction)(y, params, given)
    assert ops.convert_to_numpy(actual) == pytest.approx(expected, rel=1e-5)


@weights_of_rows
def test_keras_hands_the_weights_over(shape):
    params, y = draw(6)
    model = keras.Sequential([keras.Input((2,)), layers.Identity()])
    model.compile(loss=mx.NegativeLogLikelihood(NORMAL))
    actual = model.evaluate(params, y, sample_weight=np.arange(6.0).reshape(shape), verbose=0)
    expected = reduced(scipy_losses(params, y), np.arange(6.0), np.ones(6), "sum_over_batch_size")
    assert actual == pytest.approx(expected, rel=1e-5)


# Padding that would cost dearly, or that has no density at all.
PADDED = {
    NORMAL: 1e3,
    mx.Mixture(mx.Laplace(1), 2): 1e3,
    mx.Mixture(mx.LogNormal(1), 2): 0.0,
    mx.Joint(place=mx.LogitNormal(2), dt=mx.LogNormal(1), pen=mx.Categorical(3), end=mx.Bernoulli()): 0.0,
    mx.Independent(mx.Mixture(mx.LogitNormal(1), 2), 2): 0.0,
}
LIKE_OTHERS = (mx.Mixture, mx.Independent)


def sequences(family, padding):
    """Two sequences, of two steps and of one, in three steps: inputs, events, and where they are valid."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 2)).astype("float32")
    y = family(rng.normal(size=(2, 3, family.params_size))).sample(1, seed=0)[0].astype("float32")
    valid = np.array([[True, True, False], [True, False, False]])
    x[~valid], y[~valid] = 0, padding
    return x, y, valid


@pytest.mark.parametrize(
    ("family", "padding"),
    [
        pytest.param(*item, id=repr(item[0]), marks=[pytest.mark.slow] * isinstance(item[0], LIKE_OTHERS))
        for item in PADDED.items()
    ],
)
def test_padding_does_not_change_a_training_step(family, padding):
    x, y, valid = sequences(family, padding)

    def step(x, y):
        head = mx.MDN(family, kernel_initializer=keras.initializers.RandomNormal(seed=0))
        model = keras.Sequential([keras.Input((None, 2)), layers.Masking(), head])
        model.compile(keras.optimizers.SGD(0.1), mx.NegativeLogLikelihood(family))
        loss = model.train_on_batch(x, y)
        return loss, *model.get_weights()

    for plain, masked in zip(step(x[valid][None], y[valid][None]), step(x, y), strict=True):
        np.testing.assert_allclose(masked, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "family", [list(PADDED)[2], pytest.param(list(PADDED)[3], marks=pytest.mark.slow)], ids=repr
)
def test_weights_of_zero_hide_it_too(family):
    _, y, valid = sequences(family, padding=0.0)
    params = np.random.default_rng(1).normal(size=(2, 3, family.params_size)).astype("float32")
    loss = mx.NegativeLogLikelihood(family, reduction="sum")
    expected = -family(params[valid]).log_prob(y[valid]).sum()
    first, again = (float(loss(y, params, valid)) for _ in range(2))
    assert first == pytest.approx(expected, rel=1e-5)
    assert first == again


def test_impossible_targets_cost_much_but_not_everything():
    """A loss that is not finite would end the training."""
    loss = mx.NegativeLogLikelihood(mx.Mixture(mx.LogNormal(1), 2))
    assert 1e29 < float(loss([[1.0], [0.0]], np.zeros((2, 6), "float32"))) < 1e31


# Configuration.


def test_every_argument_survives():
    family = mx.Affine(mx.Mixture(mx.Normal(1), 2), 1.0, 2.0)
    loss = mx.NegativeLogLikelihood(family, reduction="sum", name="nll", dtype="float64")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    restored = keras.saving.deserialize_keras_object(config)
    assert isinstance(restored, mx.NegativeLogLikelihood)
    assert restored.family == family
    assert (restored.name, restored.reduction, restored.dtype) == ("nll", "sum", "float64")
    again = mx.NegativeLogLikelihood.from_config(loss.get_config())
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("family", [5, "normal", mx.Normal])
def test_only_families_are_taken(family):
    with pytest.raises(TypeError, match=r"family must be a mixtura family, such as Normal\(1\); received"):
        mx.NegativeLogLikelihood(family)


def test_sizes_are_checked():
    loss = mx.NegativeLogLikelihood(mx.Normal(2))
    with pytest.raises(ValueError, match=r"takes parameters of size 4.*received shape \(6, 5\)"):
        loss(np.zeros((6, 2)), np.zeros((6, 5)))
    with pytest.raises(ValueError, match=r"has events of size 2.*y of shape \(6, 3\)"):
        loss(np.zeros((6, 3)), np.zeros((6, 4)))
    with pytest.raises(ValueError, match=r"has events of size 2.*y of shape \(6,\)"):
        loss(np.zeros(6), np.zeros((6, 4)))


# Ensembles.

MEMBER = mx.Mixture(mx.Normal(2, "full", min_scale=0.05), 3)


@pytest.fixture(scope="module")
def ensemble():
    """Parameters of two members, those of their ensemble, and events."""
    rng = np.random.default_rng(0)
    members = rng.normal(size=(2, 6, 6, 3))
    members[:, :, 0] -= np.log(np.exp(members[:, :, 0]).sum(axis=-1, keepdims=True))
    table = np.moveaxis(members, 0, 2).reshape(6, -1).astype("float32")
    return members.reshape(2, 6, -1), table, rng.normal(size=(6, 2)).astype("float32")


def member_losses(members, y, family=MEMBER):
    """Each member's own loss, `(rows, M)`."""
    return -np.stack([family(params).log_prob(y) for params in members], axis=-1)


@pytest.mark.parametrize("units", [False, True], ids=["standardised", "in units"])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, None])
def test_members_have_their_own_likelihoods(reduction, units, ensemble, compiled):
    members, params, y = ensemble
    family = mx.Affine(MEMBER, [1.0, 0.0], [2.0, 0.5]) if units else MEMBER
    losses = member_losses(members, y, family)
    loss = EnsembleNegativeLogLikelihood(family, 2, reduction=reduction)
    expected = losses if reduction is None else reduced(losses, 1.0, np.ones((6, 2)), reduction)
    np.testing.assert_allclose(compiled(loss, y, params), expected, rtol=1e-4)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 2)], ids=str)
def test_members_rows_are_weighed(shape, reduction, ensemble, compiled):
    members, params, y = ensemble
    weight = np.arange(float(np.prod(shape))).reshape(shape)
    expected = reduced(
        member_losses(members, y), weight.reshape(6, -1) * np.ones((6, 2)), np.ones((6, 2)), reduction
    )
    loss = EnsembleNegativeLogLikelihood(MEMBER, 2, reduction=reduction)
    assert compiled(loss, y, params, weight) == pytest.approx(expected, rel=1e-4)


def test_a_member_learns_nothing_from_rows_of_its_weight_zero(ensemble):
    _, _, y = ensemble
    weight = np.ones((6, 2), "float32")
    weight[:, 1] = 0
    x = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, EnsembleMDN(MEMBER, 2)(inputs))
    model.compile(keras.optimizers.SGD(0.1), EnsembleNegativeLogLikelihood(MEMBER, 2))
    before = [np.array(w) for w in model.get_weights()]
    model.train_on_batch(x, y, sample_weight=weight)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert (old[0] != new[0]).any()
        np.testing.assert_allclose(new[1], old[1], atol=1e-8)


def test_bounds_of_members_are_known_or_missing(ensemble, compiled):
    members, params, y = ensemble
    loss = EnsembleNegativeLogLikelihood(MEMBER, 2, reduction=None)
    known = compiled(loss, np.hstack([y, y]), params)
    np.testing.assert_allclose(known, member_losses(members, y), rtol=1e-4)
    missing = np.arange(6)[:, None] % 3 == [0, 1]  # the first, the second, none
    bounds = np.hstack([np.where(missing, -np.inf, y), np.where(missing, np.inf, y)])
    expected = member_losses(members, y)
    for m, member in enumerate(members):
        for row in range(6):
            if missing[row].any():
                d = int(missing[row, 0])
                expected[row, m] = -MEMBER(member[row]).marginal(d).log_prob(y[row, d : d + 1])
    np.testing.assert_allclose(compiled(loss, bounds, params), expected, rtol=1e-4)
    nothing = compiled(loss, np.tile([-np.inf, -np.inf, np.inf, np.inf], (6, 1)), params)
    np.testing.assert_allclose(nothing, 0, atol=1e-6)


@pytest.mark.parametrize("units", [False, True], ids=["standardised", "in units"])
def test_censored_members_are_scipys(units, compiled):
    family = mx.Mixture(mx.Normal(1), 1)
    family = mx.Affine(family, 1.0, 2.0) if units else family
    shift, scale = (1.0, 2.0) if units else (0.0, 1.0)
    params = np.zeros((4, 6), "float32")
    params[:, 3] = 0.5  # the second member's mean
    bounds = np.array([[0, np.inf], [-np.inf, 1], [-1, 2], [0.5, 0.5]], "float32")
    each = []
    for mean in (0.0, 0.5):
        normal = stats.norm(shift + scale * mean, scale)
        mass = normal.cdf(bounds[:, 1]) - normal.cdf(bounds[:, 0])
        each.append(-np.log(np.where(mass > 0, mass, normal.pdf(0.5))))
    loss = EnsembleNegativeLogLikelihood(family, 2, reduction=None)
    np.testing.assert_allclose(compiled(loss, bounds, params), np.stack(each, -1), rtol=1e-5)


def test_an_ensembles_event_axis_of_one_dimension_may_be_left_out(compiled):
    family = mx.Mixture(mx.Normal(1), 1)
    params = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    y = np.array([0.5, 1.5], "float32")  # as many as there would be bounds
    loss = EnsembleNegativeLogLikelihood(family, 2, reduction=None)
    np.testing.assert_array_equal(*(compiled(loss, one, params) for one in (y, y[:, None])))


def test_every_argument_of_an_ensembles_loss_survives():
    loss = EnsembleNegativeLogLikelihood(mx.Affine(MEMBER, 1.0, 2.0), 3, "sum", "nll", "float64")
    restored = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    )
    assert isinstance(restored, EnsembleNegativeLogLikelihood)
    assert restored.get_config() == loss.get_config()
    assert (restored.member_family, restored.family) == (loss.member_family, loss.family)
    assert (restored.num_members, restored.reduction, restored.dtype) == (3, "sum", "float64")
    with pytest.raises(ValueError, match="an ensemble is made of mixtures"):
        EnsembleNegativeLogLikelihood(NORMAL, 2)
    with pytest.raises(ValueError, match=r"takes parameters of size 36.*received shape \(6, 35\)"):
        EnsembleNegativeLogLikelihood(MEMBER, 2)(np.zeros((6, 2)), np.zeros((6, 35)))
    with pytest.raises(ValueError, match=r"has events of size 2.*y of shape \(6, 3\)"):
        EnsembleNegativeLogLikelihood(MEMBER, 2)(np.zeros((6, 3)), np.zeros((6, 36)))
