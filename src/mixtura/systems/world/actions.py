"""What a controller gives, a memory sees and a game takes: one class for each kind of action.

A *code* is an action as an array of float32 of fixed size: what recordings keep and the memory is given. A
controller's outputs, any real numbers of the same size, become a code by `decide`, which is written for NumPy
and for `jax.numpy`, so that a compiled dream decides as the game does (Ha & Schmidhuber 2018, World Models).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mixtura.errors import InputError


class Actions:
    """A kind of action.

    Attributes:
        names: for pictures: of each choice, or of each number of a code where they are set together.
    """

    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many numbers a code has."""
        raise NotImplementedError

    def decide(self, xp: Any, outputs: Any) -> Any:
        """Return the code of a controller's outputs.

        Args:
            xp: `numpy` or `jax.numpy`.
            outputs: `(*batch, size)`, any real numbers.

        Returns:
            `(*batch, size)`, float32.
        """
        raise NotImplementedError

    def action(self, code: np.ndarray) -> Any:
        """Return what the environment's `step` takes for a code, `(size,)`."""
        raise NotImplementedError

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a code."""
        raise NotImplementedError

    def still(self) -> np.ndarray:
        """Return the code of doing nothing, or what comes nearest."""
        raise NotImplementedError

    def to_config(self) -> dict[str, Any]:
        """Return the kind and its fields as JSON types."""
        return {"kind": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Ordered(Actions):
    """Choices that lie on a line, as left, stay and right: one number, the choice's place in [-1, 1].

    The hyperbolic tangent of the output falls into one of n equal parts of [-1, 1], for three choices cut at
    -1/3 and 1/3 as published; the code is the part's value in `linspace(-1, 1, n)`.

    Args:
        choices: the environment's numbers of the actions, along the line.
        names: of the choices, along the line.
    """

    choices: tuple[int, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _names(self.names, [f"action {one}" for one in self.choices]))

    @property
    def size(self) -> int:
        """One."""
        return 1

    def decide(self, xp: Any, outputs: Any) -> Any:
        """Return the values of the parts into which the tangents fall."""
        count = len(self.choices)
        part = xp.floor((xp.tanh(outputs) + 1) / 2 * count)
        return _float32(xp, xp.clip(part, 0, count - 1) * 2 / (count - 1) - 1)

    def action(self, code: np.ndarray) -> int:
        """Return the choice that is nearest to a code."""
        last = len(self.choices) - 1
        return self.choices[int(np.clip(np.rint((float(code[0]) + 1) / 2 * last), 0, last))]

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a choice, all being equally likely."""
        return self._code(int(rng.integers(len(self.choices))))

    def still(self) -> np.ndarray:
        """Return the code of the middle choice, of two the first."""
        return self._code((len(self.choices) - 1) // 2)

    def end(self, side: int) -> np.ndarray:
        """Return the code of the first choice (side 0) or the last (side 1)."""
        return self._code(side * (len(self.choices) - 1))

    def _code(self, place: int) -> np.ndarray:
        return np.array([place * 2 / (len(self.choices) - 1) - 1], np.float32)


@dataclass(frozen=True)
class OneOf(Actions):
    """Choices without an order: the largest output's; the code is one-hot.

    Args:
        count: how many there are.
        first: the environment's number of the first.
        names: of the choices.
    """

    count: int
    first: int = 0
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _names(self.names, [f"action {one}" for one in range(self.count)]))

    @property
    def size(self) -> int:
        """One for each choice."""
        return self.count

    def decide(self, xp: Any, outputs: Any) -> Any:
        """Return 1 where the output is largest, else 0."""
        return _float32(xp, xp.argmax(outputs, axis=-1)[..., None] == xp.arange(self.count))

    def action(self, code: np.ndarray) -> int:
        """Return the number of the choice."""
        return self.first + int(np.argmax(code))

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a choice, all being equally likely."""
        return np.eye(self.count, dtype=np.float32)[rng.integers(self.count)]

    def still(self) -> np.ndarray:
        """Return the code of the first choice: it does nothing wherever a choice does."""
        return np.eye(self.count, dtype=np.float32)[0]


@dataclass(frozen=True)
class Bounded(Actions):
    r"""Numbers between bounds, in the environment's units.

    $$a = low + (high - low)\,(\tanh o + 1)/2$$

    A number in `clipped` is at its lower bound for half of the outputs, as CarRacing's brake is in the paper:

    $$a = low + (high - low)\,\max(\tanh o, 0)$$

    Args:
        low: the lower bounds.
        high: the upper bounds.
        clipped: which numbers are clipped.
        names: of the numbers.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    clipped: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [one for one in self.clipped if not 0 <= one < len(self.low)]
        if wrong:
            raise InputError(f"clipped names number {wrong[0]} of an action that has {len(self.low)}.")
        object.__setattr__(self, "names", _names(self.names, [f"a{one}" for one in range(len(self.low))]))

    @property
    def size(self) -> int:
        """One for each bounded number."""
        return len(self.low)

    def decide(self, xp: Any, outputs: Any) -> Any:
        """Return the numbers between their bounds."""
        return _float32(xp, self._scaled(xp, xp.tanh(outputs)))

    def action(self, code: np.ndarray) -> np.ndarray:
        """Return the code, within its bounds."""
        low, high, _ = self._bounds()
        return np.clip(np.asarray(code), low, high).astype(np.float32)

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """Draw every number as `decide` gives it for a tangent that is uniform in [-1, 1]."""
        return _float32(np, self._scaled(np, rng.uniform(-1, 1, self.size)))

    def still(self) -> np.ndarray:
        """Return zeros where the bounds have them, else their middle, and lower bounds where clipped."""
        low, high, clipped = self._bounds()
        middle = np.where((low <= 0) & (high >= 0), 0.0, (low + high) / 2)
        return np.where(clipped, low, middle).astype(np.float32)

    def _bounds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.array(self.low), np.array(self.high), np.isin(np.arange(self.size), self.clipped)

    def _scaled(self, xp: Any, tangents: Any) -> Any:
        low, high, clipped = self._bounds()
        return low + (high - low) * xp.where(clipped, xp.clip(tangents, 0, 1), (tangents + 1) / 2)


@dataclass(frozen=True)
class Buttons(Actions):
    """Buttons of which any are pressed together: 1 where the output is above 0.

    Args:
        count: how many there are.
        names: of the buttons.
    """

    count: int
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _names(self.names, [f"button {one}" for one in range(self.count)]))

    @property
    def size(self) -> int:
        """One for each button."""
        return self.count

    def decide(self, xp: Any, outputs: Any) -> Any:
        """Return 1 where the output is above 0, else 0."""
        return _float32(xp, outputs > 0)

    def action(self, code: np.ndarray) -> np.ndarray:
        """Return which buttons are pressed, as int8."""
        return (np.asarray(code) > 0.5).astype(np.int8)

    def random(self, rng: np.random.Generator) -> np.ndarray:
        """Draw each button, pressed or not being equally likely."""
        return rng.integers(2, size=self.count).astype(np.float32)

    def still(self) -> np.ndarray:
        """Return the code of no button."""
        return np.zeros(self.count, np.float32)


_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Ordered, OneOf, Bounded, Buttons)}


def from_config(config: Mapping[str, Any]) -> Actions:
    """Return the actions that `to_config` wrote down."""
    fields = tupled(config)
    return _KINDS[fields.pop("kind")](**fields)


def tupled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON holds as lists as the tuples of a frozen dataclass."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


def actions_of(
    space: Any,
    order: Sequence[int] | None = None,
    clipped: Sequence[int] = (),
    names: Sequence[str] = (),
) -> Actions:
    """Return the actions of a space of Gymnasium.

    Args:
        space: `Discrete`, `MultiBinary` or a `Box` of one axis with bounds.
        order: the actions of a `Discrete` along a line, all of them or some; without it they have no order.
        clipped: the numbers of a `Box` that are at their lower bound for one half of the outputs.
        names: for pictures.

    Raises:
        InputError: if the space is of another kind, or the order, the clipped or the names do not fit it.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        first, count = int(space.start), int(space.n)
        if order is None and count > 1:
            return OneOf(count, first, tuple(names))
        every = range(first, first + count)
        choices = tuple(int(one) for one in (order or every))
        if len(choices) < 2 or len({*choices}) < len(choices) or not {*choices} <= {*every}:
            raise InputError(
                f"an order of the actions is two or more of {first} to {first + count - 1}, each once; "
                f"received {list(choices)}."
            )
        return Ordered(choices, tuple(names))
    if order is not None:
        raise InputError(f"an order is for Discrete actions, of which one is chosen; received {space}.")
    if isinstance(space, spaces.MultiBinary) and len(space.shape) == 1:
        return Buttons(space.shape[0], tuple(names))
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and space.is_bounded():
        low, high = (tuple(float(one) for one in bound) for bound in (space.low, space.high))
        return Bounded(low, high, tuple(clipped), tuple(names))
    raise InputError(f"actions are Discrete, MultiBinary or a bounded Box of one axis; received {space}.")


def _names(given: Sequence[str], default: list[str]) -> tuple[str, ...]:
    if given and len(given) != len(default):
        raise InputError(f"expected {len(default)} names of actions; received {len(given)}: {list(given)}.")
    return tuple(given or default)


def _float32(xp: Any, values: Any) -> Any:
    return xp.asarray(values, dtype="float32")
