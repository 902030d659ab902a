"""Random numbers for families: from the Keras backend for tensors, from NumPy for arrays.

Both kinds answer to the same four methods, so that a family writes its sampling once. NumPy's are the same on
every backend, in float64, and need no compiling.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.families import host
from mixtura.families.seeds import check_seed, split_seed
from mixtura.families.tables import rows_of
from mixtura.sampling import PLAIN

# Up to so many components a choice is written out term by term.
FEW = 32


class TensorDraws:
    """Draws on the Keras backend.

    Args:
        seed: an int, a `keras.random.SeedGenerator`, a JAX key, or None for fresh entropy.
    """

    def __init__(self, seed: Any) -> None:
        [self._seed] = split_seed(seed, 1)

    def split(self, count: int) -> list[TensorDraws]:
        """Return so many independent sources."""
        return [TensorDraws(seed) for seed in split_seed(self._seed, count)]

    def normal(self, shape: tuple[Any, ...], like: Any) -> Any:
        """Draw standard normal numbers of the dtype of `like`."""
        return keras.random.normal(shape, dtype=like.dtype, seed=self._seed)

    def uniform(self, shape: tuple[Any, ...], like: Any) -> Any:
        """Draw numbers from [0, 1) of the dtype of `like`."""
        return keras.random.uniform(shape, dtype=like.dtype, seed=self._seed)

    def choose(self, draws: tuple[int, ...], logits: Any, temperature: Any) -> Any:
        """Draw indices with probabilities softmax(logits / temperature), `(*draws, *batch)`."""
        # Inverting the cumulative weights takes one uniform number a row, where Gumbel noise would take K.
        # Dividing by the last makes it exactly 1, so that a component of weight zero is never drawn.
        weights = ops.exp(tempered(ops, logits, temperature))
        count = logits.shape[-1]
        if count > FEW:
            cumulative = ops.cumsum(weights, axis=-1)
        else:  # added up in order, which compiles to faster code than a cumulative sum
            cumulative = ops.concatenate(list(accumulate(rows_of(ops, weights, count))), axis=-1)
        cumulative = cumulative[..., :-1] / cumulative[..., -1:]
        uniform = self.uniform((*draws, *ops.shape(logits)[:-1], 1), logits)
        return ops.sum(ops.cast(uniform >= cumulative, "int32"), axis=-1)

    def pick(self, draws: tuple[int, ...], logits: Any, temperature: Any, table: Any) -> Any:
        """Draw a column of each row's `table` `(*batch, P, K)` by its logits, `(*draws, *batch, P)`."""
        chosen = self.choose(draws, logits, temperature)[..., None]
        count = logits.shape[-1]
        # A gather compiles to a loop that takes one number at a time.
        if count > FEW:
            is_chosen = chosen[..., None] == ops.arange(count, dtype="int32")
            return ops.sum(ops.where(is_chosen, table, ops.zeros_like(table)), axis=-1)
        picked = table[..., 0]
        for k in range(1, count):
            picked = ops.where(chosen == k, table[..., k], picked)
        return picked


class TapeDraws(TensorDraws):
    """Draws made of numbers that are there already, for programs that draw in every turn of a loop.

    Row r of a batch is drawn from row r of the tape alone, so it does not depend on the batch; and a family's
    draws take the numbers in order, always as many (`numbers_of`).

    Args:
        tape: numbers uniform on [0, 1), in steps of 2^-24 or less, `(batch, count)`.
    """

    def __init__(self, tape: Any) -> None:
        self._tape, self._taken = tape, 0

    def split(self, count: int) -> list[TensorDraws]:
        """Return this source so many times: each takes the next numbers."""
        return [self] * count

    def normal(self, shape: tuple[Any, ...], like: Any) -> Any:
        """Return standard normal numbers, by the inverse of their distribution function."""
        # The middle of a number's step of 2^-24, doubled and less one: erfinv is infinite at the ends.
        centred = 2 * self.uniform(shape, like) - (1 - 2**-24)
        # On the negative side alone TensorFlow's erfinv keeps its digits.
        return -math.sqrt(2) * ops.sign(centred) * ops.erfinv(-ops.abs(centred))

    def uniform(self, shape: tuple[Any, ...], like: Any) -> Any:
        """Return the next numbers of each row."""
        count = math.prod(shape[1:])
        numbers = self._tape[:, self._taken : self._taken + count]
        self._taken += count
        return ops.cast(ops.reshape(numbers, shape), like.dtype)


@lru_cache(maxsize=64)
def numbers_of(family: Any) -> int:
    """Return how many numbers of a tape one draw from a family takes."""
    counter = _Counter()
    family._sample(host, np.zeros((1, family.params_size)), counter, PLAIN, ())
    return counter.count


class ArrayDraws:
    """Draws with NumPy, in float64.

    Args:
        seed: as `TensorDraws` takes, or a `numpy.random.Generator`.
    """

    def __init__(self, seed: Any) -> None:
        if isinstance(seed, np.random.Generator):
            self._rng = seed
        else:
            check_seed(seed)
            if isinstance(seed, keras.random.SeedGenerator):
                seed = ops.convert_to_numpy(seed.next())
            elif host.is_tensor(seed):
                [word, _] = split_seed(seed, 2)
                seed = ops.convert_to_numpy(keras.random.randint((4,), 0, 2**31 - 1, seed=word))
            self._rng = np.random.default_rng(seed)

    def split(self, count: int) -> list[ArrayDraws]:
        """Return so many independent sources."""
        return [ArrayDraws(child) for child in self._rng.spawn(count)]

    def normal(self, shape: tuple[int, ...], like: np.ndarray) -> np.ndarray:
        """Draw standard normal numbers."""
        return self._rng.standard_normal(shape)

    def uniform(self, shape: tuple[int, ...], like: np.ndarray) -> np.ndarray:
        """Draw numbers from [0, 1)."""
        return self._rng.random(shape)

    def choose(self, draws: tuple[int, ...], logits: np.ndarray, temperature: Any) -> np.ndarray:
        """Draw indices with probabilities softmax(logits / temperature), `(*draws, *batch)`.

        All rows' cumulative weights lie one after another in one increasing table, row r between r and
        r + 1, so that one binary search serves all draws and memory does not grow with the components.
        """
        *batch, count = logits.shape
        weights = np.exp(tempered(host, logits, temperature)).reshape(-1, count)
        cumulative = np.cumsum(weights, axis=-1)
        rows = np.arange(len(weights))
        table = cumulative / cumulative[:, -1:] + rows[:, None]
        uniform = self._rng.random((*draws, len(weights)))
        # Rounding can carry a number close to 1 into the next row's place.
        sought = np.minimum(uniform + rows, np.nextafter(rows + 1.0, 0.0))
        found = np.searchsorted(table.ravel(), sought, side="right") - rows * count
        return found.reshape((*draws, *batch))

    def pick(
        self, draws: tuple[int, ...], logits: np.ndarray, temperature: Any, table: np.ndarray
    ) -> np.ndarray:
        """Draw a column of each row's `table` `(*batch, P, K)` by its logits, `(*draws, *batch, P)`."""
        chosen = self.choose(draws, logits, temperature)[..., None, None]
        table = table.reshape(*[1] * len(draws), *table.shape)
        return np.take_along_axis(table, chosen, axis=-1)[..., 0]


class _Counter(ArrayDraws):
    """Counts the uniform numbers that a draw takes."""

    def __init__(self) -> None:
        super().__init__(0)
        self.count = 0

    def split(self, count: int) -> list[ArrayDraws]:
        return [self] * count

    def normal(self, shape: tuple[int, ...], like: np.ndarray) -> np.ndarray:
        self.count += math.prod(shape)
        return np.zeros(shape)

    uniform = normal

    def choose(self, draws: tuple[int, ...], logits: np.ndarray, temperature: Any) -> np.ndarray:
        self.count += math.prod(logits.shape[:-1])
        return np.zeros((*draws, *logits.shape[:-1]), int)


Draws = TensorDraws | ArrayDraws


def tempered(xp: Any, logits: Any, temperature: Any) -> Any:
    """Return logits / temperature, less their largest; 0 leaves the largest and makes the others -inf."""
    logits = logits - xp.max(logits, axis=-1, keepdims=True)
    if isinstance(temperature, Real):
        return logits if temperature == 1 else logits / max(float(temperature), 1e-30)
    return logits / xp.cast(xp.maximum(temperature, 1e-30), logits.dtype)
