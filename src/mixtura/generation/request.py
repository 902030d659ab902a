"""What was asked for: the arguments of `generate`, checked, and as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from mixtura.families.base import Family
from mixtura.families.checks import positive_int
from mixtura.families.draws import numbers_of
from mixtura.generation.results import Generated
from mixtura.generation.stopping import Stop
from mixtura.generation.tape import Tape
from mixtura.sampling import Samplers, resolve

SMALLEST = 32  # steps a compiled loop holds at least

Policy = Callable[[Any, Any], Any]


class Plan(NamedTuple):
    """What a program is compiled for, beside shapes."""

    names: tuple[str, ...] | None  # of a Joint's parts that have samplers of their own
    policy: Any
    stop: Stop | None
    is_uneven: bool  # whether some sequences are done before others


class Request:
    """The arguments of `generate`, checked, and as arrays."""

    def __init__(
        self,
        model: Any,
        *,
        prompt: Any,
        inputs: Any,
        context: Any,
        policy: Policy | None,
        stop: Stop | None,
        sampler: Samplers | None,
        temperature: float | None,
        batch_size: int | None,
        seed: Any,
        after: Generated | None,
    ) -> None:
        if inputs is not None and policy is not None:
            raise ValueError("give inputs or a policy that chooses them, not both")
        family: Family = model.family
        self.model, self._dtype = model, model.variable_dtype
        names, self._sampler = _numbers(family, resolve(sampler, temperature))
        prompts, is_shared = _prompts(family, prompt)
        inputs = None if inputs is None else np.asarray(inputs, self._dtype)
        if inputs is not None and inputs.ndim not in (2, 3):
            raise ValueError(f"inputs must be (batch, steps, size) or (steps, size); received {inputs.shape}")
        self._context = None if context is None else keras.tree.map_structure(np.asarray, context)
        several_seeds = seed is not None and not hasattr(seed, "__index__")
        self.batch_size = _batch_size(
            batch_size=batch_size,
            seed=len(seed) if several_seeds else None,
            prompt=None if is_shared else len(prompts),
            inputs=len(inputs) if inputs is not None and inputs.ndim == 3 else None,
            context=None if context is None else len(keras.tree.flatten(self._context)[0]),
            after=None if after is None else len(after),
        )
        if is_shared:
            prompts = prompts * self.batch_size
        self.prompt_lengths = np.array([len(one) for one in prompts], np.int32)
        self._prompts = prompts if self.prompt_lengths.any() else None
        # Time first, as the loop takes them.
        self._inputs = inputs if inputs is None or inputs.ndim == 2 else np.swapaxes(inputs, 0, 1)
        if inputs is not None and inputs.ndim == 2:
            self._inputs = np.broadcast_to(inputs[:, None], (len(inputs), self.batch_size, inputs.shape[1]))
        self.carry = None if after is None else after.carry
        self.taken = np.zeros(self.batch_size, np.int64) if after is None else after.taken
        is_uneven = len(set(self.prompt_lengths.tolist())) > 1 or (after is not None and after.ended.any())
        self.plan = Plan(names, policy, stop, bool(is_uneven))
        width = numbers_of(family)
        self.numbers_per_step = self.batch_size * width
        self._tape = Tape(seed, self.batch_size, width, self.taken)

    @property
    def num_inputs(self) -> int | None:
        """How many steps there are inputs for, None where there are none."""
        return None if self._inputs is None else len(self._inputs)

    def require_inputs(self, total: int) -> None:
        """Raise a ValueError if there are fewer inputs than steps."""
        if self._inputs is not None and len(self._inputs) < total:
            raise ValueError(
                f"inputs must have a row for each of {total} steps, a prompt's included; "
                f"received {len(self._inputs)}"
            )

    def arguments(self, start: int, count: int) -> tuple[Any, ...]:
        """Return what a program takes for some steps, in buffers of a length it is compiled for."""
        capacity = 1 if count == 1 else max(SMALLEST, 1 << (count - 1).bit_length())
        tape = _filled(self._tape.take(count).astype(self._dtype), capacity)
        prompt = None
        if self._prompts is not None:
            prompt = np.zeros((capacity, self.batch_size, self.model.family.event_size), self._dtype)
            for row, one in enumerate(self._prompts):
                part = one[start : start + count]
                prompt[: len(part), row] = part
        inputs = self._inputs
        if inputs is not None:
            inputs = _filled(inputs[start : start + count], capacity)
        return (
            tape,
            prompt,
            self.prompt_lengths - np.int32(start),
            inputs,
            self._context,
            self._sampler,
            np.int32(count),
        )


def _filled(rows: np.ndarray, capacity: int) -> np.ndarray:
    """Return rows with zeros after them, so many in all."""
    if len(rows) == capacity:
        return rows
    filled = np.zeros((capacity, *rows.shape[1:]), rows.dtype)
    filled[: len(rows)] = rows
    return filled


def _prompts(family: Family, prompt: Any) -> tuple[list[np.ndarray], bool]:
    """Return a prompt for each sequence, or one and that all share it."""
    size = family.event_size
    if prompt is None:
        return [np.zeros((0, size))], True
    is_list = isinstance(prompt, list | tuple) and len(prompt) > 0 and np.ndim(prompt[0]) == 2
    prompts = [np.asarray(one, np.float64) for one in (prompt if is_list else [prompt])]
    if not is_list and prompts[0].ndim == 3:
        is_list, prompts = True, list(prompts[0])
    for row, one in enumerate(prompts):
        if one.ndim != 2 or one.shape[1] != size:
            raise ValueError(
                f"a prompt must be (length, {size}) for {family!r}; received shape {one.shape}"
                + (f" for sequence {row}" if is_list else "")
            )
        if not np.isfinite(one).all():
            step, dimension = np.argwhere(~np.isfinite(one))[0]
            raise ValueError(f"a prompt must be finite; received {one[step, dimension]} at step {step}")
    return prompts, not is_list


def _batch_size(**sizes: int | None) -> int:
    """Return the one size that all who have one agree on."""
    given = {name: int(size) for name, size in sizes.items() if size is not None}
    if len(set(given.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in given.items())
        raise ValueError(f"all must be for equally many sequences; received {listed}")
    return positive_int("batch_size", next(iter(given.values()), 1))


def _numbers(family: Family, sampler: Samplers) -> tuple[tuple[str, ...] | None, np.ndarray]:
    """Return a sampler's temperatures, `(parts, 3)`, and the parts' names where they have their own."""
    # Shows a name that the family does not have before anything is compiled.
    family.sample(np.zeros(family.params_size), 0, sampler)
    if isinstance(sampler, Mapping):
        names, each = tuple(sampler), list(sampler.values())
    else:
        names, each = None, [sampler]
    rows = [[one.weights, one.scale, one.discrete] for one in each]
    return names, np.array(rows, np.float64).reshape(-1, 3)
