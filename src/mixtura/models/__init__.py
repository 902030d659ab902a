"""Models: architectures, ready to train."""

from mixtura.models.handwriting import Handwriting
from mixtura.models.imports import import_mdn_rnn
from mixtura.models.linear import LinearMDNRNN
from mixtura.models.mdn_rnn import MDNRNN
from mixtura.models.sequence import SequenceModel
from mixtura.models.sketch_js import export_sketch_js, import_sketch_js
from mixtura.models.sketch_rnn import SketchRNN
from mixtura.models.tabular import tabular_ensemble

__all__ = [
    "MDNRNN",
    "Handwriting",
    "LinearMDNRNN",
    "SequenceModel",
    "SketchRNN",
    "export_sketch_js",
    "import_mdn_rnn",
    "import_sketch_js",
    "tabular_ensemble",
]
