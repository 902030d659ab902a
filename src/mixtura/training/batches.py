"""The batches of an epoch: their order, and the noise on them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from mixtura.training import arrays
from mixtura.training.noise import DataNoise


class Batches(keras.utils.PyDataset):
    """The batches of arrays, epoch by epoch.

    With a seed, order and noise depend on the seed, the epoch and the step alone, so that a resumed run meets
    the batches of an uninterrupted one. Without, the order comes from NumPy's global generator, as in
    `keras.Model.fit`.

    Args:
        data: `(x,)`, `(x, y)` or `(x, y, sample_weight)`.
        batch_size: rows in a batch; the last batch of an epoch has the rest.
        shuffle: whether every epoch has its own order.
        seed: see above; noise needs one.
        noise: to add.
    """

    def __init__(
        self,
        data: tuple[Any, ...],
        batch_size: int,
        shuffle: bool = True,
        seed: int | None = None,
        noise: DataNoise | None = None,
    ) -> None:
        super().__init__()
        self.data, self.batch_size, self.noise = data, batch_size, noise
        self.rows = arrays.rows(data)
        if not self.rows:
            raise ValueError("there are no rows")
        self._shuffle, self._seed = shuffle, seed
        self.order = np.arange(self.rows, dtype=np.int32)
        self.key: np.ndarray = np.zeros(2, np.uint32)

    def start(self, epoch: int) -> None:
        """Draw the order of an epoch."""
        if self._seed is not None:
            self.key = np.random.SeedSequence((self._seed, epoch)).generate_state(2)
        if self._shuffle and self._seed is None:
            self.order = np.random.permutation(self.rows).astype(np.int32)  # noqa: NPY002 - as Keras
        elif self._shuffle:
            self.order = np.random.default_rng(self.key).permutation(self.rows).astype(np.int32)

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def where(self, step: int) -> np.ndarray:
        """Return the row numbers of a step."""
        return self.order[step * self.batch_size : (step + 1) * self.batch_size]

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        batch = arrays.take(self.data, self.where(step))
        return batch if self.noise is None else self.noise.add(batch, self.key, step)

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the row numbers of the whole batches `(steps, batch_size)` and of the rest."""
        whole = self.rows // self.batch_size
        first = whole * self.batch_size
        return self.order[:first].reshape(whole, self.batch_size), self.order[first:]
