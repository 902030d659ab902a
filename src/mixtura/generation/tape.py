"""Random numbers made ready before the loop."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from mixtura.families.seeds import check_seed


class Tape:
    """Uniform random numbers: a stream of them for each sequence.

    Args:
        seed: one for all sequences, one for each, or None.
        batch_size: how many sequences there are.
        width: how many numbers a step takes.
        taken: how many steps each sequence has taken before, `(batch,)`.
    """

    def __init__(self, seed: Any, batch_size: int, width: int, taken: np.ndarray) -> None:
        self._width = width
        self._streams = []
        for (start, row), steps in zip(_starts(seed, batch_size), taken, strict=True):
            bits = np.random.PCG64(np.random.SeedSequence(start, spawn_key=(row,)))
            self._streams.append(np.random.Generator(bits.advance(int(steps) * width)))  # one word a number

    def take(self, steps: int) -> np.ndarray:
        """Return the numbers of the next steps, `(steps, batch, width)`."""
        numbers = np.stack([stream.random((steps, self._width)) for stream in self._streams], axis=1)
        return np.floor(numbers * 2**24) * 2**-24  # float32 holds them, and does not round one up to 1


def _starts(seed: Any, batch_size: int) -> list[tuple[int, int]]:
    """Return what starts each sequence's stream."""
    if are_several(seed):
        return [(_integer(one), 0) for one in seed]
    common = secrets.randbits(128) if seed is None else _integer(seed)
    return [(common, row) for row in range(batch_size)]


def are_several(seed: Any) -> bool:
    """Tell whether there is a seed for each sequence."""
    return np.ndim(seed) == 1


def _integer(seed: Any) -> int:
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"seed must be an integer, one for each sequence, or None; received {seed!r}")
    check_seed(seed.__index__())
    return seed.__index__()
