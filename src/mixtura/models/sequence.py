"""The contract of sequence models: one step, teacher forcing, generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.compiling import kept
from mixtura.families.base import Family, a_family
from mixtura.generation import Generated, generate, stream
from mixtura.layers.mdn import MDN


class SequenceModel(keras.Model):
    r"""A model of sequences of events, each distributed as a family says given all before it.

    $$p(y_1, \dots, y_T \mid c, u) = \prod_t p(y_t \mid y_{<t}, u_{\le t}, c)$$

    c is a context, fixed for a sequence (a text, a latent, a class); u are inputs at every step (actions).
    One step is defined once, by `embed`, `cell` and `head`:

        x = embed(previous event, inputs, context);  params, state = step(x, state, context)

    `call` runs it over given events (teacher forcing), `generate` and `stream` over events that it draws.
    `params[:, t]` describes `events[:, t]`: the model shifts events itself and puts `start_event` before the
    first. Pad sequences on the right and give padding a loss of weight 0; what comes after a step cannot
    change it.

    Subclasses choose the cell and may override `embed`, `initial_state`, `start_event`, `stop` and `step`.
    What a cell needs of the context for its recurrence it finds in the state, where `initial_state` puts it.

    Args:
        family: what the parameters of one step mean. Its units (see `Affine`) also standardise the events
            that the network sees, so normalisation is stored with the model and likelihoods are in the
            data's units.
        cell: a layer with `state_size`, `output_size` and `call(x, states) -> (features, states)`, as
            `keras.layers.RNN` takes them. It must not know its model.
        **kwargs: the arguments of every Keras model.
    """

    def __init__(self, family: Family, cell: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.family = a_family("family", family)
        # zero_output_for_mask: without it Keras puts the first state in place of masked outputs.
        self.rnn = keras.layers.RNN(
            cell, return_sequences=True, return_state=True, zero_output_for_mask=True, dtype=self.dtype_policy
        )
        self.head = MDN(family, dtype=self.dtype_policy, name="head")

    @property
    def cell(self) -> Any:
        """The layer that holds the recurrence."""
        return self.rnn.cell

    # ------------------------------------------------------------------ what subclasses may override

    def start_event(self) -> Any:
        """Return what precedes the first event, `(event_size,)`: zero in the family's units."""
        return ops.convert_to_tensor(self.family.units[0], dtype=self.variable_dtype)

    def initial_state(self, batch_size: Any, context: Any = None) -> Any:
        """Return the state before the first step: nested tensors, the batch on their first axis."""
        return self.cell.get_initial_state(batch_size)

    def embed(self, event: Any, inputs: Any = None, context: Any = None) -> Any:
        """Return the network's input: event, inputs and context side by side.

        The event is standardised as the family does it: in its units, a `LogNormal`'s as a logarithm.

        Args:
            event: the previous event, `(batch, event_size)`, or of all steps, `(batch, time, event_size)`.
            inputs: of this step, `(batch, size)`, or of all steps.
            context: of the sequence, `(batch, size)`.
        """
        event = ops.convert_to_tensor(event)
        parts = [self.family._standardised(ops, event)]
        if inputs is not None:
            parts.append(ops.cast(inputs, event.dtype))
        if context is not None:
            context = ops.cast(context, event.dtype)
            if len(event.shape) == 3:
                shape = (ops.shape(event)[0], ops.shape(event)[1], context.shape[-1])
                context = ops.broadcast_to(context[:, None], shape)
            parts.append(context)
        x = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        return ops.cast(x, self.compute_dtype)

    def step(self, x: Any, state: Any, context: Any = None) -> tuple[Any, Any]:
        """Return the parameters of the next event, `(batch, params_size)`, and the state after this step."""
        features, state = self.cell(x, state)
        return self.read(features, x), state

    def read(self, features: Any, x: Any) -> Any:
        """Return the parameters from the cell's output and the input of the same steps."""
        return self.head(features)

    def stop(self, params: Any, event: Any, state: Any, context: Any = None) -> Any:
        """Return which sequences end with this event, `(batch,)` of booleans; None if none ever does.

        Args:
            params: what the event was drawn from.
            event: `(batch, event_size)`.
            state: after the step.
            context: of the sequences.
        """
        return None

    # ------------------------------------------------------------------ over whole sequences

    def call(
        self,
        events: Any,
        inputs: Any = None,
        context: Any = None,
        before: Any = None,
        state: Any = None,
        training: bool = False,
    ) -> Any:
        """Return the parameters of every step given the events before it, `(batch, time, params_size)`.

        Args:
            events: `(batch, time, event_size)`; or a mapping with the arguments by name.
            inputs: `(batch, time, size)`.
            context: `(batch, size)`.
            before: the event before the first, `(batch, event_size)`; by default `start_event()`.
            state: the state before the first step; by default `initial_state(batch, context)`.
            training: whether dropout is on.
        """
        if isinstance(events, Mapping):
            return self.call(**events, training=training)
        return self.unroll(events, inputs, context, before, state, training)[0]

    def unroll(
        self,
        events: Any,
        inputs: Any = None,
        context: Any = None,
        before: Any = None,
        state: Any = None,
        training: bool = False,
    ) -> tuple[Any, Any]:
        """Return what `call` does, and the state after the last step."""
        features, x, after = self.features(events, inputs, context, before, state, training)
        return self.read(features, x), after

    def features(
        self,
        events: Any,
        inputs: Any = None,
        context: Any = None,
        before: Any = None,
        state: Any = None,
        training: bool = False,
    ) -> tuple[Any, Any, Any]:
        """Return the cell's output at every step, the network's input, and the state after the last step."""
        events = ops.convert_to_tensor(events, dtype=self.variable_dtype)
        batch = ops.shape(events)[0]
        if before is None:
            before = ops.broadcast_to(self.start_event(), (batch, self.family.event_size))
        before = ops.cast(before, events.dtype)
        previous = ops.concatenate([before[:, None], events[:, :-1]], axis=1)
        x = self.embed(previous, inputs, context)
        state = self.initial_state(batch, context) if state is None else state
        has_dropout = training and hasattr(self.cell, "with_dropout")
        seen = self.cell.with_dropout(x) if has_dropout else x
        features, *after = self.rnn(seen, initial_state=keras.tree.flatten(state))
        return features, x, keras.tree.pack_sequence_as(state, after)

    def compute_output_shape(self, input_shape: Any, *_: Any, **__: Any) -> Any:
        """Return the output's shape."""
        shape = input_shape["events"] if isinstance(input_shape, Mapping) else input_shape
        return (*shape[:-1], self.family.params_size)

    def program(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of this model as `compiled` makes it, made at its first use and then kept.

        Args:
            name: what the function is kept by; the same for functions that compute the same.
            function: reads the weights of this model and no others.
        """
        return kept(self, name, function, self)

    # ------------------------------------------------------------------ drawing

    def generate(self, steps: int, **settings: Any) -> Generated:
        """Draw sequences; see `mixtura.generation.generate`, which this calls."""
        return generate(self, steps, **settings)

    def stream(self, steps: int | None = None, **settings: Any) -> Iterator[np.ndarray]:
        """Draw one sequence event by event; see `mixtura.generation.stream`, which this calls."""
        return stream(self, steps, **settings)
