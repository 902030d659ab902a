import json

import numpy as np
import pytest

from mixtura.data.sequences import Sequences, read_sequences, write_sequences
from mixtura.errors import InputError
from mixtura.systems import runs
from mixtura.systems.moves import Moves, comparison, world

KINDS = ["held_out", "mdn_rnn", "squared_error", "squared_error_with_noise"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("moves") / "run"
    return runs.train(Moves(), None, out, preset="tiny"), out


def test_the_report_compares_the_two_networks(trained):
    result, out = trained
    report = json.loads((out / "report.json").read_text())["moves"]
    assert report == result.numbers
    assert report["nll_per_step"]["mdn_rnn"] == pytest.approx(result.scores.nll_per_step)
    assert report["nll_per_step"]["lower_limit"] < report["nll_per_step"]["mdn_rnn"]
    assert list(report["paths"]) == KINDS
    assert report["paths"]["held_out"]["paths_to_goals"] == 1.0
    assert list(report["true_routes"].values()) == world.SHARES.tolist()
    figures = {file.name for file in (out / "figures").iterdir()}
    assert figures == {"paths.png", "forks.png", "loss.png"}


def test_drawn_paths_begin_as_held_out_ones(trained):
    corpus = Moves().corpus(None, Moves.presets["tiny"], 0)
    _, model, config = runs.opened(trained[1])
    steps = config["facts"]["steps"]
    paths = comparison.continued(model, corpus.test, np.zeros(2), steps, seed=0)
    for path, moves in zip(paths, corpus.test, strict=True):
        np.testing.assert_allclose(path[:5], np.cumsum(moves[:5, :2], axis=0), atol=1e-6)
        assert len(path) <= steps + 5


@pytest.mark.parametrize("ending", ["png", "svg", "csv", "npz"])
def test_paths_are_written_by_the_ending(trained, tmp_path, ending):
    out = tmp_path / f"paths.{ending}"
    moves = runs.generate(trained[1], out, count=2, seed=0)
    assert out.stat().st_size > 0
    if ending in ("csv", "npz"):
        for path, drawn in zip(read_sequences(out), moves, strict=True):
            np.testing.assert_allclose(path, np.cumsum(drawn[:, :2], axis=0), atol=1e-5)


def test_drawing_goes_on_from_the_path_of_a_file(trained, tmp_path):
    begun = np.array([[0.2, 0.0], [0.4, 0.0], [0.6, 0.0]])
    write_sequences(tmp_path / "begun.npz", Sequences.of([begun]))
    drawn = runs.generate(trained[1], tmp_path / "a.npz", count=8, seed=0, prompt=tmp_path / "begun.npz")
    assert not drawn.data[:, 2][np.concatenate([drawn.offsets[:-1] + step for step in range(3)])].any()
    assert drawn.lengths.max() > len(begun) + 1
    np.testing.assert_allclose(read_sequences(tmp_path / "a.npz")[5][:3], begun, atol=1e-6)


def test_an_unknown_ending_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match=r"ends in '.pdf'; expected .png, .svg, .csv, .npz"):
        runs.generate(trained[1], tmp_path / "a.pdf")


def test_a_run_scores_paths_from_a_file(trained, tmp_path):
    result, out = trained
    test = world.walk(8, np.random.default_rng(7))
    write_sequences(tmp_path / "paths.npz", Sequences.of(test))
    scores = runs.evaluate(out, tmp_path / "paths.npz")
    assert scores.counts.tolist() == [len(path) for path in test]
    assert scores.nll_per_step == pytest.approx(result.scores.nll_per_step, abs=0.3)


def test_paths_of_a_file_have_no_walls(tmp_path):
    rng = np.random.default_rng(0)
    paths = [np.array([300.0, 200.0]) + rng.integers(-3, 9, (12, 2)).cumsum(axis=0) for _ in range(20)]
    write_sequences(tmp_path / "paths.csv", Sequences.of(paths))
    corpus = Moves().corpus(tmp_path / "paths.csv", Moves.presets["tiny"], 0)
    assert [len(part) for part in (corpus.training, corpus.validation, corpus.test)] == [16, 2, 2]
    assert tuple(corpus.step)[:2] == (1.0, 1.0)
    assert any(corpus.facts["origin"] == path[0].tolist() for path in paths)
    assert corpus.facts["world"] is False
    assert corpus.facts["steps"] == 18


@pytest.mark.slow
def test_a_run_on_paths_of_a_file_reports_scores_alone(tmp_path):
    rng = np.random.default_rng(0)
    paths = [rng.normal(size=(rng.integers(2, 12), 2)).cumsum(axis=0) for _ in range(20)]
    write_sequences(tmp_path / "paths.npz", Sequences.of(paths))
    result = runs.train(Moves(), tmp_path / "paths.npz", tmp_path / "run", preset="tiny")
    assert list(result.numbers) == ["nll_per_step"]
    assert {file.name for file in (tmp_path / "run" / "figures").iterdir()} == {"paths.png", "loss.png"}


def test_too_few_paths_are_refused(tmp_path):
    write_sequences(tmp_path / "two.npz", Sequences.of([np.zeros((4, 2)), np.ones((4, 2))]))
    with pytest.raises(InputError, match="2 sequences; expected at least 3"):
        Moves().corpus(tmp_path / "two.npz", Moves.presets["tiny"], 0)


def test_what_is_said_of_paths():
    straight = np.stack([np.linspace(0.2, 9.0, 45), np.zeros(45)], axis=1)
    high = np.array([[1, 0], [2, 0], [4.2, 2], [6.6, 2], [9, 2]], float)
    found = comparison.judged([straight, high])
    assert found["paths_in_walls"] == 0.5
    assert found["paths_to_goals"] == 0.5
    walls = world.in_wall(straight).sum()
    assert found["steps_in_walls"] == pytest.approx(walls / 50)
    assert sum(found["routes"]) == 0.5
    at = world.ROUTES.index(["first", "upper", "high", "goal 3"])
    assert found["distance"] == pytest.approx(1 - world.SHARES[at])
