"""Kanji: a network that invents characters, stroke by stroke (Ha 2015)."""

from mixtura.systems.kanji.system import Kanji

__all__ = ["Kanji"]
