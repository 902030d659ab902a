"""Training: `fit` in compiled epochs, run folders that resume, and aids for mixtures."""

from mixtura.layers.clipping import ClipGradient
from mixtura.training.components import ComponentUsage, ComponentWarning
from mixtura.training.fitting import fit
from mixtura.training.graves import graves_rmsprop
from mixtura.training.initialisation import begin_at, initialize_head
from mixtura.training.members import KeepBestMembers
from mixtura.training.noise import DataNoise
from mixtura.training.predicting import predict
from mixtura.training.progress import EpochProgress, progress_bar
from mixtura.training.ragged import Ragged
from mixtura.training.run import Run, load
from mixtura.training.stateful import Stateful
from mixtura.training.tensorboard import TensorBoard
from mixtura.training.weight_noise import AdaptiveWeightNoise

__all__ = [
    "AdaptiveWeightNoise",
    "ClipGradient",
    "ComponentUsage",
    "ComponentWarning",
    "DataNoise",
    "EpochProgress",
    "KeepBestMembers",
    "Ragged",
    "Run",
    "Stateful",
    "TensorBoard",
    "begin_at",
    "fit",
    "graves_rmsprop",
    "initialize_head",
    "load",
    "predict",
    "progress_bar",
]
