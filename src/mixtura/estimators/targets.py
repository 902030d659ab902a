"""Targets: what y holds, and the units in which a network learns it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from mixtura.data.tables import recording_step
from mixtura.estimators.columns import moments, refuse_non_finite

# No scale is below this share of the target's standard deviation, unless another floor is asked for.
SMALLEST_SHARE = 1e-3


@dataclass(frozen=True)
class Targets:
    """The units of y.

    Attributes:
        is_vector: whether y was `(rows,)`, not `(rows, outputs)`.
        mean: of each output.
        std: of each output.
        step: the step in which each output was recorded, 0 where there is none.
        min_scale: the floor of the scales, in units of `std`.
    """

    is_vector: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    step: tuple[float, ...]
    min_scale: tuple[float, ...]

    @classmethod
    def fit(cls, y: np.ndarray, is_vector: bool, weight: np.ndarray, min_scale: Any) -> Targets:
        """Learn the units from training rows.

        Args:
            y: `(rows, outputs)`, NaN where nothing is known.
            is_vector: whether it came as `(rows,)`.
            weight: how much each row counts; one of 0 is not looked at.
            min_scale: "auto", or the floor in the units of y: one number, or one for each output.

        Raises:
            ValueError: for an output that does not vary, or a floor of another size.
        """
        y, weight = y[weight > 0], weight[weight > 0]
        for place, output in enumerate(y.T):
            known = output[np.isfinite(output)]
            if not len(known) or np.ptp(known) == 0:
                what = f"is {known[0]:g} in every row" if len(known) else "has no value"
                name = "y" if is_vector else f"output {place} of y"
                raise ValueError(f"{name} {what}; a target must vary")
        mean, std = moments(y, weight)
        step = np.array([recording_step(output[np.isfinite(output)]) for output in y.T])
        if isinstance(min_scale, str):
            floor = _rounded_up(np.maximum(step / 2 / std, SMALLEST_SHARE))
        else:
            floor = np.asarray(min_scale, np.float64)
            if floor.shape not in ((), std.shape) or not ((floor >= 0) & (floor < np.inf)).all():
                raise ValueError(
                    f"min_scale must be one number, 0 or more, or one for each of {y.shape[1]} outputs; "
                    f"received {min_scale!r}"
                )
            floor = floor / std
        return cls(is_vector, *(tuple(map(float, part)) for part in (mean, std, step, floor)))

    def standardised(self, y: np.ndarray) -> np.ndarray:
        """Return y in units of the network."""
        return (y - np.array(self.mean)) / np.array(self.std)

    def shaped(self, values: np.ndarray) -> np.ndarray:
        """Return `(..., outputs)` as y was given: without the last axis where it had none."""
        return values[..., 0] if self.is_vector else values

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, floats exactly."""
        return asdict(self)

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Targets:
        """Return what `to_dict` described."""
        units = {name: tuple(value) for name, value in config.items() if name != "is_vector"}
        return cls(config["is_vector"], **units)


def read_targets(y: Any, rows: int, missing: bool, upper: Any = None) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return lower and upper bounds of y, `(rows, outputs)`, equal where y is known, and whether y is 1-D.

    Args:
        y: an array, series or data frame of numbers.
        rows: how many rows X has.
        missing: whether NaN stands for an output that is not known.
        upper: as in `MDNRegressor.fit`.

    Raises:
        ValueError: for another shape or number of rows, for a number that is not finite, which is named by
            row and column, or an upper bound below its lower one.
    """
    lower, is_vector = _numbers("y", y, rows)
    names = [str(name) for name in getattr(y, "columns", [])] or None
    unknown = np.isnan(lower) if missing and not is_vector else np.zeros_like(lower, bool)
    if upper is None:
        refuse_non_finite("y", np.where(unknown, 0.0, lower), names)
        high = lower
    else:
        high, _ = _numbers("y_upper", upper, rows)
        if high.shape != lower.shape:
            raise ValueError(f"y_upper has shape {high.shape}; expected that of y, {lower.shape}")
        high = np.where(np.isnan(high), lower, high)
        same = (lower == high) & ~np.isfinite(lower)
        refuse_non_finite("y", np.where(np.isinf(lower) & ~same, 0.0, np.where(unknown, 0.0, lower)), names)
        if (bad := high < lower).any():
            row, place = np.argwhere(bad)[0]
            raise ValueError(
                f"y_upper is {high[row, place]:g} in row {row}, below y, which is {lower[row, place]:g}"
            )
    return np.where(unknown, -np.inf, lower), np.where(unknown, np.inf, high), is_vector


def known_values(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return one value for each interval: its middle, its finite end, or NaN where it has none."""
    with np.errstate(invalid="ignore"):
        middle = 0.5 * lower + 0.5 * upper
    one_end = np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper, np.nan))
    return np.where(np.isfinite(middle), middle, one_end)


def _numbers(name: str, y: Any, rows: int) -> tuple[np.ndarray, bool]:
    values = check_array(
        y.to_numpy() if hasattr(y, "to_numpy") else y,
        dtype=np.float64,
        ensure_2d=False,
        ensure_all_finite=False,
        ensure_min_samples=0,
        input_name=name,
    )
    if values.ndim not in (1, 2) or (values.ndim == 2 and not values.shape[1]):
        raise ValueError(f"{name} must have shape (rows,) or (rows, outputs); received shape {values.shape}")
    if len(values) != rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {rows}, {name} {len(values)}"
        )
    return values.reshape(rows, -1), values.ndim == 1


def _rounded_up(floor: np.ndarray) -> np.ndarray:
    """Return floors with two digits, so that fits to similar data share their compiled programs."""
    unit = 10.0 ** (np.floor(np.log10(floor)) - 1)
    return np.ceil(np.round(floor / unit, 6)) * unit
