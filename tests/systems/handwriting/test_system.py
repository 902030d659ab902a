import json

import keras
import numpy as np
import pytest

import mixtura as mx
from mixtura.data.alphabets import GRAVES, Alphabet
from mixtura.data.cleaning import Cleaning, cleaned
from mixtura.data.sequences import Sequences, read_sequences, write_sequences
from mixtura.errors import InputError
from mixtura.evaluation.sequences import score_sequences
from mixtura.models import Handwriting
from mixtura.systems import runs
from mixtura.systems.handwriting import data as corpora
from mixtura.systems.handwriting.scoring import paper_protocol, text_gain
from mixtura.systems.handwriting.system import texts_of
from mixtura.systems.registry import find

RNG = np.random.default_rng(5)
COUNT = 40  # lines
LETTERS = {
    "a": [(1, -2), (1, 2), (1, 0)],
    "b": [(0, -3), (1, 3), (2, 0)],
    "c": [(2, 1), (-1, -1), (2, 0)],
}


def a_line(text, unit=10.0):
    """Return letters of three straight moves each, in four points a move; a space lifts the pen."""
    rows = [(0.0, 0.0, 0.0)]
    for letter in text:
        if letter == " ":
            rows[-1] = (*rows[-1][:2], 1.0)
            rows.append((3 * unit, 0.0, 0.0))
        for x, y in LETTERS.get(letter, []):
            rows += [(x * unit / 4 + RNG.normal(0, 0.1), y * unit / 4 + RNG.normal(0, 0.1), 0.0)] * 4
    rows[-1] = (*rows[-1][:2], 1.0)
    return np.array(rows)


def lines_of(count, **fields):
    texts = [
        "".join(RNG.choice(list("abc"), 2)) + " " + "".join(RNG.choice(list("abc"), 2)) for _ in range(count)
    ]
    fields = {name: value[:count] for name, value in fields.items()}
    return Sequences.of([a_line(text) for text in texts], text=np.array(texts), **fields)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "lines.npz"
    write_sequences(path, lines_of(COUNT))
    return path


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    runs.train(find("handwriting"), data, out, preset="tiny", seed=0)
    return out


def test_training_leaves_numbers_and_pictures(run):
    report = json.loads((run / "report.json").read_text())
    own = report["handwriting"]
    assert own["nats_per_line"] == pytest.approx(report["scores"]["nll_per_sequence"])
    assert own["lines"]["training"] + own["lines"]["held out"] == COUNT
    assert own["cleaning"]["thin"] == 1
    assert np.isfinite(
        [own["text_gain"], own["paper"]["nats_per_line"], own["paper"]["sum_squared_error"]]
    ).all()
    assert {path.name for path in (run / "figures").iterdir()} == {
        "attention.png",
        "density.png",
        "loss.png",
        "written.svg",
    }


@pytest.mark.parametrize("name", ["written.svg", "written.npz", "written.json", "written"])
def test_it_writes_texts_of_its_own_alphabet(run, tmp_path, name):
    drawn = runs.generate(run, tmp_path / name, count=2, seed=0)
    assert (tmp_path / name).exists()
    assert set("".join(drawn.fields["text"])) <= set("abc ")
    for line in drawn:
        assert line[-1, 2] == 1


def test_a_run_is_evaluated_on_lines_as_they_were_recorded(run, data):
    scores = runs.evaluate(run, data)
    assert len(scores.nll) == COUNT
    # The first point is given.
    assert scores.counts.tolist() == (read_sequences(data).lengths - 1).tolist()


@pytest.mark.slow
def test_one_goes_on_with_ones_own_hand_and_new_letters(run, tmp_path):
    own = [a_line(text, unit=0.5) for text in ("ab", "cab", "bca ab", "aab")]
    mine = tmp_path / "mine.npz"
    write_sequences(mine, Sequences.of(own, text=np.array(["ab", "cab", "bca ab", "ázb"])))
    runs.train(find("handwriting"), mine, tmp_path / "own", preset="own", start=run, epochs=1)
    _, before, about = runs.opened(run)
    _, model, config = runs.opened(tmp_path / "own")
    assert model.alphabet.symbols == before.alphabet.symbols + "zá"
    assert config["facts"]["spread"] == about["facts"]["spread"]
    assert config["facts"]["cleaning"]["height"] == about["facts"]["body"]
    assert config["start"] == run.name
    assert len(runs.evaluate(tmp_path / "own", mine).nll) == 4


def going_on(run, data, preset):
    system = find("handwriting")
    _, model, config = runs.opened(run)
    return model, config["facts"], *system.start_from(model, config["facts"], data, system.presets[preset], 0)


def test_noise_goes_on_with_the_same_lines_units_and_network(run, data):
    before, facts, model, corpus = going_on(run, data, "noise")
    for name in ("cleaning", "steps", "spread", "mean", "std", "alphabet"):
        assert corpus.facts[name] == facts[name]
    assert model.count_params() == before.count_params()
    np.testing.assert_array_equal(model.get_weights()[0], before.get_weights()[0])
    points = 32 * corpus.training.lengths.mean()  # the limits are for its own batches
    assert model.clip == pytest.approx((100 / points, 10 / points))


def test_a_hand_is_a_style_of_its_own_name(tmp_path):
    write_sequences(tmp_path / "print.npz", lines_of(10))
    training, held_out, facts = corpora.corpus_lines(
        tmp_path / "print.npz",
        {"hand": True},
        seed=0,
        base={**BASE, "styles": ["round", "print"]},
    )
    assert facts["styles"] == ["round", "print", "print-2"]
    assert set(training.fields["style"]) == set(held_out.fields["style"]) == {2}
    assert len(held_out) >= 2
    assert facts["alphabet"] == ["x abc", False]


BASE = {
    "spread": 1.0,
    "step": 1.0,
    "mean": [0.0, 0.0],
    "std": [1.0, 1.0],
    "body": 2.0,
    "points_per_letter": 8.0,
    "longest_text": 9,
    "alphabet": ["x", False],
    "cleaning": {},
}


@pytest.mark.parametrize("preset", ["own", "noise"])
def test_what_goes_on_needs_a_run(data, tmp_path, preset):
    with pytest.raises(InputError, match="goes on from a run; name it with --from"):
        runs.train(find("handwriting"), data, tmp_path / "out", preset=preset)
    assert not (tmp_path / "out").exists()


def test_texts_of_its_own_fit_an_alphabet():
    texts = texts_of(Alphabet("abcdefgh"), 30, 6, seed=0)
    assert len(texts) == 30
    assert all(0 < len(text) <= 6 and set(text) <= set("abcdefgh") for text in texts)
    with pytest.raises(InputError, match="too few letters"):
        texts_of(Alphabet("漢"), 3, 6, seed=0)


def test_only_handwriting_is_trained_on(data, tmp_path, run):
    with pytest.raises(InputError, match="is a run of the system 'handwriting'; received the system 'kanji'"):
        runs.train(find("kanji"), data, tmp_path / "out", start=run)
    with pytest.raises(InputError, match="the models of kanji cannot be trained on"):
        find("kanji").start_from(None, {}, data, find("kanji").presets["tiny"], 0)


# ---------------------------------------------------------------------- corpora


def corpus(tmp_path, lines, preset="tiny", **network):
    write_sequences(tmp_path / "lines.npz", lines)
    settings = {**find("handwriting").presets[preset].network, **network}
    return corpora.corpus_lines(tmp_path / "lines.npz", settings, seed=0)


def test_official_sets_are_kept_apart(tmp_path):
    sets = np.array([0, 1, 2, 3, -1] * 4)
    lines = lines_of(20, iam_set=sets, line_id=np.arange(20))
    training, held_out, _ = corpus(tmp_path, lines)
    assert training.fields["line_id"].tolist() == np.flatnonzero(np.isin(sets, [0, 2, 3])).tolist()
    assert held_out.fields["line_id"].tolist() == np.flatnonzero(sets == 1).tolist()


def test_no_held_out_text_is_learnt(tmp_path):
    training, held_out, facts = corpus(tmp_path, lines_of(60))
    assert len(held_out) > 0
    assert not set(training.fields["text"]) & set(held_out.fields["text"])
    assert facts["lines"] == {"training": len(training), "held out": len(held_out)}


def test_lines_are_thinned_to_the_points_that_a_preset_wants(tmp_path):
    lines = lines_of(20)  # about ten points a letter
    _, _, as_they_are = corpus(tmp_path, lines)
    training, held_out, thinned = corpus(tmp_path, lines, points_per_letter=3)
    assert as_they_are["cleaning"]["thin"] == 1
    assert as_they_are["cleaning"]["smooth"] == 0
    assert thinned["cleaning"] | {"thin": 3, "smooth": 5} == thinned["cleaning"]
    expected = cleaned(lines, Cleaning(smooth=5, thin=3))
    assert len(training.data) + len(held_out.data) == len(expected.data)
    assert thinned["points_per_letter"] == pytest.approx(
        len(expected.data) / sum(map(len, lines.fields["text"]))
    )


def test_the_published_alphabet_and_units(tmp_path):
    training, _, facts = corpus(tmp_path, lines_of(20), preset="paper")
    assert facts["alphabet"] == [GRAVES.symbols, True]
    np.testing.assert_allclose(facts["mean"], training.data[:, :2].mean(axis=0))
    np.testing.assert_allclose(facts["std"], training.data[:, :2].std(axis=0))


def test_whole_numbers_have_a_recording_step_and_means_of_them_a_finer_one(tmp_path):
    lines = lines_of(20).map(np.rint)
    assert corpus(tmp_path, lines)[2]["steps"] == [1.0, 1.0]
    assert corpus(tmp_path, lines, points_per_letter=3)[2]["steps"] == [0.2, 0.2]
    assert corpus(tmp_path, lines, cleaning={"baseline": True})[2]["steps"] == [0.0, 0.0]
    in_pixels = lines.map(lambda one: (one * [0.0006, 0.005, 1]).astype(np.float32))
    assert corpus(tmp_path, in_pixels)[2]["steps"] == [0.0006, 0.005]


def test_too_few_lines_are_refused(tmp_path):
    with pytest.raises(InputError, match="has 1 line to learn from; expected at least 2"):
        corpus(tmp_path, lines_of(1))
    same = lines_of(3)
    same = Sequences(same.data, same.offsets, {"text": np.array(["ab ab"] * 3)})
    with pytest.raises(InputError, match="there is one text, 'ab ab'; expected at least 2"):
        corpus(tmp_path, same)


def test_copies_are_stretched_and_sheared_as_a_whole():
    lines = lines_of(3)
    copies = corpora.augmented(lines, {"copies": 2, "stretch": 0.2}, seed=0)
    assert len(copies) == 6
    for number, copy in enumerate(copies):
        line = lines[number % 3]
        np.testing.assert_array_equal(copy[:, 2], line[:, 2])
        change, *_ = np.linalg.lstsq(line[:, :2], copy[:, :2], rcond=None)
        np.testing.assert_allclose(line[:, :2] @ change, copy[:, :2], atol=1e-9)
        assert change[0, 1] == pytest.approx(0, abs=1e-9)  # the baseline stays level
        assert 0.8 <= change[0, 0] <= 1.2


def test_styles_are_known_by_name(tmp_path):
    lines = lines_of(4, style=np.array([1, 0, 1, 0]))
    lines = Sequences(lines.data, lines.offsets, lines.fields, {"styles": np.array(["steep", "round"])})
    found = corpora.with_styles(lines, ["round", "steep", "other"], tmp_path)
    assert found.fields["style"].tolist() == [0, 1, 0, 1]
    with pytest.raises(InputError, match="no style 'steep'; expected one of round, other"):
        corpora.with_styles(lines, ["round", "other"], tmp_path)
    with pytest.raises(InputError, match="does not say in which style"):
        corpora.with_styles(lines_of(2), ["round"], tmp_path)


# ---------------------------------------------------------------------- scores


@pytest.fixture(scope="module")
def predictor():
    keras.utils.set_random_seed(3)
    offset = mx.Affine(mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 2), [1.0, 2.0], [3.0, 4.0])
    return Handwriting(mx.Joint(offset=offset, end=mx.Bernoulli()), (3,))


def test_the_papers_numbers_by_hand(predictor):
    lines = corpora.as_events(lines_of(3), 3)
    mean, std = np.array([0.5, -0.5]), np.array([2.0, 5.0])
    scores = score_sequences(predictor, lines, 0.0)
    numbers = paper_protocol(predictor, lines, scores, mean, std)
    losses, errors = [], []
    for line in lines:
        params = np.asarray(predictor(line[None].astype("float32")))[0]
        p = predictor.family(params)
        # The density of (x - mean) / std is that of x times the std of each axis.
        losses.append(-(p.log_prob(line) + np.log(std).sum()).sum())
        weights, means = p["offset"].weights, p["offset"].means
        expected = (weights[..., None] * means).sum(axis=1)
        errors.append((((line[:, :2] - mean) / std - (expected - mean) / std) ** 2).sum(axis=1))
    assert numbers["nats_per_line"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert numbers["nats_per_point"] == pytest.approx(np.sum(losses) / len(lines.data), rel=1e-4)
    assert numbers["sum_squared_error"] == pytest.approx(np.concatenate(errors).mean(), rel=1e-4)
    assert numbers["points_per_line"] == pytest.approx(len(lines.data) / 3)


def test_a_network_blind_to_its_text_gains_nothing_by_it(run, data):
    _, model, config = runs.opened(run)
    lines = find("handwriting").read(data, config["facts"])
    scores = find("handwriting").score(model, lines, 0.0)
    weights = model.get_weights()
    for weight in model.cell.stack.cells[0].weights[:1]:
        blind = np.array(weight)
        blind[-model.encoder_size :] = 0
        weight.assign(blind)
    head = np.array(model.head.dense.kernel)
    head[-model.encoder_size :] = 0
    model.head.dense.kernel.assign(head)
    blind_scores = find("handwriting").score(model, lines, 0.0)
    assert text_gain(model, lines, blind_scores, 0.0) == pytest.approx(0, abs=1e-5)
    model.set_weights(weights)
    assert abs(text_gain(model, lines, scores, 0.0)) > 1e-5


# ---------------------------------------------------------------------- recipes


def test_the_published_training_clips_derivatives_of_a_lines_loss(tmp_path):
    system, preset = find("handwriting"), find("handwriting").presets["paper"]
    write_sequences(tmp_path / "lines.npz", lines_of(20))
    made = system.corpus(tmp_path / "lines.npz", preset, 0)
    small = type(preset)({**preset.network, "units": (2,), "components": 1}, 1, batch_size=4)
    model = system.build(small, made, 0)
    points = 4 * made.training.lengths.mean()
    assert model.clip == pytest.approx((100 / points, 10 / points))
    network = {**preset.network, "line": 50.0, "points": 1000}
    optimizer = system.optimizer(type(preset)(network), 10)
    assert optimizer.epsilon == pytest.approx(1e-4 / 50**2)
    noisy = system.optimizer(type(preset)({**network, "recipe": "noise"}, batch_size=4), 10)
    assert (noisy.num_examples, noisy.batch_size, noisy.initial_std) == (1000, 200, 0.075)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "prediction", "points"])
def test_every_recipe_trains(data, tmp_path, preset, monkeypatch):
    system = find("handwriting")
    settings = system.presets[preset]
    small = type(settings)({**settings.network, "units": (3, 2), "components": 2}, 1, batch_size=8, buckets=1)
    monkeypatch.setattr(type(system), "presets", {**system.presets, preset: small})
    result = runs.train(system, data, tmp_path / "run", preset=preset)
    assert np.isfinite(result.numbers["paper"]["nats_per_line"])
    if preset == "prediction":
        drawn = runs.generate(tmp_path / "run", tmp_path / "free.npz", count=2, steps=9, seed=0)
        assert [len(one) for one in drawn] == [10, 10]
        noisy = type(settings)(system.presets["noise"].network, 1, batch_size=8, buckets=1)
        monkeypatch.setattr(type(system), "presets", {**system.presets, "noise": noisy})
        runs.train(system, data, tmp_path / "noisy", preset="noise", start=tmp_path / "run")
