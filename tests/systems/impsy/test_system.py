import json

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.control_logs import read_logs, write_logs
from mixtura.data.sequences import Sequences
from mixtura.errors import InputError
from mixtura.systems import runs
from mixtura.systems.impsy import Impsy
from mixtura.systems.impsy.statistics import moved_at_once, statistics
from mixtura.systems.registry import find


@pytest.fixture(scope="module")
def trained(logs, tmp_path_factory):
    run = tmp_path_factory.mktemp("impsy") / "run"
    return runs.train(find("impsy"), logs, run, preset="tiny"), run


def test_training_leaves_the_comparison(trained):
    result, run = trained
    numbers = json.loads((run / "report.json").read_text())["impsy"]
    assert numbers == result.numbers
    nll = numbers["nll_per_event"]
    assert list(nll) == ["network", "repeats", "repeats, given the last event"]
    assert nll["network"]["both"] == pytest.approx(result.scores.nll_per_step)
    assert nll["network"]["values"] + nll["network"]["dt"] == pytest.approx(nll["network"]["both"])
    assert [len(own) for own in numbers["nll_per_session"].values()] == [1, 1, 1]
    assert result.scores.recording_step == pytest.approx([1 / 127] * 3 + [1e-6])
    assert result.held_out == "test"
    assert set(result.scores.parts) == {"values", "dt"}


def test_training_leaves_pictures(trained):
    for name in ("loss", "sessions", "comparison"):
        assert (trained[1] / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_first_event_is_given(trained, logs):
    scores = runs.evaluate(trained[1], logs)
    np.testing.assert_array_equal(scores.counts, read_logs(logs).lengths - 1)


def test_generated_values_are_on_the_grid_and_repeat(trained, tmp_path):
    runs.generate(trained[1], tmp_path / "drawn.npz", count=2, steps=80, seed=1)
    drawn = read_logs(tmp_path / "drawn.npz")
    assert drawn.lengths.tolist() == [80, 80]
    values = 127 * drawn.data[:, :-1]
    np.testing.assert_allclose(values, np.round(values), atol=1e-6)
    assert values.min() >= 0
    assert values.max() <= 127
    assert 0.3 < statistics(list(drawn))["repeats"] < 0.95
    assert (drawn.data[:, -1] > 0).all()


def test_a_session_is_written_as_a_log(trained, tmp_path):
    runs.generate(trained[1], tmp_path / "one.log", steps=20, seed=1)
    assert len(read_logs(tmp_path / "one.log", "rnn")[0]) == 20


def test_a_session_goes_on_from_a_prompt(trained, played, tmp_path):
    write_logs(tmp_path / "prompt.npz", played[:1])
    drawn = runs.generate(
        trained[1], tmp_path / "drawn.npz", steps=1, seed=3, count=4, prompt=tmp_path / "prompt.npz"
    )
    last, after = played[0][-1, :-1], np.stack([one[-1, :-1] for one in drawn])
    np.testing.assert_allclose(drawn[0][:-1, :-1], played[0][:, :-1], atol=1e-6)
    assert (np.abs(after - last) < 1e-6).any()


@pytest.mark.parametrize(
    "network",
    [
        {"head": "normal", "sees": "last"},
        {"head": "normal", "sees": "last", "relative": True},
        {"head": "normal", "sees": "moves"},
        {"head": "independent", "sees": "last"},
        {"head": "together", "sees": "moves"},
    ],
)
def test_other_heads_are_built(logs, network):
    system = Impsy()
    preset = system.presets["tiny"]
    preset = type(preset)(network={**network, "components": 2, "dt_components": 1, "units": (4,)})
    corpus = system.corpus(logs, preset, 0)
    model = system.build(preset, corpus, 0)
    p = model.family(model(corpus.test[0][None].astype("float32")))
    assert np.isfinite(p.log_prob(corpus.test[0])).all()
    is_relative = isinstance(model, mx.LinearMDNRNN) or bool(model.relative)
    assert is_relative == (network != {"head": "normal", "sees": "last"})


def test_targets_have_noise_of_a_step_and_inputs_none(logs):
    system = Impsy()
    preset = system.presets["tiny"]
    corpus = system.corpus(logs, preset, 0)
    rows = system.rows(system.build(preset, corpus, 0), preset, corpus.training)
    [(x, y, weight)] = rows.parts
    off = (y - x["events"])[weight > 0]
    assert (np.abs(off).max(axis=0) <= 1.001 * np.array([1 / 254] * 3 + [5e-7])).all()
    np.testing.assert_allclose(off[:, :3].std(axis=0), 1 / 127 / np.sqrt(12), rtol=0.1)
    off_grid = 127 * x["events"][..., :3]
    np.testing.assert_allclose(off_grid, np.round(off_grid), atol=1e-4)


def test_statistics_by_hand():
    one = np.array([[0.0, 0.5, 9.0], [0.0, 0.75, 0.1], [1.0, 0.5, 0.2], [1.0, 0.5, 0.3]])
    assert moved_at_once([one, one[:1]]).tolist() == [1, 2, 0]
    found = statistics([one])
    assert found["events"] == 3
    assert found["repeats"] == pytest.approx(0.5)
    assert found["moved_at_once"] == pytest.approx([1 / 3] * 3)
    assert found["mean_move"] == pytest.approx(0.5)
    assert found["at_an_end"] == pytest.approx(0.5)
    assert found["dt_quantiles"]["0.5"] == pytest.approx(0.2)


def test_other_columns_are_a_mistake(trained, tmp_path):
    write_logs(tmp_path / "two.npz", Sequences.of([np.full((9, 3), 0.5)]))
    with pytest.raises(InputError, match=r"two\.npz has the columns .*; expected \['x1', 'x2', 'x3', 'dt'\]"):
        runs.evaluate(trained[1], tmp_path / "two.npz")


def test_without_data_it_says_so():
    with pytest.raises(InputError, match="impsy needs sessions"):
        Impsy().corpus(None, Impsy.presets["tiny"], 0)
