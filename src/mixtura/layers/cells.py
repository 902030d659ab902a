"""The recurrent cells: one step of an LSTM or a GRU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mixtura.families.checks import finite, positive_int
from mixtura.layers.clipping import ClipGradient

EPSILON = 1e-3  # added to a variance before layer normalisation divides by its root


class _Cell(keras.layers.Layer):
    """One step of a recurrent layer: weights for the input and for the state, and how gates combine them."""

    gates: int
    num_states: int

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = positive_int("units", units)

    @property
    def state_size(self) -> list[int]:
        """The size of every state, as `keras.layers.RNN` asks for it."""
        return [self.units] * self.num_states

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.units

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        width = self.gates * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], width), initializer="glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), initializer="orthogonal", name="recurrent_kernel"
        )
        self._build_rest()

    def _build_rest(self) -> None:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="mixtura")
class LSTMCell(_Cell):
    r"""One step of a long short-term memory layer.

    $$i = \sigma(W_i x + U_i h + p_i \odot c + b_i), \qquad f = \sigma(W_f x + U_f h + p_f \odot c + b_f)$$
    $$c' = f \odot c + i \odot \tanh(W_g x + U_g h + b_g)$$
    $$o = \sigma(W_o x + U_o h + p_o \odot c' + b_o), \qquad h' = o \odot \tanh(c')$$

    (Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000.) The peephole weights p are
    diagonal (Gers et al. 2002; Graves 2013, arXiv:1308.0850, equations 7 to 11) and absent by default.
    With layer normalisation every gate's sum, without its bias, is normalised over the units, then scaled by
    a gain and shifted by the bias; so is $c'$ before its tanh (Ba, Kiros & Hinton 2016, arXiv:1607.06450,
    section 3.1, normalising the sum of both products at once, as Ha & Eck's code for Sketch-RNN does).

    Weights are laid out as in `keras.layers.LSTM`: gates in the order i, f, g, o, one bias vector, the forget
    gate's starting at 1.

    Args:
        units: the size of the state.
        peephole: whether the gates see the cell state.
        layer_norm: whether sums are normalised.
        clip: the largest absolute derivative of the loss with respect to a gate's sum, at every step; 0 for
            no limit. Graves clips these to 10 (2013, section 2.1); see `ClipGradient` on the loss's scale.
        **kwargs: the arguments of every Keras layer.

    Raises:
        ValueError: for a non-positive `units` or a negative `clip`.
    """

    gates, num_states = 4, 2

    def __init__(
        self, units: int, peephole: bool = False, layer_norm: bool = False, clip: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(units, **kwargs)
        self.peephole, self.layer_norm, self.clip = bool(peephole), bool(layer_norm), float(clip)
        self._clipped = ClipGradient(clip, dtype=self.dtype_policy) if clip else None

    def _build_rest(self) -> None:
        self.bias = self.add_weight(shape=(4 * self.units,), initializer=_forget_less, name="bias")
        if self.peephole:
            # Graves' peepholes start small; zeros start at a cell without them.
            self.peepholes = self.add_weight(shape=(3, self.units), initializer="zeros", name="peepholes")
        if self.layer_norm:
            self.gain = self.add_weight(shape=(4 * self.units,), initializer="ones", name="gain")
            self.cell_gain = self.add_weight(shape=(self.units,), initializer="ones", name="cell_gain")
            self.cell_bias = self.add_weight(shape=(self.units,), initializer="zeros", name="cell_bias")

    def call(self, inputs: Any, states: Sequence[Any], keep: Any = None) -> tuple[Any, list[Any]]:
        """Return the output h' and the new states [h', c'].

        Args:
            inputs: x, `(batch, features)`.
            states: [h, c], `(batch, units)` each.
            keep: factors for tanh(...) in c', `(batch, units)`: recurrent dropout.
        """
        h, c = states
        sums = product(inputs, self.kernel) + product(h, self.recurrent_kernel)
        return self._gated(sums, c, keep)

    def _gated(self, sums: Any, c: Any, keep: Any) -> tuple[Any, list[Any]]:
        """Return h' and [h', c'] from what enters the gates, without its bias, and c."""
        if self.layer_norm:
            sums = self._normalised(sums, 4) * self.gain
        clipped = self._clipped or _as_it_is
        i, f, g, o = ops.split(sums + self.bias, 4, axis=-1)
        if self.peephole:
            i, f = i + self.peepholes[0] * c, f + self.peepholes[1] * c
        i, f, candidate = clipped(i), clipped(f), ops.tanh(clipped(g))
        if keep is not None:
            candidate = candidate * keep
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * candidate
        if self.peephole:
            o = o + self.peepholes[2] * c
        o = clipped(o)
        shown = self._normalised(c, 1) * self.cell_gain + self.cell_bias if self.layer_norm else c
        h = ops.sigmoid(o) * ops.tanh(shown)
        return h, [h, c]

    def _normalised(self, values: Any, groups: int) -> Any:
        """Return values with mean 0 and variance 1 over the units of each gate."""
        shape = ops.shape(values)
        grouped = ops.reshape(values, (*shape[:-1], groups, self.units))
        centred = grouped - ops.mean(grouped, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        return ops.reshape(centred * ops.rsqrt(variance + EPSILON), shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("peephole", "layer_norm", "clip")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="mixtura")
class GRUCell(_Cell):
    r"""One step of a gated recurrent unit.

    $$z = \sigma(W_z x + b_z + U_z h + d_z), \qquad r = \sigma(W_r x + b_r + U_r h + d_r)$$
    $$h' = z \odot h + (1 - z) \odot \tanh\bigl(W_g x + b_g + r \odot (U_g h + d_g)\bigr)$$

    (Cho et al. 2014, arXiv:1406.1078, with the reset gate after the product.) Weights are laid out as in
    `keras.layers.GRU`: gates in the order z, r, g, two bias vectors b and d.

    Args:
        units: the size of the state.
        **kwargs: the arguments of every Keras layer.

    Raises:
        ValueError: for a non-positive `units`.
    """

    gates, num_states = 3, 1

    def _build_rest(self) -> None:
        self.bias = self.add_weight(shape=(2, 3 * self.units), initializer="zeros", name="bias")

    def call(self, inputs: Any, states: Sequence[Any], keep: Any = None) -> tuple[Any, list[Any]]:
        """Return the output h' and the new states [h'].

        Args:
            inputs: x, `(batch, features)`.
            states: [h], `(batch, units)`.
            keep: factors for tanh(...), `(batch, units)`: recurrent dropout.
        """
        (h,) = states
        from_input = ops.split(product(inputs, self.kernel) + self.bias[0], 3, axis=-1)
        from_state = ops.split(product(h, self.recurrent_kernel) + self.bias[1], 3, axis=-1)
        z = ops.sigmoid(from_input[0] + from_state[0])
        r = ops.sigmoid(from_input[1] + from_state[1])
        candidate = ops.tanh(from_input[2] + r * from_state[2])
        if keep is not None:
            candidate = candidate * keep
        h = z * h + (1 - z) * candidate
        return h, [h]


def product(x: Any, kernel: Any) -> Any:
    """Return x times a kernel, `(batch, width)`.

    If the kernel's value is bfloat16 and x is not, x is rounded too, and sums keep the dtype of x (`rounding`
    in `generation/program.py` makes such kernels). This is for JAX: no operation of Keras multiplies so.
    """
    kernel = ops.convert_to_tensor(kernel)
    if _dtype(kernel) != "bfloat16" or _dtype(x) == "bfloat16":
        return ops.matmul(x, kernel)
    import jax

    return jax.lax.dot(ops.cast(x, "bfloat16"), kernel, preferred_element_type=x.dtype)


def kernels(*layers: Any) -> list[Any]:
    """Return the weights that the cells within layers multiply by."""
    cells = [cell for layer in layers for cell in layer._flatten_layers() if isinstance(cell, _Cell)]
    return [kernel for cell in cells for kernel in (cell.kernel, cell.recurrent_kernel)]


def _dtype(x: Any) -> str:
    return keras.backend.standardize_dtype(x.dtype)


def _as_it_is(x: Any) -> Any:
    return x


def _forget_less(shape: tuple[int, ...], dtype: Any = None) -> Any:
    """Return zeros, and ones for the forget gate: what a new LSTM has seen it remembers."""
    units = shape[0] // 4
    return ops.concatenate([ops.zeros(units, dtype), ops.ones(units, dtype), ops.zeros(2 * units, dtype)])


def dropout_rate(name: str, value: float) -> float:
    """Return a rate of dropout, or raise a ValueError that names it."""
    rate = finite(name, value)
    if not 0 <= rate < 1:
        raise ValueError(f"{name} must be 0 or more and less than 1; received {value!r}")
    return rate
