"""The lecture's robot that must choose between valid positions: `mixtura train moves`."""

from mixtura.systems.moves.system import Moves

__all__ = ["Moves"]
