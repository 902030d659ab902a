"""Mixtura: neural networks that predict distributions.

Import it before Keras: it picks the backend (see `mixtura.backend`).
"""

from typing import TYPE_CHECKING

from mixtura import backend
from mixtura.sampling import Sampler

__version__ = "0.1.0"
__all__ = [
    "MDN",
    "MDNRNN",
    "Affine",
    "Bernoulli",
    "Categorical",
    "Independent",
    "Joint",
    "Laplace",
    "LogNormal",
    "LogitNormal",
    "MDNRegressor",
    "Mixture",
    "NegativeLogLikelihood",
    "Normal",
    "Sampler",
    "SequenceModel",
    "backend",
    "generation",
    "lecture",
    "load",
    "metrics",
    "report",
    "scorers",
    "scores",
    "training",
]

# Importing Keras takes seconds. The command `mixtura` imports what it needs once its arguments are read,
# so that `--help` is instant; everyone else gets the classes now, registered with Keras for loading models.
if TYPE_CHECKING or not backend.in_command():
    from mixtura import generation, lecture, metrics, scorers, scores, training
    from mixtura.estimators import MDNRegressor
    from mixtura.evaluation import report
    from mixtura.families import (
        Affine,
        Bernoulli,
        Categorical,
        Independent,
        Joint,
        Laplace,
        LogitNormal,
        LogNormal,
        Mixture,
        Normal,
    )
    from mixtura.layers import MDN
    from mixtura.losses import NegativeLogLikelihood
    from mixtura.models import MDNRNN, SequenceModel
    from mixtura.training import load
