"""`mixtura.lecture` against SciPy, and against keras-mdn-layer itself where it is installed."""

from pathlib import Path

from mixtura import lecture as mdn  # before Keras: it picks the backend

import keras  # isort: skip
import numpy as np
import pytest
from keras import layers, ops
from scipy import stats

theirs = pytest.importorskip("keras_mdn_layer")

IMPSY = (
    Path(__file__).parents[2]
    / "shared/data/originals/impsy-musicMDRNN-dim4-layers2-units64-mixtures5-scale10.keras"
)
SIZES = [(1, 1), (1, 5), (2, 2), (2, 4), (3, 1), (3, 3), (4, 2), (4, 5)]  # D, K


def outputs(size, count, rows=6, seed=0):
    """Output rows, events, and the rows' parts (means and scales by component), that float32 holds."""
    rng = np.random.default_rng([seed, size, count])
    mus = rng.normal(size=(rows, count, size)).astype("float32")
    sigmas = np.exp(0.5 * rng.normal(size=(rows, count, size))).astype("float32")
    logits = rng.normal(size=(rows, count)).astype("float32")
    y = 2 * rng.normal(size=(rows, size)).astype("float32")
    y_pred = np.concatenate([mus.reshape(rows, -1), sigmas.reshape(rows, -1), logits], axis=-1)
    return y_pred, y, (mus, sigmas, logits)


# ------------------------------------------------------------------ the loss


@pytest.mark.parametrize(
    ("size", "count"),
    [*SIZES[:3], SIZES[-1], *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in SIZES[3:-1])],
)
def test_loss_is_scipys_mean_negative_log_density_and_theirs(size, count, gradient):
    y_pred, y, (mus, sigmas, logits) = outputs(size, count, rows=12)
    by_component = stats.norm.logpdf(y[:, None], mus.astype(float), sigmas).sum(axis=-1)
    weights = np.exp(logits.astype(float))
    weights /= weights.sum(axis=-1, keepdims=True)
    expected = -np.log((weights * np.exp(by_component)).sum(axis=-1)).mean()

    def loss_and_slope(module):
        loss = module.get_mixture_loss_func(size, count)
        return gradient(lambda y_pred: loss(y, y_pred)[None], y_pred)

    value, slope = loss_and_slope(mdn)
    their_value, their_slope = loss_and_slope(theirs)
    np.testing.assert_allclose(value, expected, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(value, their_value, rtol=1e-5)
    np.testing.assert_allclose(slope, their_slope, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_loss_is_the_mean_over_batch_and_time():
    y_pred, y, _ = outputs(3, 2, rows=12)
    loss = mdn.get_mixture_loss_func(3, 2)
    steps = y.reshape(3, 4, -1), y_pred.reshape(3, 4, -1)
    assert tuple(loss(*steps).shape) == ()
    assert float(loss(*steps)) == pytest.approx(float(loss(y, y_pred)), rel=1e-6)


def test_loss_has_the_name_that_files_know():
    assert mdn.get_mixture_loss_func(1, 5).__name__ == "mdn_loss_func"


def test_loss_of_an_event_far_away_has_a_slope(gradient):
    loss = mdn.get_mixture_loss_func(1, 2)
    _, slope = gradient(lambda y_pred: loss([[1000.0]], y_pred)[None], [[0.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
    assert np.isfinite(slope).all()
    assert slope[0, 1] == pytest.approx(-999, rel=1e-4)


def test_another_last_axis_is_an_error_and_not_reshaped_away():
    loss = mdn.get_mixture_loss_func(1, 2)
    with pytest.raises(ValueError, match=r"parameters of size 6 .* received shape \(6, 5\)"):
        loss(np.zeros((5, 1)), np.ones((6, 5)))


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (1.5, 1)])
def test_sizes_are_positive_integers(sizes):
    for make in (
        mdn.MDN,
        mdn.get_mixture_loss_func,
        mdn.get_mixture_sampling_fun,
        mdn.get_mixture_mse_accuracy,
    ):
        with pytest.raises(ValueError, match="must be a positive integer"):
            make(*sizes)


# ------------------------------------------------------------------ the samplers


@pytest.mark.parametrize(("temp", "sigma_temp"), [(1.0, 1.0), (0.5, 4.0), (3.0, 0.25)])
def test_sample_from_output_has_the_tempered_mixtures_moments(temp, sigma_temp):
    row, _, (mus, sigmas, logits) = outputs(2, 3, rows=1, seed=2)
    rng = np.random.default_rng(0)
    drawn = np.array([mdn.sample_from_output(row[0], 2, 3, temp, sigma_temp, rng=rng) for _ in range(6000)])
    weights = np.exp(logits[0] / temp)
    weights /= weights.sum()
    mean = weights @ mus[0]
    variance = weights @ (sigma_temp * sigmas[0] ** 2 + (mus[0] - mean) ** 2)
    error = np.sqrt(variance / len(drawn))
    assert (abs(drawn.mean(axis=0) - mean) < 5 * error).all()
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.1)


@pytest.mark.parametrize(("size", "count"), [(1, 1), (1, 5), (3, 2)])
def test_sample_from_output_draws_what_theirs_draws(size, count):
    rows, _, _ = outputs(size, count, rows=20, seed=3)
    drawn = []
    for module in (mdn, theirs):
        np.random.seed(4)  # noqa: NPY002 - the lecture's code seeds the global state
        drawn.append([module.sample_from_output(row, size, count, temp=1.5, sigma_temp=0.3) for row in rows])
    np.testing.assert_allclose(drawn[0], drawn[1], rtol=1e-6)


def test_a_generator_leaves_the_global_state_alone():
    row = outputs(2, 3)[0][0]
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (mdn.sample_from_output(row, 2, 3, rng=np.random.default_rng(6)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_temperatures_near_zero_give_the_likeliest_components_mean():
    row, _, (mus, _, logits) = outputs(3, 4, rows=1, seed=7)
    drawn = mdn.sample_from_output(row[0], 3, 4, temp=1e-3, sigma_temp=0)
    np.testing.assert_allclose(drawn, mus[0, logits[0].argmax()], rtol=1e-6)


@pytest.mark.parametrize("temp", [0, 0.0, float("nan")])
def test_weights_that_are_no_numbers_are_an_error(temp):
    with pytest.raises(ValueError, match="no finite weights"):
        mdn.sample_from_output(outputs(1, 2)[0][0], 1, 2, temp=temp)


@pytest.mark.parametrize("function", [mdn.split_mixture_params, mdn.sample_from_output])
def test_the_numpy_helpers_assert_the_length(function):
    with pytest.raises(AssertionError, match="2 components of size 3 take 14 parameters; received 13"):
        function(np.ones(13), 3, 2)


def test_split_keeps_lists_and_arrays():
    assert mdn.split_mixture_params([1, 2, 3, 4, 5, 6], 1, 2) == ([1, 2], [3, 4], [5, 6])
    parts = mdn.split_mixture_params(np.arange(15), output_dim=2, num_mixes=3)
    for part, expected in zip(parts, np.split(np.arange(15), [6, 12]), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_softmax_divides_by_the_temperature():
    np.testing.assert_allclose(mdn.softmax([0.0, np.log(4)]), [0.2, 0.8])
    np.testing.assert_allclose(mdn.softmax([0.0, np.log(4)], t=2.0), [1 / 3, 2 / 3])
    np.testing.assert_allclose(mdn.softmax([1e4, 0.0]), [1, 0])


def test_categorical_samples_follow_the_probabilities():
    rng = np.random.default_rng(8)
    drawn = [mdn.sample_from_categorical(np.array([0.2, 0.0, 0.8]), rng=rng) for _ in range(5000)]
    assert isinstance(drawn[0], int)
    assert np.bincount(drawn)[1] == 0
    assert np.mean(drawn) == pytest.approx(1.6, abs=0.06)
    assert mdn.sample_from_categorical(np.zeros(3)) == -1


@pytest.mark.slow
def test_sampling_fun_has_the_mixtures_moments():
    row, _, (mus, sigmas, logits) = outputs(2, 3, rows=1, seed=9)
    sampling = mdn.get_mixture_sampling_fun(2, 3)
    drawn = ops.convert_to_numpy(sampling(np.repeat(row, 40_000, axis=0)))
    weights = mdn.softmax(logits[0])
    mean = weights @ mus[0]
    variance = weights @ (sigmas[0] ** 2 + (mus[0] - mean) ** 2)
    assert drawn.shape == (40_000, 2)
    assert (abs(drawn.mean(axis=0) - mean) < 5 * np.sqrt(variance / len(drawn))).all()
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.05)


def test_sampling_fun_flattens_time_and_never_repeats_itself():
    y_pred = outputs(2, 3, rows=12)[0].reshape(3, 4, -1)
    sampling = mdn.get_mixture_sampling_fun(2, 3)
    first, second = (ops.convert_to_numpy(sampling(y_pred)) for _ in range(2))
    assert first.shape == (12, 2)
    assert (first != second).all()


def test_sampling_fun_ends_a_model_that_draws_anew_for_every_batch(tmp_path):
    inputs = keras.Input((1,))
    model = keras.Model(inputs, mdn.get_mixture_sampling_fun(2, 3)(mdn.MDN(2, 3)(inputs)))
    model.save(tmp_path / "sampler.keras")
    for net in (model, keras.models.load_model(tmp_path / "sampler.keras")):
        drawn = net.predict(np.ones((8, 1)), batch_size=4, verbose=0)
        assert drawn.shape == (8, 2)
        assert len(np.unique(drawn)) == 16


@pytest.mark.slow
def test_mse_accuracy_is_the_error_of_a_sample():
    y_pred, y, _ = outputs(2, 3)
    y_pred[:, :6], y_pred[:, 6:12] = np.tile(y, 3) + 2.0, 1e-6  # every component misses by 2
    error = mdn.get_mixture_mse_accuracy(2, 3)(y, y_pred)
    np.testing.assert_allclose(ops.convert_to_numpy(error), 4.0 * np.ones(6), rtol=1e-4)


def test_elu_is_theirs():
    x = np.linspace(-20, 20, 81, dtype="float32")
    ours, reference = (ops.convert_to_numpy(m.elu_plus_one_plus_epsilon(ops.array(x))) for m in (mdn, theirs))
    np.testing.assert_allclose(ours, reference, rtol=1e-7)
    assert (ours > 0).all()


# ------------------------------------------------------------------ the layer


@pytest.mark.parametrize(("size", "count"), [(1, 5), (3, 1), (2, 4)])
def test_layer_computes_what_theirs_computes(size, count):
    x = np.random.default_rng(10).normal(size=(7, 6)).astype("float32")
    reference, layer = theirs.MDN(size, count), mdn.MDN(output_dimension=size, num_mixtures=count)
    expected = ops.convert_to_numpy(reference(x))
    layer.build((None, 6))
    layer.set_weights(reference.get_weights())
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, rtol=1e-6, atol=1e-7)
    assert layer.count_params() == reference.count_params()


def test_layer_knows_its_output_shape_for_sequences_too():
    assert mdn.MDN(3, 5).compute_output_shape((None, 10)) == (None, 35)
    assert mdn.MDN(3, 5).compute_output_shape((None, 50, 10)) == (None, 50, 35)
    assert keras.Sequential([keras.Input((50, 10)), mdn.MDN(3, 5)]).output_shape == (None, 50, 35)


def test_masks_pass_through_and_the_loss_counts_every_step():
    x = np.ones((2, 4, 3), "float32")
    x[:, 2:] = 0
    model = keras.Sequential([keras.Input((4, 3)), layers.Masking(), mdn.MDN(1, 2)])
    loss = mdn.get_mixture_loss_func(1, 2)
    model.compile("sgd", loss=loss)
    y = np.arange(8.0).reshape(2, 4, 1)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.compute_mask(x, model.layers[0].compute_mask(x))),
        [[True, True, False, False]] * 2,
    )
    masked, plain = model.compute_loss(x, y, model(x)), loss(y, model.predict(x, verbose=0))
    np.testing.assert_allclose(ops.convert_to_numpy(masked), ops.convert_to_numpy(plain), rtol=1e-5)


def test_layer_computes_in_float32_under_mixed_precision():
    layer = mdn.MDN(1, 2, dtype="mixed_float16")
    assert keras.backend.standardize_dtype(layer(np.full((1, 3), 0.1, "float16")).dtype) == "float32"


# ------------------------------------------------------------------ files


def network(module, time=False):
    inputs = keras.Input((5, 2)) if time else keras.Input((2,))
    if time:
        x = layers.LSTM(4, return_sequences=True)(inputs)
        return keras.Model(inputs, layers.TimeDistributed(module.MDN(2, 3))(x))
    return keras.Sequential([inputs, layers.Dense(4, activation="relu"), module.MDN(2, 3)])


def points(time):
    rng = np.random.default_rng(11)
    shape = (6, 5, 2) if time else (6, 2)
    return rng.normal(size=shape).astype("float32"), rng.normal(size=shape).astype("float32")


def compile_and_save(model, loss, path):
    model.compile("adam", loss=loss)
    model.optimizer.build(model.trainable_variables)
    model.save(path)


@pytest.mark.slow
@pytest.mark.parametrize("time", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("module", [theirs, mdn], ids=["theirs", "ours"])
def test_load_model_needs_only_the_path(module, time, tmp_path):
    x, y = points(time)
    model = network(module, time)
    loss = module.get_mixture_loss_func(2, 3)
    compile_and_save(model, loss, tmp_path / "model.keras")
    loaded = mdn.load_model(tmp_path / "model.keras")
    output, expected = loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    np.testing.assert_array_equal(output, expected)
    assert float(loaded.loss(y, output)) == pytest.approx(float(loss(y, expected)), rel=1e-5)


def test_load_model_loads_an_uncompiled_model_uncompiled(tmp_path):
    x, _ = points(False)
    model = network(theirs)
    model.save(tmp_path / "model.keras")
    loaded = mdn.load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(model(x)))


def test_a_loaded_model_trains_on(tmp_path):
    model = network(theirs)
    compile_and_save(model, theirs.get_mixture_loss_func(2, 3), tmp_path / "model.keras")
    loaded = mdn.load_model(tmp_path / "model.keras")
    losses = loaded.fit(*points(False), epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_load_model_brings_the_metric_and_takes_more_custom_objects(tmp_path):
    @keras.saving.register_keras_serializable(package="test")
    class Mine(layers.Layer):
        def call(self, x):
            return 2 * x

    inputs = keras.Input((2,))
    model = keras.Model(inputs, mdn.MDN(2, 3)(Mine()(inputs)))
    model.compile("adam", mdn.get_mixture_loss_func(2, 3), metrics=[mdn.get_mixture_mse_accuracy(2, 3)])
    model.train_on_batch(*points(False))
    model.save(tmp_path / "model.keras")
    loaded = mdn.load_model(str(tmp_path / "model.keras"), custom_objects={"Mine": Mine})
    assert list(loaded.evaluate(*points(False), return_dict=True, verbose=0)) == ["loss", "mse_func"]
    assert not mdn.load_model(tmp_path / "model.keras", compile=False).compiled


def test_load_model_finds_nested_layers_and_leaves_several_sizes_uncompiled(tmp_path):
    inputs = keras.Input((2,))
    nested = keras.Sequential([keras.Input((2,)), theirs.MDN(1, 2)], name="nested")
    model = keras.Model(inputs, [nested(inputs), theirs.MDN(2, 3, name="other")(inputs)])
    model.compile("adam", [theirs.get_mixture_loss_func(1, 2), theirs.get_mixture_loss_func(2, 3)])
    model.save(tmp_path / "model.keras")
    loaded = mdn.load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    assert isinstance(loaded.get_layer("nested").layers[-1], mdn.MDN)
    x, _ = points(False)
    for ours, reference in zip(loaded(x), model(x), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(reference))


@pytest.mark.slow
def test_our_files_load_in_a_new_process_without_custom_objects(tmp_path, fresh_python):
    model = network(mdn)
    compile_and_save(model, mdn.get_mixture_loss_func(2, 3), tmp_path / "model.keras")
    code = f"""
from mixtura import lecture
import keras, numpy
model = keras.models.load_model({str(tmp_path / "model.keras")!r})
output = model.predict(numpy.ones((1, 2)), verbose=0)
print(model.compiled, type(model.layers[-1]) is lecture.MDN, output[0, 0])
"""
    printed = fresh_python(code, KERAS_BACKEND=keras.backend.backend()).split()
    assert printed[:2] == ["True", "True"]
    assert float(printed[2]) == pytest.approx(
        model.predict(np.ones((1, 2)), verbose=0)[0, 0], rel=1e-5, abs=1e-7
    )


def test_files_of_weights_go_both_ways(tmp_path):
    x, _ = points(False)
    reference, ours, fresh = network(theirs), network(mdn), network(theirs)
    reference.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    ours.save_weights(tmp_path / "ours.weights.h5")
    fresh.load_weights(tmp_path / "ours.weights.h5")
    for model in (ours, fresh):
        np.testing.assert_array_equal(ops.convert_to_numpy(model(x)), ops.convert_to_numpy(reference(x)))


def test_load_model_says_what_is_wrong_with_a_file(tmp_path):
    keras.Sequential([keras.Input((2,)), layers.Dense(1)]).save(tmp_path / "dense.keras")
    with pytest.raises(ValueError, match="holds no MDN layer"):
        mdn.load_model(tmp_path / "dense.keras")
    (tmp_path / "text.keras").write_text("not a model")
    with pytest.raises(ValueError, match=r"is not a \.keras file"):
        mdn.load_model(tmp_path / "text.keras")
    with pytest.raises(FileNotFoundError):
        mdn.load_model(tmp_path / "missing.keras")


@pytest.mark.slow
def test_a_performers_model_of_2024_keeps_its_weights():
    """Its file is Keras 2's, so the network is rebuilt; what it computes is checked with plain NumPy."""
    if not IMPSY.exists():
        pytest.skip("needs IMPSY's trained model, which is not part of this repository")
    with pytest.raises(ValueError, match=r"Keras 2 wrote .* of \[\(4, 5\)\]"):
        mdn.load_model(IMPSY)
    x = keras.Input((1, 4))
    states = [keras.Input((64,)) for _ in range(4)]
    h, *first = layers.LSTM(64, return_sequences=True, return_state=True)(x, initial_state=states[:2])
    h, *second = layers.LSTM(64, return_state=True)(h, initial_state=states[2:])
    model = keras.Model([x, *states], [mdn.MDN(4, 5, name="mdn_outputs")(h), *first, *second])
    model.load_weights(IMPSY)
    assert model.count_params() == 53_613
    event = np.array([0.5, 2.0, 4.0, 6.0], "float32")
    output = model.predict([event[None, None], *[np.zeros((1, 64), "float32")] * 4], verbose=0)[0]
    np.testing.assert_allclose(output[0], impsy_by_hand(model.get_weights(), event), rtol=1e-4, atol=1e-5)


def impsy_by_hand(weights, h):
    """Two LSTM cells from zero states, then the three parts of the mixture."""
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    for kernel, _, bias in (weights[0:3], weights[3:6]):
        into, _, candidate, out = np.split(h @ kernel + bias, 4)
        h = sigmoid(out) * np.tanh(sigmoid(into) * np.tanh(candidate))
    mus, sigmas, logits = (
        h @ kernel + bias for kernel, bias in (weights[6:8], weights[8:10], weights[10:12])
    )
    return np.concatenate([mus, np.where(sigmas > 0, sigmas + 1, np.exp(np.minimum(sigmas, 0))), logits])
