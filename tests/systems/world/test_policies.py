import pickle

import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.world.actions import Bounded, OneOf, Ordered
from mixtura.systems.world.policies import Random, Replay, Still, Sweep

TAKE_COVER = Ordered((2, 0, 1))


def _played(policy, steps, actions=TAKE_COVER, seed=0):
    player = pickle.loads(pickle.dumps(policy)).start(actions, seed)
    return np.stack([player(None) for _ in range(steps)])


def test_random_actions_are_held_for_as_many_decisions_as_it_says():
    codes = _played(Random((3, 5)), 3000, actions=OneOf(50)).argmax(axis=1)
    lengths = np.diff(np.flatnonzero(np.diff(codes)))
    assert lengths.min() == 3
    # Twice the same action in a row, one time of fifty, looks like one held for longer.
    assert np.mean(lengths <= 5) > 0.95
    assert np.bincount(lengths)[3:6] / len(lengths) == pytest.approx(np.full(3, 0.98 / 3), abs=0.06)


def test_random_actions_depend_on_the_seed_alone():
    assert np.array_equal(_played(Random(), 60, seed=1), _played(Random(), 60, seed=1))
    assert not np.array_equal(_played(Random(), 60, seed=1), _played(Random(), 60, seed=2))


def test_random_actions_do_not_follow_from_what_the_environment_draws():
    """Gymnasium's environments draw from the seed's own generator: where an episode begins, say."""
    drawn = [np.random.default_rng(seed).uniform(-1, 1) for seed in range(300)]
    codes = [_played(Random(), 1, Bounded((-1.0,), (1.0,)), seed)[0, 0] for seed in range(300)]
    assert abs(np.corrcoef(drawn, codes)[0, 1]) < 0.2


def test_still_does_nothing():
    assert [TAKE_COVER.action(code) for code in _played(Still(), 3)] == [0, 0, 0]


def test_a_sweep_goes_to_one_side_and_back():
    assert [TAKE_COVER.action(code) for code in _played(Sweep(2), 7)] == [2, 2, 1, 1, 2, 2, 1]
    with pytest.raises(InputError, match="a sweep needs actions that lie on a line; received OneOf"):
        Sweep(2).start(OneOf(3), 0)


def test_a_replay_ends_in_stillness():
    codes = np.array([[1.0], [-1.0]])
    assert _played(Replay(codes), 4).tolist() == [[1], [-1], [0], [0]]
