"""Verdicts, with policies whose returns are known in place of an agent."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from mixtura.systems.world import judging, rollouts
from mixtura.systems.world.changes import changed
from mixtura.systems.world.comparing import Returns, paired
from mixtura.systems.world.engines import Processes, Serial
from mixtura.systems.world.environments import world_of
from mixtura.systems.world.judging import Verdict, judged
from mixtura.systems.world.plan import CHOOSING, UNSEEN, Plan
from mixtura.systems.world.policies import Random, Replay, Still, Sweep
from mixtura.systems.world.presets import preset_of
from mixtura.systems.world.rollouts import Job, play

pytest.importorskip("gymnasium", reason="Gymnasium is not installed")

SEEDS = [UNSEEN, UNSEEN + 1, UNSEEN + 2, UNSEEN + 3]


@dataclass(frozen=True)
class Balancing:
    """Pushes to the side that the pole falls to."""

    scramble: bool = False

    def start(self, actions, seed):
        sides = [actions.end(0), actions.end(1)]
        return lambda state: sides[int((state[2] + state[3] > 0) != self.scramble)]


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    preset = changed(preset_of("CartPole-v1", False, "tiny"), {"unseen": 4, "baseline": 7})
    yield Plan(tmp_path_factory.mktemp("judging"), world_of("CartPole-v1", limit=200), preset, 0)
    rollouts.close()


@pytest.fixture
def verdict(plan, monkeypatch):
    monkeypatch.setattr(judging, "agent_of", lambda plan, number, scramble="": Balancing(bool(scramble)))
    return judged(plan, 1, Serial(), lambda *_: None)


def returns(plan, policies):
    return Returns.of(play(Job(plan.world, policy, seed)) for policy, seed in policies)


def test_all_are_judged_by_the_same_episodes(plan, verdict):
    assert list(verdict.returns) == [
        "random",
        "still",
        "sweep",
        "agent",
        "scrambled",
        "scrambled_c",
        "replayed",
    ]
    expected = {
        "random": returns(plan, [(Random(plan.world.hold), UNSEEN + n) for n in range(7)]),
        "still": returns(plan, [(Still(), seed) for seed in SEEDS]),
        "sweep": returns(plan, [(Sweep(verdict.period), seed) for seed in SEEDS]),
        "agent": returns(plan, [(Balancing(), seed) for seed in SEEDS]),
        "scrambled": returns(plan, [(Balancing(True), seed) for seed in SEEDS]),
        "scrambled_c": returns(plan, [(Balancing(True), seed) for seed in SEEDS]),
        "replayed": returns(plan, [(Replay(verdict.codes[SEEDS[n - 3]]), SEEDS[n]) for n in range(4)]),
    }
    for name, found in verdict.returns.items():
        np.testing.assert_array_equal(found.seeds, expected[name].seeds)
        np.testing.assert_array_equal(found.values, expected[name].values)
    assert verdict.returns["agent"].mean > 2 * verdict.returns["replayed"].mean


def test_the_best_sweep_is_chosen_on_other_seeds(plan, verdict):
    totals = {
        period: np.mean([play(Job(plan.world, Sweep(period), CHOOSING + n)).total for n in range(4)])
        for period in judging.PERIODS
    }
    assert totals[verdict.period] == max(totals.values())


def test_codes_are_those_of_the_agent(plan, verdict):
    assert list(verdict.codes) == SEEDS
    for seed, codes in verdict.codes.items():
        np.testing.assert_array_equal(codes, play(Job(plan.world, Balancing(), seed, actions=True)).codes)


@pytest.mark.slow
def test_processes_judge_the_same(plan):
    jobs = [(Random((1, 3)), seed) for seed in SEEDS]
    told = []
    with Processes(2) as engine:
        found = judging.played(plan, engine, lambda *what: told.append(what), "random", jobs)
    assert [one.seed for one in found] == SEEDS
    assert told == [("play: random", 4, number) for number in (1, 2, 3, 4)]
    np.testing.assert_array_equal(Returns.of(found).values, returns(plan, jobs).values)


@pytest.mark.parametrize(("real", "name"), [(False, "dream_trained"), (True, "game_trained")])
def test_a_report_says_where_the_agent_was_trained(verdict, real, name):
    report = verdict.to_dict(real)
    assert report[name] == verdict.returns["agent"].to_dict()
    assert "agent" not in report
    assert set(report["agent_less"]) == {"random", "still", "sweep", "scrambled", "scrambled_c", "replayed"}
    than = paired(verdict.returns["agent"], verdict.returns["still"])
    assert report["agent_less"]["still"] == than._asdict()
    assert report["sweep_period"] == verdict.period


def test_a_report_is_json_where_nothing_differs():
    same = Returns([1, 2], [5.0, 5.0])
    report = Verdict({"agent": same, "random": same, "still": Returns([1, 2], [4.0, 4.0])}, None, {}).to_dict(
        False
    )
    json.dumps(report, allow_nan=False)
    assert report["agent_less"]["random"]["z"] is None
    assert report["agent_less"]["still"]["z"] is None
    assert report["agent_less"]["still"]["difference"] == 1.0
    alone = Verdict({"agent": Returns([1], [5.0]), "random": Returns([1], [2.0])}, None, {}).to_dict(False)
    json.dumps(alone, allow_nan=False)
    assert alone["agent_less"] == {}


def test_where_actions_have_no_sides_nothing_sweeps(tmp_path, monkeypatch):
    preset = changed(preset_of("Pendulum-v1", False, "tiny"), {"unseen": 2, "baseline": 2})
    plan = Plan(tmp_path, world_of("Pendulum-v1", limit=3), preset, 0)
    monkeypatch.setattr(judging, "agent_of", lambda plan, number, scramble="": Still())
    verdict = judged(plan, 1, Serial(), lambda *_: None)
    assert "sweep" not in verdict.returns
    assert verdict.period is None
