import numpy as np
import pytest
from scipy.signal import savgol_filter

from mixtura.data.cleaning import Cleaning, body, clean, cleaned, long_steps, slants, slopes
from mixtura.data.sequences import Sequences
from mixtura.data.strokes import from_polylines, polylines

RNG = np.random.default_rng(0)


def scribble(*lengths):
    return from_polylines([RNG.normal(size=(length, 2)).cumsum(axis=0) for length in lengths])


def letters(count=12, height=10.0, space=14.0, slant=0.0):
    """Return a line of letters: a ring, a stem and a stem that hangs lower, each with its lowest point.

    The baseline is y = 0; rings are `height` high.
    """
    turn = np.linspace(0, 2 * np.pi, 25) - np.pi / 2
    ring = np.column_stack([0.4 * height * np.cos(turn), -height / 2 + height / 2 * np.sin(turn)])
    stem = np.column_stack([np.zeros(9), np.linspace(-1.6 * height, 0, 9)])
    tail = np.column_stack([np.zeros(9), np.linspace(-height, 0.8 * height, 9)])
    lines = [(ring, ring, stem, ring, tail)[number % 5] + [space * number, 0] for number in range(count)]
    return from_polylines([line + np.outer(-line[:, 1], [np.tan(np.radians(slant)), 0]) for line in lines])


def turned(drawing, degrees):
    """Return a drawing that rises by so many degrees more to the right; y goes down."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.column_stack([drawing[:, :2] @ np.array([[c, -s], [s, c]]), drawing[:, 2]])


def of(*drawings):
    return Sequences.of(drawings)


# The steps that look at points


def test_nothing_is_done_unless_asked_for():
    drawing = scribble(5, 1, 8)
    np.testing.assert_array_equal(clean(drawing, Cleaning()), drawing)


def test_offsets_are_clamped():
    drawing = np.array([[900, -900, 0], [3, 4, 1]])
    assert clean(drawing, Cleaning(limit=500)).tolist() == [[500, -500, 0], [3, 4, 1]]


def test_smoothing_is_a_mean_whose_window_shrinks_to_the_ends():
    drawing = scribble(9, 1, 2, 4)
    wanted = []
    for line in polylines(drawing):
        own = []
        for at in range(len(line)):
            half = min(2, at, len(line) - 1 - at)
            own.append(line[at - half : at + half + 1].mean(axis=0))
        wanted.append(np.array(own))
    found = polylines(clean(drawing, Cleaning(smooth=5)))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_savitzky_golay_is_scipys():
    drawing = scribble(20, 1, 3, 7)
    found = polylines(clean(drawing, Cleaning(savgol=True)))
    for one, line in zip(found, polylines(drawing), strict=True):
        np.testing.assert_allclose(one, savgol_filter(line, 7, 3, axis=0, mode="nearest"), atol=1e-9)


def test_thinning_keeps_every_so_many_th_point_and_the_last():
    drawing = scribble(9, 1, 2, 4, 8)
    found = polylines(clean(drawing, Cleaning(thin=4)))
    for one, line in zip(found, polylines(drawing), strict=True):
        kept = sorted({*range(0, len(line), 4), len(line) - 1})
        np.testing.assert_allclose(one, line[kept], atol=1e-12)


def test_a_wrong_reading_is_moved_and_missing_ones_are_filled_in():
    line = np.column_stack([np.arange(20.0), np.zeros(20)])
    wrong = line.copy()
    wrong[7] = (9, 50)
    gap = np.delete(line, range(11, 16), axis=0)
    drawing = from_polylines([wrong, np.add(gap, (100, 0))])
    assert long_steps(of(drawing), 5).sum() == 3
    mended = clean(drawing, Cleaning(outliers=5))
    one, other = polylines(mended)
    np.testing.assert_allclose(one, line, atol=1e-12)
    np.testing.assert_allclose(other, np.add(line, (100, 0)), atol=1e-12)
    assert not long_steps(of(mended), 5).any()


def test_moves_in_the_air_and_drawings_of_dots_have_no_long_steps():
    dots = from_polylines([[[0, 0]], [[500, 0]], [[501, 0]]])
    still = from_polylines([[[3, 3]] * 4])
    for drawing in (dots, still):
        np.testing.assert_array_equal(clean(drawing, Cleaning(outliers=5)), drawing)


# The steps that look at lines


@pytest.mark.parametrize("degrees", [-12.0, -3.0, 0.0, 5.0, 10.0])
def test_a_line_is_turned_to_run_horizontally_whatever_hangs_below(degrees):
    line = turned(letters(40), degrees)
    assert slopes(of(line))[0] == pytest.approx(degrees, abs=0.5)
    np.testing.assert_allclose(clean(line, Cleaning(baseline=True)), letters(40), atol=0.6)
    assert slopes(of(clean(line, Cleaning(baseline=True))))[0] == pytest.approx(0, abs=0.3)


def test_a_word_tells_less_of_its_slope_than_a_line():
    found = slopes(Sequences.of([turned(letters(count), 8) for count in (4, 5, 8, 12, 40)]))
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    assert found[-1] == pytest.approx(8, abs=0.2)


@pytest.mark.parametrize("degrees", [-20.0, 0.0, 10.0, 35.0])
def test_letters_are_set_upright(degrees):
    line = letters(slant=degrees)
    assert slants(of(line))[0] == pytest.approx(degrees, abs=0.1)
    np.testing.assert_allclose(clean(line, Cleaning(slant=True)), letters(), atol=0.05)


def test_the_slant_is_the_weighted_median_of_the_steps_down():
    drawings = [scribble(30, 1, 12), scribble(40)]
    wanted = []
    for drawing in drawings:
        steps = np.concatenate([np.diff(line, axis=0) for line in polylines(drawing)])
        dx, dy = steps[steps[:, 1] > 0].T
        order = np.argsort(-dx / dy)
        at = np.searchsorted(np.cumsum(dy[order]), dy.sum() / 2)
        wanted.append(np.degrees(np.arctan(-dx[order][at] / dy[order][at])))
    np.testing.assert_allclose(slants(of(*drawings)), wanted)


def test_the_body_of_a_line_is_where_small_letters_are():
    assert body(letters()) == pytest.approx((0, 10), abs=1.5)
    scaled = clean(letters(), Cleaning(height=2.0))
    assert body(scaled) == pytest.approx((0, 2), abs=0.3)
    np.testing.assert_allclose(scaled[:, :2], letters()[:, :2] * (2 / body(letters())[1]), atol=1e-9)


def test_what_is_no_line_stays_as_it_is():
    everything = Cleaning(baseline=True, slant=True, height=3.0)
    dot, up = np.array([[4.0, 2.0, 1.0]]), from_polylines([[[0, 0], [0, -5]]])
    np.testing.assert_array_equal(clean(dot, everything), dot)
    assert body(dot) == (2.0, 0.0)
    assert slopes(of(dot, up)).tolist() == slants(of(dot, up)).tolist() == [0, 0]
    steep = turned(letters(), 60)
    np.testing.assert_array_equal(clean(steep, Cleaning(baseline=True)), steep)


# Many at once


def test_many_are_cleaned_one_by_one_and_keep_strokes_and_fields():
    cleaning = Cleaning(limit=400, outliers=6, baseline=True, slant=True, smooth=5, thin=3, height=4)
    drawings = [turned(letters(9, slant=8), 4), scribble(1), scribble(30, 1, 12), letters(20)]
    several = Sequences.of(drawings, text=["a", "b", "c", "d"])
    found = cleaned(several, cleaning)
    assert found.fields["text"].tolist() == ["a", "b", "c", "d"]
    for one, drawing in zip(found, drawings, strict=True):
        np.testing.assert_allclose(one, clean(drawing, cleaning), atol=1e-9)
        assert one[:, 2].sum() == drawing[:, 2].sum()
        assert one[-1, 2] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"limit": -1}, "limit must be a positive number, or 0; received -1"),
        ({"height": np.inf}, "height must be a positive number, or 0; received inf"),
        ({"smooth": 4}, "smooth must be an odd number of points, or 0; received 4"),
        ({"thin": 0}, "thin must be at least 1; received 0"),
        ({"smooth": 5, "savgol": True}, "smooth and savgol are both filters; expected one of them"),
    ],
)
def test_mistakes_are_said(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Cleaning(**arguments)
