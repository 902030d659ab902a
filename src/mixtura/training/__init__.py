"""Training: `fit` in compiled epochs, run folders that resume, and aids for mixtures."""

from mixtura.training.fitting import fit
from mixtura.training.initialisation import initialize_head
from mixtura.training.noise import DataNoise
from mixtura.training.progress import EpochProgress, progress_bar
from mixtura.training.run import Run, load

__all__ = ["DataNoise", "EpochProgress", "Run", "fit", "initialize_head", "load", "progress_bar"]
