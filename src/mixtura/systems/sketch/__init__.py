"""Sketch-RNN: drawings in, a latent vector, drawings out (Ha & Eck 2017)."""

from mixtura.systems.sketch.system import Sketch

__all__ = ["Sketch"]
