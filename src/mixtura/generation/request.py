"""What was asked for: the arguments of `generate`, checked, and as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np

from mixtura.families.base import Family
from mixtura.families.checks import one_of, positive_int
from mixtura.families.draws import numbers_of
from mixtura.generation.results import Generated
from mixtura.generation.stopping import Stop
from mixtura.generation.tape import Tape, are_several
from mixtura.sampling import Samplers, resolve

SMALLEST = 32  # steps a compiled loop holds at least

Policy = Callable[[Any, Any], Any]
Precision = Literal["float32", "bfloat16"]

# Pairs of a part's name and its own parts' names; None for one sampler.
Names = tuple[tuple[str, Any], ...] | None


class Plan(NamedTuple):
    """What a program is compiled for, beside shapes."""

    names: Names  # of a Joint's parts that have samplers of their own
    policy: Any
    stop: Stop | None
    is_uneven: bool  # whether some sequences are done before others
    precision: Precision  # of what enters the cells' products


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
        precision: Precision,
    ) -> None:
        one_of("precision", precision, get_args(Precision))
        if precision == "bfloat16" and (backend := keras.backend.backend()) != "jax":
            raise ValueError(f"precision='bfloat16' is for JAX; received it on {backend}")
        if inputs is not None and policy is not None:
            raise ValueError("give inputs or a policy that chooses them, not both")
        if policy is not None and not callable(policy):
            raise TypeError(f"policy must be callable; received {policy!r}")
        for name, value, kind in (("stop", stop, Stop), ("after", after, Generated)):
            if not (value is None or isinstance(value, kind)):
                raise TypeError(f"{name} must be a {kind.__name__}; received {value!r}")
        family: Family = model.family
        self.model, self._dtype = model, model.variable_dtype
        sampler = resolve(sampler, temperature)
        if isinstance(sampler, Mapping):  # shows a part that there is none of before anything is compiled
            family.sample(np.zeros(family.params_size), 0, sampler)
        names, temperatures = _taken_apart(sampler)
        self._sampler = np.array(temperatures, np.float64).reshape(-1, 3)
        prompts, is_shared = _prompts(family, prompt)
        inputs = None if inputs is None else np.asarray(inputs, self._dtype)
        if inputs is not None and inputs.ndim not in (2, 3):
            raise ValueError(f"inputs must be (batch, steps, size) or (steps, size); received {inputs.shape}")
        if isinstance(context, list):  # of numbers; tensors nest in mappings and tuples
            context = np.asarray(context)
        self.context = None if context is None else keras.tree.map_structure(self._array, context)
        self.batch_size = _batch_size(
            batch_size=batch_size,
            seed=len(seed) if are_several(seed) else None,
            prompt=None if is_shared else len(prompts),
            inputs=len(inputs) if inputs is not None and inputs.ndim == 3 else None,
            context=None if context is None else len(keras.tree.flatten(self.context)[0]),
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
        if after is not None and after.stop != stop:  # another rule's memory means nothing to this one
            self.carry = after.carry._replace(memory=())
        self.taken = np.zeros(self.batch_size, np.int64) if after is None else after.taken
        is_uneven = len(set(self.prompt_lengths.tolist())) > 1 or (after is not None and after.ended.any())
        self.plan = Plan(names, policy, stop, bool(is_uneven), precision)
        width = numbers_of(family)
        self.numbers_per_step = self.batch_size * width
        self._tape = Tape(seed, self.batch_size, width, self.taken)

    def _array(self, value: Any) -> np.ndarray:
        """Return an array of a context, real numbers in the model's dtype."""
        array = np.asarray(value)
        if not array.ndim:
            raise ValueError(f"context must have one entry for each sequence; received {value!r}")
        return array.astype(self._dtype) if array.dtype.kind == "f" else array

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
            self.context,
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
    given = {name: size for name, size in sizes.items() if size is not None}
    if len(set(given.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in given.items())
        raise ValueError(f"all must be for equally many sequences; received {listed}")
    return positive_int("batch_size", next(iter(given.values()), 1))


def _taken_apart(sampler: Samplers) -> tuple[Names, list[list[Any]]]:
    """Return the names of parts that have samplers of their own, and all samplers' temperatures."""
    if not isinstance(sampler, Mapping):
        return None, [[sampler.weights, sampler.scale, sampler.discrete]]
    parts = {name: _taken_apart(one) for name, one in sampler.items()}
    names = tuple((name, inner) for name, (inner, _) in parts.items())
    return names, [row for _, rows in parts.values() for row in rows]
