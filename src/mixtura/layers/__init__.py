"""Layers: heads that turn features into a family's parameters, cells, convolutions, ensembles, embeddings."""

from mixtura.layers.cells import GRUCell, LSTMCell
from mixtura.layers.clipping import ClipGradient
from mixtura.layers.convolution import PatchConv2D, TransposedConv2D
from mixtura.layers.ensemble import EnsembleDense, EnsembleMDN
from mixtura.layers.hyper import HyperLSTMCell
from mixtura.layers.mdn import MDN
from mixtura.layers.piecewise import PiecewiseLinear
from mixtura.layers.recurrent import RecurrentStack
from mixtura.layers.window import WindowStack

__all__ = [
    "MDN",
    "ClipGradient",
    "EnsembleDense",
    "EnsembleMDN",
    "GRUCell",
    "HyperLSTMCell",
    "LSTMCell",
    "PatchConv2D",
    "PiecewiseLinear",
    "RecurrentStack",
    "TransposedConv2D",
    "WindowStack",
]
