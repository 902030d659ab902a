"""The system `handwriting`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from mixtura.data.alphabets import Alphabet
from mixtura.data.handwriting import write_handwriting
from mixtura.data.sequences import Sequences
from mixtura.data.sketches import write_sketches
from mixtura.drawing import sheet
from mixtura.errors import InputError
from mixtura.evaluation.sequences import SequenceScores
from mixtura.models import SequenceModel
from mixtura.models.handwriting import Handwriting
from mixtura.sampling import Sampler
from mixtura.systems.handwriting import data as corpora
from mixtura.systems.handwriting.heads import head
from mixtura.systems.handwriting.reporting import report
from mixtura.systems.handwriting.scoring import context_of, score_lines
from mixtura.systems.handwriting.strings import texts as made_up
from mixtura.systems.system import Corpus, Outcome, Preset, System
from mixtura.training import AdaptiveWeightNoise, Ragged, Run, graves_rmsprop, initialize_head

# Graves' networks (2013, sections 4 and 5) and their training. Of his data he repaired missing readings and
# left out steps that are too long; by what measure is not said.
PUBLISHED: Mapping[str, Any] = {
    "head": "graves",
    "components": 20,
    "units": (400, 400, 400),
    "peephole": True,
    "recipe": "graves",
    "cleaning": {"outliers": 30.0},
}
OURS: Mapping[str, Any] = {
    "head": "strokes",
    "components": 20,
    "units": (256,),
    "text": True,
    "windows": 5,
    "pace": -2.5,
    "narrowness": -0.5,
    "shows_text": True,
    "encoder_size": 64,
    "style_size": 16,
    "sees_place": True,
    "points_per_letter": 11,
    "dither": True,
}
REHEARSED_BIAS = 0.5  # neat enough to learn from, and not all alike
NOISE = 0.075  # the weights' standard deviation at the start, as in the paper


class Writing(System):
    """Handwriting, predicted or written from a text (Graves 2013).

    `network` of a preset has `head` and `components` for `heads.head`, arguments of `Handwriting`, and

    - `text`: whether the network is given texts;
    - `alphabet`: "graves" for his; by default that of the texts;
    - `cleaning`: of the lines, see `Cleaning`; `points_per_letter`: if given, lines are thinned to about so
      many, after smoothing;
    - `longest`: points of a line; longer ones are left out;
    - `hand`: whether the lines are somebody's own, see `corpus_lines`;
    - `copies`, `stretch`: how many copies of each line there are, and by how much they are stretched and
      sheared;
    - `rehearsed`: how many lines of its own a trained network goes on learning from beside new ones, written
      by itself before it learns: else it forgets what the few new lines do not have (Robins 1995,
      Catastrophic forgetting, rehearsal and pseudorehearsal, Connection Science 7);
    - `dither`: whether there is noise of a recording step on the targets;
    - `recipe`: "graves" for the published optimizer and clipped derivatives, "noise" with adaptive weight
      noise too;
    - `bias`: what is written at unless told otherwise.
    """

    name = "handwriting"
    about = "handwriting: the pen's next point, any text as handwriting, and your own hand"
    data_name = "handwriting/iam_ondb_lines.npz"
    presets: ClassVar[Mapping[str, Preset]] = {
        "paper": Preset(
            {**PUBLISHED, "text": True, "alphabet": "graves"}, epochs=40, batch_size=32, patience=5
        ),
        "prediction": Preset(PUBLISHED, epochs=40, batch_size=32, patience=5),
        "prediction-wide": Preset({**PUBLISHED, "units": (900,)}, epochs=40, batch_size=32, patience=5),
        # To go on from one of those with --from, as in the paper.
        "noise": Preset({"recipe": "noise"}, epochs=40, batch_size=32, patience=10),
        "small": Preset(OURS, epochs=5, batch_size=16, learning_rate=4e-3),
        # For small data sets, such as one hand's.
        "words": Preset(OURS, epochs=20, batch_size=16, learning_rate=4e-3),
        # The small network on all points, for the paper's protocol.
        "points": Preset(
            {**OURS, "points_per_letter": None, "cleaning": PUBLISHED["cleaning"], "dither": False},
            epochs=2,
            batch_size=16,
            learning_rate=4e-3,
        ),
        # To go on from any with --from and a few lines of one's own.
        "own": Preset(
            {"hand": True, "copies": 24, "stretch": 0.1, "rehearsed": 240},
            epochs=10,
            batch_size=8,
            learning_rate=2e-3,
        ),
        "tiny": Preset(
            {**OURS, "components": 2, "units": (8,), "windows": 2, "encoder_size": 4, "style_size": 2},
            epochs=2,
            batch_size=4,
            buckets=1,
        ),
    }

    # ------------------------------------------------------------------ data

    def read(self, path: Path, facts: Mapping[str, Any]) -> Sequences:
        """Return lines as events, see `lines_of`."""
        return corpora.as_events(corpora.lines_of(path, facts), facts["event_size"])

    def corpus(self, data: Path | None, preset: Preset, seed: int) -> Corpus:
        """Return lines split as IAM-OnDB's lists say, or by their texts."""
        if "head" not in preset.network:
            raise InputError(
                "the preset goes on from a run; name it with --from, or handwriting for the shipped one."
            )
        return self._corpus(data, preset, seed, preset.network)

    def start_from(
        self, model: SequenceModel, facts: Mapping[str, Any], data: Path | None, preset: Preset, seed: int
    ) -> tuple[SequenceModel, Corpus]:
        """Return the network with an alphabet that has all characters of the data, and a style for them."""
        assert isinstance(model, Handwriting)
        corpus = self._corpus(
            data, preset, seed, {**preset.network, "text": model.alphabet is not None}, facts
        )
        if model.alphabet is not None:
            styles = len(corpus.facts["styles"]) if model.num_styles else 0
            model = model.extended(Alphabet(*corpus.facts["alphabet"]), styles)
        limited = type(model).from_config({**model.get_config(), "clip": self._limits(preset, corpus)})
        limited.set_weights(model.get_weights())
        return limited, corpus

    def _corpus(
        self,
        data: Path | None,
        preset: Preset,
        seed: int,
        network: Mapping[str, Any],
        base: Mapping[str, Any] | None = None,
    ) -> Corpus:
        if data is None:
            raise InputError(
                f"{self.name} needs lines of handwriting: name a file or folder, or set MIXTURA_DATA."
            )
        training, held_out, facts = corpora.corpus_lines(data, network, seed, base)
        size = base["event_size"] if base else 3 if network["head"] == "graves" else 5
        facts |= {"event_size": size, "text": bool(network.get("text")), "bias": network.get("bias", 0.5)}
        step = [*facts["steps"], *[0.0] * (size - 2)]
        noted = {"recording_step": np.array(step), "longest_text": np.array(facts["longest_text"])}
        parts = [corpora.as_events(part, size) for part in (training, held_out)]
        parts = [replace(part, facts={**part.facts, **noted}) for part in parts]
        return Corpus(parts[0], parts[1], step=step, facts=facts)

    def endings(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of pictures and of handwriting; none for a folder of pictures."""
        return ".svg", ".npz", ".json", ".inkml", ""

    def write(self, path: Path, sequences: Sequences, facts: Mapping[str, Any]) -> None:
        """Write lines; as a picture they are a sheet, with their texts below them."""
        if path.suffix.lower() == ".svg":
            labels = [str(text) for text in sequences.fields["text"]] if "text" in sequences.fields else None
            sheet(list(sequences), path, labels=labels, columns=1, cell=360)
        elif "text" in sequences.fields:
            write_handwriting(path, sequences)
        else:
            write_sketches(path, sequences)

    def usage(self, model: SequenceModel) -> str:
        """Return the command that uses a model."""
        assert isinstance(model, Handwriting)
        return super().usage(model) if model.alphabet is None else "mixtura write TEXT --run RUN --out FILE"

    # ------------------------------------------------------------------ the model

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> SequenceModel:
        """Return the network; ours begins at the distribution of events, whatever came before."""
        settings, facts = preset.network, corpus.facts
        family = head(settings["head"], settings["components"], facts)
        own = {name: value for name, value in settings.items() if name in _OF_THE_MODEL}
        if facts["text"]:
            own["alphabet"] = Alphabet(*facts["alphabet"])
            own["num_styles"] = len(facts.get("styles", ()))
            own["style_size"] = settings.get("style_size", 0) if own["num_styles"] else 0
            own["num_styles"] *= bool(own["style_size"])
        model = Handwriting(family, seed=seed, clip=self._limits(preset, corpus), **own)
        if settings["head"] != "graves":
            initialize_head(model, corpus.training.data[::7], seed=seed)
        return model

    def _limits(self, preset: Preset, corpus: Corpus) -> tuple[float, float]:
        """Return Graves' limits of derivatives, which are for the loss of a line; Keras' loss is a mean."""
        if not preset.network.get("recipe"):
            return 0.0, 0.0
        points = preset.batch_size * float(corpus.training.lengths.mean())
        return 100.0 / points, 10.0 / points

    def fit(
        self,
        model: SequenceModel,
        preset: Preset,
        corpus: Corpus,
        seed: int,
        run: Run | None = None,
        title: str | None = None,
    ) -> Mapping[str, Sequence[float]]:
        """Train on copies of the lines, see `augmented`; the corpus keeps them as they are."""
        assert isinstance(model, Handwriting)
        lines = corpora.augmented(corpora.as_lines(corpus.training), preset.network, seed)
        if (count := preset.network.get("rehearsed")) and model.alphabet is not None:
            longest = int(corpus.training.facts["longest_text"])
            lines = corpora.together(lines, self._rehearsed(model, count, longest, seed))
        events = corpora.as_events(lines, model.family.event_size)
        lengths = {"line": float(events.lengths.mean()), "points": len(events.data)}
        preset = replace(preset, network={**preset.network, **lengths})
        return super().fit(model, preset, replace(corpus, training=events), seed, run, title)

    def _rehearsed(self, model: Handwriting, count: int, longest: int, seed: int) -> Sequences:
        """Return lines that the network writes as it is, in all styles but the last, which is new."""
        assert model.alphabet is not None
        wanted = texts_of(model.alphabet, count, longest, seed)
        styles = None
        if model.num_styles:
            styles = np.random.default_rng(seed).integers(model.num_styles - 1, size=len(wanted))
        lines = model.write(wanted, bias=REHEARSED_BIAS, styles=styles, seed=seed)
        fields = {} if styles is None else {"style": styles}
        return Sequences.of(lines, text=np.array(wanted), **fields)

    def rows(self, model: SequenceModel, preset: Preset, sequences: Sequences) -> Ragged:
        """Return whole lines and their texts."""
        assert isinstance(model, Handwriting)
        context = context_of(model, sequences, int(sequences.facts["longest_text"]))
        rows = Ragged.padded(sequences, preset.batch_size, preset.buckets, context=context)
        return rows.dithered(sequences.facts["recording_step"]) if preset.network.get("dither") else rows

    def optimizer(self, preset: Preset, steps: int) -> keras.optimizers.Optimizer:
        """Return the optimizer of the preset's recipe."""
        network = preset.network
        if not (recipe := network.get("recipe")):
            return super().optimizer(preset, steps)
        # With the loss of a line in place of the mean over its points, this would be his 1e-4.
        inner = graves_rmsprop(epsilon=1e-4 / network["line"] ** 2)
        if recipe == "graves":
            return inner
        batch = round(preset.batch_size * network["line"])
        return AdaptiveWeightNoise(inner, network["points"], batch, initial_std=NOISE)

    def callbacks(self, preset: Preset) -> Sequence[keras.callbacks.Callback]:
        """Return what shows the means of noisy weights between epochs."""
        is_noisy = preset.network.get("recipe") == "noise"
        return [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if is_noisy else ()

    # ------------------------------------------------------------------ afterwards

    def generate(
        self, model: SequenceModel, facts: Mapping[str, Any], count: int, steps: int | None, **settings: Any
    ) -> Sequences:
        """Write texts of our own, or go on as the pen may, after a prompt if there is one."""
        assert isinstance(model, Handwriting)
        seed = settings.get("seed")
        if (temperature := settings.pop("temperature", None)) is not None:
            settings["sampler"] = Sampler.magenta_js(temperature)
        if model.alphabet is None:
            steps = steps or round(20 * facts["points_per_letter"])
            drawn = model.generate(steps, batch_size=count, **settings)
            return corpora.as_lines(Sequences.of(drawn[row] for row in range(count)))
        if settings.get("prompt") is not None:
            raise InputError("a network that writes texts takes no prompt; see `mixtura write`.")
        texts = texts_of(model.alphabet, count, facts["longest_text"], 0 if seed is None else seed)
        styles = None
        if model.num_styles:
            styles = np.random.default_rng(seed).integers(model.num_styles, size=count)
        lines = model.write(texts, bias=facts["bias"], styles=styles, seed=seed)
        return Sequences.of(lines, text=np.array(texts))

    def score(
        self, model: SequenceModel, sequences: Sequences, step: Sequence[float] | None
    ) -> SequenceScores:
        """Return the scores of held-out lines, given their texts."""
        assert isinstance(model, Handwriting)
        return score_lines(model, sequences, sequences.recording_step().tolist() if step is None else step)

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Draw the pictures, and return the numbers; see `reporting.report`."""
        return report(outcome)


def texts_of(alphabet: Alphabet, count: int, longest: int, seed: int) -> list[str]:
    """Return so many texts that are made up, without what an alphabet lacks.

    Args:
        alphabet: of the texts.
        count: how many.
        longest: characters of a text.
        seed: of the texts.

    Raises:
        InputError: if nothing is left of them.
    """
    known = set(alphabet.symbols)
    several = [alphabet.substituted(text) for text in made_up(4 * count, seed)]
    kept = ["".join(one for one in text if one in known).strip()[:longest].strip() for text in several]
    found = [text for text in kept if len(text) > 1]
    if not found:
        raise InputError("the alphabet has too few letters for texts of our own; see `mixtura write`.")
    return [found[number % len(found)] for number in range(count)]


_OF_THE_MODEL = (
    *("units", "peephole", "windows", "normalised", "shows_text", "pace", "narrowness"),
    *("encoder_size", "encoder_width", "sees_place", "recurrent_dropout"),
)
