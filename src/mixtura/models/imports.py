"""Networks of other packages as Mixtura's models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from mixtura.families import Affine, Mixture, Normal
from mixtura.families.checks import finite, one_of
from mixtura.models.keras_files import read_network
from mixtura.models.mdn_rnn import MDNRNN

Columns = Literal["impsy", "robojam"]
SCALE = re.compile(r"(?:^|[-_])scale([1-9]\d*(?:\.\d+)?)")


def import_mdn_rnn(
    path: str | PathLike[str], *, scale: float | None = None, columns: Columns | None = None
) -> MDNRNN:
    r"""Return the MDN-RNN in a `.keras` file of keras-mdn-layer's: LSTM layers, then its MDN.

    These are IMPSY's networks, with their states as inputs and outputs or without, and RoboJam's, written by
    Keras 2 or 3. Of D = `output_dimension`, K = `num_mixtures` they become

        MDNRNN(Affine(Mixture(Normal(D), K), shift=0, scale=1 / scale), units)

    as such networks see and predict events times a scale, so that events and likelihoods are in the data's
    units. The distributions are the same, but for scales $\mathrm{ELU}(a) + 1$ where keras-mdn-layer adds
    another $10^{-7}$. The model starts from an event and states of zeros, and has no dropout.

    Nothing that the file names is imported or run: its configuration is read as text, its weights as numbers.

    Args:
        path: the file.
        scale: by what the network's events are multiplied. By default N where the name of the model or the
            file has `scaleN`, as IMPSY's and RoboJam's have `scale10`, else 1.
        columns: the order of the network's events: "impsy" for (dt, x1, ..., xn), which becomes Mixtura's
            (x1, ..., xn, dt), or "robojam" for (x, y, dt, ...), which stays. By default "impsy" where the
            name of the model or the file begins with `musicMDRNN`.

    Raises:
        InputError: if the file is no `.keras` file, or holds other layers, other settings of an LSTM, or
            weights that are missing or of other shapes.
        ValueError: for a `scale` that is not positive, or unknown `columns`.

    Reference: Martin, C. P. & Torresen, J. (2019), An interactive musical prediction system with mixture
    density recurrent neural networks, NIME.
    """
    path = Path(path)
    if scale is not None and finite("scale", scale) <= 0:
        raise ValueError(f"scale must be positive; received {scale!r}")
    if columns is not None:
        one_of("columns", columns, get_args(Columns))
    network = read_network(path)
    names = (network.name, path.stem)
    if scale is None:
        scale = next((float(found[1]) for found in map(SCALE.search, names) if found), 1.0)
    columns = columns or _columns(names)
    size = network.event_size
    order = [*range(1, size), 0] if columns == "impsy" else list(range(size))
    family = Affine(Mixture(Normal(size), network.num_components), 0.0, 1 / scale)
    model = MDNRNN(family, [len(recurrent) for _, recurrent, _ in network.lstms])
    (kernel, *rest), *others = network.lstms
    for cell, arrays in zip(model.cell.cells, ([kernel[order], *rest], *others), strict=True):
        for weight, array in zip((cell.kernel, cell.recurrent_kernel, cell.bias), arrays, strict=True):
            weight.assign(array)
    dense = model.head.dense
    for weight, arrays in zip((dense.kernel, dense.bias), zip(*network.head, strict=True), strict=True):
        means, scales, logits = arrays
        parts = (logits, _by_dimension(means, order), _by_dimension(scales, order))
        weight.assign(np.concatenate(parts, axis=-1))
    return model


def columns_of(path: str | PathLike[str]) -> Columns:
    """Return the order of the events in a file that `import_mdn_rnn` takes by default.

    Raises:
        InputError: as `import_mdn_rnn`.
    """
    return _columns((read_network(Path(path)).name, Path(path).stem))


def _columns(names: Sequence[str]) -> Columns:
    return "impsy" if any(name.startswith("musicMDRNN") for name in names) else "robojam"


def _by_dimension(columns: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Return columns (component, dimension) as (dimension, component), the dimensions in another order."""
    table = columns.reshape(*columns.shape[:-1], -1, len(order))[..., order]
    return np.swapaxes(table, -1, -2).reshape(columns.shape)
