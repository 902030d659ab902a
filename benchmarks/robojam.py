"""Scores the heads of RoboJam on real touch performances: the same data, network, updates and seeds.

    python benchmarks/robojam.py --data tiny_performances.npz     # trains 8 heads x 3 seeds; resumes
    python benchmarks/robojam.py --table                          # prints what has been measured

The file holds MicroJam's public performances, `(x, y, dt, moving)`; it is not part of this repository. Every
head of `mixtura.systems.robojam.heads` ends the same network, one LSTM of 192 units, with 16 components, and
sees the same windows in the same order for 30 epochs; the split is that of seed 0 for all. A file for each
training keeps its scores, so a run that was killed goes on where it was.

Scores are nats per touch of (x, y, dt) on the test performances, in fractions of the area and seconds,
dequantised with a declared resolution of 1/600 and 1 ms; a performance's first touch is given. `dt` is scored
given the place. As means of unbounded scores are at the mercy of few steps, one with every step capped at 10
nats stands beside. "as published" is the unit and way of the published losses: values times ten, undithered.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import machine

machine.settle()
# One core, so that two heads can be trained side by side.
os.environ |= {
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}

import keras

from mixtura.systems.robojam.heads import HEADS
from mixtura.systems.robojam.system import STEP, RoboJam, of_steps
from mixtura.systems.system import Preset

COLUMNS = ("nll", "place", "dt", "capped", "median", "worst", "moving", "as published")


def measure(data: Path, name: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train one head and return its scores."""
    system = RoboJam()
    network = {"head": name, "components": 16, "units": (192,)}
    preset = Preset(network, epochs, length=128, learning_rate=2e-3, patience=epochs)
    corpus = system.corpus(data, preset, seed=0)
    keras.utils.set_random_seed(seed)
    model = system.build(preset, corpus, seed)
    began = time.process_time()
    history = system.fit(model, preset, corpus, seed, title=f"{name}, seed {seed}")
    seconds = time.process_time() - began
    assert corpus.test is not None
    scores = system.score(model, corpus.test, STEP)
    rest, steps = of_steps(scores), scores.counts.sum()
    return {
        "head": name,
        "seed": seed,
        "epochs": len(history["loss"]),
        "params": model.count_params(),
        "cpu_seconds": seconds,
        "nll": scores.nll_per_step,
        "standard_error": scores.standard_error,
        "place": float(scores.parts["place"].sum() / steps),
        "dt": float(scores.parts["dt"].sum() / steps),
        "capped": rest["nll_capped"],
        "median": rest["nll_median"],
        "worst": rest["nll_worst"],
        "moving": None if model.family.continuous.all() else system.moving(model, corpus.test, scores),
        "as published": rest["nll_in_tenths_as_recorded"],
        **machine.describe(("mixtura", "jax", "keras", "numpy")),
    }


def print_table(folder: Path) -> None:
    """Print the means over seeds, and how far apart these are, as markdown."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    print("| head | weights | seeds | " + " | ".join(COLUMNS) + " | CPU s |")
    print("|---" * (4 + len(COLUMNS)) + "|")
    for name in HEADS:
        if not (own := [one for one in found if one["head"] == name]):
            continue
        cells = []
        for column in COLUMNS:
            values = [one[column] for one in own if one[column] is not None]
            if not values:
                cells.append("")
                continue
            spread = f" ± {statistics.stdev(values):.2f}" if column == "nll" and len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.2f}{spread}")
        seconds = statistics.mean(one["cpu_seconds"] for one in own)
        print(f"| {name} | {own[0]['params']} | {len(own)} | {' | '.join(cells)} | {seconds:.0f} |")


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    home = os.environ.get("MIXTURA_DATA")
    parser.add_argument("--data", type=Path, default=Path(home or ".") / "touch" / "tiny_performances.npz")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "robojam")
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=HEADS, metavar="HEAD")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--table", action="store_true", help="only print what has been kept, as markdown")
    arguments = parser.parse_args()
    if not arguments.table:
        if not arguments.data.is_file():
            parser.exit(2, f"robojam.py: {arguments.data} does not exist; --data names the performances.\n")
        for seed in arguments.seeds:
            for name in arguments.heads:
                path = arguments.out / f"{name.replace(',', '').replace(' ', '-')}-{seed}.json"
                if not path.exists():
                    found = measure(arguments.data, name, seed, arguments.epochs)
                    machine.write(path, found)
    print_table(arguments.out)


if __name__ == "__main__":
    main()
