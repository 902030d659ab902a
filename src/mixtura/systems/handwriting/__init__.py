"""Handwriting: predicted, and written from a text (Graves 2013), also in your own hand."""

from mixtura.systems.handwriting.system import Writing

__all__ = ["Writing"]
