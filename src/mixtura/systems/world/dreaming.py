"""Thousands of dreams at once: M and many controllers in one compiled loop. JAX only."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from keras import ops

from mixtura.compiling import kept
from mixtura.families.draws import TensorDraws
from mixtura.models.controller import Controller
from mixtura.models.memory import Memory
from mixtura.sampling import Sampler
from mixtura.systems.world.actions import Actions


class SharedDraws(TensorDraws):
    """Draws that all controllers share: controller p's dream r has the same luck for every p.

    Args:
        key: of JAX.
        copies: the number of controllers; rows are theirs, one controller's dreams side by side.
    """

    def __init__(self, key: Any, copies: int) -> None:
        super().__init__(key)
        self._copies = copies

    def split(self, count: int) -> list[TensorDraws]:
        """Return so many independent sources."""
        return [SharedDraws(part._seed, self._copies) for part in super().split(count)]

    def normal(self, shape: tuple[Any, ...], like: Any) -> Any:
        """Draw standard normal numbers."""
        return self._spread(super().normal(self._one(shape), like))

    def uniform(self, shape: tuple[Any, ...], like: Any) -> Any:
        """Draw numbers from [0, 1)."""
        return self._spread(super().uniform(self._one(shape), like))

    def _one(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return (shape[0] // self._copies, *shape[1:])

    def _spread(self, rows: Any) -> Any:
        return jnp.tile(rows, (self._copies, *[1] * (rows.ndim - 1)))


class Dream:
    """The world as M has it, for controllers to live in.

    A dream begins at a recorded z. At every step the controller is given z and M's state, its action enters M
    with that z, and the next z is drawn at a temperature; the dream is over when M says so.

    Args:
        memory: M.
        controller: the form of the controllers.
        features: what they are given; see `Memory.features_of`.
        actions: what their outputs mean.
        starts: z of the first moments of recorded episodes, `(n, z)`.
        reward: of a step, where M predicts none.
    """

    def __init__(
        self,
        memory: Memory,
        controller: Controller,
        features: str,
        actions: Actions,
        starts: np.ndarray,
        reward: float = 1.0,
    ) -> None:
        self.memory, self.controller = memory, controller
        self.features, self.actions, self.reward = features, actions, float(reward)
        self.starts = jnp.asarray(starts, jnp.float32)

    def returns(
        self,
        params: np.ndarray,
        seed: int,
        repeats: int = 8,
        temperature: float = 1.0,
        steps: int = 500,
        expected: bool = True,
    ) -> np.ndarray:
        """Return the sum of the rewards in each dream, `(P, repeats)`.

        Args:
            params: of P controllers, `(P, size)`.
            seed: of the starts and of everything drawn: the same for all controllers.
            repeats: dreams of each.
            temperature: of z, as in `Sampler.world_models`.
            steps: after which a dream is broken off.
            expected: whether a dream goes on to the last step, each reward weighed by the probability that it
                has not ended before, which is the expectation of the sum over the ends that could be
                drawn; else ends are drawn.
        """
        live = partial(self._live, repeats=repeats, expected=expected)
        program = kept(self, ("returns", repeats, expected), live, self.memory)
        return np.asarray(program(*_arguments(params, seed, temperature), jnp.int32(steps)))

    def told(self, codes: np.ndarray, seed: int, temperature: float = 1.0) -> np.ndarray:
        """Return the expected sum of the rewards of dreams in which the actions are given, `(repeats,)`.

        What becomes of one who does not look, in the dream and in the game, shows how true the dream is.

        Args:
            codes: of every step of every dream, `(steps, repeats, size)`.
            seed: of the starts and of everything drawn.
            temperature: of z, as in `Sampler.world_models`.
        """
        program = kept(self, "told", self._told, self.memory)
        return np.asarray(program(*_arguments(codes, seed, temperature)))

    def trace(
        self, params: np.ndarray, seed: int, temperature: float = 1.0, steps: int = 500
    ) -> dict[str, np.ndarray]:
        """Return one controller's dream: `latents`, `codes`, `rewards` and `hazard` of every step."""
        program = kept(self, ("trace", steps), partial(self._follow, steps=steps), self.memory)
        made = program(*_arguments(np.asarray(params)[None], seed, temperature))
        return {name: np.asarray(value) for name, value in made.items()}

    # ------------------------------------------------------------------ compiled

    def _begin(self, key: Any, copies: int, repeats: int) -> tuple[Any, Any]:
        """Return z and M's state of the first moment, for all dreams."""
        numbers = jax.random.randint(key, (repeats,), 0, len(self.starts))
        z = jnp.tile(self.starts[numbers], (copies, 1))
        state = self.memory.begun(1)
        state = jax.tree.map(lambda one: jnp.tile(one, (copies * repeats, 1)), state)
        return self.memory.event(z), state

    def _decided(self, params: Any, event: Any, state: Any) -> Any:
        """Return the codes of controllers, `(rows, size)`."""
        given = self.memory.features_of(self.features, event[..., : self.memory.latent_size], state)
        given = given.reshape(params.shape[0], -1, given.shape[-1])
        code = self.actions.decide(jnp, self.controller(jnp, params, given))
        return code.reshape(-1, code.shape[-1])

    def _step(self, code: Any, sampler: Any, draws: TensorDraws, event: Any, state: Any) -> Any:
        """Return the next event, the state, and the logit of the end."""
        made, state = self.memory.step(self.memory.embed(event, code), state)
        event = self.memory.family._sample(ops, made, draws, sampler, ())
        return event, state, made[..., -1]

    def _has(self, part: str) -> bool:
        return part in self.memory.family.names

    def _rewards(self, event: Any) -> Any:
        """Return what each step earns, `(rows,)`."""
        if self._has("reward"):
            return event[..., self.memory.latent_size]
        return jnp.full(event.shape[:1], self.reward)

    def _live(self, params: Any, key: Any, temperature: Any, steps: Any, repeats: int, expected: bool) -> Any:
        copies = params.shape[0]

        def decide(t: Any, event: Any, state: Any) -> Any:
            return self._decided(params, event, state)

        return self._total(decide, key, temperature, steps, copies, repeats, expected).reshape(
            copies, repeats
        )

    def _told(self, codes: Any, key: Any, temperature: Any) -> Any:
        def decide(t: Any, event: Any, state: Any) -> Any:
            return codes[t]

        steps, repeats = codes.shape[:2]
        return self._total(decide, key, temperature, steps, 1, repeats, expected=True)

    def _total(
        self, decide: Any, key: Any, temperature: Any, steps: Any, copies: int, repeats: int, expected: bool
    ) -> Any:
        """Return the sum of the rewards of each dream, `(copies * repeats,)`."""
        begin, draw = jax.random.split(key)
        event, state = self._begin(begin, copies, repeats)
        sampler = _sampler(temperature)
        rows = copies * repeats

        def going(carry: Any) -> Any:
            t, _, _, alive, _ = carry
            return (t < steps) & (alive > 0.001).any()

        def body(carry: Any) -> Any:
            t, event, state, alive, total = carry
            draws = SharedDraws(jax.random.fold_in(draw, t), copies)
            event, state, logit = self._step(decide(t, event, state), sampler, draws, event, state)
            total = total + alive * self._rewards(event)
            if self._has("done"):
                end = jax.nn.sigmoid(logit) if expected else event[..., -1]
                alive = alive * (1 - end)
            return t + 1, event, state, alive, total

        start = (jnp.int32(0), event, state, jnp.ones(rows), jnp.zeros(rows))
        return jax.lax.while_loop(going, body, start)[-1]

    def _follow(self, params: Any, key: Any, temperature: Any, steps: int) -> Any:
        begin, draw = jax.random.split(key)
        event, state = self._begin(begin, 1, 1)
        sampler = _sampler(temperature)

        def body(carry: Any, t: Any) -> Any:
            event, state = carry
            draws = SharedDraws(jax.random.fold_in(draw, t), 1)
            before = event[0, : self.memory.latent_size]
            code = self._decided(params, event, state)
            event, state, logit = self._step(code, sampler, draws, event, state)
            made = {
                "latents": before,
                "codes": code[0],
                "rewards": self._rewards(event)[0],
                "hazard": jax.nn.sigmoid(logit[0]) if self._has("done") else jnp.zeros(()),
            }
            return (event, state), made

        return jax.lax.scan(body, (event, state), jnp.arange(steps))[1]


def _sampler(temperature: Any) -> Any:
    return Sampler(temperature, jnp.sqrt(temperature), 1.0)


def _arguments(numbers: np.ndarray, seed: int, temperature: float) -> tuple[Any, Any, Any]:
    """Return parameters or codes, the seed and the temperature, as the programs take them."""
    return jnp.asarray(numbers, jnp.float32), jax.random.key(seed), jnp.float32(temperature)
