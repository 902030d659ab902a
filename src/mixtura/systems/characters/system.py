"""The system: one symbol after the other, each with a probability given all before it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mixtura.data.sequences import Sequences, read_sequences, require, write_sequences
from mixtura.errors import InputError
from mixtura.families import Categorical
from mixtura.generation import Generated, StopAfterTotal
from mixtura.models import MDNRNN, SequenceModel
from mixtura.systems.characters import pictures
from mixtura.systems.characters.ngram import KneserNey
from mixtura.systems.characters.symbols import (
    BLOCK,
    END,
    KINDS,
    UNKNOWN,
    alphabet,
    blocks,
    decode,
    encode,
    encode_all,
    read_symbols,
)
from mixtura.systems.system import Corpus, Outcome, Preset, System, split_in_tenths
from mixtura.training import initialize_head

ORDERS = {"unigram": 1, "bigram": 2, "trigram": 3, "6-gram": 6}  # what it is compared with
STEPS = 1000  # symbols that are drawn unless told otherwise, at most


class Characters(System):
    """A network that ends in a softmax: the MDN-RNN with `Categorical` in place of a mixture.

    It learns texts (any UTF-8 file), tunes in ABC notation and melodies from MIDI files. Events are one-hot;
    a nat per step is a nat per symbol. A text is cut into contiguous blocks, and blocks or tunes are held
    out, never windows.
    """

    name = "characters"
    about = "the softmax RNN: texts, and melodies as ABC or MIDI"
    presets: ClassVar[Mapping[str, Preset]] = {
        # The network of Graves 2013 (arXiv:1308.0850), section 3.1: the Penn Treebank by characters.
        "paper": Preset(
            {"units": (1000,), "peephole": True},
            epochs=20,
            length=100,
            carried=True,
            learning_rate=1e-3,
            patience=3,
        ),
        "small": Preset(
            {"units": (256,), "recurrent_dropout": 0.3},
            epochs=24,
            batch_size=16,
            length=128,
            carried=True,
            learning_rate=4e-3,
            patience=4,
        ),
        "tiny": Preset(
            {"units": (16,)}, epochs=2, batch_size=16, length=32, carried=True, learning_rate=1e-2
        ),
    }

    # ------------------------------------------------------------------ data

    def corpus(self, data: Path | None, preset: Preset, seed: int) -> Corpus:
        """Return one-hot events of the symbols that training has, the others folded into one."""
        if data is None:
            raise InputError("characters needs data: name a text, an .abc file or a folder with --data.")
        kind, found = read_symbols(data)
        if not KINDS[kind].ends:
            size = min(BLOCK, max(100, sum(map(len, found)) // 50))
            found = [block for text in found for block in blocks(text, size)]
        numbers = Sequences.of(np.arange(len(found)).reshape(-1, 1, 1))
        dealt = split_in_tenths(numbers, seed, data)
        parts = [[found[number] for number in part.data[:, 0]] for part in dealt]
        letters = alphabet(kind, parts[0])
        training, validation, test = (encode_all(part, letters) for part in parts)
        facts = {"kind": kind, "symbols": letters}
        return Corpus(training, validation, test, (0.0,) * len(letters), facts)

    def read(self, path: Path, facts: Mapping[str, Any]) -> Sequences:
        """Return a file's events; symbols that training did not have are the unknown one.

        An `.npz` file, such as `write` makes, has the events themselves.
        """
        if path.suffix.lower() == ".npz":
            events = read_sequences(path)
            require(events, len(facts["symbols"]), what=str(path))
            if not (np.isin(events.data, (0, 1)).all() and (events.data.sum(axis=1) == 1).all()):
                raise InputError(f"{path} has events that are not one-hot; expected a 1 among zeros in each")
            return events
        kind, found = read_symbols(path, facts["kind"])
        if not KINDS[kind].ends:
            found = [block for text in found for block in blocks(text)]
        return encode_all(found, facts["symbols"])

    def endings(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of texts, of music or of MIDI, and .npz for events as they are."""
        return *KINDS[facts["kind"]].write, ".npz"

    def write(self, path: Path, sequences: Sequences, facts: Mapping[str, Any]) -> None:
        """Write texts as .txt, tunes as .abc or .mid, melodies as .mid or their symbols as .txt; or .npz."""
        self.check_ending(path, facts)
        suffix = path.suffix.lower()
        if suffix == ".npz":
            return write_sequences(path, sequences)
        symbols = [decode(events, facts["symbols"]) for events in sequences]
        if facts["kind"] != "text":  # a text shows what is unknown, music leaves it out
            symbols = [[one for one in drawn if one != UNKNOWN] for drawn in symbols]
        return KINDS[facts["kind"]].write[suffix](path, symbols)

    # ------------------------------------------------------------------ the model

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> SequenceModel:
        """Return the network, its head at the symbols' frequencies."""
        model = MDNRNN(Categorical(corpus.training.event_size), seed=seed, **preset.network)
        events = corpus.training.data
        initialize_head(model, events[:: 1 + len(events) // 100_000])
        return model

    # ------------------------------------------------------------------ afterwards

    def generate(
        self, model: SequenceModel, facts: Mapping[str, Any], count: int, steps: int | None, **settings: Any
    ) -> Generated:
        """Draw texts or melodies; a `prompt` may be a text too, or symbols as the files have them."""
        kind, letters = KINDS[facts["kind"]], facts["symbols"]
        prompt = settings.get("prompt")
        if isinstance(prompt, str):
            settings["prompt"] = prompt = encode(kind.parse(prompt), letters)
        if kind.ends:
            end = letters.index(END)
            settings["stop"] = StopAfterTotal(end, 1.0)
            settings["prompt"] = None if prompt is None else _unended(prompt, end)
        return model.generate(steps or STEPS, batch_size=count, **settings)

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Compare the network with n-grams on the test sequences; draw, and write a sample into the run."""
        model, corpus, figures = outcome.model, outcome.corpus, outcome.figures
        assert corpus.test is not None  # this system's corpus has one
        kind, letters = corpus.facts["kind"], corpus.facts["symbols"]
        training, validation, test = (
            [events.argmax(axis=-1) for events in part]
            for part in (corpus.training, corpus.validation, corpus.test)
        )
        surprise = {"network": list(outcome.scores.surprise)}
        for name, order in ORDERS.items():
            grams = KneserNey(training, validation, len(letters), order)
            surprise[name] = [grams.nll(one) for one in test]
        scores = {name: float(np.concatenate(each).mean()) for name, each in surprise.items()}
        pictures.learning(outcome.history, scores, figures / "learning.png")
        longest = int(corpus.test.lengths.argmax())
        pictures.passage(
            [f"{symbol} " if kind == "midi" else symbol for symbol in decode(corpus.test[longest], letters)],
            {f"the {name}": surprise[name][longest] for name in ("trigram", "network")},
            figures / "passage.png",
        )
        drawn = self.generate(model, corpus.facts, 1, None, seed=outcome.seed)
        sample = figures.parent / f"sample{next(iter(KINDS[kind].write))}"
        self.write(sample, Sequences.of([drawn[0]]), corpus.facts)
        return {
            "kind": kind,
            "symbols": len(letters),
            "unknown_share": float((np.concatenate(test) == 0).mean()),
            "nats_per_symbol": scores,
        }


def _unended(prompt: Any, end: int) -> Any:
    """Return a prompt, or several, without the symbol that a file's tunes end with."""
    if isinstance(prompt, list):
        return [_unended(one, end) for one in prompt]
    return prompt[prompt[:, end] == 0]
