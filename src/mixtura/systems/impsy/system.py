"""The system `impsy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mixtura.data.control_logs import columns_of, write_logs
from mixtura.data.sequences import Sequences, require
from mixtura.errors import InputError
from mixtura.evaluation.sequences import SequenceScores
from mixtura.models import MDNRNN, LinearMDNRNN, SequenceModel
from mixtura.systems.impsy import pictures
from mixtura.systems.impsy.baselines import fit_repeats
from mixtura.systems.impsy.data import moves, read_sessions, snapped, time_step, value_step
from mixtura.systems.impsy.heads import head, start, units_of
from mixtura.systems.impsy.statistics import statistics
from mixtura.systems.system import (
    Corpus,
    Outcome,
    Preset,
    System,
    score_after_first,
    split_in_tenths,
)
from mixtura.training import Ragged, begin_at

SHAPE = ("components", "dt_components", "slab")  # what a preset may say of the head
FITTED = 50_000  # events that a head begins with at most
SHOWN, PROMPT = 300, 50  # events in the strip charts, and before what is generated
DRAWN = 2000  # events of each session that is compared with recorded ones


class Impsy(System):
    """The next event of an instrument's controls and when it comes (Martin & Torresen 2019).

    `network` has `head`, `components`, `dt_components` and `slab` (see `heads.head`); `sees`: "last" for one
    that sees the last event, "moves" for one that sees by how much each value had just moved, too
    (`LinearMDNRNN`); `relative`, whether a "normal" head that sees the last event predicts moves from it, as
    all others do; and the rest for the network.
    """

    name = "impsy"
    about = "the controls of an instrument: which moves next, where to, and when"
    order = "impsy"
    data_name = "touch/impsy_9d.npz"
    presets: ClassVar[Mapping[str, Preset]] = {
        # IMPSY's size "s" as it is trained there, but for the validation sessions, which are whole ones.
        "paper": Preset(
            network={"head": "normal", "components": 5, "sees": "last", "units": (64, 64), "cell": "lstm"},
            epochs=100,
            batch_size=64,
            length=50,
            stride=1,
            learning_rate=1e-3,
        ),
        "small": Preset(
            network={
                "head": "tied",
                "components": 9,
                "sees": "moves",
                "units": (64,),
                "cell": "gru",
            },
            epochs=40,
            batch_size=16,
            length=64,
            carried=True,
            learning_rate=5e-3,
            patience=8,
        ),
        "tiny": Preset(
            network={
                "head": "tied",
                "components": 3,
                "dt_components": 2,
                "slab": 2,
                "sees": "moves",
                "units": (8,),
                "cell": "gru",
            },
            epochs=2,
            batch_size=4,
            length=32,
            carried=True,
        ),
    }

    # ------------------------------------------------------------------ data

    def read(self, path: Path, facts: Mapping[str, Any]) -> Sequences:
        """Return sessions of controls, cleaned; see `read_sessions`."""
        sessions, _ = read_sessions(path)
        found, expected = sessions.facts["columns"].tolist(), facts.get("columns")
        if expected and found != expected:
            raise InputError(f"{path} has the columns {found}; expected {expected}, as in training.")
        return sessions

    def corpus(self, data: Path | None, preset: Preset, seed: int) -> Corpus:
        """Return sessions of two events and more, split by session."""
        if data is None:
            raise InputError("impsy needs sessions: name a file or folder with --data, or set MIXTURA_DATA.")
        sessions, cleaning = read_sessions(data)
        values, dt = sessions.data[:, :-1], sessions.data[:, -1]
        step = [value_step(values)] * values.shape[1] + [time_step(dt)]
        sessions = sessions[sessions.lengths > 1]
        parts = (
            replace(part, facts={**part.facts, "step": np.array(step)})
            for part in split_in_tenths(sessions, seed, data)
        )
        training, validation, test = parts
        facts = {
            "columns": sessions.facts["columns"].tolist(),
            "step": step[0],
            "length": int(np.median(training.lengths)),
            "cleaning": cleaning,
        }
        return Corpus(training, validation, test, step, facts)

    def endings(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of `write_logs`."""
        return ".log", ".csv", ".npz"

    def write(self, path: Path, sequences: Sequences, facts: Mapping[str, Any]) -> None:
        """Write sessions; see `mixtura.data.control_logs.write_logs`."""
        write_logs(path, sequences)

    # ------------------------------------------------------------------ the model

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> SequenceModel:
        """Return a network whose head, if it is one of spikes, begins at the moves of training."""
        settings = dict(preset.network)
        units = units_of(corpus.training, corpus.facts["step"])
        name, sees = settings.pop("head"), settings.pop("sees")
        relative = settings.pop("relative", name != "normal")
        shape = {key: settings.pop(key) for key in SHAPE if key in settings}
        family = head(name, units, **shape)
        model: SequenceModel
        if sees == "moves":
            around = np.diag([1.0] * units.controls + [0.0])[None]
            model = LinearMDNRNN(family, around, units.level / family.units[1][0], **settings)
        else:
            kept = relative if name == "normal" else ("values",)
            model = MDNRNN(family, relative=kept, **settings)
        if name != "normal":
            moved, dt, _ = moves(corpus.training)
            some = np.random.default_rng(seed).permutation(len(dt))[:FITTED]
            begin_at(model, start(family, moved[some], dt[some]))
        return model

    def adopt(self, size: int) -> tuple[Mapping[str, Any], Sequence[float]]:
        """Return what is known of an IMPSY model's controls: MIDI's, times in microseconds."""
        if size < 2:
            raise InputError(f"The model's events have {size} dimension; expected controls and dt.")
        step = 1 / 127
        return {"columns": columns_of(size), "step": step, "length": 200}, [step] * (size - 1) + [1e-6]

    def rows(self, model: SequenceModel, preset: Preset, sequences: Sequences) -> Ragged:
        """Return rows whose targets, not inputs, have noise of one recording step."""
        return super().rows(model, preset, sequences).dithered(sequences.facts["step"])

    # ------------------------------------------------------------------ afterwards

    def generate(
        self, model: SequenceModel, facts: Mapping[str, Any], count: int, steps: int | None, **settings: Any
    ) -> list[np.ndarray]:
        """Draw sessions, on the grid to all digits of float64."""
        drawn = super().generate(model, facts, count, steps, **settings)
        return [snapped(drawn[row], facts["step"]) for row in range(count)]

    def score(
        self, model: SequenceModel, sequences: Sequences, step: Sequence[float] | None
    ) -> SequenceScores:
        """Return the scores, the first event of a session being given; see `score_after_first`."""
        require(sequences, steps=2)
        return score_after_first(model, sequences, step, "values")

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Compare with repeating the last values, and generated sessions with recorded ones."""
        model, corpus, figures, seed = outcome.model, outcome.corpus, outcome.figures, outcome.seed
        test, facts = corpus.test, corpus.facts
        assert test is not None  # this system's corpus has one
        scores, step = outcome.scores, np.array(corpus.step)
        counts = scores.counts
        each = {"network": scores.parts}
        units = units_of(corpus.training, facts["step"])
        for order, name in enumerate(("repeats", "repeats, given the last event")):
            found = fit_repeats(corpus.training, units, order)
            own = [found.nll(session, step, seed=number) for number, session in enumerate(test)]
            each[name] = {part: np.array([one[part].sum() for one in own]) for part in ("values", "dt")}
        nll = {
            name: {part: float(value.sum() / counts.sum()) for part, value in parts.items()}
            for name, parts in each.items()
        }
        per_session = {
            name: ((parts["values"] + parts["dt"]) / counts).tolist() for name, parts in each.items()
        }
        real = [snapped(session, facts["step"]) for session in test]
        drawn = self.continued(model, facts, real, seed)
        columns = facts["columns"]
        longest = int(np.argmax(test.lengths))
        shown = {"recorded, held out": real[longest][PROMPT:], "generated": drawn[longest]}
        shown = {title: events[:SHOWN] for title, events in shown.items()}
        pictures.strips(shown, columns, figures / "sessions.png")
        pictures.comparison(real, {"generated": drawn}, figures / "comparison.png")
        return {
            "cleaning": facts["cleaning"],
            "sessions": {
                name: getattr(corpus, name).lengths.tolist() for name in ("training", "validation", "test")
            },
            "nll_per_event": {name: {**parts, "both": sum(parts.values())} for name, parts in nll.items()},
            "nll_per_session": per_session,
            "recorded": statistics(real),
            "generated": statistics(drawn),
        }

    def continued(
        self, model: SequenceModel, facts: Mapping[str, Any], real: list[np.ndarray], seed: int
    ) -> list[np.ndarray]:
        """Return what a model makes of the beginning of each session, as long, up to `DRAWN` events."""
        prompts = [session[:PROMPT] for session in real]
        steps = min(DRAWN, max(len(session) for session in real))
        drawn = self.generate(model, facts, len(real), steps, prompt=prompts, seed=seed)
        return [
            events[len(prompt) - 1 :][: max(2, len(session))]
            for events, prompt, session in zip(drawn, prompts, real, strict=True)
        ]
