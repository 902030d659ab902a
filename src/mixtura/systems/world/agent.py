"""The agent: V, M and C together, playing the real game."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from mixtura.compiling import compiled
from mixtura.errors import InputError
from mixtura.files import replacing
from mixtura.models.controller import Controller
from mixtura.systems.world.actions import Actions
from mixtura.systems.world.policies import Player, generator

Scramble = Literal["", "c", "all"]

_FORMAT = "mixtura controller 1"


class Mind:
    """V, M and the form of C, with the program that a decision is.

    Args:
        vision: V; None where an observation is the latent itself.
        memory: M.
        controller: the form of C.
        features: what C is given; see `Memory.features_of`.

    Raises:
        InputError: if C is of another size than what it is given.
    """

    def __init__(self, vision: Any, memory: Any, controller: Any, features: str) -> None:
        self.vision, self.memory, self.controller, self.features = vision, memory, controller, features
        try:
            size = memory.features_size(features)
        except ValueError as error:
            raise InputError(f"The controller belongs to another model: {error}.") from error
        if controller.inputs != size:
            raise InputError(
                f"The controller takes {controller.inputs} numbers, and V and M give {size}: it belongs to "
                "another model."
            )
        if controller.outputs != memory.inputs_size:
            raise InputError(
                f"The controller returns {controller.outputs} numbers, and M takes actions of "
                f"{memory.inputs_size}: it belongs to another model."
            )
        layers = [memory] if vision is None else [vision, memory]
        self._program = compiled(self._decide, *layers)

    def player(
        self,
        actions: Actions,
        params: Any,
        scramble: Scramble = "",
        seed: int = 0,
        wander: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Player:
        """Return what plays one episode with one set of C's parameters.

        Args:
            actions: of the environment.
            params: of C, `(size,)`.
            scramble: what is given the numbers of z in another order: "c" for C alone, "all" for M too; ""
                for nothing. It shows what the agent makes of them.
            seed: of that order.
            wander: takes a decision `(1, size)` and returns what is done instead.

        Raises:
            InputError: if `params` are those of another controller.
        """
        params = np.asarray(params, np.float32)
        if params.shape != (self.controller.size,):
            raise InputError(
                f"The controller has {self.controller.size} parameters; received {params.size}: they belong "
                "to another model."
            )
        as_it_is = np.arange(self.memory.latent_size)
        another = generator(seed).permutation(as_it_is)
        orders = (another if scramble == "all" else as_it_is, another if scramble == "c" else as_it_is)
        event = np.asarray(ops.convert_to_numpy(self.memory.start_event()))[None]
        code = np.zeros((1, actions.size), np.float32)
        state = keras.tree.flatten(self.memory.initial_state(1))
        state = [np.asarray(ops.convert_to_numpy(one)) for one in state]

        def play(observation: Any) -> np.ndarray:
            nonlocal event, code, state
            given = np.asarray(observation)[None]
            outputs, event, *state = self._program(given, event, code, params[None], orders, *state)
            code = actions.decide(np, np.asarray(ops.convert_to_numpy(outputs)))
            code = code if wander is None else wander(code)
            return code[0]

        return play

    def _decide(self, observation: Any, event: Any, code: Any, params: Any, orders: Any, *state: Any) -> Any:
        """Return C's outputs, the event that the observation is, and M's state.

        First M is told what came before, then C is asked: so that one program does both.
        """
        memory = self.memory
        state = keras.tree.pack_sequence_as(memory.initial_state(1), list(state))
        _, state = memory.step(memory.embed(event, code), state)
        if self.vision is None:
            z = ops.cast(observation, memory.compute_dtype)
        else:
            z = self.vision.posterior(observation)[0]
        z = ops.take(z, orders[0], axis=-1)
        given = memory.features_of(self.features, ops.take(z, orders[1], axis=-1), state)
        outputs = self.controller(ops, params, given[None])[0]
        return outputs, memory.event(z), *keras.tree.flatten(state)


@dataclass(frozen=True, eq=False)
class Agent:
    """A policy: what was trained, playing.

    Args:
        vision: the file of V; None where there is none.
        memory: the file of M.
        controller: the arguments of `Controller`.
        features: what C is given.
        params: of C.
        scramble: see `Mind.player`; the order is another in every episode.
        explore: the share of its decisions at which it begins to do something at random instead, so that
            recordings are of more than it knows.
        hold: for how many decisions, from and to, it does so.
    """

    vision: Path | None
    memory: Path
    controller: dict[str, Any]
    features: str
    params: np.ndarray = field(repr=False)
    scramble: Scramble = ""
    explore: float = 0.0
    hold: tuple[int, int] = (1, 10)

    def start(self, actions: Actions, seed: int) -> Player:
        """Begin an episode.

        Raises:
            InputError: if a file is missing or damaged, or they do not belong together.
        """
        written = tuple(map(_written, (self.vision, self.memory)))  # a file may be replaced by another
        mind = _mind(self.vision, self.memory, tuple(self.controller.items()), self.features, written)
        wander = _wandering(actions, seed, self.explore, self.hold) if self.explore else None
        return mind.player(actions, self.params, self.scramble, seed, wander)


def _wandering(actions: Actions, seed: int, share: float, hold: tuple[int, int]) -> Callable[[Any], Any]:
    """Return what now and then puts an action at random in place of the agent's, for a while."""
    rng = generator(seed)
    code, left = actions.still(), 0

    def wander(own: np.ndarray) -> np.ndarray:
        nonlocal code, left
        if left == 0 and rng.random() < share:
            code, left = actions.random(rng), int(rng.integers(hold[0], hold[1] + 1))
        if left == 0:
            return own
        left -= 1
        return code[None]

    return wander


def save_controller(path: Path, controller: Any, features: str, params: np.ndarray) -> None:
    """Write C, its form and its parameters, as JSON."""
    content = {
        "format": _FORMAT,
        "controller": asdict(controller),
        "features": features,
        "params": np.asarray(params, np.float64).tolist(),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n")


def read_controller(path: Path) -> tuple[dict[str, Any], str, np.ndarray]:
    """Return the arguments of `Controller`, what it is given, and its parameters.

    Raises:
        InputError: if the file is none that `save_controller` wrote.
    """
    try:
        content = json.loads(path.read_text())
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        form, params = dict(content["controller"]), np.array(content["params"], np.float32)
        if params.shape != (Controller(**form).size,) or not np.isfinite(params).all():
            raise ValueError("its parameters are not finite numbers, as many as it has")
        return form, str(content["features"]), params
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: no controller has been evolved there yet.") from error
    except Exception as error:  # damage shows in any way
        raise InputError(f"{path} is no controller of Mixtura's ({error}).") from error


@lru_cache(maxsize=2)
def _mind(
    vision: Path | None, memory: Path, controller: tuple[Any, ...], features: str, written: tuple[int, ...]
) -> Mind:
    """Return what agents of one training share: a process reads it once."""
    seen = None if vision is None else _read(vision)
    return Mind(seen, _read(memory), Controller(**dict(controller)), features)


def _written(path: Path | None) -> int:
    """Return when a file was written; 0 if there is none."""
    return path.stat().st_mtime_ns if path is not None and path.exists() else 0


def _read(path: Path) -> Any:
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # damage shows in any way
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} is missing, damaged or no model of Mixtura's ({reason}).") from error
