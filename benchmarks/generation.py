"""Times drawing sequences against what a user would otherwise write, on one machine, as ratios.

    make bench                         # in an environment of its own
    python benchmarks/generation.py    # where torch, keras-mdn-layer and ai-edge-litert are installed

Two LSTM layers of 64 or 256 units with a mixture of five normals in three dimensions draw events, each of
which enters the next step; sampling is part of every step. All contestants have the same weights:

- `mixtura` is `generate`, 1000 steps in one compiled loop;
- `predict` is keras-mdn-layer's way: `predict` of one step, then `sample_from_output`; `predict_on_batch` and
  `call` are the same with what Keras has for small batches;
- `torch` is the loop one writes: `nn.LSTM`, `nn.Linear`, `torch.distributions`;
- `torch by hand` is the fastest at batch 1 that we found: a matrix product a cell, sampling written out;
- `litert` is LiteRT's interpreter and `sample_from_output`; `litert by hand` has a shorter sampler in NumPy.
  TensorFlow, which another environment has, converts the step: see `--converter`.

All must agree on the parameters of teacher-forced steps, and draw events of the same mean and covariance, or
the script stops. Contestants are interleaved, and a ratio is the median over repetitions of a contestant's
time divided by Mixtura's; above 1, Mixtura is faster. Compiling and converting happen before.

`stream` is the time to the first event of a new stream of a model that has drawn before, and between events.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import machine

machine.settle()

import numpy as np
import torch
from generation_peers import Contestant, D, contestants

import mixtura as mx

PACKAGES = ("mixtura", "jax", "keras", "keras-mdn-layer", "numpy", "torch", "ai-edge-litert")
STEPS = 1000
SECONDS = 0.3  # that a contestant runs in each repetition, unless it has drawn STEPS
# Microseconds a step that Mixtura may take at most, and how many times as long others should.
LIMITS = {(64, 1): 25.0, (256, 1): 80.0}
STREAM = 1000.0  # microseconds to the first event of a stream and to each further one, in the median
GOALS = {"predict": 100.0, "torch": 10.0, "torch by hand": 10.0, "litert": 2.0}


def check(drawing: dict[str, Contestant]) -> None:
    """Stop if parameters differ on the same events, or the first events' mean and covariance."""
    ours = drawing["mixtura"]
    events = ours.draw(20)[0]
    expected = ours.given(events)
    p = ours.model.family(np.asarray(ours.model(events[None]))[0, 0])
    mean, root = p.mean(), np.linalg.inv(np.linalg.cholesky(p.covariance()))
    for name, contestant in drawing.items():
        error = np.abs(contestant.given(events) - expected).max()
        if not error < 1e-5:
            raise SystemExit(f"{name} has other weights: parameters are off by {error:.2g}")
        z = (contestant.first(4000) - mean) @ root.T
        error = max(np.abs(z.mean(0)).max(), np.abs(np.cov(z.T) - np.eye(D)).max())
        if not error < 0.12:
            raise SystemExit(f"{name} draws other events: whitened moments are off by {error:.3f}")


def seconds(contestant: Contestant, steps: int) -> float:
    """Return the time of a step."""
    before = time.perf_counter()
    contestant.draw(steps)
    return (time.perf_counter() - before) / steps


@torch.inference_mode()
def measure(units: int, batch: int, repetitions: int, converter: Path) -> dict[str, Any]:
    """Return one row of the results, times in microseconds."""
    drawing = contestants(units, batch, converter)
    if batch == 1:
        check(drawing)
    steps = {}
    for name, contestant in drawing.items():
        contestant.draw(10)
        steps[name] = max(10, min(STEPS, int(SECONDS / seconds(contestant, 10))))
        contestant.draw(steps[name])
    times: dict[str, list[float]] = {name: [] for name in drawing}
    gc.collect()
    gc.disable()
    for _ in range(repetitions):
        for name, contestant in drawing.items():
            times[name].append(1e6 * seconds(contestant, steps[name]))
    gc.enable()
    found = {
        name: {
            "us_per_step": statistics.median(own),
            "min_us": min(own),
            "max_us": max(own),
            "events_per_second": 1e6 * batch / statistics.median(own),
            "ratio": statistics.median(a / b for a, b in zip(own, times["mixtura"], strict=True)),
            "steps_per_repetition": steps[name],
        }
        for name, own in times.items()
    }
    row = {"units": units, "batch": batch, "contestants": found}
    return row | ({"stream": streaming(drawing["mixtura"].model)} if batch == 1 else {})


def streaming(model: mx.MDNRNN) -> dict[str, dict[str, float]]:
    """Return microseconds to the first event of a stream, and to each further one."""
    clock = time.perf_counter
    first, further = [], []
    for _ in zip(range(3), model.stream(), strict=False):  # the second event may compile as the first does
        pass
    gc.collect()  # what others left
    for seed in range(STEPS):
        before = clock()
        next(model.stream(seed=seed))
        first.append(clock() - before)
    events = model.stream(seed=0)
    next(events)
    for _ in range(STEPS):
        before = clock()
        next(events)
        further.append(clock() - before)
    return {"first event": quantiles(first), "further events": quantiles(further)}


def quantiles(values: list[float]) -> dict[str, float]:
    """Return what is printed of many times, in microseconds."""
    median, most, longest = 1e6 * np.quantile(values, (0.5, 0.99, 1))
    return {"median_us": median, "p99_us": most, "max_us": longest}


def show(row: dict[str, Any]) -> None:
    """Print a row of the results, one line a contestant."""
    label = f"2 x {row['units']}, batch {row['batch']}"
    for name, values in row["contestants"].items():
        numbers = "".join(f"{values[key]:11.1f}" for key in ("us_per_step", "min_us", "max_us"))
        goal = ""
        if name == "mixtura" and (limit := LIMITS.get((row["units"], row["batch"]))):
            goal = f"<= {limit:g}: {verdict(values['us_per_step'] <= limit)}"
        elif row["batch"] == 1 and name in GOALS:
            goal = f">= {GOALS[name]:g}: {verdict(values['ratio'] >= GOALS[name])}"
        speed = f"{values['events_per_second']:11.0f}{values['ratio']:9.2f}"
        print(f"{label:18}{name:18}{numbers}{speed}  {goal}")
        label = ""
    for name, values in row.get("stream", {}).items():
        numbers = "".join(f"{values[key]:11.1f}" for key in values)
        goal = f"<= {STREAM:g}: {verdict(values['median_us'] <= STREAM)}"
        print(f"{'':18}{name:18}{numbers}{'(median, 99 %, max)':>20}  {goal}")


def verdict(is_met: bool) -> str:
    """Return the word for a goal."""
    return "met" if is_met else "missed"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Time drawing sequences against other ways to draw them.")
    parser.add_argument("--repetitions", type=int, default=9, help="at least 5 (default 9)")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "generation.json", help="the JSON file")
    parser.add_argument(
        "--converter",
        type=Path,
        default=Path(sys.prefix.replace("-bench", "-tensorflow")) / "bin" / "python",
        help="the Python that has TensorFlow, which converts for LiteRT (default %(default)s)",
    )
    arguments = parser.parse_args()
    if arguments.repetitions < 5:
        parser.error("--repetitions must be at least 5")
    torch.set_num_threads(1)  # the fastest for such small products
    content = machine.describe(PACKAGES) | {"repetitions": arguments.repetitions}
    print(f"{content['cpu']}, {content['cores']} cores; {content['versions']}")
    if not arguments.converter.exists():
        print(f"litert is left out: {arguments.converter} is not there (make .venv-tensorflow/.tensorflow)")
    print(
        f"\n{'microseconds a step':36}{'median':>11}{'min':>11}{'max':>11}{'events/s':>11}{'ratio':>9}  goal"
    )
    rows = []
    for units, batch in ((64, 1), (256, 1), (64, 64), (256, 64)):
        rows.append(measure(units, batch, arguments.repetitions, arguments.converter))
        show(rows[-1])
    machine.write(arguments.out, content | {"rows": rows})


if __name__ == "__main__":
    main()
