"""The state of training as a list of arrays: weights, other variables, optimiser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from mixtura.training.batches import Batches


def build(model: keras.Model, batches: Batches) -> None:
    """Create the variables of model, metrics and optimiser, as `keras.Model.fit` does, compiling nothing.

    Raises:
        ValueError: if the model is not compiled.
    """
    model._assert_compile_called("fit")

    def first() -> Iterator[tuple[int, int, Iterator[Any]]]:
        batches.start(0)  # Keras too draws an order only if there is something to build
        yield 0, 0, iter([(*batches[0], None, None)[:3]])

    model._symbolic_build(iterator=first())


def variables(model: keras.Model) -> list[Any]:
    """Return every variable that training changes, metrics apart; the model and its optimiser are built.

    Among them are the states of the random layers' generators.
    """
    return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]


def snapshot(model: keras.Model) -> list[np.ndarray]:
    """Return copies of the variables' values."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables(model)]


def restore(model: keras.Model, values: Sequence[np.ndarray]) -> None:
    """Assign what `snapshot` returned."""
    for variable, value in zip(variables(model), values, strict=True):
        variable.assign(value)


def is_finite(model: keras.Model) -> bool:
    """Tell whether every trainable weight is finite."""
    return all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in model.trainable_variables)


def generator() -> np.ndarray | None:
    """Return the state of PyTorch's global generator, which its dropout draws from; None elsewhere."""
    if keras.backend.backend() != "torch":
        return None
    import torch

    return torch.get_rng_state().numpy()


def set_generator(value: np.ndarray | None) -> None:
    """Set what `generator` returned."""
    if value is not None:
        import torch

        torch.set_rng_state(torch.from_numpy(value))
