import keras
import numpy as np
import pytest
from keras import ops

from mixtura.layers.pen import PenCell, places
from mixtura.layers.recurrent import RecurrentStack

RNG = np.random.default_rng(0)
# Start event; a stroke of three points, one of two, a third that goes on.
PENS = [(1, 0, 0), (1, 0, 0), (1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 1, 0), (1, 0, 0)]
OFFSETS = np.concatenate([[[0.0, 0.0]], RNG.normal(size=(len(PENS) - 1, 2))])
EVENTS = np.column_stack([OFFSETS, PENS]).astype("float32")


class Shown(RecurrentStack):
    """A stack that returns what it is shown."""

    def call(self, inputs, states, training=False):
        return inputs, list(states)


def shown():
    cell = PenCell(Shown((2,)))
    cell.build((None, 6))
    states = cell.get_initial_state(1)
    rows = []
    for event in EVENTS:
        x = np.concatenate([event, [7.0]])[None].astype("float32")  # a context of one number
        out, states = cell(ops.convert_to_tensor(x), states)
        rows.append(ops.convert_to_numpy(out)[0])
    return np.array(rows)


def test_the_network_sees_where_the_pen_is_and_where_the_stroke_began():
    rows = shown()
    place = np.cumsum(OFFSETS, axis=0)
    # The first point of each stroke is that after a lifted pen; before any, the origin.
    begins = [0, 1, 1, 1, 4, 4, 6]
    np.testing.assert_allclose(rows[:, :6], np.column_stack([EVENTS, np.full(len(EVENTS), 7.0)]), atol=1e-6)
    np.testing.assert_allclose(rows[:, 6:8], place / 4, atol=1e-6)
    np.testing.assert_allclose(rows[:, 8:10], (place - place[begins]) / 4, atol=1e-6)


def test_places_are_sums_of_offsets():
    found = ops.convert_to_numpy(places(ops.convert_to_tensor(OFFSETS[None].astype("float32"))))
    np.testing.assert_allclose(found[0], np.cumsum(OFFSETS, axis=0) / 4, atol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_masks_of_dropout_reach_the_stack_alone(rate):
    keras.utils.set_random_seed(0)
    cell = PenCell(RecurrentStack((3,), recurrent_dropout=rate, seed=1))
    cell.build((None, 5))
    x = cell.with_dropout(ops.convert_to_tensor(EVENTS[None]))
    assert x.shape == (1, len(EVENTS), 5 + (3 if rate else 0))
    out, states = cell(x[:, 0], cell.get_initial_state(1))
    assert out.shape == (1, 3)
    assert [tuple(state.shape) for state in states] == [(1, 2), (1, 2), (1, 1), (1, 3), (1, 3)]
