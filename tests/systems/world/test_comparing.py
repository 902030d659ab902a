import math
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from mixtura.systems.world.comparing import (
    Returns,
    expected_calibration_error,
    hazard_table,
    paired,
    summary_table,
)

VALUES = np.array([3.0, 5.0, 10.0, 2.0])


@pytest.fixture(scope="module")
def hazards():
    """Calibrated predictions: mostly safe steps, and a few at which the end is near; and what came."""
    rng = np.random.default_rng(0)
    near = rng.random(20_000) < 0.02
    p = np.where(near, rng.uniform(0.2, 0.9, 20_000), np.exp(rng.normal(-7, 1, 20_000)))
    return p, rng.random(20_000) < p


def printed(table, width=120):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_mean_has_the_standard_error_of_scipy():
    returns = Returns(np.arange(4), VALUES)
    assert returns.count == 4
    assert returns.mean == 5.0
    assert returns.sd == pytest.approx(np.sqrt(38 / 3))
    assert returns.standard_error == pytest.approx(stats.sem(VALUES))


def test_episodes_are_ordered_by_seed():
    returns = Returns.of(SimpleNamespace(seed=seed, total=10.0 * seed) for seed in (7, 2, 4))
    np.testing.assert_array_equal(returns.seeds, [2, 4, 7])
    np.testing.assert_array_equal(returns.values, [20, 40, 70])


def test_returns_are_written_down_and_read():
    found = Returns(np.arange(4), VALUES).to_dict()
    assert found["mean"] == 5.0
    assert found["count"] == 4
    again = Returns.from_dict(found)
    np.testing.assert_array_equal(again.values, VALUES)
    one = Returns(np.array([3]), np.array([1.5])).to_dict()
    assert one == {"mean": 1.5, "standard_error": None, "sd": None, "count": 1, "seeds": [3], "values": [1.5]}


@pytest.mark.parametrize(
    ("seeds", "values", "message"),
    [
        ([], [], r"received seeds of shape \(0,\) and values of shape \(0,\)"),
        ([1, 2], [1.0], r"received seeds of shape \(2,\) and values of shape \(1,\)"),
        ([1, 1], [1.0, 2.0], "a seed more than once"),
        ([1, 8], [1.0, math.nan], "must be finite; the episode of seed 8"),
    ],
)
def test_what_are_no_returns_is_refused(seeds, values, message):
    with pytest.raises(ValueError, match=message):
        Returns(np.array(seeds), np.array(values))


def test_differences_are_of_the_same_seeds():
    one = Returns(np.array([0, 1, 2, 3]), VALUES)
    other = Returns(np.array([9, 3, 2, 1]), np.array([100.0, 1.0, 4.0, 4.0]))
    found = paired(one, other)
    test = stats.ttest_rel([5, 10, 2], [4, 4, 1])
    assert found.episodes == 3
    assert found.difference == pytest.approx(8 / 3)
    assert found.z == pytest.approx(test.statistic)
    assert found.difference / found.error == pytest.approx(test.statistic)
    assert paired(other, one).difference == -found.difference


def test_equal_differences_have_no_error():
    one = Returns(np.arange(4), VALUES)
    assert math.isnan(paired(one, one).z)
    assert paired(Returns(np.arange(4), VALUES - 1), one).z == -math.inf


def test_pairs_need_two_seeds():
    with pytest.raises(ValueError, match="two seeds or more in common; received 1"):
        paired(Returns(np.arange(4), VALUES), Returns(np.arange(3, 6), np.ones(3)))


def test_no_number_of_a_table_is_cut_off():
    values = np.array([-1234.5, 987.6, -111.7, 2100.0])
    names = ("random", "dream trained", "scrambled c")
    rows = {name: Returns(np.arange(4), values * place) for place, name in enumerate(names, 1)}
    assert "…" not in printed(summary_table(rows, "CarRacing-v3", against="dream trained"), 80)


def test_a_table_has_a_row_for_each_policy_and_differences_from_one():
    rows = {
        "agent": Returns(np.arange(4), VALUES),
        "random [0, 1]": Returns(np.arange(4), VALUES / 2),
        "others' seeds": Returns(np.arange(10, 12), np.ones(2)),
        "once": Returns(np.array([0]), np.array([7.0])),
    }
    text = printed(summary_table(rows, "Take Cover", against="agent"))
    lines = {name: next(line for line in text.splitlines() if line.startswith(f"│ {name} ")) for name in rows}
    assert [cell.strip() for cell in lines["random [0, 1]"].split("│")[1:-1]] == [
        "random [0, 1]", "4", "2.5", "0.89", "1.78", "+2.5 ± 0.89", "2.8",
    ]  # fmt: skip
    assert lines["agent"].split("│")[-3].strip() == ""
    assert lines["others' seeds"].split("│")[-3].strip() == ""
    assert "nan" not in text
    assert "less this" not in printed(summary_table(rows))
    assert "nan" not in printed(summary_table({"a": rows["agent"], "b": rows["agent"]}, against="a"))
    with pytest.raises(ValueError, match=r"against must be one of 'agent', .*; received 'best'"):
        summary_table(rows, against="best")


def test_calibrated_hazards_are_found_so(hazards):
    table = hazard_table(*hazards)
    assert 5 < len(table.steps) <= 10
    assert table.steps.sum() == 20_000
    low, high = table.interval()
    assert np.mean((low <= table.predicted) & (table.predicted <= high)) >= 0.8
    assert expected_calibration_error(table) < 0.002
    wrong = hazard_table(np.minimum(3 * hazards[0], 1), hazards[1])
    low, high = wrong.interval()
    assert not ((low <= wrong.predicted) & (wrong.predicted <= high))[-3:].any()
    assert expected_calibration_error(wrong) > 0.01


def test_the_columns_of_a_table_are_those_of_its_bins(hazards):
    p, ended = hazards
    table = hazard_table(p, ended, bins=6)
    assert (table.high[:-1] < table.low[1:]).all()
    for k, count in enumerate(table.steps):
        inside = (p >= table.low[k]) & (p <= table.high[k])
        assert inside.sum() == count
        assert table.predicted[k] == pytest.approx(p[inside].mean())
        assert table.observed[k] == pytest.approx(ended[inside].mean())
        assert table.error[k] == pytest.approx(np.sqrt(ended[inside].var() / count))
    # Half of what a bin is made of is steps, half expected ends.
    made = table.steps / len(p) + table.steps * table.predicted / p.sum()
    np.testing.assert_allclose(made, 2 / 6, atol=0.01)
    assert set(table.to_dict()) == {"low", "high", "predicted", "observed", "steps", "error"}


def test_the_interval_is_wilsons(hazards):
    table = hazard_table(*hazards)
    for k, (low, high) in enumerate(zip(*table.interval(), strict=True)):
        ends = round(table.observed[k] * table.steps[k])
        interval = stats.binomtest(ends, int(table.steps[k])).proportion_ci(0.95, method="wilson")
        assert (low, high) == pytest.approx((interval.low, interval.high), rel=1e-3, abs=1e-9)


def test_equal_predictions_are_one_bin():
    table = hazard_table(np.full(8, 0.25), np.array([1, 0, 0, 0, 1, 0, 0, 0]))
    assert table.steps.tolist() == [8]
    assert expected_calibration_error(table) == 0
    none = hazard_table(np.zeros(5), np.zeros(5))
    assert (none.predicted, none.observed, none.error) == (0, 0, 0)


def test_the_calibration_error_is_a_mean_over_steps():
    table = hazard_table(np.array([0.0, 0.0, 0.0, 0.5, 0.5]), np.array([0, 0, 0, 1, 1]))
    assert expected_calibration_error(table) == pytest.approx(2 / 5 * 0.5)


@pytest.mark.parametrize(
    ("predicted", "observed", "bins", "message"),
    [
        ([0.1], [0, 1], 10, r"the shapes \(1,\) and \(2,\)"),
        ([], [], 10, r"the shapes \(0,\) and \(0,\)"),
        ([1.5], [0], 10, "must be probabilities and observed ones 0 or 1"),
        ([math.nan], [0], 10, "must be probabilities"),
        ([0.5], [2], 10, "observed ones 0 or 1"),
        ([0.5], [1], 0, "bins must be 1 or more; received 0"),
    ],
)
def test_what_are_no_hazards_is_refused(predicted, observed, bins, message):
    with pytest.raises(ValueError, match=message):
        hazard_table(np.array(predicted), np.array(observed), bins)
