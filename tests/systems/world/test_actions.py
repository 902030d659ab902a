import json
import math

import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.world.actions import Bounded, Buttons, OneOf, Ordered, actions_of, from_config

spaces = pytest.importorskip("gymnasium", reason="Gymnasium is not installed").spaces

TAKE_COVER = Ordered((2, 0, 1), ("left", "stay", "right"))
CAR = Bounded((-1.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2,), ("steer", "gas", "brake"))
EVERY = [TAKE_COVER, Ordered((0, 1)), OneOf(4), CAR, Bounded((-2.0, 5.0), (2.0, 7.0)), Buttons(3)]


def _space(actions):
    if isinstance(actions, Bounded):
        return spaces.Box(np.float32(np.array(actions.low)), np.float32(np.array(actions.high)))
    if isinstance(actions, Buttons):
        return spaces.MultiBinary(actions.count)
    return spaces.Discrete(len(actions.names))


def test_thirds_of_the_tangent_are_left_stay_and_right():
    edges = math.atanh(1 / 3) + np.array([-1e-3, 1e-3])
    outputs = np.array([-50, *-edges[::-1], 0, *edges, 50], np.float32)[:, None]
    codes = TAKE_COVER.decide(np, outputs)
    assert codes[:, 0].tolist() == [-1, -1, 0, 0, 0, 1, 1]
    assert [TAKE_COVER.action(code) for code in codes] == [2, 2, 0, 0, 0, 1, 1]


def test_many_choices_have_equal_parts():
    actions = Ordered(tuple(range(5)))
    tangents = np.linspace(-0.999, 0.999, 1000)
    codes = actions.decide(np, np.arctanh(tangents)[:, None])
    expected = [min(int((tangent + 1) / 0.4), 4) for tangent in tangents]
    assert [actions.action(code) for code in codes] == expected


def test_the_largest_of_the_outputs_is_chosen():
    code = OneOf(4).decide(np, np.array([[0.1, -2.0, 3.0, 2.9]]))
    assert code.tolist() == [[0, 0, 1, 0]]
    assert OneOf(4).action(code[0]) == 2


def test_steering_gas_and_brake_are_those_of_the_paper():
    outputs = np.random.default_rng(0).normal(size=(100, 3))
    steer, gas, brake = CAR.decide(np, outputs).T
    tangents = np.tanh(outputs)
    np.testing.assert_allclose(steer, tangents[:, 0], atol=1e-6)
    np.testing.assert_allclose(gas, (tangents[:, 1] + 1) / 2, atol=1e-6)
    np.testing.assert_allclose(brake, np.clip(tangents[:, 2], 0, 1), atol=1e-6)


def test_a_button_is_pressed_above_zero():
    code = Buttons(3).decide(np, np.array([-1.0, 0.0, 1e-3]))
    assert Buttons(3).action(code).tolist() == [0, 0, 1]


@pytest.mark.parametrize("actions", EVERY, ids=repr)
def test_codes_are_the_space_s_own_actions(actions):
    rng = np.random.default_rng(0)
    codes = [actions.random(rng) for _ in range(50)] + [actions.still()]
    codes += list(actions.decide(np, rng.normal(0, 3, (50, actions.size))))
    space = _space(actions)
    for code in codes:
        assert code.shape == (actions.size,)
        assert code.dtype == np.float32
        action = actions.action(code)
        assert space.contains(np.int64(action) if isinstance(action, int) else action)
    assert len({code.tobytes() for code in codes}) > 1


@pytest.mark.parametrize("actions", EVERY, ids=repr)
def test_a_dream_decides_as_the_game(actions):
    jnp = pytest.importorskip("jax.numpy")
    outputs = np.random.default_rng(0).normal(0, 2, (2, 30, actions.size)).astype(np.float32)
    code = actions.decide(jnp, jnp.asarray(outputs))
    assert code.dtype == np.float32
    np.testing.assert_allclose(code, actions.decide(np, outputs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("actions", EVERY, ids=repr)
def test_actions_are_written_down_in_json(actions):
    assert from_config(json.loads(json.dumps(actions.to_config()))) == actions


def test_doing_nothing():
    assert TAKE_COVER.action(TAKE_COVER.still()) == 0
    assert CAR.still().tolist() == [0, 0, 0]
    assert Bounded((-2.0, 5.0), (2.0, 7.0)).still().tolist() == [0, 6]
    assert OneOf(3).action(OneOf(3).still()) == 0


def test_random_actions_are_spread_evenly():
    rng = np.random.default_rng(0)
    taken = np.bincount([TAKE_COVER.action(TAKE_COVER.random(rng)) for _ in range(3000)])
    assert ((taken - 1000) ** 2 / 1000).sum() < 13.8  # chi-square, 2 degrees: 0.999
    brake = np.array([CAR.random(rng)[2] for _ in range(3000)])
    assert (brake == 0).mean() == pytest.approx(0.5, abs=0.04)
    assert brake[brake > 0].mean() == pytest.approx(0.5, abs=0.03)


def test_actions_of_spaces():
    assert actions_of(spaces.Discrete(3)) == OneOf(3)
    assert actions_of(spaces.Discrete(3), order=[2, 0, 1], names=["left", "stay", "right"]) == TAKE_COVER
    assert actions_of(spaces.Discrete(3, start=-1)) == OneOf(3, first=-1)
    assert OneOf(3, first=-1).action(np.float32([0, 0, 1])) == 1
    assert actions_of(spaces.MultiBinary(3)) == Buttons(3)
    car = actions_of(spaces.Box(np.float32([-1, 0, 0]), np.float32([1, 1, 1])), clipped=[2])
    assert car == Bounded(CAR.low, CAR.high, (2,))
    assert car.names == ("a0", "a1", "a2")


@pytest.mark.parametrize(
    ("space", "options", "sentence"),
    [
        (spaces.Box(-np.inf, np.inf, (2,)), {}, "a bounded Box of one axis; received Box"),
        (spaces.Box(-1, 1, (2, 2)), {}, "a bounded Box of one axis; received Box"),
        (spaces.Text(3), {}, "actions are Discrete, MultiBinary or a bounded Box of one axis; received Text"),
        (spaces.Discrete(3), {"order": [0, 3]}, r"two or more of 0 to 2, each once; received \[0, 3\]"),
        (spaces.Discrete(3), {"order": [0, 0]}, r"two or more of 0 to 2, each once; received \[0, 0\]"),
        (spaces.Discrete(1), {}, r"two or more of 0 to 0, each once; received \[0\]"),
        (spaces.MultiBinary(2), {"order": [0, 1]}, "an order is for Discrete actions"),
        (spaces.Discrete(3), {"names": ["left"]}, r"expected 3 names of actions; received 1: \['left'\]"),
        (spaces.Box(-1, 1, (2,)), {"clipped": [2]}, "clipped names number 2 of an action that has 2"),
    ],
)
def test_what_no_controller_can_set_is_refused(space, options, sentence):
    with pytest.raises(InputError, match=sentence):
        actions_of(space, **options)
