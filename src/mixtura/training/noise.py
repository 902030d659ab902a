"""Noise on the training data, fresh in every step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import keras
import numpy as np

from mixtura.families.checks import finite


@dataclass(frozen=True)
class DataNoise:
    r"""Adds normal noise to inputs and targets while training: $x + h_x\varepsilon$, $y + h_y\varepsilon'$.

    A network that predicts densities can put a spike on every training target. Noise on the data smooths
    what it may learn, as a kernel of width h would (Rothfuss et al. 2019, Noise Regularization for
    Conditional Density Estimation, arXiv:1907.08982, section 4). It is drawn anew for every step, and none is
    added in validation and prediction. Use it on standardised data, not on inputs whose padding a mask is
    made from.

    Args:
        x: the standard deviation for inputs, in their units; 0 for none. Integers are left alone.
        y: the same for targets.

    Raises:
        ValueError: if one is negative or not finite.
    """

    x: float = 0.0
    y: float = 0.0

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            if finite(name, getattr(self, name)) < 0:
                raise ValueError(f"{name} must be 0 or more; received {getattr(self, name)!r}")

    @classmethod
    def rule_of_thumb(cls, rows: int, dimensions: int, factor: float = 1.0) -> DataNoise:
        r"""Return noise of width $\text{factor} \cdot n^{-1/(4+d)}$ (the same paper, eq. 9).

        Args:
            rows: how many examples there are, n.
            dimensions: of input and target together, d; both are standardised.
            factor: the width for a single row.
        """
        width = factor * float(rows) ** (-1 / (4 + dimensions))
        return cls(width, width)

    def add(self, batch: tuple[Any, ...], key: Any, step: Any) -> tuple[Any, ...]:
        """Return the batch `(x,)`, `(x, y)` or `(x, y, sample_weight)` with noise.

        Args:
            batch: arrays.
            key: two integers; each key and step has its own noise.
            step: a number.
        """
        numbers = count()
        parts = []
        for width, part in zip((self.x, self.y), batch, strict=False):
            leaves = []
            for leaf in keras.tree.flatten(part):
                place = next(numbers)
                is_real = leaf is not None and "float" in str(leaf.dtype)
                leaves.append(leaf + width * _normal(leaf, key, step, place) if width and is_real else leaf)
            parts.append(keras.tree.pack_sequence_as(part, leaves))
        return (*parts, *batch[2:])


def _normal(like: Any, key: Any, step: Any, place: int) -> Any:
    """Return standard normal numbers of the shape and type of `like`."""
    if keras.backend.backend() != "jax":
        rng = np.random.default_rng((*key, step, place))
        return rng.standard_normal(like.shape).astype(like.dtype)
    import jax

    key = jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(key), step), place)
    return jax.random.normal(key, like.shape, like.dtype)
