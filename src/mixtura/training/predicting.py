"""`predict`: Keras' prediction for arrays, compiled once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

LARGEST, SMALLEST = 4096, 32


def predict(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Return the outputs of a built and compiled model for rows `(rows, ...)`, one input, one output.

    Rows go through in pieces whose sizes are powers of two, the last one filled up, so that a new number of
    rows compiles nothing; on JAX, models of equal structure share the programs. `keras.Model.predict`
    compiles for every model and every size of its last batch.

    Args:
        model: what to compute.
        x: an array.
    """
    x = np.asarray(x, keras.config.floatx())
    if keras.backend.backend() == "jax":
        from mixtura.training.programs import forward  # JAX only
    else:
        forward = _by_keras
    pieces = []
    for start in range(0, max(1, len(x)), LARGEST):
        piece = x[start : start + LARGEST]
        size = max(SMALLEST, 1 << max(0, len(piece) - 1).bit_length())
        filled = np.zeros((size, *x.shape[1:]), x.dtype)
        filled[: len(piece)] = piece
        pieces.append(np.asarray(keras.ops.convert_to_numpy(forward(model, filled)))[: len(piece)])
    return np.concatenate(pieces)


def _by_keras(model: keras.Model, x: np.ndarray) -> Any:
    return model.predict_on_batch(x)
