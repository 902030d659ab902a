import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.world.environments import World
from mixtura.systems.world.memory import Layout, Series
from mixtura.systems.world.plan import CANDIDATES, CHOOSING, UNSEEN, Plan, Seen
from mixtura.systems.world.presets import preset_of

WORLD = World("CartPole-v1", pixels=False, limit=500, order=(0, 1), names=("left", "right"))


def plan(**settings):
    return Plan(Path("run"), WORLD, preset_of("CartPole-v1", False, "small"), **{"seed": 3, **settings})


def test_where_everything_lies():
    assert plan().round(2) == Path("run/round-2")
    assert plan().recording(1).folder == Path("run/round-1/recordings")
    assert plan().memory(1) == Path("run/round-1/memory")
    assert plan().vision(1) is None
    pixels = Plan(Path("run"), WORLD, preset_of("CartPole-v1", True, "small"), 0)
    assert pixels.vision(2) == Path("run/round-2/vision")


def test_no_episode_has_the_seed_of_another():
    """Not in another round, not in another run, and none of those that judge."""
    found = [plan(seed=seed).seeds(number) for seed in (0, 1, 2, 699) for number in (1, 2, 3)]
    assert [len(one) for one in found] == [400, 200, 200] * 4
    assert len(set().union(*found)) == sum(map(len, found))
    assert max(map(max, found)) < CANDIDATES
    for one, other in pairwise((CANDIDATES, CHOOSING, UNSEEN)):
        assert other - one == 100_000_000


def test_it_is_read_as_it_was_written_down():
    for settings in ({}, {"untrained": True, "max_bytes": 7}):
        given = plan(**settings)
        config = json.loads(json.dumps(given.to_config()))
        assert Plan.from_config(Path("run"), config) == given
    with pytest.raises(InputError, match="run is a run of 'sketch'; expected one of a world"):
        Plan.from_config(Path("run"), {"system": "sketch"})
    config = plan().to_config()
    foreign = {**config["settings"], "colour": 1}
    for damaged in ({"system": "world"}, {**config, "settings": foreign}, {**config, "world": 3}):
        with pytest.raises(InputError, match=r"config\.json is damaged or of another version of Mixtura's"):
            Plan.from_config(Path("run"), damaged)


def series(number, steps=3):
    mean = np.full((steps + 1, 2), number, np.float32)
    return Series(mean, mean, np.zeros((steps, 1), np.float32), np.ones(steps, np.float32), True)


def test_one_episode_in_sixteen_is_held_out():
    seen = Seen.of([series(number) for number in range(40)])
    assert [one.mean[0, 0] for one in seen.held_out] == [15, 31]
    assert len(seen.training) == 38
    assert (seen.layout, seen.reward) == (Layout(2, False, True), 1.0)
    assert seen.starts.tolist() == [[number] * 2 for number in range(40)]
    few = Seen.of([series(0), series(1)])
    assert (len(few.training), len(few.held_out)) == (2, 1)


def test_m_predicts_what_is_asked_for():
    found = [Seen.of([series(0), series(1)], heads).layout for heads in (None, (), ("done",))]
    assert found[1][1:] == (False, False)
    assert found[2][1:] == (False, True)
    assert found[0] == Seen.of([series(0), series(1)]).layout
