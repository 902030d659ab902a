"""Scores the heads of impsy on logs of an instrument's controls: the same data, batches, updates and seeds.

    python benchmarks/impsy.py --data impsy_9d.npz impsy_4d.npz   # trains 7 networks, four thrice; resumes
    python benchmarks/impsy.py --table                            # prints what has been measured

The files hold IMPSY's public corpora, `(dt, x1, ..., xn)`; they are not part of this repository. Every
network has 64 recurrent units, two layers of them where it is IMPSY's size "s", and trains as the preset
`small` does; the split, by session, is that of seed 0 for all. A file for each training keeps its scores, so
a run that was killed goes on where it was.

Scores are nats per event on the test sessions, of values in fractions of their range and dt in seconds,
dequantised with the recording step; the first event of a session is given. `dt` is scored given the values.
"raw" is without dequantising: what a density gains that stands on the grid. "repeats" is the share of values
in generated sessions that are the last ones once more, "none" and "one" that of events in which so many
controls move, in percent; sessions go on from the first events of the test sessions.
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

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

ONE, TWO = {"units": (64,), "cell": "gru"}, {"units": (64, 64), "cell": "lstm"}
NETWORKS: dict[str, dict[str, Any]] = {
    "normal": {"head": "normal", "components": 5, "sees": "last", **TWO},
    "normal relative": {"head": "normal", "components": 5, "sees": "last", "relative": True, **TWO},
    "normal moves": {"head": "normal", "components": 5, "sees": "moves", **ONE},
    "tied last": {"head": "tied", "components": 9, "sees": "last", **ONE},
    "independent moves": {"head": "independent", "components": 1, "sees": "moves", **ONE},
    "together moves": {"head": "together", "components": 9, "dt_components": 3, "sees": "moves", **ONE},
    "tied moves": {"head": "tied", "components": 9, "sees": "moves", **ONE},
}
THRICE = ("normal relative", "independent moves", "together moves", "tied moves")
COLUMNS = ("nll", "values", "dt", "raw", "repeats", "none", "one")


def measure(data: Path, name: str, seed: int) -> dict[str, Any]:
    """Train one network, or fit a baseline, and return its scores."""
    import numpy as np

    from mixtura.systems.impsy.baselines import fit_repeats
    from mixtura.systems.impsy.data import snapped
    from mixtura.systems.impsy.heads import units_of
    from mixtura.systems.impsy.statistics import statistics as statistics_of
    from mixtura.systems.impsy.system import Impsy  # isort: skip, it picks the backend
    import keras

    system = Impsy()
    preset = system.presets["small"]
    corpus = system.corpus(data, preset, seed=0)
    assert corpus.test is not None
    kept = {"data": data.stem, "name": name, "seed": seed}
    if name.startswith("repeats"):
        found = fit_repeats(corpus.training, units_of(corpus.training, corpus.facts["step"]), int(name[-1]))
        own = [
            found.nll(session, np.array(corpus.step), number) for number, session in enumerate(corpus.test)
        ]
        parts = {part: np.array([one[part].sum() for one in own]) for part in ("values", "dt")}
        counts, more = corpus.test.lengths - 1, {"params": found.values.size + found.dt.size}
    else:
        preset = replace(preset, network=NETWORKS[name])
        keras.utils.set_random_seed(seed)
        model = system.build(preset, corpus, seed)
        began = time.process_time()
        history = system.fit(model, preset, corpus, seed, title=f"{data.stem}, {name}, seed {seed}")
        seconds = time.process_time() - began
        scores = system.score(model, corpus.test, corpus.step)
        real = [snapped(session, corpus.facts["step"]) for session in corpus.test]
        drawn = statistics_of(system.continued(model, corpus.facts, real, seed))
        parts, counts = scores.parts, scores.counts
        more = {
            "epochs": len(history["loss"]),
            "val_loss": min(history["val_loss"]),
            "params": model.count_params(),
            "cpu_seconds": seconds,
            "standard_error": scores.standard_error,
            "raw": float(scores.raw_nll.sum() / counts.sum()),
            "repeats": 100 * drawn["repeats"],
            "none": 100 * drawn["moved_at_once"][0],
            "one": 100 * drawn["moved_at_once"][1],
        }
    nll = {part: float(values.sum() / counts.sum()) for part, values in parts.items()}
    sessions = ((parts["values"] + parts["dt"]) / counts).tolist()
    return {
        **kept,
        "nll": sum(nll.values()),
        **nll,
        "sessions": dict(zip(map(str, counts.tolist()), sessions, strict=True)),
        **more,
        **machine.describe(("mixtura", "jax", "keras", "numpy")),
    }


def print_table(folder: Path) -> None:
    """Print the means over seeds, and how far apart these are, as markdown."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    for data in sorted({one["data"] for one in found}):
        print(f"\n| {data} | weights | seeds | {' | '.join(COLUMNS)} | test sessions | CPU s |")
        print("|---" * (5 + len(COLUMNS)) + "|")
        for name in ("repeats 0", "repeats 1", *NETWORKS):
            if not (own := [one for one in found if one["name"] == name and one["data"] == data]):
                continue
            cells = []
            for column in COLUMNS:
                values = [one[column] for one in own if column in one]
                spread = f" ± {statistics.stdev(values):.2f}" if column == "nll" and len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.2f}{spread}" if values else "")
            several = zip(*(one["sessions"].values() for one in own), strict=True)
            cells.append(", ".join(f"{statistics.mean(one):.1f}" for one in several))
            seconds = statistics.mean(one.get("cpu_seconds", 0) for one in own)
            print(f"| {name} | {own[0]['params']} | {len(own)} | {' | '.join(cells)} | {seconds:.0f} |")


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    home = Path(os.environ.get("MIXTURA_DATA", ".")) / "touch"
    parser.add_argument("--data", nargs="+", type=Path, default=[home / f"impsy_{n}d.npz" for n in (9, 4)])
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "impsy")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--table", action="store_true", help="only print what has been kept, as markdown")
    arguments = parser.parse_args()
    wanted = [(name, 0) for name in ("repeats 0", "repeats 1", *arguments.networks)]
    wanted += [(name, seed) for seed in (1, 2) for name in THRICE if name in arguments.networks]
    for name, seed in [] if arguments.table else wanted:
        for data in arguments.data:
            if not data.is_file():
                parser.exit(2, f"impsy.py: {data} does not exist; --data names the sessions.\n")
            path = arguments.out / f"{data.stem}-{name.replace(' ', '-')}-{seed}.json"
            if not path.exists():
                machine.write(path, measure(data, name, seed))
    print_table(arguments.out)


if __name__ == "__main__":
    main()
