import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from mixtura.drawing import Paper, pages, write_pages
from mixtura.drawing.pages import smooth
from mixtura.errors import InputError

SVG = "{http://www.w3.org/2000/svg}"
# Two strokes, (0, -4) (2, 0) (7, -9) and (7, 3) (3, 3), and a dot at (9, 0).
TICK = np.array([[0, -4, 0], [2, 4, 0], [5, -9, 1], [0, 12, 0], [-4, 0, 1], [6, -3, 1]])
STROKES = [[(0, -4), (2, 0), (7, -9)], [(7, 3), (3, 3)], [(9, 0)]]
PLAIN = Paper(width=100, height=100, margin=10, pitch=15)


def written(text):
    """Return the strokes of each line of a page, in mm on the page: their points, and all control points."""
    lines = []
    for group in ElementTree.fromstring(text).findall(f"{SVG}g/{SVG}g"):
        left, top, scale = map(float, re.findall(r"-?[\d.]+", group.get("transform")))
        strokes = []
        for path in "".join(path.get("d") for path in group.iter(f"{SVG}path")).split("M")[1:]:
            start, *rest = re.split("[ch]", path)
            curve = [np.array(start.split(), float)]
            moves = np.array(re.findall(r"-?\d+", rest[0]), float)
            if "c" in path:
                for segment in moves.reshape(-1, 3, 2):
                    curve += list(curve[-1] + segment)
            strokes.append(np.array(curve) * scale + (left, top))
        lines.append(strokes)
    return lines


def colours(text):
    return [group.get("stroke") for group in ElementTree.fromstring(text).findall(f"{SVG}g/{SVG}g")]


def test_points_are_where_they_were_written_in_millimetres():
    (text,) = pages([TICK, TICK], unit=2.0, paper=PLAIN)
    root = ElementTree.fromstring(text)
    assert (root.get("width"), root.get("height")) == ("100mm", "100mm")
    assert root.get("viewBox") == "0 0 100 100"
    assert root.find(f"{SVG}g").get("stroke-width") == "45"
    for strokes, baseline in zip(written(text), (25, 40), strict=True):
        for stroke, places in zip(strokes, STROKES, strict=True):
            np.testing.assert_allclose(stroke[::3], 2.0 * np.array(places) + (10, baseline), atol=0.006)


def test_curves_are_centripetal_catmull_rom_splines():
    """Barry's and Goldman's pyramid (1988) with knots that are square roots of the distances apart."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 2)) * [1, 20]
    curve = smooth(points)
    assert curve.shape == (16, 2)
    for i in range(1, 4):
        p = points[i - 1 : i + 3]
        t = np.append(0, np.cumsum(np.sqrt(np.hypot(*np.diff(p, axis=0).T))))
        for share in (0.2, 0.5, 0.9):
            at, level = t[1] + share * (t[2] - t[1]), list(p)
            for width in (1, 2):
                level = [
                    ((t[j + width] - at) * level[j] + (at - t[j]) * level[j + 1]) / (t[j + width] - t[j])
                    for j in range(len(level) - 1)
                ]
            last = ((t[2] - at) * level[0] + (at - t[1]) * level[1]) / (t[2] - t[1])
            a, b, c, d = curve[3 * i : 3 * i + 4]
            s = share
            bezier = (1 - s) ** 3 * a + 3 * s * (1 - s) ** 2 * b + 3 * s**2 * (1 - s) * c + s**3 * d
            np.testing.assert_allclose(bezier, last, rtol=1e-9)


def test_points_that_repeat_are_left_out_and_two_points_are_a_straight_line():
    np.testing.assert_allclose(
        smooth(np.array([[0.0, 0], [0, 0], [3, 6], [3, 6]])), [[0, 0], [1, 2], [2, 4], [3, 6]]
    )
    np.testing.assert_array_equal(smooth(np.array([[1.0, 2], [1, 2]])), [[1, 2]])


def test_lines_fill_pages_and_empty_ones_leave_room():
    lines = [TICK] * 4 + [None, np.zeros((0, 3))] + [TICK] * 3
    texts = pages(lines, 1.0, PLAIN)  # five lines of 15 mm fit into 80 mm
    assert [len(written(text)) for text in texts] == [4, 3]
    first = [[strokes[0][0, 1] + 4 for strokes in written(text)] for text in texts]
    assert first[0] == pytest.approx([25, 40, 55, 70], abs=0.006)
    assert first[1] == pytest.approx([40, 55, 70], abs=0.006)  # the second empty line is its first


def test_paper_without_a_height_or_width_fits_its_lines():
    (text,) = pages([TICK] * 30, 1.0, Paper(width=None, height=None, margin=10, pitch=15))
    root = ElementTree.fromstring(text)
    assert root.get("viewBox") == "0 0 35 470"  # at least a pitch wide; 30 lines and two margins high
    (text,) = pages([TICK], 10.0, Paper(width=None, margin=10))
    assert ElementTree.fromstring(text).get("width") == "110mm"


def test_a_line_that_is_too_wide_is_drawn_smaller():
    (text,) = pages([TICK, TICK], 20.0, PLAIN)
    shown = np.concatenate(written(text)[0])
    assert shown[:, 0].min() == pytest.approx(10)
    assert written(text)[0][2][0] == pytest.approx((90, 25))
    assert written(text)[0][1][-1] - written(text)[0][1][0] == pytest.approx((-4 * 80 / 9, 0), abs=0.02)


def test_each_line_can_have_its_ink():
    assert colours(pages([TICK, TICK], 1.0, PLAIN)[0]) == ["#1b1f3b"] * 2
    lines = [TICK, None, TICK]
    (text,) = pages(lines, 1.0, Paper(ink=["red", "green", "#00f"], background="#fdf6e3"))
    assert colours(text) == ["#ff0000", "#0000ff"]
    assert ElementTree.fromstring(text).find(f"{SVG}rect").get("fill") == "#fdf6e3"


def test_a_title_is_escaped_and_takes_room_and_rules_are_baselines():
    strange = '<b>&"\n\x00'
    texts = pages(
        [TICK] * 5, 1.0, Paper(width=100, height=100, margin=10, pitch=15, title=strange, ruled=True)
    )
    assert len(texts) == 2  # four lines fit below a title
    root = ElementTree.fromstring(texts[0])
    title = root.find(f"{SVG}text")
    assert title.text == root.get("aria-label") == '<b>&" \ufffd'
    rules = re.findall(r"M10 (\d+)H90", root.find(f"{SVG}path").get("d"))
    assert rules == ["35", "50", "65", "80"]
    assert float(title.get("y")) < 20
    assert written(texts[0])[0][0][0] == pytest.approx((10, 31))
    long = ElementTree.fromstring(pages([TICK], 1.0, Paper(title="a" * 200))[0]).find(f"{SVG}text")
    assert float(long.get("font-size")) * 0.56 * 200 == pytest.approx(174, rel=0.01)


def test_a_calligraphic_pen_is_thinner_where_it_is_faster():
    steps = np.repeat([[0.2, 0, 0], [1, 0, 0], [5, 0, 0]], [20, 42, 20], axis=0)
    steps[-1, 2] = 1
    dot = np.array([[2.0, 0, 1]])
    (text,) = pages([np.concatenate([steps, dot])], 0.5, Paper(calligraphic=True, pen=1.0))
    found = {}
    for path in ElementTree.fromstring(text).iter(f"{SVG}path"):
        for part in path.get("d").split("M")[1:]:
            found[int(part.split()[0])] = float(path.get("stroke-width", 100))
    *widths, last = [found[start] for start in sorted(found)]
    assert widths == sorted(widths, reverse=True)
    assert (widths[0], widths[-1]) == (135, 65)
    assert 100 in widths
    assert last == 100  # a dot has no speed
    *pieces, _ = sorted(written(text)[0], key=lambda piece: piece[0, 0])
    for one, following in pairwise(pieces):
        np.testing.assert_allclose(one[-1], following[0])  # no gaps


def test_pages_are_numbered_if_there_are_several(tmp_path):
    (only,) = write_pages(tmp_path / "new" / "letter.svg", ["a\n"])
    assert only.name == "letter.svg"
    assert only.read_bytes() == b"a\n"
    names = [path.name for path in write_pages(tmp_path / "letter.svg", ["a", "b"])]
    assert names == ["letter-1.svg", "letter-2.svg"]
    assert (tmp_path / "letter-2.svg").read_text() == "b"
    many = write_pages(tmp_path / "many.svg", list("abcdefghij"))
    assert [many[0].name, many[9].name] == ["many-01.svg", "many-10.svg"]


def test_pages_are_there_whole_or_not_at_all(tmp_path):
    with pytest.raises(TypeError):
        write_pages(tmp_path / "letter.svg", ["a", None])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 36}, "36 mm wide has no room between margins of 18 mm"),
        ({"height": 47}, "47 mm high has no room for a line of 12 mm between margins of 18 mm"),
        ({"height": 57, "title": "a"}, "below a title"),
        ({"pen": 0}, "the pen of a page must be a positive number of mm; received 0"),
        ({"pitch": float("nan")}, "the pitch of a page"),
        ({"margin": -1}, "margin of a page must be 0 mm or more"),
        ({"ink": "sepiaish"}, "'sepiaish' is no colour"),
        ({"background": "none"}, "'none' is no colour"),
        ({"ink": ["red", '"/>']}, "is no colour"),
    ],
)
def test_paper_that_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        Paper(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lines": []}, "there are no lines"),
        ({"lines": [None, TICK[:, :2]]}, r"line 2 has the shape \(6, 2\)"),
        ({"unit": 0}, "unit of a drawing must be a positive number of mm; received 0"),
        (
            {"paper": Paper(ink=["red", "blue"])},
            "there are 2 colours of ink; expected one, or one for each of 1",
        ),
    ],
)
def test_what_cannot_be_written(arguments, message):
    with pytest.raises(InputError, match=message):
        pages(**{"lines": [TICK], "unit": 1.0, **arguments})


def test_where_pages_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"page.png has another ending; expected .svg"):
        write_pages(tmp_path / "page.png", ["a"])
    with pytest.raises(InputError, match="no pages to write"):
        write_pages(tmp_path / "page.svg", [])
