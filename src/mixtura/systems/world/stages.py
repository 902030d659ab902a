"""The stages of a round: collect, see, remember, act. Each goes on where it was cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mixtura.errors import InputError
from mixtura.models import Controller, ConvVAE, Memory, MemoryLoss
from mixtura.systems.world.agent import Agent, Scramble, read_controller, save_controller
from mixtura.systems.world.engines import Engine
from mixtura.systems.world.evolution import Evolved, Generation, evolve
from mixtura.systems.world.memory import Series, begin, family_of, rows
from mixtura.systems.world.plan import CANDIDATES, Plan, Seen
from mixtura.systems.world.policies import Policy, Random
from mixtura.systems.world.recording import Recording, collect
from mixtura.systems.world.rollouts import PATIENCE, Episode, Job, play
from mixtura.training import Run, load
from mixtura.training.renewed import fit_renewed

Tell = Callable[..., Any]

ENCODED = 2048  # frames that V is given at once
STARTS = 100  # recorded episodes that dreams of a trained round begin with
EVALUATED = 256  # dreams in which the mean of a generation is evaluated


def collected(plan: Plan, number: int, engine: Engine, tell: Tell) -> Recording:
    """Record the episodes of a round: with random actions, later with the agent that there is."""
    policy: Policy = Random(plan.hold)
    if number > 1:
        agent = agent_of(plan, number - 1)
        policy = replace(agent, explore=plan.preset.explore, hold=plan.hold)
    seeds = plan.seeds(number)
    others = sum(plan.recording(one).bytes for one in range(1, number))
    limit = None if plan.max_bytes is None else plan.max_bytes - others
    folder = plan.recording(number).folder
    return collect(
        engine,
        plan.world,
        policy,
        folder,
        seeds,
        max_bytes=limit,
        progress=partial(tell, f"round {number}: collect", len(seeds)),
    )


def seen(plan: Plan, number: int, tell: Tell) -> ConvVAE | None:
    """Train V on the frames of all rounds so far; in later rounds it goes on from what it is."""
    preset = plan.preset.vision
    if preset is None:
        return None
    folder = plan.vision(number)
    assert folder is not None
    recordings = [plan.recording(one) for one in range(1, number + 1)]
    config = {"system": "world vision", "seed": plan.seed, "settings": plan.preset.to_config()["vision"]}
    run = Run.begin(folder, config, resume=True)
    if (kept := run.checkpoint()) and kept.is_final:
        return load(folder)
    keras.utils.set_random_seed(plan.seed + number)
    shape = (*plan.world.size, 3)
    model = ConvVAE(shape, **preset.network, seed=plan.seed)
    if number > 1:
        model.set_weights(load(plan.round(number - 1) / "vision").get_weights())
    elif model.emphasis:
        model.adapt(recordings[0].frames(min(preset.frames, 20_000), plan.seed))
    epochs = preset.epochs if number == 1 else preset.later
    steps = max(1, epochs * (preset.frames // preset.batch_size))
    model.compile(keras.optimizers.Adam(_rate(preset.learning_rate, steps, preset.constant)))

    def make(epoch: int) -> np.ndarray:
        share = -(-preset.frames // len(recordings))
        parts = [one.frames(share, plan.seed * 10_007 + epoch) for one in recordings]
        return np.concatenate(parts)

    fit_renewed(
        model,
        make,
        epochs=epochs,
        seed=plan.seed,
        run=run,
        batch_size=preset.batch_size,
        progress=lambda epoch, row: tell(f"round {number}: V", epochs, epoch, f"loss {row['loss']:.1f}"),
    )
    return model


def in_latents(plan: Plan, number: int, vision: ConvVAE | None) -> Seen:
    """Return the episodes of all rounds so far as V sees them."""
    series = [
        one
        for earlier in range(1, number + 1)
        for one in encoded(map(plan.recording(earlier).read, plan.seeds(earlier)), vision)
    ]
    return Seen.of(series, plan.preset.memory.heads)


def encoded(episodes: Iterable[Episode], vision: ConvVAE | None) -> Iterator[Series]:
    """Yield episodes in latents, taking a few at a time."""
    if vision is None:
        for one in episodes:
            known = np.full_like(one.observations, -np.inf)
            yield Series(one.observations, known, one.actions, one.rewards, one.terminated)
        return
    waiting: list[Episode] = []
    for one in episodes:
        waiting.append(one)
        if sum(len(each.observations) for each in waiting) >= ENCODED:
            yield from _encoded(vision, waiting)
            waiting = []
    if waiting:
        yield from _encoded(vision, waiting)


def _encoded(vision: ConvVAE, episodes: Sequence[Episode]) -> Iterator[Series]:
    mean, log_variance = vision.encode(np.concatenate([one.observations for one in episodes]))
    ends = np.cumsum([len(one.observations) for one in episodes])
    for one, end in zip(episodes, ends, strict=True):
        moments = slice(end - len(one.observations), end)
        yield Series(mean[moments], log_variance[moments], one.actions, one.rewards, one.terminated)


def remembered(plan: Plan, number: int, given: Seen, tell: Tell) -> Memory:
    """Train M on what V makes of all recordings so far."""
    preset, folder = plan.preset.memory, plan.memory(number)
    config = {"system": "world memory", "seed": plan.seed, "settings": plan.preset.to_config()["memory"]}
    run = Run.begin(folder, config, resume=True)
    if (kept := run.checkpoint()) and kept.is_final:
        return load(folder)
    keras.utils.set_random_seed(plan.seed + number)
    family = family_of(given.layout, given.training, preset.components, preset.min_scale, preset.standardised)
    actions = given.training[0].actions.shape[1]
    model = Memory(family, preset.units, actions, relative=preset.relative, seed=plan.seed)
    begin(model, given.layout, given.training, plan.seed)
    if plan.untrained:
        run.save(model)
        return model

    def make(series: Sequence[Series], seed: int) -> Any:
        return rows(
            given.layout, series, model.start_event(), preset.length, preset.batch_size, seed, preset.drawn
        )

    [(x, _, _)] = make(given.training, 0).parts
    steps = preset.epochs * max(1, len(x["events"]) // preset.batch_size)
    rate = _rate(preset.learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=preset.clipnorm), loss=MemoryLoss(family, preset.done_weight)
    )
    fit_renewed(
        model,
        lambda epoch: make(given.training, plan.seed * 10_007 + epoch),
        epochs=preset.epochs,
        seed=plan.seed,
        run=run,
        validation_data=make(given.held_out, plan.seed),
        progress=lambda epoch, row: tell(
            f"round {number}: M", preset.epochs, epoch, f"loss {row['loss']:.3f} val {row['val_loss']:.3f}"
        ),
    )
    return model


def _rate(start: float, steps: int, constant: bool = False) -> Any:
    return start if constant else keras.optimizers.schedules.CosineDecay(start, steps, alpha=0.02)


def awake(plan: Plan, number: int) -> tuple[ConvVAE | None, Memory, Seen]:
    """Return V and M of a round that is trained, and the beginning of recordings for dreams to start with."""
    file, recording = plan.vision(number), plan.recording(1)
    vision = None if file is None else load(file)
    if not (seeds := recording.seeds()[:STARTS]):
        raise InputError(f"{recording.folder} has no recorded episodes, which dreams begin as.")
    episodes = map(recording.read, seeds)
    series = list(encoded(episodes, vision))
    return vision, load(plan.memory(number)), Seen.of(series, plan.preset.memory.heads)


# ---------------------------------------------------------------------- C


def controller_of(plan: Plan, memory: Memory) -> Controller:
    """Return the form of C."""
    preset = plan.preset.controller
    inputs, outputs = memory.features_size(preset.features), plan.actions.size
    return Controller(inputs, outputs, preset.hidden, preset.bias)


def dream_of(plan: Plan, given: Seen, memory: Memory, controller: Controller) -> Any:
    """Return the dream that controllers live in."""
    from mixtura.systems.world.dreaming import Dream  # JAX only

    features = plan.preset.controller.features
    return Dream(memory, controller, features, plan.actions, given.starts, given.reward)


def acted(
    plan: Plan,
    number: int,
    given: Seen,
    memory: Memory,
    engine: Engine,
    tell: Tell,
    folder: Path | None = None,
    title: str = "",
) -> tuple[Evolved, Controller]:
    """Evolve C in dreams, or in the game itself, and keep it in a folder, by default the round's."""
    preset = plan.preset.controller
    controller = controller_of(plan, memory)
    folder = folder or plan.round(number)
    luck = plan.seed * 1_000_003 + number * 10_007
    if preset.real:
        fitness, evaluate = _played(plan, number, controller, engine, luck)
    else:
        dream = dream_of(plan, given, memory, controller)
        steps = min(preset.steps, plan.world.limit)  # M has seen no longer episode

        def fitness(candidates: np.ndarray, generation: int) -> np.ndarray:
            found = dream.returns(candidates, luck + generation, preset.repeats, preset.temperature, steps)
            return found.mean(axis=1)

        def evaluate(mean: np.ndarray, generation: int) -> float:
            found = dream.returns(mean[None], luck, EVALUATED, preset.temperature, steps)
            return float(found.mean())

    def progress(one: Generation) -> None:
        tell(
            title or f"round {number}: C",
            preset.generations,
            one.number,
            f"mean {one.mean:.0f} best {one.best:.0f}",
        )

    evolved = evolve(
        fitness,
        controller.size,
        path=folder / "evolution.npz",
        popsize=preset.popsize,
        sigma=preset.sigma,
        generations=preset.generations,
        seed=luck,
        evaluate=evaluate,
        every=preset.every,
        progress=progress,
    )
    save_controller(folder / "controller.json", controller, preset.features, evolved.best)
    return evolved, controller


def _played(plan: Plan, number: int, controller: Controller, engine: Engine, luck: int) -> tuple[Any, Any]:
    """Return the fitness of controllers in the game itself."""
    preset = plan.preset.controller

    def returns(candidates: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        agents = [_agent(plan, number, asdict(controller), preset.features, one) for one in candidates]
        jobs = [Job(plan.world, agent, seed) for agent in agents for seed in seeds]
        totals = np.zeros(len(jobs))
        for place, played in engine.map(play, jobs, PATIENCE):
            totals[place] = played.total
        return totals.reshape(len(candidates), len(seeds)).mean(axis=1)

    def seeds(place: int, count: int) -> list[int]:
        first = CANDIDATES + luck % 1_000 * 100_000 + place
        return list(range(first, first + count))

    evaluated = seeds(90_000, 4 * preset.repeats)  # what candidates have played says too much of their mean
    return (
        lambda candidates, generation: returns(
            candidates, seeds(generation * preset.repeats, preset.repeats)
        ),
        lambda mean, generation: float(returns(mean[None], evaluated)[0]),
    )


def agent_of(plan: Plan, number: int, scramble: Scramble = "", controller: Path | None = None) -> Agent:
    """Return the agent after a round.

    Args:
        plan: of the run.
        number: of the round.
        scramble: see `Agent`.
        controller: a file of C in place of the round's own.

    Raises:
        InputError: if the round has no C yet, or the file is none.
    """
    form, features, params = read_controller(controller or plan.round(number) / "controller.json")
    return _agent(plan, number, form, features, params, scramble)


def _agent(
    plan: Plan, number: int, form: dict[str, Any], features: str, params: np.ndarray, scramble: Scramble = ""
) -> Agent:
    vision = plan.vision(number)
    seen_by = None if vision is None else (vision / "model.keras").absolute()
    memory = (plan.memory(number) / "model.keras").absolute()
    return Agent(seen_by, memory, form, features, params, scramble)
