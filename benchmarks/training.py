"""Times training against what a user would otherwise pick, on one machine, as ratios.

    make bench                       # in an environment of its own
    python benchmarks/training.py    # where torch and keras-mdn-layer are installed

`lecture` is the lecture's problem: 3000 points of the inverse sine, two layers of 15 units, five components,
510 parameters, batches of 128. `lstm` is two LSTM layers of 256 units, batches of 256 sequences of 30 steps,
events of three dimensions. Everyone trains a network of the same shape with the same optimizer on the same
points, in a shuffled order of its own, and must get below a loss, or the script stops.

Contestants are interleaved: in every repetition each one trains for the same number of epochs, the last
batch of an epoch included. A ratio is the median over repetitions of a contestant's time divided by
Mixtura's; above 1, Mixtura is faster. Compiling happens before.

`first epoch` runs the command `mixtura fit` on a small table: seconds from its start to the end of its first
epoch, with no compiled program kept from earlier, and with all of them.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine

machine.settle()
del os.environ["OMP_WAIT_POLICY"]  # sleeping threads would cost PyTorch a millisecond a step

import keras
import keras_mdn_layer as kml
import numpy as np
import torch
from keras.layers import LSTM, Dense

import mixtura as mx
from mixtura.systems.demo.data import inverse_sine

PACKAGES = ("mixtura", "jax", "keras", "keras-mdn-layer", "numpy", "torch")
Train = Callable[[int], float]  # trains for so many epochs, returns the last one's loss


def with_mixtura(model: keras.Model, x: np.ndarray, y: np.ndarray, batch_size: int) -> Train:
    """Train by `mixtura.training.fit`."""

    def train(epochs: int) -> float:
        history = mx.training.fit(model, x, y, batch_size=batch_size, epochs=epochs, verbose=0)
        return history.history["loss"][-1]

    return train


def with_keras(model: keras.Model, x: np.ndarray, y: np.ndarray, batch_size: int) -> Train:
    """Train by `keras.Model.fit`."""
    return lambda epochs: model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0).history["loss"][-1]


def with_torch(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int,
    threads: int,
) -> Train:
    """Train by the loop that one writes with PyTorch, tensors in memory, its best number of threads."""
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

    def train(epochs: int) -> float:
        torch.set_num_threads(threads)
        for _ in range(epochs):
            total = torch.zeros(())
            for rows in torch.randperm(len(inputs)).split(batch_size):
                optimizer.zero_grad()
                loss = mixture_loss(model(inputs[rows]), targets[rows])
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(rows)
        return float(total) / len(inputs)

    return train


def mixture_loss(outputs: torch.Tensor, y: torch.Tensor, components: int = 5) -> torch.Tensor:
    """Return the mean negative log-likelihood under a mixture of diagonal normals, scales ELU + 1."""
    logits, rest = outputs[..., :components], outputs[..., components:]
    means, scales = rest.unflatten(-1, (2, components, y.shape[-1])).unbind(-3)
    sigma = torch.nn.functional.elu(scales) + 1 + 1e-7
    z = (y.unsqueeze(-2) - means) / sigma
    log_prob = (-0.5 * z * z - sigma.log() - 0.5 * math.log(2 * math.pi)).sum(-1)
    return -torch.logsumexp(log_prob + torch.log_softmax(logits, -1), -1).mean()


def lecture() -> tuple[dict[str, Train], int, int]:
    """Return the contestants, the epochs in a repetition, and the steps in an epoch."""
    x, y = (array.astype("float32") for array in inverse_sine(3000, np.random.default_rng(0)))
    family = mx.Mixture(mx.Normal(1), 5)

    def body() -> list[Any]:
        return [keras.Input((1,)), Dense(15, "relu"), Dense(15, "relu")]

    ours, theirs = (keras.Sequential([*body(), mx.MDN(family)]) for _ in range(2))
    for model in (ours, theirs):
        model.compile("rmsprop", loss=mx.NegativeLogLikelihood(family))
    layer = keras.Sequential([*body(), kml.MDN(1, 5)])
    layer.compile("rmsprop", loss=kml.get_mixture_loss_func(1, 5))
    relu, linear = torch.nn.ReLU, torch.nn.Linear
    network = torch.nn.Sequential(linear(1, 15), relu(), linear(15, 15), relu(), linear(15, 15))
    optimizer = torch.optim.RMSprop(network.parameters(), lr=0.001, alpha=0.9, eps=1e-7)
    contestants = {
        "mixtura": with_mixtura(ours, x, y, 128),
        "keras": with_keras(theirs, x, y, 128),
        "keras-mdn-layer": with_keras(layer, x, y, 128),
        "torch": with_torch(network, optimizer, x, y, 128, threads=1),
    }
    return contestants, 200, 24


class TorchLSTM(torch.nn.Module):
    """Two LSTM layers and a linear head."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 256, 2, batch_first=True)
        self.head = torch.nn.Linear(256, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the parameters of every step."""
        return self.head(self.lstm(x)[0])


def lstm() -> tuple[dict[str, Train], int, int]:
    """Return the contestants, the epochs in a repetition, and the steps in an epoch."""
    steps = 4
    walks = np.random.default_rng(0).normal(size=(256 * steps, 31, 3)).cumsum(1).astype("float32") / 4
    x, y = walks[:, :-1].copy(), walks[:, 1:].copy()
    family = mx.Mixture(mx.Normal(3), 5)
    layers = [
        [keras.Input((30, 3)), LSTM(256, return_sequences=True), LSTM(256, return_sequences=True)]
        for _ in range(2)
    ]
    ours, theirs = (keras.Sequential([*body, mx.MDN(family)]) for body in layers)
    for model in (ours, theirs):
        model.compile(keras.optimizers.Adam(1e-3), loss=mx.NegativeLogLikelihood(family))
    network = TorchLSTM(family.params_size)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    contestants = {
        "mixtura": with_mixtura(ours, x, y, 256),
        "keras": with_keras(theirs, x, y, 256),
        "torch": with_torch(network, optimizer, x, y, 256, threads=machine.CORES),
    }
    return contestants, 2, steps


# Epochs to warm up for, and the loss that everyone must then be below: one normal for each x has 2.74 on
# the lecture's points, the walks' steps by themselves have 0.1 and the walks as they are 3.
TASKS: dict[str, tuple[Callable[[], Any], int, float]] = {
    "lecture": (lecture, 200, 2.5),
    "lstm": (lstm, 10, 2.5),
}


def measure(task: str, repetitions: int) -> dict[str, Any]:
    """Train everyone in turn, and return times in milliseconds a step."""
    prepare, warm_up, limit = TASKS[task]
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    contestants, epochs, steps = prepare()
    losses = {name: train(warm_up) for name, train in contestants.items()}
    if not max(losses.values()) < limit:
        raise SystemExit(f"{task}: after {warm_up} epochs a loss is not below {limit}: {losses}")
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repetitions):
        for name, train in contestants.items():
            time.sleep(0.3)  # PyTorch's threads spin for a while after their work
            before = time.perf_counter()
            train(epochs)
            times[name].append((time.perf_counter() - before) / epochs / steps * 1e3)
    ours = times["mixtura"]
    return {
        "task": task,
        "contestants": {
            name: {
                "ms_per_step": statistics.median(values),
                "min_ms": min(values),
                "max_ms": max(values),
                "ratio": statistics.median(b / a for a, b in zip(ours, values, strict=True)),
                "loss": losses[name],
            }
            for name, values in times.items()
        },
    }


def first_epoch(repetitions: int) -> dict[str, Any]:
    """Run the command with an empty and with a filled cache of compiled programs."""
    seconds: dict[str, list[float]] = {"empty cache": [], "filled cache": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        with (folder / "table.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["a", "b", "y"])
            writer.writerows(rng.normal(size=(300, 3)).round(4).tolist())
        for repetition in range(repetitions):
            for state in seconds:
                run = folder / "run"
                command = ["fit", str(folder / "table.csv"), "--target", "y", "--out", str(run)]
                subprocess.run(
                    [sys.executable, "-m", "mixtura", *command, "--epochs", "2", "--overwrite"],
                    env=os.environ | {"MIXTURA_CACHE": str(folder / f"cache{repetition}")},
                    check=True,
                    capture_output=True,
                )
                report = json.loads((run / "report.json").read_text())
                seconds[state].append(report["fit"]["seconds_to_first_epoch"])
    medians = {state: statistics.median(values) for state, values in seconds.items()}
    return {"task": "first epoch", "seconds": medians}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Time Mixtura's training against other ways to train.")
    parser.add_argument("--repetitions", type=int, default=9, help="at least 5 (default 9)")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "training.json", help="the JSON file")
    arguments = parser.parse_args()
    if arguments.repetitions < 5:
        parser.error("--repetitions must be at least 5")
    content = machine.describe(PACKAGES) | {"repetitions": arguments.repetitions}
    print(f"{content['cpu']}, {content['cores']} cores; {content['versions']}\n")
    print(f"{'milliseconds a step':28}{'median':>11}{'min':>11}{'max':>11}{'ratio':>9}{'loss':>9}")
    rows = []
    for task in TASKS:
        rows.append(measure(task, arguments.repetitions))
        for name, values in rows[-1]["contestants"].items():
            numbers = "".join(f"{values[key]:11.4f}" for key in ("ms_per_step", "min_ms", "max_ms"))
            print(f"{task:12}{name:16}{numbers}{values['ratio']:9.2f}{values['loss']:9.3f}")
    rows.append(first_epoch(3))
    for state, value in rows[-1]["seconds"].items():
        print(f"{'first epoch':12}{state:16}{value:11.2f} s")
    machine.write(arguments.out, content | {"rows": rows})


if __name__ == "__main__":
    main()
