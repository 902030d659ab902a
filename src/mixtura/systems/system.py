"""What a system is: its data, its presets, its model, its training and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from mixtura.data.sequences import Sequences, read_sequences, require, write_sequences
from mixtura.data.tables import counted
from mixtura.errors import InputError
from mixtura.evaluation.sequences import SequenceScores, score_sequences
from mixtura.generation import Generated
from mixtura.losses import NegativeLogLikelihood
from mixtura.models import SequenceModel, import_mdn_rnn
from mixtura.models.imports import Columns
from mixtura.training import EpochProgress, Ragged, Run, Stateful, fit, progress_bar


@dataclass(frozen=True)
class Preset:
    """What a system is trained with.

    Attributes:
        network: arguments of the model, such as `units`; each system says which.
        epochs: of training.
        batch_size: sequences, or windows of them, in a step.
        length: of the windows; None trains on whole sequences.
        stride: from one window's start to the next one's; None for windows that do not overlap.
        carried: whether windows follow each other and the state is carried from one to the next: truncated
            backpropagation (see `Stateful`), for what is much longer than a window. They do not overlap then.
        buckets: padded lengths, where whole sequences differ in length.
        learning_rate: Adam's at the start; it falls to a fiftieth along a cosine.
        clipnorm: the largest norm of a variable's gradient.
        patience: training stops after so many epochs without a better validation loss, and the best weights
            are kept.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 20
    batch_size: int = 32
    length: int | None = None
    stride: int | None = None
    carried: bool = False
    buckets: int = 4
    learning_rate: float = 2e-3
    clipnorm: float = 1.0
    patience: int = 10


@dataclass(frozen=True)
class Corpus:
    """A system's data, split by sequence.

    Attributes:
        training: what the network learns from.
        validation: what decides when to stop; never learnt from.
        test: what is scored at the end. None: the validation sequences are, and the report says so.
        step: the recording step of each dimension; 0 where values are continuous or discrete. None: what the
            training sequences show.
        facts: what is needed to read and write events again, such as an alphabet; kept in the run's
            `config.json`, so in JSON's types.
    """

    training: Sequences
    validation: Sequences
    test: Sequences | None = None
    step: Sequence[float] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A training that is done, for a system to report on.

    Attributes:
        model: trained.
        preset: what it was trained with.
        corpus: what it was trained on.
        history: losses of every epoch, by name.
        scores: on the held-out sequences.
        figures: the folder for pictures; the run's folder is above it.
        seed: of samples.
    """

    model: SequenceModel
    preset: Preset
    corpus: Corpus
    history: Mapping[str, Sequence[float]]
    scores: SequenceScores
    figures: Path
    seed: int


def split_in_tenths(sequences: Sequences, seed: int, data: Path) -> tuple[Sequences, ...]:
    """Split by sequence: eight tenths, one tenth, one tenth, and one sequence at least.

    Raises:
        InputError: for fewer than three; it names the file.
    """
    if len(sequences) < 3:
        amount = counted(len(sequences), "sequence")
        raise InputError(f"{data} has {amount}; expected at least 3, to split them.")
    tenth = max(1, round(0.1 * len(sequences))) / len(sequences)
    return sequences.split((1 - 2 * tenth, tenth, tenth), seed=seed)


def score_after_first(
    model: SequenceModel,
    sequences: Sequences,
    step: Sequence[float] | None,
    first: str,
    dims: Sequence[int] | None = None,
) -> SequenceScores:
    """Return the scores of events whose last dimension is dt, the first event of each sequence being given.

    Of the parts, dt is scored given the dimensions before it, so that heads with and without a shared choice
    of component compare.

    Args:
        model: to score.
        sequences: of its events.
        step: the recording step of each dimension.
        first: what the dimensions before dt are called together.
        dims: the dimensions that are scored, dt last; by default all.
    """
    weights = [np.arange(len(one)) > 0 for one in sequences]
    scores = score_sequences(model, sequences, step, weights=weights, dims=dims)
    if set(scores.parts) == {first, "dt"}:
        return scores
    before = (range(sequences.event_size) if dims is None else dims)[:-1]
    nll = score_sequences(model, sequences, step, weights=weights, dims=before).nll
    return replace(scores, parts={first: nll, "dt": scores.nll - nll})


class System:
    """A system: a folder that has one of these, and nothing elsewhere.

    A subclass sets `name`, `about` and `presets` and writes `build`; the rest has defaults, which serve
    sequences of numbers in any file that `mixtura.data.sequences.read_sequences` reads.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    presets: ClassVar[Mapping[str, Preset]]
    order: ClassVar[Columns | None] = None  # of the events in models of other packages, if it takes any
    data_name: ClassVar[str | None] = None  # of its own data, below the folder that `MIXTURA_DATA` names

    # ------------------------------------------------------------------ data

    def read(self, path: Path, facts: Mapping[str, Any]) -> Sequences:
        """Return the events of a file, as the model takes them.

        Args:
            path: the file.
            facts: the corpus's, of a run; empty when the corpus is being made.

        Raises:
            InputError: if the file cannot be read or holds no such events; if both files name their columns
                and these differ.
        """
        found = read_sequences(path)
        columns, expected = _columns(found), facts.get("columns")
        if columns and expected and columns != expected:
            raise InputError(f"{path} has the columns {columns}; expected {expected}, as in training.")
        return found

    def corpus(self, data: Path | None, preset: Preset, seed: int) -> Corpus:
        """Return the data, split by sequence: eight tenths to learn from, one to stop by, one to score."""
        if data is None:
            raise InputError(f"{self.name} needs data: name a file with --data.")
        sequences = self.read(data, {})
        training, validation, test = split_in_tenths(sequences, seed, data)
        require(sequences, steps=2, what=str(data))
        facts: dict[str, Any] = {"length": int(np.median(training.lengths))}
        if columns := _columns(sequences):
            facts["columns"] = columns
        return Corpus(training, validation, test, training.recording_step().tolist(), facts)

    def endings(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the endings of the files that `write` writes."""
        return ".csv", ".npz"

    def usage(self, model: SequenceModel) -> str:
        """Return the command that uses a model, with RUN for the folder."""
        return "mixtura generate RUN --out FILE"

    def check_ending(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Raise an InputError if the system has no format for a path's ending; call it before any work."""
        if path.suffix.lower() not in (endings := self.endings(facts)):
            known = ", ".join(ending or "no ending" for ending in endings)
            raise InputError(f"{path} ends in {path.suffix!r}; expected {known}")

    def write(self, path: Path, sequences: Sequences, facts: Mapping[str, Any]) -> None:
        """Write generated events; the ending of the path picks the format.

        Raises:
            InputError: for an ending that the system has no format for.
        """
        if "columns" in facts:
            sequences = replace(sequences, facts={"columns": np.array(facts["columns"])})
        write_sequences(path, sequences)

    def start_from(
        self, model: SequenceModel, facts: Mapping[str, Any], data: Path | None, preset: Preset, seed: int
    ) -> tuple[SequenceModel, Corpus]:
        """Return the model of a run, ready for other data, and these data in its units.

        Args:
            model: trained.
            facts: of the corpus that it was trained on.
            data: what it is to learn from now.
            preset: what it is to be trained with; its network is not used.
            seed: of the split.

        Raises:
            InputError: if the system's models cannot be trained on, or the data do not fit this one.
        """
        raise InputError(f"the models of {self.name} cannot be trained on with other data.")

    # ------------------------------------------------------------------ the model

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> SequenceModel:
        """Return the model, not compiled, its family in the data's units."""
        raise NotImplementedError

    def take(
        self, file: Path, scale: float | None
    ) -> tuple[SequenceModel, Mapping[str, Any], Sequence[float]]:
        """Return the model in a file of another package's, and the facts and recording step of its data.

        Args:
            file: a `.keras` file of keras-mdn-layer's, unless the system says otherwise.
            scale: by what the model's events are multiplied.

        Raises:
            InputError: if the file holds no model of the system's events.
        """
        model = import_mdn_rnn(file, scale=scale, columns=self.order)
        return model, *self.adopt(model.family.event_size)

    def give(self, model: SequenceModel, facts: Mapping[str, Any], path: Path) -> str:
        """Write a model for another package, and return what is to be said about it, if anything.

        Raises:
            InputError: if there is no other package that runs it.
        """
        raise InputError(f"no other package runs the models of {self.name}.")

    def adopt(self, size: int) -> tuple[Mapping[str, Any], Sequence[float]]:
        """Return the facts and the recording step of a corpus that an imported model could be of.

        Args:
            size: of its events.

        Raises:
            InputError: if there is none of such events.
        """
        raise InputError(f"{self.name} takes no models of other packages.")

    def rows(self, model: SequenceModel, preset: Preset, sequences: Sequences) -> Ragged:
        """Return sequences as the rows that the model is trained on."""
        if preset.length is None:
            return Ragged.padded(sequences, batch_size=preset.batch_size, buckets=preset.buckets)
        start = model.start_event()
        if preset.carried:
            return Ragged.streams(sequences, preset.length, start=start, batch_size=preset.batch_size)
        return Ragged.windows(
            sequences, preset.length, preset.stride, start=start, batch_size=preset.batch_size
        )

    def trainer(self, model: SequenceModel, preset: Preset) -> keras.Model:
        """Return what is trained in the model's place: itself, or `Stateful` around it."""
        return Stateful(model, preset.batch_size) if preset.carried else model

    def optimizer(self, preset: Preset, steps: int) -> keras.optimizers.Optimizer:
        """Return the optimizer of so many steps of training: Adam, the rate falling along a cosine."""
        rate = keras.optimizers.schedules.CosineDecay(preset.learning_rate, steps, alpha=0.02)
        return keras.optimizers.Adam(rate, clipnorm=preset.clipnorm)

    def callbacks(self, preset: Preset) -> Sequence[keras.callbacks.Callback]:
        """Return what acts between epochs, beside progress and patience."""
        return ()

    def compile(self, model: keras.Model, preset: Preset, steps: int) -> None:
        """Compile the model for so many steps of training."""
        model.compile(self.optimizer(preset, steps), loss=NegativeLogLikelihood(model.family))

    def fit(
        self,
        model: SequenceModel,
        preset: Preset,
        corpus: Corpus,
        seed: int,
        run: Run | None = None,
        title: str | None = None,
    ) -> Mapping[str, Sequence[float]]:
        """Train the model, showing progress, and return the losses of every epoch.

        Args:
            model: what `build` returned, or another of the same events.
            preset: what to train with.
            corpus: what to train on.
            seed: of the batches.
            run: where to keep the state; see `mixtura.training.fit`.
            title: what the progress bar says; by default the system's name.
        """
        parts = corpus.training, corpus.validation
        training, validation = (self.rows(model, preset, part) for part in parts)
        trainer = self.trainer(model, preset)
        batches = sum(len(events) for _, events, _ in training.parts) // training.batch_size
        self.compile(trainer, preset, preset.epochs * batches)
        patience = keras.callbacks.EarlyStopping(patience=preset.patience, restore_best_weights=True)
        with progress_bar() as progress:
            history = fit(
                trainer,
                training,
                validation_data=validation,
                epochs=preset.epochs,
                verbose=0,
                callbacks=[EpochProgress(progress, title or self.name), *self.callbacks(preset), patience],
                seed=seed,
                run=run,
            )
        return history.history

    # ------------------------------------------------------------------ afterwards

    def generate(
        self, model: SequenceModel, facts: Mapping[str, Any], count: int, steps: int | None, **settings: Any
    ) -> Generated | list[np.ndarray] | Sequences:
        """Draw so many sequences, a prompt included.

        Args:
            model: trained.
            facts: the corpus's.
            count: how many.
            steps: of each; None for the system's own number, the median of the training sequences.
            **settings: of `mixtura.generation.generate`: `seed`, `temperature`, `prompt`.
        """
        return model.generate(steps or facts.get("length", 200), batch_size=count, **settings)

    def score(
        self, model: SequenceModel, sequences: Sequences, step: Sequence[float] | None
    ) -> SequenceScores:
        """Return the scores of held-out sequences."""
        return score_sequences(model, sequences, step)

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Draw the system's pictures of a trained model, and return its own numbers."""
        return {}


def _columns(sequences: Sequences) -> list[str]:
    """Return what a file calls the dimensions; nothing where it does not."""
    return [str(column) for column in sequences.facts.get("columns", ())]
