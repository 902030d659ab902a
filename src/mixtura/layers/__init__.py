"""Layers: the head that turns features into a family's parameters."""

from mixtura.layers.mdn import MDN

__all__ = ["MDN"]
