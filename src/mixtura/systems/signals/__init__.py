"""Signals: electrocardiograms and electroencephalograms, their next samples, and beats that surprise."""

from mixtura.systems.signals.system import Signals

__all__ = ["Signals"]
