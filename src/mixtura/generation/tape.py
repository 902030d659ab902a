"""Random numbers made ready before the loop."""

from __future__ import annotations

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
        for words, steps in zip(_words(seed, batch_size), taken, strict=True):
            bits = np.random.PCG64(np.random.SeedSequence(words))
            self._streams.append(np.random.Generator(bits.advance(int(steps) * width)))  # one word a number

    def take(self, steps: int) -> np.ndarray:
        """Return the numbers of the next steps, `(steps, batch, width)`."""
        numbers = np.stack([stream.random((steps, self._width)) for stream in self._streams], axis=1)
        return np.floor(numbers * 2**24) * 2**-24  # float32 holds them, and does not round one up to 1


def _words(seed: Any, batch_size: int) -> list[tuple[int, int]]:
    """Return what starts each sequence's stream."""
    if seed is not None and not hasattr(seed, "__index__"):
        for one in seed:
            check_seed(one)
        return [(int(one), 0) for one in seed]
    check_seed(seed)
    common = int(np.random.default_rng().integers(2**63)) if seed is None else int(seed)
    return [(common, row) for row in range(batch_size)]
