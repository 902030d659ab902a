"""What Graves' synthesis network and ours learn of the same handwriting in the same time of one core.

    python benchmarks/writing.py --data cursive_words.npz --seconds 150          # 6 variants; resumes
    python benchmarks/writing.py --data iam_ondb_lines.npz --seconds 900 --variants paper ours
    python benchmarks/writing.py --table cursive_words                        # prints what has been measured

Lines are smoothed and thinned to about 11 points a letter, for all variants alike; the first is the network,
the head and the training of the paper (Graves 2013), and each of the others adds to the one before. A few
steps say how long one takes; then a variant trains for as many as fit into the time, on as many passes over
the lines as that makes, or on a part of the lines if it is less than one. The file is not part of this
repository. A file for each training keeps its scores, so a run that was killed goes on where it was.

Scores are nats per held-out point, offsets in the file's units, with noise of one recording step; and the
gain of the text: by how many nats a letter the right text is better than another of its length.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from dataclasses import replace
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

from mixtura.systems.handwriting.scoring import text_gain
from mixtura.systems.registry import find
from mixtura.systems.system import Corpus, Preset

PAPER = {
    "head": "graves",
    "components": 20,
    "units": (400, 400, 400),
    "peephole": True,
    "text": True,
    "recipe": "graves",
    "points_per_letter": 11,
}
# What each variant changes of the one before.
CHANGES: dict[str, dict[str, Any]] = {
    "paper": {},
    "our training": {"recipe": ""},
    "one layer": {"units": (256,), "peephole": False},
    "window": {"windows": 5, "pace": -2.5, "narrowness": -0.5},
    "strokes": {"head": "strokes", "dither": True},
    "ours": {"shows_text": True, "encoder_size": 64, "sees_place": True},
}
ABOUT = {
    "paper": "as published: 3 x 400, RMSprop at 1e-4, clipped derivatives",
    "our training": "Adam from 4e-3 along a cosine",
    "one layer": "+ one layer of 256, no peepholes",
    "window": "+ a window that begins slow and wide, of 5 normals",
    "strokes": "+ one mixture for offset and pen, which starts at the distribution of events",
    "ours": "+ letters know their neighbours, the head sees the text, the network the pen's height",
}
BATCH, TRIED, HELD_OUT = 16, 12, 300  # lines in a batch; steps that are timed; lines that are scored


class Clock(keras.callbacks.Callback):
    """Notes the process' CPU seconds at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self.times.append(time.process_time())


def part_of(corpus: Corpus, lines: int, seed: int) -> Corpus:
    """Return a corpus with so many of its training lines."""
    order = np.random.default_rng(seed).permutation(len(corpus.training))
    return replace(corpus, training=corpus.training[np.sort(order[:lines])])


def measure(data: Path, variant: str, seed: int, seconds: float) -> dict[str, Any]:
    """Train one variant and return its scores."""
    system = find("handwriting")
    network = dict(PAPER)
    for name, change in CHANGES.items():
        network |= change
        if name == variant:
            break
    preset = Preset(network, epochs=1, batch_size=BATCH, learning_rate=4e-3, patience=10**6)
    corpus = system.corpus(data, preset, seed=0)
    held_out = corpus.validation[np.random.default_rng(0).permutation(len(corpus.validation))[:HELD_OUT]]
    corpus = replace(corpus, validation=held_out)

    def train(corpus: Corpus, epochs: int) -> tuple[Any, float, float]:
        keras.utils.set_random_seed(seed)
        model = system.build(preset, corpus, seed)
        few = replace(corpus, validation=held_out[:BATCH])  # validation costs no time of training
        began, wall = time.process_time(), time.perf_counter()
        system.fit(model, replace(preset, epochs=epochs), few, seed, title=f"{variant}, seed {seed}")
        return model, time.process_time() - began, time.perf_counter() - wall

    clock = Clock()
    system.callbacks = lambda preset: [clock]  # type: ignore[method-assign]
    train(part_of(corpus, TRIED * BATCH, seed), 4)
    # The first pass compiles.
    rate = 3 * TRIED * BATCH / (clock.times[-1] - clock.times[0])  # lines a second
    lines, count = rate * seconds, len(corpus.training)
    epochs = max(1, round(lines / count))
    model, cpu, wall = train(part_of(corpus, min(count, round(lines / epochs)), seed), epochs)
    scores = system.score(model, held_out, corpus.step)
    return {
        "data": data.stem,
        "variant": variant,
        "seed": seed,
        "budget": seconds,
        "passes": lines / count,
        "params": model.count_params(),
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "nats_per_point": scores.nll_per_step,
        "standard_error": scores.standard_error,
        "raw_nats_per_point": float(scores.raw_nll.sum() / scores.counts.sum()),
        "in_spreads": scores.nll_per_step - 2 * float(np.log(corpus.facts["spread"])),
        "text_gain": text_gain(model, held_out, scores, corpus.step),
        **machine.describe(("mixtura", "jax", "keras", "numpy")),
    }


def print_table(folder: Path) -> None:
    """Print the means over seeds, and how far apart these are, as markdown."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    columns = ("nats per point", "in spreads", "text gain", "passes", "weights", "CPU s")
    print("| variant | seeds | " + " | ".join(columns) + " |")
    print("|---" * (2 + len(columns)) + "|")
    for variant, about in ABOUT.items():
        if not (own := [one for one in found if one["variant"] == variant]):
            continue
        each = [one["nats_per_point"] for one in own]
        spread = f" ± {statistics.stdev(each):.3f}" if len(each) > 1 else ""
        names = ("in_spreads", "text_gain", "passes", "cpu_seconds")
        unit, gain, passes, seconds = (statistics.mean(one[name] for one in own) for name in names)
        print(
            f"| {about} | {len(own)} | {statistics.mean(each):.3f}{spread} | {unit:.3f} | {gain:.1f} | "
            f"{passes:.1f} | {own[0]['params']} | {seconds:.0f} |"
        )


def main() -> None:
    """Measure what has not been measured, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--table", help="the name of the data, without measuring")
    parser.add_argument("--variants", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--seconds", type=float, default=150.0)
    arguments = parser.parse_args()
    if (arguments.data is None) == (arguments.table is None):
        parser.error("give --data or --table")
    name = arguments.table or arguments.data.stem
    folder = machine.RESULTS / "writing" / name
    if arguments.data is not None:
        for variant in arguments.variants:
            for seed in arguments.seeds:
                path = folder / f"{variant.replace(' ', '-')}-{seed}.json"
                if not path.exists():
                    result = measure(arguments.data, variant, seed, arguments.seconds)
                    machine.write(path, result)
    print_table(folder)


if __name__ == "__main__":
    main()
