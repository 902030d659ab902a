"""Environments of Gymnasium as a world model meets them: small pictures or states, one decision at a time."""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np

from mixtura.errors import InputError, TrainingError
from mixtura.systems.world.actions import Actions, actions_of, tupled

UNLIMITED = 1000  # decisions in an episode of an environment that has no limit of its own

# Simulator steps of an episode, then the fields of `World`. The rows are those of the published code:
# below are CarRacing's instruments, and Doom's bar of status.
_PUBLISHED: dict[str, tuple[int, dict[str, Any]]] = {
    "CartPole-v1": (500, {"order": (0, 1), "names": ("left", "right")}),
    "CarRacing-v3": (
        1000,
        {
            "pixels": True,
            "hold": (1, 10),
            "rows": (0.0, 84 / 96),
            "clipped": (2,),
            "names": ("steer", "gas", "brake"),
        },
    ),
    "VizdoomTakeCover-v1": (
        2100,
        {
            "pixels": True,
            "skip": 4,
            "hold": (1, 10),
            "rows": (0.0, 400 / 480),
            "order": (2, 0, 1),
            "names": ("left", "stay", "right"),
            "resolution": "RES_160X120",
        },
    ),
}


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _all(value: Any, fits: Callable[[Any], bool], count: int | None = None) -> bool:
    return isinstance(value, tuple) and len(value) == (count or len(value)) and all(map(fits, value))


# Fields of `World`, and what is expected of them.
_FIELDS: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("id", "a name", lambda value: isinstance(value, str)),
    ("pixels", "true or false", lambda value: isinstance(value, bool)),
    ("limit skip", "a whole number, 1 or more", _whole),
    ("size", "two whole numbers, 1 or more", lambda value: _all(value, _whole, 2)),
    (
        "hold",
        "two whole numbers, 1 or more, the smaller first",
        lambda value: _all(value, _whole, 2) and value[0] <= value[1],
    ),
    (
        "rows columns",
        "two shares between 0 and 1, the smaller first",
        lambda value: _all(value, _share, 2) and value[0] < value[1],
    ),
    (
        "order",
        "a list of actions",
        lambda value: value is None or _all(value, lambda one: isinstance(one, int)),
    ),
    ("clipped", "a list of places in an action", lambda value: _all(value, lambda one: _whole(one, 0))),
    ("names", "a list of texts", lambda value: _all(value, lambda one: isinstance(one, str))),
    ("options", "a mapping of names to values", lambda value: isinstance(value, dict)),
    ("resolution", "a text", lambda value: value is None or isinstance(value, str)),
)


class GameError(TrainingError):
    """A game that runs in a process of its own ended when it should not."""


@dataclass(frozen=True)
class World:
    """An environment, and how it is met.

    Args:
        id: its name in Gymnasium.
        pixels: whether it is seen as pictures; else as its state.
        limit: decisions after which an episode is truncated.
        skip: simulator steps that a decision is held for; their rewards are summed.
        hold: for how many decisions, from and to, the random policy holds an action.
        rows: the share of the picture's rows that is kept, from and to.
        columns: that of its columns.
        size: height and width of what is seen, in pixels.
        order: the actions along a line, where they have one; see `actions_of`.
        clipped: the numbers of an action that are at their lower bound for half of the outputs.
        names: of the actions.
        options: for `gymnasium.make`.
        resolution: of ViZDoom's screen, such as "RES_160X120".
    """

    id: str
    pixels: bool
    limit: int
    skip: int = 1
    hold: tuple[int, int] = (1, 1)
    rows: tuple[float, float] = (0.0, 1.0)
    columns: tuple[float, float] = (0.0, 1.0)
    size: tuple[int, int] = (64, 64)
    order: tuple[int, ...] | None = None
    clipped: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    resolution: str | None = None

    def __post_init__(self) -> None:
        for names, expected, fits in _FIELDS:
            for name in names.split():
                if not fits(value := getattr(self, name)):
                    raise InputError(f"{self.id}: {name} must be {expected}; received {value!r}.")

    @property
    def is_doom(self) -> bool:
        """Whether ViZDoom plays it."""
        return self.id.startswith("Vizdoom")

    def to_config(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> World:
        """Return the world that `to_config` wrote down."""
        return cls(**tupled(config))


def world_of(id: str, **changes: Any) -> World:
    """Return an environment with its published settings, or with what is found in its spaces.

    Args:
        id: its name in Gymnasium.
        **changes: fields of `World` that are to differ. A picture of an environment of states
            (`pixels=True`) is the one that it renders.

    Raises:
        InputError: if there is no such environment, a package for it is missing, or its observations or
            actions are of no kind that a world model can meet.
    """
    steps, published = _PUBLISHED.get(id, (None, {}))
    world = World(id, **{"pixels": False, "limit": UNLIMITED, **published, **changes})
    with contextlib.closing(_make(world)) as environment:
        if "pixels" not in changes:
            world = replace(world, pixels=_picture(environment.observation_space) is not None)
        steps = steps or environment.spec.max_episode_steps
        if steps and "limit" not in changes:
            world = replace(world, limit=max(1, steps // world.skip))
        _kinds(world, environment)
    return world


class Environment:
    """An environment whose steps are decisions, given as codes.

    Observations are pictures, uint8 `(*world.size, 3)`, or states, float32 `(n,)`. Equal seeds and codes give
    equal episodes. It closes with the process at the latest.

    Args:
        world: which environment, and how it is met.

    Attributes:
        actions: what codes mean.
        action_space: of Gymnasium.
        observation_shape: of one observation.

    Raises:
        InputError: as `world_of`.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._scratch = tempfile.TemporaryDirectory(prefix="mixtura-world-", ignore_cleanup_errors=True)
        self._environment = _make(world)
        self._finish = weakref.finalize(self, _finish, self._environment, self._scratch)
        try:
            self.actions, entry = _kinds(world, self._environment)
        except InputError:
            self.close()
            raise
        space, self.action_space = self._environment.observation_space, self._environment.action_space
        self._entry = entry
        self._is_rendered = world.pixels and _picture(space) is None
        self._inner = self._environment.unwrapped
        self._draws = world.pixels and "state_pixels" in _modes(self._inner)
        self.observation_shape = (*world.size, 3) if world.pixels else tuple(space.shape)
        if self._draws:
            # CarRacing draws in every step, which takes fifty times what its physics take.
            self._inner._render = lambda mode: None
        if self.world.is_doom:
            with contextlib.chdir(self._scratch.name):  # where it writes its settings
                self._environment.reset(seed=0)
        self._decisions = 0
        self._last: np.ndarray | None = None

    def reset(self, seed: int) -> np.ndarray:
        """Begin an episode and return its first observation."""
        self._decisions = 0
        with self._running():
            observation, _ = self._environment.reset(seed=seed)
        return self._seen(observation)

    def step(self, code: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """Hold an action for `world.skip` simulator steps.

        Returns:
            what is seen then, the sum of the rewards, whether the episode ended, and whether it was cut off
            at the limit. Doom has no picture of its end: there the last one stays.

        Raises:
            GameError: if the game is no more.
        """
        action = self.actions.action(code)
        total, terminated, truncated = 0.0, False, False
        for _ in range(1 if self.world.is_doom else self.world.skip):  # Doom skips by itself
            with self._running():
                observation, reward, terminated, truncated, _ = self._environment.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        self._decisions += 1
        if self.world.is_doom:  # to which a timeout is both
            terminated = terminated and not truncated
        truncated = not terminated and (truncated or self._decisions >= self.world.limit)
        return self._seen(observation), total, bool(terminated), bool(truncated)

    def close(self) -> None:
        """End the game."""
        self._finish()

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if type(error).__module__.startswith("vizdoom"):
                raise GameError(f"{self.world.id}: {str(error).strip()}") from error
            raise

    def _seen(self, observation: Any) -> np.ndarray:
        if not self.world.pixels:
            return np.array(observation, np.float32)
        if self.world.is_doom and self._inner.state is None and self._last is not None:
            return self._last
        if self._draws:
            observation = type(self._inner)._render(self._inner, "state_pixels")
        elif self._is_rendered:
            observation = self._environment.render()
        elif self._entry is not None:
            observation = observation[self._entry]
        self._last = _resized(observation, self.world)
        return self._last


def imported(name: str, extra: str) -> Any:
    """Import a package of an extra.

    Raises:
        InputError: if it is missing.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise InputError(f"this needs {package}; pip install 'mixtura[{extra}]'.") from None


def _make(world: World) -> Any:
    """Make the environment of Gymnasium, without its own limit of steps: the world's holds."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # no window, and no screen needed
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    gymnasium = imported("gymnasium", "worlds")
    options = dict(world.options)
    if world.is_doom:
        vizdoom = imported("vizdoom", "worlds")
        imported("vizdoom.gymnasium_wrapper", "worlds")
        options.setdefault("frame_skip", world.skip)
        if world.resolution:
            if not hasattr(vizdoom.ScreenResolution, world.resolution):  # ViZDoom would ignore it
                raise InputError(
                    f"{world.id} has no resolution {world.resolution!r}; expected one such as 'RES_160X120'."
                )
            options["screen_resolution"] = world.resolution
    module, _, name = world.id.rpartition(":")
    try:
        if module:
            import_module(module)  # which registers it
        spec = gymnasium.spec(name)
        with _quiet():
            made = gymnasium.make(name, disable_env_checker=True, max_episode_steps=-1, **options)
            if world.pixels and _picture(made.observation_space) is None and "rgb_array" in _modes(made):
                made.close()
                options["render_mode"] = "rgb_array"
                made = gymnasium.make(name, disable_env_checker=True, max_episode_steps=-1, **options)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise InputError(f"{world.id} needs a package that is missing ({error}).") from None
    except gymnasium.error.Error as error:
        near = difflib.get_close_matches(name, gymnasium.registry, n=3, cutoff=0.5)
        closest = f"; the closest are {', '.join(near)}" if near else ""
        raise InputError(f"Gymnasium has no environment {name!r}{closest}.") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{world.id} cannot be made with the options {options} ({error}).") from error
    made.spec.max_episode_steps = spec.max_episode_steps
    return made


def _modes(environment: Any) -> Sequence[str]:
    """Return how an environment can be rendered."""
    return environment.metadata.get("render_modes") or ()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence a warning of compiled modules that no one here can mend; as an error it crashes Box2D."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "builtin type .* has no __module__", DeprecationWarning)
        yield


def _picture(space: Any) -> tuple[str | None] | None:
    """Return where in an observation the picture is, `(key or None,)`; None if there is none."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        found = [key for key, one in space.items() if _picture(one) == (None,)]
        return (found[0],) if len(found) == 1 else None
    is_picture = (
        isinstance(space, spaces.Box)
        and len(space.shape) == 3
        and space.shape[-1] == 3
        and space.dtype == np.uint8
    )
    return (None,) if is_picture else None


def _kinds(world: World, environment: Any) -> tuple[Actions, str | None]:
    """Return the actions and the key of the picture, if the spaces are of kinds that can be met."""
    from gymnasium import spaces

    space = environment.observation_space
    is_state = isinstance(space, spaces.Box) and len(space.shape) == 1
    if not world.pixels and not is_state:
        raise InputError(
            f"{world.id}: a state is a Box of one axis; received {space}. With pixels it is met as pictures."
        )
    if world.pixels and _picture(space) is None and environment.render_mode != "rgb_array":
        raise InputError(f"{world.id} has no pictures: it observes {space} and renders none.")
    try:
        actions = actions_of(environment.action_space, world.order, world.clipped, world.names)
    except InputError as error:
        raise InputError(f"{world.id}: {error}") from None
    return actions, (_picture(space) or (None,))[0]


def _resized(picture: np.ndarray, world: World) -> np.ndarray:
    """Cut the rows and columns and average what is left down to the size."""
    from PIL import Image

    (top, bottom), (left, right) = (
        (round(start * length), round(end * length))
        for (start, end), length in zip((world.rows, world.columns), picture.shape[:2], strict=True)
    )
    height, width = world.size
    cut = np.ascontiguousarray(picture[top:bottom, left:right])
    return np.asarray(Image.fromarray(cut).resize((width, height), Image.Resampling.BOX))


def _finish(environment: Any, scratch: tempfile.TemporaryDirectory) -> None:
    environment.close()
    scratch.cleanup()
