import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.data.sketches import read_sketches, write_sketches
from mixtura.data.strokes import categories_of, to_stroke5
from mixtura.errors import InputError
from mixtura.models.variational import SketchLoss
from mixtura.systems import runs
from mixtura.systems.registry import find
from mixtura.systems.sketch.data import as_drawings, as_events, augmented, number_of
from mixtura.systems.sketch.heads import head
from mixtura.systems.sketch.schedules import Falling
from mixtura.systems.system import Preset

SKETCH = find("sketch")


def changed(name, **network):
    preset = SKETCH.presets[name]
    return replace(preset, network={**preset.network, **network})


def test_events_and_drawings_are_the_same(drawings):
    events = as_events(drawings)
    for one, drawing in zip(events, drawings, strict=True):
        np.testing.assert_array_equal(one, to_stroke5(drawing, closing=False))
    np.testing.assert_array_equal(as_drawings(events).data, drawings.data)
    assert events.fields["label"].tolist() == drawings.fields["label"].tolist()


def test_the_corpus_is_split_as_the_file_says(drawings, tmp_path):
    split = np.array([0] * 24 + [1] * 3 + [2] * 3)
    path = tmp_path / "split.npz"
    write_sketches(path, replace(drawings, fields={**drawings.fields, "split": split}))
    corpus = SKETCH.corpus(path, SKETCH.presets["tiny"], seed=5)
    for part, number in ((corpus.training, 0), (corpus.validation, 1), (corpus.test, 2)):
        np.testing.assert_array_equal(as_drawings(part).data, drawings[split == number].data)
    training = drawings[split == 0]
    assert corpus.facts["spread"] == pytest.approx(training.data[:, :2].std())
    assert corpus.facts["categories"] == ["square", "circle", "zigzag"]
    assert corpus.step == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_drawings_that_are_too_long_are_left_out_and_counted(shapes_npz, drawings):
    lengths = drawings.lengths
    corpus = SKETCH.corpus(shapes_npz, changed("tiny", longest=int(lengths.min())), seed=0)
    assert corpus.facts["too_long"] == (lengths > lengths.min()).sum()
    assert corpus.facts["longest"] == lengths.min()
    with pytest.raises(InputError, match="0 drawings of 2 to 2 points"):
        SKETCH.corpus(shapes_npz, changed("tiny", longest=2), seed=0)


def test_copies_are_stretched_and_thinned_otherwise(drawings):
    preset = Preset(network={"copies": 3, "stretch": 0.2})
    copies = augmented(drawings, preset, seed=0)
    assert len(copies) == 3 * len(drawings)
    assert copies.fields["label"].tolist() == drawings.fields["label"].tolist() * 3
    moved = drawings.data[:, 0] != 0
    ratios = copies.data[:, 0].reshape(3, -1)[:, moved] / drawings.data[moved, 0]
    assert 0.79 < ratios.min() < ratios.max() < 1.21
    assert not np.allclose(ratios[0], ratios[1])
    mirrored = augmented(drawings, Preset(network={"copies": 3, "mirrored": True}), seed=0)
    signs = mirrored.data[:, 0].reshape(3, -1)[:, moved] / drawings.data[moved, 0]
    assert set(signs.ravel()) == {-1, 1}
    thin = augmented(drawings, Preset(network={"thinning": 0.5}), seed=0)
    assert thin.lengths.sum() < drawings.lengths.sum()
    for one, other in zip(thin, drawings, strict=True):
        np.testing.assert_allclose(one[:, :2].sum(0), other[:, :2].sum(0), atol=1e-9)


def test_published_rows_are_padded_to_the_longest_and_padding_counts(shapes_npz):
    preset = changed("paper", longest=20, units=(3,), encoder_units=2, latent_size=2, components=2, copies=1)
    preset = replace(preset, batch_size=4)
    corpus = SKETCH.corpus(shapes_npz, preset, seed=0)
    model = SKETCH.build(preset, corpus, seed=0)
    rows = SKETCH.rows(model, preset, corpus.training)
    ((_, y, weight),) = rows.parts
    assert y.shape[1:] == (21, 5)
    assert (weight[: len(corpus.training)] > 0).all()
    drawing = as_drawings(corpus.training)[0]  # as it is: copies are stretched in `fit`
    np.testing.assert_allclose(y[0, : len(drawing), :2], drawing[:, :2], rtol=1e-6)
    np.testing.assert_array_equal(y[0, len(drawing) :], np.tile([0, 0, 0, 0, 1], (21 - len(drawing), 1)))
    trainer = SKETCH.trainer(model, preset)
    SKETCH.compile(trainer, preset, 10)
    assert isinstance(trainer.loss, SketchLoss)
    assert (trainer.loss.closing, trainer.loss.floor) == (True, 1e-6)
    assert trainer.optimizer.clipvalue == 1.0


@pytest.mark.parametrize("name", ["kanji", "sketch"])
def test_paper_presets_have_the_published_settings(name):
    system = find(name)
    paper = system.presets["paper"]
    assert paper.network["head"] == "parts"
    assert paper.batch_size == 100
    if name == "kanji":
        assert paper.network["pen_weights"] == (1.0, pytest.approx(200**0.5), 200.0)
        assert (paper.network["components"], paper.network["units"]) == (24, (256, 256))
    else:
        # In nats per drawing: w N_max / N_z and 0.2 N_z.
        assert paper.network["kl_weight"] * 128 / 250 == pytest.approx(0.5)
        assert paper.network["kl_floor"] / 128 == pytest.approx(0.2)


def test_the_rate_falls_as_published():
    rate = Falling(1e-3, 1e-5, 0.9999)
    for step in (0, 10_000):
        assert float(rate(step)) == pytest.approx(0.99e-3 * 0.9999**step + 1e-5, rel=1e-3)
    stored = keras.saving.serialize_keras_object(rate)
    assert keras.saving.deserialize_keras_object(stored).get_config() == rate.get_config()


def test_heads_are_of_the_data(drawings):
    published, ours = head("parts", 20, 30.0, 1.0), head("strokes", 20, 30.0, 1.0)
    assert (published.params_size, ours.params_size) == (123, 180)
    assert published.floors[0] == 0
    assert ours.floors[0] == pytest.approx(1 / 12**0.5)  # the deviation of rounding
    with pytest.raises(ValueError, match="there is no head 'other'"):
        head("other", 1, 1.0, 0.0)


# ---------------------------------------------------------------------- a run


def test_training_leaves_numbers_and_sheets(run):
    report = json.loads((run / "report.json").read_text())
    numbers = report["sketch"]
    assert numbers["drawings"] == {"training": 24, "validation": 3, "test": 3}
    assert numbers["nats_per_drawing"] == pytest.approx(report["scores"]["nll_per_sequence"])
    assert {"L_R", "L_KL"} <= numbers.keys()
    assert "recognised" not in numbers
    assert numbers["nearest"]["ratio"] > 0
    assert numbers["drawn"]["real"]["strokes"] == 2
    for name in ("drawn", "real", "nearest", "reconstructed"):
        assert (run / "figures" / f"{name}.svg").read_text().startswith("<svg")
    history = (run / "history.csv").read_text().splitlines()
    assert {"kl", "loss", "val_kl", "val_loss"} <= set(history[0].split(","))


@pytest.mark.slow
def test_a_report_says_how_often_drawings_are_recognised(shapes_npz, tmp_path, monkeypatch):
    system = find("sketch")
    monkeypatch.setattr(type(system), "presets", {"tiny": changed("tiny", recogniser_epochs=2)})
    runs.train(system, shapes_npz, tmp_path / "run", preset="tiny")
    numbers = json.loads((tmp_path / "run" / "report.json").read_text())["sketch"]
    assert set(numbers["recognised"]) == {"real", "drawn"}
    assert 0 <= numbers["recognised"]["drawn"]["top1"] <= numbers["recognised"]["drawn"]["top10"] == 1


@pytest.mark.parametrize("ending", [".svg", ".npz", ".ndjson", ".inkml", ""])
def test_drawings_are_written_in_every_format(run, tmp_path, ending):
    out = tmp_path / f"drawn{ending}"
    drawn = runs.generate(run, out, count=3, steps=7, seed=0, category="circle", overwrite=False)
    assert len(drawn) == 3
    assert drawn.lengths.max() <= 7
    if ending == ".svg":
        assert out.read_text().startswith("<svg")
    else:
        assert len(read_sketches(out)) == 3


def test_each_prompt_is_gone_on_with_in_its_own_category(run, drawings, tmp_path):
    some = drawings[:3]
    begun = Sequences.of([one[:length] for one, length in zip(some, (3, 2, 4), strict=True)], **some.fields)
    write_sketches(tmp_path / "begun.npz", replace(begun, facts=dict(drawings.facts)))
    settings = {"count": 6, "seed": 0, "prompt": tmp_path / "begun.npz"}
    with pytest.raises(InputError, match="has 3 sequences; expected 1 or, one for each, 6"):
        runs.generate(run, tmp_path / "out.npz", **settings)
    drawn = runs.generate(run, tmp_path / "out.npz", **{**settings, "count": 3})
    assert categories_of(drawn) == ["square", "circle", "zigzag"]
    for one, given in zip(as_drawings(drawn), begun, strict=True):
        np.testing.assert_allclose(one[: len(given), :2], given[:, :2], atol=1e-5)
    assert categories_of(read_sketches(tmp_path / "out.npz")) == ["square", "circle", "zigzag"]
    write_sketches(tmp_path / "plain.npz", Sequences.of([begun[0]]))
    drawn = runs.generate(run, tmp_path / "b.npz", count=2, prompt=tmp_path / "plain.npz", category="circle")
    assert categories_of(drawn) == ["circle", "circle"]
    with pytest.raises(InputError, match="do not say of which category"):
        runs.evaluate(run, tmp_path / "plain.npz")


def test_a_file_without_a_part_gives_up_training_drawings_for_it(drawings, tmp_path):
    split = np.array([0] * 25 + [2] * 5)
    write_sketches(tmp_path / "a.npz", replace(drawings, fields={**drawings.fields, "split": split}))
    corpus = SKETCH.corpus(tmp_path / "a.npz", SKETCH.presets["tiny"], seed=5)
    np.testing.assert_array_equal(as_drawings(corpus.test).data, drawings[25:].data)
    assert (len(corpus.training), len(corpus.validation)) == (23, 2)


def test_a_run_is_scored_on_a_file_whose_categories_are_in_another_order(run, drawings, tmp_path):
    backwards = replace(
        drawings,
        fields={"label": 2 - drawings.fields["label"]},
        facts={"categories": drawings.facts["categories"][::-1]},
    )
    write_sketches(tmp_path / "same.npz", drawings)
    write_sketches(tmp_path / "backwards.npz", backwards)
    one, other = (runs.evaluate(run, tmp_path / name) for name in ("same.npz", "backwards.npz"))
    np.testing.assert_allclose(one.nll, other.nll)


def test_wrong_input_is_named(run, drawings, tmp_path):
    with pytest.raises(InputError, match=r"no category 'squair' among the 3; near it are square"):
        number_of("squair", ["square", "circle", "zigzag"])
    with pytest.raises(InputError, match="no category 'hexagon'"):
        runs.generate(run, tmp_path / "out.svg", category="hexagon")
    assert not (tmp_path / "out.svg").exists()
    with pytest.raises(InputError, match=r"expected \.svg, \.npz, \.ndjson, \.inkml, no ending"):
        runs.generate(run, tmp_path / "out.gif")
    long = np.tile(drawings[0], (30, 1))
    path = tmp_path / "long.npz"
    write_sketches(path, replace(drawings[:1], data=long, offsets=np.array([0, len(long)])))
    with pytest.raises(InputError, match=r"drawing 1 has \d+ points; expected at most \d+, as in training"):
        runs.evaluate(run, path)
    with pytest.raises(InputError, match="needs drawings"):
        SKETCH.corpus(None, SKETCH.presets["tiny"], 0)


# ---------------------------------------------------------------------- models of other programs


def test_a_decoder_goes_to_the_browser_and_back(shapes_npz, tmp_path):
    kanji = find("kanji")
    preset = kanji.presets["decoder"]
    preset = replace(preset, network={**preset.network, "units": (3,), "copies": 1, "longest": 20})
    corpus = kanji.corpus(shapes_npz, preset, 0)
    model = kanji.build(preset, corpus, 0)
    assert kanji.give(model, corpus.facts, tmp_path / "model.json") == ""
    other = runs.adopt(tmp_path / "model.json", tmp_path / "run", find("sketch"))
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-4)
    drawn = runs.generate(tmp_path / "run", tmp_path / "out.svg", count=2, seed=0)
    assert drawn.lengths.max() <= corpus.facts["longest"]
    with pytest.raises(InputError, match=r"ends in '\.txt'; expected \.json"):
        kanji.give(model, corpus.facts, tmp_path / "model.txt")
    with pytest.raises(InputError, match="leave the scale out"):
        runs.adopt(tmp_path / "model.json", tmp_path / "other", find("sketch"), scale=2.0)


def test_a_model_that_the_browser_cannot_hold_is_refused(run, tmp_path):
    system, model, config = runs.opened(run)
    with pytest.raises(InputError, match=r"model\.json: "):
        system.give(model, config["facts"], tmp_path / "model.json")
    assert not (tmp_path / "model.json").exists()
