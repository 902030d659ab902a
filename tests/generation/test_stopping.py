from dataclasses import dataclass

import numpy as np
import pytest
from keras import ops

from mixtura.generation import Stop, StopAfterTotal

SEEDS = list(range(8))
STEPS = 30
LIMIT = 25.0


@pytest.fixture(scope="module")
def whole(model):
    """The same sequences, which nothing ends."""
    return model.generate(STEPS, seed=SEEDS).events


def first(condition):
    """Return how many events there are up to the first for which it holds."""
    return np.where(condition.any(axis=1), condition.argmax(axis=1) + 1, condition.shape[1])


def ended_by(events, name, prompted=0):
    """Return lengths and whether a rule has ended them: above 3 by the model, a total by the rule."""
    own = events[..., 0] > 3
    total = np.cumsum(events[..., 0], axis=1) >= LIMIT
    condition = {"model": own, "rule": total, "both": own | total}[name]
    condition = condition & (np.arange(events.shape[1]) >= prompted)
    return first(condition), condition.any(axis=1)


@pytest.mark.parametrize("name", ["model", "rule", "both"])
def test_lengths_are_exact(name, model, ending, whole, close):
    network = model if name == "rule" else ending
    stop = None if name == "model" else StopAfterTotal(0, LIMIT)
    drawn = network.generate(STEPS, seed=SEEDS, stop=stop)
    lengths, ended = ended_by(whole, name)
    assert len(np.unique(lengths)) > 3  # or the test shows nothing
    np.testing.assert_array_equal(drawn.lengths, lengths)
    np.testing.assert_array_equal(drawn.ended, ended)
    assert drawn.events.shape == whole.shape
    for row, length in enumerate(lengths):
        close(drawn[row], whole[row, :length])
        np.testing.assert_array_equal(drawn.events[row, length:], 0)
    # What has ended stays so and has the state of its last event; the others go on.
    short = min(range(8), key=lambda row: lengths[row])
    _, state = model.unroll(drawn[short][None])
    close([s[short] for s in drawn.state], [s[0] for s in state])


def test_a_rule_goes_on_with_its_memory(ending, whole, close):
    stop = StopAfterTotal(0, LIMIT)
    lengths, ended = ended_by(whole, "both")
    before = ending.generate(10, seed=SEEDS, stop=stop)
    np.testing.assert_array_equal(before.lengths, np.minimum(lengths, 10))
    after = ending.generate(STEPS - 10, seed=SEEDS, stop=stop, after=before)
    np.testing.assert_array_equal(after.lengths, np.maximum(lengths - 10, 0))
    np.testing.assert_array_equal(after.taken, lengths)
    np.testing.assert_array_equal(after.ended, ended)
    for row in range(8):
        close(np.concatenate([before[row], after[row]]), whole[row, : lengths[row]])


def test_a_prompt_ends_nothing_but_is_counted(ending, whole, close):
    lengths, ended = ended_by(whole, "both", prompted=12)
    assert (ended_by(whole, "both")[0] < 12).any()
    drawn = ending.generate(STEPS - 12, prompt=whole[:, :12], seed=SEEDS, stop=StopAfterTotal(0, LIMIT))
    np.testing.assert_array_equal(drawn.lengths, lengths)
    np.testing.assert_array_equal(drawn.ended, ended)
    for row, length in enumerate(lengths):
        close(drawn[row], whole[row, :length])


def test_another_rule_starts_anew(model):
    before = model.generate(10, seed=SEEDS, stop=StopAfterTotal(0, 1e9))
    after = model.generate(10, seed=SEEDS, stop=StopAfterTotal(1, 1e9), after=before)
    total = ops.convert_to_numpy(after.carry.memory)
    np.testing.assert_allclose(total, after.events[..., 1].sum(axis=1), rtol=1e-5)


@dataclass(frozen=True)
class Wait(Stop):
    """A rule without a memory that looks at the state."""

    above: float

    def __call__(self, event, state, memory):
        return state[2][:, 0] > self.above, memory  # the upper layer's output


def test_a_rule_of_ones_own_sees_the_state(model, whole):
    before = np.concatenate([np.broadcast_to(model.start_event(), (8, 1, 2)), whole[:, :-1]], axis=1)
    top, *_ = model.rnn(model.embed(ops.convert_to_tensor(before, dtype="float32")))
    condition = ops.convert_to_numpy(top)[..., 0] > -0.1
    drawn = model.generate(STEPS, seed=SEEDS, stop=Wait(-0.1))
    assert len(np.unique(drawn.lengths)) > 2
    np.testing.assert_array_equal(drawn.lengths, first(condition))
    np.testing.assert_array_equal(drawn.ended, condition.any(axis=1))


def test_a_dimension_that_is_none_is_named(model):
    for dimension in (2, -3):
        with pytest.raises(ValueError, match=f"dimension must be one of an event's 2; received {dimension}"):
            model.generate(STEPS, seed=SEEDS, stop=StopAfterTotal(dimension, 1.0))


def test_a_stop_without_a_rule_says_so():
    with pytest.raises(NotImplementedError):
        Stop()(None, None, None)
    assert Stop().start(3) == ()
