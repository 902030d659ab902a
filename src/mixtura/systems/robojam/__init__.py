"""RoboJam: call and response on touch performances (Martin & Torresen 2018)."""

from mixtura.systems.robojam.system import RoboJam

__all__ = ["RoboJam"]
