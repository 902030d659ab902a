import json

import keras
import numpy as np
import pytest
from keras import layers, ops

import mixtura as mx

FAMILY = mx.Mixture(mx.Normal(2, "full", min_scale=0.01), 3)
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(8, 2)).astype("float32")


def network(family=FAMILY, features=4, **options):
    return keras.Sequential([keras.Input((features,)), layers.Dense(5, "tanh"), mx.MDN(family, **options)])


@pytest.fixture(scope="module")
def trained():
    model = network()
    model.compile(keras.optimizers.Adam(0.01), mx.NegativeLogLikelihood(FAMILY))
    model.fit(X, Y, batch_size=8, verbose=0)
    return model


@pytest.fixture
def policy(request):
    """Set a global dtype policy for one test."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


half_precision = pytest.mark.parametrize(
    "policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"], indirect=True
)


# Shapes and masks.


def test_the_lectures_network_has_510_parameters():
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(15, "tanh"),
            layers.Dense(15, "tanh"),
            mx.MDN(mx.Mixture(mx.Normal(1), 5)),
        ]
    )
    assert model.count_params() == 510


@pytest.mark.parametrize("shape", [(None, 4), (8, None, 4), (8, 7, 6, 4)])
def test_output_has_the_familys_size_on_the_last_axis(shape):
    head = mx.MDN(FAMILY)
    assert head.compute_output_shape(shape) == (*shape[:-1], 18)
    assert head(keras.KerasTensor(shape)).shape == (*shape[:-1], 18)
    assert [tuple(weight.shape) for weight in head.weights] == [(4, 18), (18,)]


def test_output_is_features_times_kernel_plus_bias():
    head = mx.MDN(FAMILY, bias_initializer="normal")
    output = ops.convert_to_numpy(head(X))
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(output, X @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_masks_pass_through():
    x = np.ones((2, 3, 4), "float32")
    x[0, 2:] = x[1, 1:] = 0
    mask = layers.Masking().compute_mask(ops.convert_to_tensor(x))
    passed = mx.MDN(FAMILY).compute_mask(x, mask)
    np.testing.assert_array_equal(ops.convert_to_numpy(passed), [[True, True, False], [True, False, False]])


class Masked(keras.Model):
    """A model written as a class, whose last operation is the head."""

    def __init__(self):
        super().__init__()
        self.masking, self.hidden, self.head = layers.Masking(), layers.Dense(3), mx.MDN(FAMILY)

    def call(self, x):
        x = self.masking(x)
        return self.head(self.hidden(x), mask=self.masking.compute_mask(x))


def test_the_mask_of_a_subclassed_model_reaches_the_loss():
    x, y = X.reshape(2, 4, 4).copy(), Y.reshape(2, 4, 2).copy()
    x[0, 2:], y[0, 2:] = 0, 1e3
    model = Masked()
    model.compile("sgd", mx.NegativeLogLikelihood(FAMILY))
    valid = np.ones((2, 4), bool)
    valid[0, 2:] = False
    expected = -FAMILY(model.predict(x, verbose=0)[valid]).log_prob(y[valid]).mean()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch(x, y) == pytest.approx(expected, rel=1e-5)


def test_every_weight_learns():
    model = network()
    model.compile(keras.optimizers.SGD(0.1), mx.NegativeLogLikelihood(FAMILY))
    before = model.layers[-1].get_weights()
    model.train_on_batch(X, Y)
    for old, new in zip(before, model.layers[-1].get_weights(), strict=True):
        assert (old != new).all()
        assert np.isfinite(new).all()


# Precision.


@half_precision
def test_the_head_computes_in_float32_under_every_policy(policy):
    head = mx.MDN(FAMILY)
    outputs = head(ops.convert_to_tensor(X, dtype=policy.removeprefix("mixed_")))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert {weight.dtype for weight in head.weights} == {"float32"}
    assert head.dense.compute_dtype == "float32"
    assert mx.NegativeLogLikelihood(FAMILY).dtype != "float16"


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_far_targets_train_in_mixed_precision(policy):
    model = network()
    model.compile(keras.optimizers.SGD(1e-12), mx.NegativeLogLikelihood(FAMILY))
    assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
    assert np.isfinite(model.train_on_batch(X, 1e4 + Y))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_a_head_saved_under_a_policy_stays_float32(policy, tmp_path):
    model = network()
    model.save(tmp_path / "m.keras")
    restored = keras.models.load_model(tmp_path / "m.keras")
    assert restored.layers[0].compute_dtype == "float16"
    assert restored.layers[-1].compute_dtype == "float32"


def test_an_own_dtype_is_kept():
    assert mx.MDN(FAMILY, dtype="float64").compute_dtype == "float64"


# Saving.


def test_a_trained_model_comes_back_without_custom_objects(trained, tmp_path):
    trained.save(tmp_path / "m.keras")
    restored = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(X)) for m in (restored, trained)))
    assert restored.layers[-1].family == FAMILY
    assert restored.loss.family == FAMILY
    assert restored.evaluate(X, Y, verbose=0) == trained.evaluate(X, Y, verbose=0)


@pytest.mark.slow
def test_a_fresh_process_loads_it(trained, tmp_path, fresh_python):
    trained.save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", X)
    printed = fresh_python(
        f"""
import mixtura, keras
import json, numpy
model = keras.models.load_model({str(tmp_path / "m.keras")!r})
outputs = keras.ops.convert_to_numpy(model(numpy.load({str(tmp_path / "x.npy")!r}))).tolist()
print(json.dumps([repr(model.layers[-1].family), repr(model.loss.family), outputs]))
""",
        KERAS_BACKEND=keras.backend.backend(),
    )
    head, loss, outputs = json.loads(printed.splitlines()[-1])
    assert head == loss == repr(FAMILY)
    np.testing.assert_allclose(outputs, ops.convert_to_numpy(trained(X)), rtol=1e-6, atol=1e-6)


def test_every_argument_survives():
    head = mx.MDN(
        FAMILY,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.5, seed=1),
        bias_initializer=keras.initializers.Constant(2.0),
        kernel_regularizer=keras.regularizers.L2(0.125),
        bias_regularizer=keras.regularizers.L1(0.25),
        activity_regularizer=keras.regularizers.L1(0.5),
        dtype="float64",
        name="head",
        trainable=False,
    )
    restored = mx.MDN.from_config(json.loads(json.dumps(head.get_config())))
    assert restored.get_config() == head.get_config()
    assert restored.family == FAMILY
    assert (restored.name, restored.compute_dtype, restored.trainable) == ("head", "float64", False)
    assert restored.dense.kernel_initializer.stddev == 0.5
    assert restored.dense.bias_initializer.value == 2.0
    assert float(restored.dense.kernel_regularizer.l2) == 0.125
    assert float(restored.dense.bias_regularizer.l1) == 0.25
    assert float(restored.activity_regularizer.l1) == 0.5


def test_regularisers_add_to_the_models_losses():
    model = network(kernel_regularizer="l2", bias_regularizer="l2", bias_initializer="ones")
    kernel, bias = model.layers[-1].get_weights()
    penalty = sum(ops.convert_to_numpy(loss) for loss in model.losses)
    assert penalty == pytest.approx(0.01 * ((kernel**2).sum() + (bias**2).sum()), rel=1e-5)


def test_two_heads_train_and_come_back_with_their_own_families(tmp_path):
    """Keras remembers objects by id while it saves: families must not be mixed up."""
    small = mx.Affine(mx.Mixture(mx.Normal(1), 2), 0.0, 2.0)
    inputs = keras.Input((4,))
    outputs = {"wide": mx.MDN(FAMILY, name="wide")(inputs), "small": mx.MDN(small, name="small")(inputs)}
    model = keras.Model(inputs, outputs)
    model.compile(
        "sgd",
        loss={"wide": mx.NegativeLogLikelihood(FAMILY), "small": mx.NegativeLogLikelihood(small)},
        loss_weights={"wide": 1.0, "small": 0.5},
    )
    targets = {"wide": Y, "small": Y[:, :1]}
    before = model.evaluate(X, targets, verbose=0, return_dict=True)
    assert before["loss"] == pytest.approx(before["wide_loss"] + 0.5 * before["small_loss"], rel=1e-5)
    model.fit(X, targets, batch_size=8, epochs=1, verbose=0)
    model.save(tmp_path / "m.keras")

    restored = keras.models.load_model(tmp_path / "m.keras")
    assert restored.get_layer("wide").family == restored.loss["wide"].family == FAMILY
    assert restored.get_layer("small").family == restored.loss["small"].family == small
    after = restored.evaluate(X, targets, verbose=0, return_dict=True)
    assert after == model.evaluate(X, targets, verbose=0, return_dict=True)
    assert after["loss"] < before["loss"]


@pytest.mark.parametrize("family", [5, "normal", mx.Normal])
def test_only_families_are_taken(family):
    with pytest.raises(TypeError, match=r"family must be a mixtura family, such as Normal\(1\); received"):
        mx.MDN(family)
