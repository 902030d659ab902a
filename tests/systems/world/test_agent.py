"""The agent against its parts: V sees, M is told what was done, C decides."""

import json
import os
import pickle

import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.errors import InputError
from mixtura.models import Controller, ConvVAE, Memory
from mixtura.systems.world import agent as agents
from mixtura.systems.world.actions import Ordered
from mixtura.systems.world.agent import Agent, read_controller, save_controller
from mixtura.systems.world.policies import generator

LATENT = mx.Independent(mx.Mixture(mx.Normal(1), 2), 3)
FAMILY = mx.Joint(latent=LATENT, reward=mx.Normal(1), done=mx.Bernoulli())
LINE = Ordered((2, 0, 1))
FORM = {"inputs": 3 + 4, "outputs": 1, "hidden": 0, "bias": True}
RNG = np.random.default_rng(0)
PARAMS = RNG.normal(size=8).astype("float32")
STATES = RNG.normal(size=(6, 3)).astype("float32")
FRAMES = RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def memory(seed):
    made = Memory(FAMILY, (5, 4), 1, relative=True)
    rng = np.random.default_rng(seed)
    for weight in made.trainable_weights:
        weight.assign(rng.normal(scale=0.7, size=weight.shape))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write V and M."""
    folder = tmp_path_factory.mktemp("agent")
    memory(1).save(folder / "memory.keras")
    encoder, decoder = ((4, 4, 4),), ((4, 2, 2), (3, 4, 4))
    ConvVAE((8, 8, 3), 3, encoder, decoder, (1, 1, 4), seed=0).save(folder / "vision.keras")
    return folder


def agent_of(folder, vision=False, features="zh", params=PARAMS, form=FORM, **settings):
    seen = folder / "vision.keras" if vision else None
    return Agent(seen, folder / "memory.keras", form, features, params, **settings)


def played(agent, observations, seed=0):
    play = agent.start(LINE, seed)
    return np.array([play(one) for one in observations])


def by_hand(model, z, params=PARAMS, order=(0, 1, 2), features="zh"):
    """Return the codes of an episode: M is told of a z with what was done there, when the next is seen."""
    state, codes = model.initial_state(1), []
    event, code = ops.convert_to_numpy(model.start_event()), np.zeros(1)
    for one in z:
        x = model.embed(*(ops.convert_to_tensor(np.array([part], "float32")) for part in (event, code)))
        _, state = model.step(x, state)
        h, c = (ops.convert_to_numpy(part)[0] for part in state[-2:])
        given = np.concatenate([one[list(order)], h, c][: len(features)])
        tangent = np.tanh(given @ params[:-1] + params[-1])
        code = np.array([np.digitize(tangent, [-1 / 3, 1 / 3]) - 1.0])
        event = np.append(one, [0, 0])
        codes.append(code)
    return np.array(codes)


def test_it_decides_by_what_it_sees_and_remembers(folder):
    found = played(agent_of(folder), STATES)
    np.testing.assert_array_equal(found, by_hand(memory(1), STATES))
    assert len(np.unique(found)) > 1
    again = played(agent_of(folder), STATES)  # an episode knows nothing of the one before
    np.testing.assert_array_equal(again, found)


def test_it_sees_by_the_mean_of_v(folder):
    import keras

    vision = keras.models.load_model(folder / "vision.keras", compile=False)
    mean, _ = vision.encode(FRAMES)
    params = PARAMS * 8
    found = played(agent_of(folder, vision=True, params=params), FRAMES)
    np.testing.assert_array_equal(found, by_hand(memory(1), mean, params))


@pytest.mark.parametrize("scramble", ["c", "all"])
def test_scrambled_it_is_given_z_in_another_order(folder, scramble):
    found = [played(agent_of(folder, scramble=scramble), STATES, seed) for seed in range(4)]
    for seed, codes in enumerate(found):
        order = generator(seed).permutation(3)
        if scramble == "c":
            expected = by_hand(memory(1), STATES, order=order)
        else:
            expected = by_hand(memory(1), STATES[:, order])
        np.testing.assert_array_equal(codes, expected)
    assert len({codes.tobytes() for codes in found}) > 1


def test_it_explores_for_a_share_of_its_decisions(folder):
    states = np.tile(STATES, (60, 1))
    own = played(agent_of(folder, params=np.append(np.zeros(7), 5.0)), states)
    assert (own == 1).all()
    wild = agent_of(folder, params=np.append(np.zeros(7), 5.0), explore=0.1, hold=(3, 3))
    found = played(wild, states, seed=1)
    np.testing.assert_array_equal(played(wild, states, seed=1), found)
    assert 0.05 < (found != 1).mean() < 0.35  # 0.1 · 3 of the decisions, two thirds of them other ones
    assert (played(wild, states, seed=2) != found).any()


def test_it_travels(folder):
    found = played(pickle.loads(pickle.dumps(agent_of(folder))), STATES)
    np.testing.assert_array_equal(found, by_hand(memory(1), STATES))


def test_a_file_that_was_replaced_is_read_anew(folder, tmp_path):
    path = tmp_path / "memory.keras"
    for number, seed in enumerate((1, 2)):
        memory(seed).save(path)
        os.utime(path, (number, number))
        np.testing.assert_array_equal(played(agent_of(tmp_path), STATES), by_hand(memory(seed), STATES))


def test_a_controller_is_kept(tmp_path):
    path = tmp_path / "new" / "controller.json"
    save_controller(path, Controller(**FORM), "zh", PARAMS)
    form, features, params = read_controller(path)
    assert (form, features) == (FORM, "zh")
    np.testing.assert_array_equal(params, PARAMS)
    assert params.dtype == np.float32


def test_damage_is_one_sentence(folder, tmp_path):
    path = tmp_path / "controller.json"
    with pytest.raises(InputError, match=r"controller\.json does not exist: no controller has been evolved"):
        read_controller(path)
    save_controller(path, Controller(**FORM), "zh", PARAMS)
    content = json.loads(path.read_text())
    changes = ({"format": 1}, {"params": "x"}, {"params": [1, 2]}, {"params": [float("nan")] * 8})
    changes += ({"controller": {**FORM, "colour": 1}},)
    for damaged in ("{", "[]", *(json.dumps({**content, **one}) for one in changes)):
        path.write_text(damaged)
        with pytest.raises(InputError, match=r"controller\.json is no controller of Mixtura's"):
            read_controller(path)
    for file in ("memory.keras", "vision.keras"):
        (tmp_path / file).write_bytes((folder / file).read_bytes()[:1000])
        with pytest.raises(InputError, match=rf"{file} is missing, damaged or no model of Mixtura's"):
            agent_of(tmp_path, vision=file.startswith("v")).start(LINE, 0)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        (
            {"form": {**FORM, "outputs": 2}, "params": np.append(PARAMS, PARAMS)},
            "returns 2 numbers, and M takes actions of 1: it belongs to another model.",
        ),
        (
            {"params": PARAMS[1:]},
            "has 8 parameters; received 7: they belong to another model.",
        ),
        (
            {"features": "z"},
            "takes 7 numbers, and V and M give 3: it belongs to another",
        ),
        ({"features": "zhc"}, "takes 7 numbers, and V and M give 11"),
    ],
)
def test_what_does_not_belong_together_is_refused(folder, changes, shown):
    with pytest.raises(InputError, match=shown):
        agent_of(folder, **changes).start(LINE, 0)


def test_a_process_reads_files_once(folder, monkeypatch):
    agents._mind.cache_clear()
    played(agent_of(folder), STATES)
    monkeypatch.setattr(agents, "_read", lambda path: pytest.fail("read again"))
    played(agent_of(folder), STATES)
