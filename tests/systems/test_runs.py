import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import mixtura as mx
from mixtura import cli
from mixtura.data.sequences import Sequences, read_sequences, write_sequences
from mixtura.errors import InputError
from mixtura.lecture import MDN
from mixtura.systems import runs, system
from mixtura.systems.registry import find, names, shipped
from mixtura.training import Run


@pytest.fixture(scope="module")
def run(gestures, gestures_csv, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    runs.train(gestures, gestures_csv, out, preset="tiny", epochs=2)
    return out


def test_training_leaves_a_run(run):
    assert {"config.json", "model.keras", "history.csv", "report.json", "checkpoint.npz"} <= {
        path.name for path in run.iterdir()
    }
    assert {path.name for path in (run / "figures").iterdir()} == {"gestures.png", "loss.png"}
    config, report = Run(run).config, json.loads((run / "report.json").read_text())
    assert config["system"] == "gestures"
    assert config["recording_step"] == [0.01, 0.01]
    assert report["held_out"] == "test"
    assert report["epochs"] == 2
    assert report["params"] == mx.load(run).count_params()


@pytest.mark.slow
def test_the_model_is_normalised_and_scores_in_the_files_units(run, gestures, gestures_csv):
    scores = runs.evaluate(run, gestures_csv, system=gestures).to_dict()
    sequences, model = read_sequences(gestures_csv), mx.load(run)
    total = 0.0
    for events in sequences:
        params = keras.ops.convert_to_numpy(model(events[None].astype("float32")))[0]
        total -= model.family(params).log_prob(events).sum()
    np.testing.assert_allclose(scores["raw_nll_per_step"], total / len(sequences.data), rtol=1e-5)
    assert scores["sequences"] == 12
    assert scores["steps"] == len(sequences.data)
    np.testing.assert_allclose(scores["min_scale"], 0.005)


def test_generated_sequences_are_written_as_the_file_was_read(run, gestures, tmp_path):
    drawn = runs.generate(run, tmp_path / "a.csv", count=3, seed=1, system=gestures)
    assert (tmp_path / "a.csv").read_text().startswith("sequence,x,y\n")
    back = read_sequences(tmp_path / "a.csv")
    np.testing.assert_allclose(back.data, drawn.data, rtol=1e-6)
    more = runs.generate(run, tmp_path / "b.npz", count=5, steps=4, seed=1, system=gestures)
    np.testing.assert_allclose(more[2], drawn[2][:4], atol=1e-4)
    assert more.lengths.tolist() == [4] * 5


def test_generation_goes_on_from_a_prompt(run, gestures, gestures_csv, tmp_path):
    (tmp_path / "start.csv").write_text("sequence,x,y\na,1.0,0.0\na,0.9,0.3\n")
    drawn = runs.generate(
        run, tmp_path / "a.npz", count=2, steps=3, seed=1, prompt=tmp_path / "start.csv", system=gestures
    )
    assert drawn.lengths.tolist() == [5, 5]
    np.testing.assert_allclose(drawn[1][:2], [[1.0, 0.0], [0.9, 0.3]], rtol=1e-6)
    with pytest.raises(InputError, match="has 12 sequences; expected 1 or, one for each, 2"):
        runs.generate(run, tmp_path / "b.npz", count=2, prompt=gestures_csv, system=gestures)


@pytest.mark.slow
def test_a_resumed_run_ends_like_an_uninterrupted_one(run, gestures, gestures_csv, tmp_path, monkeypatch):
    fit = system.fit

    def stopped(*arguments, callbacks, **settings):
        def die(epoch, logs=None):
            if epoch == 1:
                raise RuntimeError("killed")

        # One callback more would be another run, so one that is there dies.
        monkeypatch.setattr(callbacks[0], "on_epoch_begin", die)
        return fit(*arguments, callbacks=callbacks, **settings)

    monkeypatch.setattr(system, "fit", stopped)
    with pytest.raises(RuntimeError, match="killed"):
        runs.train(gestures, gestures_csv, tmp_path / "run", preset="tiny", epochs=2)
    monkeypatch.setattr(system, "fit", fit)
    runs.train(gestures, gestures_csv, tmp_path / "run", preset="tiny", epochs=2, resume=True)
    for one, other in zip(mx.load(run).weights, mx.load(tmp_path / "run").weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))


def test_data_are_found_below_a_folder(gestures, gestures_csv, tmp_path, monkeypatch):
    monkeypatch.setenv("MIXTURA_DATA", str(gestures_csv.parent))
    monkeypatch.setattr(type(gestures), "data_name", "gestures.csv")
    assert runs._located(gestures, None) == gestures_csv
    assert runs._located(gestures, tmp_path) == tmp_path
    monkeypatch.setattr(type(gestures), "data_name", "other.csv")
    with pytest.raises(InputError, match=r"other.csv does not exist"):
        runs._located(gestures, None)


def test_mistakes_are_one_sentence_and_leave_nothing(run, gestures, gestures_csv, tmp_path):
    out = tmp_path / "run"

    def refuses(match, data=gestures_csv, **settings):
        with pytest.raises(InputError, match=match):
            runs.train(gestures, data, out, **{"preset": "tiny", **settings})
        assert not out.exists()

    refuses("gestures has no preset 'huge'; expected one of small, tiny", preset="huge")
    refuses("gestures needs data: name a file with --data", data=None)
    refuses("missing.csv does not exist", data=tmp_path / "missing.csv")
    (tmp_path / "two.csv").write_text("sequence,x\na,1\na,2\nb,1\nb,2\n")
    refuses("has 2 sequences; expected at least 3", data=tmp_path / "two.csv")
    (tmp_path / "short.csv").write_text("sequence,x\n" + "".join(f"{name},1.5\n" for name in "abcdefgh"))
    refuses(
        r"short.csv: sequence 0 has 1 step \(and 7 more like it\); expected at least 2",
        data=tmp_path / "short.csv",
    )
    (tmp_path / "text.npz").write_text("no archive")
    refuses(r"text.npz", data=tmp_path / "text.npz")
    with pytest.raises(InputError, match="exists; name another output or give --overwrite"):
        runs.train(gestures, gestures_csv, run, preset="tiny")


def test_runs_of_others_are_refused(run, gestures, gestures_csv, tmp_path):
    with pytest.raises(InputError, match="is a run of the system 'gestures', which is none of Mixtura's"):
        runs.opened(run)
    with pytest.raises(InputError, match="is not a folder"):
        runs.opened(tmp_path / "nothing")
    other = replace_system(run, tmp_path / "other", "tables")
    with pytest.raises(InputError, match="is a run of `mixtura fit`"):
        runs.opened(other)
    other = replace_system(run, tmp_path / "plain", None)
    with pytest.raises(InputError, match="is a run of no system"):
        runs.opened(other)
    other = replace_system(run, tmp_path / "another", "waves")
    with pytest.raises(InputError, match="is a run of the system 'waves'; received the system 'gestures'"):
        runs.opened(other, gestures)
    (tmp_path / "wide.csv").write_text("sequence,x,y,z\na,1,2,3\na,1,2,3\n")
    with pytest.raises(InputError, match=r"the columns \['x', 'y', 'z'\]; expected \['x', 'y'\], as in"):
        runs.evaluate(run, tmp_path / "wide.csv", system=gestures)
    write_sequences(tmp_path / "wide.npz", Sequences.of([np.zeros((4, 3))]))
    with pytest.raises(InputError, match=r"wide.npz: events have 3 dimensions; expected 2"):
        runs.evaluate(run, tmp_path / "wide.npz", system=gestures)
    with pytest.raises(InputError, match=r"wide.npz: events have 3 dimensions; expected 2"):
        runs.generate(run, tmp_path / "a.csv", prompt=tmp_path / "wide.npz", system=gestures)


def replace_system(run, out, name):
    out.mkdir()
    config = json.loads((run / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"system": name}))
    return out


def test_presets_are_plain(gestures):
    for preset in gestures.presets.values():
        assert replace(preset, epochs=1).epochs == 1


def test_a_model_of_another_package_becomes_a_run(tmp_path):
    layers = [keras.Input((None, 3)), keras.layers.LSTM(2, return_sequences=True), MDN(3, 2)]
    keras.Sequential(layers, name="touches-scale10").save(tmp_path / "touches.keras")
    model = runs.adopt(tmp_path / "touches.keras", tmp_path / "run", find("robojam"))
    assert model.family == mx.Affine(mx.Mixture(mx.Normal(3), 2), 0.0, 0.1)
    drawn = runs.generate(tmp_path / "run", tmp_path / "drawn.csv", count=2, steps=4, seed=0)
    assert drawn.lengths.tolist() == [4, 4]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["imported"], config["scale"]) == ("touches.keras", 10.0)
    with pytest.raises(InputError, match="characters takes no models of other packages"):
        runs.adopt(tmp_path / "touches.keras", tmp_path / "other", find("characters"))
    assert not (tmp_path / "other").exists()


def test_a_renamed_model_of_impsy_is_still_one(tmp_path):
    layers = [keras.Input((None, 3)), keras.layers.LSTM(2, return_sequences=True), MDN(3, 2)]
    keras.Sequential(layers, name="musicMDRNN-dim3-scale10").save(tmp_path / "mine.keras")
    with pytest.raises(SystemExit) as ended:
        cli.main(["import", str(tmp_path / "mine.keras"), "--out", str(tmp_path / "run")])
    assert ended.value.code == 0
    assert Run(tmp_path / "run").config["system"] == "impsy"


def test_systems_say_which_models_they_take():
    facts, step = find("impsy").adopt(3)
    assert facts["columns"] == ["x1", "x2", "dt"]
    assert len(step) == 3
    with pytest.raises(InputError, match="events have 1 dimension; expected controls and dt"):
        find("impsy").adopt(1)
    with pytest.raises(InputError, match="events have 9 dimensions; those of robojam have 3 or 4"):
        find("robojam").adopt(9)


def test_a_run_is_shipped_without_its_optimiser(gestures, gestures_csv, run, tmp_path):
    runs.ship(run, tmp_path / "shipped", gestures)
    assert {path.name for path in (tmp_path / "shipped").iterdir()} == {"config.json", "model.keras"}
    assert (tmp_path / "shipped" / "model.keras").stat().st_size < (run / "model.keras").stat().st_size
    events = np.zeros((1, 3, 2), "float32")
    found = mx.load(tmp_path / "shipped")(events)
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (found, mx.load(run)(events))))


def test_a_name_means_the_model_that_a_system_ships(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    system, model, config = runs.opened(Path("robojam"))
    assert (system.name, config["preset"], model.family.event_size) == ("robojam", "small", 4)
    with pytest.raises(InputError, match="moves ships no model; train one with `mixtura train moves`"):
        runs.opened(Path("moves"))
    (tmp_path / "robojam").mkdir()
    with pytest.raises(InputError, match=r"robojam is not a run: it has no readable config\.json"):
        runs.opened(Path("robojam"))


@pytest.mark.parametrize("name", names())
def test_shipped_models_are_small_and_have_a_notice(name):
    try:
        folder = shipped(Path(name))
    except InputError:
        pytest.skip(f"{name} ships no model")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4e6
    assert "licence" in (folder / "NOTICE").read_text().lower()
