"""The HyperLSTM: an LSTM whose weights a smaller LSTM changes at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mixtura.families.checks import positive_int
from mixtura.layers.cells import LSTMCell, product


@keras.saving.register_keras_serializable(package="mixtura")
class HyperLSTMCell(LSTMCell):
    r"""One step of an LSTM whose weights are scaled and whose biases are moved by a smaller LSTM.

    $$\hat h', \hat c' = \mathrm{LSTM}([x, h], \hat h, \hat c)$$
    $$z_{xy} = \hat W_{xy} \hat h' + \hat b_{xy}, \quad z_{hy} = \hat W_{hy} \hat h' + \hat b_{hy}, \quad
      z_{by} = \hat W_{by} \hat h'$$
    $$a_y = D_{xy} z_{xy} \odot W_y x + D_{hy} z_{hy} \odot U_y h + D_{by} z_{by} + b_y, \qquad
      y \in \{i, f, g, o\}$$

    (Ha, Dai & Le 2016, arXiv:1609.09106, the HyperLSTM). The sums $a_y$ enter the gates of `LSTMCell`, which
    also says what layer normalisation does; both LSTMs have it or neither. Its shift stands beside $b_y$,
    which is inside.

    At first the smaller LSTM has no say: $\hat W_x$, $\hat W_h$ and $D_b$ start at 0, $\hat b$ at 1, $D_x$
    and $D_h$ at 0.1 / `embedding_size`, which scales all products by 0.1, and $\hat W_b$ at normal numbers of
    deviation 0.01. These starts are those of Sketch-RNN's code; as there, the smaller LSTM has no recurrent
    dropout.

    Weights beside those of `LSTMCell`, gates in the order i, f, g, o, what scales $W x$ before what scales
    $U h$:

    | name | shape | |
    |---|---|---|
    | `scale_embedding` | `(hyper_units, 8 embedding_size)` | $\hat W_x, \hat W_h$ |
    | `scale_embedding_bias` | `(8 embedding_size,)` | $\hat b_x, \hat b_h$ |
    | `scale` | `(8, embedding_size, units)` | $D_x, D_h$ |
    | `shift_embedding` | `(hyper_units, 4 embedding_size)` | $\hat W_b$ |
    | `shift` | `(4, embedding_size, units)` | $D_b$ |
    | `inner_bias` | `(4 units,)` | $b$ with layer normalisation; without, it is `bias` |

    and those of the smaller LSTM, `hyper`.

    Args:
        units: the size of the state.
        hyper_units: the size of the smaller LSTM's state.
        embedding_size: the size of each embedding z.
        peephole: whether the gates see the cell state.
        layer_norm: whether sums are normalised, here and in the smaller LSTM.
        **kwargs: the arguments of every Keras layer.

    Raises:
        ValueError: for a size that is no positive integer.
    """

    num_states = 4

    def __init__(
        self,
        units: int,
        hyper_units: int = 256,
        embedding_size: int = 32,
        peephole: bool = False,
        layer_norm: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, peephole, layer_norm, **kwargs)
        self.hyper_units = positive_int("hyper_units", hyper_units)
        self.embedding_size = positive_int("embedding_size", embedding_size)
        self.hyper = LSTMCell(
            self.hyper_units, layer_norm=self.layer_norm, dtype=self.dtype_policy, name="hyper"
        )

    @property
    def state_size(self) -> list[int]:
        """The sizes of h, c and of the smaller LSTM's."""
        return [self.units] * 2 + [self.hyper_units] * 2

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        super().build(input_shape)
        self.hyper.build((None, input_shape[-1] + self.units))

    def _build_rest(self) -> None:
        super()._build_rest()
        size = self.embedding_size
        tenth = keras.initializers.Constant(0.1 / size)
        noise = keras.initializers.RandomNormal(stddev=0.01)
        for name, shape, start in (
            ("scale_embedding", (self.hyper_units, 8 * size), "zeros"),
            ("scale_embedding_bias", (8 * size,), "ones"),
            ("scale", (8, size, self.units), tenth),
            ("shift_embedding", (self.hyper_units, 4 * size), noise),
            ("shift", (4, size, self.units), "zeros"),
        ):
            setattr(self, name, self.add_weight(shape=shape, initializer=start, name=name))
        if self.layer_norm:
            self.inner_bias = self.add_weight(shape=(4 * self.units,), initializer="zeros", name="inner_bias")

    def call(self, inputs: Any, states: Sequence[Any], keep: Any = None) -> tuple[Any, list[Any]]:
        r"""Return the output h' and the new states [h', c', $\hat h'$, $\hat c'$].

        Args:
            inputs: x, `(batch, features)`.
            states: as `state_size` says.
            keep: factors for tanh(...) in c', `(batch, units)`: recurrent dropout.
        """
        h, c, *hyper = states
        seen, hyper = self.hyper(ops.concatenate([inputs, h], axis=-1), hyper)
        by_x, by_h = ops.split(
            _spread(ops.matmul(seen, self.scale_embedding) + self.scale_embedding_bias, self.scale),
            2,
            axis=-1,
        )
        sums = by_x * product(inputs, self.kernel) + by_h * product(h, self.recurrent_kernel)
        sums = sums + _spread(ops.matmul(seen, self.shift_embedding), self.shift)
        if self.layer_norm:
            sums = sums + self.inner_bias
        h, own = self._gated(sums, c, keep)
        return h, [*own, *hyper]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {"hyper_units": self.hyper_units, "embedding_size": self.embedding_size}
        return {**super().get_config(), **own}


def _spread(embeddings: Any, matrices: Any) -> Any:
    """Return each embedding, of those side by side, times its matrix: the results side by side."""
    count, size, units = matrices.shape
    batch = ops.shape(embeddings)[0]
    each = ops.einsum("bne,neu->bnu", ops.reshape(embeddings, (batch, count, size)), matrices)
    return ops.reshape(each, (batch, count * units))
