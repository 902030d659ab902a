"""The loop, and what comes before its first step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import keras
from keras import ops

from mixtura.compiling import compiled
from mixtura.families.draws import TapeDraws
from mixtura.generation.request import Names, Plan, Request
from mixtura.generation.results import Carry
from mixtura.layers.cells import kernels
from mixtura.sampling import Sampler, Samplers

KEPT = 8  # programs that a model keeps


class Programs(NamedTuple):
    """Compiled for one plan: two, so that what goes on and what begins share the loop."""

    start: Callable[..., Any]
    loop: Callable[..., Any]


def programs(model: Any, plan: Plan) -> Programs:
    """Return the programs of a plan; a model keeps those it was last used with."""
    kept = vars(model).setdefault("_mixtura_generation", OrderedDict())
    if plan not in kept:
        policy = [plan.policy] if isinstance(plan.policy, keras.layers.Layer) else []
        for layer in (model, *policy):
            if not layer.built:  # its weights would be made for one program alone
                raise ValueError(f"{layer.name} has no weights yet; call it once before it is to draw")
        functions: list[Any] = [partial(function, model, plan) for function in (_start, _loop)]
        if plan.precision == "bfloat16":
            functions = [rounding(function, model, *policy) for function in functions]
        kept[plan] = Programs(*(compiled(function, model, *policy) for function in functions))
        while len(kept) > KEPT:
            kept.popitem(last=False)
    kept.move_to_end(plan)
    return kept[plan]


def rounding(function: Callable[..., Any], *layers: Any) -> Callable[..., Any]:
    """Return a function, to be compiled, whose cells' products are those of bfloat16.

    Kernels are rounded once, before it runs: within a loop they would be at every step. Their products are
    `product` in `layers/cells.py`.

    Args:
        function: takes and returns nested tensors.
        *layers: all whose weights it reads.
    """

    def rounded(*arguments: Any) -> Any:
        # A scope knows the values of no other one: without the rest they would become constants.
        variables = [variable for layer in layers for variable in layer.variables]
        scope = keras.StatelessScope(state_mapping=[(variable, variable.value) for variable in variables])
        for kernel in kernels(*layers):
            scope.add_update((kernel, ops.cast(kernel.value, "bfloat16")))
        with scope:
            return function(*arguments)

    return rounded


def begin(request: Request) -> tuple[Callable[..., Any], Carry]:
    """Return the loop of a request, and what its first step starts from."""
    start, loop = programs(request.model, request.plan)
    return loop, request.carry or start(request.prompt_lengths, request.context)


def _start(model: Any, plan: Plan, prompt_lengths: Any, context: Any) -> Carry:
    """Return what the first step starts from."""
    batch, dtype = prompt_lengths.shape[0], model.variable_dtype
    if context is not None:
        context = keras.tree.map_structure(ops.convert_to_tensor, context)
    return Carry(
        event=ops.broadcast_to(ops.cast(model.start_event(), dtype), (batch, model.family.event_size)),
        state=model.initial_state(batch, context),
        memory=plan.stop.start(batch) if plan.stop else (),
        ended=ops.zeros((batch,), dtype="bool"),
    )


def _loop(
    model: Any,
    plan: Plan,
    carry: Carry,
    tape: Any,
    prompt: Any,
    prompt_lengths: Any,
    inputs: Any,
    context: Any,
    sampler: Any,
    count: Any,
    ends: Any,
) -> tuple[Any, Any, Carry]:
    """Run `count` steps, or until all sequences are done; return events (time first), lengths, carry."""
    dtype = model.variable_dtype
    tape, sampler = ops.convert_to_tensor(tape), ops.convert_to_tensor(sampler, dtype=dtype)
    prompt_lengths, ends = (ops.convert_to_tensor(x, dtype="int32") for x in (prompt_lengths, ends))
    count = ops.convert_to_tensor(count, dtype="int32")
    prompt, inputs = (None if x is None else ops.convert_to_tensor(x) for x in (prompt, inputs))
    if context is not None:
        context = keras.tree.map_structure(ops.convert_to_tensor, context)
    capacity, batch, _ = tape.shape
    size = model.family.event_size
    if plan.stop and not keras.tree.flatten(carry.memory):
        carry = carry._replace(memory=plan.stop.start(batch))
    settings = _samplers(plan.names, iter(range(sampler.shape[0])), sampler)

    def one(t: Any, carry: Carry) -> tuple[Any, Carry, Any]:
        """Return the event of step t, what the next one needs, and who was still going on."""
        given = _row(inputs, t) if inputs is not None else None
        if plan.policy is not None:
            given = plan.policy(carry.event, carry.state)
        x = model.embed(carry.event, given, context)
        params, state = model.step(x, carry.state, context)
        event = model.family._sample(ops, params, TapeDraws(_row(tape, t)), settings, ())
        event = ops.cast(event, dtype)
        if prompt is not None:
            event = ops.where((t < prompt_lengths)[:, None], _row(prompt, t), event)
        stopped, memory = model.stop(params, event, state, context), carry.memory
        if plan.stop is not None:
            rule, memory = plan.stop(event, state, memory)
            stopped = rule if stopped is None else ops.logical_or(rule, stopped)
        going = ops.logical_and(ops.logical_not(carry.ended), t < ends)
        ended = carry.ended
        if stopped is not None:
            stopped = ops.logical_and(stopped, t >= prompt_lengths)
            ended = ops.logical_or(ended, ops.logical_and(going, stopped))
        after = Carry(event, state, memory, ended)
        if stopped is not None or plan.is_uneven:
            after = keras.tree.map_structure(lambda new, old: _where(going, new, old), after, carry)
            event = _where(going, event, ops.zeros_like(event))
        return event, after, going

    template = keras.tree.flatten(carry)

    def body(t: Any, lengths: Any, buffer: Any, *flat: Any) -> tuple[Any, ...]:
        event, after, going = one(t, keras.tree.pack_sequence_as(carry, list(flat)))
        buffer = ops.slice_update(buffer, (t, 0, 0), event[None])
        return t + 1, lengths + ops.cast(going, "int32"), buffer, *keras.tree.flatten(after)

    def cond(t: Any, lengths: Any, buffer: Any, *flat: Any) -> Any:
        ended = keras.tree.pack_sequence_as(carry, list(flat)).ended
        waiting = ops.any(ops.logical_and(ops.logical_not(ended), t < ends))
        return ops.logical_and(t < count, waiting)

    start = (
        ops.zeros((), dtype="int32"),
        ops.zeros((batch,), dtype="int32"),
        ops.zeros((capacity, batch, size), dtype=dtype),
    )
    before = (*start, *template)
    # One step, as live use takes them, is no loop: that would cost as much as the step.
    _, lengths, buffer, *flat = body(*before) if capacity == 1 else ops.while_loop(cond, body, before)
    return buffer, lengths, keras.tree.pack_sequence_as(carry, flat)


def _row(table: Any, t: Any) -> Any:
    """Return one step of what is laid out time first."""
    zeros = [0] * (len(table.shape) - 1)
    return ops.slice(table, [t, *zeros], [1, *table.shape[1:]])[0]


def _where(condition: Any, new: Any, old: Any) -> Any:
    """Return new rows where the condition holds, else old ones."""
    rank = len(new.shape)
    return ops.where(ops.reshape(condition, (-1, *[1] * (rank - 1))), new, old)


def _samplers(names: Names, rows: Iterator[int], numbers: Any) -> Samplers:
    """Return samplers whose temperatures are tensors, put together as their names say."""
    if names is not None:
        return {name: _samplers(inner, rows, numbers) for name, inner in names}
    row = next(rows)
    return Sampler(*(numbers[row, place] for place in range(3)))
