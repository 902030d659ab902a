import numpy as np
import pytest

from mixtura.data.sequences import Sequences, write_sequences
from mixtura.errors import InputError
from mixtura.systems.moves.paths import moves_of, origin_of, positions_of, read_paths

PATHS = [np.array([[3.0, 4.0], [4.0, 4.0], [4.0, 6.0]]), np.array([[5.0, 4.0], [5.0, 5.0]])]


def test_moves_begin_at_the_origin_and_the_last_is_marked():
    first, second = moves_of(PATHS, np.array([3.0, 4.0]))
    assert first.tolist() == [[0, 0, 0], [1, 0, 0], [0, 2, 1]]
    assert second.tolist() == [[2, 0, 0], [0, 1, 1]]


def test_positions_are_moves_added_up():
    origin = np.array([3.0, 4.0])
    for path, again in zip(PATHS, positions_of(moves_of(PATHS, origin), origin), strict=True):
        np.testing.assert_array_equal(path, again)


def test_the_origin_is_the_start_nearest_to_the_mean():
    starts = [np.array([[x, 0.0], [9.0, 9.0]]) for x in (0.0, 4.0, 5.0)]
    assert origin_of(Sequences.of(starts)).tolist() == [4.0, 0.0]


def test_a_file_of_other_events_is_refused(tmp_path):
    write_sequences(tmp_path / "three.npz", Sequences.of([np.zeros((4, 3))]))
    with pytest.raises(InputError, match=r"three\.npz: events have 3 dimensions; expected 2"):
        read_paths(tmp_path / "three.npz")
