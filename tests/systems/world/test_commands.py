"""What commands check before they work; what they do is in `tests/cli/test_world.py`."""

import io
import json
from contextlib import redirect_stderr

import keras
import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.world import commands
from mixtura.systems.world.actions import Bounded, OneOf, Ordered
from mixtura.systems.world.comparing import Returns
from mixtura.systems.world.engines import Serial
from mixtura.systems.world.plan import Plan

pytest.importorskip("gymnasium", reason="Gymnasium is not installed")


def begun(path, changes=None, **settings):
    return commands.begun(path, "CartPole-v1", "tiny", 0, changes or {}, **settings)


def test_a_run_is_begun_and_opened(tmp_path):
    changes = {"rounds": 2, "controller.temperature": 1.3, "controller.hidden": None, "world.limit": 50}
    plan = begun(tmp_path / "run", changes, untrained=True, max_gb=0.5)
    assert (plan.preset.rounds, plan.preset.controller.temperature) == (2, 1.3)
    assert (plan.world.limit, plan.untrained, plan.max_bytes) == (50, True, 500_000_000)
    assert commands.opened(tmp_path / "run") == plan
    assert begun(tmp_path / "run", changes, untrained=True, max_gb=0.5, resume=True) == plan
    with pytest.raises(InputError, match=r"was begun with world\.limit = 50; received 500"):
        begun(tmp_path / "run", {"rounds": 2}, resume=True)
    assert begun(tmp_path / "run", overwrite=True) == Plan.from_config(
        tmp_path / "run", json.loads((tmp_path / "run" / "config.json").read_text())
    )


def test_pictures_of_a_game_of_states_have_a_preset_of_pictures(tmp_path):
    plan = begun(tmp_path / "run", {"world.pixels": True})
    assert plan.world.pixels
    assert plan.preset.vision is not None


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        (
            {"world.size": [30, 30], "world.pixels": True},
            r"--set: decoder must make frames of shape",
        ),
        (
            {"world.pixels": True, "vision.network.latent_size": 0},
            "--set: latent_size must be a positive",
        ),
        ({"world.limit": 0}, "CartPole-v1: limit must be a whole number, 1 or more; received 0"),
        ({"world.hold": "x"}, "CartPole-v1: hold must be two whole numbers, 1 or more, the smaller first"),
        ({"world.options": {"nonsense": 1}}, "cannot be made with the options"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, changes, shown):
    with pytest.raises(InputError, match=shown):
        begun(tmp_path / "run", changes)
    assert not (tmp_path / "run").exists()


def test_dreams_need_jax(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(InputError, match="Dreams are compiled for JAX, and the backend is torch: set KERAS_"):
        begun(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert begun(tmp_path / "run", {"controller.real": True}).preset.controller.real


def test_the_round_underway_is_the_first_without_a_controller(tmp_path):
    plan = begun(tmp_path / "run", {"rounds": 2})
    assert commands.underway(plan, None) == 1
    for number, following in ((1, 2), (2, 2)):
        folder = plan.round(number)
        folder.mkdir()
        (folder / "controller.json").touch()
        assert commands.underway(plan, None) == following
        assert commands.round_of(plan, None) == number
    assert commands.underway(plan, 1) == commands.round_of(plan, 1) == 1
    with pytest.raises(InputError, match="has 2 rounds; there is no round 3"):
        commands.underway(plan, 3)
    (plan.round(1) / "controller.json").unlink()
    with pytest.raises(InputError, match="has no agent of round 1 yet; `mixtura world evolve"):
        commands.round_of(plan, 1)


def test_training_and_evolving_wait_for_what_comes_before(tmp_path):
    plan = begun(tmp_path / "run")
    with pytest.raises(InputError, match=r"Round 1 of .* lacks 30 of 30 episodes; `mixtura world collect"):
        commands.train(plan, 1, lambda *_: None)
    with pytest.raises(InputError, match=r"Round 1 of .* is not trained; `mixtura world train"):
        commands.evolve(plan, 1, Serial(), lambda *_: None)


def test_progress_is_shown_once_there_is_some():
    with redirect_stderr(io.StringIO()) as err, commands.telling():
        pass
    assert err.getvalue() == ""
    with redirect_stderr(io.StringIO()) as err, commands.telling() as tell:
        for _ in range(3):
            tell("collect", 3)
        tell("train", 5, 2, "loss 3.1")
    assert "3/3" in err.getvalue()
    assert "2/5" in err.getvalue()
    assert "loss 3.1" in err.getvalue()


@pytest.mark.parametrize(
    ("actions", "code", "caption"),
    [
        (Ordered((2, 0, 1), ("left", "stay", "right")), [0.0], "stay"),
        (Ordered((1, 0)), [1.0], "action 0"),
        (OneOf(2, names=("jump", "run")), [0.0, 1.0], "run"),
        (Bounded((-1.0,), (1.0,), names=("steer",)), [-0.25], "steer -0.2"),
    ],
)
def test_captions(actions, code, caption):
    assert commands._caption(actions, np.array(code)) == caption


def test_a_summary_leaves_single_episodes_out():
    rows = {"random": Returns([1, 2], [3.0, 5.0]), "dream_trained": Returns([1, 2], [6.0, 7.0])}
    report = {"env": "My-v0", "seed": 0, "rounds": 1, "agent_less": {}, "sweep_period": None}
    report |= {name: one.to_dict() for name, one in rows.items()}
    found = commands.summary({**report, "hazard": {"table": {}}})
    assert found["random"] == {"mean": 4.0, "standard_error": 1.0, "sd": np.sqrt(2), "count": 2}
    assert set(found) == {"env", "seed", "rounds", "random", "dream_trained", "agent_less"}
    assert commands.report_table(report).title == "My-v0, 2 unseen episodes"
