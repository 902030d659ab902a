"""The commands on worlds: an agent that learns in its own dream."""

from __future__ import annotations

from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter, validators
from cyclopts.types import NonNegativeInt
from rich.console import Console

from mixtura.cli.shared import cache_compiled_programs, check_temperature
from mixtura.errors import InputError

if TYPE_CHECKING:
    from mixtura.systems.world.engines import Engine
    from mixtura.systems.world.plan import Plan

app = App(name="world", help="World models: an agent that learns in its own dream of a game.")

Size = Annotated[float | None, Parameter(validator=validators.Number(gt=0))]
Seed = Annotated[int, Parameter(validator=validators.Number(gte=0, lt=2**31))]
Many = Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=1_000_000))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a run is begun with.

    Attributes:
        preset: paper (the published sizes), small (minutes to an hour on two cores) or tiny (seconds).
        seed: of everything.
        rounds: of collecting, training and evolving; from the second on the agent itself collects.
        episodes: recorded in the first round.
        features: what the controller is given: z, with M's state h, with its cell too (zhc).
        hidden: units of a hidden layer of the controller; 0 for none.
        untrained_memory: leave M as it begins, to see what its training is worth.
        temperature: of the dream: 1 is M itself; above it the dream is less sure of itself.
        generations: of evolution.
        real: let the controller play the game itself, not the dream.
        unseen: episodes that the agent is judged by.
        set: any other setting, such as controller.popsize=32 or vision.network.latent_size=16.
        max_gb: what recordings may take on disk, in GB.
    """

    preset: str = "small"
    seed: Seed = 0
    rounds: Many = None
    episodes: Many = None
    features: Literal["z", "zh", "zhc"] | None = None
    hidden: NonNegativeInt | None = None
    untrained_memory: bool = False
    temperature: float | None = None
    generations: Many = None
    real: bool = False
    unseen: Many = None
    set: list[str] | None = None
    max_gb: Size = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Work:
    """Who plays.

    Attributes:
        engine: serial, processes, ray, or ray:ADDRESS for a cluster that is running.
        workers: how many; by default as many as there are cores.
    """

    engine: str = "processes"
    workers: Many = None


_WISH, _WORK = Wish(), Work()


@app.default
def everything(
    *,
    env: str,
    out: Path | None = None,
    wish: Wish = _WISH,
    work: Work = _WORK,
    json: bool = False,
    overwrite: bool = False,
    resume: bool = False,
) -> None:
    """Let an agent learn a game: play at random, learn to see and to expect, evolve in the dream, be judged.

    A run that was cut off goes on with --resume, with the result that it would have had. Each stage is a
    command of its own too.

    Args:
        env: a game of Gymnasium, such as CartPole-v1, CarRacing-v3 or VizdoomTakeCover-v1.
        out: the run folder to make; by default named after the game and the preset.
        wish: what a run is begun with.
        work: who plays.
        json: print one JSON object instead of a table.
        overwrite: replace the run in the folder.
        resume: go on with the run in the folder, if there is one.
    """
    out = out or Path(f"{env.rpartition(':')[2].replace('/', '-')}-{wish.preset}")
    with _engine(work) as engine:
        plan = _begun(out, env, wish, overwrite=overwrite, resume=resume)
        from mixtura.systems.world import commands

        report = commands.everything(plan, engine)
    _tell_report(plan, report, json)


@app.command
def collect(
    run: Path,
    /,
    *,
    env: str | None = None,
    round: Many = None,
    wish: Wish = _WISH,
    work: Work = _WORK,
) -> None:
    """Record episodes: played at random, in later rounds by the agent that there is.

    Args:
        run: the folder of a run, or one to make.
        env: the game of a run that is new.
        round: which, counted from 1; by default the first that is not finished.
        wish: what a run is begun with; nothing for one that is there.
        work: who plays.
    """
    if env is not None:
        plan = _begun(run, env, wish, resume=True)
    elif not run.exists():
        raise InputError(f"{run} does not exist; a new run needs a game: --env NAME.")
    elif wish != _WISH:
        raise InputError(f"{run} was begun already: give --env with all settings, or none.")
    else:
        plan = _opened(run)
    from mixtura.systems.world import commands, stages

    number = commands.underway(plan, round)
    with _engine(work) as engine, commands.telling() as tell:
        recording = stages.collected(plan, number, engine, tell)
    size = f"{recording.bytes / 1e6:.1f} MB"
    print(f"{recording.folder} has {len(recording.seeds())} episodes, {size}.")
    print(f"Next: mixtura world train {run}")


@app.command
def train(run: Path, /, *, round: Many = None) -> None:
    """Train V to see and M to expect, on what is recorded.

    Args:
        run: the folder of a run.
        round: which, counted from 1; by default the first that is not finished.
    """
    plan = _opened(run)
    from mixtura.systems.world import commands

    with commands.telling() as tell:
        commands.train(plan, commands.underway(plan, round), tell)
    print(f"Figures are in {run}/figures.")
    print(f"Next: mixtura world evolve {run}")


@app.command
def evolve(run: Path, /, *, round: Many = None, work: Work = _WORK) -> None:
    """Evolve the controller, in the dream or, as the run was begun, in the game itself.

    Args:
        run: the folder of a run.
        round: which, counted from 1; by default the first that is not finished.
        work: who plays.
    """
    plan = _opened(run)
    from mixtura.systems.world import commands

    number = commands.underway(plan, round)
    with _engine(work) as engine, commands.telling() as tell:
        evolved = commands.evolve(plan, number, engine, tell)
    where = "the game" if plan.preset.controller.real else "the dream"
    print(f"The controller earns {evolved.best_fitness:.4g} in {where}.")
    following = "collect" if number < plan.preset.rounds else "evaluate"
    print(f"Next: mixtura world {following} {run}")


@app.command
def evaluate(run: Path, /, *, round: Many = None, json: bool = False, work: Work = _WORK) -> None:
    """Judge the agent on unseen episodes, beside what knows less than it does.

    Args:
        run: the folder of a run.
        round: whose agent, counted from 1; by default the last's.
        json: print one JSON object instead of a table.
        work: who plays.
    """
    plan = _opened(run)
    from mixtura.systems.world import commands

    number = commands.round_of(plan, round)
    with _engine(work) as engine, commands.telling() as tell:
        report = commands.evaluate(plan, number, engine, tell)
    _tell_report(plan, report, json)


@app.command
def dream(
    run: Path,
    /,
    *,
    out: Path,
    temperature: float | None = None,
    seed: NonNegativeInt = 0,
    steps: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=100_000))] = None,
    round: Many = None,
    overwrite: bool = False,
) -> None:
    """Let the agent dream, and write it down: a picture that moves beside the game, or the numbers.

    Args:
        run: the folder of a run.
        out: the file to write: .gif or .npz (latents, codes, rewards, and the probability of the end).
        temperature: by default that in which the agent learnt.
        seed: of the game, whose first moment the dream begins with, and of the dream.
        steps: decisions; by default as many as when it learnt.
        round: whose agent, counted from 1; by default the last's.
        overwrite: replace the output if it exists.
    """
    check_temperature(temperature)
    plan = _opened(run)
    from mixtura.systems.world import commands

    hazard = commands.dream(plan, out, seed, round, temperature, steps, overwrite)
    alive = float((1 - hazard).prod())
    print(f"Wrote {len(hazard)} decisions, to {out}; with probability {alive:.2g} none ends the dream.")


@app.command
def play(
    run: Path,
    /,
    *,
    out: Path,
    seed: NonNegativeInt = 0,
    controller: Path | None = None,
    round: Many = None,
    overwrite: bool = False,
) -> None:
    """Let the agent play the game once, and write what it sees.

    Args:
        run: the folder of a run.
        out: the .gif file to write.
        seed: of the game, of those that the agent is judged by.
        controller: the controller.json of another run, in place of the run's own.
        round: whose agent, counted from 1; by default the last's.
        overwrite: replace the output if it exists.
    """
    plan = _opened(run)
    from mixtura.systems.world import commands

    total = commands.play(plan, out, seed, round, controller, overwrite)
    print(f"Wrote an episode that earned {total:.4g}, to {out}.")


@app.command
def temperatures(
    run: Path,
    /,
    *,
    values: Annotated[list[float] | None, Parameter(consume_multiple=True)] = None,
    round: Many = None,
    json: bool = False,
    work: Work = _WORK,
) -> None:
    """Evolve a controller in dreams of several temperatures, and compare what it earns there and in the game.

    Args:
        run: the folder of a run.
        values: the temperatures; by default the published ones, 0.1 0.5 1 1.15 1.3.
        round: whose M, counted from 1; by default the last's.
        json: print one JSON object instead of a table.
        work: who plays.
    """
    values = values or [0.1, 0.5, 1.0, 1.15, 1.3]
    for value in values:
        check_temperature(value)
    plan = _opened(run)
    from mixtura.systems.world import commands

    with _engine(work) as engine:
        rows = commands.temperatures(plan, values, round, engine)
    if json:
        print(dumps({"env": plan.world.id, "temperatures": commands.by_temperature(rows)}))
    else:
        Console().print(commands.temperature_table(plan, rows))
        print(f"All numbers are in {run}/temperatures.json; the figure is {run}/figures/temperatures.png.")


def _begun(run: Path, env: str, wish: Wish, overwrite: bool = False, resume: bool = False) -> Plan:
    """Make a run's folder, or open it to go on."""
    check_temperature(wish.temperature)
    cache_compiled_programs()
    from mixtura.systems.world import commands
    from mixtura.systems.world.changes import parsed

    changes: dict[str, Any] = {
        "rounds": wish.rounds,
        "episodes": wish.episodes,
        "unseen": wish.unseen,
        "controller.features": wish.features,
        "controller.hidden": wish.hidden,
        "controller.temperature": wish.temperature,
        "controller.generations": wish.generations,
        "controller.real": wish.real or None,
        **parsed(wish.set or []),
    }
    return commands.begun(
        run,
        env,
        wish.preset,
        wish.seed,
        changes,
        untrained=wish.untrained_memory,
        max_gb=wish.max_gb,
        overwrite=overwrite,
        resume=resume,
    )


def _opened(run: Path) -> Plan:
    cache_compiled_programs()
    from mixtura.systems.world import commands

    return commands.opened(run)


def _engine(work: Work) -> Engine:
    from mixtura.systems.world.engines import engine

    return engine(work.engine, work.workers)


def _tell_report(plan: Plan, report: dict[str, Any], json: bool) -> None:
    from mixtura.systems.world import commands

    if json:
        print(dumps(commands.summary(report)))
    else:
        Console().print(commands.report_table(report))
        print(f"All numbers are in {plan.path}/report.json, figures in {plan.path}/figures.")
        if plan.world.pixels:
            print(f"Next: mixtura world play {plan.path} --out play.gif")
