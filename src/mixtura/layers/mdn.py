"""The head of a mixture density network."""

from __future__ import annotations

from typing import Any, Self

import keras

from mixtura.families.base import Family, a_family


@keras.saving.register_keras_serializable(package="mixtura")
class MDN(keras.layers.Layer):
    """The last layer of a network that predicts a distribution: one `Dense`, read by a family.

    It outputs the family's parameters as raw activations; `NegativeLogLikelihood(family)` trains them and
    `family(model.predict(x))` reads them. Under every mixed-precision policy it computes in float32, and
    its output is float32: sixteen bits are too few for a likelihood.

    Args:
        family: what the outputs mean.
        kernel_initializer: as in `keras.layers.Dense`.
        bias_initializer: as in `keras.layers.Dense`.
        kernel_regularizer: as in `keras.layers.Dense`.
        bias_regularizer: as in `keras.layers.Dense`.
        **kwargs: the arguments of every Keras layer (`name`, `dtype`, ...).

    Input shape: `(*batch, features)`. Output shape: `(*batch, family.params_size)`. Masks pass through.

    Raises:
        TypeError: if `family` is not a family.

    Reference: Bishop, C. M. (1994), Mixture Density Networks, Aston University NCRG/94/004, section 3.

    Example:
        >>> import mixtura as mx
        >>> mx.MDN(mx.Mixture(mx.Normal(1), 5)).compute_output_shape((None, 15))
        (None, 15)
    """

    def __init__(
        self,
        family: Family,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=at_least_float32(dtype), **kwargs)
        self.family = a_family("family", family)
        self.dense = keras.layers.Dense(
            family.params_size,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            dtype=self.dtype_policy,
            name="params",
        )
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Return the family's parameters."""
        return self.dense(inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the output's shape."""
        return (*input_shape[:-1], self.family.params_size)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = {
            "family": keras.saving.serialize_keras_object(self.family),
            "kernel_initializer": keras.initializers.serialize(self.dense.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.dense.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.dense.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.dense.bias_regularizer),
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the layer from `get_config`'s dictionary."""
        return cls(**{**config, "family": keras.saving.deserialize_keras_object(config["family"])})


def at_least_float32(dtype: Any) -> Any:
    """Return the policy asked for, or float32 where it would compute in fewer bits."""
    policy = keras.dtype_policies.get(dtype if dtype is not None else keras.config.dtype_policy())
    return "float32" if policy.compute_dtype in ("float16", "bfloat16") else policy
