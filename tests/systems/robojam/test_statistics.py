import json

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mixtura.systems.robojam import statistics
from mixtura.systems.robojam.statistics import STATISTICS, describe, starts_of, two_sample, words

# A tap, a swipe of 0.3 + 0.4 widths in 0.2 s, a swipe of no length in 0.1 s, a tap; 2 s in all.
MIXED = np.array(
    [
        [0.1, 0.1, 0.0, 0],
        [0.2, 0.2, 0.5, 0],
        [0.5, 0.2, 0.1, 1],
        [0.5, 0.6, 0.1, 1],
        [0.9, 0.9, 0.4, 0],
        [0.9, 0.9, 0.1, 1],
        [0.0, 1.0, 0.8, 0],
    ]
)
TAP = np.array([[0.5, 0.5, 0.0, 0]])
TAPS = np.array([[0.5, 0.5, 0.0, 0], [0.6, 0.5, 1.0, 0], [0.7, 0.5, 3.0, 0]])
SWIPE = np.array([[0.5, 0.5, 0.0, 0], [0.6, 0.5, 1.0, 1], [0.7, 0.5, 3.0, 1]])


def some(count, seed, pause=0.5, right=0.0):
    """Performances whose touches have much in common."""
    rng = np.random.default_rng(seed)
    several = []
    for _ in range(count):
        rows = rng.integers(10, 40)
        moving = rng.uniform(size=rows) < rng.uniform(0.2, 0.9)
        moving[0] = False
        place = rng.uniform(0.2, 0.8, size=2) + [right, 0] + rng.normal(size=(rows, 2)).cumsum(axis=0) / 100
        dt = np.where(moving, 0.02, rng.gamma(3, pause * rng.uniform(0.5, 1) / 3, size=rows))
        dt[0] = 0
        several.append(np.column_stack([place, dt, moving]))
    return several


def test_a_touch_begins_where_nothing_moves_and_in_the_first_row():
    assert starts_of(MIXED).tolist() == [True, True, False, False, True, False, True]
    assert starts_of(np.array([[0, 0, 0, 1.0], [0, 0, 0.1, 1]])).tolist() == [True, False]


def test_statistics_by_hand():
    found = describe([MIXED, TAPS])
    wanted = {
        "duration": [2, 4],
        "rows per second": [7 / 2, 3 / 4],
        "touches per second": [4 / 2, 3 / 4],
        "share of taps": [2 / 4, 1],
        "swipe length": [0.7, 0],
        "swipe duration": [0.2, 0.1],
        "swipe speed": [3.5, 0],
        "pause": [0.5, 0.4, 0.8, 1, 3],
    }
    assert found.keys() - {"place"} == wanted.keys() == STATISTICS.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(found["place"], np.concatenate([MIXED, TAPS])[:, :2])


def test_what_does_not_exist_has_no_values():
    counts = {name: len(values) for name, values in describe([TAP]).items()}
    assert {name for name, count in counts.items() if count} == {"duration", "share of taps", "place"}
    at_once = SWIPE * [1, 1, 0, 1]  # a swipe in no time has a length, but no speed
    counts = {name: len(values) for name, values in describe([at_once]).items()}
    assert counts["swipe length"] == 1
    assert counts["swipe speed"] == counts["rows per second"] == counts["pause"] == 0


def test_performances_are_left_as_they_are():
    moved = SWIPE.copy()
    moved[0, 3] = 1
    before = moved.copy()
    describe([moved])
    np.testing.assert_array_equal(moved, before)


def test_the_distance_is_kolmogorovs_and_the_total_variation():
    real, drawn = some(20, 1), some(30, 2, pause=0.7)
    found = two_sample(real, drawn, seed=0, resamples=2)
    ours, theirs = describe(real), describe(drawn)
    for name in STATISTICS:
        wanted = ks_2samp(ours[name], theirs[name]).statistic
        assert found[name]["distance"] == pytest.approx(wanted)
        assert found[name]["drawn"] == pytest.approx(np.percentile(theirs[name], [25, 50, 75]))
    edges = [np.linspace(0, 1, 9)] * 2
    counts = [np.histogram2d(*one["place"].clip(0, 1).T, bins=edges)[0] for one in (ours, theirs)]
    variation = np.abs(counts[0] / counts[0].sum() - counts[1] / counts[1].sum()).sum() / 2
    assert found["place"]["distance"] == pytest.approx(variation)


def test_what_is_shifted_is_told_apart_and_nothing_else():
    found = two_sample(some(60, 3), some(50, 4, right=0.3), seed=0, resamples=60)
    assert [name for name, row in found.items() if row["told_apart"]] == ["place"]
    found = two_sample(some(60, 3), some(50, 5, pause=0.8), seed=0, resamples=60)
    apart = {name for name, row in found.items() if row["told_apart"]}
    follow = {"duration", "rows per second"}  # from longer pauses, less clearly
    assert {"pause", "touches per second"} <= apart <= {"pause", "touches per second", *follow}


def test_there_is_no_cry_of_wolf():
    wrong = [
        row["told_apart"]
        for seed in range(8)
        for row in two_sample(some(30, 100 + seed), some(30, 200 + seed), seed, resamples=30).values()
    ]
    assert np.mean(wrong) < 0.15  # 0.05 is meant


def test_the_yardstick_knows_that_values_of_a_performance_depend_on_each_other():
    rng = np.random.default_rng(0)
    # In each performance, all pauses are the same: as many values as performances, not as pauses.
    several = [
        np.column_stack([np.full((30, 2), 0.5), np.full(30, p), np.zeros(30)]) for p in rng.gamma(2, size=40)
    ]
    row = two_sample(several[:20], several[20:], seed=0, resamples=60)["pause"]
    assert row["yardstick"] > 0.3  # of 580 independent pauses it would be 0.08


def test_the_same_seed_gives_the_same_yardstick_in_the_types_of_json():
    real, drawn = some(8, 6), some(5, 7)
    first, again, other = (two_sample(real, drawn, seed, resamples=5) for seed in (1, 1, 2))
    assert first == again != other
    assert json.loads(json.dumps(first, allow_nan=False)) == first


@pytest.mark.parametrize(
    ("real", "drawn"), [([TAP], [TAP]), ([SWIPE, MIXED], [TAP]), ([TAPS], [SWIPE]), ([TAP, SWIPE], [TAPS])]
)
def test_what_is_missing_is_none(real, drawn):
    found = two_sample(real, drawn, seed=0, resamples=10)
    table = words(found)
    assert "nan" not in json.dumps(found, allow_nan=False) + str(table)
    for name, row in found.items():
        if name != "place":
            assert (row["real"] is None) == (not len(describe(real)[name]))
        assert (row["told_apart"] is None) == (row["yardstick"] is None)


def test_the_table_in_words():
    quartiles = {"real": [0.25, 0.5, 1.0], "drawn": None}
    found = {
        "pause": {"unit": "s", **quartiles, "distance": None, "yardstick": None, "told_apart": None},
        "share of taps": {
            "unit": "",
            "real": [0.0, 0.123, 1.0],
            "drawn": [0.0, 0.0, 12.3],
            "distance": 0.256,
            "yardstick": 0.1,
            "told_apart": True,
        },
        "place": {
            "unit": "",
            "real": None,
            "drawn": None,
            "distance": 0.1,
            "yardstick": 0.2,
            "told_apart": False,
        },
    }
    assert words(found) == [
        statistics.HEADER,
        ("pause (s)", "0.50 (0.25–1.0)", "none", "none", "none", "none"),
        ("share of taps", "0.12 (0–1.0)", "0 (0–12)", "0.26", "0.10", "yes"),
        ("place", "", "", "0.10", "0.20", "no"),
    ]


@pytest.mark.parametrize("bad", [np.zeros((0, 4)), np.zeros((3, 3)), np.zeros(4)])
def test_what_is_no_performance_is_refused(bad):
    with pytest.raises(ValueError, match=r"must have the shape \(n, 4\), n at least 1; number 1 has"):
        describe([TAP, bad])
    with pytest.raises(ValueError, match="there are no performances"):
        two_sample([TAP], [], seed=0)
