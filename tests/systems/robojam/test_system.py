import json

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.sequences import Sequences
from mixtura.data.touches import read_touches, write_touches
from mixtura.errors import InputError
from mixtura.evaluation.sequences import score_sequences
from mixtura.systems.registry import find
from mixtura.systems.robojam.responding import prepared
from mixtura.systems.robojam.system import STEP, RoboJam, mirrored
from mixtura.systems.runs import evaluate, generate


def test_training_leaves_numbers_and_pictures(run):
    report = json.loads((run / "report.json").read_text())
    numbers = report["robojam"]
    assert numbers["performances"] == {"training": 12, "validation": 1, "test": 1}
    assert numbers["nll_capped"] <= report["scores"]["nll_per_step"] + 1e-9
    assert set(report["scores"]["nll_per_part"]) == {"place", "dt"}
    assert 0 < numbers["nll_moving"] < 2
    tenths = report["scores"]["raw_nll_per_step"] + 3 * np.log(10)
    np.testing.assert_allclose(numbers["nll_in_tenths_as_recorded"], tenths)
    assert {"swipe length", "pause", "place"} <= set(numbers["answers_beside_real"])
    assert (run / "figures" / "performances.png").stat().st_size > 10_000
    assert (run / "figures" / "answers.png").stat().st_size > 10_000


def test_the_first_touch_is_given_and_moving_is_scored_apart(run, swiped):
    model, system = mx.load(run), RoboJam()
    played = prepared(swiped)
    scores = system.score(model, played, STEP)
    assert scores.counts.tolist() == (played.lengths - 1).tolist()
    assert scores.recording_step == STEP[:3]
    weights = [np.arange(len(one)) > 0 for one in played]
    whole = score_sequences(model, played, STEP, weights=weights).raw_nll.sum()
    moving = system.moving(model, played, scores) * scores.counts.sum()
    np.testing.assert_allclose(scores.raw_nll.sum() + moving, whole, atol=0.2 * scores.counts.sum())
    np.testing.assert_allclose(scores.parts["place"] + scores.parts["dt"], scores.nll)


def test_a_gaussian_mixture_of_three_dimensions_sees_three_columns(swiped_npz):
    from dataclasses import replace

    system = RoboJam()
    preset = replace(system.presets["tiny"], network={"head": "2021", "components": 2, "units": (3,)})
    corpus = system.corpus(swiped_npz, preset, seed=0)
    model = system.build(preset, corpus, seed=0)
    assert system.rows(model, preset, corpus.training).event_size == 3
    assert np.isfinite(system.score(model, corpus.test, STEP).nll_per_step)


def test_performances_of_one_touch_are_left_out_of_training_and_scored_as_nothing(
    run, swiped_npz, swiped, tmp_path
):
    config = json.loads((run / "config.json").read_text())
    assert config["facts"]["of_one_touch"] == 1
    assert "in 0 of 15 performances" not in config["facts"]["cleaning"]  # swipes leave the area
    scores = evaluate(run, swiped_npz)
    assert scores.counts[-1] == 0
    assert scores.nll[-1] == 0
    write_touches(tmp_path / "one.csv", swiped[-1:])
    with pytest.raises(InputError, match="no touch to score: the first of a performance is given"):
        evaluate(run, tmp_path / "one.csv")


def test_generated_performances_last_five_seconds(run, tmp_path):
    drawn = generate(run, tmp_path / "jam.csv", count=3, seed=1)
    found = read_touches(tmp_path / "jam.csv")
    assert len(found) == len(drawn) == 3
    assert all(one[:, 2].sum() <= 5 for one in found)
    header = (tmp_path / "jam.csv").read_text().splitlines()[0]
    assert header == "sequence,time,x,y,z,moving"
    assert len(generate(run, tmp_path / "some.npz", count=2, steps=7, seed=1)[1]) == 7


@pytest.mark.slow
def test_generation_goes_on_from_a_prompt(run, tmp_path, swiped):
    write_touches(tmp_path / "call.csv", swiped[:1])
    drawn = generate(run, tmp_path / "more.npz", count=2, seed=1, prompt=tmp_path / "call.csv")
    begun = prepared(read_touches(tmp_path / "call.csv"))[0]
    for one in drawn:
        np.testing.assert_allclose(one[: len(begun), :3], begun[:, :3], atol=1e-5)
        assert len(one) > len(begun)


def test_data_are_needed():
    system = find("robojam")
    with pytest.raises(InputError, match="robojam needs performances"):
        system.corpus(None, system.presets["tiny"], seed=0)


def test_two_performances_are_too_few(tmp_path):
    write_touches(tmp_path / "two.npz", Sequences.of([np.ones((2, 4))] * 2))
    system = find("robojam")
    with pytest.raises(InputError, match=r"two\.npz has 2 performances of two touches and more; expected"):
        system.corpus(tmp_path / "two.npz", system.presets["tiny"], seed=0)


def test_mirrored_performances_are_the_same_in_time(swiped):
    played = prepared(swiped)
    found = mirrored(played)
    assert len(found) == 4 * len(played)
    half = len(played)
    for sign, start in (((1, 1), 0), ((-1, 1), half), ((1, -1), 2 * half), ((-1, -1), 3 * half)):
        part = found[start : start + half]
        np.testing.assert_allclose(part.data[:, :2] - 0.5, sign * (played.data[:, :2] - 0.5), atol=1e-6)
        np.testing.assert_array_equal(part.data[:, 2:], played.data[:, 2:])
    assert (found.data[:, :2] >= STEP[0] / 2).all()
