"""Layers of an ensemble: the same layer for every member, all computed at once."""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
from keras import ops

from mixtura.families.base import Family
from mixtura.families.checks import positive_int
from mixtura.families.ensemble import ensemble_of, num_components
from mixtura.families.tables import cut
from mixtura.layers.mdn import at_least_float32


@keras.saving.register_keras_serializable(package="mixtura")
class EnsembleDense(keras.layers.Layer):
    """A `Dense` layer for each member of an ensemble: one product of matrices computes all.

    Args:
        units: outputs of each member.
        num_members: how many members there are.
        activation: as in `keras.layers.Dense`.
        kernel_initializer: as in `keras.layers.Dense`; every member draws its own kernel.
        **kwargs: the arguments of every Keras layer (`name`, `dtype`, ...).

    Input shape: `(batch, features)`, the same for all members, or `(num_members, batch, features)`. Output
    shape: `(num_members, batch, units)`: with members first, the product is faster.

    Raises:
        ValueError: if `units` or `num_members` is not a positive integer.
    """

    def __init__(
        self,
        units: int,
        num_members: int,
        activation: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive_int("units", units)
        self.num_members = positive_int("num_members", num_members)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        """Create `kernel` `(num_members, features, units)` and `bias` `(num_members, 1, units)`."""
        shape = (input_shape[-1], self.units)

        def draw(stack: Any, dtype: Any = None) -> Any:
            """Draw each kernel as if it were alone."""
            return ops.stack(
                [_own(self.kernel_initializer, member)(shape, dtype) for member in range(stack[0])]
            )

        self.kernel = self.add_weight((self.num_members, *shape), draw, name="kernel")
        self.bias = self.add_weight((self.num_members, 1, self.units), "zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Return every member's outputs."""
        return self.activation(ops.matmul(inputs, self.kernel) + self.bias)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output's shape."""
        return (self.num_members, input_shape[-2], self.units)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "num_members": self.num_members,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _own(initializer: Any, member: int) -> Any:
    """Return a member's initializer: one with a seed would draw the same for all."""
    if not isinstance(getattr(initializer, "seed", None), int):
        return initializer
    seed = int(np.random.SeedSequence((initializer.seed, member)).generate_state(1)[0])
    return type(initializer).from_config({**initializer.get_config(), "seed": seed})


@keras.saving.register_keras_serializable(package="mixtura")
class EnsembleMDN(keras.layers.Layer):
    r"""The head of an ensemble of mixture density networks, read as one mixture.

    $$p(y) = \frac1M \sum_m \sum_k \pi_{mk}\, p_{mk}(y)$$

    An ensemble of M mixtures of K components is a mixture of M K components. The output holds its parameters,
    member by member: component `m * K + k` is component k of member m. `EnsembleNegativeLogLikelihood`
    trains the members, each by its own likelihood.

    Args:
        family: what each member predicts: a `Mixture`, or an `Affine` of one.
        num_members: how many members there are.
        **kwargs: the arguments of every Keras layer (`name`, `dtype`, ...).

    Input shape: `(num_members, batch, features)`. Output shape: `(batch, num_members * family.params_size)`.

    Raises:
        TypeError: if `family` is not a family.
        ValueError: if it is no mixture, or `num_members` is not a positive integer.
    """

    def __init__(self, family: Family, num_members: int, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype=at_least_float32(dtype), **kwargs)
        self.family = ensemble_of(family, num_members)
        self.member_family, self.num_members = family, num_members
        self.dense = EnsembleDense(family.params_size, num_members, dtype=self.dtype_policy, name="params")

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the parameters of one mixture of all members' components."""
        size, components = self.member_family.params_size, num_components(self.member_family)
        logits, others = cut(ops, self.dense(inputs), [components])
        # A member's weights sum to one, so that all members count the same in the softmax over everyone's.
        logits = logits - ops.logsumexp(logits, axis=-1, keepdims=True)
        table = ops.concatenate([logits, others], axis=-1)
        table = ops.reshape(table, (self.num_members, -1, size // components, components))
        return ops.reshape(ops.transpose(table, (1, 2, 0, 3)), (-1, self.num_members * size))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output's shape."""
        return (input_shape[-2], self.family.params_size)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        family = keras.saving.serialize_keras_object(self.member_family)
        return {**super().get_config(), "family": family, "num_members": self.num_members}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the layer from `get_config`'s dictionary."""
        return cls(**{**config, "family": keras.saving.deserialize_keras_object(config["family"])})
