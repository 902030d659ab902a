"""Numbers as a network likes them: piecewise linear between quantiles."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mixtura.families.checks import positive_int


@keras.saving.register_keras_serializable(package="mixtura")
class PiecewiseLinear(keras.layers.Layer):
    r"""Adds to numeric columns how far each has come through bins between its quantiles.

    With edges $b_0 < \dots < b_T$ a number x also becomes T numbers, from -1 below bin t to 1 above it:

    $$e_t = 2\,\mathrm{clip}\Bigl(\frac{x - b_{t-1}}{b_t - b_{t-1}}, 0, 1\Bigr) - 1$$

    A first layer can then bend wherever there are data, as a tree can split there; on tables that is worth
    more than width or depth. (Gorishniy, Rubachev & Babenko 2022, On Embeddings for Numerical Features in
    Tabular Deep Learning, eq. 1; here between -1 and 1.)

    Args:
        num_bins: T.
        columns: the leading columns that are numbers; the others pass through.
        **kwargs: the arguments of every Keras layer.

    Input shape: `(batch, features)`. Output shape: `(batch, features + columns * num_bins)`, the input first.

    Raises:
        ValueError: if `num_bins` or `columns` is not a positive integer.

    Example:
        >>> import numpy as np
        >>> layer = PiecewiseLinear(num_bins=2, columns=1)
        >>> layer.adapt(np.array([[0.0], [1.0], [3.0]]))
        >>> np.asarray(layer(np.array([[2.0]])))
        array([[2., 1., 0.]], dtype=float32)
    """

    def __init__(self, num_bins: int, columns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_bins = positive_int("num_bins", num_bins)
        self.columns = positive_int("columns", columns)

    def build(self, input_shape: Any) -> None:
        """Create the lower edges and the widths of the bins, which `adapt` sets."""
        shape = (self.columns, self.num_bins)
        self.lower = self.add_weight(shape, "zeros", trainable=False, name="lower")
        self.inverse_width = self.add_weight(shape, "zeros", trainable=False, name="inverse_width")

    def adapt(self, x: np.ndarray) -> None:
        """Put the edges at quantiles of the training rows `(rows, features)`.

        A column of few different values has fewer bins; the others are constant.
        """
        if not self.built:
            self.build(x.shape)
        places = np.linspace(0, 1, self.num_bins + 1)
        edges = np.quantile(np.asarray(x[:, : self.columns], np.float64), places, axis=0).T
        width = np.diff(edges, axis=1)
        smallest = 1e-6 * np.maximum(np.ptp(edges, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        self.lower.assign(edges[:, :-1])
        self.inverse_width.assign(np.where(width > smallest, 1 / np.maximum(width, smallest), 0.0))

    def call(self, inputs: Any) -> Any:
        """Return the inputs and their places in the bins."""
        place = (inputs[:, : self.columns, None] - self.lower) * self.inverse_width
        place = 2 * ops.clip(place, 0.0, 1.0) - 1
        return ops.concatenate([inputs, ops.reshape(place, (-1, self.columns * self.num_bins))], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output's shape."""
        return (input_shape[0], input_shape[1] + self.columns * self.num_bins)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_bins": self.num_bins, "columns": self.columns}
