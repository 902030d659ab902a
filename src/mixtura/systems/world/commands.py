"""The commands `mixtura world ...`: stages of a run, or all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.errors import InputError
from mixtura.files import check_output
from mixtura.systems.world import pictures
from mixtura.systems.world.comparing import Returns, expected_calibration_error, hazard_table
from mixtura.systems.world.engines import Engine
from mixtura.systems.world.environments import Environment, world_of
from mixtura.systems.world.judging import Verdict, judged
from mixtura.systems.world.memory import hazard
from mixtura.systems.world.plan import UNSEEN, Plan, Seen
from mixtura.systems.world.presets import preset_of
from mixtura.systems.world.rollouts import rollout
from mixtura.systems.world.stages import (
    acted,
    agent_of,
    collected,
    controller_of,
    dream_of,
    in_latents,
    remembered,
    seen,
)
from mixtura.training import Run, load, progress_bar

Changes = Mapping[str, Any]


def begun(
    path: Path,
    env: str,
    preset: str,
    seed: int,
    changes: Changes,
    *,
    untrained: bool = False,
    max_gb: float | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> Plan:
    """Make a run's folder, or open it to go on.

    Args:
        path: the folder.
        env: the environment's id.
        preset: its name.
        seed: of everything.
        changes: to the preset: fields of `WorldPreset`, and of its parts as "controller.temperature".
        untrained: see `Plan`.
        max_gb: what recordings may take on disk, in GB.
        overwrite: replace a run that is there.
        resume: go on with a run that is there.

    Raises:
        InputError: for an unknown environment, preset or change; if something is there and neither was asked
            for, or it was begun otherwise.
    """
    check_output(path, overwrite or resume)
    pixels = world_of(env).pixels
    settings = preset_of(env, pixels, preset)
    for name, value in changes.items():
        if value is not None:
            settings = _changed(settings, name.split("."), value)
    world = world_of(env, **settings.world)
    limit = None if max_gb is None else int(max_gb * 1e9)
    plan = Plan(path, world, settings, seed, untrained, limit)
    Run.begin(path, plan.to_config(), overwrite=overwrite, resume=resume)
    return plan


def _changed(settings: Any, name: list[str], value: Any) -> Any:
    first, *rest = name
    inner = getattr(settings, first)
    if rest:
        value = _changed(inner, rest, value)
    elif isinstance(inner, dict):
        value = {**inner, **value}
    return replace(settings, **{first: value})


def opened(path: Path) -> Plan:
    """Return the plan of a run.

    Raises:
        InputError: if the folder is no run of a world.
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; expected a run of `mixtura world`.")
    return Plan.from_config(path, Run(path).config)


@contextmanager
def telling() -> Iterator[Any]:
    """Show progress; yields what stages tell it to: a title, how many steps there are, and how many are done.

    Without the last, one more is done.
    """
    with progress_bar() as progress:
        tasks: dict[str, Any] = {}

        def tell(title: str, total: int, done: int | None = None, loss: str = "") -> None:
            if title not in tasks:
                tasks[title] = progress.add_task(title, total=total, loss="")
            if done is None:
                progress.advance(tasks[title])
            else:
                progress.update(tasks[title], completed=done, loss=loss)

        yield tell


def train(plan: Plan, number: int, tell: Any) -> tuple[Seen, Any]:
    """Train V and M of a round, and draw what they know."""
    vision = seen(plan, number, tell)
    given = in_latents(plan, number, vision)
    memory = remembered(plan, number, given, tell)
    figures = plan.path / "figures"
    if vision is not None and not (picture := figures / f"reconstructions-{number}.png").exists():
        frames = plan.recording(number).frames(8, plan.seed)
        pictures.reconstructions(picture, frames, vision.decode(vision.encode(frames)[0]))
    if given.layout.done:
        found = hazard(memory, given.layout, given.held_out)
        table = hazard_table(found.predicted, found.observed)
        pictures.hazard_picture(figures / f"hazard-{number}.png", table)
        said = {
            "predicted": float(found.predicted.mean()),
            "observed": float(found.observed.mean()),
            "calibration_error": expected_calibration_error(table),
            "table": table.to_dict(),
        }
        Run(plan.path).write(f"hazard-{number}.json", said)
    return given, memory


def everything(plan: Plan, engine: Engine) -> dict[str, Any]:
    """Do all rounds, and judge the agent that they lead to; return the report."""
    histories = {}
    with telling() as tell:
        for number in range(1, plan.preset.rounds + 1):
            collected(plan, number, engine, tell)
            given, memory = train(plan, number, tell)
            evolved, _ = acted(plan, number, given, memory, engine, tell)
            histories[f"round {number}"] = evolved.history
            pictures.fitness_curves(plan.path / "figures" / "fitness.png", histories)
        return evaluate(plan, plan.preset.rounds, engine, tell)


def evaluate(plan: Plan, number: int, engine: Engine, tell: Any) -> dict[str, Any]:
    """Judge the agent of a round; draw it, and write `report.json`."""
    verdict = judged(plan, number, engine, tell)
    preset = plan.preset.controller
    _draw(plan, verdict)
    report: dict[str, Any] = {
        "env": plan.world.id,
        "seed": plan.seed,
        "rounds": number,
        **verdict.to_dict(preset.real),
    }
    if (file := plan.path / f"hazard-{number}.json").exists():
        import json

        report["hazard"] = json.loads(file.read_text())
    Run(plan.path).write("report.json", report)
    return report


def _draw(plan: Plan, verdict: Verdict) -> None:
    figures = plan.path / "figures"
    cap = float(plan.world.limit * plan.world.skip)
    pictures.returns_picture(figures / "returns.png", verdict.returns)
    if all((one.values <= cap).all() and (one.values > 0).all() for one in verdict.returns.values()):
        pictures.survival_curves(figures / "survival.png", verdict.returns, cap=cap, unit="steps survived")
    with Environment(plan.world) as environment:
        names = environment.actions.names
    seed = sorted(verdict.codes)[0]
    pictures.actions_picture(figures / "actions.png", verdict.codes[seed], names)


def round_of(plan: Plan, number: int | None) -> int:
    """Return a round that has been evolved: the one asked for, or the last.

    Raises:
        InputError: if there is none.
    """
    done = [one for one in range(1, plan.preset.rounds + 1) if (plan.round(one) / "controller.json").exists()]
    if number is not None and number in done:
        return number
    if number is not None or not done:
        what = f"round {number}" if number else "a controller"
        raise InputError(f"{plan.path} has no {what} yet; `mixtura world evolve {plan.path}` makes it.")
    return done[-1]


def play(plan: Plan, out: Path, seed: int, number: int | None, controller: Path | None) -> float:
    """Write an episode of the game as a GIF, and return its return."""
    agent = agent_of(plan, round_of(plan, number), controller=controller)
    with Environment(plan.world) as environment:
        episode = rollout(environment, agent, UNSEEN + seed)
        frames = episode.observations
        if not plan.world.pixels:
            raise InputError(f"{plan.world.id} is met as a state: there is no picture to write.")
        names = environment.actions
        captions = [_caption(names, code) for code in episode.actions]
    pictures.play_gif(out, frames[:-1], captions)
    return episode.total


def _caption(actions: Any, code: np.ndarray) -> str:
    """Return what a code does, in words."""
    if len(code) == 1:
        place = round((float(code[0]) + 1) / 2 * (len(actions.names) - 1))
        return str(actions.names[place])
    return ", ".join(f"{name} {value:.1f}" for name, value in zip(actions.names, code, strict=False))


def dream(
    plan: Plan, out: Path, seed: int, number: int | None, temperature: float | None, steps: int | None
) -> np.ndarray:
    """Write a dream, beside the game where there are pictures, as a GIF or npz; return its hazards."""
    number = round_of(plan, number)
    file = plan.vision(number)
    vision = None if file is None else load(file)
    memory = load(plan.memory(number))
    first = next(iter(_first_series(plan, vision)))
    given = Seen.of([first, first])
    dreams = dream_of(plan, given, memory, controller_of(plan, memory))
    agent = agent_of(plan, number)
    length = steps or plan.preset.controller.steps
    trace = dreams.trace(agent.params, seed, temperature or plan.preset.controller.temperature, length)
    if out.suffix == ".npz":
        np.savez(out, **trace)
        return trace["hazard"]
    if vision is None:
        raise InputError(f"{plan.world.id} is met as a state: a dream of it is written as .npz, not {out}.")
    alive = np.cumprod(1 - trace["hazard"])
    captions = [f"alive {100 * one:.0f} %" for one in alive]
    with Environment(plan.world) as environment:
        real = rollout(environment, agent, UNSEEN + seed).observations[:length]
    pictures.beside(out, real, vision.decode(trace["latents"]), captions=captions)
    return trace["hazard"]


def _first_series(plan: Plan, vision: Any) -> Iterator[Any]:
    from mixtura.systems.world.stages import encoded

    return encoded(plan.recording(1), plan.seeds(1)[:64], vision)


def temperatures(
    plan: Plan, values: list[float], number: int | None, engine: Engine
) -> dict[float, tuple[Returns, Returns]]:
    """Evolve a controller at each temperature, and return what it earns in its dream and in the game."""
    raise NotImplementedError


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """Return what the command prints as JSON: the means and errors of the report."""
    kept = {name: report[name] for name in ("env", "seed", "rounds")}
    for name, value in report.items():
        if isinstance(value, dict) and "standard_error" in value:
            kept[name] = {key: value[key] for key in ("mean", "standard_error", "sd", "count")}
    kept["agent_less"] = report["agent_less"]
    return kept
