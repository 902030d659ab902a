"""The demo's four networks, each with the recipe that trains it."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
from keras.layers import Dense

from mixtura.families import Affine, Distribution, Family, Mixture, Normal
from mixtura.layers import MDN
from mixtura.losses import NegativeLogLikelihood
from mixtura.training import fit

BATCH_SIZE = 128
VALIDATION = 0.15


class Trained(NamedTuple):
    """A trained network and what its outputs mean."""

    model: keras.Model
    family: Family | None
    history: dict[str, list[float]]

    def predict(self, x: np.ndarray) -> Distribution:
        """Return one distribution for each row of x."""
        if self.family is None:
            raise TypeError("a network that predicts points has no family")
        return self.family(self.outputs(x))

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return what the network computes."""
        return self.model.predict(x, batch_size=4096, verbose=0)


def learn_mixture(samples: np.ndarray, epochs: int, callback: keras.callbacks.Callback) -> Trained:
    """Learn a mixture of two normals from samples: a network with nothing to look at, only a head."""
    family = Mixture(Normal(1), 2)
    model = keras.Sequential([keras.Input((1,)), MDN(family)])
    model.compile(keras.optimizers.Adam(0.02), loss=NegativeLogLikelihood(family))
    nothing = np.ones_like(samples)
    history = fit(
        model, nothing, samples, batch_size=BATCH_SIZE, epochs=epochs, verbose=0, callbacks=[callback]
    )
    return Trained(model, family, history.history)


def mse_network(x: np.ndarray, y: np.ndarray, epochs: int, callback: keras.callbacks.Callback) -> Trained:
    """Train the lecture's feedforward network with squared error: 286 parameters."""
    model = keras.Sequential([keras.Input((1,)), Dense(15, "tanh"), Dense(15, "tanh"), Dense(1)])
    model.compile("rmsprop", loss="mse")
    return Trained(model, None, _fit(model, x, y, epochs, callback))


def mdn_network(x: np.ndarray, y: np.ndarray, epochs: int, callback: keras.callbacks.Callback) -> Trained:
    """Train the lecture's mixture density network: 510 parameters."""
    family = Mixture(Normal(1), 5)
    model = keras.Sequential([keras.Input((1,)), Dense(15, "relu"), Dense(15, "relu"), MDN(family)])
    model.compile("rmsprop", loss=NegativeLogLikelihood(family))
    return Trained(model, family, _fit(model, x, y, epochs, callback))


def best_network(x: np.ndarray, y: np.ndarray, epochs: int, callback: keras.callbacks.Callback) -> Trained:
    """Train a well-configured MDN on the same points.

    What differs from the lecture's recipe: inputs and targets are standardised, the layers are wider and
    smooth (64 SiLU units), there are ten components, and Adam's rate falls along a cosine while the
    weights are averaged.
    """
    standardised = Mixture(Normal(1), 10)
    family = Affine(standardised, y.mean(), y.std())
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Normalization(mean=x.mean(), variance=x.var()),
            Dense(64, "silu"),
            Dense(64, "silu"),
            MDN(family),
        ]
    )
    steps = epochs * int(np.ceil(len(x) * (1 - VALIDATION) / BATCH_SIZE))
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    model.compile(
        keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.99),
        loss=NegativeLogLikelihood(family),
    )
    return Trained(model, family, _fit(model, x, y, epochs, callback))


def _fit(
    model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int, callback: keras.callbacks.Callback
) -> dict[str, list[float]]:
    history = fit(
        model,
        x,
        y,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_split=VALIDATION,
        verbose=0,
        callbacks=[callback],
    )
    return history.history
