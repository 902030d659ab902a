import json

import keras
import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.families import Categorical
from mixtura.models import MDNRNN
from mixtura.systems import runs
from mixtura.systems.characters import Characters
from mixtura.systems.characters.ngram import KneserNey
from mixtura.systems.characters.symbols import END, UNKNOWN
from mixtura.systems.registry import find

RNG = np.random.default_rng(0)
WORDS = ["the", "a", "mole", "owl", "sees", "hears", "sings", "softly,", "far", "away.", "and", "then\n"]
TEXT = " ".join(RNG.choice(WORDS, size=1500))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("characters")
    (folder / "words.txt").write_text(TEXT)
    keras.utils.set_random_seed(0)
    result = runs.train(find("characters"), folder / "words.txt", folder / "run", preset="tiny")
    return result, folder / "run"


def test_training_leaves_scores_beside_n_grams(trained):
    result, run = trained
    numbers = json.loads((run / "report.json").read_text())["characters"]
    assert numbers == result.numbers
    scores = numbers["nats_per_symbol"]
    assert list(scores) == ["network", "unigram", "bigram", "trigram", "6-gram"]
    assert scores["network"] == pytest.approx(result.scores.nll_per_step, abs=1e-9)
    assert scores["unigram"] > scores["bigram"] > scores["trigram"] > scores["6-gram"]
    assert numbers["symbols"] == len(set(TEXT)) + 1
    assert numbers["unknown_share"] == 0
    # The head starts at the symbols' frequencies, from where two epochs go down.
    assert scores["network"] < scores["unigram"]


def test_the_n_grams_are_those_of_the_parts(trained):
    system, (result, run) = Characters(), trained
    corpus = system.corpus(run.parent / "words.txt", system.presets["tiny"], seed=0)
    parts = [[events.argmax(axis=-1) for events in part] for part in (corpus.training, corpus.validation)]
    trigram = KneserNey(*parts, num_symbols=corpus.training.event_size)
    each = [trigram.nll(events.argmax(axis=-1)) for events in corpus.test]
    assert np.concatenate(each).mean() == pytest.approx(result.numbers["nats_per_symbol"]["trigram"])
    lengths = [len(part.data) for part in (corpus.training, corpus.validation, corpus.test)]
    assert sum(lengths) == len(TEXT)
    assert lengths[0] > 0.7 * len(TEXT)


def test_training_leaves_pictures_and_a_sample(trained):
    _, run = trained
    for name in ("loss", "learning", "passage"):
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert set((run / "sample.txt").read_text()) <= {*TEXT, UNKNOWN}


def test_texts_are_generated_and_go_on_from_a_prompt(trained):
    _, run = trained
    runs.generate(run, run.parent / "two.txt", count=2, steps=20, seed=1)
    assert len((run.parent / "two.txt").read_text()) == 43
    system, model, config = runs.opened(run)
    drawn = system.generate(model, config["facts"], 2, 5, seed=1, prompt="the owl ")
    system.write(run.parent / "prompted.txt", [drawn[0], drawn[1]], config["facts"])
    assert [len(one) for one in drawn] == [13, 13]
    assert (run.parent / "prompted.txt").read_text().count("the owl ") >= 2
    with pytest.raises(InputError, match=r"two.pdf ends in '.pdf'; expected .txt, .npz"):
        runs.generate(run, run.parent / "two.pdf", seed=1, steps=3)


def test_another_text_is_scored_with_its_unknown_symbols(trained):
    _result, run = trained
    (run.parent / "other.txt").write_text("the mole sings")
    (run.parent / "strange.txt").write_text("the mole §ings")
    known = runs.evaluate(run, run.parent / "other.txt")
    strange = runs.evaluate(run, run.parent / "strange.txt")
    assert (known.counts.tolist(), strange.counts.tolist()) == ([14], [14])
    assert np.isfinite(strange.nll_per_step)
    assert strange.nll_per_step > known.nll_per_step


def test_generated_events_are_scored_from_npz(trained):
    _, run = trained
    drawn = runs.generate(run, run.parent / "drawn.npz", steps=20, seed=1)
    found = runs.evaluate(run, run.parent / "drawn.npz").to_dict()
    assert found["steps"] == 20
    assert found["bits_per_step"] == pytest.approx(found["nll_per_step"] / np.log(2))
    np.savez(run.parent / "half.npz", data=drawn.data / 2, offsets=drawn.offsets)
    with pytest.raises(InputError, match=r"half.npz has events that are not one-hot"):
        runs.evaluate(run, run.parent / "half.npz")


def test_tunes_end_by_themselves(tmp_path):
    tunes = "\n".join(f"X:{n}\nK:C\n{'CDEG'[n % 4] * (n % 3 + 1)}|\n" for n in range(40))
    (tmp_path / "tunes.abc").write_text(tunes)
    system = Characters()
    corpus = system.corpus(tmp_path / "tunes.abc", system.presets["tiny"], seed=0)
    letters = corpus.facts["symbols"]
    assert (len(corpus.training), len(corpus.validation), len(corpus.test)) == (32, 4, 4)
    assert letters == [UNKNOWN, END, "C", "D", "E", "G", "K:C\n", "|"]
    assert [one.argmax(axis=1)[-1] for one in corpus.test] == [1] * 4
    model = system.build(system.presets["tiny"], corpus, seed=0)
    (tmp_path / "begun.abc").write_text("X:1\nK:C\nC")
    begun = system.read(tmp_path / "begun.abc", corpus.facts)[0]
    assert begun.argmax(axis=1).tolist() == [6, 2, 1]  # a file's tune has an end, a beginning has none
    drawn = system.generate(model, corpus.facts, 8, None, seed=0, prompt=begun)
    same = system.generate(model, corpus.facts, 8, None, seed=0, prompt="K:C\nC")
    np.testing.assert_array_equal(drawn.events, same.events)
    assert drawn.ended.all()
    assert all(one.argmax(axis=1)[-1] == 1 for one in drawn)
    system.write(tmp_path / "drawn.abc", [drawn[n] for n in range(8)], corpus.facts)
    text = (tmp_path / "drawn.abc").read_text()
    assert text.startswith("X:1\nT:1\nK:C\nC")
    assert text.count("X:") == 8
    assert UNKNOWN not in text


def test_data_that_cannot_be_split(tmp_path):
    system = Characters()
    with pytest.raises(InputError, match="characters needs data: name a text"):
        system.corpus(None, system.presets["tiny"], 0)
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(InputError, match=r"short.txt has 1 sequence; expected at least 3, to split them"):
        system.corpus(tmp_path / "short.txt", system.presets["tiny"], 0)


@pytest.mark.slow
def test_the_published_network_has_the_published_size():
    # Graves 2013, section 3.1: 49 symbols, "approximately 4.3M weights".
    model = MDNRNN(Categorical(49), **Characters.presets["paper"].network)
    assert model.count_params() == 4 * 1000 * (49 + 1000 + 1) + 3 * 1000 + 49 * 1001
