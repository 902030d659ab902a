"""The MDN-RNN: a recurrent network with a mixture density head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from mixtura.families import Family, Joint, host
from mixtura.families.checks import natural
from mixtura.layers.recurrent import CellType, RecurrentStack
from mixtura.models.sequence import SequenceModel


@keras.saving.register_keras_serializable(package="mixtura")
class MDNRNN(SequenceModel):
    r"""A recurrent network that predicts the distribution of the next event.

    The model of Schuster (1999), Graves (2013), Ha's Kanji and Sketch-RNN decoders, RoboJam, IMPSY and the M
    of World Models: the previous event (with inputs and context) enters a stack of recurrent layers, whose
    output one `Dense` turns into the parameters of a family. With `Categorical(n)` it is the character RNN,
    which ends in a softmax.

    Args:
        family: what one step's output means, in the data's units.
        units: the size of each recurrent layer, from the bottom up.
        cell: "lstm", "gru" or "hyper"; see `RecurrentStack`.
        peephole: see `RecurrentStack`.
        layer_norm: see there.
        skips: see there.
        recurrent_dropout: see there.
        inputs_size: the size of what enters at every step beside the event, such as actions.
        context_size: the size of what is fixed for a sequence, such as a class.
        relative: whether locations are predicted as distances from the previous event: the network's means
            plus that event, standardised as the family does it (a `LogitNormal`'s in the logit). Or the names
            of a Joint's parts that are. It suits what moves little in a step.
        seed: of dropout's masks.
        **kwargs: the arguments of every Keras model.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: as `RecurrentStack`; for a negative size, or `relative` for what is no part of the family.
        NotImplementedError: for `relative` where a part has no location to move.

    Example:
        >>> import mixtura as mx
        >>> model = mx.MDNRNN(mx.Mixture(mx.Normal(9), 5), units=(64, 64))  # IMPSY's "s" for nine dimensions
        >>> model.count_params()
        58143
        >>> model.generate(20, seed=1).events.shape
        (1, 20, 9)
    """

    def __init__(
        self,
        family: Family,
        units: Sequence[int] = (256, 256),
        cell: CellType = "lstm",
        peephole: bool = False,
        layer_norm: bool = False,
        skips: bool = False,
        recurrent_dropout: float = 0.0,
        inputs_size: int = 0,
        context_size: int = 0,
        relative: bool | Sequence[str] = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        stack = RecurrentStack(
            units,
            cell,
            peephole,
            layer_norm,
            skips,
            recurrent_dropout,
            seed,
            dtype=kwargs.get("dtype"),
            name="stack",
        )
        super().__init__(family, stack, **kwargs)
        self.inputs_size, self.context_size = (
            natural("inputs_size", inputs_size),
            natural("context_size", context_size),
        )
        self.relative = relative if isinstance(relative, bool) else tuple(relative)
        _check_relative(family, self.relative)
        stack.build((None, family.event_size + self.inputs_size + self.context_size))
        self.rnn.build((None, None, stack.features))
        self.head.build((None, stack.output_size))
        self.built = True

    def embed(self, event: Any, inputs: Any = None, context: Any = None) -> Any:
        """Return event, inputs and context side by side, or raise a ValueError where a size is another."""
        expected = (("inputs", inputs, self.inputs_size), ("context", context, self.context_size))
        for name, value, size in expected:
            received = 0 if value is None else value.shape[-1]
            if received != size:
                raise ValueError(f"{name} must be of size {size}; received {received or 'none'}")
        return super().embed(event, inputs, context)

    def read(self, features: Any, x: Any) -> Any:
        """Return the parameters, locations moved by the previous event where they are relative to it."""
        params = super().read(features, x)
        if not self.relative:
            return params
        last = ops.cast(x[..., : self.family.event_size], params.dtype)  # standardised, see `embed`
        return self.family._relocated(ops, params, last, self.relative)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("units", "cell", "peephole", "layer_norm", "skips", "recurrent_dropout", "seed")
        stack = {name: getattr(self.cell, name) for name in names}
        return {
            **super().get_config(),
            "family": keras.saving.serialize_keras_object(self.family),
            **stack,
            "inputs_size": self.inputs_size,
            "context_size": self.context_size,
            "relative": self.relative,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build the model from `get_config`'s dictionary."""
        return cls(**{**config, "family": keras.saving.deserialize_keras_object(config["family"])})


def _check_relative(family: Family, relative: bool | tuple[str, ...]) -> None:
    """Raise where a family cannot be moved, or has no such parts."""
    joint = family
    while not isinstance(joint, Joint) and hasattr(joint, "family"):  # inside a Mixture, say
        joint = joint.family
    names = joint.names if isinstance(joint, Joint) else ()
    if not isinstance(relative, bool) and (unknown := [name for name in relative if name not in names]):
        known = f"the parts are {', '.join(names)}" if names else f"{family!r} has no parts"
        raise ValueError(f"relative names the part {unknown[0]!r}; {known}")
    if relative:
        family._relocated(host, np.zeros(family.params_size), np.zeros(family.event_size), relative)
