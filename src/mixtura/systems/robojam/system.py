"""The system `robojam`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.tables import counted
from mixtura.data.touches import clean_touches, move_inwards, read_touches, write_touches
from mixtura.errors import InputError
from mixtura.evaluation.sequences import SequenceScores, score_sequences
from mixtura.models import SequenceModel
from mixtura.systems.robojam import pictures
from mixtura.systems.robojam.heads import STEP, head, network, start
from mixtura.systems.robojam.responding import (
    DURATION,
    LONGEST_CALL,
    Responder,
    perform,
    prepared,
    whole,
    within,
)
from mixtura.systems.robojam.statistics import two_sample
from mixtura.systems.system import (
    Corpus,
    Outcome,
    Preset,
    System,
    score_after_first,
    split_in_tenths,
)
from mixtura.training import Ragged, initialize_head

SCORED = (0, 1, 2)  # x, y and dt: what all heads have
CAP = 10.0  # nats: what a step counts at most in the capped mean
SHOWN = 12  # performances in the pictures


class RoboJam(System):
    """Call and response on touch performances (Martin & Torresen 2018).

    `network` has `head` and `components`, for `heads.head`, the `units` of the LSTM layers, and whether
    training performances are `mirrored`.
    """

    name = "robojam"
    about = "touch performances of five seconds: invented, and answered"
    order = "robojam"
    data_name = "touch/tiny_performances.npz"
    presets: ClassVar[Mapping[str, Preset]] = {
        # The paper's: three layers, 256 steps, Adam at 1e-4.
        "paper": Preset(
            network={"head": "2018", "components": 16, "units": (512, 512, 512)},
            epochs=30,
            batch_size=64,
            length=256,
            learning_rate=1e-4,
        ),
        # The later server's, with TimeDistributed(MDN): windows of 30.
        "server": Preset(
            network={"head": "2021", "components": 5, "units": (512, 512)},
            epochs=100,
            batch_size=64,
            length=30,
            learning_rate=1e-3,
        ),
        "small": Preset(
            network={"head": "touch, change", "components": 20, "units": (256,), "mirrored": True},
            epochs=20,
            batch_size=32,
            length=64,
            learning_rate=3e-3,
        ),
        "tiny": Preset(
            network={"head": "touch, change", "components": 2, "units": (8,)},
            epochs=2,
            batch_size=4,
            length=32,
        ),
    }

    # ------------------------------------------------------------------ data

    def read(self, path: Path, facts: Mapping[str, Any]) -> Sequences:
        """Return performances as the model takes them: cleaned, ends moved inwards."""
        return prepared(read_touches(path))

    def corpus(self, data: Path | None, preset: Preset, seed: int) -> Corpus:
        """Return performances of two touches and more, split by performance."""
        if data is None:
            raise InputError("robojam needs performances: name a file or folder, or set MIXTURA_DATA.")
        found = read_touches(data)
        clean, cleaning = clean_touches(found)
        played = move_inwards(clean, STEP)
        long_enough = played.lengths > 1
        if long_enough.sum() < 3:
            amount = counted(int(long_enough.sum()), "performance")
            raise InputError(f"{data} has {amount} of two touches and more; expected at least 3 of them.")
        training, validation, test = split_in_tenths(played[long_enough], seed, data)
        parts = {"training": training, "validation": validation, "test": test}
        counts = {name: len(part) for name, part in parts.items()}
        if preset.network.get("mirrored"):
            training = mirrored(training)
        left_out = int((~long_enough).sum())
        facts = {"cleaning": cleaning.describe(), "of_one_touch": left_out, "performances": counts}
        return Corpus(training, validation, test, STEP, facts)

    def endings(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of files, and none for a folder."""
        return ".csv", ".npz", ""

    def write(self, path: Path, sequences: Sequences, facts: Mapping[str, Any]) -> None:
        """Write performances; see `mixtura.data.touches.write_touches`."""
        write_touches(path, sequences)

    # ------------------------------------------------------------------ the model

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> SequenceModel:
        """Return a network whose head begins at the distribution of touches, whatever came before."""
        settings = preset.network
        chosen = head(settings["head"], settings["components"])
        model = network(chosen, settings["units"])
        events, family = start(chosen, _seen(model, corpus.training))
        initialize_head(model, events, seed=seed, family=family)
        return model

    def adopt(self, size: int) -> tuple[Mapping[str, Any], Sequence[float]]:
        """Return what is known of a published model's touches."""
        if size not in (3, 4):
            raise InputError(f"The model's events have {size} dimensions; those of robojam have 3 or 4.")
        return {}, STEP

    def rows(self, model: SequenceModel, preset: Preset, sequences: Sequences) -> Ragged:
        """Return windows of the columns that the head has, noise of a recording step on the targets."""
        seen = _seen(model, sequences)
        return super().rows(model, preset, seen).dithered(np.array(STEP[: seen.event_size]))

    # ------------------------------------------------------------------ afterwards

    def generate(
        self, model: SequenceModel, facts: Mapping[str, Any], count: int, steps: int | None, **settings: Any
    ) -> list[np.ndarray]:
        """Draw performances of five seconds, or of so many steps, after a prompt if there is one."""
        if (begun := settings.pop("prompt", None)) is not None:
            size = model.family.event_size
            several = isinstance(begun, list)
            settings["prompt"] = [one[:, :size] for one in begun] if several else begun[:, :size]
        if steps is None:
            drawn = perform(model, DURATION, batch_size=count, **settings)
        else:
            found = model.generate(steps, batch_size=count, **settings)
            drawn = [within(found[row], np.inf) for row in range(count)]
        return [whole(one) for one in drawn]

    def score(
        self, model: SequenceModel, sequences: Sequences, step: Sequence[float] | None
    ) -> SequenceScores:
        """Return the scores of (x, y, dt), the first touch of a performance being given.

        See `score_after_first`. `moving`, which some heads lack, is not scored.

        Raises:
            InputError: if no performance has a second touch; and as `score_sequences`.
        """
        seen = _seen(model, sequences)
        if not (seen.lengths > 1).any():
            raise InputError("There is no touch to score: the first of a performance is given.")
        step = (STEP if step is None else step)[: seen.event_size]
        return score_after_first(model, seen, step, "place", SCORED)

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Compare performances and answers with real ones, and draw them."""
        model, corpus, figures, seed = outcome.model, outcome.corpus, outcome.figures, outcome.seed
        test = corpus.test
        assert test is not None  # this system's corpus has one
        numbers: dict[str, Any] = {
            "cleaning": corpus.facts["cleaning"],
            "performances": corpus.facts["performances"],
            **of_steps(outcome.scores),
        }
        if not model.family.continuous.all():
            numbers["nll_moving"] = self.moving(model, test, outcome.scores)
        played = [within(one, DURATION) for one in test]  # a recording may go on for long
        alone = [whole(one) for one in perform(model, DURATION, batch_size=len(test), seed=seed)]
        responder = Responder(model)
        heard = [call for call in played if len(call) <= LONGEST_CALL]
        answers = [responder.respond(call, seed=seed + row)[0] for row, call in enumerate(heard)]
        numbers["performances_beside_real"] = two_sample(played, alone, seed)
        numbers["answers_beside_real"] = two_sample(played, answers, seed)
        pictures.gallery(
            {"recorded": played[:SHOWN], "invented": alone[:SHOWN]}, figures / "performances.png"
        )
        some = responder.respond(heard[0], count=4, seed=seed)
        pictures.call_and_response(heard[0], list(some), figures / "answers.png")
        return numbers

    def moving(self, model: SequenceModel, test: Sequences, scores: SequenceScores) -> float:
        """Return the nats per step of `moving` given the rest."""
        weights = [np.arange(len(one)) > 0 for one in test]
        total = score_sequences(model, test, STEP, weights=weights).nll.sum()
        return float((total - scores.nll.sum()) / scores.counts.sum())


def of_steps(scores: SequenceScores) -> dict[str, float]:
    """Return what a mean of unbounded scores hides, and one in the unit and way of the published losses.

    These are the mean with each step capped, the median, the worst step, and the mean of values times ten,
    undithered.
    """
    surprise = np.concatenate(scores.surprise)
    raw = scores.raw_nll.sum() / scores.counts.sum()
    return {
        "nll_capped": float(np.minimum(surprise, CAP).mean()),
        "nll_median": float(np.median(surprise)),
        "nll_worst": float(surprise.max()),
        "nll_in_tenths_as_recorded": float(raw + 3 * np.log(10)),
    }


def mirrored(touches: Sequences) -> Sequences:
    """Return performances, and each once more left to right, top to bottom, and both."""
    found = []
    for signs in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
        places = 0.5 + np.array(signs) * (touches.data[:, :2] - 0.5)
        found += list(replace(touches, data=np.column_stack([places, touches.data[:, 2:]])))
    return move_inwards(Sequences.of(found), STEP)


def _seen(model: SequenceModel, touches: Sequences) -> Sequences:
    """Return the columns that a model's head has."""
    return replace(touches, data=touches.data[:, : model.family.event_size])
