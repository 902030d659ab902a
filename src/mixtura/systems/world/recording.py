"""Recordings: a folder with a file for each episode, named by its seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from mixtura.errors import InputError
from mixtura.systems.world.engines import Engine
from mixtura.systems.world.environments import World
from mixtura.systems.world.policies import Policy
from mixtura.systems.world.rollouts import PATIENCE, Episode, Job, path_of, play


class Recording:
    """Episodes in a folder; it may be filled while it is read.

    Args:
        folder: where; it need not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def seeds(self) -> list[int]:
        """Return the seeds of the episodes that are there, in order."""
        names = (re.fullmatch(r"(\d{9,})\.npz", path.name) for path in self.folder.glob("*.npz"))
        return sorted(int(name[1]) for name in names if name)

    def path(self, seed: int) -> Path:
        """Return the file of an episode."""
        return path_of(self.folder, seed)

    def read(self, seed: int) -> Episode:
        """Read an episode.

        Raises:
            InputError: if it is missing or damaged.
        """
        return Episode.load(self.path(seed))

    def episodes(self) -> Iterator[Episode]:
        """Read the episodes, one at a time, in the order of their seeds."""
        return map(self.read, self.seeds())

    def frames(self, count: int, seed: int) -> np.ndarray:
        """Draw observations without replacement.

        Episodes are read in random order until they hold twice as many observations as are wanted; these are
        drawn from them. So what is read and held grows with the sample, not with the recording.

        Args:
            count: how many; all there are, if there are fewer.
            seed: of the draw.

        Returns:
            `(count, ...)`, in random order.

        Raises:
            InputError: if there are none.
        """
        seeds = self.seeds()
        if not seeds:
            raise InputError(f"{self.folder} has no recorded episodes.")
        rng = np.random.default_rng(seed)
        episodes: list[np.ndarray] = []
        held = 0
        for number in rng.permutation(len(seeds)):
            episodes.append(self.read(seeds[number]).observations)
            held += len(episodes[-1])
            if held >= 2 * count:
                break
        chosen = rng.permutation(held)[:count]
        ends = np.cumsum([len(one) for one in episodes])
        sample = np.empty((len(chosen), *episodes[0].shape[1:]), episodes[0].dtype)
        of = np.searchsorted(ends, chosen, side="right")
        for number, one in enumerate(episodes):
            sample[of == number] = one[chosen[of == number] - (ends[number] - len(one))]
        return sample

    @property
    def bytes(self) -> int:
        """What the files take on disk."""
        return sum(self.path(seed).stat().st_size for seed in self.seeds())


def collect(
    engine: Engine,
    world: World,
    policy: Policy,
    folder: str | Path,
    seeds: Iterable[int],
    *,
    max_bytes: int | None = None,
    progress: Callable[[], object] | None = None,
) -> Recording:
    """Play the episodes that a recording lacks; a collection that was cut off goes on.

    Args:
        engine: what plays them.
        world: where.
        policy: who plays.
        folder: of the recording.
        seeds: of the episodes.
        max_bytes: what the recording may take on disk.
        progress: called with every episode that is there.

    Raises:
        InputError: if the recording has reached `max_bytes`, or a file cannot be written, as on a full disk.
            The episodes that are finished stay.
    """
    recording = Recording(folder)
    seeds = list(seeds)
    there = {*recording.seeds()}
    missing = [seed for seed in seeds if seed not in there]
    for _ in range(len(seeds) - len(missing)):
        _tell(progress)
    size = recording.bytes
    jobs = [Job(world, policy, seed, recording.folder.absolute()) for seed in missing]
    if jobs:
        _check(recording, size, max_bytes, len(jobs))
    with closing(engine.map(play, jobs, PATIENCE)) as played:
        for done, (number, _) in enumerate(played, start=1):
            _tell(progress)
            size += recording.path(missing[number]).stat().st_size
            if done < len(jobs):
                _check(recording, size, max_bytes, len(jobs) - done)
    return recording


def _tell(progress: Callable[[], object] | None) -> None:
    if progress is not None:
        progress()


def _check(recording: Recording, size: int, max_bytes: int | None, left: int) -> None:
    if max_bytes is not None and size >= max_bytes:
        raise InputError(
            f"{recording.folder} takes {size / 1e6:.1f} MB, at least the {max_bytes / 1e6:.1f} MB allowed, "
            f"and {left} episodes are missing; it keeps the {len(recording.seeds())} that are finished."
        )
