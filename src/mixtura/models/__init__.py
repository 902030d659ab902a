"""Models: architectures, ready to train."""

from mixtura.models.tabular import tabular_ensemble

__all__ = ["tabular_ensemble"]
