"""Functions of a network as compiled programs, on every backend."""

from __future__ import annotations

from collections.abc import Callable, Hashable
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


def kept(owner: Any, name: Hashable, function: Callable[..., Any], *layers: Any) -> Callable[..., Any]:
    """Return what `compiled(function, *layers)` does, made at its first use and then kept with its owner.

    Args:
        owner: any object.
        name: what the function is kept by; the same for functions that compute the same.
        function: as for `compiled`.
        *layers: as for `compiled`.
    """
    programs = vars(owner).setdefault("_mixtura_compiled", {})
    if name not in programs:
        programs[name] = compiled(function, *layers)
    program: Callable[..., Any] = programs[name]
    return program


def _tensor(value: Any) -> Any:
    """Return an array as a tensor, as the compilers of the other backends do."""
    return keras.ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value
