"""What Sketch-RNN as published and ours make of the same drawings, in the same updates.

    python benchmarks/drawings.py --data short_kanji.npz                       # 6 variants x 3 seeds; resumes
    python benchmarks/drawings.py --data quickdraw_345_simplified.npz --latent 32 --variants published ours
    python benchmarks/drawings.py --table short_kanji                          # prints what has been measured

All variants are one LSTM of 256 units, trained for as many passes over the same drawings, 32 in a batch, on
one core; each adds to the one before, from the published loss and optimiser (Ha & Eck 2017) to ours. With
`--latent` they are variational autoencoders with a vector for each category, where the file has some. The
file is not part of this repository. A file for each training keeps its scores, so a run that was killed goes
on where it was.

Scores are nats per held-out drawing, in the file's units, dequantised where it is of whole numbers, without
a floor; with a latent vector they are the importance-weighted bound of 64 samples. They do not depend on how
a model ends drawings: with an event of its own, or with the last point.
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
# One core, so that two variants can be trained side by side.
os.environ |= {
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}

import keras
import numpy as np

from mixtura.systems.registry import find
from mixtura.systems.system import Preset

LONGEST = 150  # points
PUBLISHED = {
    "head": "parts",
    "closing": True,
    "floor": 1e-6,
    "recipe": "2017",
    "recurrent_dropout": 0.1,
    "stretch": 0.15,
    "thinning": 0.1,
    "kl_weight": 1.0,
    "kl_decay": 0.999,
    "kl_floor": 0.2,  # of each dimension of z
}
# What each variant changes of the one before.
CHANGES: dict[str, dict[str, Any]] = {
    "published": {},
    "our training": {
        "closing": False,
        "floor": 0.0,
        "recipe": "",
        "recurrent_dropout": 0.0,
        "thinning": 0.0,
        "dither": True,
        "kl_floor": 0.0,
    },
    "start": {"start": True},
    "strokes": {"head": "strokes"},
    "ours": {"sees_place": True},
    "40 components": {"components": 40},
}
ABOUT = {
    "published": "as published: loss, floor, dropout, Adam from 1e-3",
    "our training": "exact loss, noise of a step on targets, Adam from 5e-3 along a cosine",
    "start": "+ the head starts at the distribution of events",
    "strokes": "+ one mixture for offset and pen",
    "ours": "+ the network sees where the pen is",
    "40 components": "+ 40 components in place of 20",
}


def measure(data: Path, variant: str, seed: int, epochs: int, latent: int) -> dict[str, Any]:
    """Train one variant and return its scores."""
    system = find("sketch" if latent else "kanji")
    network: dict[str, Any] = {"components": 20, "units": (256,), "longest": LONGEST}
    if latent:
        network |= {"latent_size": latent, "encoder_units": 96, "class_size": 32}
    for name, change in {"published": PUBLISHED, **dict(list(CHANGES.items())[1:])}.items():
        network |= change
        if name == variant:
            break
    network["kl_floor"] *= latent
    preset = Preset(network, epochs, batch_size=32, learning_rate=5e-3, patience=epochs)
    preset = (
        preset if network["recipe"] != "2017" else Preset(network, epochs, 32, buckets=1, patience=epochs)
    )
    corpus = system.corpus(data, preset, seed=0)
    network["longest"] = corpus.facts["longest"]
    keras.utils.set_random_seed(seed)
    model = system.build(preset, corpus, seed)
    began, wall = time.process_time(), time.perf_counter()
    history = system.fit(model, preset, corpus, seed, title=f"{variant}, seed {seed}")
    seconds, wall = time.process_time() - began, time.perf_counter() - wall
    assert corpus.test is not None
    scores = system.score(model, corpus.test, corpus.step)
    return {
        "data": data.stem,
        "variant": variant,
        "latent": latent,
        "seed": seed,
        "epochs": len(history["loss"]),
        "params": model.count_params(),
        "cpu_seconds": seconds,
        "wall_seconds": wall,
        "nll": float(scores.nll.mean()),
        "standard_error": float(scores.nll.std() / np.sqrt(len(scores.nll))),
        "raw": float(scores.raw_nll.mean()),
        "in_spreads": float((scores.nll - 2 * np.log(corpus.facts["spread"]) * scores.counts).mean()),
        "kl": history["val_kl"][-1] * float(scores.counts.mean()) if latent else None,
        **machine.describe(("mixtura", "jax", "keras", "numpy")),
    }


def print_table(folder: Path) -> None:
    """Print the means over seeds, and how far apart these are, as markdown."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    columns = ("nats", "as recorded", "in spreads", "z, nats", "weights", "CPU s")
    print("| variant | seeds | " + " | ".join(columns) + " |")
    print("|---" * (2 + len(columns)) + "|")
    for variant, about in ABOUT.items():
        if not (own := [one for one in found if one["variant"] == variant]):
            continue
        each = [one["nll"] for one in own]
        spread = f" ± {statistics.stdev(each):.2f}" if len(each) > 1 else ""
        raw, unit, seconds = (
            statistics.mean(one[key] for one in own) for key in ("raw", "in_spreads", "cpu_seconds")
        )
        kl = "" if own[0]["kl"] is None else f"{statistics.mean(one['kl'] for one in own):.1f}"
        print(
            f"| {about} | {len(own)} | {statistics.mean(each):.2f}{spread} | {raw:.2f} | {unit:.2f} | {kl} "
            f"| {own[0]['params']} | {seconds:.0f} |"
        )


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a file of drawings")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "drawings")
    parser.add_argument("--variants", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="VARIANT")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--latent", type=int, default=0)
    parser.add_argument("--table", metavar="NAME", help="only print what has been kept for a file")
    arguments = parser.parse_args()
    if arguments.table is None and (arguments.data is None or not arguments.data.is_file()):
        parser.exit(2, f"drawings.py: {arguments.data} does not exist; --data names the drawings.\n")
    name = arguments.table or arguments.data.stem + (f"-z{arguments.latent}" if arguments.latent else "")
    for seed in arguments.seeds if arguments.table is None else ():
        for variant in arguments.variants:
            path = arguments.out / name / f"{variant.replace(' ', '-')}-{seed}.json"
            if not path.exists():
                own = measure(arguments.data, variant, seed, arguments.epochs, arguments.latent)
                machine.write(path, own)
    print_table(arguments.out / name)


if __name__ == "__main__":
    main()
