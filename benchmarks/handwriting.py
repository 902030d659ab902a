"""Times the synthesis network of Graves (2013) against the same network in PyTorch, on one machine.

    python benchmarks/handwriting.py           # where torch is installed, as for `make bench`
    python benchmarks/handwriting.py --tiny    # a small network: whether everything runs, in a minute

Three LSTM layers of 400 units with peepholes and skip connections, ten normals as a window onto 40 letters of
57, 20 components: 3 653 751 weights. Both sides have the same ones, compute in float32 unless a name says
bfloat16, and must agree on the parameters of every point, on the first points they draw, and on the losses
of their first epochs, or the script stops. Contestants are interleaved; a ratio is the median over
repetitions of the peer's time divided by Mixtura's; above 1, Mixtura is faster. Compiling happens before.

PyTorch has no cell with peepholes. `torch` is the loop one writes, with as few operations as we found;
`torch compiled` the same with a step, or the functions of a step, through `torch.compile`. Where one line is
written, one thread was the fastest; all cores are used elsewhere.

`one line` is a line of 700 points, as long as those of IAM-OnDB, in microseconds a point. Every point takes
all weights once: GB/s says how fast they were read. `reading` is how fast this machine adds them up.

`64 lines` is as many at once, in microseconds a point of one of them. Peers write one line after the other,
and are timed on one; `torch, one batch` writes all at once. `mixtura, bfloat16` rounds what enters the
layers' products (`precision` of `mixtura.generation.generate`); a peer's second ratio is to it. What that
costs a random and a trained network: the loss with rounded products, less the loss without, of points that
the network drew without, each given those before. The mean is the divergence between the two.

`training` is forward, backward and Adam on batches of 32 lines of 300 points, in microseconds a point.
`by layer` runs a layer over all points before the next, so that what enters it is one large product.
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
from handwriting_peers import Peer, Training

import mixtura as mx
from mixtura.compiling import compiled
from mixtura.data.alphabets import Alphabet
from mixtura.generation.program import rounding
from mixtura.models.handwriting import Handwriting
from mixtura.systems.runs import opened

PACKAGES = ("mixtura", "jax", "keras", "numpy", "torch")
ALPHABET = Alphabet("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ,.'-")
LIMIT, STRETCH = 320.0, 150.0  # microseconds a point of one line
COST = 0.01  # nats a point that products of bfloat16 may cost
BFLOAT16 = "mixtura, bfloat16"
# What is compared with what: whose time, divided by ours; and the goal, if there is one.
ONE_LINE = {"mixtura": (("torch", None), ("torch compiled", None))}
LINES = dict.fromkeys(
    ("mixtura", BFLOAT16), (("torch", 20.0), ("torch compiled", 20.0), ("torch, one batch", None))
)
TRAINING = {
    "mixtura": (
        ("torch", 1.0),
        ("torch compiled", 1.0),
        ("torch by layer", 1.0),
        ("torch by layer compiled", 1.0),
    )
}
TEXTS = (
    "the quick brown fox jumps over the lazy dog",
    "pack my box with five dozen liquor jugs",
    "a line of text, written point after point",
    "several answers are right, none is the mean",
)


class Size(NamedTuple):
    """How much is measured."""

    units: int = 400
    components: int = 20
    letters: int = 40
    points: int = 700
    lines: int = 64
    batch: int = 32
    steps: int = 300
    batches: int = 2  # that are trained on in a repetition


TINY = Size(24, 3, 8, 60, 8, 4, 20, 2)


def network(size: Size) -> Handwriting:
    """Return the network of the paper, always with the same weights, whose window is slow: no line ends."""
    keras.utils.set_random_seed(0)
    offset = mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), size.components)
    family = mx.Joint(offset=offset, end=mx.Bernoulli())
    return Handwriting(family, (size.units,) * 3, ALPHABET, peephole=True, pace=-6.0)


def lines(size: Size, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random events and codes."""
    rng = np.random.default_rng(0)
    events = np.concatenate(
        [rng.normal(size=(count, size.steps, 2)), rng.random((count, size.steps, 1)) < 0.05], axis=-1
    )
    return events.astype("float32"), rng.integers(1, 1 + len(ALPHABET), (count, size.letters), np.int32)


def text_of(codes: np.ndarray) -> torch.Tensor:
    """Return codes as one-hot vectors."""
    return torch.eye(len(ALPHABET))[torch.from_numpy(codes).long() - 1]


def check(model: Handwriting, peers: dict[str, Peer], size: Size) -> None:
    """Stop if a peer has other parameters on the same points, or draws other first points."""
    events, codes = lines(size, 2)
    ours = np.asarray(model(events, context=codes))
    p = model.family(ours[0, 0])
    white = np.linalg.inv(np.linalg.cholesky(p["offset"].covariance()))
    many = np.repeat(codes[:1], 4000, axis=0)
    drawn = {"mixtura": model.generate(1, context=many, seed=0).events[:, 0]}
    for name, peer in peers.items():
        for way in (peer.given, peer.given_by_layer):
            error = np.abs(way(torch.from_numpy(events), text_of(codes)).numpy() - ours).max()
            if not error < 1e-4:
                raise SystemExit(f"{name} has other parameters: they are off by {error:.2g}")
        drawn[name] = peer.draw(text_of(many), 1)[:, 0]
    for name, found in drawn.items():
        z = (found[:, :2] - p["offset"].mean()) @ white.T
        ends = found[:, 2].mean() - p["end"].mean()
        error = max(np.abs(one).max() for one in (z.mean(0), np.cov(z.T) - np.eye(2), ends))
        if not error < 0.12:
            raise SystemExit(f"{name} draws other points: whitened moments are off by {error:.3f}")


def on(threads: int, run: Callable[[], Any]) -> Callable[[], Any]:
    """Return work that PyTorch does on so many threads."""

    def work() -> Any:
        torch.set_num_threads(threads)
        return run()

    return work


def peers_of(model: Handwriting) -> dict[str, Peer]:
    """Return the loop as one writes it, and compiled."""
    return {"torch": Peer(model), "torch compiled": Peer(model, compiles=True)}


def one_line(size: Size) -> Work:
    """Return a line of each contestant."""
    model = network(size)
    peers = peers_of(model)
    check(model, peers, size)
    _, codes = lines(size, 1)
    text, numbers = text_of(codes), torch.randn(model.count_params())
    runs = {"mixtura": lambda: model.generate(size.points, context=codes, seed=0)}
    runs |= {name: on(1, lambda p=peer: p.draw(text, size.points)) for name, peer in peers.items()}
    for threads in sorted({1, machine.CORES}):
        runs[f"reading, threads: {threads}"] = on(
            threads, lambda: [numbers.sum() for _ in range(size.points)]
        )
    return {name: (run, 1e6 / size.points) for name, run in runs.items()}


def many_lines(size: Size) -> Work:
    """Return all lines of each contestant, by line."""
    model = network(size)
    _, codes = lines(size, size.lines)
    text = text_of(codes)
    one, every = 1e6 / size.points, 1e6 / size.points / size.lines
    peers = peers_of(model)
    work: Work = {}
    for name, precision in (("mixtura", "float32"), (BFLOAT16, "bfloat16")):
        settings = {"context": codes, "seed": 0, "precision": precision}
        work[name] = (lambda settings=settings: model.generate(size.points, **settings), every)
    for name, peer in peers.items():
        work[name] = (on(1, lambda p=peer: p.draw(text[:1], size.points)), one)
    batch = peers["torch compiled"]
    work["torch, one batch"] = (on(machine.CORES, lambda: batch.draw(text, size.points)), every)
    return work


def cost(model: Handwriting, context: np.ndarray, points: int) -> dict[str, float]:
    """Return the loss of points that a network draws, and what products of bfloat16 add to it."""
    drawn = model.generate(points, context=context, seed=0)

    def losses(events: Any, context: Any) -> Any:
        return -model.family.log_prob(model(events, context=context), events)

    is_drawn = np.arange(drawn.events.shape[1]) < drawn.lengths[:, None]
    exact, rounded = (
        np.where(is_drawn, compiled(function, model)(drawn.events, context), 0.0)
        for function in (losses, rounding(losses, model))
    )
    count, each = drawn.lengths.sum(), (rounded - exact).sum(axis=1)
    mean = each.sum() / count
    error = np.sqrt(np.sum((each - mean * drawn.lengths) ** 2)) / count  # of a ratio, as lines vary
    return {
        "nats": float(exact.sum() / count),
        "cost": float(mean),
        "standard_error": float(error),
        "points": int(count),
    }


def costs(size: Size, run: Path) -> list[dict[str, Any]]:
    """Return what bfloat16 costs the random network and that of a run."""
    _, trained, _ = opened(run)
    texts = [TEXTS[n % len(TEXTS)] for n in range(size.lines)]
    styles = np.arange(size.lines) % trained.num_styles if trained.num_styles else None
    networks = {
        "random": (network(size), lines(size, size.lines)[1]),
        run.name: (trained, trained.context(texts, styles)),
    }
    return [
        {"network": name, "weights": model.count_params()} | cost(model, context, size.points)
        for name, (model, context) in networks.items()
    ]


def training(size: Size) -> Work:
    """Return an epoch of each contestant, by point; all must come to the same loss."""
    torch.set_num_threads(machine.CORES)
    events, codes = lines(size, size.batch * size.batches)
    model = network(size)
    tensors = (torch.from_numpy(events).split(size.batch), text_of(codes).split(size.batch))
    batches = list(zip(*tensors, strict=True))
    runs = {}
    for name, peer in peers_of(model).items():
        runs[name] = Training(peer, peer.given, batches).epoch
    for name, peer in peers_of(model).items():
        name = name.replace("torch", "torch by layer")
        runs[name] = Training(peer, peer.given_by_layer, batches).epoch
    model.compile(keras.optimizers.Adam(1e-3), loss=mx.NegativeLogLikelihood(model.family))
    x = {"events": events, "context": codes}
    settings = {"batch_size": size.batch, "shuffle": False, "verbose": 0}
    runs["mixtura"] = lambda: mx.training.fit(model, x, events, **settings).history["loss"][-1]
    reached = {name: [run() for _ in range(2)] for name, run in runs.items()}
    for name, found in reached.items():
        # Keras and PyTorch add Adam's epsilon in different places, which shows in the first steps.
        if not np.allclose(found, reached["mixtura"], atol=1e-2):
            raise SystemExit(f"{name} trains otherwise: losses {found}, ours {reached['mixtura']}")
    return {name: (run, 1e6 / (len(events) * size.steps)) for name, run in runs.items()}


def compared(task: str, times: dict[str, list[float]], comparisons: Any) -> dict[str, Any]:
    """Return one row of the results: times in microseconds of a point, and ratios."""
    return {
        "task": task,
        "contestants": {
            name: {"us": statistics.median(own), "min_us": min(own), "max_us": max(own)}
            for name, own in times.items()
        },
        "ratios": {
            ours: {
                name: {
                    "ratio": statistics.median(a / b for a, b in zip(times[name], times[ours], strict=True)),
                    "goal": goal,
                }
                for name, goal in peers
            }
            for ours, peers in comparisons.items()
        },
    }


def show(row: dict[str, Any], weights: int) -> None:
    """Print a row of the results."""
    print(f"{row['task'] + ', microseconds a point':42}{'median':>10}{'min':>10}{'max':>10}{'ratio':>9}")
    for name, values in row["contestants"].items():
        line = f"  {name:40}" + "".join(f"{values[key]:10.2f}" for key in ("us", "min_us", "max_us"))
        for ratios in row["ratios"].values():
            if found := ratios.get(name):
                goal = found["goal"]
                verdict = f"  >= {goal:g}: {'met' if found['ratio'] >= goal else 'missed'}" if goal else ""
                line += f"{found['ratio']:9.2f}{verdict}"
        if row["task"] == "one line":
            line += f"  {4e-3 * weights / values['us']:.0f} GB/s"
            if name == "mixtura":
                line += "".join(
                    f"; <= {at:g}: {'met' if values['us'] <= at else 'missed'}" for at in (LIMIT, STRETCH)
                )
        print(line)


def show_costs(rows: list[dict[str, Any]]) -> None:
    """Print what bfloat16 costs."""
    for row in rows:
        verdict = f"<= {COST:g}: {'met' if row['cost'] <= COST else 'missed'}"
        print(
            f"  nats a point of the network {row['network']}: {row['nats']:.4f}; bfloat16 adds "
            f"{row['cost']:.6f} ± {row['standard_error']:.6f}  {verdict}"
        )


TASKS: dict[str, tuple[Callable[[Size], Work], Any]] = {
    "one line": (one_line, ONE_LINE),
    "64 lines": (many_lines, LINES),
    "training": (training, TRAINING),
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Time handwriting against the same network in PyTorch.")
    parser.add_argument("--repetitions", type=int, default=7, help="at least 5, but for --tiny (default 7)")
    parser.add_argument(
        "--out", type=Path, default=machine.RESULTS / "handwriting.json", help="the JSON file"
    )
    parser.add_argument("--only", choices=TASKS, help="one of the measurements; nothing is written")
    parser.add_argument("--tiny", action="store_true", help="a small network; nothing is written")
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("handwriting"),
        help="the trained network: that of a run; by default the shipped one",
    )
    arguments = parser.parse_args()
    if arguments.repetitions < 5 and not (arguments.tiny or arguments.only):
        parser.error("--repetitions must be at least 5")
    size = TINY if arguments.tiny else Size()
    torch.manual_seed(0)
    content = machine.describe(PACKAGES) | {"repetitions": arguments.repetitions, "size": size._asdict()}
    content["weights"] = weights = network(size).count_params()
    print(f"{content['cpu']}, {content['cores']} cores; {content['versions']}; {weights} weights")
    content["rows"] = []
    for task, (prepare, comparisons) in TASKS.items():
        if arguments.only in (None, task):
            print()
            with torch.set_grad_enabled(task == "training"):
                times = machine.timed(prepare(size), arguments.repetitions)
            content["rows"].append(row := compared(task, times, comparisons))
            show(row, weights)
            if BFLOAT16 in times:
                content["bfloat16"] = costs(size, arguments.run)
                show_costs(content["bfloat16"])
    if not (arguments.tiny or arguments.only):
        machine.write(arguments.out, content)


if __name__ == "__main__":
    main()
