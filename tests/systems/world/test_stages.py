"""Stages on CartPole: what each leaves, and that each goes on where it was cut off."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from mixtura.errors import InputError
from mixtura.systems.world import rollouts, stages
from mixtura.systems.world.agent import read_controller
from mixtura.systems.world.changes import changed
from mixtura.systems.world.engines import Serial
from mixtura.systems.world.environments import world_of
from mixtura.systems.world.plan import Plan
from mixtura.systems.world.presets import preset_of
from mixtura.systems.world.rollouts import Episode, Job, play
from mixtura.training import load

pytest.importorskip("gymnasium", reason="Gymnasium is not installed")
pytest.importorskip("cma", reason="cma is not installed")

CHANGES = {
    "rounds": 2,
    "episodes": 17,
    "later_episodes": 3,
    "memory.units": [4],
    "memory.components": 2,
    "memory.epochs": 3,
    "memory.drawn": True,
    "controller.popsize": 4,
    "controller.sigma": 2.0,
    "controller.steps": 12,
    "controller.generations": 4,
}


def quiet(*_, **__):
    pass


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return a plan whose first round is done."""
    preset = changed(preset_of("CartPole-v1", False, "tiny"), CHANGES)
    plan = Plan(tmp_path_factory.mktemp("stages") / "run", world_of("CartPole-v1"), preset, 1)
    stages.collected(plan, 1, Serial(), quiet)
    given = stages.in_latents(plan, 1, stages.seen(plan, 1, quiet))
    stages.acted(plan, 1, given, stages.remembered(plan, 1, given, quiet), Serial(), quiet)
    yield plan
    rollouts.close()


@pytest.fixture
def plan(first, tmp_path):
    """Return a copy of it, to do with as one likes."""
    return replace(first, path=shutil.copytree(first.path, tmp_path / "run"))


def weights(folder):
    return [ops.convert_to_numpy(one) for one in load(folder).weights]


def same(one, other):
    for mine, yours in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, yours)


class Stopped(Exception):
    pass


def until(title, number):
    """Return a `tell` that breaks off once so much of a stage is done."""

    def tell(what, total, done=None, loss=""):
        if what == title and done == number:
            raise Stopped

    return tell


def test_episodes_of_chance_come_first(first):
    assert first.recording(1).seeds() == first.seeds(1) == list(range(1_000_000, 1_000_017))
    told = []
    stages.collected(first, 1, Serial(), lambda *what: told.append(what))
    assert told == [("round 1: collect", 17)] * 17


def test_a_state_is_its_own_latent(first):
    assert stages.seen(first, 1, quiet) is None
    given = stages.in_latents(first, 1, None)
    assert (len(given.training), len(given.held_out)) == (16, 1)
    episode = first.recording(1).read(first.seeds(1)[0])
    np.testing.assert_array_equal(given.training[0].mean, episode.observations)
    assert (given.training[0].log_variance == -np.inf).all()
    assert (given.layout.reward, given.layout.done, given.reward) == (False, True, 1.0)


def test_frames_are_seen_a_few_episodes_at_a_time(monkeypatch):
    """As V sees them one by one, in order."""
    monkeypatch.setattr(stages, "ENCODED", 10)
    rng, calls = np.random.default_rng(0), []

    class Means:
        def encode(self, frames):
            calls.append(len(frames))
            mean = frames.reshape(len(frames), -1).mean(axis=1, keepdims=True)
            return mean, -mean

    episodes = [
        Episode(n, rng.random((n + 1, 2, 2, 3)), np.ones((n, 1)), np.ones(n), n % 2 == 0)
        for n in (4, 3, 8, 2, 1)
    ]
    found = list(stages.encoded(iter(episodes), Means()))
    assert calls == [5 + 4 + 9, 3 + 2]
    for one, episode in zip(found, episodes, strict=True):
        np.testing.assert_allclose(one.mean[:, 0], episode.observations.mean(axis=(1, 2, 3)))
        np.testing.assert_array_equal(one.log_variance, -one.mean)
        assert (one.terminated, len(one.actions)) == (episode.terminated, len(episode))


def test_m_goes_on_bit_for_bit(first, plan):
    whole = weights(first.memory(1))
    given = stages.in_latents(plan, 1, None)
    shutil.rmtree(plan.memory(1))
    with pytest.raises(Stopped):
        stages.remembered(plan, 1, given, until("round 1: M", 2))
    keras.utils.set_random_seed(99)
    stages.remembered(plan, 1, given, quiet)
    same(weights(plan.memory(1)), whole)
    loss = (plan.memory(1) / "history.csv").read_text()
    assert loss == (first.memory(1) / "history.csv").read_text()
    same(weights(plan.memory(1)), [ops.convert_to_numpy(one) for one in load(plan.memory(1)).weights])


@pytest.mark.slow
def test_c_goes_on_bit_for_bit(first, plan):
    whole = read_controller(first.round(1) / "controller.json")
    for name in ("controller.json", "evolution.npz"):
        (plan.round(1) / name).unlink()
    given = stages.in_latents(plan, 1, None)
    memory = stages.remembered(plan, 1, given, quiet)
    with pytest.raises(Stopped):
        stages.acted(plan, 1, given, memory, Serial(), until("round 1: C", 2))
    evolved, controller = stages.acted(plan, 1, given, memory, Serial(), quiet)
    form, features, params = read_controller(plan.round(1) / "controller.json")
    assert (form, features) == whole[:2]
    same([params], [whole[2]])
    same([params], [evolved.best.astype("float32")])
    assert controller.size == (4 + 4) + 1
    assert [one.evaluation is not None for one in evolved.history] == [False, True, False, True]


def test_an_untrained_m_is_the_one_that_training_begins_with(first, plan):
    bare = replace(plan, untrained=True)
    shutil.rmtree(plan.memory(1))
    given = stages.in_latents(bare, 1, None)
    model = stages.remembered(bare, 1, given, quiet)
    assert not (plan.memory(1) / "checkpoint.npz").exists()
    same([ops.convert_to_numpy(one) for one in model.weights], weights(plan.memory(1)))
    again = stages.remembered(bare, 1, given, quiet)
    same(*([ops.convert_to_numpy(one) for one in each.weights] for each in (model, again)))
    pairs = zip(weights(first.memory(1)), weights(plan.memory(1)), strict=True)
    assert any(np.abs(one - other).max() > 1e-3 for one, other in pairs)


def test_the_agent_collects_later_rounds_and_m_learns_from_all(plan):
    agent = stages.agent_of(plan, 1)
    recording = stages.collected(plan, 2, Serial(), quiet)
    assert recording.seeds() == plan.seeds(2) == [1_050_000, 1_050_001, 1_050_002]
    exploring = replace(agent, explore=plan.preset.explore, hold=plan.world.hold)
    for seed in recording.seeds():
        played = play(Job(plan.world, exploring, seed, actions=True))
        np.testing.assert_array_equal(recording.read(seed).actions, played.codes)
    given = stages.in_latents(plan, 2, None)
    assert len(given.training) + len(given.held_out) == 20


def test_candidates_play_the_game_itself(first, plan):
    real = replace(plan, preset=changed(plan.preset, {"controller.real": True, "controller.generations": 1}))
    folder = plan.path / "real"
    given = stages.in_latents(real, 1, None)
    memory = stages.remembered(real, 1, given, quiet)
    jobs = []

    class Counting(Serial):
        def map(self, function, items, timeout=None):
            jobs.extend(items := list(items))
            return super().map(function, items, timeout)

    evolved, _ = stages.acted(real, 1, given, memory, Counting(), quiet, folder)
    assert (folder / "controller.json").exists()
    assert len(jobs) == 4 * real.preset.controller.repeats + 4 * real.preset.controller.repeats
    candidates = jobs[:16]
    seeds = [job.seed for job in candidates]
    assert seeds == seeds[:4] * 4  # the same luck for all
    totals = np.array([play(job).total for job in candidates]).reshape(4, 4)
    np.testing.assert_allclose(evolved.history[0].mean, totals.mean())
    np.testing.assert_allclose(evolved.history[0].best, totals.mean(axis=1).max())
    assert not {*seeds} & {*first.seeds(1)}
    evaluated = [job.seed for job in jobs[16:]]
    assert len({*evaluated}) == 16
    assert not {*evaluated} & {*range(min(seeds), min(seeds) + 80_000)}  # of this generation, or a later one


def test_a_dream_is_no_longer_than_the_game(first, plan):
    """A reward of 1 for a decision: what is earned says how many there were."""
    short = replace(plan, world=replace(plan.world, limit=3))
    given = stages.in_latents(short, 1, None)
    memory = stages.remembered(short, 1, given, quiet)
    evolved, _ = stages.acted(short, 1, given, memory, Serial(), quiet, plan.path / "short")
    assert 2 < evolved.history[0].best <= 3


def test_a_dream_needs_recordings_to_begin_as(plan):
    shutil.rmtree(plan.recording(1).folder)
    with pytest.raises(InputError, match="has no recorded episodes, which dreams begin as"):
        stages.awake(plan, 1)
