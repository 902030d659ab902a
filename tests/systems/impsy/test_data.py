import numpy as np
import pytest

from mixtura.data.control_logs import write_logs
from mixtura.data.sequences import Sequences
from mixtura.systems.impsy.data import moves, read_sessions, snapped, time_step, value_step


def test_sessions_are_read_as_they_are(played, logs):
    sessions, cleaning = read_sessions(logs)
    np.testing.assert_array_equal(sessions.data, played.data)
    assert sessions.facts["columns"].tolist() == ["x1", "x2", "x3", "dt"]
    assert cleaning == (
        "of 510 events in 6 sessions, 0 had a dt above 5 s, 0 one of 0 or less, 0 a value outside [0, 1]"
    )


def test_long_pauses_and_values_outside_are_cut_and_counted(tmp_path):
    events = [[0.5, 0.25, 0.1], [1.5, 0.25, 0.0], [-0.5, 2.0, 12.5], [0.5, 0.5, 0.025]]
    write_logs(tmp_path / "s.npz", Sequences.of([events]))
    sessions, cleaning = read_sessions(tmp_path / "s.npz")
    # All times lie on a grid of 25 ms; half of that is what 0 may have been.
    wanted = [[0.5, 0.25, 0.1], [1.0, 0.25, 0.0125], [0.0, 1.0, 5.0], [0.5, 0.5, 0.025]]
    np.testing.assert_allclose(sessions[0], wanted)
    assert cleaning == (
        "of 4 events in 1 sessions, 1 had a dt above 5 s, 1 one of 0 or less, 2 a value outside [0, 1]"
    )


@pytest.mark.parametrize("whole", [127, 128, 255])
def test_a_grid_is_found_in_both_precisions(whole):
    values = np.random.default_rng(0).integers(0, whole + 1, (300, 2)) / whole
    assert value_step(values) == value_step(values.astype(np.float32)) == pytest.approx(1 / whole, rel=1e-12)


def test_without_a_grid_the_step_is_the_smallest_difference():
    assert value_step(np.array([[0.0], [0.5], [0.53], [1.0]])) == pytest.approx(0.03)
    assert value_step(np.array([[0.3], [0.3]])) == 1 / 127


def test_times_are_in_microseconds_unless_they_show_otherwise():
    assert time_step(np.float32([0.000158, 0.5, 1.234567])) == pytest.approx(1e-6)
    assert time_step(np.array([0.01, 0.03, 0.5])) == pytest.approx(0.01)
    assert time_step(np.random.default_rng(0).random(50)) == 1e-6


def test_snapping_is_what_an_instrument_does():
    events = np.float32([[-0.001, 0.5041, 0.2], [1.2, 0.4961, 9.0]])
    found = snapped(events, 1 / 127)
    np.testing.assert_allclose(found[:, :2], [[0.0, 64 / 127], [1.0, 63 / 127]], rtol=1e-12)
    np.testing.assert_allclose(found[:, 2], [0.2, 5.0])
    assert not np.signbit(found).any()


def test_moves_do_not_reach_across_sessions():
    sessions = Sequences.of([[[0.0, 1.0], [0.5, 2.0], [0.5, 3.0]], [[1.0, 4.0], [0.75, 5.0]]])
    moved, dt, last = moves(sessions)
    assert moved.tolist() == [[0.5], [0.0], [-0.25]]
    assert dt.tolist() == [2.0, 3.0, 5.0]
    assert last.tolist() == [0, 1, 3]
