"""The system `signals`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mixtura.data.sequences import Sequences, require, write_sequences
from mixtura.errors import InputError
from mixtura.evaluation.sequences import predictions
from mixtura.families import Affine, Distribution, Mixture, Normal
from mixtura.generation import Generated
from mixtura.models import SequenceModel
from mixtura.models.linear import LinearMDNRNN
from mixtura.systems.signals import pictures
from mixtura.systems.signals.baselines import Linear, fit_autoregressions, fit_linear
from mixtura.systems.signals.data import read_signals, split_signals
from mixtura.systems.signals.surprise import areas, score_beats
from mixtura.systems.system import Corpus, Outcome, Preset, System
from mixtura.training import initialize_head

KNOWN = ("fs", "units_per_mV")  # what a file may tell of its signals
STRETCH = 250  # samples in the picture of predictions
STEPS = 3600  # of a generated signal, by default: ten seconds of an electrocardiogram
SHOWN, SHOWN_STEPS = 4, 1800  # signals in the picture of generated ones


class Signals(System):
    """Next-sample densities of bio-signals; see `LinearMDNRNN`.

    Every sample is modelled at the rate at which it was recorded, in the file's units. `network` has `order`,
    of the linear prediction, `components`, and the rest for `LinearMDNRNN`.
    """

    name = "signals"
    about = "electrocardiograms and electroencephalograms: densities of the next sample, strange beats"
    data_name = "biosignal/ecg_mitbih_10min.npz"
    presets: ClassVar[Mapping[str, Preset]] = {
        # Of the size of IMPSY's "l" (Martin & Torresen 2019); nothing was published on such signals.
        "paper": Preset(
            network={"order": 32, "components": 5, "units": (256, 256)},
            epochs=10,
            batch_size=64,
            length=256,
            carried=True,
        ),
        "small": Preset(
            network={"order": 32, "components": 8, "units": (64,), "cell": "gru"},
            epochs=10,
            batch_size=64,
            length=256,
            carried=True,
            learning_rate=3e-3,
            patience=5,
        ),
        "tiny": Preset(
            network={"order": 4, "components": 2, "units": (4,), "cell": "gru"},
            epochs=2,
            batch_size=4,
            length=32,
            carried=True,
        ),
    }

    # ------------------------------------------------------------------ data

    def read(self, path: Path, facts: Mapping[str, Any]) -> Sequences:
        """Return one channel of each recording; see `read_signals`."""
        return read_signals(path)

    def corpus(self, data: Path | None, preset: Preset, seed: int) -> Corpus:
        """Return recordings, split so that no patient is on two sides; see `split_signals`."""
        if data is None:
            raise InputError(
                "signals needs recordings: name a file or folder with --data, or set MIXTURA_DATA."
            )
        signals = self.read(data, {})
        training, validation, test, how = split_signals(signals, seed)
        require(training, steps=2 * preset.network["order"] + 1, what=f"{data}, the training part")
        if not training.data.std():
            raise InputError(f"{data}, the training part: every sample is {training.data[0, 0]:g}.")
        known = {name: float(signals.facts[name]) for name in KNOWN if name in signals.facts}
        step = training.recording_step().tolist()
        return Corpus(training, validation, test, step, {"split": how, "step": step[0], **known})

    def write(self, path: Path, sequences: Sequences, facts: Mapping[str, Any]) -> None:
        """Write generated signals on the grid of the recordings; to `.npz` with their sampling rate."""
        known = {name: np.array(facts[name]) for name in KNOWN if name in facts and path.suffix == ".npz"}
        step = facts["step"]
        data = np.round(sequences.data / step) * step if step else sequences.data
        write_sequences(path, replace(sequences, data=data, facts=known))

    # ------------------------------------------------------------------ the model

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> SequenceModel:
        """Return a network around a linear prediction, both fitted to the training recordings.

        The family's unit is the spread of what the prediction leaves, and its floor that of rounding, a
        recording step / sqrt(12); the head begins at the distribution of what is left.
        """
        settings = dict(preset.network)
        signals = columns(corpus.training)
        linear = fit_linear(signals, settings.pop("order"))
        errors = np.concatenate([linear.errors(one)[len(linear.coefficients) :] for one in signals])
        left = float(errors.std()) or 1.0
        inner = Mixture(
            Normal(1, min_scale=corpus.facts["step"] / np.sqrt(12) / left), settings.pop("components")
        )
        level = float(corpus.training.data.std()) / left or 1.0
        family = Affine(inner, linear.mean, left)
        model = LinearMDNRNN(family, linear.coefficients[:, None, None], level, **settings)
        some = np.random.default_rng(seed).choice(errors / left, min(100_000, len(errors)), replace=False)
        initialize_head(model, some[:, None], seed=seed, family=inner)
        return model

    # ------------------------------------------------------------------ afterwards

    def generate(
        self, model: SequenceModel, facts: Mapping[str, Any], count: int, steps: int | None, **settings: Any
    ) -> Generated:
        """Draw so many signals, from rest: the first second or so still swings in."""
        return model.generate(steps or STEPS, batch_size=count, **settings)

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Compare with linear autoregressions on the held-out recordings, and look for strange beats."""
        model, corpus, figures, seed = outcome.model, outcome.corpus, outcome.figures, outcome.seed
        test, facts, step = corpus.test, corpus.facts, corpus.facts["step"]
        assert test is not None  # this system's corpus has one
        linear = fit_autoregressions(columns(corpus.training), columns(corpus.validation), step, seed)
        surprise = {"network": outcome.scores.surprise} | {
            f"linear, {name}": [one.nll(signal, step, seed=n) for n, signal in enumerate(columns(test))]
            for name, one in linear.items()
        }
        names = recordings(test)
        scores = {
            model: {name: float(one.mean()) for name, one in zip(names, own, strict=True)}
            for model, own in surprise.items()
        }
        pictures.comparison(scores, figures / "comparison.png")
        numbers: dict[str, Any] = {
            "split": facts["split"],
            "training": recordings(corpus.training),
            "validation": recordings(corpus.validation),
            "nll_per_step": {name: float(np.concatenate(own).mean()) for name, own in surprise.items()},
            "orders": {name: len(one.linear.coefficients) for name, one in linear.items()},
            "memory_of_adaptive_noise": linear["adaptive"].noise.memory,
            "per_recording": scores,
        }
        if found := score_beats(test, surprise, facts.get("fs", 1.0)):
            numbers["beats"] = areas(found, names)
            if 0 < found.is_ventricular.sum() < len(found.is_ventricular):
                pictures.roc(found, numbers["beats"]["pooled"], figures / "beats.png")
        self._draw(model, test, facts, figures, seed)
        return numbers

    def _draw(
        self, model: SequenceModel, test: Sequences, facts: Mapping[str, Any], figures: Path, seed: int
    ) -> None:
        """Draw what is predicted along a stretch, and generated signals beside recorded ones."""
        fs, per_unit = facts.get("fs", 1.0), facts.get("units_per_mV", 1.0)
        scale = (fs, per_unit, "mV" if "units_per_mV" in facts else "units of the file")
        steps = min(SHOWN_STEPS, int(test.lengths.min()))
        some = np.linspace(0, len(test) - 1, min(SHOWN, len(test))).astype(int)
        shown = test[some].map(lambda one: one[:steps])
        drawn = model.generate(2 * steps, batch_size=len(shown), seed=seed).events[:, steps:, 0]
        pictures.generated(columns(shown), list(drawn), scale, figures / "generated.png")
        _, params = next(iter(predictions(model, shown[:1])))
        signal = shown[0][:, 0]
        cell: Any = model.cell
        linear = Linear(float(model.family.units[0][0]), cell.coefficients[:, 0, 0])
        expected = signal - linear.errors(signal)
        # Around the largest wave, after the network has seen some.
        late = np.abs(signal - np.median(signal))[steps // 2 :]
        first = max(0, min(steps // 2 + int(late.argmax()) - STRETCH // 2, steps - STRETCH))
        part = slice(first, first + STRETCH)
        p = Distribution(model.family, params[part])
        pictures.predictions(signal[part], p, expected[part], scale, figures / "predictions.png")


def columns(signals: Sequences) -> list[np.ndarray]:
    """Return the signals as arrays `(length,)`."""
    return [signal[:, 0] for signal in signals]


def recordings(signals: Sequences) -> list[str]:
    """Return the names of recordings: what the file calls them, or their place in it."""
    fields = signals.fields
    names = next((fields[name] for name in ("record", "sequence") if name in fields), fields["number"])
    return [str(name) for name in names]
