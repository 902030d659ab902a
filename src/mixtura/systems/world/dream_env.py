"""A dream as an environment of Gymnasium: whatever learns in a game can learn in what M makes of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from mixtura.families.checks import one_of, positive_int
from mixtura.generation.program import begin
from mixtura.generation.request import Request
from mixtura.models import Memory
from mixtura.sampling import Sampler
from mixtura.systems.world.actions import Actions, OneOf, Ordered, actions_of
from mixtura.systems.world.environments import Environment, imported

imported("gymnasium", "worlds")  # in one sentence where it is missing
import gymnasium  # noqa: E402


class DreamEnv(gymnasium.Env[np.ndarray, Any]):
    r"""An environment that M dreams: after every decision it draws what follows.

    $$z_{t+1}, r_t, d_t \sim p_\tau(\cdot \mid z_t, a_t, h_t)$$

    (Ha & Schmidhuber 2018, arXiv:1803.10122, section 4.) An episode begins with one of `starts`, which M is
    prompted with; it ends where d says so (`terminated`), or after `limit` decisions (`truncated`). An
    observation is z and what M remembers side by side, as controllers take them. Actions are those of the
    real environment. A step is one call of the program that `generate` compiles, and draws what that would
    for inputs that are known beforehand; the seed of `reset` decides all.

    Args:
        memory: M.
        actions: how actions become the codes that M takes.
        space: the real environment's actions.
        starts: latents that episodes begin with, `(N, z)`.
        temperature: tau, of the latent and the reward as in `Sampler.world_models`: above 1 the dream is less
            sure of itself, and harder to deceive. Whether it is done is drawn from M's probability.
        limit: decisions of an episode at most.
        vision: V, whose `decode(z) -> frames` draws what is dreamt; needed to render.
        render_mode: "rgb_array", or None.
        reward: of every decision where M predicts none: 1 for survival.
        features: what an observation holds; see `Memory.features_of`.
        hard_done: whether it is done where that is more probable than not, as published.

    Raises:
        InputError: if Gymnasium is missing, or for a space that is not supported.
        TypeError: if `memory` is no `Memory`.
        ValueError: if the parts do not fit each other.

    Example: `DreamEnv(memory, actions, environment.action_space, latents, limit=525)` is Doom, dreamt.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(
        self,
        memory: Memory,
        actions: Actions,
        space: Any,
        starts: Any,
        *,
        temperature: float = 1.0,
        limit: int,
        vision: Any = None,
        render_mode: str | None = None,
        reward: float = 1.0,
        features: str = "zh",
        hard_done: bool = False,
    ) -> None:
        if not isinstance(memory, Memory):
            raise TypeError(f"memory must be a Memory; received {memory!r}")
        self._parts = {name: memory.family._events_of(name) for name in memory.family.names}
        self._starts, size = np.asarray(starts, np.float32), memory.latent_size
        if self._starts.ndim != 2 or self._starts.shape[1] != size or not len(self._starts):
            raise ValueError(f"starts must be latents (N, {size}); received shape {self._starts.shape}")
        if not np.isfinite(self._starts).all():
            raise ValueError("starts must be finite; received some that are not")
        if memory.inputs_size != actions.size:
            raise ValueError(f"memory takes codes of size {memory.inputs_size}; actions have {actions.size}")
        if render_mode is not None:
            one_of("render_mode", render_mode, tuple(self.metadata["render_modes"]))
            if vision is None:
                raise ValueError("rendering a dream needs vision, whose decode draws it; received none")
        self._memory, self._actions, self._vision = memory, actions, vision
        self._codes = _codes(actions, space)
        self._features = memory.program(f"features {features}", partial(memory.features_of, features))
        self._limit, self._reward = positive_int("limit", limit), float(reward)
        drawn = Sampler.world_models(temperature)
        done = Sampler(discrete=0.0 if hard_done else 1.0)
        self._samplers = {name: done if name == "done" else drawn for name in self._parts}
        self._run: Any = None
        self.action_space, self.render_mode = space, render_mode
        width = memory.features_size(features)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (width,), np.float32)

    @classmethod
    def of(
        cls,
        run: str | Path,
        number: int | None = None,
        *,
        temperature: float | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> DreamEnv:
        """Return the dream of a run of `mixtura world`.

        Args:
            run: its folder.
            number: the round; by default the last that is finished.
            temperature: by default that of the run's preset.
            render_mode: see the class.
            **settings: its other arguments.

        Raises:
            InputError: if the folder is no such run, or nothing is trained there.
        """
        from mixtura.systems.world.commands import opened, round_of
        from mixtura.systems.world.stages import awake

        plan = opened(Path(run))
        number, preset = round_of(plan, number), plan.preset.controller
        vision, memory, given = awake(plan, number)
        with Environment(plan.world) as environment:
            actions, space = environment.actions, environment.action_space
        return cls(
            memory,
            actions,
            space,
            given.starts,
            temperature=preset.temperature if temperature is None else temperature,
            vision=vision,
            render_mode=render_mode,
            **{"features": preset.features, "limit": plan.world.limit, "reward": given.reward, **settings},
        )

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; return the first observation and no information."""
        super().reset(seed=seed)
        self._latent = self._starts[self.np_random.integers(len(self._starts))]
        prompt = np.zeros((1, self._memory.family.event_size))
        prompt[0, self._parts["latent"]] = self._latent
        self._request = Request(
            self._memory,
            prompt=prompt,
            inputs=None,  # they come one by one
            context=None,
            policy=None,
            stop=None,
            sampler=self._samplers,
            temperature=None,
            batch_size=1,
            seed=int(self.np_random.integers(2**63)),
            after=None,
            precision="float32",
        )
        self._run, self._carry = begin(self._request)
        self._steps = -1  # what begins follows no decision
        self._follow(np.zeros(self._actions.size))
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Dream what follows an action.

        Returns:
            The observation, the reward, whether the episode is over, whether it has reached its limit, and no
            information.

        Raises:
            ValueError: for an action that is none of the space's.
        """
        if self._run is None:
            raise gymnasium.error.ResetNeeded("call reset before the first step")
        event = self._follow(self._code(action))
        self._latent = event[self._parts["latent"]]
        reward = float(event[self._parts["reward"]][0]) if "reward" in self._parts else self._reward
        is_done = bool("done" in self._parts and event[self._parts["done"]][0] > 0.5)
        return self._observation(), reward, is_done, self._steps >= self._limit, {}

    def render(self) -> np.ndarray | None:
        """Return V's picture of the latent, `(height, width, 3)` of uint8; None without a render mode."""
        return None if self.render_mode is None else self._vision.decode(self._latent[None])[0]

    def _follow(self, code: np.ndarray) -> np.ndarray:
        """Return the event after a decision, `(event_size,)`."""
        self._steps += 1
        tape, prompt, lengths, _, *rest = self._request.arguments(self._steps, 1)
        inputs = code.reshape(1, 1, -1).astype(tape.dtype)
        events, _, self._carry = self._run(self._carry, tape, prompt, lengths, inputs, *rest, _ONE)
        return np.asarray(ops.convert_to_numpy(events), np.float32)[0, 0]

    def _observation(self) -> np.ndarray:
        made = self._features(self._latent[None], self._carry.state)
        return np.array(ops.convert_to_numpy(made), np.float32)[0]

    def _code(self, action: Any) -> np.ndarray:
        if self._codes is None:
            numbers = np.asarray(action, np.float32)
            if numbers.shape != self.action_space.shape or not np.isfinite(numbers).all():
                raise ValueError(f"an action is {self._actions.size} finite numbers; received {action!r}")
            return np.asarray(self._actions.action(numbers), np.float32)
        if not self.action_space.contains(action) or int(action) not in self._codes:
            raise ValueError(f"an action is one of {sorted(self._codes)}; received {action!r}")
        return self._codes[int(action)]


_ONE = np.array([1])


def _codes(actions: Actions, space: Any) -> dict[int, np.ndarray] | None:
    """Return the code of each action that is chosen; None where they are numbers, as codes are.

    Raises:
        InputError: for a space that is not supported.
        ValueError: if the actions are not the space's.
    """
    found = actions_of(space)
    codes = None
    if isinstance(actions, Ordered | OneOf):
        rows = np.eye(actions.size)
        if isinstance(actions, Ordered):
            rows = np.linspace(-1, 1, len(actions.choices))[:, None]
        codes = {int(actions.action(row)): row.astype(np.float32) for row in rows}
        fits = isinstance(found, Ordered | OneOf) and all(space.contains(action) for action in codes)
    else:
        fits = type(actions) is type(found) and actions.size == found.size
    if not fits:
        raise ValueError(f"actions must be those of the space {space}; received {actions}")
    return codes
