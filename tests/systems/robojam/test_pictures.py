import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mixtura.drawing import COLOURS
from mixtura.systems.robojam import pictures

# A tap, a swipe of three rows, a tap.
TOUCHES = np.array(
    [[0.1, 0.1, 0, 0], [0.2, 0.2, 1, 0], [0.5, 0.2, 1, 1], [0.5, 0.6, 1, 1], [0.9, 0.9, 2, 0]], dtype=float
)
TAP = TOUCHES[:1]


@pytest.fixture
def axes():
    return Figure(figsize=(4, 2)).add_axes((0, 0, 0.5, 1))


@pytest.fixture
def drawn(saved_figures):
    return saved_figures(pictures)


def lines_of(axes):
    return [one for one in axes.collections if type(one) is LineCollection]


def test_a_line_leads_to_every_row_and_a_dot_to_a_new_touch(axes):
    pictures.performance(axes, TOUCHES, "blue")
    (lines,) = lines_of(axes)
    before, to = np.array(lines.get_segments()).swapaxes(0, 1)
    np.testing.assert_allclose(to, TOUCHES[:, :2], atol=0.002)
    np.testing.assert_allclose(before, TOUCHES[[0, 1, 1, 2, 4], :2], atol=0.002)
    assert (np.linalg.norm(to - before, axis=1) > 0).all()  # else a tap would not show
    assert lines.get_linewidth() == pytest.approx(0.03 * 2 * 72)
    assert axes.yaxis_inverted()


def test_only_the_beginnings_of_swipes_are_marked(axes):
    pictures.performance(axes, TOUCHES, "blue")
    marks = axes.collections[-1]
    np.testing.assert_array_equal(marks.get_offsets(), TOUCHES[1:2, :2])


def test_colours_become_full(axes):
    pictures.performance(axes, TOUCHES, "orange")
    colours = lines_of(axes)[0].get_colors()[:, :3]
    ground, full = np.array(to_rgb(pictures.GROUND)), np.array(to_rgb(COLOURS["orange"]))
    shares = (colours - ground)[:, 2] / (full - ground)[2]
    np.testing.assert_allclose(shares, 0.45 + 0.55 * np.cumsum(TOUCHES[:, 2]) / 5)


def test_a_call_lies_behind_in_another_colour(axes):
    pictures.performance(axes, TOUCHES, "orange", behind=TAP)
    below, above = lines_of(axes)
    assert len(below.get_segments()) == 1
    assert len(above.get_segments()) == len(TOUCHES)
    assert below.get_zorder() <= above.get_zorder()


def test_a_time_line_has_a_tick_for_every_touch_and_bars_while_swipes_last(axes):
    pictures.time_line(axes, TOUCHES, "blue")
    _, ticks = lines_of(axes)
    assert [segment[0][0] for segment in ticks.get_segments()] == [0, 1, 5]
    (bars,) = [one for one in axes.collections if type(one) is PolyCollection]
    spans = [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bars.get_paths()]
    assert spans == [(0, 0), (1, 3), (1, 3), (2, 3), (5, 5)]


def test_with_a_call_a_time_line_has_two_lanes(axes):
    pictures.time_line(axes, TOUCHES, "blue", behind=TAP)
    call, answer = [one.get_segments() for one in lines_of(axes)[1:]]
    assert len(call) == 1
    assert len(answer) == 3
    assert min(call[0][:, 1]) > max(answer[0][:, 1])


@pytest.mark.parametrize(("answers", "columns", "rows"), [(1, 2, 1), (3, 4, 1), (4, 3, 2), (16, 5, 4)])
def test_a_sheet_has_the_call_and_all_answers_in_a_grid(answers, columns, rows, tmp_path, drawn):
    path = pictures.call_and_response(TAP, [TOUCHES] * answers, tmp_path / "sheet.png", "A title")
    assert path.stat().st_size > 1000
    (figure,) = drawn
    assert [text.get_text() for text in figure.texts] == ["A title"]
    areas, lines = figure.axes[::2], figure.axes[1::2]
    assert len(areas) == len(lines) == 1 + answers
    assert len({round(one.get_position().x0, 6) for one in areas}) == columns
    assert len({round(one.get_position().y0, 6) for one in areas}) == rows
    assert [len(lines_of(one)) for one in areas] == [1] + [2] * answers
    sizes = np.array([one.get_position().size * figure.get_size_inches() for one in areas])
    np.testing.assert_allclose(sizes, pictures.SIDE)
    for one in figure.axes:
        assert 0 < one.get_position().x0 < one.get_position().x1 < 1
        assert 0 < one.get_position().y0 < one.get_position().y1 < 1


@pytest.mark.parametrize(("pause", "end"), [(0.5, 5), (2.2, 5), (3.5, 7)])
def test_time_lines_are_as_long_as_performances_and_all_the_same(pause, end, tmp_path, drawn):
    answer = TOUCHES.copy()
    answer[-1, 2] = pause  # after 3 s
    pictures.call_and_response(TAP, [TAP, answer], tmp_path / "sheet.png")
    assert {one.get_xlim()[1] for one in drawn[0].axes[1::2]} == {end}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_ending_chooses_the_format(ending, tmp_path):
    beginnings = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    path = tmp_path / f"picture.{ending}"
    pictures.call_and_response(TAP, [TOUCHES], path)
    assert path.read_bytes().startswith(beginnings[ending])


def test_a_gallery_has_two_blocks_with_titles(tmp_path, drawn):
    path = pictures.gallery({"real": [TOUCHES] * 4, "drawn": [TAP] * 3}, tmp_path / "gallery.png", across=2)
    assert path.exists()
    (figure,) = drawn
    areas = figure.axes[::2]
    assert [len(lines_of(one)[0].get_segments()) for one in areas] == [5] * 4 + [1] * 3
    titles = [text.get_text() for one in areas for text in one.texts if text.get_text()]
    assert titles == ["real", "drawn"]
    left = [round(one.get_position().x0, 6) for one in areas]
    assert left[0] == left[2] < left[1] == left[3] < left[4] == left[6] < left[5]


def test_what_does_not_fit_is_refused(tmp_path):
    for answers in (0, 17):
        with pytest.raises(ValueError, match=f"1 to 16 answers; received {answers}"):
            pictures.call_and_response(TAP, [TAP] * answers, tmp_path / "sheet.png")
    with pytest.raises(ValueError, match="1 to 4 blocks of performances; received 1 with up to 0"):
        pictures.gallery({"real": []}, tmp_path / "gallery.png")
    with pytest.raises(ValueError, match="received 5 with up to 1"):
        pictures.gallery({str(i): [TAP] for i in range(5)}, tmp_path / "gallery.png")
    assert not list(tmp_path.iterdir())
