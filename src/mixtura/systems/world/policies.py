"""Who plays: small descriptions that travel to workers and begin anew with every episode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mixtura.errors import InputError
from mixtura.systems.world.actions import Actions, Ordered

Player = Callable[[Any], np.ndarray]  # an observation in, a code out, for the decisions of one episode


class Policy(Protocol):
    """What plays episodes; it can be pickled."""

    def start(self, actions: Actions, seed: int) -> Player:
        """Begin an episode.

        Args:
            actions: of the environment.
            seed: of the episode; of what is random in the policy.
        """
        ...


def generator(seed: int) -> np.random.Generator:
    """Return a policy's random numbers.

    An environment of Gymnasium draws from `default_rng(seed)`: with the same numbers the first action would
    say where the episode begins.
    """
    return np.random.default_rng([seed, 1])


@dataclass(frozen=True)
class Random:
    """Draws an action and holds it for a random number of decisions, as the published recordings were made.

    Args:
        hold: the smallest and the largest number, all between being equally likely.
    """

    hold: tuple[int, int] = (1, 10)

    def start(self, actions: Actions, seed: int) -> Player:
        """Begin an episode."""
        rng = generator(seed)
        code, left = actions.still(), 0

        def play(observation: Any) -> np.ndarray:
            nonlocal code, left
            if left == 0:
                code, left = actions.random(rng), int(rng.integers(self.hold[0], self.hold[1] + 1))
            left -= 1
            return code

        return play


@dataclass(frozen=True)
class Still:
    """Does nothing."""

    def start(self, actions: Actions, seed: int) -> Player:
        """Begin an episode."""
        code = actions.still()
        return lambda observation: code


@dataclass(frozen=True)
class Sweep:
    """Goes to one side and back without looking, what an agent that dodges must beat.

    Args:
        period: decisions to either side; the first are to the first choice's.
    """

    period: int

    def start(self, actions: Actions, seed: int) -> Player:
        """Begin an episode.

        Raises:
            InputError: if the actions have no sides.
        """
        if not isinstance(actions, Ordered):
            raise InputError(f"a sweep needs actions that lie on a line; received {actions}.")
        sides = [actions.end(0), actions.end(1)]
        step = -1

        def play(observation: Any) -> np.ndarray:
            nonlocal step
            step += 1
            return sides[step // self.period % 2]

        return play


@dataclass(frozen=True, eq=False)
class Replay:
    """Plays recorded codes, `(steps, size)`, then does nothing."""

    codes: np.ndarray

    def start(self, actions: Actions, seed: int) -> Player:
        """Begin an episode."""
        left = iter(np.asarray(self.codes, np.float32))
        still = actions.still()
        return lambda observation: next(left, still)
