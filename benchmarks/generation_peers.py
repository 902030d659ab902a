# ruff: noqa: D102 (Contestant documents its subclasses' methods)
"""The ways to draw sequences that `generation.py` compares."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import keras
import keras_mdn_layer as kml
import numpy as np
import torch
import torch.distributions as td
from ai_edge_litert.interpreter import Interpreter
from generation_step import one_step
from torch.nn.functional import elu

import mixtura as mx

D, K = 3, 5  # an event's dimensions, the mixture's components


def by_component(params: np.ndarray) -> list[np.ndarray]:
    """Return what is the means', the scales' and the logits' `(..., K D)`, `(..., K D)`, `(..., K)`.

    Mixtura has the logits first, then a row per parameter and a column per component.
    """
    table = params[..., K:].reshape(*params.shape[:-1], 2, D, K)
    means, scales = np.moveaxis(np.swapaxes(table, -1, -2).reshape(*params.shape[:-1], 2, K * D), -2, 0)
    return [means, scales, params[..., :K]]


def weights_of(model: mx.MDNRNN) -> list[np.ndarray]:
    """Return those of the LSTM cells, then of keras-mdn-layer's three Dense layers, kernels and biases."""
    *cells, kernel, bias = map(np.asarray, model.get_weights())
    return cells + [w for pair in zip(by_component(kernel), by_component(bias), strict=True) for w in pair]


class Contestant:
    """A way to draw, one step at a time.

    `start` returns the event and the state before the first step, `step` the parameters (means, scales and
    logits, side by side) and the next state, `sample` an event.
    """

    def start(self) -> tuple[Any, Any]: ...

    def step(self, event: Any, state: Any) -> tuple[Any, Any]: ...

    def sample(self, params: Any) -> Any: ...

    def draw(self, steps: int) -> Any:
        """Return so many events."""
        events = []
        event, state = self.start()
        for _ in range(steps):
            params, state = self.step(event, state)
            event = self.sample(params)
            events.append(event)
        return events

    def given(self, events: np.ndarray) -> np.ndarray:
        """Return the parameters of every step given the events before, `(steps, size)`."""
        event, state = self.start()
        found = []
        for after in events:
            params, state = self.step(event, state)
            found.append(np.asarray(params).reshape(-1))
            after = torch.from_numpy(after) if torch.is_tensor(event) else after
            event = after.reshape(event.shape)
        return np.stack(found)

    def first(self, count: int) -> np.ndarray:
        """Return so many draws of the first event, `(count, D)`."""
        params, _ = self.step(*self.start())
        return np.stack([np.asarray(self.sample(params)).reshape(D) for _ in range(count)])


class Mixtura(Contestant):
    """`generate`."""

    def __init__(self, model: mx.MDNRNN, batch: int) -> None:
        self.model, self.batch = model, batch

    def draw(self, steps: int) -> Any:
        return self.model.generate(steps, batch_size=self.batch, seed=0).events

    def given(self, events: np.ndarray) -> np.ndarray:
        params = np.asarray(self.model(events[None]))[0]
        p = self.model.family(params)
        parts = [p.means, p.scales, params[:, :K]]
        return np.concatenate([part.reshape(len(events), -1) for part in parts], axis=-1)

    def first(self, count: int) -> np.ndarray:
        return self.model.generate(1, batch_size=count, seed=0).events[:, 0]


class Keras(Contestant):
    """One step as a Keras model with keras-mdn-layer's head, states in and out; its NumPy sampler."""

    def __init__(self, model: keras.Model, method: str) -> None:
        self.run = {
            "predict": lambda inputs: model.predict(inputs, verbose=0),
            "predict_on_batch": model.predict_on_batch,
            "call": lambda inputs: model([*map(keras.ops.convert_to_tensor, inputs)]),
        }[method]
        self.zeros = [np.zeros(one.shape, "float32") for one in model.inputs]

    def start(self) -> tuple[Any, Any]:
        return self.zeros[0], self.zeros[1:]

    def step(self, event: Any, state: Any) -> tuple[Any, Any]:
        params, *state = self.run([event, *state])
        return np.asarray(params)[0], state

    def sample(self, params: Any) -> Any:
        return kml.sample_from_output(params, D, K).astype("float32")[None]


class Torch(Contestant):
    """The loop one writes: `nn.LSTM` and `torch.distributions`."""

    def __init__(self, weights: list[np.ndarray], units: int, batch: int) -> None:
        self.batch = batch
        self.lstm = torch.nn.LSTM(D, units, 2, batch_first=True)
        self.head = torch.nn.Linear(units, K * (2 * D + 1))
        self.weights = [torch.tensor(w) for w in weights]
        self.kernel, self.bias = torch.cat(self.weights[6::2], -1), torch.cat(self.weights[7::2])
        for layer, cell in enumerate((self.weights[:3], self.weights[3:6])):
            names = ("weight_ih", "weight_hh", "bias_ih")  # PyTorch has a second bias
            for name, value in zip(names, cell, strict=True):
                getattr(self.lstm, f"{name}_l{layer}").copy_(value if value.ndim == 1 else value.T)
            getattr(self.lstm, f"bias_hh_l{layer}").zero_()
        self.head.weight.copy_(self.kernel.T)
        self.head.bias.copy_(self.bias)

    def start(self) -> tuple[Any, Any]:
        return torch.zeros(self.batch, D), None

    def step(self, event: Any, state: Any) -> tuple[Any, Any]:
        features, state = self.lstm(event[:, None], state)
        means, scales, logits = self.head(features[:, 0]).split((K * D, K * D, K), -1)
        return torch.cat([means, elu(scales) + 1, logits], -1), state

    def sample(self, params: Any) -> Any:
        means, scales, logits = params.split((K * D, K * D, K), -1)
        chosen = td.Categorical(logits=logits).sample()
        rows = torch.arange(len(params))
        means, scales = (part.view(-1, K, D)[rows, chosen] for part in (means, scales))
        return td.Normal(means, scales).sample()


class TorchByHand(Torch):
    """The same with as few and as fast operations as we found."""

    def __init__(self, weights: list[np.ndarray], units: int, batch: int) -> None:
        super().__init__(weights, units, batch)
        self.cells = [(torch.cat(self.weights[n : n + 2]), self.weights[n + 2]) for n in (0, 3)]
        self.zeros = torch.zeros(batch, units)

    def start(self) -> tuple[Any, Any]:
        return torch.zeros(self.batch, D), [(self.zeros, self.zeros)] * 2

    def step(self, event: Any, state: Any) -> tuple[Any, Any]:
        x, after = event, []
        for (kernel, bias), (h, c) in zip(self.cells, state, strict=True):
            i, f, g, o = torch.addmm(bias, torch.cat([x, h], 1), kernel).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            x = o.sigmoid() * c.tanh()
            after.append((x, c))
        params = torch.addmm(self.bias, x, self.kernel)
        params[:, K * D : 2 * K * D] = elu(params[:, K * D : 2 * K * D]).add_(1)
        return params, after

    def sample(self, params: Any) -> Any:
        means, scales, logits = params.split((K * D, K * D, K), -1)
        chosen = torch.multinomial(torch.softmax(logits, -1), 1)[..., None].expand(-1, 1, D)
        means, scales = (part.view(-1, K, D).gather(1, chosen)[:, 0] for part in (means, scales))
        return torch.addcmul(means, scales, torch.randn_like(means))


class LiteRT(Contestant):
    """LiteRT's interpreter, one thread: the same step as one program; keras-mdn-layer's sampler."""

    def __init__(self, program: bytes) -> None:
        self.interpreter = Interpreter(model_content=program, num_threads=1)
        self.interpreter.allocate_tensors()
        # They come in any order; their names end in their places.
        self.inputs, self.outputs = (
            [one["index"] for one in sorted(details, key=lambda one: one["name"])]
            for details in (self.interpreter.get_input_details(), self.interpreter.get_output_details())
        )
        self.zeros = [np.zeros_like(self.interpreter.get_tensor(index)) for index in self.inputs]

    def start(self) -> tuple[Any, Any]:
        return self.zeros[0], self.zeros[1:]

    def step(self, event: Any, state: Any) -> tuple[Any, Any]:
        for index, value in zip(self.inputs, (event, *state), strict=True):
            self.interpreter.set_tensor(index, value)
        self.interpreter.invoke()
        params, *state = map(self.interpreter.get_tensor, self.outputs)
        return params[0], state

    def sample(self, params: Any) -> Any:
        return kml.sample_from_output(params, D, K).astype("float32")[None]


class LiteRTByHand(LiteRT):
    """The same with a sampler of as few NumPy calls as we found."""

    rng = np.random.default_rng(0)

    def sample(self, params: Any) -> Any:
        total = np.exp(params[-K:]).cumsum()  # the logits are small
        start = D * total.searchsorted(self.rng.random() * total[-1])
        means, scales = params[start : start + D], params[K * D + start : K * D + start + D]
        return (means + scales * self.rng.standard_normal(D, "float32"))[None]


def convert(weights: list[np.ndarray], python: Path) -> bytes:
    """Return the step as a program for LiteRT, made by the Python of an environment that has TensorFlow."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "weights.npz", Path(folder) / "step.tflite"
        np.savez(source, *weights)
        done = subprocess.run(
            [python, Path(__file__).with_name("generation_step.py"), source, program],
            env=os.environ | {"KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"The conversion for LiteRT failed:\n{done.stderr}")
        return program.read_bytes()


def contestants(units: int, batch: int, converter: Path) -> dict[str, Contestant]:
    """Return all who can draw batches of this size, with the same weights."""
    keras.utils.set_random_seed(0)
    model = mx.MDNRNN(mx.Mixture(mx.Normal(D), K), (units, units))
    weights = weights_of(model)
    found: dict[str, Contestant] = {
        "mixtura": Mixtura(model, batch),
        "torch": Torch(weights, units, batch),
        "torch by hand": TorchByHand(weights, units, batch),
    }
    if batch == 1:
        step = one_step(weights)
        found |= {name: Keras(step, name) for name in ("predict", "predict_on_batch", "call")}
        if converter.exists():
            program = convert(weights, converter)
            found |= {"litert": LiteRT(program), "litert by hand": LiteRTByHand(program)}
    return found
