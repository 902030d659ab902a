"""The batches of an epoch: their order, and the noise on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from mixtura.training import arrays
from mixtura.training.noise import DataNoise
from mixtura.training.ragged import Ragged


class Batches(keras.utils.PyDataset):
    """The batches of arrays, epoch by epoch.

    With a seed, order and noise depend on the seed, the epoch and the step alone, so that a resumed run meets
    the batches of an uninterrupted one. Without, the order comes from NumPy's global generator, as in
    `keras.Model.fit`.

    The rows of a `Ragged` are counted through all its parts. Each batch has rows of one part, and an epoch
    mixes the batches of all parts.

    Args:
        data: `(x,)`, `(x, y)` or `(x, y, sample_weight)`, or a `Ragged`.
        batch_size: rows in a batch; the last batch of an epoch has the rest. A `Ragged` has its own.
        shuffle: whether every epoch has its own order.
        seed: see above; noise needs one.
        noise: to add.
    """

    def __init__(
        self,
        data: tuple[Any, ...] | Ragged,
        batch_size: int,
        shuffle: bool = True,
        seed: int | None = None,
        noise: DataNoise | None = None,
    ) -> None:
        super().__init__()
        self.ragged = data if isinstance(data, Ragged) else None
        self.parts: tuple[tuple[Any, ...], ...] = data.parts if isinstance(data, Ragged) else (data,)
        self.batch_size, self.noise = data.batch_size if isinstance(data, Ragged) else batch_size, noise
        self._counts = [arrays.rows(part) for part in self.parts]
        self._first = np.cumsum([0, *self._counts[:-1]])
        self.rows = sum(self._counts)
        if not self.rows:
            raise ValueError("there are no rows")
        self._shuffle, self._seed = shuffle, seed
        self.rewind()
        self.key: np.ndarray = np.zeros(2, np.uint32)

    def rewind(self) -> None:
        """Take the rows in the order that they have unless shuffled: the parts take turns."""
        self.order = np.arange(self.rows, dtype=np.int32)
        if len(self.parts) > 1:
            batches = self.order.reshape(-1, self.batch_size)
            place = batches[:, 0] - np.repeat(self._first, self._counts)[batches[:, 0]]
            self.order = batches[np.argsort(place, kind="stable")].reshape(-1)

    def start(self, epoch: int) -> None:
        """Draw the order of an epoch."""
        if self._seed is not None:
            self.key = np.random.SeedSequence((self._seed, epoch)).generate_state(2)
        if self._shuffle and self._seed is None:
            self.order = self._drawn(np.random.permutation)
        elif self._shuffle:
            self.order = self._drawn(np.random.default_rng(self.key).permutation)

    def _drawn(self, permutation: Callable[[int], np.ndarray]) -> np.ndarray:
        parts = [first + permutation(count) for first, count in zip(self._first, self._counts, strict=True)]
        order = np.concatenate(parts)
        if len(parts) > 1:
            order = order.reshape(-1, self.batch_size)[permutation(len(self))].reshape(-1)
        return order.astype(np.int32)

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def where(self, step: int) -> np.ndarray:
        """Return the row numbers of a step."""
        return self.order[step * self.batch_size : (step + 1) * self.batch_size]

    def name(self, row: int) -> str:
        """Say which row a message is about."""
        return f"row {row}" if self.ragged is None else self.ragged.name(row)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        part, where = self._locate(step)
        batch = arrays.take(self.parts[part], where)
        return batch if self.noise is None else self.noise.add(batch, self.key, step)

    def _locate(self, step: int) -> tuple[int, np.ndarray]:
        """Return the part of a step, and the step's row numbers in that part."""
        where = self.where(step)
        part = int(np.searchsorted(self._first, where[0], side="right")) - 1
        return part, where - self._first[part].astype(np.int32)

    def segments(self) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """Yield what one call of a program does: a part, the first step, whole batches, and the rest.

        Parts follow each other batch by batch, so each of their batches is a call of its own.
        """
        if len(self.parts) == 1:
            yield 0, 0, *self.split()
            return
        for step in range(len(self)):
            part, where = self._locate(step)
            yield part, step, where[None][:0], where

    def split(self, part: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return a part's row numbers: those of its whole batches `(steps, batch_size)`, and the rest."""
        first, count = self._first[part].astype(np.int32), self._counts[part]
        where = self.order[(first <= self.order) & (self.order < first + count)] - first
        whole = count // self.batch_size * self.batch_size
        return where[:whole].reshape(-1, self.batch_size), where[whole:]
