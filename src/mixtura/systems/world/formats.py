"""The files that the published experiments of World Models left: recordings, latents and trained networks.

Networks are JSON: a list of arrays as nested lists of integers, 10 000 times the weights, in the order in
which the program made them (github.com/hardmaru/WorldModelsExperiments).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.data.pickles import read_object_arrays
from mixtura.errors import InputError
from mixtura.families import Bernoulli, Independent, Joint, Mixture, Normal
from mixtura.models import Controller, ConvVAE, Memory
from mixtura.systems.world.memory import Series
from mixtura.systems.world.rollouts import Episode

STEPS = 10_000  # a weight of 1
STRIDE = 2  # of every convolution
COMPONENTS = 5  # of every mixture


def read_record(path: Path, limit: int | None = None, reward: float = 1.0) -> Episode:
    """Read a recorded episode: `obs`, the frames before each decision, and `action`.

    What followed the last decision was not recorded. Where the episode ended with it, no frame was to come,
    and the last one stands for it; else the decision is left out.

    Args:
        path: an npz file, its name the seed.
        limit: an episode of fewer decisions ended by itself; None if none did.
        reward: of each decision: rewards were not recorded.

    Raises:
        InputError: if the file is something else.
    """
    arrays = _arrays(path, "obs", "action")
    frames, actions = arrays["obs"], arrays["action"]
    if not all(isinstance(one, np.ndarray) for one in (frames, actions)) or len(frames) != len(actions):
        raise InputError(f"{path}: obs and action must be arrays with a row for each decision.")
    frames, actions, terminated = _followed(np.asarray(frames), np.asarray(actions), limit)
    seed = int(path.stem) if path.stem.isdecimal() else 0
    return Episode(seed, frames, actions, np.full(len(actions), reward, np.float32), terminated)


def read_series(path: Path, limit: int | None = None, reward: float = 1.0) -> list[Series]:
    """Read `series.npz`: what V made of recorded episodes, `mu`, `logvar` and `action`.

    Args:
        path: the file.
        limit: see `read_record`, also for how an episode ends.
        reward: see there.

    Raises:
        InputError: if the file is something else.
    """
    arrays = _arrays(path, "mu", "logvar", "action")
    if len({len(one) for one in arrays.values()}) != 1:
        raise InputError(f"{path}: mu, logvar and action must be of equally many episodes.")
    series = []
    for number, parts in enumerate(zip(arrays["mu"], arrays["logvar"], arrays["action"], strict=True)):
        mean, log_variance, actions = (np.asarray(part, np.float32) for part in parts)
        if mean.ndim != 2 or mean.shape != log_variance.shape or len(mean) != len(actions):
            raise InputError(
                f"{path}: episode {number} must have mu and logvar (T, z) and T actions; it has "
                f"{mean.shape}, {log_variance.shape} and {len(actions)}."
            )
        mean, codes, terminated = _followed(mean, actions, limit)
        log_variance, _, _ = _followed(log_variance, actions, limit)
        series.append(Series(mean, log_variance, codes, np.full(len(codes), reward, np.float32), terminated))
    return series


def read_starts(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read `initial_z.json`: the mean and the log variance of the first z of episodes, `(N, z)` each.

    Raises:
        InputError: if the file is something else.
    """
    arrays = _weights(path)
    if len(arrays) != 2 or arrays[0].ndim != 2 or arrays[0].shape != arrays[1].shape:
        raise InputError(f"{path} must hold two tables of one shape, means and log variances of z.")
    return arrays[0], arrays[1]


def read_vision(path: Path) -> ConvVAE:
    """Read `vae.json`: V, of any width.

    Its arrays are the kernel and the bias of each convolution, of mean, log variance and the decoder's dense
    layer, and of each transposed convolution.

    Raises:
        InputError: if the file is something else.
    """
    arrays = _weights(path)
    kernels = arrays[::2]
    depth = next((place for place, kernel in enumerate(kernels) if kernel.ndim != 4), 0)
    dense, transposed = kernels[depth : depth + 3], kernels[depth + 3 :]
    is_network = (
        depth > 0
        and transposed
        and [k.ndim for k in (*dense, *transposed)] == [2] * 3 + [4] * len(transposed)
    )
    if len(arrays) % 2 or not is_network:
        raise InputError(f"{path} is no V: expected kernels and biases of convolutions and dense layers.")
    size = 1
    for kernel in transposed:
        size = STRIDE * (size - 1) + kernel.shape[0]
    try:
        model = ConvVAE(
            (size, size, kernels[0].shape[2]),
            dense[0].shape[1],
            [(kernel.shape[3], kernel.shape[0], STRIDE) for kernel in kernels[:depth]],
            [(kernel.shape[2], kernel.shape[0], STRIDE) for kernel in transposed],
            (1, 1, dense[2].shape[1]),
        )
    except ValueError as error:
        raise InputError(f"{path} is no V ({error}).") from error
    _assign(path, model.trainable_variables, arrays)
    return model


def read_memory(path: Path) -> Memory:
    """Read `rnn.json`: M, of any width, which predicts z and, as Doom's does, the end.

    The program's LSTM has its gates in the order i, g, f, o and adds 1 to f's sum. It begins an episode with
    a state of zeros and, in Doom, a flag of 1 beside the first z; a `Memory` takes a step before that z
    instead, and the flag stays 0. All other steps are the program's.

    Raises:
        InputError: if the file is something else.
    """
    arrays = _weights(path)
    if [one.ndim for one in arrays] != [2, 1, 2, 1]:
        raise InputError(f"{path} is no M: expected two matrices, each with a bias.")
    head, cell = arrays[:2], arrays[2:]
    if len(cell[1]) != 4 * len(head[0]):  # Doom's made its cell first
        head, cell = cell, head
    units, columns = head[0].shape
    latent, rest = divmod(columns, 3 * COMPONENTS)
    actions = len(cell[0]) - units - latent - rest
    if len(cell[1]) != 4 * units or rest > 1 or latent < 1 or actions < 1:
        raise InputError(f"{path} is no M: its matrices are {head[0].shape} and {cell[0].shape}.")
    parts: dict[str, Any] = {"latent": Independent(Mixture(Normal(1, scale="exp"), COMPONENTS), latent)}
    if rest:
        parts["done"] = Bernoulli()
    model = Memory(Joint(**parts), (units,), actions)
    i, g, f, o = np.split(np.concatenate([cell[0], cell[1][None]]), 4, axis=1)
    f[-1] += 1.0
    table = np.concatenate([i, f, g, o], axis=1)
    kernel, recurrent, bias = table[: -units - 1], table[-units - 1 : -1], table[-1]
    if rest:  # z, action, flag become z, flag, action; the end's logit comes last
        kernel = np.concatenate([kernel[:latent], kernel[-1:], kernel[latent:-1]])
        head = [np.roll(one, -1, axis=-1) for one in head]
    _assign(path, model.trainable_variables, [kernel, recurrent, bias, *head])
    return model


def read_controller(
    path: Path,
    latent: int,
    units: int,
    outputs: int,
    features: str = "zh",
    hidden: int = 0,
    bias: bool = True,
) -> tuple[Controller, np.ndarray]:
    """Read a controller, the first entry of a log's JSON file: its form and its parameters, `(size,)`.

    The program has a layer's biases before its weights, and M's cell before its output.

    Args:
        path: the file.
        latent: the size of z.
        units: of M.
        outputs: the size of an action's code.
        features: what it is given, "z", "zh" or "zhc", as `DreamEnv` puts them side by side.
        hidden: units of the hidden layer; 0 for none.
        bias: whether the last layer has one.

    Raises:
        InputError: if the file is something else, or holds another number of parameters.
    """
    form = Controller(latent + (len(features) - 1) * units, outputs, hidden, bias)
    found = _json(path)
    try:
        given = np.asarray(found[0], np.float64)
    except (TypeError, ValueError, LookupError):
        raise InputError(f"{path} is no controller: its first entry must list its parameters.") from None
    if given.shape != (form.size,):
        raise InputError(f"{path} has parameters of shape {given.shape}; {form} has {form.size}.")
    layers = [(form.inputs, hidden, True)] if hidden else []
    layers.append((hidden or form.inputs, outputs, bias))
    parts = []
    for number, (rows, columns, has_bias) in enumerate(layers):
        offset, weights, given = np.split(given, [columns * has_bias, columns * (has_bias + rows)])
        weights = weights.reshape(rows, columns)
        if number == 0 and features == "zhc":
            z, c, h = np.split(weights, [latent, latent + units])
            weights = np.concatenate([z, h, c])
        parts += [weights.ravel(), offset]
    return form, np.concatenate(parts)


def _followed(
    moments: np.ndarray, actions: np.ndarray, limit: int | None
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return moments, one more than decisions, the codes, and whether the episode ended by itself."""
    codes = actions.reshape(len(actions), -1).astype(np.float32)
    if limit is not None and len(codes) < limit:
        return np.concatenate([moments, moments[-1:]]), codes, True
    return moments, codes[:-1], False


def _arrays(path: Path, *names: str) -> dict[str, Any]:
    """Return the named arrays of an npz file, or raise an InputError."""
    arrays = read_object_arrays(path)
    if missing := [name for name in names if name not in arrays]:
        raise InputError(f"{path} has no {missing[0]!r}; expected {', '.join(names)}.")
    return {name: arrays[name] for name in names}


def _weights(path: Path) -> list[np.ndarray]:
    """Return the arrays of a JSON file, as weights."""
    found = _json(path)
    try:
        arrays = [np.asarray(one, np.float32) / STEPS for one in found]
    except (TypeError, ValueError):
        arrays = []
    if not arrays or not all(np.isfinite(one).all() for one in arrays):
        raise InputError(f"{path} must be a list of arrays of integers, as nested lists.")
    return arrays


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no JSON file ({error}).") from None


def _assign(path: Path, variables: list[Any], arrays: list[np.ndarray]) -> None:
    """Set variables, or raise an InputError where their shapes are others."""
    shapes, expected = [one.shape for one in arrays], [tuple(one.shape) for one in variables]
    if shapes != expected:
        raise InputError(f"{path} has arrays of shapes {shapes}; expected {expected}.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
