"""Training: what stands around `fit`."""

from mixtura.training.progress import EpochProgress, progress_bar

__all__ = ["EpochProgress", "progress_bar"]
