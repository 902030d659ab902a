"""What is reported of a trained Sketch-RNN: likelihoods, what it draws beside real drawings, and sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.drawing import sheet
from mixtura.families import Joint
from mixtura.models.sketch_rnn import SketchRNN
from mixtura.systems.sketch import uses
from mixtura.systems.sketch.data import LONGEST, as_drawings
from mixtura.systems.sketch.recognition import Recogniser, nearest, recognised
from mixtura.systems.sketch.scoring import published_losses
from mixtura.systems.system import Outcome

DRAWN = 500  # drawings that are compared with real ones
SHOWN = 50  # drawings on a sheet
PAIRS = 20


def report(outcome: Outcome) -> dict[str, Any]:
    """Draw the sheets of a trained model, and return its numbers."""
    model, corpus, seed = outcome.model, outcome.corpus, outcome.seed
    assert isinstance(model, SketchRNN)
    assert corpus.test is not None
    facts, network, folder = corpus.facts, outcome.preset.network, outcome.figures
    training, test = (as_drawings(part) for part in (corpus.training, corpus.test))
    own = outcome.scores.nll - 2 * np.log(facts["spread"]) * outcome.scores.counts
    numbers: dict[str, Any] = {
        "nats_per_drawing": float(outcome.scores.nll.mean()),
        "nats_per_drawing_in_spreads": float(own.mean()),
        **_published(model, test, network),
        "drawings": facts["drawings"],
        "too_long": facts["too_long"],
        "of_one_point": facts["of_one_point"],
    }
    if facts["left_out"]:
        numbers["left_out"] = "; ".join(facts["left_out"])
    real = test[np.random.default_rng(seed).permutation(len(test))[:DRAWN]]
    drawn = _drawn(model, real, facts, seed)
    numbers["drawn"] = {"temperature": facts["temperature"], **_shape(drawn), "real": _shape(real)}
    near = nearest(drawn, training, real, seed)
    numbers["nearest"] = {name: value for name, value in near.items() if isinstance(value, float)}
    if model.num_classes and (epochs := network.get("recogniser_epochs", 60)):
        recogniser = Recogniser.train(training, facts["categories"], seed, epochs=epochs)
        numbers["recognised"] = recognised(recogniser, real, drawn)
    _sheets(model, real, drawn, [training[n] for n in near["neighbour"][:PAIRS]], facts, folder, seed)
    return numbers


def _published(model: SketchRNN, test: Sequences, network: Mapping[str, Any]) -> dict[str, float]:
    """Return L_R and L_KL; the published floor has no place in a head whose pen and offset go together."""
    is_published = isinstance(model.family, Joint)
    labels = test.fields["label"] if model.num_classes else None
    longest = network.get("longest", LONGEST)
    return published_losses(model, list(test), longest, labels, floor=1e-6 if is_published else 0.0)


def _drawn(model: SketchRNN, like: Sequences, facts: Mapping[str, Any], seed: int) -> Sequences:
    """Return as many drawings, of the same categories."""
    labels = like.fields["label"] if model.num_classes else None
    settings: dict[str, Any] = {"seed": seed, "temperature": facts["temperature"]}
    latent = model.draw_latent(len(like), labels, **settings)
    drawn = model.draw(len(like), facts["longest"], context=model.context(latent, labels), **settings)
    fields = {} if labels is None else {"label": labels}
    return Sequences.of(drawn, **fields)


def _shape(drawings: Sequences) -> dict[str, float]:
    """Return the means of points, strokes and sides."""
    strokes = [one[:, 2].sum() for one in drawings]
    sides = [np.ptp(np.cumsum(one[:, :2], axis=0), axis=0).max() for one in drawings]
    return {
        "points": float(drawings.lengths.mean()),
        "strokes": float(np.mean(strokes)),
        "side": float(np.median(sides)),
    }


def _sheets(
    model: SketchRNN,
    real: Sequences,
    drawn: Sequences,
    neighbours: Sequence[np.ndarray],
    facts: Mapping[str, Any],
    folder: Path,
    seed: int,
) -> None:
    def names(of: Sequences) -> list[str] | None:
        return [facts["categories"][label] for label in of.fields["label"]] if model.num_classes else None

    folder.mkdir(parents=True, exist_ok=True)
    few = drawn[:SHOWN]
    sheet(few, folder / "drawn.svg", labels=names(few), columns=10)
    sheet(real[:SHOWN], folder / "real.svg", labels=names(real[:SHOWN]), columns=10)
    pairs: list[np.ndarray | None] = []
    for start in range(0, len(neighbours), 10):
        for part in (drawn[: len(neighbours)], neighbours):
            row = list(part[start : start + 10])
            pairs += [*row, *[None] * (10 - len(row))]
    sides = ["drawn", "nearest in training"] * (len(pairs) // 20)
    sheet(pairs, folder / "nearest.svg", columns=10, row_labels=sides)
    if model.latent_size:
        some = real[:10]
        labels = some.fields["label"] if model.num_classes else None
        settings: dict[str, Any] = {"seed": seed, "temperature": facts["temperature"]}
        copies = uses.reconstruct(model, list(some), labels, longest=facts["longest"], **settings)
        both = [*some, *(own[0] for own in copies)]
        sheet(both, folder / "reconstructed.svg", columns=len(some), row_labels=["real", "copy"])
