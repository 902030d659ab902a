"""Heads: what the network says of the next event, and what it says before training."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.families import (
    Family,
    Independent,
    Joint,
    Laplace,
    LogNormal,
    Mixture,
    Normal,
    SpikeAndSlab,
)
from mixtura.families.fitting import Events
from mixtura.families.mixture import table_of
from mixtura.systems.impsy.data import LONGEST, moves
from mixtura.systems.impsy.recorded import Recorded

SCALE = 10.0  # by which IMPSY multiplies values and dt
DT_FLOOR = 0.05  # of the scale of log dt: pauses that were cut to 5 s are no point of infinite density
HEADS = ("normal", "independent", "tied", "together")


class Units(NamedTuple):
    """What events are measured by.

    Attributes:
        controls: how many there are.
        step: the recording step of values.
        move: a power of two, near how far a value moves when it moves: so an `Affine` rounds nothing, and
            what repeats repeats exactly.
        level: the spread of values.
        dt: the median.
        shortest: the least dt.
    """

    controls: int
    step: float
    move: float
    level: float
    dt: float
    shortest: float


def units_of(sessions: Sequences, step: float) -> Units:
    """Return the units of sessions."""
    moved, dt, _ = moves(sessions)
    some = np.abs(moved[moved != 0])
    move = 2.0 ** round(np.log2(some.mean())) if some.size else 2.0**-5
    values = sessions.data[:, :-1]
    return Units(
        values.shape[1], step, move, float(values.std()) or 1.0, float(np.median(dt)), float(dt.min())
    )


def head(name: str, units: Units, components: int, dt_components: int = 5, slab: int = 4) -> Family:
    """Return what one event is distributed as.

    - "normal": IMPSY's, a mixture of diagonal normals over values and dt alike, in tenths. A floor of what
      rounding does, the recording step over the root of 12, without which its likelihood has no bound.
    - "independent": each control stays or moves by itself (`SpikeAndSlab`); dt is a mixture of log-normals.
    - "tied": a mixture of the same. Which controls move is one choice, that of the component.
    - "together": that choice covers dt as well.

    Args:
        name: one of `HEADS`.
        units: of the events.
        components: of the mixture over whole events.
        dt_components: of dt's own.
        slab: the number of normals that a control's move is a mixture of: moves of a few sizes to either side
            are more frequent than what lies between. 0 for one Laplace distribution.
    """
    if name == "normal":
        floors = [*[units.step] * units.controls, 1e-3]
        normal = Normal(units.controls + 1, min_scale=(SCALE / np.sqrt(12) * np.array(floors)).tolist())
        ends = [0.0] * units.controls + [units.shortest], [1.0] * units.controls + [LONGEST]
        steps = [*[units.step] * units.controls, 0.0]
        return Recorded(Mixture(normal, components), 0.0, 1 / SCALE, steps, *ends)
    floor = units.step / np.sqrt(12) / units.move
    scale: dict[str, Any] = {"scale": "exp", "min_scale": floor}
    moved: Family = Mixture(Normal(**scale), slab) if slab else Laplace(**scale)
    each = SpikeAndSlab(moved, units.step / units.move)
    values: Family = Independent(each, units.controls)
    if name == "tied":
        values = Mixture(values, components)
    ends = [0.0] * units.controls, [1.0] * units.controls
    values = Recorded(values, 0.0, units.move, [units.step] * units.controls, *ends)
    dt = Mixture(LogNormal(min_scale=DT_FLOOR), dt_components)
    event = Joint(values=values, dt=Recorded(dt, 0.0, units.dt, [0.0], [units.shortest], [LONGEST]))
    return Mixture(event, components) if name == "together" else event


def start(family: Any, moved: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """Return parameters that describe events as moves from the last one, `(params_size,)`.

    The components of a "tied" or "together" head begin at the most frequent patterns of which controls move.

    Args:
        family: a head other than "normal".
        moved: `(rows, controls)`.
        dt: `(rows,)`.
    """
    if isinstance(family, Mixture):
        return _by_pattern(family, np.column_stack([moved, dt]), moved)
    values = family["values"]
    inner, unit = values.family, values.scale[0]
    if isinstance(inner, Mixture):
        return np.concatenate([_by_pattern(inner, moved / unit, moved), family["dt"].fit(dt)])
    return family.fit(np.column_stack([moved, dt]))


def patterns(moved: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` most frequent patterns of which controls move, `(count or fewer, controls)`."""
    found, counts = np.unique(moved != 0, axis=0, return_counts=True)
    return found[np.argsort(-counts, kind="stable")[:count]]


def nearest(moved: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the number of the pattern that each row is or is nearest to, `(rows,)`."""
    return ((moved != 0)[:, None] != known).sum(axis=-1).argmin(axis=-1)


def _by_pattern(family: Mixture, rows: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return a mixture's parameters, each component fitted to the rows of one pattern."""
    count, rng = family.num_components, np.random.default_rng(0)
    labels = nearest(moved, patterns(moved, count))
    own = [rows[labels == k] for k in range(count)]
    fits = [family.family._fit(Events(some if len(some) else rows, rows, count), rng) for some in own]
    return table_of(np.log([len(some) + 1.0 for some in own]), np.stack(fits))
