import json

import keras
import numpy as np
import pytest
from keras import ops

from mixtura.compiling import compiled
from mixtura.layers import GRUCell, HyperLSTMCell, LSTMCell, RecurrentStack

RNG = np.random.default_rng(0)
FEATURES, BATCH, TIME = 3, 2, 3
X = RNG.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
KINDS = {
    "lstm": {"layer_norm": True},
    "lstm_skips": {"peephole": True, "skips": True},
    "gru_skips": {"cell": "gru", "skips": True},
    "hyper": {"cell": "hyper", "layer_norm": True, "hyper_units": 3, "embedding_size": 2},
}


def numpy(x):
    return ops.convert_to_numpy(x)


def stack_of(units=(4, 3), **settings):
    """Return a built stack with random weights."""
    stack = RecurrentStack(units, **settings)
    stack.build((None, FEATURES))
    rng = np.random.default_rng(1)
    for cell in stack.cells:
        for weight in cell.weights:
            weight.assign(rng.normal(size=weight.shape))
    return stack


def by_hand(stack, x, masks=None):
    """Return outputs and last states, cells called one by one (they have tests of their own)."""
    states, outputs = stack.get_initial_state(BATCH), []
    for t in range(TIME):
        below, hidden, after, place, unit = x[:, t], [], [], 0, 0
        for cell in stack.cells:
            own = states[place : place + cell.num_states]
            keep = None if masks is None else masks[:, t, unit : unit + cell.units]
            h, own = cell(below, own, keep=keep)
            place, unit = place + cell.num_states, unit + cell.units
            after += own
            hidden.append(h)
            below = ops.concatenate([x[:, t], h], axis=-1) if stack.skips else h
        states = after
        outputs.append(ops.concatenate(hidden, axis=-1) if stack.skips else hidden[-1])
    return [ops.stack(outputs, axis=1), *states]


def in_one_program(stack, f, *arrays):
    return [numpy(value) for value in compiled(f, stack)(*arrays)]


@pytest.mark.parametrize("kind", KINDS)
def test_layers_stand_one_above_the_other(kind):
    stack = stack_of(**KINDS[kind])
    rnn = keras.layers.RNN(stack, return_sequences=True, return_state=True)
    output, *states = in_one_program(stack, rnn, X)
    expected = in_one_program(stack, lambda x: by_hand(stack, x), X)
    assert [state.shape[-1] for state in states] == stack.state_size
    assert output.shape == (BATCH, TIME, stack.output_size)
    for value, other in zip([output, *states], expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-5)


def test_sizes():
    assert stack_of().state_size == [4, 4, 3, 3]
    assert stack_of(cell="gru").state_size == [4, 3]
    assert (stack_of().output_size, stack_of(skips=True).output_size) == (3, 7)
    assert [type(cell) for cell in stack_of(cell="gru").cells] == [GRUCell] * 2
    hyper = stack_of(cell="hyper", layer_norm=True, hyper_units=5, embedding_size=2)
    assert hyper.state_size == [4, 4, 5, 5, 3, 3, 5, 5]
    assert [type(cell) for cell in hyper.cells] == [HyperLSTMCell] * 2
    assert [(cell.layer_norm, cell.embedding_size) for cell in hyper.cells] == [(True, 2)] * 2
    assert [cell.peephole for cell in stack_of(peephole=True).cells] == [True] * 2
    lower, upper = stack_of(skips=True).cells
    assert isinstance(upper, LSTMCell)
    assert (lower.kernel.shape[0], upper.kernel.shape[0]) == (FEATURES, FEATURES + 4)


def test_the_state_starts_at_zero_in_the_dtype_it_computes_in():
    for dtype in ("float32", "mixed_float16"):
        states = RecurrentStack((4, 3), dtype=dtype).get_initial_state(2)
        assert [tuple(state.shape) for state in states] == [(2, 4), (2, 4), (2, 3), (2, 3)]
        for state in states:
            assert keras.backend.standardize_dtype(state.dtype) == dtype.removeprefix("mixed_")
            np.testing.assert_array_equal(numpy(state), 0)


# Recurrent dropout.


@pytest.mark.parametrize("kind", ["lstm_skips", "gru_skips"])
def test_masks_come_with_the_input_and_act_on_candidates_alone(kind):
    stack = stack_of(recurrent_dropout=0.4, seed=3, **KINDS[kind])
    masked = numpy(stack.with_dropout(ops.convert_to_tensor(X)))
    np.testing.assert_array_equal(masked[..., :FEATURES], X)
    masks = masked[..., FEATURES:]
    [output] = in_one_program(stack, lambda x: [keras.layers.RNN(stack, return_sequences=True)(x)], masked)
    with_masks, without = (
        in_one_program(stack, lambda x, m: by_hand(stack, x, m), X, given)[0]
        for given in (masks, np.ones_like(masks))
    )
    np.testing.assert_allclose(output, with_masks, rtol=1e-4, atol=1e-5)
    assert np.abs(with_masks - without).max() > 0.01


def test_masks_keep_the_mean_and_differ_at_every_step():
    stack = stack_of(recurrent_dropout=0.25, seed=3)
    x = ops.zeros((100, 50, FEATURES), dtype="float32")
    first, second = (numpy(stack.with_dropout(x))[..., FEATURES:] for _ in range(2))
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.75], rtol=1e-6)
    assert first.mean() == pytest.approx(1, abs=4 * np.sqrt(1 / 3 / first.size))
    for along in range(3):  # sequences, steps and units
        assert (np.diff(first, axis=along) != 0).mean() == pytest.approx(2 * 0.25 * 0.75, abs=0.02)
    assert (first != second).any()
    again = numpy(stack_of(recurrent_dropout=0.25, seed=3).with_dropout(x))[..., FEATURES:]
    np.testing.assert_array_equal(first, again)


def test_without_dropout_inputs_pass_unchanged():
    x = ops.convert_to_tensor(X)
    assert stack_of().with_dropout(x) is x


# As every layer.


def test_every_argument_survives():
    settings = {"peephole": True, "layer_norm": True, "skips": True, "recurrent_dropout": 0.1, "seed": 5}
    hyper = RecurrentStack([2], "hyper", hyper_units=3, embedding_size=2)
    for stack in (RecurrentStack((4, 3), name="mine", **settings), RecurrentStack([2], "gru"), hyper):
        restored = RecurrentStack.from_config(json.loads(json.dumps(stack.get_config())))
        assert restored.get_config() == stack.get_config()
        assert (restored.name, restored.units) == (stack.name, stack.units)


def test_what_was_saved_before_there_were_hyper_layers_loads():
    config = RecurrentStack((4, 3), "gru").get_config()
    for name in ("hyper_units", "embedding_size"):
        del config[name]
    restored = RecurrentStack.from_config(config)
    assert [type(cell) for cell in restored.cells] == [GRUCell] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": ()}, "units must name at least one layer's size; received none"),
        ({"units": (4, 0)}, "units must be a positive integer; received 0"),
        ({"cell": "rnn"}, "cell must be one of 'lstm', 'gru', 'hyper'; received 'rnn'"),
        (
            {"cell": "gru", "peephole": True},
            "peephole and layer_norm are for LSTM cells; received cell='gru'",
        ),
        ({"cell": "gru", "layer_norm": True}, "peephole and layer_norm are for LSTM cells"),
        ({"hyper_units": 0}, "hyper_units must be a positive integer; received 0"),
        ({"embedding_size": 1.5}, "embedding_size must be a positive integer; received 1.5"),
        ({"recurrent_dropout": 1}, "recurrent_dropout must be 0 or more and less than 1; received 1"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout must be 0 or more and less than 1; received -0.1"),
        ({"recurrent_dropout": "a"}, "recurrent_dropout must be a finite number; received 'a'"),
    ],
)
def test_other_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RecurrentStack(**{"units": (4,), **settings})
