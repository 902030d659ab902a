import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtura.data.sequences import Sequences
from mixtura.data.strokes import (
    check,
    clipped,
    fitted,
    from_kanji,
    from_polylines,
    from_stroke5,
    polylines,
    quickdraw,
    resampled,
    simplified,
    spread,
    stretched,
    thinned,
    to_kanji,
    to_stroke5,
)
from mixtura.errors import InputError

DRAWING = np.array([[1, 2, 0], [3, 0, 1], [-1, 5, 1], [0, 1, 0], [2, 2, 0], [1, 1, 1]])
LINES = [[[1, 2], [4, 2]], [[3, 7]], [[3, 8], [5, 10], [6, 11]]]
DRAW, LIFT, END = [1, 0, 0], [0, 1, 0], [0, 0, 1]

places = st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000))
lines_of = st.lists(st.lists(places, min_size=1, max_size=8), min_size=1, max_size=5)


def same(found, wanted, atol=0.0):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


# Conversions


def test_lines_of_a_drawing_and_back():
    same(polylines(DRAWING), LINES)
    np.testing.assert_array_equal(from_polylines(LINES), DRAWING)
    np.testing.assert_array_equal(from_polylines(LINES, origin=(1, 2))[0], [0, 0, 0])
    np.testing.assert_array_equal(from_polylines([[], *LINES, []]), DRAWING)
    assert from_polylines([]).shape == (0, 3)
    assert polylines(np.zeros((0, 3))) == []


def test_sums_of_small_integers_do_not_overflow():
    drawing = np.array([[30_000, 0, 0], [30_000, 0, 1]], dtype=np.int16)
    same(polylines(drawing), [[[30_000, 0], [60_000, 0]]])


def test_a_line_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"must have the shape \(points, 2\); line 1 has \(1, 3\)"):
        from_polylines([[[0, 0]], [[1, 2, 3]]])


@given(lines_of)
@settings(max_examples=50, deadline=None)
def test_every_form_gives_the_drawing_back(lines):
    drawing = from_polylines(lines)
    same(polylines(drawing), lines)
    np.testing.assert_array_equal(from_stroke5(to_stroke5(drawing)), drawing)
    padded = np.concatenate([to_stroke5(drawing), np.tile([[0, 0, 0, 0, 1]], (3, 1))])
    np.testing.assert_array_equal(from_stroke5(padded), drawing)
    if drawing[-1, :2].any():  # else nothing tells the last point from an event that only closes
        np.testing.assert_array_equal(from_stroke5(to_stroke5(drawing, closing=False)), drawing)
        np.testing.assert_array_equal(from_kanji(to_kanji(drawing)), drawing)


def test_stroke5():
    drawing = [[1, 2, 0], [3, 0, 1], [-1, 5, 1]]
    closed = [[1, 2, *DRAW], [3, 0, *LIFT], [-1, 5, *LIFT], [0, 0, *END]]
    assert to_stroke5(drawing).tolist() == closed
    assert to_stroke5(drawing, closing=False).tolist() == [[1, 2, *DRAW], [3, 0, *LIFT], [-1, 5, *END]]
    # The part of a drawing that is given to continue it keeps its pen down.
    assert to_stroke5([[1, 2, 0]])[:-1].tolist() == [[1, 2, *DRAW]]


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([[1, 2, *DRAW], [3, 0, *END], [9, 9, *DRAW]], [[1, 2, 0], [3, 0, 1]]),
        ([[1, 2, *DRAW], [0, 0, *END]], [[1, 2, 0], [0, 0, 1]]),
        ([[1, 2, *LIFT], [0, 0, *END]], [[1, 2, 1]]),
        ([[1, 2, *LIFT], [0, 1, *END]], [[1, 2, 1], [0, 1, 1]]),
        ([[0, 0, *END]], [[0, 0, 1]]),
        ([[1, 2, *LIFT], [3, 0, *DRAW]], [[1, 2, 1], [3, 0, 1]]),
        ([[1, 2, 0.2, 0.5, 0.3], [3, 0, 0.2, 0.3, 0.5]], [[1, 2, 1], [3, 0, 1]]),
        (np.zeros((0, 5)), np.zeros((0, 3)).tolist()),
    ],
)
def test_from_stroke5(events, wanted):
    assert from_stroke5(events).tolist() == wanted


def test_the_columns_of_the_kanji_of_2015():
    # dx, dy, end of stroke, end of character, continue
    events = to_kanji([[1, 2, 0], [3, 0, 1], [-1, 5, 1]])
    assert events.tolist() == [[1, 2, 0, 0, 1], [3, 0, 1, 0, 0], [-1, 5, 0, 1, 0]]


# Simplification


def slowly_simplified(line, epsilon, distance):
    """Ramer, Douglas and Peucker as their papers say it."""

    def far(point, start, stop):
        length = np.hypot(*(stop - start))
        share = (point - start) @ (stop - start) / length**2 if length > 0 else 0.0
        share = min(max(share, 0), 1) if distance == "segment" else share
        return np.hypot(*(start + share * (stop - start) - point))

    if len(line) < 3:
        return line
    distances = [far(point, line[0], line[-1]) for point in line[1:-1]]
    middle = int(np.argmax(distances)) + 1
    if distances[middle - 1] <= epsilon:
        return line[[0, -1]]
    before = slowly_simplified(line[: middle + 1], epsilon, distance)
    return np.concatenate([before[:-1], slowly_simplified(line[middle:], epsilon, distance)])


@pytest.mark.parametrize("distance", ["segment", "line"])
@pytest.mark.parametrize("epsilon", [0.0, 0.3, 2.0, 100.0])
def test_simplified_is_the_algorithm(distance, epsilon):
    rng = np.random.default_rng(1)
    lines = [rng.normal(size=(length, 2)).cumsum(axis=0) for length in (1, 2, 3, 4, 40, 150)]
    lines.append(np.concatenate([lines[-1], lines[-1][:1]]))  # closed
    found = simplified(lines, epsilon, distance)
    same(found, [slowly_simplified(line, epsilon, distance) for line in lines])


def test_simplified_by_hand():
    straight = np.column_stack([np.arange(9.0), np.zeros(9)])
    same(simplified([straight]), [straight[[0, -1]]])
    corner = np.array([[0, 0], [5, 0], [10, 0], [10, 5], [10, 10]])
    same(simplified([corner]), [corner[[0, 2, 4]]])
    just, more = np.array([[0, 0], [5, 2], [10, 0]]), np.array([[0, 0], [5, 2.01], [10, 0]])
    same(simplified([just, more]), [just[[0, 2]], more])
    dots = np.zeros((4, 2))
    same(simplified([dots, dots[:1]]), [dots[:2], dots[:1]])
    assert simplified([]) == []


def test_a_bar_drawn_forth_and_back_keeps_where_it_turns():
    bar = np.array([[0, 0], [10, 0], [5, 0]])
    same(simplified([bar]), [bar])
    same(simplified([bar], distance="line"), [bar[[0, 2]]])  # as Quick, Draw! does it


def test_simplified_refuses():
    with pytest.raises(ValueError, match="epsilon must not be negative; received -1"):
        simplified([], -1)
    with pytest.raises(ValueError, match="epsilon must not be negative; received nan"):
        simplified([], np.nan)
    with pytest.raises(ValueError, match="must be 'segment' or 'line'; received 'point'"):
        simplified([], 1, "point")


def test_fitted():
    same(fitted([[[10, 20], [20, 60]], [[10, 30]]], size=80), [[[0, 0], [20, 80]], [[0, 20]]])
    same(fitted([[[10, 20]]]), [[[0, 0]]])
    assert fitted([]) == []


def test_resampled():
    line = [[0, 0], [3, 0], [3, 1.5]]
    same(resampled([line]), [[[0, 0], [1, 0], [2, 0], [3, 0], [3, 1], [3, 1.5]]])
    same(resampled([line], 1.5), [[[0, 0], [1.5, 0], [3, 0], [3, 1.5]]])
    same(resampled([line], 10), [[[0, 0], [3, 1.5]]])
    same(resampled([[[2, 2]], [[2, 2], [2, 2]]]), [[[2, 2]], [[2, 2]]])
    # The length of a sum of tenths is a little more than it should be.
    tenths = np.column_stack([np.cumsum(np.full(31, 0.1)), np.zeros(31)])
    assert len(resampled([tenths])[0]) == 4
    with pytest.raises(ValueError, match="spacing must be positive; received 0"):
        resampled([], 0)


def test_quickdraw():
    # A square of side 510, forth and back, and a dot in its middle.
    side = np.array([[100, 50], [610, 50], [610, 560], [100, 560], [100, 50]])
    same(
        quickdraw([side, [[355, 305]]]),
        [[[0, 0], [255, 0], [255, 255], [0, 255], [0, 0]], [[128, 128]]],
    )
    rng = np.random.default_rng(0)
    lines = [rng.normal(size=(60, 2)).cumsum(axis=0) for _ in range(3)]
    found = quickdraw(lines)
    everything = np.concatenate(found)
    np.testing.assert_array_equal(everything, np.rint(everything))
    # Corners are cut by at most half a step of the resampling.
    assert everything.min() >= 0
    assert 253 < everything.max() <= 255
    wanted = [slowly_simplified(line, 2.0, "line").round() for line in resampled(fitted(lines))]
    same(found, wanted)


# Scale and augmentation


def test_spread():
    drawings = [DRAWING, DRAWING[:2]]
    wanted = np.std([1, 2, 3, 0, -1, 5, 0, 1, 2, 2, 1, 1, 1, 2, 3, 0])
    assert spread(drawings) == pytest.approx(wanted)
    assert spread(Sequences.of(drawings)) == pytest.approx(wanted)


def test_stretched():
    rng = np.random.default_rng(0)
    many = np.array([stretched(DRAWING, rng, 0.3) for _ in range(2000)])
    factors = many[:, 0, :2] / DRAWING[0, :2]
    np.testing.assert_allclose(many[..., :2], DRAWING[:, :2] * factors[:, None])
    assert (many[..., 2] == DRAWING[:, 2]).all()
    assert factors.min() > 0.7
    assert factors.max() < 1.3
    np.testing.assert_allclose(factors.mean(axis=0), 1, atol=0.02)
    np.testing.assert_allclose(factors.std(axis=0), 0.3 / np.sqrt(3), atol=0.01)
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.1


def slowly_thinned(drawing, draws, probability):
    """As sketch-rnn goes through the points: from the fourth of a stroke, one may go into the one before."""
    kept, place = [], 0
    for dx, dy, end in drawing:
        place = 0 if not kept or kept[-1][2] == 1 or end == 1 else place + 1
        if place > 2 and next(draws) < probability:
            kept[-1] = [kept[-1][0] + dx, kept[-1][1] + dy, end]
        else:
            kept.append([dx, dy, end])
    return np.array(kept)


def test_thinned():
    rng = np.random.default_rng(0)
    lines = [rng.integers(0, 99, (length, 2)) for length in (1, 2, 3, 4, 5, 30, 12)]
    drawing = from_polylines(lines)
    np.testing.assert_array_equal(thinned(drawing, rng, 0.0), drawing)
    # All that may go: in strokes of five or more, all but two points at the start and two at the end.
    same(
        polylines(thinned(drawing, rng, 1.1)),
        [line[[0, 1, -2, -1]] if len(line) > 4 else line for line in lines],
    )
    same(
        polylines(slowly_thinned(drawing, iter(np.zeros(99)), 1.1)),
        polylines(thinned(drawing, rng, 1.1)),
    )
    counts = []
    for _ in range(500):
        some = polylines(thinned(drawing, rng, 0.3))
        for line, whole in zip(some, lines, strict=True):
            assert {tuple(place) for place in line} <= {tuple(place) for place in whole}
            assert (line[0] == whole[0]).all()
            assert (line[-1] == whole[-1]).all()
        counts.append(len(some[5]))
    assert np.mean(counts) == pytest.approx(4 + 26 * 0.7, abs=0.5)


def test_thinned_leaves_a_drawing_without_an_end_alone():
    drawing = np.array([[1, 2, 0]] * 8)
    found = thinned(drawing, np.random.default_rng(0), 1.1)
    assert found.tolist() == [[1, 2, 0], [1, 2, 0], [5, 10, 0], [1, 2, 0]]
    assert thinned(np.zeros((0, 3)), np.random.default_rng(0)).shape == (0, 3)


def test_clipped():
    assert clipped(np.array([[2000.0, -3, 1], [5, -1001, 0]])).tolist() == [[1000, -3, 1], [5, -1000, 0]]


# What is no drawing


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        (
            np.zeros((3, 5)),
            r"it has the shape \(3, 5\) of float64; expected \(points, 3\) of numbers dx, dy, end",
        ),
        (np.zeros(3), r"it has the shape \(3,\) of float64"),
        (np.full((2, 3), "0"), r"it has the shape \(2, 3\) of <U1"),
        (np.zeros((0, 3)), "it has no point; expected at least one"),
        (np.zeros((5, 3)), "it has 5 points; expected at most 4"),
        ([[0, 0, 0], [0, np.nan, 1]], "it, point 2: dy is nan; expected a finite number of at most 3.4e"),
        ([[-np.inf, 0, 0]], "it, point 1: dx is -inf"),
        ([[1e39, 0, 0]], r"it, point 1: dx is 1e\+39"),
        ([[0, 0, 0], [0, 0, 0.5]], "it, point 2: end is 0.5; expected 0 or 1"),
        ([[0, 0, np.nan]], "it, point 1: end is nan; expected 0 or 1"),
    ],
)
def test_check(drawing, message):
    with pytest.raises(InputError, match=message) as caught:
        check(drawing, "it", longest=4)
    assert "\n" not in str(caught.value)


def test_check_finds_nothing():
    check(DRAWING, "it", longest=6)
    check(DRAWING.astype(np.int8), "it")
