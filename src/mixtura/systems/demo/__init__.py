"""The lecture's two problems, from data to scores: `mixtura demo`."""

from mixtura.systems.demo.pictures import NAMES
from mixtura.systems.demo.run import run

__all__ = ["NAMES", "run"]
