"""Draws as an instrument would record them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.families import Affine, Family, host
from mixtura.families.draws import Draws
from mixtura.sampling import Samplers


@keras.saving.register_keras_serializable(package="mixtura")
class Recorded(Affine):
    """A family in other units whose draws, not densities, are rounded to a grid and kept in a range.

    What a network draws it sees as its next input, and it has learnt from values on a grid: half a step, or a
    value beyond the end of a fader, would be nothing it knows.

    Args:
        family: see `Affine`.
        shift: see there.
        scale: see there.
        step: of the grid, in the events' units, one for each dimension; 0 for none.
        low: the least value of a draw, one for each.
        high: the largest.
    """

    def __init__(
        self,
        family: Family,
        shift: float | Sequence[float],
        scale: float | Sequence[float],
        step: Sequence[float],
        low: Sequence[float],
        high: Sequence[float],
    ) -> None:
        super().__init__(family, shift, scale)
        self._configure(**dict(self._config), step=tuple(step), low=tuple(low), high=tuple(high))

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        y = super()._sample(xp, params, source, sampler, draws)
        given = np.array(self.step)
        numbers = [np.where(given > 0, given, 1.0), given > 0, np.array(self.low), np.array(self.high)]
        if xp is not host:
            dtypes = [y.dtype, "bool", y.dtype, y.dtype]
            numbers = [ops.convert_to_tensor(n, dtype=d) for n, d in zip(numbers, dtypes, strict=True)]
        step, has_grid, low, high = numbers
        y = xp.where(has_grid, (np.round if xp is host else ops.round)(y / step) * step, y)
        return xp.where(y < low, low, xp.where(y > high, high, y))
