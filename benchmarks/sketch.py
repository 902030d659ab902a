"""Times Sketch-RNN against the same network in PyTorch, on one machine, as ratios.

    python benchmarks/sketch.py           # where torch is installed, as for `make bench`
    python benchmarks/sketch.py --tiny    # a small network: whether everything runs, in a minute

The network is that of Ha & Eck (2017): an encoder of 256 units in each direction, a latent vector of 128
numbers, a decoder of 512 units, 20 components; 2 186 107 weights, no layer normalisation, which `nn.LSTM` has
not. Drawings are random walks with as many points as those of sheep: 125 in the mean, 250 at most. Both sides
start with the same weights, compute in float32 on as many threads as there are cores, and must agree on what
they encode, on the parameters of every step, on the loss, and on the first event they draw, or the script
stops. Contestants are interleaved; a ratio is the median over repetitions of the peer's time divided by
Mixtura's; above 1, Mixtura is faster. Compiling happens before.

`training` is steps on batches of 100 drawings, with the published loss, Adam, and gradients clipped by value.

- `padded`: every drawing is padded to 251 events, and padding counts, as published. Once without recurrent
  dropout, which `nn.LSTM` has not either, and once with ours of 0.1 against the peer's none;
- `buckets`: rows of up to four lengths, on both sides the same ones; padding does not count;
- `as trained`: our buckets against the peer's padding: how each is used without further thought.

`drawing` is 1000 drawings of 100 points, of different latent vectors, whose pen never ends. Mixtura draws
them in one batch. The peers draw one after the other, a step of `nn.LSTMCell` at a time, and are timed on a
few, from which the time of all is computed: `numpy` samples as published code does, `torch` with as few
operations as we found. `torch, one batch` draws all at once.

`latency` is that of one drawing of 125 points: encoded, and as long a one drawn from what was found.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import machine
from machine import Work

machine.settle()

import keras
import numpy as np
import torch
from sketch_peers import Peer, Training

import mixtura as mx
from mixtura.data.strokes import to_stroke5
from mixtura.models.sketch_rnn import padded
from mixtura.models.variational import KLDivergence, SketchLoss, Variational
from mixtura.training import Ragged

PACKAGES = ("mixtura", "jax", "keras", "numpy", "torch")
FLOOR, CLIP, BUCKETS = 1e-6, 1.0, 4
# What is compared with what: the name, whose time, divided by whose; and the goal, if there is one.
TRAINING = (
    ("padded", "torch", "mixtura", 1.0),
    ("padded, dropout here alone", "torch", "mixtura dropout", None),
    ("buckets", "torch buckets", "mixtura buckets", None),
    ("as trained", "torch", "mixtura buckets", 1.0),
)
DRAWING = (
    ("numpy, one by one", "numpy", "mixtura", 20.0),
    ("torch, one by one", "torch", "mixtura", 20.0),
    ("torch, one batch", "torch batch", "mixtura", None),
)
LATENCY = (
    ("encode", "torch encode", "mixtura encode", None),
    ("draw", "torch draw", "mixtura draw", None),
)


class Size(NamedTuple):
    """How much is measured."""

    units: int = 512
    encoder_units: int = 256
    latent_size: int = 128
    components: int = 20
    batch: int = 100
    longest: int = 250
    steps: int = 4  # batches that are trained on in a repetition
    drawings: int = 1000
    few: int = 10  # that are drawn one by one
    points: int = 100
    one: int = 125  # points of the one drawing whose latency is measured


TINY = Size(16, 8, 4, 3, 10, 40, 4, 50, 2, 20, 25)


def network(size: Size, dropout: float = 0.0) -> mx.models.SketchRNN:
    """Return the network of the paper, always with the same weights."""
    keras.utils.set_random_seed(0)
    offset = mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), size.components)
    return mx.models.SketchRNN(
        mx.Joint(offset=offset, pen=mx.Categorical(3)),
        (size.units,),
        recurrent_dropout=dropout,
        latent_size=size.latent_size,
        encoder_units=size.encoder_units,
        closing=True,
        seed=0,
    )


def sheep(size: Size) -> list[np.ndarray]:
    """Return random drawings `(n, 3)`, in units of their offsets' spread."""
    rng = np.random.default_rng(0)
    middle = size.longest / 2
    lengths = rng.normal(middle, middle / 3, size.batch * size.steps).clip(8, size.longest).astype(int)
    drawings = [np.column_stack([rng.normal(size=(n, 2)), rng.random(n) < 0.1]) for n in lengths]
    for drawing in drawings:
        drawing[-1, 2] = 1
    return drawings


def check(model: mx.models.SketchRNN, peer: Peer, drawings: list[np.ndarray]) -> None:
    """Stop if the two encode, decode, weigh or draw otherwise."""
    events = padded([to_stroke5(one) for one in drawings[:8]])
    lengths = torch.tensor([len(one) for one in drawings[:8]])
    mean, log_variance = model.encode(drawings[:8])
    z = torch.from_numpy(mean)
    encoded = peer.encode(torch.from_numpy(events), lengths)
    ours = np.array(model(events, context=mean))
    params = peer.decode(torch.from_numpy(events), z)
    loss = SketchLoss(model.family, closing=True, floor=FLOOR)
    pairs = {
        "encodes": (np.stack([mean, log_variance]), torch.stack(encoded)),
        "decodes": (ours, params),
        "weighs": (np.asarray(loss.call(events, ours)), peer.losses(params, torch.from_numpy(events), FLOOR)),
    }
    for name, (expected, found) in pairs.items():
        error = np.abs(expected - found.numpy()).max() / np.abs(expected).max()
        if not error < 1e-4:
            raise SystemExit(f"the peer {name} otherwise: it is off by {error:.2g}")
    own, count = model.family(ours[0, 0]), 4000
    mean, root = own.mean()[:2], np.linalg.inv(np.linalg.cholesky(own["offset"].covariance()))
    many = params[:1, 0].expand(count, -1)
    drawn = {
        "mixtura": model.generate(1, context=z[:1].expand(count, -1).numpy(), seed=0).events[:, 0],
        "torch": peer.sample_by_torch(many).numpy(),
        "numpy": np.concatenate([peer.sample_by_numpy(many[:1]).numpy() for _ in range(count)]),
    }
    for name, events in drawn.items():
        white = (events[:, :2] - mean) @ root.T
        pens = events[:, 2:].mean(0) - own["pen"].mean()
        error = max(np.abs(one).max() for one in (white.mean(0), np.cov(white.T) - np.eye(2), pens))
        if not error < 0.12:
            raise SystemExit(f"{name} draws other events: whitened moments are off by {error:.3f}")


def training(size: Size) -> Work:
    """Return an epoch of each contestant, by drawing."""
    drawings = sheep(size)
    kl = {
        "kl_weight": 0.5 * size.longest / size.latent_size,
        "kl_start": 0.01 * size.longest / size.latent_size,
        "kl_floor": 0.2 * size.latent_size,
    }
    events = [to_stroke5(one) for one in drawings]
    full = [padded([one], time=size.longest + 1)[0] for one in events]
    rows = {
        "": Ragged.padded(full, size.batch, 1),
        " buckets": Ragged.padded(events, size.batch, BUCKETS),
    }
    print(*(f"{name or ' padded':9} {some}" for name, some in rows.items()), sep="\n")
    work: Work = {}
    for name, dropout, some in (
        ("mixtura", 0.0, rows[""]),
        ("mixtura dropout", 0.1, rows[""]),
        ("mixtura buckets", 0.0, rows[" buckets"]),
    ):
        trainer = Variational(network(size, dropout), seed=0, **kl)
        loss = SketchLoss(trainer.family, closing=True, floor=FLOOR)
        optimizer = keras.optimizers.Adam(1e-3, clipvalue=CLIP)
        trainer.compile(optimizer, loss=loss, weighted_metrics=[KLDivergence()])
        work[name] = (lambda m=trainer, r=some: mx.training.fit(m, r, seed=0, verbose=0), 1e3 / len(drawings))
    for name, some in rows.items():
        peer = Training(Peer(network(size)), some, FLOOR, CLIP, kl)
        work["torch" + name] = (lambda p=peer: p.epochs(1), 1e3 / len(drawings))
    return work


def endless(size: Size) -> tuple[mx.models.SketchRNN, Peer]:
    """Return both networks, after checks, with a pen that never ends."""
    model = network(size)
    with torch.inference_mode():
        check(model, Peer(model), sheep(size))
    kernel, bias = model.head.get_weights()
    bias[-1] = -1e3
    model.head.set_weights([kernel, bias])
    return model, Peer(model)


def drawing(size: Size) -> Work:
    """Return 1000 drawings, in milliseconds a drawing."""
    model, peer = endless(size)
    z = np.random.default_rng(0).normal(size=(size.drawings, size.latent_size)).astype("float32")
    latents = torch.from_numpy(z)
    steps = size.points + 1  # the last for the end, which does not come

    def one_by_one(sample: Any) -> None:
        for one in latents[: size.few].split(1):
            peer.draw(one, steps, sample)

    every, few = 1e3 / size.drawings, 1e3 / size.few
    return {
        "mixtura": (lambda: model.draw(longest=size.points, context=z, seed=0), every),
        "numpy": (lambda: one_by_one(peer.sample_by_numpy), few),
        "torch": (lambda: one_by_one(peer.sample_by_torch), few),
        "torch batch": (lambda: peer.draw(latents, steps, peer.sample_by_torch), every),
    }


def latency(size: Size) -> Work:
    """Return one drawing encoded, and one drawn, in milliseconds."""
    model, peer = endless(size)
    rng = np.random.default_rng(0)
    one = np.column_stack([rng.normal(size=(size.one, 2)), rng.random(size.one) < 0.1])
    one[-1, 2] = 1
    events = torch.from_numpy(to_stroke5(one).astype("float32"))[None]
    z = model.encode([one])[0]
    latent, lengths = torch.from_numpy(z), torch.tensor([size.one])
    return {
        "mixtura encode": (lambda: model.encode([one]), 1e3),
        "mixtura draw": (lambda: model.draw(longest=size.one, context=model.context(z), seed=0), 1e3),
        "torch encode": (lambda: peer.encode(events, lengths), 1e3),
        "torch draw": (lambda: peer.draw(latent, size.one + 1, peer.sample_by_torch), 1e3),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Time Sketch-RNN against the same network in PyTorch.")
    parser.add_argument("--repetitions", type=int, default=5, help="at least 5, but for --tiny (default 5)")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "sketch.json", help="the JSON file")
    parser.add_argument("--only", choices=TASKS, help="one of the measurements; nothing is written")
    parser.add_argument("--tiny", action="store_true", help="a small network; nothing is written")
    arguments = parser.parse_args()
    if arguments.repetitions < 5 and not arguments.tiny:
        parser.error("--repetitions must be at least 5")
    size = TINY if arguments.tiny else Size()
    torch.manual_seed(0)
    torch.set_num_threads(machine.CORES)
    content = machine.describe(PACKAGES) | {"repetitions": arguments.repetitions, "size": size._asdict()}
    content["weights"] = network(size).count_params()
    print(f"{content['cpu']}, {content['cores']} cores; {content['versions']}; {content['weights']} weights")
    content["rows"] = []
    for task, (prepare, comparisons) in TASKS.items():
        if arguments.only in (None, task):
            print()
            with torch.set_grad_enabled(task == "training"):
                times = machine.timed(prepare(size), arguments.repetitions)
            content["rows"].append(row := compared(task, times, comparisons))
            show(row)
    if not (arguments.tiny or arguments.only):
        machine.write(arguments.out, content)


def compared(task: str, times: dict[str, list[float]], comparisons: Any) -> dict[str, Any]:
    """Return one row of the results: times in milliseconds of a drawing, and ratios."""
    return {
        "task": task,
        "contestants": {
            name: {"ms": statistics.median(own), "min_ms": min(own), "max_ms": max(own)}
            for name, own in times.items()
        },
        "ratios": {
            name: {
                "of": [peer, ours],
                "ratio": statistics.median(a / b for a, b in zip(times[peer], times[ours], strict=True)),
                "goal": goal,
            }
            for name, peer, ours, goal in comparisons
        },
    }


def show(row: dict[str, Any]) -> None:
    """Print a row of the results."""
    print(f"{row['task'] + ', milliseconds a drawing':42}{'median':>10}{'min':>10}{'max':>10}")
    for name, values in row["contestants"].items():
        print(f"  {name:40}" + "".join(f"{values[key]:10.3f}" for key in ("ms", "min_ms", "max_ms")))
    for name, found in row["ratios"].items():
        goal = found["goal"]
        verdict = f"  >= {goal:g}: {'met' if found['ratio'] >= goal else 'missed'}" if goal else ""
        print(f"  {name + ': ' + ' / '.join(found['of']):60}{found['ratio']:8.2f} x{verdict}")


TASKS: dict[str, tuple[Callable[[Size], Work], Any]] = {
    "training": (training, TRAINING),
    "drawing": (drawing, DRAWING),
    "latency": (latency, LATENCY),
}


if __name__ == "__main__":
    main()
