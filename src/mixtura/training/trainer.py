"""A model around a model, which stands in its place while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import keras


class Trainer(keras.Model):
    """What is trained in a sequence model's place, because training needs more than the model's `call`.

    The weights are those of the wrapped model, which is the one to use afterwards: `mixtura.load` returns it.

    Args:
        model: a `SequenceModel`.
        **kwargs: the arguments of every Keras model.
    """

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    @property
    def family(self) -> Any:
        """What the parameters of one step mean."""
        return self.model.family

    def compute_output_shape(self, input_shape: Mapping[str, Any]) -> Any:
        """Return the output's shape."""
        return self.model.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        model = keras.saving.serialize_keras_object(self.model)
        model.pop("compile_config", None)  # this model trains, the other's optimizer does not
        return {**super().get_config(), "model": model}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Build the model from `get_config`'s dictionary."""
        inner = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": inner})
