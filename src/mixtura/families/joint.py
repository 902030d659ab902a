"""Joint: events made of parts of different families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
from keras import ops

from mixtura.families import host
from mixtura.families.base import Array, Family, a_family, restored
from mixtura.families.checks import dimensions
from mixtura.families.draws import Draws
from mixtura.families.fitting import Events
from mixtura.families.tables import cut
from mixtura.sampling import PLAIN, Samplers

if TYPE_CHECKING:
    from mixtura.families.distribution import Distribution


@keras.saving.register_keras_serializable(package="mixtura")
class Joint(Family):
    r"""Named parts, conditionally independent given the parameters.

    $$\log p(y) = \sum_i \log p_i(y_i; \theta_i)$$

    Events and parameters are those of the parts, side by side in keyword order; the order is part of the
    family's identity. Graves' handwriting (2013) is
    `Joint(offset=Mixture(Normal(2, "bivariate", scale="exp"), 20), end=Bernoulli())`.

    `p["name"]` is the distribution of one part; `family["name"]` its family; `split(y)` takes events apart.
    A sampler may be a mapping from names to `Sampler`s; parts left out are drawn as they are.

    Args:
        **parts: families by name.

    Raises:
        TypeError: if a part is not a family.
        ValueError: if there is none.

    Example:
        >>> import mixtura as mx
        >>> family = mx.Joint(offset=mx.Mixture(mx.Normal(2, "full"), 20), end=mx.Bernoulli())
        >>> family.event_size, family.params_size
        (3, 121)
        >>> [name for name in family.split([0.5, -0.5, 1.0])]
        ['offset', 'end']
    """

    def __init__(self, /, **parts: Family) -> None:
        if not parts:
            raise ValueError(
                "a Joint needs at least one part, such as Joint(offset=Normal(2), end=Bernoulli())"
            )
        self._configure(**{name: a_family(name, family) for name, family in parts.items()})

    def __repr__(self) -> str:
        return f"Joint({', '.join(f'{name}={family!r}' for name, family in self._config)})"

    # A list of pairs keeps the order in files whose writers sort keys, and any name a part may have.
    def get_config(self) -> dict[str, Any]:
        """Return the parts as a list of pairs."""
        return {"parts": [[name, family] for name, family in self._config]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the family from `get_config`'s dictionary."""
        return cls(**{name: restored(family) for name, family in config["parts"]})

    def __getitem__(self, name: str) -> Family:
        """Return the family of one part."""
        parts = dict(self._config)
        if name not in parts:
            raise KeyError(f"{self!r} has no part {name!r}; its parts are {', '.join(parts)}")
        return parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The parts' names, in order."""
        return tuple(name for name, _ in self._config)

    @property
    def event_size(self) -> int:  # type: ignore[override]
        """The number of dimensions of an event: of all parts together."""
        return sum(family.event_size for _, family in self._config)

    @property
    def params_size(self) -> int:  # type: ignore[override]
        """The number of activations that one distribution takes."""
        return sum(family.params_size for _, family in self._config)

    @property
    def is_continuous(self) -> bool:  # type: ignore[override]
        """Whether events have a density in every dimension."""
        return all(family.is_continuous for _, family in self._config)

    @property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale of each dimension of the events: those of the parts."""
        shifts, scales = zip(*(family.units for _, family in self._config), strict=True)
        return np.concatenate(shifts), np.concatenate(scales)

    @property
    def continuous(self) -> np.ndarray:
        """Which dimensions of an event have a density: those of the parts."""
        return np.concatenate([family.continuous for _, family in self._config])

    @property
    def floors(self) -> np.ndarray:
        """The floor of each dimension's scale: those of the parts."""
        return np.concatenate([family.floors for _, family in self._config])

    @property
    def _one_dimension(self) -> str:
        return f"ask a part, such as p[{self.names[0]!r}]"

    def split(self, y: Array) -> dict[str, Array]:
        """Take events `(*batch, event_size)` apart: `{name: (*batch, that part's event_size)}`."""
        xp, y = (ops, y) if host.is_tensor(y) else (host, host.as_array(y))
        y = self._read_event(xp, y)
        return {name: y[..., events] for name, _, _, events in self._slices()}

    def _slices(self) -> Iterator[tuple[str, Family, slice, slice]]:
        """Yield every part's name, family, and place among the parameters and in the event."""
        params = events = 0
        for name, family in self._config:
            yield (
                name,
                family,
                slice(params, params + family.params_size),
                slice(events, events + family.event_size),
            )
            params, events = params + family.params_size, events + family.event_size

    def _part(self, name: str, params: np.ndarray) -> tuple[Family, np.ndarray]:
        """Return one part's family and parameters."""
        family = self[name]
        [place] = [place for other, _, place, _ in self._slices() if other == name]
        return family, params[..., place]

    def _events_of(self, name: str) -> slice:
        [place] = [events for other, _, _, events in self._slices() if other == name]
        return place

    def _standardised(self, xp: Any, y: Any) -> Any:
        parts = [family._standardised(xp, y[..., events]) for _, family, _, events in self._slices()]
        return xp.concatenate(parts, axis=-1)

    def _cut(self, xp: Any, table: Any) -> list[Any]:
        """Return the parts' own parameters, or their tables if it is one."""
        columns = table.shape[-1] // self.params_size
        return cut(xp, table, [columns * place.stop for _, _, place, _ in self._slices()][:-1])

    def _relocated(self, xp: Any, params: Any, by: Any, parts: Any = True) -> Any:
        moved = []
        for (name, family, _, events), own in zip(self._slices(), self._cut(xp, params), strict=True):
            is_moved = name in parts if parts is not True else family.is_continuous
            moved.append(family._relocated(xp, own, by[..., events]) if is_moved else own)
        return xp.concatenate(moved, axis=-1)

    def _log_prob(self, xp: Any, params: Any, y: Any) -> Any:
        return sum(
            family._log_prob(xp, params[..., place], y[..., events])
            for _, family, place, events in self._slices()
        )

    def _log_probs(self, xp: Any, table: Any, y: Any) -> Any:
        return sum(
            family._log_probs(xp, own, y[..., events])
            for (_, family, _, events), own in zip(self._slices(), self._cut(xp, table), strict=True)
        )

    def _log_interval(self, xp: Any, params: Any, lower: Any, upper: Any) -> Any:
        return sum(
            family._log_interval(xp, params[..., place], lower[..., events], upper[..., events])
            for _, family, place, events in self._slices()
        )

    def _sample(self, xp: Any, params: Any, source: Draws, sampler: Samplers, draws: tuple[int, ...]) -> Any:
        for name in sampler if isinstance(sampler, Mapping) else ():
            if name not in self.names:
                raise ValueError(f"sampler names the part {name!r}; the parts are {', '.join(self.names)}")
        sources: list[Any] = source.split(len(self._config))
        drawn = []
        for (name, family, place, _), own_source in zip(self._slices(), sources, strict=True):
            own = sampler.get(name, PLAIN) if isinstance(sampler, Mapping) else sampler
            drawn.append(family._sample(xp, params[..., place], own_source, own, draws))
        return xp.concatenate(drawn, axis=-1)

    def _fit(self, events: Events, rng: np.random.Generator) -> np.ndarray:
        parts = [family._fit(events.some(place), rng) for _, family, _, place in self._slices()]
        return np.concatenate(parts)

    def _mean(self, xp: Any, params: Any) -> Any:
        return self._side_by_side(xp, "_mean", params)

    def _variance(self, xp: Any, params: Any) -> Any:
        return self._side_by_side(xp, "_variance", params)

    def _side_by_side(self, xp: Any, method: str, params: Any) -> Any:
        parts = [getattr(family, method)(xp, params[..., place]) for _, family, place, _ in self._slices()]
        return xp.concatenate(parts, axis=-1)

    def _covariance(self, xp: Any, params: Any) -> Any:
        rows = []
        for _, family, place, events in self._slices():
            block = family._covariance(xp, params[..., place])
            zeros = xp.zeros_like(block[..., :1])
            before, after = events.start, self.event_size - events.stop
            rows.append(xp.concatenate([zeros] * before + [block] + [zeros] * after, axis=-1))
        return xp.concatenate(rows, axis=-2)

    def _entropy(self, xp: Any, params: Any) -> Any:
        return sum(family._entropy(xp, params[..., place]) for _, family, place, _ in self._slices())

    def mode(self, params: Array) -> np.ndarray:
        """Return the parts' modes, in float64, `(*batch, event_size)`."""
        _, params = self._read(host.as_array(params))
        return np.concatenate(
            [family.mode(params[..., place]) for _, family, place, _ in self._slices()], axis=-1
        )

    def marginal(self, params: Array, dims: int | Sequence[int]) -> Distribution:
        """Return the distribution of some dimensions, in the parts' order: a Joint of those parts' marginals.

        Of a single part, it is that part's marginal itself.
        """
        _, params = self._read(host.as_array(params))
        kept = dimensions("dims", dims, self.event_size)
        if kept != sorted(kept):
            raise NotImplementedError(f"dims of a Joint keep their order; received {kept}")
        found = {}
        for name, family, place, events in self._slices():
            own = [d - events.start for d in kept if events.start <= d < events.stop]
            if len(own) == family.event_size:
                found[name] = family(params[..., place])
            elif own:
                found[name] = family.marginal(params[..., place], own)
        if len(found) == 1:
            return next(iter(found.values()))
        parts = Joint(**{name: part.family for name, part in found.items()})
        return parts(np.concatenate([part.params for part in found.values()], axis=-1))

    def _cdf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._config[0][1]._cdf(xp, params, y)  # reached with one part only

    def _sf(self, xp: Any, params: Any, y: Any) -> Any:
        return self._config[0][1]._sf(xp, params, y)

    def _quantile(self, params: np.ndarray, q: np.ndarray, upper: bool) -> np.ndarray:
        return self._config[0][1]._quantile(params, q, upper)

    def _edges(self, params: np.ndarray) -> np.ndarray:
        return self._config[0][1]._edges(params)
