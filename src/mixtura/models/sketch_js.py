"""Sketch-RNN models of the browser: the JSON files of sketch-rnn-js and @magenta/sketch, read and written.

A file is `[info, dimensions, weights]`: the shapes of the arrays and, in the same order, each array as int16,
little-endian, in base64; the numbers are 10 / 32767 times those. A decoder has five arrays, a variational
autoencoder twelve more before them. Rows are inputs, columns gates in the order i, g, f, o of as many units
each, to whose f the programs add 1. Of a decoder's output, three columns are the pen's logits, and six are as
many as there are components: logits, means of x and y, logarithms of their deviations, correlations before
tanh. A latent vector's initial state is c, then h.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from mixtura.data.tables import FLOAT32_MAX
from mixtura.errors import InputError
from mixtura.families import Affine, Categorical, Family, Joint, Mixture, Normal
from mixtura.families.checks import positive_int
from mixtura.files import replacing
from mixtura.models.sketch_rnn import SketchRNN

LARGEST_WEIGHT, STEPS = 10.0, 32767  # ±10 is stored as ±32767
COMPONENTS = 20  # as many as the programs read
VERSION = 6  # the programs take tanh(z) in place of z in files before
PEN = 3  # columns of the pen
DECODER = ("output_w", "output_b", "W_xh", "W_hh", "bias")
ENCODER = (
    *(f"{name} ({way})" for way in ("forwards", "backwards") for name in ("W_xh", "W_hh", "bias")),
    *("mu_w", "mu_b", "sigma_w", "sigma_b", "init_w", "init_b"),
)


def import_sketch_js(path: str | PathLike[str]) -> SketchRNN:
    """Return the Sketch-RNN in a JSON file of sketch-rnn-js or @magenta/sketch.

    They become, of H units, K components and `scale_factor` s,

        SketchRNN(Joint(offset=Affine(Mixture(Normal(2, "bivariate", scale="exp"), K), 0, s),
                        pen=Categorical(3)), (H,), closing=True)

    and with a latent vector where the file has an encoder. Drawings are in the units of s: in published
    models those of the training data. (The programs divide s by a pixel factor, by default 2.) The event
    before the first is (0, 0, 1, 0, 0), as in training and in @magenta/sketch; sketch-rnn-js has zeros.

    Args:
        path: a `.json` file, or a `.js` file that assigns the same text to a variable.

    Raises:
        InputError: if the file is none of these, or its arrays do not fit each other; for an autoencoder of
            a version before 6, which is another network.

    Reference: Ha, D. & Eck, D. (2017), A neural representation of sketch drawings, arXiv:1704.03477.
    """
    return read_sketch_js(path)[0]


def read_sketch_js(path: str | PathLike[str]) -> tuple[SketchRNN, dict[str, Any]]:
    """Return what `import_sketch_js` does, and what the file says of itself, as `info_of`.

    Raises:
        InputError: as `import_sketch_js`.
    """
    info, arrays = _read(Path(path))
    decoder = arrays[-len(DECODER) :]
    encoder = arrays[: -len(DECODER)]
    units, columns = decoder[0].shape
    latent_size, encoder_units = (encoder[6].shape[1], len(encoder[1])) if encoder else (0, 256)
    model = SketchRNN(
        _family(info["scale_factor"], (columns - PEN) // 6),
        (units,),
        latent_size=latent_size,
        encoder_units=encoder_units,
        closing=True,
    )
    for weight, array in zip(_variables(model), _from_file(arrays), strict=True):
        weight.assign(array)
    return model, info


def info_of(path: str | PathLike[str]) -> dict[str, Any]:
    """Return what a file says of itself: `name`, `max_seq_len`, `scale_factor`, `version` and so on.

    Raises:
        InputError: as `import_sketch_js`.
    """
    return _read(Path(path))[0]


def export_sketch_js(
    model: SketchRNN, path: str | PathLike[str], name: str = "drawing", longest: int = 250
) -> int:
    """Write a Sketch-RNN as a JSON file for sketch-rnn-js and @magenta/sketch (which reads decoders alone).

    Weights are rounded to multiples of 10 / 32767 and those outside ±10 become ±10, as by the published
    exporter.

    Args:
        model: with one LSTM layer, no classes, and a family as `import_sketch_js` makes it, of 20 components.
        path: the file.
        name: what it draws.
        longest: how many points a drawing has at most.

    Returns:
        how many weights were outside ±10.

    Raises:
        TypeError: if `model` is not a SketchRNN.
        ValueError: if the programs cannot hold it, or a weight is not finite.
    """
    scale_factor = _exportable(model)
    info = {
        "mode": 0 if model.latent_size else 2,
        "version": VERSION,
        "max_seq_len": positive_int("longest", longest),
        "name": str(name),
        "scale_factor": scale_factor,
    }
    arrays = _to_file([ops.convert_to_numpy(weight) for weight in _variables(model)])
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("the model has weights that are not finite")
    parts = [info, [list(array.shape) for array in arrays], [_packed(array) for array in arrays]]
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(parts, separators=(",", ":")), encoding="utf-8")
    return sum(int((np.abs(array) > LARGEST_WEIGHT).sum()) for array in arrays)


# ---------------------------------------------------------------------- the network and its arrays


def _family(scale_factor: float, num_components: int) -> Family:
    offset = Affine(Mixture(Normal(2, "bivariate", scale="exp"), num_components), 0.0, scale_factor)
    return Joint(offset=offset, pen=Categorical(PEN))


def _exportable(model: Any) -> float:
    """Return the scale factor of a model that the programs can hold, or raise."""
    if not isinstance(model, SketchRNN):
        raise TypeError(f"model must be a SketchRNN; received {type(model).__name__}")
    config = model.get_config()
    required = {"cell": "lstm", "layer_norm": False, "num_classes": 0, "sees_place": False, "closing": True}
    for name, value in required.items():
        if config[name] != value:
            raise ValueError(f"sketch-rnn-js holds models of {name}={value!r}; received {config[name]!r}")
    if len(config["units"]) != 1:
        raise ValueError(f"sketch-rnn-js holds models of one layer; received units={config['units']!r}")
    scale_factor = float(model.family.units[1][0])
    expected = _family(scale_factor, COMPONENTS)
    if model.family != expected:
        raise ValueError(f"sketch-rnn-js holds models of the family {expected!r}; received {model.family!r}")
    return scale_factor


def _variables(model: SketchRNN) -> list[Any]:
    """Return the weights in a file's order, but the posterior's mean and variance as one layer."""

    def lstm(layer: Any) -> list[Any]:
        return [layer.cells[0].kernel, layer.cells[0].recurrent_kernel, layer.cells[0].bias]

    head = model.head.dense
    variables = [head.kernel, head.bias, *lstm(model.cell)]
    if model.latent_size:
        dense = [model.posterior.kernel, model.posterior.bias, model.begin.kernel, model.begin.bias]
        variables = [*(part for reader in model.readers for part in lstm(reader.cell)), *dense, *variables]
    return variables


def _from_file(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return a file's arrays as `_variables` has them."""
    encoder, (output_w, output_b, *cell) = arrays[: -len(DECODER)], arrays[-len(DECODER) :]
    own = [np.roll(output_w, -PEN, axis=-1), np.roll(output_b, -PEN), *_cell_from_file(cell)]
    if encoder:
        readers = [*_cell_from_file(encoder[:3]), *_cell_from_file(encoder[3:6])]
        mu_w, mu_b, sigma_w, sigma_b, *begin = encoder[6:]
        posterior = [np.concatenate(pair, axis=-1) for pair in ((mu_w, sigma_w), (mu_b, sigma_b))]
        own = [*readers, *posterior, *map(_states_swapped, begin), *own]
    return own


def _to_file(own: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the arrays of `_variables` as a file has them."""
    encoder, (output_w, output_b, *cell) = own[: -len(DECODER)], own[-len(DECODER) :]
    arrays = [np.roll(output_w, PEN, axis=-1), np.roll(output_b, PEN), *_cell_to_file(cell)]
    if encoder:
        readers = [*_cell_to_file(encoder[:3]), *_cell_to_file(encoder[3:6])]
        (mu_w, sigma_w), (mu_b, sigma_b) = (np.split(array, 2, axis=-1) for array in encoder[6:8])
        arrays = [*readers, mu_w, mu_b, sigma_w, sigma_b, *map(_states_swapped, encoder[8:]), *arrays]
    return arrays


def _cell_from_file(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return an LSTM's weights with the forget gate's 1 in the bias and the gates as i, f, g, o."""
    kernel, recurrent, bias = arrays
    return [_gates_swapped(array) for array in (kernel, recurrent, bias + _forget(bias))]


def _cell_to_file(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    kernel, recurrent, bias = map(_gates_swapped, arrays)
    return [kernel, recurrent, bias - _forget(bias)]


def _forget(bias: np.ndarray) -> np.ndarray:
    """Return what the programs add to the sums of i, g, f and o."""
    return np.repeat([0, 0, 1, 0], len(bias) // 4)


def _gates_swapped(array: np.ndarray) -> np.ndarray:
    first, second, third, fourth = np.split(array, 4, axis=-1)
    return np.concatenate([first, third, second, fourth], axis=-1)


def _states_swapped(array: np.ndarray) -> np.ndarray:
    one, other = np.split(array, 2, axis=-1)
    return np.concatenate([other, one], axis=-1)


# ---------------------------------------------------------------------- the file


def _packed(array: np.ndarray) -> str:
    bounded = np.clip(array.astype(np.float64) / LARGEST_WEIGHT, -1, 1)
    return base64.b64encode(np.rint(bounded * STEPS).astype("<i2").tobytes()).decode("ascii")


def _read(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return what a file says of itself and its arrays, checked."""
    if not path.is_file():
        raise InputError(f"{path} {'is not a file' if path.exists() else 'does not exist'}.")
    try:
        text = path.read_text(encoding="utf-8")
        info, dimensions, weights = json.loads(text[text.index("[") : text.rindex("]") + 1])
        if not (isinstance(info, dict) and isinstance(dimensions, list) and isinstance(weights, list)):
            raise TypeError
    except (ValueError, TypeError, RecursionError) as error:
        expected = "expected the JSON text [info, dimensions, weights] of sketch-rnn-js"
        raise InputError(f"{path} cannot be read; {expected}.") from error
    factor = info.get("scale_factor")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= FLOAT32_MAX:
        raise InputError(f"{path} has scale_factor={factor!r}; expected a positive number.")
    names = {len(DECODER): DECODER, len(ENCODER) + len(DECODER): (*ENCODER, *DECODER)}.get(len(weights))
    if names is None or len(dimensions) != len(weights):
        raise InputError(
            f"{path} has {len(dimensions)} dimensions of {len(weights)} arrays; "
            f"expected {len(DECODER)} of a decoder or {len(ENCODER) + len(DECODER)} of an autoencoder."
        )
    version = info.get("version")
    if len(names) > len(DECODER) and isinstance(version, int | float) and version < VERSION:
        raise InputError(
            f"{path} is an autoencoder of version {version}, whose first state is made of tanh(z); "
            f"expected version {VERSION}."
        )
    shapes = _shapes(path, names, dimensions)
    return info, [
        _unpacked(f"{path}: the array {name}", text, shape)
        for name, text, shape in zip(names, weights, shapes, strict=True)
    ]


def _shapes(path: Path, names: Sequence[str], dimensions: Sequence[Any]) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays, or raise an InputError if one does not fit the others."""

    def size(name: str, axis: int) -> int:
        shape = dimensions[names.index(name)]
        is_matrix = isinstance(shape, list) and len(shape) == 2
        if not (is_matrix and all(type(number) is int and number > 0 for number in shape)):
            raise InputError(f"{path}: the array {name} has the dimensions {shape!r}; expected two sizes.")
        return shape[axis]

    def lstm(inputs: int, units: int) -> list[list[int]]:
        return [[inputs, 4 * units], [units, 4 * units], [4 * units]]

    units, columns = size("output_w", 0), size("output_w", 1)
    if columns <= PEN or (columns - PEN) % 6:
        raise InputError(
            f"{path}: the array output_w has {columns} columns; expected {PEN} and 6 for each component."
        )
    expected = [[units, columns], [columns]]
    if len(names) == len(DECODER):
        expected += lstm(5, units)
    else:
        inner, latent = size("W_hh (forwards)", 0), size("mu_w", 1)
        dense = [[2 * inner, latent], [latent]] * 2 + [[latent, 2 * units], [2 * units]]
        expected = [*lstm(5, inner) * 2, *dense, *expected, *lstm(5 + latent, units)]
    for name, shape, wanted in zip(names, dimensions, expected, strict=True):
        if shape != wanted:
            raise InputError(f"{path}: the array {name} has the dimensions {shape!r}; expected {wanted!r}.")
    return [tuple(shape) for shape in expected]


def _unpacked(what: str, text: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} is not in base64.") from error
    if len(data) != 2 * math.prod(shape):
        raise InputError(f"{what} has {len(data)} bytes; expected {2 * math.prod(shape)}.")
    steps = np.frombuffer(data, "<i2").reshape(shape)
    return (LARGEST_WEIGHT * steps.astype(np.float64) / STEPS).astype("float32")
