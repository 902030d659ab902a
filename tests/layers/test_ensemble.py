import json

import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.layers import EnsembleDense, EnsembleMDN
from mixtura.losses import EnsembleNegativeLogLikelihood
from mixtura.metrics import EnsembleLikelihoods

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")
Y = RNG.normal(size=(6, 2)).astype("float32")
MEMBER = mx.Affine(mx.Mixture(mx.Normal(2, "full", min_scale=(0.01, 0.1)), 3), [1.0, 2.0], [0.5, 4.0])
M = 4


def numpy(x):
    return ops.convert_to_numpy(x)


# Dense layers.


@pytest.mark.parametrize("own_inputs", [False, True], ids=["shared", "own"])
def test_it_is_a_dense_layer_for_every_member(own_inputs):
    layer = EnsembleDense(5, M, "tanh")
    inputs = RNG.normal(size=(M, 6, 4)).astype("float32") if own_inputs else X
    output = numpy(layer(inputs))
    layer.bias.assign(RNG.normal(size=layer.bias.shape))
    output = numpy(layer(inputs))
    assert output.shape == (M, 6, 5)
    for member in range(M):
        alone = keras.layers.Dense(5, "tanh")
        alone.build((None, 4))
        alone.set_weights([numpy(layer.kernel)[member], numpy(layer.bias)[member, 0]])
        expected = numpy(alone(inputs[member] if own_inputs else inputs))
        np.testing.assert_allclose(output[member], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "initializer",
    ["glorot_uniform", keras.initializers.HeNormal(seed=3), keras.initializers.Orthogonal(seed=0)],
    ids=["unseeded", "seeded", "orthogonal"],
)
def test_members_draw_their_own_kernels_as_if_alone(initializer):
    first, again = (EnsembleDense(64, M, kernel_initializer=initializer) for _ in range(2))
    for layer in (first, again):
        layer.build((None, 32))
    kernels = numpy(first.kernel)
    for one in range(M):
        for other in range(one):
            assert np.abs(np.corrcoef(kernels[one].ravel(), kernels[other].ravel())[0, 1]) < 0.15
    # As of 32 inputs and 64 outputs, not of all members' together.
    expected = {"glorot_uniform": np.sqrt(2 / 96)}.get(initializer, np.sqrt(2 / 32))
    if not isinstance(initializer, keras.initializers.Orthogonal):
        assert kernels.std(axis=(1, 2)) == pytest.approx(np.full(M, expected), rel=0.15)
    if not isinstance(initializer, str):
        np.testing.assert_array_equal(kernels, numpy(again.kernel))
    np.testing.assert_array_equal(numpy(first.bias), 0)


def test_constant_initializers_are_the_same_for_all():
    layer = EnsembleDense(2, M, kernel_initializer=keras.initializers.Constant(3.0))
    layer.build((None, 4))
    np.testing.assert_array_equal(numpy(layer.kernel), 3)


@pytest.mark.parametrize("shape", [(None, 4), (M, None, 4), (M, 7, 4)])
def test_shapes_are_known_beforehand(shape):
    layer, head = EnsembleDense(5, M), EnsembleMDN(MEMBER, M)
    assert layer.compute_output_shape(shape) == (M, shape[-2], 5)
    assert layer(keras.KerasTensor(shape)).shape == (M, shape[-2], 5)
    assert head.compute_output_shape(shape) == (shape[-2], M * MEMBER.params_size)
    assert head(keras.KerasTensor(shape)).shape == (shape[-2], M * MEMBER.params_size)


# The head.


def test_the_heads_output_is_the_average_of_its_members():
    head = EnsembleMDN(MEMBER, M)
    inputs = RNG.normal(size=(M, 6, 4)).astype("float32")
    p = head.family(numpy(head(inputs)))
    head.dense.bias.assign(RNG.normal(size=head.dense.bias.shape))
    p = head.family(numpy(head(inputs)))
    members = [MEMBER(one) for one in numpy(head.dense(inputs))]
    density = np.mean([np.exp(member.log_prob(Y)) for member in members], axis=0)
    np.testing.assert_allclose(p.log_prob(Y), np.log(density), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(p.mean(), np.mean([q.mean() for q in members], axis=0), rtol=1e-4)
    for m, member in enumerate(members):
        mine = slice(3 * m, 3 * m + 3)
        np.testing.assert_allclose(p.weights[:, mine], member.weights / M, rtol=1e-5)
        np.testing.assert_allclose(p.means[:, mine], member.means, rtol=1e-6)
        np.testing.assert_allclose(p.covariances[:, mine], member.covariances, rtol=1e-5)


def test_a_member_counts_the_same_whatever_its_logits():
    head = EnsembleMDN(mx.Mixture(mx.Normal(1), 2), 2)
    head.build((2, None, 1))
    bias = np.zeros(head.dense.bias.shape)
    bias[1, 0, :2] = [50.0, 48.0]
    head.dense.bias.assign(bias)
    weights = head.family(numpy(head(np.zeros((2, 1, 1), "float32")))).weights[0]
    share = 1 / (1 + np.exp(-2))
    np.testing.assert_allclose(weights, [0.25, 0.25, share / 2, (1 - share) / 2], rtol=1e-5)


# Saving.


def network():
    inputs = keras.Input((4,))
    hidden = EnsembleDense(5, M, "silu", keras.initializers.HeNormal(seed=1))(inputs)
    model = keras.Model(inputs, EnsembleMDN(MEMBER, M, name="head")(hidden))
    model.compile(
        keras.optimizers.Adam(0.01),
        EnsembleNegativeLogLikelihood(MEMBER, M),
        weighted_metrics=[EnsembleLikelihoods(MEMBER, M)],
    )
    return model


@pytest.mark.slow
def test_a_trained_ensemble_comes_back_without_custom_objects(tmp_path):
    model = network()
    before = model.evaluate(X, Y, verbose=0, return_dict=True)
    model.fit(X, Y, batch_size=6, epochs=5, verbose=0)
    after = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"]
    assert after["member_likelihoods"] == pytest.approx(after["loss"], rel=1e-5)
    model.save(tmp_path / "m.keras")
    restored = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(numpy(restored(X)), numpy(model(X)))
    assert restored.layers[-1].family == model.layers[-1].family
    assert restored.layers[-1].member_family == restored.loss.member_family == MEMBER
    assert restored.evaluate(X, Y, verbose=0, return_dict=True) == after


def test_every_argument_survives():
    dense = EnsembleDense(
        5, M, "tanh", keras.initializers.HeNormal(seed=1), name="hidden", dtype="float64", trainable=False
    )
    head = EnsembleMDN(MEMBER, M, name="head", dtype="float64")
    for layer in (dense, head):
        restored = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
        assert restored.get_config() == layer.get_config()
        assert (restored.name, restored.compute_dtype, restored.trainable) == (
            layer.name,
            "float64",
            layer.trainable,
        )
    restored = EnsembleDense.from_config(dense.get_config())
    assert restored.activation is keras.activations.tanh
    assert restored.kernel_initializer.seed == 1


def test_the_head_computes_in_float32_under_half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        head = EnsembleMDN(MEMBER, M)
        assert head.compute_dtype == head.dense.compute_dtype == "float32"
    finally:
        keras.config.set_dtype_policy(before)


def test_other_arguments_are_refused():
    for family in (5, "normal", mx.Normal):
        with pytest.raises(TypeError, match="family must be a mixtura family"):
            EnsembleMDN(family, 2)
    with pytest.raises(ValueError, match=r"an ensemble is made of mixtures; received Normal"):
        EnsembleMDN(mx.Normal(1), 2)
    for count in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="num_members must be a positive integer; received"):
            EnsembleMDN(MEMBER, count)
        with pytest.raises(ValueError, match="num_members must be a positive integer; received"):
            EnsembleDense(5, count)
    with pytest.raises(ValueError, match="units must be a positive integer; received 0"):
        EnsembleDense(0, 2)
