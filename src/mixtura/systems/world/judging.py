"""How good an agent is, beside what knows less than it does, on episodes that nothing was learnt from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mixtura.systems.world.actions import Ordered
from mixtura.systems.world.agent import Scramble
from mixtura.systems.world.comparing import Returns, paired
from mixtura.systems.world.engines import Engine
from mixtura.systems.world.plan import CHOOSING, UNSEEN, Plan
from mixtura.systems.world.policies import Policy, Random, Replay, Still, Sweep
from mixtura.systems.world.rollouts import PATIENCE, Job, Played, play
from mixtura.systems.world.stages import Tell, agent_of, awake, controller_of, dream_of

PERIODS = (8, 16, 20, 24, 28, 32, 40, 64)  # decisions to either side: the sweeps that are tried
TRIED = 60  # episodes of each
DREAMS = 256  # in which it is looked up what the game's policies would earn there


@dataclass(frozen=True)
class Verdict:
    """Returns by policy, on the same seeds, and the codes of the agent's episodes.

    Attributes:
        returns: of "random", "still", "sweep" where actions lie on a line, "agent", "scrambled",
            "scrambled_c" and "replayed"; random's are on more seeds.
        period: of the sweep.
        codes: of the agent's episodes, by seed.
    """

    returns: Mapping[str, Returns]
    period: int | None
    codes: Mapping[int, np.ndarray]

    def to_dict(self, real: bool) -> dict[str, Any]:
        """Return everything in JSON types; the agent's name says where it was trained."""
        agent = "game_trained" if real else "dream_trained"
        named = {agent if name == "agent" else name: one for name, one in self.returns.items()}
        differences = {
            name: {key: _finite(value) for key, value in paired(self.returns["agent"], one)._asdict().items()}
            for name, one in self.returns.items()
            if name != "agent" and self.returns["agent"].count > 1
        }
        return {
            **{name: one.to_dict() for name, one in named.items()},
            "agent_less": differences,
            "sweep_period": self.period,
        }


def judged(plan: Plan, number: int, engine: Engine, tell: Tell) -> Verdict:
    """Play the unseen episodes with the agent of a round and with everything it is compared to.

    - "random": actions at random, each held for a while, as published;
    - "still": nothing is done;
    - "sweep": from side to side without looking; the best period is chosen on other seeds;
    - "scrambled": the agent, the numbers of z in another order in every episode;
    - "scrambled_c": the same for C alone: M, whose state C is given too, sees as ever;
    - "replayed": what the agent did in another episode, whatever happens.

    Args:
        plan: of the run.
        number: of the round.
        engine: what plays.
        tell: is told of progress.
    """
    unseen = list(range(UNSEEN, UNSEEN + plan.preset.unseen))
    many = list(range(UNSEEN, UNSEEN + max(plan.preset.unseen, plan.preset.baseline)))
    run = partial(played, plan, engine, tell)
    random = run("random", [(Random(plan.world.hold), seed) for seed in many])
    returns = {
        "random": Returns.of(random),
        "still": Returns.of(run("still", [(Still(), seed) for seed in unseen])),
    }
    period = None
    if isinstance(plan.actions, Ordered):
        period = best_sweep(plan, run)
        returns["sweep"] = Returns.of(run("sweep", [(Sweep(period), seed) for seed in unseen]))
    agent = agent_of(plan, number)
    own = run("agent", [(agent, seed) for seed in unseen], codes=True)
    returns["agent"] = Returns.of(own)
    orders: dict[str, Scramble] = {"scrambled": "all", "scrambled_c": "c"}
    for name, scramble in orders.items():
        scrambled = agent_of(plan, number, scramble)
        returns[name] = Returns.of(run(name, [(scrambled, seed) for seed in unseen]))
    codes = {one.seed: one.codes for one in own if one.codes is not None}
    others = dict(zip(unseen, [*unseen[1:], unseen[0]], strict=True))
    replayed = run("replayed", [(Replay(codes[others[seed]]), seed) for seed in unseen])
    returns["replayed"] = Returns.of(replayed)
    return Verdict(returns, period, codes)


def dreamt(plan: Plan, number: int, verdict: Verdict) -> dict[str, tuple[float, float]]:
    """Return what those who are judged would earn in M's dream, at temperature 1: the mean and its error.

    Beside the game that shows how true the dream is: of "random", "still" and "sweep", which do not look, and
    of the agent, which may have found out what M does not know.
    """
    _, memory, given = awake(plan, number)
    dream = dream_of(plan, given, memory, controller_of(plan, memory))
    policies: dict[str, Policy] = {"random": Random(plan.world.hold), "still": Still()}
    if verdict.period is not None:
        policies["sweep"] = Sweep(verdict.period)
    found = {}
    for name, policy in policies.items():
        players = [policy.start(plan.actions, UNSEEN + one) for one in range(DREAMS)]
        codes = [[player(None) for player in players] for _ in range(plan.world.limit)]
        found[name] = dream.told(np.array(codes), UNSEEN)
    agent = agent_of(plan, number)
    found["agent"] = dream.returns(agent.params[None], UNSEEN, DREAMS, 1.0, plan.world.limit)[0]
    return {name: (float(one.mean()), float(one.std() / DREAMS**0.5)) for name, one in found.items()}


def best_sweep(plan: Plan, run: Callable[..., list[Played]]) -> int:
    """Return the period with which a sweep does best, on seeds that are used for nothing else."""
    seeds = range(CHOOSING, CHOOSING + min(TRIED, plan.preset.unseen))
    jobs = [(Sweep(period), seed) for period in PERIODS for seed in seeds]
    totals = np.array([one.total for one in run("sweeps", jobs)])
    return PERIODS[int(totals.reshape(len(PERIODS), -1).mean(axis=1).argmax())]


def played(
    plan: Plan,
    engine: Engine,
    tell: Tell,
    title: str,
    jobs: Sequence[tuple[Policy, int]],
    codes: bool = False,
) -> list[Played]:
    """Play episodes and return them in the order of the jobs."""
    found: dict[int, Played] = {}
    asked = [Job(plan.world, policy, seed, actions=codes) for policy, seed in jobs]
    for done, (place, one) in enumerate(engine.map(play, asked, PATIENCE), start=1):
        found[place] = one
        tell(f"play: {title}", len(jobs), done)
    return [found[place] for place in range(len(jobs))]


def _finite(value: float) -> float | None:
    """Return a number as JSON has it: what is infinite or undefined is None."""
    return value if math.isfinite(value) else None
