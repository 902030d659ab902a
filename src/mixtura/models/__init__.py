"""Models: architectures, ready to train."""

from mixtura.models.controller import Controller
from mixtura.models.handwriting import Handwriting
from mixtura.models.imports import import_mdn_rnn
from mixtura.models.linear import LinearMDNRNN
from mixtura.models.mdn_rnn import MDNRNN
from mixtura.models.memory import Memory, MemoryLoss
from mixtura.models.sequence import SequenceModel
from mixtura.models.sketch_js import export_sketch_js, import_sketch_js
from mixtura.models.sketch_rnn import SketchRNN
from mixtura.models.tabular import tabular_ensemble
from mixtura.models.vision import ConvVAE

__all__ = [
    "MDNRNN",
    "Controller",
    "ConvVAE",
    "Handwriting",
    "LinearMDNRNN",
    "Memory",
    "MemoryLoss",
    "SequenceModel",
    "SketchRNN",
    "export_sketch_js",
    "import_mdn_rnn",
    "import_sketch_js",
    "tabular_ensemble",
]
