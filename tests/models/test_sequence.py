import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.compiling import compiled
from mixtura.models import SequenceModel

RNG = np.random.default_rng(0)
BATCH, TIME = 3, 5
MIXTURE = mx.Mixture(mx.Normal(2), 2)
UNITS = mx.Affine(MIXTURE, [5.0, -3.0], [2.0, 0.5])
PEN = mx.Joint(
    place=mx.Affine(mx.Mixture(mx.Normal(2, "full"), 2), [5.0, -3.0], [2.0, 0.5]), pen=mx.Bernoulli()
)
MODELS = {
    "mixture": lambda: mx.MDNRNN(MIXTURE, (4, 3)),
    "joint": lambda: mx.MDNRNN(PEN, (4, 3), "gru", skips=True, inputs_size=2, context_size=1),
    "characters": lambda: mx.MDNRNN(mx.Categorical(5), (4, 3), peephole=True, skips=True, context_size=2),
    "copies": lambda: mx.MDNRNN(
        mx.Independent(mx.Mixture(mx.Normal(1), 2), 3), (4,), layer_norm=True, inputs_size=1
    ),
}


def numpy(x):
    return keras.tree.map_structure(ops.convert_to_numpy, x)


def close(a, b, tolerance=1e-5):
    keras.tree.map_structure(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), numpy(a), numpy(b)
    )


def randomised(model, scale=0.7):
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(scale * rng.normal(size=weight.shape))
    return model


@pytest.fixture(scope="module")
def shared():
    """Models by name, made once, and whole sequences for each."""
    made = {}

    def get(name):
        if name not in made:
            model = randomised(MODELS[name]())
            shift, scale = model.family.units
            events = shift + scale * RNG.normal(size=(BATCH, TIME, model.family.event_size))
            sizes = {"inputs": (BATCH, TIME, model.inputs_size), "context": (BATCH, model.context_size)}
            given = {key: RNG.normal(size=shape) for key, shape in sizes.items() if shape[-1]}
            arrays = {key: value.astype("float32") for key, value in {"events": events, **given}.items()}
            unroll = compiled(lambda given: model.unroll(**given), model)
            made[name] = model, arrays, lambda **given: numpy(unroll(given))
        return made[name]

    return get


every_model = pytest.mark.parametrize("name", MODELS)


# One step, and all of them.


@every_model
def test_a_step_at_a_time_is_the_whole_sequence(name, shared):
    model, given, unroll = shared(name)
    params, last = unroll(**given)
    assert params.shape == (BATCH, TIME, model.family.params_size)
    step = compiled(
        lambda event, i, c, state: model.step(model.embed(ops.convert_to_tensor(event), i, c), state, c),
        model,
    )
    context = given.get("context")
    event = np.tile(model.family.units[0], (BATCH, 1)).astype("float32")
    state = model.initial_state(BATCH, context)
    for t in range(TIME):
        inputs = given["inputs"][:, t] if "inputs" in given else None
        params_t, state = step(event, inputs, context, state)
        close(params_t, params[:, t])
        event = given["events"][:, t]
    close(state, last)


def test_call_is_unroll_without_the_state(shared):
    model, given, unroll = shared("joint")
    params, _ = unroll(**given)
    close(model(**given), params)
    close(model(given), params)  # by name, as `fit` gives several inputs
    assert model.compute_output_shape((None, 7, 3)) == (None, 7, model.family.params_size)
    assert model.compute_output_shape({"events": (2, 7, 3)})[:2] == (2, 7)


@every_model
def test_what_comes_after_a_step_cannot_change_it_nor_can_neighbours(name, shared):
    _, given, unroll = shared(name)
    params, _ = unroll(**given)
    changed = {key: value.copy() for key, value in given.items()}
    changed["events"][:, 3:] = 99
    changed["events"][1:] = -99
    other, _ = unroll(**changed)
    close(other[0, :4], params[0, :4])
    assert np.abs(other[0, 4:] - params[0, 4:]).max() > 0.01


@every_model
def test_a_sequence_goes_on_where_it_stopped(name, shared):
    _, given, unroll = shared(name)
    params, last = unroll(**given)
    halves = [
        {key: value if key == "context" else value[:, part] for key, value in given.items()}
        for part in (slice(3), slice(3, None))
    ]
    first, state = unroll(**halves[0])
    second, after = unroll(**halves[1], before=given["events"][:, 2], state=state)
    close(np.concatenate([first, second], axis=1), params)
    close(after, last)


def test_inputs_and_context_matter(shared):
    _, given, unroll = shared("joint")
    params, _ = unroll(**given)
    for name in ("inputs", "context"):
        changed, _ = unroll(**{**given, name: given[name] + 1})
        assert (np.abs(changed - params).max(axis=(1, 2)) > 0.01).all()
    # An input is seen by its own step, not only by later ones.
    later = given["inputs"] + np.float32(np.arange(TIME) >= 3)[:, None]
    changed, _ = unroll(**{**given, "inputs": later})
    close(changed[:, :3], params[:, :3])
    assert np.abs(changed[:, 3] - params[:, 3]).max() > 0.01


def test_the_network_sees_standardised_events():
    plain, scaled = mx.MDNRNN(MIXTURE, (4,)), mx.MDNRNN(UNITS, (4,))
    scaled.set_weights(plain.get_weights())
    np.testing.assert_array_equal(numpy(scaled.start_event()), [5, -3])
    events = ops.convert_to_tensor([[5, -3], [7, -3.5]], dtype="float32")
    close(scaled.embed(events), np.array([[0, 0], [1, -1]]))
    # Events of one seed are the same, in other units.
    u, y = (model.generate(3, seed=1).events for model in (plain, scaled))
    close(UNITS.units[0] + UNITS.units[1] * u, y)


# A model of one's own.


@keras.saving.register_keras_serializable(package="test")
class Greeted(SequenceModel):
    """Begins where its context says, in the state and as the first event."""

    def __init__(self, **kwargs):
        super().__init__(MIXTURE, keras.layers.LSTMCell(4), **kwargs)

    def initial_state(self, batch_size, context=None):
        return [ops.tile(context, (1, 2)), ops.tile(context, (1, 2))]

    def start_event(self):
        return ops.ones(2)

    def embed(self, event, inputs=None, context=None):
        return event

    def get_config(self):
        return {"name": self.name}


def test_a_model_of_ones_own_answers_to_the_same_calls():
    model, context = Greeted(), np.array([[0.5, -0.5], [1.0, 2.0]], "float32")
    with pytest.raises(
        ValueError, match=f"{model.name} has no weights yet; call it once before it is to draw"
    ):
        model.generate(3, context=context)
    events = RNG.normal(size=(2, 3, 2)).astype("float32")
    params = model(events, context=context)
    lstm, head = model.cell, model.head
    state = [np.tile(context, (1, 2))] * 2
    features, _ = lstm(np.ones((2, 2), "float32"), [ops.convert_to_tensor(s) for s in state])
    close(params[:, 0], head(features))
    # float64, as people's arrays are; on every backend the network computes in its own dtype.
    drawn = model.generate(3, context=context.astype("float64"), seed=2)
    close(model.unroll(drawn.events, context=context)[1], drawn.state)


def test_what_is_no_family_is_refused():
    with pytest.raises(TypeError, match="family must be a mixtura family"):
        SequenceModel("normal", keras.layers.LSTMCell(4))
