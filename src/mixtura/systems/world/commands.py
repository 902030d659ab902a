"""The commands `mixtura world ...`: stages of a run, or all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.table import Table

from mixtura.errors import InputError
from mixtura.evaluation.words import count
from mixtura.files import check_output, replacing
from mixtura.models import ConvVAE
from mixtura.systems.world import pictures
from mixtura.systems.world.actions import OneOf, Ordered, tupled
from mixtura.systems.world.changes import changed
from mixtura.systems.world.comparing import (
    Returns,
    expected_calibration_error,
    hazard_table,
    summary_table,
)
from mixtura.systems.world.engines import Engine
from mixtura.systems.world.environments import Environment, world_of
from mixtura.systems.world.evolution import Evolved
from mixtura.systems.world.judging import DREAMS, Verdict, dreamt, judged, played
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
    encoded,
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
    changes = {name: value for name, value in changes.items() if value is not None}
    settings = preset_of(env, bool(changes.get("world.pixels", world_of(env).pixels)), preset)
    settings = changed(settings, changes)
    try:
        world = world_of(env, **tupled(settings.world))
        if settings.vision and any(name.startswith(("vision.network", "world.size")) for name in changes):
            ConvVAE((*world.size, 3), **settings.vision.network)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, InputError) else InputError(f"--set: {error}.") from error
    if not settings.controller.real and keras.backend.backend() != "jax":
        raise InputError(
            f"Dreams are compiled for JAX, and the backend is {keras.backend.backend()}: set "
            "KERAS_BACKEND=jax, or let the controller play the game itself with --real."
        )
    limit = None if max_gb is None else int(max_gb * 1e9)
    plan = Plan(path, world, settings, seed, untrained, limit)
    Run.begin(path, plan.to_config(), overwrite=overwrite, resume=resume)
    return plan


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
    progress = progress_bar()
    tasks: dict[str, Any] = {}

    def tell(title: str, total: int, done: int | None = None, loss: str = "") -> None:
        progress.start()  # not before: a refusal is one line
        if title not in tasks:
            tasks[title] = progress.add_task(title, total=total, loss="")
        if done is None:
            progress.advance(tasks[title])
        else:
            progress.update(tasks[title], completed=done, loss=loss)

    try:
        yield tell
    finally:
        if tasks:
            progress.stop()


def underway(plan: Plan, number: int | None) -> int:
    """Return the round to work on: the one asked for, or the first that has no controller, or the last.

    Raises:
        InputError: if the run has no such round.
    """
    rounds = range(1, plan.preset.rounds + 1)
    if number is None:
        return next((one for one in rounds if not _is_evolved(plan, one)), rounds[-1])
    if number not in rounds:
        raise InputError(f"{plan.path} has {count(len(rounds), 'round')}; there is no round {number}.")
    return number


def _is_evolved(plan: Plan, number: int) -> bool:
    return (plan.round(number) / "controller.json").exists()


def train(plan: Plan, number: int, tell: Any) -> tuple[Seen, Any]:
    """Train V and M of a round, and draw what they know.

    Raises:
        InputError: if not all is recorded that they learn from.
    """
    for one in range(1, number + 1):
        there = {*plan.recording(one).seeds()}
        if missing := sum(seed not in there for seed in plan.seeds(one)):
            raise InputError(
                f"Round {one} of {plan.path} lacks {missing} of {len(plan.seeds(one))} episodes; "
                f"`mixtura world collect {plan.path} --round {one}` records them."
            )
    vision = seen(plan, number, tell)
    given = in_latents(plan, number, vision)
    memory = remembered(plan, number, given, tell)
    figures = plan.path / "figures"
    if vision is not None and not (picture := figures / f"reconstructions-{number}.png").exists():
        height, width = plan.world.size
        columns = max(3, round(8 * (height / width) ** 0.5))  # few, where frames are wide
        frames = plan.recording(number).frames(columns, plan.seed)
        pictures.reconstructions(picture, frames, vision.decode(vision.encode(frames)[0]))
    name = f"hazard-{number}.json"
    if given.layout.done and not (plan.path / name).exists():
        found = hazard(memory, given.layout, given.held_out)
        table = hazard_table(found.predicted, found.observed)
        pictures.hazard_picture(figures / f"hazard-{number}.png", table)
        said = {
            "predicted": float(found.predicted.mean()),
            "observed": float(found.observed.mean()),
            "calibration_error": expected_calibration_error(table),
            "table": table.to_dict(),
        }
        Run(plan.path).write(name, said)
    return given, memory


def evolve(plan: Plan, number: int, engine: Engine, tell: Any) -> Evolved:
    """Evolve C of a round, and draw how it became better.

    Raises:
        InputError: if M of the round is not trained.
    """
    folder = plan.memory(number)
    kept = Run(folder).checkpoint()
    is_trained = (folder / "model.keras").exists() if plan.untrained else kept is not None and kept.is_final
    if not is_trained:
        raise InputError(
            f"Round {number} of {plan.path} is not trained; "
            f"`mixtura world train {plan.path} --round {number}` comes first."
        )
    given, memory = train(plan, number, tell)  # reads what is trained
    evolved, _ = acted(plan, number, given, memory, engine, tell)
    pictures.fitness_curves(
        plan.path / "figures" / f"fitness-{number}.png", {f"round {number}": evolved.history}
    )
    return evolved


def everything(plan: Plan, engine: Engine) -> dict[str, Any]:
    """Do all rounds, and judge the agent that they lead to; return the report.

    Of a run that is finished the report is read.
    """
    if (report := _finished(plan)) is not None:
        return report
    histories = {}
    with telling() as tell:
        for number in range(1, plan.preset.rounds + 1):
            collected(plan, number, engine, tell)
            given, memory = train(plan, number, tell)
            evolved, _ = acted(plan, number, given, memory, engine, tell)
            histories[f"round {number}"] = evolved.history
            pictures.fitness_curves(plan.path / "figures" / "fitness.png", histories)
        return evaluate(plan, plan.preset.rounds, engine, tell)


def _finished(plan: Plan) -> dict[str, Any] | None:
    """Return the report on the last round's controller, if there is one that is newer."""
    report = plan.path / "report.json"
    controller = plan.round(plan.preset.rounds) / "controller.json"
    if not (report.exists() and controller.exists()):
        return None
    if report.stat().st_mtime_ns < controller.stat().st_mtime_ns:
        return None
    try:
        found: dict[str, Any] = json.loads(report.read_text())
    except ValueError:  # damaged: it is made anew
        return None
    return found if found.get("rounds") == plan.preset.rounds else None


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
    if keras.backend.backend() == "jax" and plan.recording(1).seeds():  # dreams begin as these do
        found = dreamt(plan, number, verdict)
        report["in_dream"] = {
            name: {"mean": mean, "standard_error": error} for name, (mean, error) in found.items()
        }
    if (file := plan.path / f"hazard-{number}.json").exists():
        report["hazard"] = json.loads(file.read_text())
    Run(plan.path).write("report.json", report)
    return report


def _draw(plan: Plan, verdict: Verdict) -> None:
    figures = plan.path / "figures"
    cap = float(plan.world.limit * plan.world.skip)
    pictures.returns_picture(figures / "returns.png", verdict.returns)
    if all((one.values <= cap).all() and (one.values > 0).all() for one in verdict.returns.values()):
        pictures.survival_curves(figures / "survival.png", verdict.returns, cap=cap, unit="steps survived")
    seed = sorted(verdict.codes)[0]
    pictures.actions_picture(figures / "actions.png", verdict.codes[seed], plan.actions.names)


def round_of(plan: Plan, number: int | None) -> int:
    """Return a round that has been evolved: the one asked for, or the last.

    Raises:
        InputError: if there is none.
    """
    done = [one for one in range(1, plan.preset.rounds + 1) if _is_evolved(plan, one)]
    if number is not None and number in done:
        return number
    if number is not None or not done:
        whose = f" of round {number}" if number else ""
        raise InputError(f"{plan.path} has no agent{whose} yet; `mixtura world evolve {plan.path}` makes it.")
    return done[-1]


def play(
    plan: Plan, out: Path, seed: int, number: int | None, controller: Path | None, overwrite: bool = False
) -> float:
    """Write an episode of the game as a GIF file, and return its return.

    Raises:
        InputError: if `out` may not be written, there are no pictures, or C is missing, damaged or of another
            model.
    """
    _check_film(out, overwrite, [".gif"])
    if not plan.world.pixels:
        raise InputError(f"{plan.world.id} is met as a state: there is no picture to write.")
    agent = agent_of(plan, round_of(plan, number), controller=controller)
    with Environment(plan.world) as environment:
        episode = rollout(environment, agent, UNSEEN + seed)
    captions = [_caption(plan.actions, code) for code in episode.actions]
    pictures.play_gif(out, episode.observations[:-1], captions)
    return episode.total


def _check_film(out: Path, overwrite: bool, endings: Sequence[str]) -> None:
    if out.suffix not in endings:
        raise InputError(f"{out} ends in {out.suffix!r}; expected {' or '.join(endings)}.")
    check_output(out, overwrite)


def _caption(actions: Any, code: np.ndarray) -> str:
    """Return what a code does, in words."""
    if isinstance(actions, Ordered):
        return actions.names[actions.choices.index(actions.action(code))]
    if isinstance(actions, OneOf):
        return actions.names[int(code.argmax())]
    return ", ".join(f"{name} {value:.1f}" for name, value in zip(actions.names, code, strict=True))


def dream(
    plan: Plan,
    out: Path,
    seed: int,
    number: int | None,
    temperature: float | None,
    steps: int | None,
    overwrite: bool = False,
) -> np.ndarray:
    """Write a dream as an npz file or, beside the game that begins as it does, as a GIF file.

    Returns:
        The probability of the end at every step.

    Raises:
        InputError: if `out` may not be written, there are no pictures, or nothing is trained.
    """
    _check_film(out, overwrite, [".gif", ".npz"])
    if out.suffix == ".gif" and not plan.world.pixels:
        raise InputError(f"{plan.world.id} is met as a state: a dream of it is written as .npz, not {out}.")
    number = round_of(plan, number)
    file, preset = plan.vision(number), plan.preset.controller
    vision = None if file is None else load(file)
    memory = load(plan.memory(number))
    agent = agent_of(plan, number)
    with Environment(plan.world) as environment:
        game = rollout(environment, agent, UNSEEN + seed)
    given = Seen.of(list(encoded([game], vision)))
    dreams = dream_of(plan, given, memory, controller_of(plan, memory))
    trace = dreams.trace(
        agent.params, seed, preset.temperature if temperature is None else temperature, steps or preset.steps
    )
    if vision is None or out.suffix == ".npz":
        with replacing(out) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **trace)
    else:
        alive = np.cumprod([1.0, *(1 - trace["hazard"][:-1])])  # when a frame is seen
        captions = [f"alive {100 * one:.0f} %" for one in alive]
        real = game.observations[: len(captions)]
        pictures.beside(out, real, vision.decode(trace["latents"]), captions=captions)
    return trace["hazard"]


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the command prints as JSON: the means and errors of the report."""
    kept = {name: report[name] for name in ("env", "seed", "rounds")}
    returns = {name: _short(value) for name, value in _returns_in(report).items()}
    return {**kept, **returns, "agent_less": report["agent_less"]}


def report_table(report: Mapping[str, Any]) -> Table:
    """Return the report as a table for a terminal."""
    rows = {name.replace("_", " "): Returns.from_dict(value) for name, value in _returns_in(report).items()}
    agent = next(name for name in rows if name.endswith(" trained"))
    return summary_table(rows, f"{report['env']}, {rows[agent].count} unseen episodes", agent)


def _returns_in(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in report.items() if isinstance(one, dict) and "values" in one}


def _short(returns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: returns[name] for name in ("mean", "standard_error", "sd", "count")}


# ---------------------------------------------------------------------- temperatures


def temperatures(
    plan: Plan, values: Sequence[float], number: int | None, engine: Engine
) -> dict[float, tuple[Returns, Returns]]:
    """Evolve a controller at each temperature, and return what it earns in its dream and in the game.

    What is found is kept in the folder `temperatures` of the round, where this goes on if it was cut off. It
    is written to `temperatures.json` and drawn, beside the published numbers where there are some.

    Raises:
        InputError: if M of the round is not trained.
    """
    number = round_of(plan, number)
    rows = {}
    with telling() as tell:
        given, memory = train(plan, number, tell)
        for value in values:
            folder = plan.round(number) / "temperatures" / f"{value:g}"
            rows[value] = _at(plan, number, value, folder, given, memory, engine, tell)
    is_published = plan.world.id.startswith("VizdoomTakeCover")
    published = pictures.PUBLISHED if is_published else None
    pictures.temperature_picture(plan.path / "figures" / "temperatures.png", rows, published)
    Run(plan.path).write("temperatures.json", by_temperature(rows))
    return rows


def by_temperature(rows: Mapping[float, tuple[Returns, Returns]]) -> dict[str, Any]:
    """Return what `temperatures` found, in JSON types."""
    return {
        f"{value:g}": {"dream": _short(dream.to_dict()), "game": _short(game.to_dict())}
        for value, (dream, game) in rows.items()
    }


def temperature_table(plan: Plan, rows: Mapping[float, tuple[Returns, Returns]]) -> Table:
    """Return what `temperatures` found as a table for a terminal."""
    title = f"{plan.world.id}, mean returns ± s.e.: what C earns where it learnt, and in the game"
    table = Table(title=title, min_width=len(title))
    for column in ("temperature", "in the dream", "in the game"):
        table.add_column(column, justify="right")
    for value, found in rows.items():
        table.add_row(f"{value:g}", *(f"{one.mean:.4g} ± {one.standard_error:.2g}" for one in found))
    return table


def _at(
    plan: Plan, number: int, value: float, folder: Path, given: Seen, memory: Any, engine: Engine, tell: Any
) -> tuple[Returns, Returns]:
    """Return the returns in the dream and in the game of what is evolved at a temperature."""
    file = folder / "returns.json"
    if file.exists():
        found = json.loads(file.read_text())
        return Returns.from_dict(found["dream"]), Returns.from_dict(found["game"])
    preset = replace(plan.preset.controller, temperature=value, real=False)
    cooled = replace(plan, preset=replace(plan.preset, controller=preset))
    title = f"temperature {value:g}"
    evolved, controller = acted(cooled, number, given, memory, engine, tell, folder, title)
    dreams = dream_of(cooled, given, memory, controller)
    totals = dreams.returns(evolved.best[None], UNSEEN, DREAMS, value, plan.world.limit, expected=False)
    dream = Returns(np.arange(DREAMS), totals[0])
    agent = agent_of(plan, number, controller=folder / "controller.json")
    unseen = range(UNSEEN, UNSEEN + plan.preset.unseen)
    game = Returns.of(played(plan, engine, tell, title, [(agent, seed) for seed in unseen]))
    with replacing(file) as temporary:
        temporary.write_text(json.dumps({"dream": dream.to_dict(), "game": game.to_dict()}))
    return dream, game
