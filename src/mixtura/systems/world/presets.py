"""What worlds are learnt with: the published settings, and what two cores do in minutes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mixtura.errors import InputError
from mixtura.systems.world.actions import tupled

NAMES = ("paper", "small", "tiny")


@dataclass(frozen=True)
class VisionPreset:
    """How V is made and trained.

    Attributes:
        network: arguments of `ConvVAE`, but for `shape`.
        frames: that an epoch sees, drawn from all recordings.
        epochs: how many such samples.
        batch_size: of a step.
        learning_rate: Adam's at the start; it falls along a cosine unless `constant`.
        constant: whether it stays, as published.
        later: epochs in the rounds after the first, where V goes on from what it is.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    frames: int = 40_000
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-3
    constant: bool = False
    later: int = 3


@dataclass(frozen=True)
class MemoryPreset:
    """How M is made and trained.

    Attributes:
        units: of its layers.
        components: of each mixture.
        min_scale: the floor of scales, in standard deviations of each number of z.
        relative: whether z is predicted as a distance from the z before.
        standardised: whether z is, for the network; as published it is not.
        drawn: whether z is drawn anew from V's posterior for every epoch, as published; else it is its mean.
        epochs: passes over all recordings.
        length: of the windows.
        batch_size: of a step.
        learning_rate: Adam's at the start; it falls along a cosine.
        clipnorm: the largest norm of a variable's gradient.
        done_weight: see `MemoryLoss`.
        heads: what M predicts beside z, of "reward" and "done"; None for what the recordings ask for.
    """

    units: tuple[int, ...] = (256,)
    components: int = 5
    min_scale: float = 0.0
    relative: bool = True
    standardised: bool = True
    drawn: bool = False
    epochs: int = 8
    length: int = 64
    batch_size: int = 64
    learning_rate: float = 2e-3
    clipnorm: float = 1.0
    done_weight: float = 10.0
    heads: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ControllerPreset:
    """How C is made and evolved.

    Attributes:
        features: what it is given.
        hidden: units of a hidden layer; 0 for none.
        bias: whether its last layer has one.
        popsize: candidates of a generation.
        sigma: the step size of the first.
        generations: how many.
        repeats: episodes of each candidate.
        steps: decisions after which a dream is broken off, as it is at the game's own limit.
        temperature: of dreams.
        every: generations from one evaluation to the next.
        real: whether candidates play the game itself, not the dream.
    """

    features: str = "zh"
    hidden: int = 0
    bias: bool = True
    popsize: int = 64
    sigma: float = 0.1
    generations: int = 40
    repeats: int = 8
    steps: int = 300
    temperature: float = 1.0
    every: int = 5
    real: bool = False


@dataclass(frozen=True)
class WorldPreset:
    """Everything about one world.

    Attributes:
        world: changes to `world_of`'s settings.
        hold: for how many decisions, from and to, recordings hold an action that is random; None for what is
            published, which random play is judged with.
        episodes: that are recorded in the first round.
        later_episodes: in each further round, with the agent that there is.
        explore: the share of an agent's decisions at which it does something at random instead, when it
            records.
        rounds: of collecting, training and evolving.
        vision: of V; None where the state is the latent.
        memory: of M.
        controller: of C.
        unseen: episodes that the agent is judged by.
        baseline: episodes that random play is judged by.
    """

    world: Mapping[str, Any] = field(default_factory=dict)
    hold: tuple[int, int] | None = None
    episodes: int = 1000
    later_episodes: int = 500
    explore: float = 0.05
    rounds: int = 1
    vision: VisionPreset | None = None
    memory: MemoryPreset = MemoryPreset()
    controller: ControllerPreset = ControllerPreset()
    unseen: int = 100
    baseline: int = 500

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        config: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WorldPreset:
        """Return what `to_config` wrote down."""
        parts = tupled(config)
        vision = parts["vision"] and VisionPreset(**parts["vision"])
        memory = MemoryPreset(**tupled(parts["memory"]))
        controller = ControllerPreset(**parts["controller"])
        return cls(**{**parts, "vision": vision, "memory": memory, "controller": controller})


def _patches(size: tuple[int, int], filters: int, **settings: Any) -> dict[str, Any]:
    """Return a V whose kernels do not overlap: as few operations as there can be."""
    f = filters
    return {
        "encoder": ((f, 4, 4), (2 * f, 2, 2), (4 * f, 2, 2)),
        "decoder": ((2 * f, 2, 2), (f, 2, 2), (3, 4, 4)),
        "start": (size[0] // 16, size[1] // 16, 4 * f),
        **settings,
    }


# Published (Ha & Schmidhuber 2018, appendix A, and their code where it differs): frames of 64 x 64 of 10 000
# episodes; V takes one pass over the car's 10 million, as the article says, ten over Doom's 2.3 million, as
# the code does; M 20 passes; populations of 64 with 16 episodes each. The car's M predicts z alone. Otherwise
# than published, M's rate falls along a cosine, and gradients are clipped by their norm.
_PAPER_V = VisionPreset(
    {"latent_size": 32}, frames=100_000, epochs=100, batch_size=100, learning_rate=1e-4, constant=True
)
_PAPER_M = MemoryPreset(
    (256,),
    relative=False,
    standardised=False,
    drawn=True,
    epochs=20,
    length=999,
    batch_size=100,
    learning_rate=1e-3,
    heads=(),
)
_PAPER_C = ControllerPreset("zh", generations=1800, repeats=16, steps=1000, every=25, real=True)
_PAPER = WorldPreset(episodes=10_000, vision=_PAPER_V, memory=_PAPER_M, controller=_PAPER_C, baseline=100)

_SMALL_STATE = WorldPreset(
    episodes=400,
    later_episodes=200,
    rounds=2,
    memory=MemoryPreset((64,), min_scale=0.02, epochs=30, length=100, batch_size=32, learning_rate=4e-3),
    controller=ControllerPreset(popsize=32, generations=25, repeats=16, steps=500, every=5),
    baseline=100,
)
# z is drawn from V's posterior, as published: a dream of its means soon leaves what V can decode.
_SMALL_M = MemoryPreset((128,), 3, relative=False, standardised=False, drawn=True, epochs=6, batch_size=16)
_SMALL_PIXELS = WorldPreset(
    episodes=400,
    rounds=1,
    vision=VisionPreset(_patches((64, 64), 32, latent_size=32), frames=20_000, epochs=6),
    memory=_SMALL_M,
    controller=ControllerPreset(popsize=32, generations=30),
    baseline=100,
)

PRESETS: dict[str, dict[str, WorldPreset]] = {
    "CartPole-v1": {
        "tiny": replace(
            _SMALL_STATE,
            episodes=30,
            rounds=1,
            memory=replace(_SMALL_STATE.memory, units=(16,), epochs=2),
            controller=replace(
                _SMALL_STATE.controller, popsize=8, generations=3, repeats=4, steps=60, every=2
            ),
            unseen=5,
            baseline=5,
        ),
    },
    # The simulator is the limit: four frames for a decision, one drawn, and few races. Random driving stays
    # near the start, so that a dream of it would not lead round the track: C learns in the game.
    "CarRacing-v3": {
        "small": replace(
            _SMALL_PIXELS,
            world={"skip": 4},
            episodes=120,
            vision=VisionPreset(_patches((64, 64), 32, latent_size=32), frames=20_000, epochs=5),
            controller=ControllerPreset(popsize=16, generations=30, repeats=1, every=10, real=True),
        ),
    },
    "VizdoomTakeCover-v1": {
        # The band of the screen where monsters stand and fireballs fly; a V that must not miss what is small
        # and bright; recordings with long walks, since agents walk.
        "small": WorldPreset(
            world={"rows": (40 / 120, 88 / 120), "size": (32, 96)},
            hold=(1, 30),
            episodes=4000,
            later_episodes=2000,
            explore=0.01,
            rounds=3,
            vision=VisionPreset(_patches((32, 96), 64, latent_size=64, emphasis=3.0), epochs=9, later=2),
            memory=replace(_SMALL_M, units=(256,), epochs=7),
            controller=ControllerPreset(generations=50, steps=400, temperature=1.3),
        ),
        "paper": replace(
            _PAPER,
            vision=replace(_PAPER_V, network={"latent_size": 64}, frames=100_000, epochs=230),
            memory=replace(_PAPER_M, units=(512,), length=500, heads=("done",)),
            controller=replace(
                _PAPER_C, features="zhc", bias=False, generations=200, steps=525, temperature=1.15, real=False
            ),
        ),
    },
}


def preset_of(env: str, pixels: bool, name: str) -> WorldPreset:
    """Return a preset of an environment; those without their own have that of their kind.

    Raises:
        InputError: for an unknown name.
    """
    if name not in NAMES:
        raise InputError(f"There is no preset {name!r}; expected one of {', '.join(NAMES)}.")
    own = {key: one for key, one in PRESETS.get(env, {}).items() if (one.vision is not None) == pixels}
    if name in own:
        return own[name]
    if name == "paper":
        return _PAPER if pixels else replace(_PAPER, vision=None)
    small = own.get("small", _SMALL_PIXELS if pixels else _SMALL_STATE)
    return small if name == "small" else _tiny(small)


def _tiny(small: WorldPreset) -> WorldPreset:
    """Return a preset that takes seconds, and leads to nothing."""
    vision = small.vision
    if vision is not None:
        network = {**vision.network, "latent_size": 4}
        vision = replace(vision, network=network, frames=200, epochs=1, batch_size=16, later=1)
    return replace(
        small,
        episodes=4,
        later_episodes=2,
        rounds=1,
        vision=vision,
        memory=replace(small.memory, units=(16,), epochs=1, length=32, batch_size=8),
        controller=replace(small.controller, popsize=4, generations=2, repeats=2, steps=20, every=2),
        unseen=2,
        baseline=2,
    )
