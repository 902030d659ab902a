import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.errors import InputError
from mixtura.systems.sketch.recognition import Recogniser, changes, ink, nearest, recognised

CATEGORIES = ("circle", "cross", "zigzag")

pytestmark = pytest.mark.slow  # networks of convolutions take seconds to compile


def drawing(*lines):
    """Return lines as moves of a pen that starts at the origin."""
    places = np.concatenate(lines).astype(float)
    ends = np.concatenate([np.arange(len(line)) == len(line) - 1 for line in lines])
    return np.column_stack([np.diff(places, axis=0, prepend=0), ends])


def doodle(label, rng):
    size, place = rng.uniform(20, 200), rng.uniform(-50, 50, 2)
    if label == 0:
        angle = rng.uniform(0, 6) + np.linspace(0, 2 * np.pi, rng.integers(9, 14))
        lines = [np.column_stack([np.cos(angle), rng.uniform(0.7, 1) * np.sin(angle)])]
    elif label == 1:
        lines = [np.array([[-1, -1], [1, 1]]), np.array([[-1, 1], [1, -1]])]
    else:
        x = np.linspace(-1, 1, rng.integers(6, 10))
        lines = [np.column_stack([x, 0.6 * (-1.0) ** np.arange(len(x))])]
    return drawing(*(place + size * (line + rng.normal(0, 0.07, line.shape)) for line in lines))


def doodles(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return Sequences.of([doodle(label, rng) for label in labels], label=labels)


@pytest.fixture(scope="module")
def training():
    return doodles(48, seed=1)


def train(drawings, seed=0):
    return Recogniser.train(drawings, CATEGORIES, seed, networks=1, epochs=60, size=8, width=8)


@pytest.fixture(scope="module")
def recogniser(training):
    return train(training)


def test_a_line_leaves_its_length_in_its_direction():
    level = ink(Sequences.of([drawing([[5, 5], [15, 5]])]), 13, 4)[0]
    assert level[:, :, 0].sum() == pytest.approx(5 / 6 * 12, abs=1e-6)
    assert level[6].sum() == pytest.approx(10, abs=1e-6)
    assert not level[:, :, 1:].any()
    np.testing.assert_allclose(level[6, 2:11, 0], 1, atol=1e-6)
    falling = ink(Sequences.of([drawing([[0, 0], [10, 10]])]), 13, 4)[0]
    assert falling[:, :, 1].sum() == pytest.approx(10 * np.sqrt(2), rel=1e-4)
    between = ink(Sequences.of([drawing([[0, 0], [10, 10 * np.tan(np.pi / 8)]])]), 13, 4)[0]
    np.testing.assert_allclose(between.sum((0, 1))[:2], 5 / np.cos(np.pi / 8), rtol=1e-5)


def test_maps_keep_what_a_viewer_sees():
    lines = [np.array([[0, 0], [9, 3], [4, 8.0]]), np.array([[2, 2], [2, 9.0]])]
    back = [line[::-1] for line in lines[::-1]]
    halves = [np.insert(line, 1, (line[0] + line[1]) / 2, axis=0) for line in lines]
    moved = [7 + 3 * line for line in lines]
    maps = ink(Sequences.of([drawing(*some) for some in (lines, back, halves, moved)]), 16, 6)
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-6)
    np.testing.assert_allclose(maps[3], maps[0], atol=1e-6)
    assert np.abs(maps[2] - maps[0]).sum() < 0.02 * maps[0].sum()  # pieces begin elsewhere
    flat = ink(Sequences.of([drawing(*lines)]), 16)
    assert flat.shape == (1, 16, 16, 1)
    assert flat.max() <= 1


def test_moves_through_the_air_leave_no_ink_and_dots_do():
    dots = ink(Sequences.of([drawing([[0, 0]], [[10, 0]]), drawing([[3, 3]])]), 13)
    assert dots.sum((1, 2, 3)) == pytest.approx([2, 1], abs=1e-6)
    assert dots[0, 6, [1, 11], 0] == pytest.approx([1, 1], abs=1e-6)
    assert dots[1, 6, 6, 0] == 1


def test_changes_move_the_ink():
    one = Sequences.of([drawing([[0, 0], [10, 0]], [[0, 4], [0, 6]])])
    mirror = np.array([[[-1.0, 0, 0], [0, 1, 0]]])
    np.testing.assert_allclose(ink(one, 12, 4, mirror), ink(one, 12, 4)[:, :, ::-1], atol=1e-6)
    turn = np.array([[[0, -1.0, 0], [1, 0, 0]]])
    turned = ink(one, 12, 4)[:, :, :, [2, 3, 0, 1]].transpose(0, 2, 1, 3)[:, :, ::-1]
    np.testing.assert_allclose(ink(one, 12, 4, turn), turned, atol=1e-6)
    drawn = changes(1000, np.random.default_rng(0))
    determinant = np.linalg.det(drawn[:, :, :2])
    assert 0.4 < (determinant < 0).mean() < 0.6
    assert np.abs(determinant).min() > 0.5
    still = changes(4, np.random.default_rng(0), by=0)
    np.testing.assert_array_equal(np.abs(still), np.tile([[1.0, 0, 0], [0, 1, 0]], (4, 1, 1)))


def test_the_recogniser_learns_categories(recogniser):
    held_out = doodles(90, seed=2)
    found = recogniser.accuracy(held_out, held_out.fields["label"])
    assert found["top1"] > 0.9
    assert found["top1_error"] == pytest.approx(np.sqrt(found["top1"] * (1 - found["top1"]) / 90))
    assert (found["top10"], found["top10_error"]) == (1, 0)
    p = recogniser.probabilities(held_out)
    assert p.shape == (90, 3)
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1) == held_out.fields["label"]).mean() == found["top1"]


def test_drawings_of_other_categories_are_not_recognised(recogniser):
    real = doodles(30, seed=3)
    wrong = Sequences(real.data, real.offsets, {"label": (real.fields["label"] + 1) % 3})
    found = recognised(recogniser, real, wrong)
    assert list(found) == ["real", "drawn"]
    assert found["real"]["top1"] > 0.9
    assert found["drawn"]["top1"] < 0.1


def test_the_seed_decides_everything(recogniser, training):
    held_out = doodles(9, seed=4)
    p = recogniser.probabilities(held_out)
    np.testing.assert_allclose(
        recogniser.probabilities(held_out[4:5]), p[4:5], rtol=1e-5
    )  # whoever is beside
    np.testing.assert_array_equal(train(training).probabilities(held_out), p)
    assert np.abs(train(training, seed=1).probabilities(held_out) - p).max() > 1e-3


def test_copies_are_near_and_fresh_drawings_as_far_as_real_ones():
    training, held_out, fresh = doodles(300, 5), doodles(240, 6), doodles(240, 7)
    numbers = np.arange(0, 300, 3)
    exact = nearest(training[numbers], training, held_out, seed=0)
    assert exact["neighbour"].tolist() == numbers.tolist()
    assert exact["ratio"] == 0
    assert exact["copies"] == 1
    assert 0 < exact["held_out_copies"] < 0.02
    assert nearest(training[numbers], training, training[numbers], seed=0)["copies"] == 1  # the limit is 0
    rng = np.random.default_rng(0)
    shaken = training[numbers].map(lambda one: one * (1 + [0.05, 0.05, 0] * rng.normal(size=one.shape)))
    near = nearest(shaken, training, held_out, seed=0)
    assert near["ratio"] < 0.6
    assert (near["neighbour"] == numbers).mean() > 0.8
    found = nearest(fresh, training, held_out, seed=0)
    assert 0.85 < found["ratio"] < 1.18
    assert 0.75 < found["ratio_low"] < 1 < found["ratio_high"] < 1.33
    assert found["copies"] < 0.07
    assert found["ratio"] == found["drawn_median"] / found["held_out_median"]
    again = nearest(fresh, training, held_out, seed=0)
    assert all(np.array_equal(again[name], found[name]) for name in found)
    assert nearest(fresh, training, held_out, seed=1)["ratio_low"] != found["ratio_low"]


def test_the_distance_is_hellingers():
    from scipy.ndimage import gaussian_filter

    one, two = doodles(2, seed=8)[[0]], doodles(2, seed=8)[[1]]
    p, q = (gaussian_filter(ink(some, 24, 6)[0].astype(float), (1.5, 1.5, 0)) for some in (one, two))
    expected = np.sqrt(1 - np.sqrt(p / p.sum() * q / q.sum()).sum())
    found = nearest(one, two, two, seed=0)
    assert found["distance"] == pytest.approx([expected], rel=1e-4)
    assert np.isnan(found["ratio"])  # what is held out is in the training set


def test_errors_say_what_was_expected(recogniser):
    some = doodles(3, seed=9)
    bare = Sequences(some.data, some.offsets)
    with pytest.raises(ValueError, match="must have the field 'label'"):
        recognised(recogniser, bare, some)
    with pytest.raises(ValueError, match="labels must be from 0 to 2; received 0 to 3"):
        recogniser.accuracy(some, [0, 1, 3])
    with pytest.raises(ValueError, match="labels must be 3 integers"):
        recogniser.accuracy(some, [0, 1])
    with pytest.raises(ValueError, match="size must be a multiple of 4; received 6"):
        Recogniser.train(some, CATEGORIES, 0, size=6)
    with pytest.raises(InputError, match="there is no sequence"):
        Recogniser.train(some[:0], CATEGORIES, 0)
    with pytest.raises(ValueError, match="size must be at least 2; received 1"):
        ink(some, 1)
    with pytest.raises(InputError, match="events have 2 dimensions; expected 3"):
        nearest(Sequences(some.data[:, :2], some.offsets), some, some, seed=0)
    with pytest.raises(InputError, match="the drawings: there is no sequence"):
        nearest(some[:0], some, some, seed=0)
