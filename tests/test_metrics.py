import json

import keras
import numpy as np
import pytest
from keras import layers, ops

import mixtura as mx
from mixtura import scores

FAMILY = mx.Mixture(mx.Normal(1), 2)

READINGS = {
    "negative_log_likelihood": (mx.metrics.NegativeLogLikelihood, scores.negative_log_likelihood),
    "bits_per_dimension": (mx.metrics.BitsPerDimension, scores.bits_per_dimension),
    "crps": (mx.metrics.CRPS, scores.crps),
    "interval_coverage": (
        lambda family, **options: mx.metrics.IntervalCoverage(family, 0.5, **options),
        lambda p, y, average: scores.interval_coverage(p, y, 0.5, average=average),
    ),
}
every_metric = pytest.mark.parametrize("name", READINGS)


# JAX compiles every operation for every shape, so tests keep to two.
def draw(*shape, family=FAMILY):
    rng = np.random.default_rng(0)
    params = rng.normal(size=(*shape, family.params_size)).astype("float32")
    return params, rng.normal(size=(*shape, family.event_size)).astype("float32")


def reading(name, params, y, weight=1.0, mask=True, family=FAMILY):
    """The weighted mean in NumPy."""
    values = READINGS[name][1](family(params), y, average=False)
    weight = weight * mask * np.ones(values.shape)
    return (values * weight).sum() / weight.sum()


@every_metric
def test_it_is_the_scores_average(name):
    params, y = draw(3, 4)
    metric = READINGS[name][0](FAMILY)
    assert float(metric(y, params)) == pytest.approx(reading(name, params, y), rel=1e-5)
    # The same again, without the event axis and as lists.
    assert float(metric(y[..., 0].tolist(), params.tolist())) == pytest.approx(float(metric.result()))
    metric.reset_state()
    assert float(metric.result()) == 0


def test_events_may_have_parts():
    family = mx.Joint(place=mx.Normal(2), pen=mx.Categorical(3))
    params, y = draw(3, 4, family=family)
    y[..., 2:] = np.eye(3)[np.arange(12).reshape(3, 4) % 3]
    actual = mx.metrics.BitsPerDimension(family)(y, params)
    assert float(actual) == pytest.approx(reading("bits_per_dimension", params, y, family=family), rel=1e-5)


# Weights and masks.


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["none", "batch", "batch x 1", "batch x time", "batch x time x 1"])
@pytest.mark.parametrize("time", [3, 4])  # three rows: with three steps, batch == time
def test_sequences_are_weighed_and_masked(time, kind, masked):
    x, y = draw(3, time)
    mask = np.ones((3, time), bool)
    if masked:
        mask[0, 2:] = mask[1, 1:] = False
        x[~mask] = 0
    params = layers.Masking()(x) if masked else ops.convert_to_tensor(x)
    rows = np.repeat([[1.0], [2.0], [3.0]], time, axis=1)
    steps = rows + np.arange(time)
    given, weight = {
        "none": (None, 1.0),
        "batch": (rows[:, 0], rows),
        "batch x 1": (rows[:, :1], rows),
        "batch x time": (steps, steps),
        "batch x time x 1": (steps[..., None], steps),
    }[kind]
    for name in READINGS if time == 4 else ["negative_log_likelihood"]:
        actual = READINGS[name][0](FAMILY)(y, params, given)
        assert float(actual) == pytest.approx(reading(name, x, y, weight, mask), rel=1e-5)


@pytest.mark.slow
@every_metric
def test_a_step_counts_the_same_however_long_its_batch(name):
    metric, batches = READINGS[name][0](FAMILY), [draw(3, 3), draw(3, 4), draw(3, 4)]
    for params, y in batches:
        metric.update_state(y, params)
    params, y = (np.concatenate([b[i].reshape(-1, b[i].shape[-1]) for b in batches]) for i in range(2))
    assert float(metric.result()) == pytest.approx(reading(name, params, y), rel=1e-5)


def test_padding_that_is_impossible_costs_nothing():
    """Zeros have no density under a log-normal."""
    family = mx.Mixture(mx.LogNormal(1), 2)
    x, y = draw(3, 4, family=family)
    y = np.exp(y)
    valid = np.arange(4) < [[1], [3], [4]]
    x[~valid] = y[~valid] = 0
    actual = float(mx.metrics.NegativeLogLikelihood(family)(y, layers.Masking()(x)))
    expected = scores.negative_log_likelihood(family(x[valid]), y[valid])
    assert actual == pytest.approx(expected, rel=1e-5)


# In a model.


class Lengths(keras.utils.PyDataset):
    """Two batches, one of three sequences of up to four steps, one of two sequences of up to seven."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(1)
        self.batches = []
        for lengths in ([4, 2, 1], [7, 5]):
            shape = len(lengths), max(lengths)
            x, y = rng.normal(size=(*shape, 2)), rng.normal(size=(*shape, 1))
            valid = np.arange(shape[1]) < np.array(lengths)[:, None]
            x[~valid] = 0
            y[~valid] = 1e3
            self.batches.append((x.astype("float32"), y.astype("float32"), valid))

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.batches[index][:2]


def masked_model():
    inputs = keras.Input((None, 2))
    hidden = layers.Dense(4, "tanh")(layers.Masking()(inputs))
    model = keras.Model(inputs, mx.MDN(FAMILY)(hidden))
    model.compile(
        loss=mx.NegativeLogLikelihood(FAMILY),
        weighted_metrics=[metric(FAMILY) for metric, _ in READINGS.values()],
    )
    return model


@pytest.fixture(scope="module")
def evaluated():
    model, data = masked_model(), Lengths()
    return model, data, model.evaluate(data, verbose=0, return_dict=True)


@every_metric
def test_evaluate_gives_the_mean_over_valid_steps(name, evaluated):
    model, data, results = evaluated
    params = [ops.convert_to_numpy(model(x)) for x, _, _ in data.batches]
    valid = [valid for _, _, valid in data.batches]
    params, y = (
        np.concatenate([values[v] for values, v in zip(batches, valid, strict=True)])
        for batches in (params, [y for _, y, _ in data.batches])
    )
    assert len(y) == 19
    assert results[name] == pytest.approx(reading(name, params, y), rel=1e-4)


def test_the_epochs_loss_is_another_number(evaluated):
    results = evaluated[2]
    assert results["loss"] != pytest.approx(results["negative_log_likelihood"], rel=1e-3)


def test_a_saved_model_evaluates_the_same(evaluated, tmp_path):
    model, data, results = evaluated
    model.optimizer.build(model.trainable_variables)  # as training does; on TensorFlow loading needs it
    model.save(tmp_path / "m.keras")
    restored = keras.models.load_model(tmp_path / "m.keras")
    assert restored.evaluate(data, verbose=0, return_dict=True) == results


@pytest.mark.slow
def test_training_counts_no_padding_of_weight_zero():
    """On JAX Keras loses the mask of a training step's outputs before it computes metrics."""
    (x, y, valid), _ = Lengths().batches
    model = masked_model()
    model.optimizer.learning_rate = 0.0
    options = {"sample_weight": valid.astype("float32"), "batch_size": 3, "verbose": 0}
    trained = model.fit(x, y, **options).history
    assert trained["crps"][0] == pytest.approx(
        reading("crps", ops.convert_to_numpy(model(x)), y, valid), rel=1e-4
    )


def test_keras_hands_the_weights_to_weighted_metrics_only():
    params, y = draw(6)
    model = keras.Sequential([keras.Input((FAMILY.params_size,)), layers.Identity()])
    model.compile(
        loss=mx.NegativeLogLikelihood(FAMILY),
        metrics=[mx.metrics.CRPS(FAMILY, name="plain")],
        weighted_metrics=[mx.metrics.CRPS(FAMILY)],
    )
    weight = np.arange(6.0)
    results = model.evaluate(params, y, sample_weight=weight, verbose=0, return_dict=True)
    assert results["plain"] == pytest.approx(reading("crps", params, y), rel=1e-5)
    assert results["crps"] == pytest.approx(reading("crps", params, y, weight), rel=1e-5)


@pytest.mark.slow
def test_training_reports_them_and_knows_which_way_is_better():
    params, y = draw(8)
    model = keras.Sequential([keras.Input((FAMILY.params_size,)), mx.MDN(FAMILY)])
    metrics = [metric(FAMILY) for metric, _ in READINGS.values()]
    model.compile("sgd", mx.NegativeLogLikelihood(FAMILY), weighted_metrics=metrics)
    lower_is_better = [name for name in READINGS if name != "interval_coverage"]
    stopping = [keras.callbacks.EarlyStopping(name, patience=9) for name in lower_is_better]
    history = model.fit(params, y, epochs=2, verbose=0, callbacks=stopping).history
    assert set(READINGS) < set(history)
    assert all(callback.monitor_op(1.0, 2.0) for callback in stopping)
    with pytest.raises(ValueError, match="Pass `mode='max'`"):
        model.fit(params, y, verbose=0, callbacks=[keras.callbacks.EarlyStopping("interval_coverage")])


# Configuration.


@every_metric
def test_names_are_the_same_every_time(name):
    assert [READINGS[name][0](FAMILY).name for _ in range(2)] == [name, name]
    assert READINGS[name][0](FAMILY, name="mine").name == "mine"


@every_metric
def test_every_argument_survives(name):
    family = mx.Affine(FAMILY, 1.0, 2.0)
    metric = READINGS[name][0](family, name="mine", dtype="float16")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    restored = keras.saving.deserialize_keras_object(config)
    assert type(restored) is type(metric)
    assert restored.family == family
    assert (restored.name, restored.dtype) == ("mine", "float16")
    assert restored.get_config() == metric.get_config()
    assert getattr(restored, "level", 0.5) == 0.5


@every_metric
@pytest.mark.parametrize("family", [5, "normal", mx.Normal])
def test_only_families_are_taken(name, family):
    with pytest.raises(TypeError, match=r"family must be a mixtura family, such as Normal\(1\); received"):
        READINGS[name][0](family)


@every_metric
def test_sizes_are_checked(name):
    metric = READINGS[name][0](FAMILY)
    with pytest.raises(ValueError, match=r"takes parameters of size 6.*received shape \(6, 5\)"):
        metric(np.zeros((6, 1)), np.zeros((6, 5)))
    with pytest.raises(ValueError, match=r"has events of size 1.*y of shape \(6, 2\)"):
        metric(np.zeros((6, 2)), np.zeros((6, 6)))


@pytest.mark.parametrize(
    "family",
    [mx.Mixture(mx.Laplace(1), 2), mx.Mixture(mx.Normal(2), 2), mx.Mixture(FAMILY, 2), mx.Bernoulli()],
    ids=repr,
)
def test_crps_is_for_mixtures_of_normals(family):
    with pytest.raises(NotImplementedError, match=r"one-dimensional mixtures of normals.*use scores"):
        mx.metrics.CRPS(family)


@pytest.mark.parametrize("family", [mx.Normal(2), mx.Bernoulli(), mx.Categorical(1)], ids=repr)
def test_coverage_is_for_one_continuous_dimension(family):
    with pytest.raises(NotImplementedError, match="one-dimensional continuous events"):
        mx.metrics.IntervalCoverage(family)


@pytest.mark.parametrize("level", [0.0, 1.0, 90])
def test_levels_lie_between_zero_and_one(level):
    with pytest.raises(ValueError, match="level must lie between 0 and 1; received"):
        mx.metrics.IntervalCoverage(FAMILY, level)


# Ensembles.


@pytest.mark.slow
def test_members_likelihoods_are_their_own_means():
    family, rng = mx.Mixture(mx.Normal(1), 2), np.random.default_rng(0)
    params = rng.normal(size=(3, 5, 6)).astype("float32")  # of three members
    y = rng.normal(size=(5, 1)).astype("float32")
    tables = params.reshape(3, 5, 3, 2).copy()
    tables[:, :, 0] -= np.log(np.exp(tables[:, :, 0]).sum(axis=-1, keepdims=True))
    table = np.moveaxis(tables, 0, 2).reshape(5, -1)
    losses = -np.stack([family(one).log_prob(y) for one in params], axis=-1)
    metric = mx.metrics.EnsembleLikelihoods(family, 3)
    assert float(metric(y, table)) == pytest.approx(losses.mean(), rel=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(metric.values()), losses.mean(axis=0), rtol=1e-5)
    # Another batch, weighted by members; of weight 0 even nonsense counts nothing.
    weight = rng.random(size=(5, 3)).astype("float32")
    weight[3:] = 0
    other = table.copy()
    other[3:] = 1e6
    metric.update_state(y, other, weight)
    total = losses.sum(axis=0) + (weight * losses).sum(axis=0)
    expected = total / (5 + weight.sum(axis=0))
    np.testing.assert_allclose(ops.convert_to_numpy(metric.values()), expected, rtol=1e-5)
    assert float(metric.result()) == pytest.approx(expected.mean(), rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 0
    for shape in ((5,), (5, 1)):
        metric.reset_state()
        metric.update_state(y, table, weight[:, 0].reshape(shape))
        expected = np.average(losses, axis=0, weights=weight[:, 0])
        np.testing.assert_allclose(ops.convert_to_numpy(metric.values()), expected, rtol=1e-5)


def test_every_argument_of_members_likelihoods_survives():
    family = mx.Affine(FAMILY, 1.0, 2.0)
    metric = mx.metrics.EnsembleLikelihoods(family, 3, name="mine", dtype="float64")
    restored = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    )
    assert restored.get_config() == metric.get_config()
    assert (restored.member_family, restored.num_members) == (family, 3)
    assert (restored.name, restored.dtype) == ("mine", "float64")
    with pytest.raises(ValueError, match="an ensemble is made of mixtures"):
        mx.metrics.EnsembleLikelihoods(mx.Normal(1), 2)
