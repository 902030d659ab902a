"""Families: what a network's output means.

A family reads a tensor of raw activations as the parameters of a distribution. It is immutable, comparable,
hashable, holds no tensors, and is saved inside the model that uses it.
"""

from mixtura.families.affine import Affine
from mixtura.families.base import Family
from mixtura.families.bernoulli import Bernoulli
from mixtura.families.categorical import Categorical
from mixtura.families.distribution import Distribution
from mixtura.families.independent import Independent
from mixtura.families.joint import Joint
from mixtura.families.laplace import Laplace
from mixtura.families.log_normal import LogNormal
from mixtura.families.logit_normal import LogitNormal
from mixtura.families.mixture import Mixture
from mixtura.families.normal import Normal
from mixtura.families.spike_and_slab import SpikeAndSlab

__all__ = [
    "Affine",
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Family",
    "Independent",
    "Joint",
    "Laplace",
    "LogNormal",
    "LogitNormal",
    "Mixture",
    "Normal",
    "SpikeAndSlab",
]
