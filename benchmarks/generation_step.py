"""One step of the network that `generation.py` measures, as a Keras model, for keras-mdn-layer and LiteRT.

    KERAS_BACKEND=tensorflow python benchmarks/generation_step.py weights.npz step.tflite

converts it for LiteRT, which takes TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import keras_mdn_layer as kml
import numpy as np


def one_step(weights: Sequence[np.ndarray]) -> keras.Model:
    """Return the model: event and states in, parameters and states out, with keras-mdn-layer's head.

    Args:
        weights: kernel, recurrent kernel and bias of each LSTM cell, from the bottom up; then kernel and bias
            of the three Dense layers of the head: means, scales, logits.
    """
    *recurrent, means, _, _, _, logits, _ = weights
    sizes = [len(kernel) for kernel in recurrent[1::3]]
    components = logits.shape[-1]
    x = event = keras.Input(batch_shape=(1, len(recurrent[0])), name="event")
    states = [keras.Input(batch_shape=(1, size)) for size in sizes for _ in range(2)]
    after = []
    for n, size in enumerate(sizes):
        x, own = keras.layers.LSTMCell(size)(x, states[2 * n : 2 * n + 2])
        after += own
    params = kml.MDN(means.shape[-1] // components, components)(x)
    model = keras.Model([event, *states], [params, *after])
    model.set_weights(weights)
    return model


def main(source: Path, out: Path) -> None:
    """Convert the step with the weights of a file."""
    import tensorflow as tf

    with np.load(source) as file:
        model = one_step([file[f"arr_{n}"] for n in range(len(file.files))])
    out.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
