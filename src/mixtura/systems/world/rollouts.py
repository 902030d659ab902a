"""Episodes, how one is played, and the job of playing one that engines hand to workers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from mixtura.errors import InputError
from mixtura.files import replacing
from mixtura.systems.world.environments import Environment, GameError, World
from mixtura.systems.world.policies import Policy


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T decisions.

    Attributes:
        seed: of its environment and policy.
        observations: before each decision and after the last, `(T + 1, ...)`; none where they were not kept.
        actions: the codes, `(T, size)`, float32.
        rewards: `(T,)`, float32.
        terminated: whether it ended by itself; else it was cut off.
    """

    seed: int
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool

    @property
    def total(self) -> float:
        """The sum of the rewards."""
        return float(self.rewards.sum(dtype=np.float64))

    def __len__(self) -> int:
        return len(self.rewards)

    def save(self, path: Path) -> None:
        """Write the episode as a compressed npz: `obs` and `action` as published, and what else there is.

        Codes are kept in float16, as published.
        """
        arrays = {
            "obs": self.observations,
            "action": self.actions.astype(np.float16),
            "reward": self.rewards,
            "terminated": np.array(self.terminated),
            "seed": np.array(self.seed),
        }
        # Not by `np.savez_compressed`: its level of compression takes longer than the game.
        with replacing(path) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED, compresslevel=3) as file:
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> Episode:
        """Read an episode.

        Raises:
            InputError: if the file is none that `save` wrote.
        """
        with recorded(path) as arrays:
            return cls(
                seed=int(arrays["seed"]),
                observations=arrays["obs"],
                actions=arrays["action"].astype(np.float32),
                rewards=arrays["reward"],
                terminated=bool(arrays["terminated"]),
            )


@contextmanager
def recorded(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Open a file of an episode; an array is read when it is asked for.

    Raises:
        InputError: if the file, or what is asked of it, is damaged or missing.
    """
    try:
        # Given a path, NumPy would leave a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except Exception as error:  # damage shows in any way
        raise InputError(f"{path} is no recorded episode ({type(error).__name__}: {error}).") from error


def rollout(environment: Environment, policy: Policy, seed: int, keep: bool = True) -> Episode:
    """Play one episode.

    Args:
        environment: where.
        policy: who plays.
        seed: of both.
        keep: whether the episode keeps its observations.
    """
    player = policy.start(environment.actions, seed)
    observation = environment.reset(seed)
    observations, codes, rewards = [observation], [], []
    terminated = truncated = False
    while not (terminated or truncated):
        code = player(observation)
        observation, reward, terminated, truncated = environment.step(code)
        codes.append(code)
        rewards.append(reward)
        if keep:
            observations.append(observation)
    return Episode(
        seed=seed,
        observations=np.stack(observations)[: None if keep else 0],
        actions=np.stack(codes).astype(np.float32),
        rewards=np.array(rewards, np.float32),
        terminated=terminated,
    )


PATIENCE = 900.0  # seconds after which an episode is taken for one that hangs, a worker's start included


class Job(NamedTuple):
    """An episode to be played.

    Attributes:
        world: where.
        policy: who plays; it can be pickled.
        seed: of both.
        record: the folder of recordings that gets the episode; None for none.
        actions: whether the codes are wanted.
    """

    world: World
    policy: Policy
    seed: int
    record: Path | None = None
    actions: bool = False


class Played(NamedTuple):
    """What became of a job: the sum of the rewards, how many decisions, and the codes where wanted."""

    seed: int
    total: float
    steps: int
    terminated: bool
    codes: np.ndarray | None = None


_open: dict[str, Environment] = {}  # of this process, at most one


def play(job: Job) -> Played:
    """Play an episode, in an environment that stays open for the next one.

    If the game falls over, the episode is played once more in a new one.

    Raises:
        InputError: if its file cannot be written.
        GameError: if the game falls over again.
    """
    try:
        return _play(job)
    except GameError:
        return _play(job)


def _play(job: Job) -> Played:
    environment = _opened(job.world)
    try:
        episode = rollout(environment, job.policy, job.seed, keep=job.record is not None)
    except Exception:
        close()  # a game that failed is in no state for another episode
        raise
    if job.record is not None:
        path = path_of(job.record, job.seed)
        try:
            episode.save(path)
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror or error}); the episodes before it are kept."
            ) from error
    codes = episode.actions if job.actions else None
    return Played(job.seed, episode.total, len(episode), episode.terminated, codes)


def close() -> None:
    """Close the environment that `play` left open."""
    for key in list(_open):
        _open.pop(key).close()


def path_of(folder: Path, seed: int) -> Path:
    """Return the file of an episode in a folder of recordings."""
    return folder / f"{seed:09d}.npz"


def _opened(world: World) -> Environment:
    key = json.dumps(world.to_config(), sort_keys=True)
    if key not in _open:
        close()
        _open[key] = Environment(world)
    return _open[key]
