"""The network for tables, and how it is trained."""

from __future__ import annotations

import keras
import numpy as np
from keras.layers import Dense

from mixtura.families import Affine, Mixture, Normal
from mixtura.layers import MDN
from mixtura.losses import NegativeLogLikelihood
from mixtura.training import Run, fit

PATIENCE = 40
RATE = 2e-3


def build(width: int, family: Affine) -> keras.Model:
    """Return the untrained network: two layers of 64 SiLU units and the head.

    Args:
        width: the number of input columns.
        family: the head's family in the target's units. The loss is that of `family.family`, on
            standardised targets: in float32 a target far from zero would lose its digits.
    """
    model = keras.Sequential([keras.Input((width,)), Dense(64, "silu"), Dense(64, "silu"), MDN(family)])
    optimizer = keras.optimizers.Adam(RATE, clipnorm=5.0, use_ema=True, ema_momentum=0.98)
    model.compile(optimizer, loss=NegativeLogLikelihood(family.family))
    return model


def head(components: int, target: np.ndarray, min_scale: float) -> Affine:
    """Return a mixture of normals in the units of `target`, no scale below `min_scale`."""
    mean, std = float(target.mean()), float(target.std())
    return Affine(Mixture(Normal(1, min_scale=min_scale / std), components), mean, std)


def train(
    model: keras.Model,
    training: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
    run: Run,
    seed: int,
) -> dict[str, list[float]]:
    """Train until the validation loss has not improved for `PATIENCE` epochs, and keep the best weights.

    Weights averaged over the last steps are what is validated and kept. The batch size grows with the
    table, so that an epoch has about 30 steps where rows are few.
    """
    batch_size = int(np.clip(2 ** round(np.log2(max(1.0, len(training[0]) / 30))), 16, 256))
    averages_then_stop = [
        # Swaps the averages in at the end of an epoch, before the next callback looks at the weights.
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True),
    ]
    history = fit(
        model,
        *training,
        validation_data=validation,
        batch_size=batch_size,
        epochs=epochs,
        callbacks=[*callbacks, *averages_then_stop],
        verbose=0,
        run=run,
        seed=seed,
    )
    return history.history
