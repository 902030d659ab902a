"""Mixtura: neural networks that predict distributions.

Import it before Keras: it picks the backend (see `mixtura.backend`).
"""

from typing import TYPE_CHECKING

from mixtura import backend

__version__ = "0.1.0"
__all__ = ["MDN", "Affine", "Mixture", "NegativeLogLikelihood", "Normal", "backend", "lecture"]

# Importing Keras takes seconds. The command `mixtura` imports what it needs once its arguments are read,
# so that `--help` is instant; everyone else gets the classes now, registered with Keras for loading models.
if TYPE_CHECKING or not backend.in_command():
    from mixtura import lecture
    from mixtura.families import Affine, Mixture, Normal
    from mixtura.layers import MDN
    from mixtura.losses import NegativeLogLikelihood
