"""Mixtura: neural networks that predict distributions.

Import it before Keras: it picks the backend (see `mixtura.backend`).
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

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
    "LinearMDNRNN",
    "LogNormal",
    "LogitNormal",
    "MDNRegressor",
    "Mixture",
    "NegativeLogLikelihood",
    "Normal",
    "Sampler",
    "SequenceModel",
    "SpikeAndSlab",
    "backend",
    "generation",
    "import_mdn_rnn",
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
        SpikeAndSlab,
    )
    from mixtura.layers import MDN
    from mixtura.losses import NegativeLogLikelihood
    from mixtura.models import MDNRNN, LinearMDNRNN, SequenceModel, import_mdn_rnn
    from mixtura.training import load
else:

    def __getattr__(name: str) -> Any:
        """Import what a user's own file asks of `mixtura` while a command runs."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if find_spec(f"{__name__}.{name}"):
            return import_module(f"{__name__}.{name}")
        rooms = ("estimators", "evaluation", "families", "layers", "losses", "models", "training")
        modules = (import_module(f"{__name__}.{room}") for room in rooms)
        return next(getattr(module, name) for module in modules if hasattr(module, name))
