"""Families: what a network's output means.

A family reads a tensor of raw activations as the parameters of a distribution. It is immutable, comparable,
hashable, holds no tensors, and is saved inside the model that uses it.
"""

from mixtura.families.affine import Affine
from mixtura.families.base import Family
from mixtura.families.distribution import Distribution
from mixtura.families.mixture import Mixture
from mixtura.families.normal import Normal

__all__ = ["Affine", "Distribution", "Family", "Mixture", "Normal"]
