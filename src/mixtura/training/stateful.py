"""Truncated backpropagation through time: a recurrent state carried from one batch to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mixtura.families.checks import positive_int
from mixtura.training.trainer import Trainer


@keras.saving.register_keras_serializable(package="mixtura")
class Stateful(Trainer):
    """A sequence model whose state goes on from batch to batch while it trains, for long sequences.

    Row b of a batch goes on where row b of the batch before ended, unless it is `fresh`. Gradients end where
    the batch begins: truncated backpropagation through time (Williams & Peng 1990). Train it on
    `Ragged.streams` of the same batch size.

    It does so in validation too, where `Ragged.streams` of the same batch size are given.

    Args:
        model: a `SequenceModel`.
        batch_size: the number of lanes.
        **kwargs: the arguments of every Keras model.

    Shapes: takes the dictionary of `SequenceModel.call` with `fresh`, `(batch,)`; returns what it returns.

    Raises:
        ValueError: if `batch_size` is not positive.

    Example:
        stateful = Stateful(model, batch_size=8)
        stateful.compile("adam", loss=mx.NegativeLogLikelihood(model.family))
        fit(stateful, Ragged.streams(sequences, 100, start=model.start_event(), batch_size=8), epochs=20)
    """

    def __init__(self, model: keras.Model, batch_size: int, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.batch_size = positive_int("batch_size", batch_size)

    def build(self, input_shape: Mapping[str, Any]) -> None:
        """Create the carried state."""
        self.carried = [
            self.add_weight(tuple(part.shape), "zeros", part.dtype, trainable=False, name=f"carried_{number}")
            for number, part in enumerate(keras.tree.flatten(self._initial(input_shape)))
        ]
        self.built = True

    def _initial(self, shapes: Mapping[str, Any]) -> Any:
        shape = shapes.get("context")
        context = None if shape is None else ops.zeros((self.batch_size, *shape[1:]))
        return self.model.initial_state(self.batch_size, context)

    def call(self, data: Mapping[str, Any], training: bool = False) -> Any:
        """Return the parameters of every step, and carry the state on."""
        given = dict(data)
        fresh = given.pop("fresh")
        # One row alone is none of the lanes.
        if fresh.shape[0] not in (None, self.batch_size):
            return self.model.call(given, training=training)
        start = self.model.initial_state(self.batch_size, given.get("context"))
        parts = [
            ops.where(ops.reshape(fresh, (-1, *[1] * (len(old.shape) - 1))), new, ops.convert_to_tensor(old))
            for new, old in zip(keras.tree.flatten(start), self.carried, strict=True)
        ]
        given["state"] = keras.tree.pack_sequence_as(start, parts)
        params, state = self.model.unroll(**given, training=training)
        for variable, value in zip(self.carried, keras.tree.flatten(state), strict=True):
            variable.assign(ops.stop_gradient(value))
        return params

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "batch_size": self.batch_size}
