"""Returns of policies beside each other, and predicted ends beside those that came."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from rich.markup import escape
from rich.table import Table

Z = 1.96  # standard errors on either side of a 95 % interval


class HasTotal(Protocol):
    """An episode that was played: its seed and the sum of its rewards."""

    @property
    def seed(self) -> int: ...  # noqa: D102

    @property
    def total(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Returns:
    """The returns of one policy: the sum of an episode's rewards, for each seed of the environment.

    Attributes:
        seeds: `(n,)`, all different.
        values: `(n,)`, in the environment's rewards.

    Raises:
        ValueError: if there is no episode, a seed comes twice, lengths differ, or a return is not finite.
    """

    seeds: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        seeds, values = np.asarray(self.seeds, np.int64), np.asarray(self.values, np.float64)
        if seeds.ndim != 1 or seeds.shape != values.shape or not len(seeds):
            raise ValueError(
                "returns take a seed and a value for each episode; received seeds of shape "
                f"{seeds.shape} and values of shape {values.shape}"
            )
        if len(np.unique(seeds)) < len(seeds):
            raise ValueError("returns take an episode for each seed; received a seed more than once")
        if not np.isfinite(values).all():
            seed = seeds[~np.isfinite(values)][0]
            raise ValueError(f"returns must be finite; the episode of seed {seed} has another one")
        object.__setattr__(self, "seeds", seeds)
        object.__setattr__(self, "values", values)

    @classmethod
    def of(cls, episodes: Iterable[HasTotal]) -> Returns:
        """Return the returns of episodes by seed, in whatever order they were finished."""
        ordered = sorted(episodes, key=lambda one: one.seed)
        return cls(np.array([one.seed for one in ordered]), np.array([one.total for one in ordered]))

    @property
    def count(self) -> int:
        """How many episodes there are."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """The mean return."""
        return float(self.values.mean())

    @property
    def sd(self) -> float:
        """The standard deviation of returns, of a sample; NaN for a single one."""
        return float(self.values.std(ddof=1)) if self.count > 1 else math.nan

    @property
    def standard_error(self) -> float:
        """The standard error of the mean, sd / √n; NaN for a single return."""
        return self.sd / math.sqrt(self.count)

    def to_dict(self) -> dict[str, Any]:
        """Return everything in JSON types; what a single return has not is None."""
        return {
            "mean": self.mean,
            "standard_error": self.standard_error if self.count > 1 else None,
            "sd": self.sd if self.count > 1 else None,
            "count": self.count,
            "seeds": self.seeds.tolist(),
            "values": self.values.tolist(),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Returns:
        """Return what `to_dict` wrote down."""
        return cls(found["seeds"], found["values"])


class Paired(NamedTuple):
    """By how much one policy's returns exceed another's on the same seeds.

    Attributes:
        difference: the mean of the differences.
        error: its standard error.
        z: the difference in standard errors; infinite, or NaN for 0, where all differences are the same.
        episodes: of each, on the seeds that both have.
    """

    difference: float
    error: float
    z: float
    episodes: int


def paired(one: Returns, other: Returns) -> Paired:
    """Return by how much `one` exceeds `other` on the seeds that both have.

    What makes an episode easy or hard for both cancels in the differences, so the error is smaller than that
    of two means whose seeds are not the same.

    Raises:
        ValueError: if they have less than two seeds in common.
    """
    both, mine, yours = np.intersect1d(one.seeds, other.seeds, assume_unique=True, return_indices=True)
    if len(both) < 2:
        raise ValueError(f"paired returns need two seeds or more in common; received {len(both)}")
    differences = Returns(both, one.values[mine] - other.values[yours])
    difference, error = differences.mean, differences.standard_error
    z = difference / error if error > 0 else math.copysign(math.inf, difference) if difference else math.nan
    return Paired(difference, error, z, differences.count)


def summary_table(rows: Mapping[str, Returns], title: str = "", against: str | None = None) -> Table:
    """Return the table of policies for a terminal.

    Args:
        rows: returns by a policy's name.
        title: above the table.
        against: a policy that the others are compared with, seed by seed.

    Raises:
        ValueError: if `against` is no row.
    """
    if against is not None and against not in rows:
        raise ValueError(f"against must be one of {', '.join(map(repr, rows))}; received {against!r}")
    table = Table(title=escape(title), min_width=len(title))
    table.add_column("", no_wrap=True)
    # Short and folded, so that no number is cut off in 80 columns.
    columns = ["n", "mean", "s.e.", "sd"]
    columns += [] if against is None else [f"{escape(against)}\nless this", "z"]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, found in rows.items():
        spread = [f"{one:.3g}" if found.count > 1 else "" for one in (found.standard_error, found.sd)]
        cells = [str(found.count), f"{found.mean:.4g}", *spread]
        if against is not None and name != against:
            try:
                than = paired(rows[against], found)
            except ValueError:  # played on other seeds
                than = None
            if than:
                z = "" if math.isnan(than.z) else f"{than.z:.1f}"
                cells += [f"{than.difference:+.4g} ± {than.error:.2g}", z]
        table.add_row(escape(name), *cells)
    return table


class HazardTable(NamedTuple):
    """Predicted probabilities that an episode ends at a step, beside how often one did, in bins `(bins,)`.

    Attributes:
        low: the smallest prediction in each bin.
        high: the largest.
        predicted: the mean of the predictions.
        observed: the share of the steps at which an episode ended.
        steps: how many.
    """

    low: np.ndarray
    high: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray
    steps: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """The standard error of the observed frequency, √(f(1 - f)/n); 0 where none or all ended."""
        return np.sqrt(self.observed * (1 - self.observed) / self.steps)

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """Return 95 % intervals of the frequency: Wilson's (1927), which hold for bins without an end too."""
        n, share = self.steps, Z**2 / self.steps
        middle = self.observed + share / 2
        reach = Z * np.sqrt(self.observed * (1 - self.observed) / n + share / (4 * n))
        low, high = (middle - reach) / (1 + share), (middle + reach) / (1 + share)
        return np.maximum(low, 0.0), np.minimum(high, 1.0)

    def to_dict(self) -> dict[str, list[float]]:
        """Return the table as lists."""
        return {name: column.tolist() for name, column in {**self._asdict(), "error": self.error}.items()}


def hazard_table(predicted: np.ndarray, observed: np.ndarray, bins: int = 10) -> HazardTable:
    """Return the predicted hazard of steps beside the frequency of ends.

    Most steps are safe and most ends come at few steps, so bins of equal counts would hold nearly all ends in
    one bin. Here a step weighs ½ (1/n + p/Σp), and bins weigh the same: half of what they are made of is
    steps, half is ends that are expected. Equal predictions stay in one bin.

    Args:
        predicted: the probability that the episode ends at each step, given all before, `(n,)`.
        observed: whether it did, `(n,)`.
        bins: at most; fewer where predictions are equal.

    Raises:
        ValueError: if shapes differ, there is no step, or something is no probability or no yes or no.
    """
    p, ended = np.asarray(predicted, np.float64), np.asarray(observed, np.float64)
    if p.ndim != 1 or p.shape != ended.shape or not len(p):
        raise ValueError(
            "a table of hazards takes a prediction and an outcome for each step; received the shapes "
            f"{p.shape} and {ended.shape}"
        )
    if not ((p >= 0) & (p <= 1)).all() or not np.isin(ended, (0, 1)).all():
        raise ValueError("predicted hazards must be probabilities and observed ones 0 or 1")
    if bins < 1:
        raise ValueError(f"bins must be 1 or more; received {bins}")
    values, inverse, times = np.unique(p, return_inverse=True, return_counts=True)
    expected = values / p.sum() if p.any() else values
    weight = times * (1 / len(p) + expected) / 2
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    _, bin_of_value = np.unique(np.floor(bins * middle), return_inverse=True)
    which = bin_of_value[inverse]
    count = np.bincount(which)
    first = np.flatnonzero(np.diff(bin_of_value, prepend=-1))
    last = np.append(first[1:], len(values)) - 1
    means = [np.bincount(which, weights=one) / count for one in (p, ended)]
    return HazardTable(values[first], values[last], means[0], means[1], count)


def expected_calibration_error(table: HazardTable) -> float:
    """Return the mean over steps of |observed - predicted| of their bins (Naeini et al. 2015).

    Ends are rare, so it is small for every model that knows this; compare it with the frequency of ends.
    """
    return float(np.average(np.abs(table.observed - table.predicted), weights=table.steps))
