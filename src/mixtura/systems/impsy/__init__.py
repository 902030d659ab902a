"""IMPSY: the controls of an instrument, as they are moved, next and next."""

from mixtura.systems.impsy.system import Impsy

__all__ = ["Impsy"]
