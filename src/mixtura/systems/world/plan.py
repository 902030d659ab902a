"""A run of a world: what was asked for, and where everything lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixtura.errors import InputError
from mixtura.systems.world.actions import Actions
from mixtura.systems.world.environments import Environment, World
from mixtura.systems.world.memory import Layout, Series
from mixtura.systems.world.presets import WorldPreset
from mixtura.systems.world.recording import Recording

# Seeds of episodes: recordings of a run and round have their own, and nobody else's are these.
PER_RUN, PER_ROUND, RUNS = 1_000_000, 50_000, 700
CANDIDATES, CHOOSING, UNSEEN = 700_000_000, 800_000_000, 900_000_000  # of evolution, of sweeps, of judging
HELD_OUT = 16  # of so many recorded episodes one is not learnt from


@dataclass(frozen=True)
class Plan:
    """A run.

    Attributes:
        path: the run's folder.
        world: the environment.
        preset: what is learnt with.
        seed: of everything.
        untrained: whether M stays as it begins, to see what its training is worth.
        max_bytes: what recordings may take on disk; None for any.
    """

    path: Path
    world: World
    preset: WorldPreset
    seed: int
    untrained: bool = False
    max_bytes: int | None = None

    @property
    def hold(self) -> tuple[int, int]:
        """For how many decisions, from and to, recordings hold an action that is random."""
        return self.preset.hold or self.world.hold

    @cached_property
    def actions(self) -> Actions:
        """What codes mean in the environment, which is opened once to see."""
        with Environment(self.world) as environment:
            return environment.actions

    def round(self, number: int) -> Path:
        """Return the folder of a round, counted from 1."""
        return self.path / f"round-{number}"

    def recording(self, number: int) -> Recording:
        """Return the episodes that were recorded in a round."""
        return Recording(self.round(number) / "recordings")

    def seeds(self, number: int) -> list[int]:
        """Return the seeds of the episodes to record in a round."""
        count = self.preset.episodes if number == 1 else self.preset.later_episodes
        first = self.seed % RUNS * PER_RUN + (number - 1) * PER_ROUND
        return list(range(first, first + count))

    def vision(self, number: int) -> Path | None:
        """Return the run folder of V after a round; None where there is no V."""
        return None if self.preset.vision is None else self.round(number) / "vision"

    def memory(self, number: int) -> Path:
        """Return the run folder of M after a round."""
        return self.round(number) / "memory"

    def to_config(self) -> dict[str, Any]:
        """Return what was asked for, as JSON types."""
        return {
            "system": "world",
            "world": self.world.to_config(),
            "settings": self.preset.to_config(),
            "seed": self.seed,
            "untrained": self.untrained,
            "max_bytes": self.max_bytes,
        }

    @classmethod
    def from_config(cls, path: Path, config: Mapping[str, Any]) -> Plan:
        """Return the plan of a run's `config.json`.

        Raises:
            InputError: if it is a run of something else, or not all is there.
        """
        if config.get("system") != "world":
            raise InputError(f"{path} is a run of {config.get('system')!r}; expected one of a world.")
        try:
            return cls(
                path,
                World.from_config(config["world"]),
                WorldPreset.from_config(config["settings"]),
                config["seed"],
                config["untrained"],
                config["max_bytes"],
            )
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"{path / 'config.json'} is damaged or of another version of Mixtura's "
                f"({type(error).__name__}: {error})."
            ) from error


class Seen(NamedTuple):
    """All recorded episodes in latents.

    Attributes:
        training: what M learns from.
        held_out: what it is judged by.
        layout: of M's events.
        reward: of a decision, where it is always the same.
        starts: z of every first moment, `(n, z)`.
    """

    training: list[Series]
    held_out: list[Series]
    layout: Layout
    reward: float
    starts: np.ndarray

    @classmethod
    def of(cls, series: Sequence[Series], heads: Sequence[str] | None = None) -> Seen:
        """Split episodes: every sixteenth is held out; of less than that, one is judged and learnt from.

        Args:
            series: the episodes.
            heads: what M predicts beside z; by default what the episodes ask for.
        """
        held_out = [one for number, one in enumerate(series) if number % HELD_OUT == HELD_OUT - 1]
        training = [one for number, one in enumerate(series) if number % HELD_OUT != HELD_OUT - 1]
        layout, reward = Layout.of(series)
        if heads is not None:
            layout = layout._replace(reward="reward" in heads, done="done" in heads)
        starts = np.stack([one.mean[0] for one in series])
        return cls(training, held_out or training[:1], layout, reward, starts)
