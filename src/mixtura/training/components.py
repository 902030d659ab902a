"""Which components of a mixture are in use while it trains."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from mixtura.families import host
from mixtura.families.affine import Affine
from mixtura.families.base import Family
from mixtura.families.checks import positive_int
from mixtura.families.independent import Independent
from mixtura.families.joint import Joint
from mixtura.families.mixture import Mixture
from mixtura.layers.mdn import MDN
from mixtura.training.heads import innermost_layers

BATCH = 256  # rows at a time


class ComponentWarning(UserWarning):
    """A mixture component that explains next to nothing, or nearly everything."""


class ComponentUsage(keras.callbacks.Callback):
    r"""Measures what share of the data each mixture component explains, and warns when a mixture collapses.

    The share is the mean over rows (and steps) of the responsibilities (Bishop 1994, eq. 30), at the end of
    an epoch:

    $$s_k = \overline{\gamma_k(y_n)}, \qquad
      \gamma_k = \frac{\pi_k p_k(y_n)}{\sum_j \pi_j p_j(y_n)}$$

    A component is dead when $s_k$ is below `dead` times the equal share 1/K, and dominant when it is above
    `dominant`. Each is named once, in a `ComponentWarning`. Mixtures of one component are measured and never
    warned of.

    The mixtures are those of the model's last `MDN`: its family, or the parts of a `Joint`, through the units
    of an `Affine`; of an `Independent`, each copy by itself, as `name[0]`, `name[1]`, ... Components that are
    mixtures themselves count as one. A mixture that is the whole family is called "mixture".

    Attributes:
        shares: the newest shares by name, `(K,)` each.
        effective: by name, $\exp(-\sum_k s_k \log s_k)$, the number of components in use: from 1 to K.

    Args:
        x: inputs as `fit` takes them: an array, or a dict or list of arrays, rows first.
        y: the targets, `(rows, event_size)` or `(rows, time, event_size)`; without the last axis where that
            is 1.
        sample_weight: how much each row or step counts, `(rows,)`, `(rows, 1)` or `(rows, time)`.
        mask: which rows or steps count at all, in the same shapes; padding does not.
        every: measure at the end of every so many epochs.
        dead: a part of the equal share.
        dominant: a share.
        rows: how many rows are measured at most; they are drawn once.
        seed: of that draw.

    Raises:
        ValueError: for an argument out of its range, or rows that do not match; when training begins, for a
            model without an `MDN`, with several outputs, or whose outputs do not fit `y`.

    Example:
        >>> import numpy as np
        >>> import mixtura.training.components
        >>> usage = mixtura.training.components.ComponentUsage(np.zeros((4, 1)), np.zeros((4, 1)), every=5)
        >>> usage.shares  # before training
        {}
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        mask: Any = None,
        every: int = 1,
        dead: float = 0.01,
        dominant: float = 0.99,
        rows: int = 1024,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= dead < 1:
            raise ValueError(f"dead must be 0 or more and below 1; received {dead!r}")
        if not 0 < dominant <= 1:
            raise ValueError(f"dominant must be above 0 and at most 1; received {dominant!r}")
        self.every, self.dead, self.dominant = positive_int("every", every), dead, dominant
        y = host.as_array(y)
        weights = [host.as_array(w) for w in (sample_weight, mask) if w is not None]
        sizes = [len(y), *(len(leaf) for leaf in [*keras.tree.flatten(x), *weights])]
        if len(y) == 0 or set(sizes) != {len(y)}:
            raise ValueError(
                f"y, x and weights must have the same number of rows, at least one; received {sizes}"
            )
        count = min(len(y), positive_int("rows", rows))
        picked = np.sort(np.random.default_rng(seed).choice(len(y), count, replace=False))
        self._x = keras.tree.map_structure(lambda leaf: np.asarray(leaf)[picked], x)
        self._y = y[picked]
        self._weights = [w[picked] for w in weights]
        self.shares: dict[str, np.ndarray] = {}
        self.effective: dict[str, float] = {}
        self._warned: set[tuple[str, str, int]] = set()

    def on_train_begin(self, logs: Any = None) -> None:
        """Measure once, so that a model or data that do not fit are found before any work starts."""
        self._measure()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure, and warn of components not warned of before."""
        if (epoch + 1) % self.every:
            return
        self._measure()
        for name, shares in self.shares.items():
            self._warn(name, shares, epoch + 1)

    def _measure(self) -> None:
        params = self._predict()
        family = _head(self.model).family
        y = self._y[..., None] if family.event_size == 1 and self._y.ndim == params.ndim - 1 else self._y
        if params.shape[:-1] != y.shape[:-1]:
            raise ValueError(
                f"the model's outputs have shape {params.shape}, the targets {self._y.shape}: "
                "they must be alike but for the last axis"
            )
        weights = _weights(self._weights, params.shape[:-1])
        self.shares = {
            name or "mixture": np.average(
                mixture.responsibilities(own, events).reshape(-1, mixture.num_components),
                axis=0,
                weights=weights,
            )
            for name, mixture, own, events in _mixtures("", family, params, y)
        }
        self.effective = {
            name: float(np.exp(-np.sum(s * np.log(np.where(s > 0, s, 1.0)))))
            for name, s in self.shares.items()
        }

    def _predict(self) -> np.ndarray:
        """Return the model's outputs, in batches of one size, so that nothing compiles in later epochs."""
        pieces = []
        for start in range(0, len(self._y), BATCH):
            part = slice(start, start + BATCH)
            piece = self.model.predict_on_batch(
                keras.tree.map_structure(lambda leaf, p=part: leaf[p], self._x)
            )
            if isinstance(piece, dict | list | tuple):
                raise ValueError("ComponentUsage measures models with one output; this one has several")
            pieces.append(piece)
        return host.as_array(np.concatenate(pieces))

    def _warn(self, name: str, shares: np.ndarray, epoch: int) -> None:
        if len(shares) == 1:
            return
        advice = (
            "What helps: a start from the data (`initialize_head`), or fewer components "
            f"(in use are {self.effective[name]:.1f})."
        )
        dead = self._new("dead", name, np.flatnonzero(shares < self.dead / len(shares)))
        if dead:
            listed = ", ".join(f"{k} ({shares[k]:.2g})" for k in dead)
            which = "component" if len(dead) == 1 else "components"
            warnings.warn(
                f"epoch {epoch}: of the {len(shares)} components of {name!r}, next to no data falls to "
                f"{which} {listed} (in brackets: the share). {advice}",
                ComponentWarning,
                stacklevel=3,
            )
        for k in self._new("dominant", name, np.flatnonzero(shares > self.dominant)):
            warnings.warn(
                f"epoch {epoch}: of the {len(shares)} components of {name!r}, component {k} explains nearly "
                f"all data: its share is {shares[k]:.4f}. {advice}",
                ComponentWarning,
                stacklevel=3,
            )

    def _new(self, what: str, name: str, components: np.ndarray) -> list[int]:
        """Return the components not named before, and remember them."""
        new = [int(k) for k in components if (what, name, int(k)) not in self._warned]
        self._warned.update((what, name, k) for k in new)
        return new


def _mixtures(
    name: str, family: Family, params: np.ndarray, y: np.ndarray
) -> Iterator[tuple[str, Mixture, np.ndarray, np.ndarray]]:
    """Yield every outermost mixture in a family: its name, itself, its parameters and its events."""
    if isinstance(family, Mixture):
        yield name, family, params, y
    elif isinstance(family, Affine):
        yield from _mixtures(name, family.family, params, family._inward(y))
    elif isinstance(family, Joint):
        for part, own, place, events in family._slices():
            yield from _mixtures(f"{name}.{part}" if name else part, own, params[..., place], y[..., events])
    elif isinstance(family, Independent):
        copies, events = family._copies(host, params), family._copies(host, y)
        for copy in range(family.repeats):
            yield from _mixtures(f"{name}[{copy}]", family.family, copies[..., copy, :], events[..., copy, :])


def _weights(given: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Return one weight for each row and step, flat."""
    weights = np.ones(shape)
    for one in given:
        while one.ndim > len(shape) and one.shape[-1] == 1:
            one = one[..., 0]
        one = one.reshape(*one.shape, *[1] * (len(shape) - one.ndim))
        try:
            weights = weights * np.broadcast_to(one, shape)
        except ValueError:
            raise ValueError(
                f"sample_weight and mask must have one value per row, or per step of {shape}"
            ) from None
    if not weights.sum() > 0:
        raise ValueError("sample_weight and mask leave no row or step that counts")
    return weights.reshape(-1)


def _head(layer: Any) -> MDN:
    """Return a model's last MDN."""
    heads = [inner for inner in innermost_layers(layer) if isinstance(inner, MDN)]
    if not heads:
        raise ValueError(f"ComponentUsage needs a model with an MDN layer; {layer.name!r} has none")
    return heads[-1]
