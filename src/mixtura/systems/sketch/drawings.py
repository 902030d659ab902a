"""What the systems `kanji` and `sketch` share: drawings in, a Sketch-RNN, drawings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.sketches import left_out_of, read_sketches, write_sketches
from mixtura.data.strokes import categories_of, spread, to_stroke5, with_categories
from mixtura.data.tables import counted
from mixtura.drawing import sheet
from mixtura.errors import InputError
from mixtura.evaluation.sequences import SequenceScores
from mixtura.models import SequenceModel, export_sketch_js
from mixtura.models.sketch_js import read_sketch_js
from mixtura.models.sketch_rnn import SketchRNN, padded
from mixtura.models.variational import KLDivergence, SketchLoss, Variational
from mixtura.systems.sketch.data import (
    LONGEST,
    as_drawing,
    as_drawings,
    as_events,
    augmented,
    ended,
    in_parts,
    labelled,
    labels_of,
    whole,
)
from mixtura.systems.sketch.heads import head
from mixtura.systems.sketch.schedules import Falling
from mixtura.systems.sketch.scoring import score_drawings
from mixtura.systems.system import Corpus, Preset, System
from mixtura.training import Ragged, Run, initialize_head

# The decoder, loss, optimiser and data of Sketch-RNN as published (Ha & Eck 2017, and its code), and ours.
PUBLISHED: Mapping[str, Any] = {
    "head": "parts",
    "components": 20,
    "units": (512,),
    "recurrent_dropout": 0.1,
    "closing": True,
    "floor": 1e-6,
    "recipe": "2017",
    "longest": LONGEST,
    "stretch": 0.15,
    "thinning": 0.1,
    "copies": 10,
}
OURS: Mapping[str, Any] = {
    "head": "strokes",
    "components": 40,
    "units": (256,),
    "sees_place": True,
    "stretch": 0.15,
    "dither": True,
    "copies": 4,
    "temperature": 0.4,
}


class Drawings(System):
    """A Sketch-RNN and what it learns from.

    `network` of a preset has `head` and `components` for `heads.head`, arguments of `SketchRNN`, of
    `Variational` (those with `kl_`) and of `SketchLoss` (`floor`, `pen_weights`), and

    - `longest`: points of a drawing; longer ones are left out of training;
    - `temperature`: what is drawn at unless told otherwise;
    - `recogniser_epochs`: of the recogniser that a report trains where there are categories;
    - `copies`: how often each drawing is learnt from in an epoch, each time stretched otherwise;
    - `stretch`: by how much at most, in each direction;
    - `mirrored`: whether half of them are seen in a mirror;
    - `thinning`: the share of points inside strokes that are left out;
    - `dither`: whether there is noise of a recording step on the targets;
    - `start`: whether the head begins at the distribution of events; ours does unless told otherwise;
    - `recipe`: "2015" or "2017" for the published optimiser.
    """

    # ------------------------------------------------------------------ data

    def read(self, path: Path, facts: Mapping[str, Any]) -> Sequences:
        """Return drawings as events; labels are those of the run, where both have some."""
        found = read_sketches(path)
        if "categories" in facts:
            found = labelled(found, facts["categories"], path)
        longest, lengths = facts.get("longest"), found.lengths
        if longest and lengths.max() > longest:
            number = int(lengths.argmax())
            raise InputError(
                f"{path}: drawing {number + 1} has {lengths[number]} points; "
                f"expected at most {longest}, as in training."
            )
        return as_events(found)

    def corpus(self, data: Path | None, preset: Preset, seed: int) -> Corpus:
        """Return drawings split as their file says, or by tenths."""
        if data is None:
            raise InputError(f"{self.name} needs drawings: name a file or folder, or set MIXTURA_DATA.")
        found = read_sketches(data)
        longest = preset.network.get("longest", LONGEST)
        short = found[(found.lengths <= longest) & (found.lengths > 1)]
        if len(short) < 3:
            amount = counted(len(short), "drawing")
            raise InputError(f"{data} has {amount} of 2 to {longest} points; expected at least 3.")
        training, validation, test = in_parts(short, seed, data)
        step = float(replace(training, data=training.data[:, :2]).recording_step().max())
        facts: dict[str, Any] = {
            "longest": int(short.lengths.max()),
            "spread": spread(training),
            "too_long": int((found.lengths > longest).sum()),
            "of_one_point": int((found.lengths == 1).sum()),
            "left_out": left_out_of(found),
            "temperature": preset.network.get("temperature", 1.0),
            "drawings": {"training": len(training), "validation": len(validation), "test": len(test)},
        }
        has_classes = "label" in found.fields and len(found.facts.get("categories", ())) > 1
        if has_classes and preset.network.get("class_size"):
            facts["categories"] = [str(name) for name in found.facts["categories"]]
        if not facts["spread"] > 0:
            raise InputError(f"{data}: no drawing moves the pen; expected lines.")
        steps = [step, step, 0.0, 0.0, 0.0]
        parts = {"training": training, "validation": validation, "test": test}
        noted = {"recording_step": np.array(steps)}  # for `rows`
        events = {
            name: replace(as_events(part), facts={**part.facts, **noted}) for name, part in parts.items()
        }
        return Corpus(**events, step=steps, facts=facts)

    def endings(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of pictures and of drawings; none for a folder of pictures."""
        return ".svg", ".npz", ".ndjson", ".inkml", ""

    def write(self, path: Path, sequences: Sequences, facts: Mapping[str, Any]) -> None:
        """Write drawings; as a picture they are a sheet, with their categories below them."""
        drawings = as_drawings(sequences)
        if path.suffix.lower() == ".svg":
            names = categories_of(drawings)
            sheet(list(drawings), path, labels=names if len(set(names)) > 1 else None)
        else:
            write_sketches(path, drawings)

    # ------------------------------------------------------------------ the model

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> SequenceModel:
        """Return the network, whose head may begin at the distribution of events, whatever came before."""
        settings = preset.network
        step = max(corpus.step[:2]) if corpus.step else 0.0
        family = head(settings["head"], settings["components"], corpus.facts["spread"], step)
        own = {name: value for name, value in settings.items() if name in _OF_THE_MODEL}
        if settings.get("class_size"):
            own["num_classes"] = len(corpus.facts.get("categories", ()))
            own["class_size"] = settings["class_size"] if own["num_classes"] else 0
        model = SketchRNN(family, seed=seed, **own)
        if settings.get("start", settings["head"] == "strokes"):
            initialize_head(model, corpus.training.data[::5], seed=seed)
        return model

    def trainer(self, model: SequenceModel, preset: Preset) -> keras.Model:
        """Return the model, or what gives it latent vectors and classes as it trains."""
        assert isinstance(model, SketchRNN)
        if not model.context_size:
            return model
        settings = {name: value for name, value in preset.network.items() if name.startswith("kl_")}
        return Variational(model, seed=model.seed, **settings)

    def fit(
        self,
        model: SequenceModel,
        preset: Preset,
        corpus: Corpus,
        seed: int,
        run: Run | None = None,
        title: str | None = None,
    ) -> Mapping[str, Sequence[float]]:
        """Train on copies of the drawings, see `augmented`; the corpus keeps them as they are."""
        assert isinstance(model, SketchRNN)
        drawings = as_drawings(corpus.training)
        copies = as_events(augmented(drawings, preset, seed))
        history = super().fit(model, preset, replace(corpus, training=copies), seed, run, title)
        if model.latent_size and model.num_classes:
            model.fit_prior(drawings, drawings.fields["label"])
            if run is not None:
                run.save(model)
        return history

    def rows(self, model: SequenceModel, preset: Preset, sequences: Sequences) -> Ragged:
        """Return whole drawings as the preset trains on them."""
        assert isinstance(model, SketchRNN)
        network = preset.network
        events = ended(sequences) if model.closing else sequences
        if network.get("recipe") == "2017":  # padding counts: the network is to know that nothing follows
            events = events.map(lambda one: padded([one], time=network["longest"] + 1)[0])
        labels = sequences.fields["label"] if model.num_classes else None
        rows = Ragged.padded(events, preset.batch_size, preset.buckets, context=labels)
        return rows.dithered(sequences.facts["recording_step"]) if network.get("dither") else rows

    def compile(self, model: keras.Model, preset: Preset, steps: int) -> None:
        """Compile with the loss and the optimiser of the preset."""
        settings = preset.network
        loss = SketchLoss(
            model.family,
            closing=settings.get("closing", False),
            floor=settings.get("floor", 0.0),
            pen_weights=settings.get("pen_weights"),
        )
        metrics = [KLDivergence()] if settings.get("latent_size") else None
        model.compile(self.optimizer(preset, steps), loss=loss, weighted_metrics=metrics)

    def optimizer(self, preset: Preset, steps: int) -> keras.optimizers.Optimizer:
        """Return the optimizer of the preset's recipe."""
        recipe = preset.network.get("recipe")
        if recipe == "2015":
            passes = preset.epochs * preset.network.get("copies", 1)
            schedule = keras.optimizers.schedules.ExponentialDecay(5e-3, max(1, steps // passes), 0.99)
            return keras.optimizers.Adam(schedule, epsilon=1e-3, global_clipnorm=5.0)
        if recipe == "2017":
            return keras.optimizers.Adam(Falling(1e-3, 1e-5, 0.9999), clipvalue=1.0)
        return super().optimizer(preset, steps)

    # ------------------------------------------------------------------ afterwards

    def generate(
        self, model: SequenceModel, facts: Mapping[str, Any], count: int, steps: int | None, **settings: Any
    ) -> Sequences:
        """Draw, after prompts if there are some, of a category or of any.

        What a latent vector is of a prompt, its encoder says; else it comes from its prior.
        """
        assert isinstance(model, SketchRNN)
        begun, category = settings.pop("prompt", None), settings.pop("category", None)
        if begun is not None:
            several = begun if isinstance(begun, list) else [begun]
            begun = [as_drawing(one) for one in several] * (count // len(several))
        if settings.get("temperature") is None:
            settings["temperature"] = facts.get("temperature")
        how = {"seed": settings.get("seed"), "temperature": settings["temperature"]}
        context, labels = self.context(model, facts, count, category, begun, **how)
        longest = steps or facts.get("longest", LONGEST)
        drawn = model.draw(count, longest, context=context, begun=begun, **settings)
        events = Sequences.of([to_stroke5(one, closing=False) for one in drawn])
        return events if labels is None else with_categories(events, [facts["categories"][n] for n in labels])

    def context(
        self,
        model: SketchRNN,
        facts: Mapping[str, Any],
        count: int,
        category: str | Sequence[str] | None,
        begun: Sequence[np.ndarray] | None = None,
        *,
        seed: int | None = None,
        temperature: float | None = None,
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return contexts for drawings and the numbers of their classes, None where there are none.

        Args:
            model: which.
            facts: the corpus's.
            count: how many drawings.
            category: of all, or of each; by default any, by chance.
            begun: what each begins with.
            seed: of what is drawn.
            temperature: by what the variance of a latent vector is multiplied.

        Raises:
            InputError: for a category that there is none of.
        """
        labels = None
        if model.num_classes:
            labels = labels_of(category, facts["categories"], count, seed)
        latent = model.draw_latent(count, labels, seed, temperature)
        if latent is not None and begun is not None:
            latent, _ = model.encode([whole(one) for one in begun])
        return model.context(latent, labels), labels

    def score(
        self, model: SequenceModel, sequences: Sequences, step: Sequence[float] | None
    ) -> SequenceScores:
        """Return the scores of held-out drawings."""
        assert isinstance(model, SketchRNN)
        labels = sequences.fields.get("label") if model.num_classes else None
        if model.num_classes and labels is None:
            raise InputError("The drawings do not say of which category they are; the model needs it.")
        step = sequences.recording_step().tolist() if step is None else step
        return score_drawings(model, list(as_drawings(sequences)), labels, step)

    # ------------------------------------------------------------------ models of other programs

    def take(
        self, file: Path, scale: float | None
    ) -> tuple[SequenceModel, Mapping[str, Any], Sequence[float]]:
        """Return the model in a JSON file of sketch-rnn-js or @magenta/sketch."""
        if scale is not None:
            raise InputError(f"{file} says itself by what offsets are divided; leave the scale out.")
        model, info = read_sketch_js(file)
        facts = {"longest": info["max_seq_len"], "spread": info["scale_factor"], "called": info["name"]}
        return model, facts, [1.0, 1.0, 0.0, 0.0, 0.0]  # their data are whole numbers

    def give(self, model: SequenceModel, facts: Mapping[str, Any], path: Path) -> str:
        """Write a JSON file for sketch-rnn-js and @magenta/sketch."""
        if path.suffix.lower() != ".json":
            raise InputError(f"{path} ends in {path.suffix!r}; expected .json")
        try:
            clipped = export_sketch_js(model, path, facts.get("called", "drawing"), facts["longest"])
        except ValueError as error:
            raise InputError(f"{path}: {error}.") from None
        return f"{counted(clipped, 'weight')} beyond ±10 were cut to that." if clipped else ""


_OF_THE_MODEL = (
    *("units", "cell", "layer_norm", "recurrent_dropout", "latent_size", "encoder_units"),
    *("closing", "sees_place"),
)
