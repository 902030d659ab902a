"""A cell that knows where the pen is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mixtura.layers.recurrent import RecurrentStack

SPREAD = 4.0  # spreads of offsets: by what places are divided before a network sees them


class PenCell(keras.layers.Layer):
    r"""One step of a recurrent stack that also sees where the pen is, and from where it began the stroke.

    Of events $(\Delta_t, \text{draw}, \text{lift}, \text{end})$ it adds up

    $$p_t = p_{t-1} + \Delta_t, \qquad
      q_t = \begin{cases} p_t & \text{if the pen came to } t \text{ through the air} \\
                          q_{t-1} & \text{else} \end{cases}$$

    and shows the stack $p_t / 4$ and $(p_t - q_t) / 4$ beside the event. A network can add offsets up itself,
    but not exactly: to close a loop it must know by how much to move.

    The state is p, q, whether the pen was lifted, and the stack's.

    Args:
        stack: the recurrent layers.
        axes: which coordinates of p the stack sees. A line of text goes on to the right without end, and only
            its height says something.
        begun: whether what precedes the first event is itself a point that the pen draws on from. Else the
            pen comes to the first point through the air.
        **kwargs: the arguments of every Keras layer.

    Input shape: `(batch, features)`; the first five are an event, standardised, what follows is passed on.
    Output shape: `(batch, stack.output_size)`.
    """

    def __init__(
        self, stack: RecurrentStack, axes: Sequence[int] = (0, 1), begun: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.stack, self.axes, self.begun = stack, tuple(axes), begun

    @property
    def state_size(self) -> list[int]:
        """The size of every state."""
        return [2, 2, 1, *self.stack.state_size]

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.stack.output_size

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        self.features = input_shape[-1]
        self.stack.build((None, self.features + len(self.axes) + 2))
        self.built = True

    def with_dropout(self, x: Any) -> Any:
        """Return the inputs of whole sequences, masks beside them; see `RecurrentStack.with_dropout`."""
        return self.stack.with_dropout(x)

    def call(self, inputs: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Return the output and the new states.

        Args:
            inputs: `(batch, features)`, or with the masks of `with_dropout` beside them.
            states: as `state_size` says.
            training: not used; masks come with the input.
        """
        place, start, lifted, *own = states
        x, masks = inputs[:, : self.features], inputs[:, self.features :]
        place = place + x[:, :2]
        start = ops.where(lifted > 0.5, place, start)
        # What precedes the first event is none: the pen comes to the first point through the air.
        lift = ops.where(lifted > 1.5, ops.ones_like(lifted), x[:, 3:4])
        shown = [place[:, axis : axis + 1] / SPREAD for axis in self.axes]
        seen = ops.concatenate([x, *shown, (place - start) / SPREAD, masks], axis=-1)
        features, own = self.stack(seen, own)
        return features, [place, start, lift, *own]

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Return the states before any event: the pen at the origin, 2 in place of its being lifted."""
        place, start, lifted = (
            ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size[:3]
        )
        lifted = lifted if self.begun else ops.full_like(lifted, 2.0)
        return [place, start, lifted, *self.stack.get_initial_state(batch_size)]


def places(offsets: Any) -> Any:
    """Return where the pen is after each offset `(batch, time, 2)`, as a `PenCell` shows it."""
    return ops.cumsum(offsets, axis=1) / SPREAD
