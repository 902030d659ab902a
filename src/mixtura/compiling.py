"""Functions of a network as compiled programs, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def compiled(function: Callable[..., Any], *layers: Any) -> Callable[..., Any]:
    """Return a function of tensors that the backend compiles once per shape of its arguments.

    Nothing is kept for a gradient. On JAX the layers' weights are arguments of the program: changed ones take
    effect without compiling again. On PyTorch the function runs as it is written.

    Args:
        function: takes and returns nested tensors and arrays, and nothing else.
        *layers: the Keras layers and models whose weights it reads.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        def eager(*arguments: Any) -> Any:
            return function(*keras.tree.map_structure(_tensor, arguments))

        return torch.no_grad()(eager)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    import jax

    variables = [variable for layer in layers for variable in layer.variables]

    @jax.jit
    def run(values: list[Any], *arguments: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(*arguments)

    return lambda *arguments: run([variable.value for variable in variables], *arguments)


def _tensor(value: Any) -> Any:
    """Return an array as a tensor, as the compilers of the other backends do."""
    return keras.ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value
