"""Whether what a trained network writes can be read: character error rates beside those of real lines.

    python benchmarks/legibility.py --run run --data words.npz
    python benchmarks/legibility.py --run handwriting --data handwriting.npz    # the shipped model

A recogniser is trained on the lines that the run was trained on, then reads held-out lines, whose texts (in
IAM-OnDB, whose lines) it has not met, and the same texts as the network writes them, in the same styles, at
several biases. The data are not part of this repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import machine

machine.settle()

import numpy as np

from mixtura.systems import runs
from mixtura.systems.handwriting.data import corpus_lines
from mixtura.systems.handwriting.recognition import Recogniser, legibility, missed, train_recogniser

BIASES = (0.0, 0.5, 1.0, 2.0)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="a run of handwriting")
    parser.add_argument("--data", type=Path, required=True, help="the lines that it was trained on")
    parser.add_argument("--lines", type=int, default=300, help="held-out lines that are read")
    parser.add_argument("--epochs", type=int, default=6, help="of the recogniser")
    parser.add_argument("--units", type=int, default=96, help="of the recogniser")
    parser.add_argument("--recogniser", type=Path, help="a file .npz that keeps it")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    system, model, config = runs.opened(arguments.run)
    network = system.presets[config["preset"]].network
    training, held_out, _ = corpus_lines(arguments.data, network, config["seed"])
    kept = arguments.recogniser
    if kept is not None and kept.exists():
        recogniser = Recogniser.load(kept)
    else:
        recogniser = train_recogniser(
            training, epochs=arguments.epochs, units=arguments.units, seed=arguments.seed, progress=print
        )
        if kept is not None:
            recogniser.save(kept)
    real = held_out[np.random.default_rng(arguments.seed).permutation(len(held_out))[: arguments.lines]]
    texts = [str(text) for text in real.fields["text"]]
    styles = real.fields["style"] if model.num_styles else None
    written = {
        f"bias {bias:g}": (model.write(texts, bias=bias, styles=styles, seed=arguments.seed), texts)
        for bias in BIASES
    }
    found = legibility(recogniser, written, (list(real), texts))
    print("| lines | characters wrong | words wrong |\n|---|---|---|")
    for name, rates in found.items():
        cells = (f"{100 * rates[key]:.1f} ± {100 * rates[f'{key}_error']:.1f} %" for key in ("cer", "wer"))
        print(f"| {name} | {' | '.join(cells)} |")
    drawings, _ = written["bias 1"]
    worst = missed(recogniser.read(drawings), texts)
    result = {
        "run": arguments.run.name,
        "data": arguments.data.stem,
        "lines": len(real),
        "epochs": arguments.epochs,
        "rates": found,
        "missed_at_bias_1": dict(list(worst.items())[:10]),
        **machine.describe(("mixtura", "jax", "keras", "numpy")),
    }
    machine.write(machine.RESULTS / "legibility" / f"{arguments.data.stem}.json", result)


if __name__ == "__main__":
    main()
