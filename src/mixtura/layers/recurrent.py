"""Stacks of recurrent cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from mixtura.families.checks import one_of, positive_int
from mixtura.layers.cells import GRUCell, LSTMCell, dropout_rate
from mixtura.layers.hyper import HyperLSTMCell

CellType = Literal["lstm", "gru", "hyper"]
# Each cell's class, and which arguments of the stack it takes beside its size.
CELLS: dict[str, tuple[type[keras.layers.Layer], tuple[str, ...]]] = {
    "lstm": (LSTMCell, ("peephole", "layer_norm", "clip")),
    "gru": (GRUCell, ()),
    "hyper": (HyperLSTMCell, ("peephole", "layer_norm", "hyper_units", "embedding_size")),
}


@keras.saving.register_keras_serializable(package="mixtura")
class RecurrentStack(keras.layers.Layer):
    r"""One step of several recurrent layers, one above the other: a cell for `keras.layers.RNN`.

    With skip connections every layer also sees the input, and the output is the hidden states of all layers
    side by side (Graves 2013, arXiv:1308.0850, section 2); without, it is the top layer's.

    Recurrent dropout multiplies the candidate $\tanh(\dots)$ of every cell by a mask, drawn anew for every
    step, of zeros and $1 / (1 - p)$: what the cell state holds is never dropped, so nothing remembered is
    lost (Semeniuta, Severyn & Barth 2016, arXiv:1603.05118, equation 5). The masks of a whole sequence are
    drawn at once and come with the input (`with_dropout`).

    Args:
        units: the size of each layer's state, from the bottom up.
        cell: "lstm", "gru" or "hyper", an LSTM whose weights a smaller one changes (`HyperLSTMCell`).
        peephole: whether an LSTM's gates see its cell state.
        layer_norm: whether an LSTM's sums are normalised.
        skips: whether there are skip connections.
        recurrent_dropout: the share p of candidates left out in training.
        seed: of the masks.
        hyper_units: the size of the smaller LSTM's state in each "hyper" layer.
        embedding_size: the size of that LSTM's embeddings.
        clip: see `LSTMCell`; of "lstm".
        **kwargs: the arguments of every Keras layer.

    Input shape: `(batch, features)`. Output shape: `(batch, output_size)`.

    Raises:
        ValueError: if `units` is empty or a size is no positive integer; for an unknown `cell`, for
            `peephole` or `layer_norm` with "gru", or a rate of dropout outside [0, 1).
    """

    def __init__(
        self,
        units: Sequence[int],
        cell: CellType = "lstm",
        peephole: bool = False,
        layer_norm: bool = False,
        skips: bool = False,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        hyper_units: int = 256,
        embedding_size: int = 32,
        clip: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = tuple(positive_int("units", size) for size in units)
        if not self.units:
            raise ValueError("units must name at least one layer's size; received none")
        self.cell = one_of("cell", cell, get_args(CellType))
        if cell == "gru" and (peephole or layer_norm):
            raise ValueError("peephole and layer_norm are for LSTM cells; received cell='gru'")
        self.peephole, self.layer_norm, self.skips = bool(peephole), bool(layer_norm), bool(skips)
        self.recurrent_dropout = dropout_rate("recurrent_dropout", recurrent_dropout)
        self.seed = seed
        self.hyper_units = positive_int("hyper_units", hyper_units)
        self.embedding_size = positive_int("embedding_size", embedding_size)
        self.clip = float(clip)
        kind, names = CELLS[self.cell]
        settings = {name: getattr(self, name) for name in names}
        self.cells: list[Any] = [
            kind(size, **settings, dtype=self.dtype_policy, name=f"layer_{number}")
            for number, size in enumerate(self.units, 1)
        ]
        self._masks = keras.random.SeedGenerator(seed) if self.recurrent_dropout else None

    @property
    def state_size(self) -> list[int]:
        """The size of every state: h and c of each LSTM, h of each GRU, from the bottom up.

        A "hyper" layer has h and c, then the smaller LSTM's.
        """
        return [size for cell in self.cells for size in cell.state_size]

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return sum(self.units) if self.skips else self.units[-1]

    def build(self, input_shape: Any) -> None:
        """Create the weights.

        Args:
            input_shape: ends with the number of features, without masks.
        """
        self.features = features = input_shape[-1]
        for cell, size in zip(self.cells, self.units, strict=True):
            cell.build((None, features))
            features = size + (self.features if self.skips else 0)
        self.built = True

    def with_dropout(self, x: Any) -> Any:
        """Return the inputs of whole sequences `(batch, time, features)`, masks beside them."""
        if self._masks is None:
            return x
        keep = 1 - self.recurrent_dropout
        shape = (*ops.shape(x)[:-1], sum(self.units))
        uniform = keras.random.uniform(shape, dtype=x.dtype, seed=self._masks)
        mask = ops.where(uniform < keep, ops.ones_like(uniform) / keep, ops.zeros_like(uniform))
        return ops.concatenate([x, mask], axis=-1)

    def call(self, inputs: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Return the output and the new states.

        Args:
            inputs: `(batch, features)`, or with the masks of `with_dropout` beside them.
            states: as `state_size` says.
            training: not used; masks come with the input.
        """
        x, masks = self._parts(inputs)
        states, below = list(states), x
        outputs, after = [], []
        for cell, mask in zip(self.cells, masks, strict=True):
            own, states = states[: cell.num_states], states[cell.num_states :]
            h, own = cell(below, own, keep=mask)
            outputs.append(h)
            after += own
            below = ops.concatenate([x, h], axis=-1) if self.skips else h
        return ops.concatenate(outputs, axis=-1) if self.skips else outputs[-1], after

    def _parts(self, inputs: Any) -> tuple[Any, list[Any]]:
        """Return the features of a step, and each layer's mask, None without dropout."""
        if inputs.shape[-1] == self.features:
            return inputs, [None] * len(self.cells)
        ends = [self.features + sum(self.units[:n]) for n in range(len(self.units))]
        x, *masks = ops.split(inputs, ends, axis=-1)
        return x, masks

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Return states of zeros, `(batch, size)` each."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        switches = ("cell", "peephole", "layer_norm", "skips", "recurrent_dropout", "seed")
        names = (*switches, "hyper_units", "embedding_size", "clip")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), "units": list(self.units), **own}
