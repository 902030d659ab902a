"""The network for tables: an ensemble of mixture density networks on embedded numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from mixtura.families.affine import without_units
from mixtura.families.base import Family
from mixtura.layers import EnsembleDense, EnsembleMDN, PiecewiseLinear
from mixtura.losses import EnsembleNegativeLogLikelihood
from mixtura.metrics import EnsembleLikelihoods

# What is left of the head's first kernel: the network begins near the targets' marginal distribution.
SHRINK = 0.1


def tabular_ensemble(
    width: int,
    family: Family,
    *,
    num_members: int = 1,
    hidden: Sequence[int] = (64, 64),
    activation: str = "silu",
    dropout: float = 0.0,
    num_bins: int = 0,
    numeric: int = 0,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Return a built and compiled ensemble that reads rows of a table.

    The numeric columns come first and are embedded (`PiecewiseLinear`, to be adapted). Every member is a
    multilayer perceptron of its own with an MDN head; the output is the mixture of all of them. Weights
    averaged over steps are at hand (Keras' `use_ema`).

    Args:
        width: the number of input columns.
        family: what each member predicts: a `Mixture`, or an `Affine` of one around standardised targets.
            The loss is then that of the inner family, on standardised targets: in float32 a target far from
            zero would lose its digits.
        num_members: members of the ensemble.
        hidden: units of each member's hidden layers.
        activation: of the hidden layers.
        dropout: the share of units left out in a step of training.
        num_bins: bins for each numeric column; 0 for none.
        numeric: how many columns are numbers.
        learning_rate: of Adam.
        weight_decay: decoupled from the gradient, as in AdamW.
        seed: of the first weights, which are the same on every backend, and of dropout.
    """
    inner = without_units(family)
    inputs = keras.Input((width,))
    x = PiecewiseLinear(num_bins, numeric)(inputs) if num_bins and numeric else inputs
    for place, units in enumerate(hidden):
        x = EnsembleDense(units, num_members, activation)(x)
        x = keras.layers.Dropout(dropout, seed=seed + place)(x) if dropout else x
    if not hidden:
        raise ValueError("hidden must name at least one layer's units")
    model = keras.Model(inputs, EnsembleMDN(family, num_members)(x))
    optimizer = keras.optimizers.AdamW(
        learning_rate,
        weight_decay=weight_decay,
        clipnorm=5.0 / math.sqrt(num_members),  # the loss is a mean over members, and so are gradients
        use_ema=True,
        ema_momentum=0.98,
    )
    model.compile(
        optimizer,
        loss=EnsembleNegativeLogLikelihood(inner, num_members),
        weighted_metrics=[EnsembleLikelihoods(inner, num_members)],
    )
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        if len(weight.shape) == 3 and weight.path.endswith("kernel"):
            # Glorot & Bengio 2010, eq. 16.
            limit = math.sqrt(6 / (weight.shape[1] + weight.shape[2]))
            weight.assign(rng.uniform(-limit, limit, weight.shape))
    return model


def start_from(model: keras.Model, y: np.ndarray, seed: int = 0) -> None:
    """Let every member of an untrained ensemble begin near the distribution of the targets.

    Args:
        model: what `tabular_ensemble` returned.
        y: targets as the loss sees them, `(rows, event_size)`.
        seed: of the clusters.
    """
    head = model.layers[-1]
    bias = model.loss.member_family.fit(y, seed)
    head.dense.kernel.assign(head.dense.kernel * SHRINK)
    head.dense.bias.assign(np.broadcast_to(bias, head.dense.bias.shape))
