from functools import partial

import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx

RNG = np.random.default_rng(0)
FAMILY = mx.Joint(place=mx.Affine(mx.Mixture(mx.Normal(2), 2), 1.0, 2.0), pen=mx.Bernoulli())
EVENTS = np.concatenate([RNG.normal(size=(8, 5, 2)), RNG.integers(0, 2, (8, 5, 1))], axis=-1).astype(
    "float32"
)
INPUTS = RNG.normal(size=(8, 5, 2)).astype("float32")
CONTEXT = RNG.normal(size=(8, 1)).astype("float32")
GIVEN = {"events": EVENTS, "inputs": INPUTS, "context": CONTEXT}


def numpy(x):
    return ops.convert_to_numpy(x)


def network(**settings):
    return mx.MDNRNN(FAMILY, (4, 3), inputs_size=2, context_size=1, **settings)


# Published networks.


def impsy(units, layers=2):
    return mx.Mixture(mx.Normal(9), 5), (units,) * layers, {}


def strokes(num_components, covariance="bivariate"):
    return mx.Joint(offset=mx.Mixture(mx.Normal(2, covariance), num_components), pen=mx.Categorical(3))


GRAVES = mx.Joint(offset=mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 20), end=mx.Bernoulli())
TOUCH = mx.Joint(place=mx.Mixture(mx.Normal(2, "full"), 16), dt=mx.Mixture(mx.Normal(1), 16))
CAR = mx.Independent(mx.Mixture(mx.Normal(1), 5), 32)
DOOM = mx.Joint(latent=mx.Independent(mx.Mixture(mx.Normal(1), 5), 64), done=mx.Bernoulli())
PUBLISHED = {
    "IMPSY xxs": (*impsy(16), 5_391),
    "IMPSY xs": (*impsy(32), 16_831),
    "IMPSY s": (*impsy(64), 58_143),
    "IMPSY m": (*impsy(128), 214_495),
    "IMPSY l": (*impsy(256), 822_111),
    "IMPSY xl": (*impsy(512, 3), 5_316_191),
    "RoboJam": (TOUCH, (512,) * 3, {}, 5_329_040),
    "RoboJam 2": (mx.Mixture(mx.Normal(3), 5), (512,) * 2, {}, 3_173_923),
    "Graves, three layers": (GRAVES, (400,) * 3, {"peephole": True, "skips": True}, 3_368_121),
    "Graves, one layer": (GRAVES, (900,), {"peephole": True, "skips": True}, 3_366_121),
    "Kanji": (strokes(24), (256,) * 2, {}, 831_379),
    "Kanji in Keras, small": (mx.Mixture(mx.Normal(3), 10), (64,) * 2, {}, 54_982),
    "Kanji in Keras": (mx.Mixture(mx.Normal(3), 10), (256,) * 2, {}, 809_542),
    "Sketch-RNN, unconditional": (strokes(20), (512,), {}, 1_123_963),
    "World Models, car": (CAR, (256,), {"inputs_size": 3}, 422_368),
    "World Models, doom": (DOOM, (512,), {"inputs_size": 1}, 1_678_785),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_as_many_parameters_as_the_published_network(name, monkeypatch):
    def zeros(self, shape, dtype=None, **_):
        return np.zeros(shape, "float32")

    # The sizes are what counts; drawing orthogonal matrices takes seconds.
    for initializer in (keras.initializers.Orthogonal, keras.initializers.VarianceScaling):
        monkeypatch.setattr(initializer, "__call__", zeros)
    family, units, settings, expected = PUBLISHED[name]
    assert mx.MDNRNN(family, units, **settings).count_params() == expected


# As every Keras model.


def test_a_saved_model_is_the_same(tmp_path):
    settings = {"peephole": True, "skips": True, "recurrent_dropout": 0.1, "seed": 3, "name": "mine"}
    model = mx.MDNRNN(FAMILY, (3,), inputs_size=2, context_size=1, **settings)
    for weight in model.trainable_weights:
        weight.assign(RNG.normal(size=weight.shape))
    model.save(tmp_path / "m.keras")
    restored = keras.models.load_model(tmp_path / "m.keras")
    assert restored.get_config() == model.get_config()
    assert (restored.family, restored.name) == (FAMILY, "mine")
    np.testing.assert_array_equal(numpy(restored(GIVEN)), numpy(model(GIVEN)))
    draws = [m.generate(3, inputs=INPUTS, context=CONTEXT, seed=1).events for m in (model, restored)]
    np.testing.assert_array_equal(*draws)


def test_half_precision_stops_at_the_head():
    model = mx.MDNRNN(FAMILY, (4,), dtype="mixed_float16")
    assert [model.compute_dtype, model.cell.compute_dtype, model.head.compute_dtype] == [
        "float16",
        "float16",
        "float32",
    ]
    drawn = model.generate(5, seed=1)
    assert {keras.backend.standardize_dtype(state.dtype) for state in drawn.state} == {"float16"}
    assert drawn.events.dtype == np.float32
    assert np.isfinite(drawn.events).all()
    params = model.head(ops.zeros((1, 4), dtype="float16"))
    assert keras.backend.standardize_dtype(params.dtype) == "float32"


def test_dropout_is_for_training():
    model = network(recurrent_dropout=0.5, seed=1)
    plain = network()
    plain.set_weights(model.get_weights()[: len(plain.weights)])
    still, expected, training = (numpy(m) for m in (model(GIVEN), plain(GIVEN), model(GIVEN, training=True)))
    np.testing.assert_array_equal(still, expected)
    assert np.abs(training - still).max() > 1e-3


@pytest.mark.parametrize("name", ["mixtura", pytest.param("keras", marks=pytest.mark.slow)])
def test_training_changes_every_weight_and_what_is_drawn_next(name):
    model = mx.MDNRNN(FAMILY, (3,), skips=True, recurrent_dropout=0.1, inputs_size=2, context_size=1)
    model.compile(keras.optimizers.Adam(0.03), loss=mx.NegativeLogLikelihood(FAMILY))
    settings = {"inputs": INPUTS, "context": CONTEXT, "seed": 1}
    drawn, weights = model.generate(5, **settings).events, model.get_weights()
    fit = model.fit if name == "keras" else partial(mx.training.fit, model, seed=0)
    history = fit(x=GIVEN, y=EVENTS, batch_size=8, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert (model.generate(5, **settings).events != drawn).any()
    for old, new, variable in zip(weights, model.get_weights(), model.weights, strict=True):
        assert (old != new).any(), variable.path


# Mistakes.


@pytest.mark.parametrize("name", ["inputs", "context"])
@pytest.mark.parametrize("wrong", [None, 3])
def test_inputs_and_context_of_another_size_are_named(name, wrong):
    model = network()
    given = {"inputs": INPUTS, "context": CONTEXT}
    size = given[name].shape[-1]
    given[name] = np.ones((*given[name].shape[:-1], wrong), "float32") if wrong else None
    message = f"{name} must be of size {size}; received {wrong or 'none'}"
    with pytest.raises(ValueError, match=message):
        model(EVENTS, **given)
    with pytest.raises(ValueError, match=message):
        model.generate(3, **given)


def test_other_arguments_are_refused():
    for value in (-1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="inputs_size must be an integer, 0 or more; received"):
            mx.MDNRNN(FAMILY, (4,), inputs_size=value)
        with pytest.raises(ValueError, match="context_size must be an integer, 0 or more; received"):
            mx.MDNRNN(FAMILY, (4,), context_size=value)
    with pytest.raises(TypeError, match="family must be a mixtura family"):
        mx.MDNRNN("normal")
    with pytest.raises(ValueError, match="units must name at least one layer's size"):
        mx.MDNRNN(FAMILY, ())


def test_places_between_two_ends_are_relative_in_the_logit():
    family = mx.Mixture(mx.Joint(place=mx.LogitNormal(2), dt=mx.LogNormal(), moving=mx.Bernoulli()), 2)
    model = mx.MDNRNN(family, (3,), relative=("place",), seed=0)
    plain = mx.MDNRNN(family, (3,), seed=0)
    plain.set_weights(model.get_weights())
    events = np.array([[[0.2, 0.9, 0.1, 0.0], [0.3, 0.8, 0.02, 1.0], [0.5, 0.5, 0.5, 0.0]]], "float32")
    change = numpy(model(events) - plain(events)).reshape(3, 8, 2)
    before = np.array([[0.0, 0.0], *np.log(events[0, :2, :2] / (1 - events[0, :2, :2]))])  # first, the middle
    np.testing.assert_allclose(change[:, 1:3], np.stack([before, before], axis=-1), atol=1e-5)
    assert not change[:, [0, *range(3, 8)]].any()
    with pytest.raises(ValueError, match="the part 'end'; the parts are place, dt, moving"):
        mx.MDNRNN(family, (3,), relative=("end",))
