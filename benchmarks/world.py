"""Times V and dreams of World Models against the same networks in PyTorch, on one machine, as ratios.

    python benchmarks/world.py           # where torch is installed, as for `make bench`
    python benchmarks/world.py --tiny    # small networks: whether everything runs, in a minute

The networks are those of Ha & Schmidhuber (2018): V of frames of 64x64 with z of 32 numbers (4 348 547
weights), and M of Doom, an LSTM of 512 units with z of 64 numbers, five normals for each, and an end
(1 678 785 weights), in which linear controllers of 1088 numbers live. Both sides have the same weights,
compute in float32 on as many threads as there are cores, and must agree on what they encode and decode, on
the losses of their first epochs, on what M expects and on the z drawn from it, or the script stops.
Contestants are interleaved; a ratio is the median over repetitions of the peer's time divided by Mixtura's;
above 1, Mixtura is faster. Compiling happens before.

`training` is steps of V on batches of 100 frames with Adam, in milliseconds a step. `training, patches` is
that of the V of the preset `small`, whose kernels are as large as their strides. `torch` has channels last,
which was the faster; `keras` is our V with Keras' own convolutions, trained by `model.fit`. `encoding` is
1000 frames into z, in milliseconds of all; `one frame` is what an agent waits for at each step, in
milliseconds.

`dreams` are 64 controllers with a dream each, or 16, in microseconds a step of one agent. `torch, one agent`
is the loop of published PyTorch code: an agent after the other, a distribution object for each draw; it is
timed on one. `torch` takes all at once, draws all mixtures at once, and gives all controllers the same
numbers, as we do, with as few operations as we found. The end's bias is such that few dreams end early.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import machine
from machine import Work

machine.settle()

import keras
import numpy as np
import torch
import world_peers as peers

import mixtura as mx
from mixtura.models import vision
from mixtura.models.controller import Controller
from mixtura.models.memory import Memory
from mixtura.models.vision import ConvVAE
from mixtura.systems.world.actions import Ordered
from mixtura.systems.world.dreaming import Dream
from mixtura.systems.world.presets import preset_of

PACKAGES = ("mixtura", "jax", "keras", "numpy", "torch")
TEMPERATURE = 1.15
# What is compared with Mixtura: whose time; and the goal, if there is one.
TRAINING = (("torch", 1.0), ("torch compiled", None), ("keras", None))
ENCODING = (("torch", None),)
DREAMS = (("torch, one agent", None), ("torch", 1.0), ("torch compiled", None))


class Size(NamedTuple):
    """How much is measured."""

    network: dict[str, Any] = {}  # noqa: RUF012 (nobody writes into it)
    batch: int = 100
    batches: int = 2  # that are trained on in a repetition
    encoded: int = 1000
    units: int = 512
    latent: int = 64
    controllers: int = 64
    repeats: int = 16
    steps: int = 40


TINY = Size(
    {"encoder": [(4, 4, 2), (4, 4, 4)], "decoder": [(4, 8, 1), (3, 8, 8)], "start": (1, 1, 8)},
    batch=8,
    encoded=20,
    units=16,
    latent=4,
    controllers=4,
    repeats=2,
    steps=10,
)
OURS = {name: getattr(vision, name) for name in ("PatchConv2D", "TransposedConv2D")}
KERAS = {"PatchConv2D": keras.layers.Conv2D, "TransposedConv2D": keras.layers.Conv2DTranspose}


def published(size: Size) -> dict[str, Any]:
    """Return the arguments of the published V."""
    return size.network


def patches(size: Size) -> dict[str, Any]:
    """Return those of the preset `small`."""
    small = preset_of("CarRacing-v3", True, "small").vision
    assert small is not None
    return small.network


def network(arguments: dict[str, Any], layers: dict[str, Any] = OURS) -> ConvVAE:
    """Return a V of such layers, always with the same weights, ready to train."""
    keras.utils.set_random_seed(0)
    with mock.patch.multiple(vision, **layers):
        model = ConvVAE(**arguments, seed=0)
    model.compile(keras.optimizers.Adam(1e-4))
    return model


def frames(count: int) -> np.ndarray:
    """Return frames as bytes: a bright square each, somewhere on noise."""
    rng = np.random.default_rng(0)
    made = rng.integers(0, 40, (count, 64, 64, 3), dtype=np.uint8)
    for frame, (i, j) in zip(made, rng.integers(0, 48, (count, 2)), strict=True):
        frame[i : i + 16, j : j + 16] = 230
    return made


def peer_of(model: ConvVAE) -> peers.Vision:
    """Return the peer, or stop if it encodes or decodes otherwise."""
    peer = peers.Vision(model, torch.channels_last)
    x = frames(5)
    with torch.inference_mode():
        mean, made = peer.encode(x, 5), peer.frames(torch.from_numpy(model.encode(x)[0]))
    for found, expected in (
        (mean, model.encode(x)[0]),
        (made.permute(0, 2, 3, 1).numpy() * 255, model.decode(model.encode(x)[0])),
    ):
        error = np.abs(found - expected).max()
        if not error < (1e-3 if found is mean else 0.51):  # ours are rounded to bytes
            raise SystemExit(f"torch encodes or decodes otherwise: it is off by {error:.2g}")
    return peer


def training(size: Size, arguments: Callable[[Size], dict[str, Any]]) -> Work:
    """Return an epoch of each contestant, by step; all must come to the same loss."""
    x = frames(size.batch * size.batches)
    given = arguments(size)
    model, other = network(given), network(given, KERAS)
    runs = {
        "mixtura": lambda: _loss(mx.training.fit(model, x, batch_size=size.batch, shuffle=False, verbose=0)),
        "torch": peers.Training(peer_of(model), x, size.batch).epoch,
        "torch compiled": peers.Training(peer_of(model), x, size.batch, compiles=True).epoch,
        "keras": lambda: _loss(other.fit(x, batch_size=size.batch, shuffle=False, verbose=0)),
    }
    reached = {name: [run() for _ in range(2)] for name, run in runs.items()}
    for name, found in reached.items():
        # z is drawn from other numbers.
        if not np.allclose(found, reached["mixtura"], rtol=1e-2):
            raise SystemExit(f"{name} trains otherwise: losses {found}, ours {reached['mixtura']}")
    return {name: (run, 1e3 / size.batches) for name, run in runs.items()}


def _loss(history: Any) -> float:
    return float(history.history["loss"][-1])


def encoding(size: Size, count: int | None = None) -> Work:
    """Return the encoding of many frames, or of so many, by each contestant."""
    model = network(size.network)
    peer, x = peer_of(model), frames(count or size.encoded)
    runs = {"mixtura": lambda: model.encode(x), "torch": lambda: peer.encode(x, 256)}
    times = size.encoded // len(x)  # one frame many times: a call takes less than a clock can tell
    return {name: (lambda run=run: [run() for _ in range(times)], 1e3 / times) for name, run in runs.items()}


def memory(size: Size) -> Memory:
    """Return the M of Doom, always with the same weights, in which an agent lives long."""
    keras.utils.set_random_seed(0)
    latent = mx.Independent(mx.Mixture(mx.Normal(1, scale="exp"), 5), size.latent)
    model = Memory(mx.Joint(latent=latent, done=mx.Bernoulli()), (size.units,), actions=1)
    rng = np.random.default_rng(0)
    kernel, bias = model.head.get_weights()
    bias = 0.5 * rng.normal(size=bias.shape)  # mixtures whose components differ
    bias[-1] = -6.0
    model.head.set_weights([kernel, bias])
    return model


def check(model: Memory, peer: peers.Dream) -> None:
    """Stop if the peer expects something else, or draws another z."""
    rng = np.random.default_rng(0)
    z, code = rng.normal(size=(7, model.latent_size)), rng.integers(-1, 2, (7, 1))
    z, code = z.astype("float32"), code.astype("float32")
    state = keras.tree.map_structure(lambda part: np.tile(np.asarray(part), (7, 1)), model.begun(1))
    ours, _ = model.step(model.embed(model.event(z), code), state)
    theirs, _, _ = peer.expected(
        *map(torch.from_numpy, (z, code)), *(p.expand(7, -1) for p in (peer.h, peer.c))
    )
    error = np.abs(np.asarray(ours) - theirs.numpy()).max()
    if not error < 1e-4:
        raise SystemExit(f"torch expects something else: its parameters are off by {error:.2g}")
    count = 20_000
    still = torch.zeros(1, model.latent_size + 2 * peer.h.shape[1])
    states = (part.expand(count, -1).contiguous() for part in (peer.h, peer.c))
    noise = torch.rand(count, model.latent_size), torch.randn(count, model.latent_size)
    drawn, _, _, _ = peer.step(still, torch.zeros(count, model.latent_size), *states, *noise)
    nothing = np.zeros((1, model.latent_size), "float32")
    made, _ = model.step(model.embed(model.event(nothing), nothing[:, :1]), model.begun(1))
    expected = model.family(np.asarray(made)[0])["latent"].sample(
        count, seed=1, sampler=mx.Sampler.world_models(TEMPERATURE)
    )
    spread = expected.std(axis=0)
    error = max(
        np.abs((drawn.numpy().mean(axis=0) - expected.mean(axis=0)) / spread).max(),
        np.abs(drawn.numpy().std(axis=0) / spread - 1).max(),
    )
    if not error < 0.06:
        raise SystemExit(f"torch draws another z: its moments are off by {error:.3f} standard deviations")


def dreams(size: Size, repeats: int) -> Work:
    """Return dreams of all controllers, by step of an agent."""
    model = memory(size)
    rng = np.random.default_rng(0)
    starts = rng.normal(size=(repeats, size.latent)).astype("float32")
    controller = Controller(size.latent + 2 * size.units, 1, bias=False)
    params = (0.1 * rng.normal(size=(size.controllers, controller.size))).astype("float32")
    dream = Dream(model, controller, "zhc", Ordered((2, 0, 1)), starts)
    peer, compiled = (peers.Dream(model, TEMPERATURE, compiles) for compiles in (False, True))
    check(model, peer)
    tensors = torch.from_numpy(params), torch.from_numpy(starts)
    alone = tensors[0][0], tensors[1][0]
    steps, agents = size.steps, size.controllers * repeats
    runs = {
        "mixtura": lambda: dream.returns(params, 0, repeats, TEMPERATURE, steps),
        "torch": lambda: peer.live(*tensors, steps),
        "torch compiled": lambda: compiled.live(*tensors, steps),
    }
    lived = {name: float(np.mean(np.asarray(run()))) for name, run in runs.items()}
    if not np.allclose(list(lived.values()), lived["mixtura"], rtol=0.02):
        raise SystemExit(f"Agents do not live equally long: {lived}")
    work = {name: (run, 1e6 / steps / agents) for name, run in runs.items()}
    work["torch, one agent"] = (lambda: [peer.live_alone(*alone, 1) for _ in range(steps)], 1e6 / steps)
    return work


def compared(task: str, times: dict[str, list[float]], comparisons: Any) -> dict[str, Any]:
    """Return one row of the results: times, and ratios."""
    return {
        "task": task,
        "contestants": {
            name: {"time": statistics.median(own), "min": min(own), "max": max(own)}
            for name, own in times.items()
        },
        "ratios": {
            name: {
                "ratio": statistics.median(a / b for a, b in zip(times[name], times["mixtura"], strict=True)),
                "goal": goal,
            }
            for name, goal in comparisons
        },
    }


def show(row: dict[str, Any]) -> None:
    """Print a row of the results."""
    print(f"{row['task']:42}{'median':>10}{'min':>10}{'max':>10}{'ratio':>9}")
    for name, values in row["contestants"].items():
        line = f"  {name:40}" + "".join(f"{values[key]:10.2f}" for key in ("time", "min", "max"))
        if found := row["ratios"].get(name):
            goal = found["goal"]
            line += f"{found['ratio']:9.2f}"
            if goal is not None:
                line += f"  >= {goal:g}: {'met' if found['ratio'] >= goal else 'missed'}"
        print(line)


TASKS: dict[str, tuple[Callable[[Size], Work], Any]] = {
    "training, ms a step": (lambda size: training(size, published), TRAINING),
    "training, patches, ms a step": (lambda size: training(size, patches), TRAINING),
    "encoding, ms": (encoding, ENCODING),
    "one frame, ms": (lambda size: encoding(size, 1), ENCODING),
    "dreams of one each, us an agent's step": (lambda size: dreams(size, 1), DREAMS),
    "dreams of many each, us an agent's step": (lambda size: dreams(size, size.repeats), DREAMS),
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Time World Models against the same networks in PyTorch.")
    parser.add_argument("--repetitions", type=int, default=7, help="at least 5, but for --tiny (default 7)")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "world.json", help="the JSON file")
    parser.add_argument("--only", metavar="WORD", help="tasks that begin so; nothing is written")
    parser.add_argument("--tiny", action="store_true", help="small networks; nothing is written")
    arguments = parser.parse_args()
    if arguments.repetitions < 5 and not (arguments.tiny or arguments.only):
        parser.error("--repetitions must be at least 5")
    size = TINY if arguments.tiny else Size()
    torch.manual_seed(0)
    torch.set_num_threads(machine.CORES)
    content = machine.describe(PACKAGES) | {"repetitions": arguments.repetitions, "size": size._asdict()}
    print(f"{content['cpu']}, {content['cores']} cores; {content['versions']}")
    content["rows"] = []
    for task, (prepare, comparisons) in TASKS.items():
        if task.startswith(arguments.only or ""):
            print()
            with torch.set_grad_enabled(task.startswith("training")):
                times = machine.timed(prepare(size), arguments.repetitions)
            content["rows"].append(row := compared(task, times, comparisons))
            show(row)
    if not (arguments.tiny or arguments.only):
        machine.write(arguments.out, content)


if __name__ == "__main__":
    main()
