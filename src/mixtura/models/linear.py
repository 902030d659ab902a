"""An MDN-RNN around a linear prediction: for signals sampled so fast that a line predicts most of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from mixtura.families import Family, host
from mixtura.layers.recurrent import CellType, RecurrentStack
from mixtura.models.sequence import SequenceModel


@keras.saving.register_keras_serializable(package="mixtura")
class LinearMDNRNN(SequenceModel):
    r"""An MDN-RNN whose components lie around a linear prediction of the next event.

    $$\hat y_t = \sum_{i=1}^{p} A_i\, y_{t-i}, \qquad
      p(y_t \mid y_{<t}) = \sum_k \pi_k(h_t)\, p_k\bigl(y_t - \hat y_t \mid \mu_k(h_t), \sigma_k(h_t)\bigr)$$

    in the family's units, as it standardises events (a `LogitNormal`'s in the logit). The matrices A are
    given, by least squares say, and stay: what they predict the network need not learn, and before training
    the model is a linear autoregression. The recurrent layers see the last event and the asinh of its own
    error, $y_{t-1} - \hat y_{t-1}$: its change, where the prediction is the event before. The shift is known
    before $y_t$ is, so likelihoods are exact.

    Take as units of the family the spread of what a linear prediction leaves, not of the signal.

    Args:
        family: with locations, such as a mixture of normals, in the data's units.
        coefficients: A, `(p, event_size, event_size)`: entry `[i, a, b]` is the weight of dimension a, i + 1
            events ago, in the prediction of dimension b.
        level: by what the last event is divided before the network sees it: its spread in the family's units.
        units: the size of each recurrent layer, from the bottom up.
        cell: "lstm" or "gru".
        spread: by what an error is divided before the network sees it. 1 serves where the family's units are
            the spread of errors, as above.
        **kwargs: the arguments of every Keras model.

    Raises:
        TypeError: if `family` is not a family.
        NotImplementedError: if its events have no location to move.
        ValueError: if `coefficients` have another shape or are not finite; as `RecurrentStack`.

    Example:
        >>> import mixtura as mx
        >>> family = mx.Affine(mx.Mixture(mx.Normal(1), 3), shift=10.0, scale=2.0)
        >>> model = LinearMDNRNN(family, [[[2.0]], [[-1.0]]], units=(8,))  # a straight line goes on
        >>> model.generate(20, seed=1).events.shape
        (1, 20, 1)
    """

    def __init__(
        self,
        family: Family,
        coefficients: Any,
        level: float = 1.0,
        units: Sequence[int] = (64,),
        cell: CellType = "gru",
        spread: float = 1.0,
        **kwargs: Any,
    ) -> None:
        size = family.event_size if isinstance(family, Family) else 1
        stack = RecurrentStack(units, cell, dtype=kwargs.get("dtype"), name="stack")
        around = LinearCell(
            stack, coefficients, size, level, spread, dtype=kwargs.get("dtype"), name="around"
        )
        super().__init__(family, around, **kwargs)
        self.rnn.build((None, None, size))
        self.head.build((None, stack.output_size))
        family._relocated(host, np.zeros(family.params_size), np.zeros(family.event_size))  # raises if none
        self.built = True

    def read(self, features: Any, x: Any) -> Any:
        """Return the head's parameters, every component's location shifted by the prediction."""
        features, expected = ops.split(features, [self.cell.stack.output_size], axis=-1)
        params = self.head(features)
        return self.family._relocated(ops, params, ops.cast(expected, params.dtype))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "family": keras.saving.serialize_keras_object(self.family),
            "coefficients": self.cell.coefficients.tolist(),
            "level": self.cell.level,
            "spread": self.cell.spread,
            "units": list(self.cell.stack.units),
            "cell": self.cell.stack.cell,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build the model from `get_config`'s dictionary."""
        return cls(**{**config, "family": keras.saving.deserialize_keras_object(config["family"])})


class LinearCell(keras.layers.Layer):
    """One step of a recurrent stack that sees events and the errors of a linear prediction.

    The output is the stack's features and, after them, the prediction of the next event. The state is
    whether there was an event yet, the last p events, newest first, the prediction of the next, and the
    stack's. Before the first event lies the first event itself, p times.

    Args:
        stack: the recurrent layers.
        coefficients: `(p, event_size, event_size)`.
        event_size: the number of dimensions of an event.
        level: by what an event is divided before the stack sees it.
        spread: by what an error is.
        **kwargs: the arguments of every Keras layer.
    """

    def __init__(
        self,
        stack: RecurrentStack,
        coefficients: Any,
        event_size: int,
        level: float,
        spread: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.coefficients = np.asarray(coefficients, np.float64)
        shape = self.coefficients.shape
        if len(shape) != 3 or not shape[0] or shape[1:] != (event_size, event_size):
            raise ValueError(f"coefficients must be (p, {event_size}, {event_size}); received {shape}")
        if not np.isfinite(self.coefficients).all() or not (level > 0 and spread > 0):
            raise ValueError(
                "coefficients must be finite, level and spread positive; "
                f"received level {level!r} and spread {spread!r}"
            )
        self.stack, self.event_size = stack, event_size
        self.level, self.spread = float(level), float(spread)

    @property
    def state_size(self) -> list[int]:
        """The size of every state."""
        size = self.event_size
        return [1, len(self.coefficients) * size, size, *self.stack.state_size]

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.stack.output_size + self.event_size

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        self.stack.build((None, 2 * self.event_size))
        self.built = True

    def call(self, inputs: Any, states: Sequence[Any], training: bool = False) -> tuple[Any, list[Any]]:
        """Return the output and the new states.

        Args:
            inputs: the last event in the family's units, `(batch, event_size)`.
            states: as `state_size` says.
            training: not used.
        """
        begun, history, expected, *own = states
        order, size = len(self.coefficients), self.event_size
        first = ops.tile(inputs, (1, order))
        later = ops.concatenate([inputs, history[:, :-size]], axis=-1)
        history = ops.where(begun > 0, later, first)
        error = ops.where(begun > 0, inputs - expected, ops.zeros_like(inputs))
        # Not a matrix product: accelerators round its factors, and predictions are sums of large terms.
        weights = ops.convert_to_tensor(self.coefficients.reshape(order * size, size), dtype=history.dtype)
        expected = ops.sum(history[:, :, None] * weights, axis=1)
        seen = ops.concatenate([inputs / self.level, ops.arcsinh(error / self.spread)], axis=-1)
        features, own = self.stack(seen, own)
        output = ops.concatenate([features, expected], axis=-1)
        return output, [ops.ones_like(begun), history, expected, *own]

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Return states of zeros, `(batch, size)` each."""
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]
