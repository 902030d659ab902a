"""`generate` and `stream`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import signature
from itertools import count
from typing import Any

import numpy as np
from keras import ops

from mixtura.families.checks import positive_int
from mixtura.generation.program import begin
from mixtura.generation.request import Policy, Precision, Request
from mixtura.generation.results import Generated
from mixtura.generation.stopping import Stop
from mixtura.sampling import Samplers

TAPE = 2**24  # random numbers drawn at once at most: what is longer goes through the loop in pieces


def generate(
    model: Any,
    steps: int,
    *,
    prompt: Any = None,
    inputs: Any = None,
    context: Any = None,
    policy: Policy | None = None,
    stop: Stop | None = None,
    sampler: Samplers | None = None,
    temperature: float | None = None,
    batch_size: int | None = None,
    seed: int | Sequence[int] | None = None,
    after: Generated | None = None,
    precision: Precision = "float32",
) -> Generated:
    """Draw sequences from a model, all steps in one compiled loop.

    A sequence depends on its seed alone, not on the batch that it is drawn in (but for the rounding of matrix
    products). Fewer steps give the beginning of what more steps give. Compiled is once for every batch size,
    power of two of the steps, `policy`, `stop` and `precision`; weights, seeds, prompts and samplers are
    arguments of the program (JAX and TensorFlow; on PyTorch the loop runs as it is written).

    Args:
        model: a `mixtura.models.SequenceModel`.
        steps: how many events to draw, after the prompt.
        prompt: events that sequences begin with: `(length, event_size)` for all, or one such array for each,
            of any lengths, as a list or `(batch, length, event_size)`. They are part of what is returned.
        inputs: what enters at every step, `(batch, steps, size)` or `(steps, size)` for all, a prompt's steps
            included.
        context: what is fixed for a sequence, `(batch, ...)`.
        policy: chooses the inputs: `policy(event, state) -> inputs` from the previous event and the model's
            state; compiled with the loop. If it is a Keras layer its weights may change without compiling.
        stop: ends sequences, beside the model's own `stop`.
        sampler: as in `Family.sample`.
        temperature: as in `Family.sample`.
        batch_size: how many sequences; by default as many as seeds, prompts, inputs or contexts, else 1.
        seed: sequence i of a batch with seed s is the same in every batch. Or a seed for each sequence: then
            each is what it would be alone with its seed. None for fresh entropy.
        after: sequences to go on with, in place of starting anew: with the same seed they become what they
            would have been. Those that a stop rule ended stay ended.
        precision: "float32" computes as the model does. With "bfloat16" an LSTM's or a GRU's products take
            weights and inputs of 8 significant bits and add up in float32; all else is as before, the
            weights that the model keeps too. On processors that multiply bfloat16, many sequences of a large
            network are then drawn in little more than half the time, one in the same; it costs less than
            0.001 nats an event (`benchmarks/handwriting.py`). JAX only.

    Raises:
        ValueError: for steps, a prompt, inputs, a seed or a context that do not fit the model or each other;
            if `inputs` and `policy` are both given; for a model or a policy that has no weights yet; for an
            unknown precision, or bfloat16 on another backend than JAX.
        TypeError: for a sampler, a seed, a policy, a rule or an `after` that is none.
    """
    request = Request(
        model,
        prompt=prompt,
        inputs=inputs,
        context=context,
        policy=policy,
        stop=stop,
        sampler=sampler,
        temperature=temperature,
        batch_size=batch_size,
        seed=seed,
        after=after,
        precision=precision,
    )
    ends = request.prompt_lengths + positive_int("steps", steps)
    total = int(ends.max())
    request.require_inputs(total)
    run, carry = begin(request)
    pieces, lengths = [], np.zeros(request.batch_size, np.int64)
    piece = 1 << max(0, (TAPE // request.numbers_per_step).bit_length() - 1)
    for start in range(0, total, piece):
        some = min(piece, total - start)
        events, drawn, carry = run(carry, *request.arguments(start, some), ends - start)
        pieces.append(np.asarray(ops.convert_to_numpy(events))[:some])
        lengths += np.asarray(ops.convert_to_numpy(drawn))
    return Generated(np.swapaxes(np.concatenate(pieces), 0, 1), lengths, carry, request.taken + lengths, stop)


def stream(model: Any, steps: int | None = None, **settings: Any) -> Iterator[np.ndarray]:
    """Draw one sequence event by event, `(event_size,)` each: what `generate` draws, for live use.

    A prompt goes through first and is not yielded. Without `steps` it goes on until a stop rule ends the
    sequence, or inputs do.

    Args:
        model: a `mixtura.models.SequenceModel`.
        steps: how many events.
        **settings: those of `generate`, for one sequence.

    Raises:
        TypeError: for an unknown setting.
        ValueError: as `generate`, and for several sequences.
    """
    if unknown := settings.keys() - _SETTINGS:
        raise TypeError(f"stream takes the settings of generate; received {', '.join(sorted(unknown))}")
    request = Request(model, **_SETTINGS | settings)
    if request.batch_size != 1:
        raise ValueError(f"stream draws one sequence; received {request.batch_size}")
    prompted = int(request.prompt_lengths[0])
    if steps is not None:
        request.require_inputs(prompted + positive_int("steps", steps))
        return _events(request, prompted, prompted + steps)
    return _events(request, prompted, request.num_inputs)


_SETTINGS: dict[str, Any] = {
    name: setting.default
    for name, setting in signature(generate).parameters.items()
    if setting.kind is setting.KEYWORD_ONLY
}


def _events(request: Request, prompted: int, end: int | None) -> Iterator[np.ndarray]:
    """Yield the events of one sequence, from the end of the prompt on."""
    run, carry = begin(request)
    if prompted:
        _, _, carry = run(carry, *request.arguments(0, prompted), np.array([prompted]))
    for step in count(prompted) if end is None else range(prompted, end):
        events, drawn, carry = run(carry, *request.arguments(step, 1), np.array([1]))
        if not ops.convert_to_numpy(drawn)[0]:  # it had ended before
            return
        yield np.asarray(ops.convert_to_numpy(events))[0, 0]
