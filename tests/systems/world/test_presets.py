import json

import pytest

from mixtura.errors import InputError
from mixtura.systems.world.changes import changed, parsed
from mixtura.systems.world.presets import NAMES, PRESETS, WorldPreset, preset_of

KINDS = [("VizdoomTakeCover-v1", True), ("CarRacing-v3", True), ("CartPole-v1", False), ("CartPole-v1", True)]
PIXELS, STATE = (preset_of("My-v0", pixels, "small") for pixels in (True, False))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("env", "pixels"), [*KINDS, ("My-v0", True), ("My-v0", False)])
def test_every_environment_has_every_preset(env, pixels, name):
    found = preset_of(env, pixels, name)
    assert (found.vision is not None) == pixels
    config = json.loads(json.dumps(found.to_config()))
    again = WorldPreset.from_config(config)
    assert again.to_config() == config
    assert (again.memory, again.controller) == (found.memory, found.controller)


def test_published_sizes_are_those_of_the_article():
    """Tables 1 and 2 and appendix A of Ha & Schmidhuber (2018)."""
    car, doom = (preset_of(env, True, "paper") for env in ("CarRacing-v3", "VizdoomTakeCover-v1"))
    assert (car.vision.network["latent_size"], doom.vision.network["latent_size"]) == (32, 64)
    assert (car.memory.units, doom.memory.units) == ((256,), (512,))
    assert (car.controller.features, doom.controller.features) == ("zh", "zhc")
    assert (car.controller.real, doom.controller.real) == (True, False)
    assert doom.controller.temperature == 1.15
    for one in (car, doom):
        assert (one.episodes, one.memory.components, one.unseen) == (10_000, 5, 100)
        assert (one.controller.popsize, one.controller.repeats) == (64, 16)


def test_tiny_is_smaller():
    for env, pixels in KINDS:
        tiny, small = (preset_of(env, pixels, name) for name in ("tiny", "small"))
        assert tiny.episodes <= small.episodes / 5
        assert tiny.controller.generations < small.controller.generations


def test_unknown_presets_are_refused():
    with pytest.raises(InputError, match="no preset 'huge'; expected one of paper, small, tiny"):
        preset_of("CartPole-v1", False, "huge")
    assert all(name in NAMES for own in PRESETS.values() for name in own)


def test_words_are_parsed_as_json():
    words = ["a=1", "b.c=[2,3]", "d=true", "e=zh", "f=x=y"]
    assert parsed(words) == {"a": 1, "b.c": [2, 3], "d": True, "e": "zh", "f": "x=y"}
    for word in ("popsize", "=3"):
        with pytest.raises(InputError, match=rf"--set takes KEY=VALUE such as .*; received '{word}'"):
            parsed([word])


def test_changes_reach_every_part():
    changes = {
        "episodes": 7,
        "explore": 0,
        "memory.units": [8, 9],
        "memory.min_scale": 0.1,
        "controller.features": "z",
        "controller.real": True,
        "controller.hidden": 0,
        "vision.network.latent_size": 5,
        "vision.network": {"emphasis": 2.0},
        "world.skip": 3,
        "world.size": [32, 32],
    }
    made = changed(PIXELS, changes)
    assert (made.episodes, made.explore, made.memory.units, made.memory.min_scale) == (7, 0, (8, 9), 0.1)
    assert (made.controller.features, made.controller.real) == ("z", True)
    assert made.vision.network == {**PIXELS.vision.network, "latent_size": 5, "emphasis": 2.0}
    assert made.world == {**PIXELS.world, "skip": 3, "size": [32, 32]}
    assert made.vision.frames == PIXELS.vision.frames
    assert changed(PIXELS, {}) == PIXELS


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("popsize", 3, "There is no setting 'popsize': 'popsize' is none of baseline, controller, "),
        ("controller.size", 3, "There is no setting 'controller.size': 'size' is none of bias, every, "),
        (
            "controller.bias.x",
            3,
            "'controller.bias.x': it names a part of what has none.",
        ),
        ("vision.network.depth", 3, "'depth' is none of decoder, emphasis, encoder, free_bits, latent_size"),
        ("vision.network", {"depth": 3}, "no setting 'vision.network.depth'"),
        ("world.id", "x", "'id' is none of clipped, columns, hold"),
        ("controller", 3, r"controller has parts, which are set one by one, as controller\.PART=VALUE"),
        ("world", 3, "world has parts"),
        ("episodes", 0, "episodes takes a whole number above 0, 50000 at most; received 0"),
        ("rounds", 21, "rounds takes a whole number above 0, 20 at most; received 21"),
        ("explore", 1.5, "explore takes a number 0 or more, 1 at most; received 1.5"),
        ("controller.popsize", 1, r"controller\.popsize takes a whole number 2 or more; received 1"),
        ("hold", [3, 1], r"hold takes two whole numbers above 0, the smaller first; received \[3, 1\]"),
        ("episodes", 1.5, "episodes takes a whole number above 0, 50000 at most; received 1.5"),
        ("episodes", True, "received True"),
        ("controller.hidden", -1, r"controller\.hidden takes a whole number 0 or more; received -1"),
        ("controller.sigma", 0, r"controller\.sigma takes a number above 0; received 0"),
        ("controller.sigma", float("inf"), "received inf"),
        ("controller.sigma", "a", "received 'a'"),
        ("controller.real", 1, r"controller\.real takes true or false; received 1"),
        ("controller.features", "h", r"controller\.features takes one of z, zh, zhc; received 'h'"),
        ("memory.units", [], r"memory\.units takes a list of whole numbers above 0; received \[\]"),
        ("memory.units", 8, "received 8"),
        ("memory.units", [8, 0], r"received \[8, 0\]"),
    ],
)
def test_changes_that_are_none_are_refused(name, value, shown):
    with pytest.raises(InputError, match=shown):
        changed(PIXELS, {name: value})


def test_where_a_state_is_seen_there_is_no_vision():
    with pytest.raises(InputError, match=r"'vision\.epochs': where a state is seen there is no vision"):
        changed(STATE, {"vision.epochs": 3})
