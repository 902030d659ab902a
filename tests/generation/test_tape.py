import numpy as np
import pytest
from scipy import stats

from mixtura.generation.tape import Tape


def taken(seed, batch_size, steps, width=3, before=0):
    return Tape(seed, batch_size, width, np.broadcast_to(before, batch_size)).take(steps)


def test_rows_are_streams_of_their_own():
    many = taken(5, 4, 10)
    assert many.shape == (10, 4, 3)
    assert len(np.unique(many)) == many.size
    np.testing.assert_array_equal(taken(5, 2, 10), many[:, :2])
    np.testing.assert_array_equal(taken([5], 1, 10), many[:, :1])
    np.testing.assert_array_equal(taken([8, 5, 8], 3, 10)[:, 1], many[:, 0])
    for same in (np.array([8, 5]), range(8, 2, -3)):
        np.testing.assert_array_equal(taken(same, 2, 10), taken([8, 5], 2, 10))


def test_a_large_seed_is_no_other_seeds_row():
    """NumPy cuts entropy into words of 32 bits."""
    assert (taken([1 + 3 * 2**32], 1, 10)[:, 0] != taken(1, 4, 10)[:, 3]).all()


def test_steps_follow_each_other_in_whatever_pieces():
    whole = taken(5, 2, 10)
    tape = Tape(5, 2, 3, np.zeros(2, int))
    np.testing.assert_array_equal(np.concatenate([tape.take(n) for n in (1, 6, 3)]), whole)
    later = taken(5, 2, 4, before=[6, 2])
    np.testing.assert_array_equal(later[:, 0], whole[6:, 0])
    np.testing.assert_array_equal(later[:, 1], whole[2:6, 1])


def test_numbers_are_uniform_in_steps_that_float32_holds():
    numbers = taken(0, 20, 2000)
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > 1e-3
    assert (numbers * 2**24 % 1 == 0).all()
    np.testing.assert_array_equal(numbers.astype("float32"), numbers)
    assert 0 <= numbers.min() <= numbers.max() < 1
    first, second = numbers[:, 0, 0], numbers[:, 1, 0]
    for one, other in ((first, second), (first[1:], first[:-1])):
        assert stats.pearsonr(one, other).pvalue > 1e-3


def test_without_a_seed_they_are_fresh():
    assert (taken(None, 2, 5) != taken(None, 2, 5)).all()


@pytest.mark.parametrize("seed", [1.5, "a", True, [1, 2.0], [[1]]])
def test_other_seeds_are_refused(seed):
    with pytest.raises(TypeError):
        taken(seed, 2, 1)
