"""LSTM layers and the MDN of keras-mdn-layer in a `.keras` file, read without running what it names.

A `.keras` file is a zip file with `config.json`, which describes the layers, and `model.weights.h5`, which
holds their weights.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from mixtura.data.tables import counted
from mixtura.errors import InputError

EXPECTED = "expected LSTM layers, each on the one before, and keras-mdn-layer's MDN at the end"
KERAS = ("keras", "tf_keras")
# The classes that are read, and the packages that they may come from.
MODELS = {"Sequential": KERAS, "Functional": KERAS}
LAYERS = {
    "InputLayer": KERAS,
    "LSTM": KERAS,
    "TimeDistributed": KERAS,
    "MDN": ("keras_mdn_layer", "mdn", "mixtura"),
}
LSTM_SETTINGS = {
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": True,
    "go_backwards": False,
}
# Keras names a group of weights by the layer's class and numbers it in the order of the layers. Before 2.15
# it skipped numbers (lstm, lstm_2), and on Windows it wrote backslashes.
WEIGHT = re.compile(r"(?:^|/)(?:lstm(?:_(\d+))?/cell|(mdn_mus|mdn_sigmas|mdn_pi))/vars/(\d)$")

LARGEST = 2**30  # bytes that a part of a file may unpack to


class Network(NamedTuple):
    """What a file holds.

    Attributes:
        name: the model's.
        event_size: D, the size of an event.
        num_components: K, of the mixture.
        lstms: kernel, recurrent kernel and bias of every layer, from the bottom up.
        head: kernel and bias for mu, for sigma and for the logits.
    """

    name: str
    event_size: int
    num_components: int
    lstms: list[list[np.ndarray]]
    head: list[list[np.ndarray]]


def read_network(path: Path) -> Network:
    """Read a `.keras` file.

    Raises:
        InputError: if it is none, or holds other layers, other settings of an LSTM, or weights that are
            missing or of other shapes.
    """
    if path.suffix.lower() in (".h5", ".hdf5", ".tflite"):
        raise InputError(
            f"{path} is not a .keras file; convert it where it was made: model.save('name.keras')."
        )
    if not path.is_file():
        raise InputError(f"{path} {'is not a file' if path.exists() else 'does not exist'}.")
    try:
        with zipfile.ZipFile(path) as archive:
            for name in (parts := ("config.json", "model.weights.h5")):
                if archive.getinfo(name).file_size > LARGEST:
                    raise InputError(
                        f"{path}: {name} is larger than {LARGEST} bytes; expected a small network."
                    )
            text, weights = map(archive.read, parts)
            config = json.loads(text)
        with h5py.File(io.BytesIO(weights)) as file:
            return _network(path, config, _Weights(path, file, len(weights)))
    except InputError:
        raise
    except Exception as error:  # damage shows in any way: a zip file's, JSON's, HDF5's
        reason = str(error).partition("\n")[0].strip("'\"") or type(error).__name__
        raise InputError(f"{path} cannot be read as a .keras file ({reason}).") from error


def _network(path: Path, config: Any, weights: _Weights) -> Network:
    *lstms, mdn = _chain(path, config)
    event_size, num_components = (_size(path, mdn, name) for name in ("output_dimension", "num_mixtures"))
    if (found := len(weights.numbers)) != len(lstms):
        raise InputError(f"{path} has the weights of {counted(found, 'LSTM layer')}; expected {len(lstms)}.")
    cells: list[list[np.ndarray]] = []
    below: int | None = None
    for settings in lstms:
        for name, expected in LSTM_SETTINGS.items():
            if (value := settings.get(name)) != expected:
                raise InputError(
                    f"{path}: the LSTM {settings['name']!r} has {name}={value!r}; expected {expected!r}."
                )
        units, number = _size(path, settings, "units"), weights.numbers[settings["place"]]
        shapes = ((below, 4 * units), (units, 4 * units), (4 * units,))
        cells.append([weights.read(settings["name"], (number, i), shape) for i, shape in enumerate(shapes)])
        below = units
    if (inputs := len(cells[0][0])) != event_size:
        raise InputError(f"{path} predicts {event_size} numbers from {inputs}; expected events of one size.")
    widths = {"mdn_mus": event_size * num_components, "mdn_sigmas": event_size * num_components}
    head = [
        [weights.read(part, (part, i), shape) for i, shape in enumerate([(below, width), (width,)])]
        for part, width in {**widths, "mdn_pi": num_components}.items()
    ]
    return Network(str(config["config"]["name"]), event_size, num_components, cells, head)


# ---------------------------------------------------------------------- config.json


def _chain(path: Path, config: Any) -> list[dict[str, Any]]:
    """Return the settings of the LSTM layers, from the bottom up, and the MDN's.

    An LSTM's `place` is its number among those of the file, whose order need not be that of the chain.
    """
    model, settings = _described(path, config, MODELS)
    inputs: set[str] = set()
    layers: dict[str, tuple[str, dict[str, Any]]] = {}
    nodes: dict[str, Any] = {}
    for layer in settings["layers"]:
        kind, own = _described(path, layer, LAYERS)
        name = layer["config"]["name"]
        if kind == "InputLayer":
            inputs.add(name)
            continue
        place = sum(kind == other for other, _ in layers.values())
        layers[name] = (kind, {**own, "place": place})
        nodes[name] = layer.get("inbound_nodes")
    of_kind = {kind: [name for name in layers if layers[name][0] == kind] for kind in ("LSTM", "MDN")}
    for kind, names in of_kind.items():
        if not names:
            raise InputError(f"{path} has no {kind} layer; {EXPECTED}.")
    names = list(layers) if model == "Sequential" else _below(path, of_kind["MDN"][0], inputs, nodes)
    if misplaced := [name for name in names[:-1] if name not in of_kind["LSTM"]]:
        raise InputError(f"{path}: the layer {misplaced[0]!r} is out of place; {EXPECTED}.")
    if beside := [name for name in layers if name not in names]:
        raise InputError(f"{path}: the layer {beside[0]!r} is beside the others; {EXPECTED}.")
    return [layers[name][1] for name in names]


def _described(path: Path, part: Any, known: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, Any]]:
    """Return a part's class and settings, those of the layer inside where it is applied at every step."""
    kind, settings = part["class_name"], part["config"]
    package = str(part["module"]).partition(".")[0]
    inner = _described(path, settings["layer"], known) if kind == "TimeDistributed" else None
    if package not in known.get(kind, ()) or (inner and inner[0] != "MDN"):
        shown = kind if package in KERAS else f"{part['module']}.{kind}"
        raise InputError(f"{path}: {settings.get('name')!r} is a {shown}; {EXPECTED}.")
    return inner or (kind, settings)


def _below(path: Path, name: str, inputs: set[str], nodes: dict[str, Any]) -> list[str]:
    """Return a layer of a graph and those below it, from the bottom up."""
    names: list[str] = []
    while name not in inputs:
        if name in names:
            raise InputError(f"{path}: the layer {name!r} follows itself; {EXPECTED}.")
        names.insert(0, name)
        (below, output), *states = _sources(nodes[name])
        # States may be inputs too. A second call of the layer looks like states from another layer.
        if output != 0 or any(state not in inputs for state, _ in states):
            raise InputError(f"{path}: the layer {name!r} has other inputs; {EXPECTED}.")
        name = below
    return names


def _sources(part: Any) -> list[tuple[str, int]]:
    """Return from which layers a call takes what, as (name, number of the output); Keras 2's form or 3's."""
    match part:
        case {"keras_history": [str(name), int(), int(output)]}:
            return [(name, output)]
        case [str(name), int(), int(output), *more]:
            return [(name, output), *_sources(more)]
        case dict():
            return _sources(list(part.values()))
        case list():
            return [source for inner in part for source in _sources(inner)]
    return []


def _size(path: Path, settings: dict[str, Any], name: str) -> int:
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{path}: {settings['name']!r} has {name}={value!r}; expected a positive integer.")
    return value


# ---------------------------------------------------------------------- model.weights.h5


class _Weights:
    """The weights in a file.

    Attributes:
        numbers: the LSTM layers', in the order of the layers.
    """

    def __init__(self, path: Path, file: Any, num_bytes: int) -> None:
        self.path, self.num_bytes = path, num_bytes
        self.datasets: dict[tuple[str | int, int], Any] = {}
        file.visititems(self._note)  # passes by links to other files
        self.numbers = sorted({key for key, _ in self.datasets if isinstance(key, int)})

    def _note(self, name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and (match := WEIGHT.search(name.replace("\\", "/"))):
            number, part, place = match.groups()
            self.datasets[part or int(number or 0), int(place)] = item

    def read(self, layer: str, key: tuple[str | int, int], shape: tuple[int | None, ...]) -> np.ndarray:
        """Return weights as float32, or raise an InputError; any number of rows will do where it is None."""
        kind = "bias" if len(shape) == 1 else "recurrent kernel" if key[1] else "kernel"
        what = f"{self.path}: the {kind} of {layer!r}"
        found = self.datasets.get(key)
        if found is None:
            raise InputError(f"{what} is missing.")
        if len(found.shape) != len(shape) or not all(
            size in (None, received) for received, size in zip(found.shape, shape, strict=True)
        ):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise InputError(f"{what} has the shape {found.shape}; expected ({wanted}).")
        # Numbers from other files, or that are not stored, would not be this file's.
        if found.dtype.kind != "f" or found.external or found.is_virtual or found.nbytes > self.num_bytes:
            raise InputError(f"{what} is not stored as floating-point numbers.")
        values = found[()].astype("float32")
        if not np.isfinite(values).all():
            raise InputError(f"{what} has numbers that are not finite.")
        return values
