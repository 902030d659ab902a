from xml.etree import ElementTree

import numpy as np
import pytest

from mixtura.drawing import COLOURS, sheet
from mixtura.drawing.sheets import BEGUN, PALETTE, SHADES

SVG = "{http://www.w3.org/2000/svg}"
# Two strokes: (0, 4) (2, 6) (7, 0), then (7, 6) (3, 6).
TICK = np.array([[0, 4, 0], [2, 2, 0], [5, -6, 1], [0, 6, 0], [-4, 0, 1]])
DOT = np.array([[3, 3, 1]])


def parsed(*arguments, **named):
    return ElementTree.fromstring(sheet(*arguments, **named))


def cells(root):
    """Return each drawn cell's corner and its lines: (colour, points) in the cell's coordinates."""
    found = {}
    for group in root.findall(f"{SVG}g/{SVG}g"):
        corner = group.get("transform").removeprefix("translate(").removesuffix(")").split()
        found[tuple(map(float, corner))] = [
            (path.get("stroke"), np.array([point.split() for point in line.split("L")], float))
            for path in group.findall(f"{SVG}path")
            for line in path.get("d").split("M")[1:]
        ]
    return found


def texts(root):
    return {
        text.text: (float(text.get("x")), float(text.get("y")), text.get("text-anchor"))
        for text in root.iter(f"{SVG}text")
    }


def test_drawings_are_scaled_into_their_cells_row_by_row():
    root = parsed([TICK, DOT, TICK[:, [1, 0, 2]]], columns=2, cell=100)
    assert {root.get(name) for name in ("width", "height")} == {"220"}
    assert root.get("viewBox") == "0 0 220 220"
    found = cells(root)
    assert list(found) == [(10, 10), (110, 10), (10, 110)]
    # 7 x 6 units: 80 pixels for 7, and the middle (3.5, 3) in the middle of the cell.
    units = [[[0, 4], [2, 6], [7, 0]], [[7, 6], [3, 6]]]
    for (colour, line), wanted in zip(found[10, 10], units, strict=True):
        assert colour is None
        np.testing.assert_allclose(line, 50 + (np.array(wanted) - [3.5, 3]) * 80 / 7, atol=0.051)
    for (_, line), wanted in zip(found[10, 110], units, strict=True):
        np.testing.assert_allclose(line, 50 + (np.array(wanted)[:, ::-1] - [3, 3.5]) * 80 / 7, atol=0.051)


def test_it_is_on_white_with_round_lines_of_one_width():
    root = parsed([TICK], cell=100)
    assert root[0].tag == f"{SVG}rect"
    assert [root[0].get(name) for name in ("width", "height", "fill")] == ["120", "120", "#fff"]
    lines = root[1]
    assert [lines.get(f"stroke{end}") for end in ("", "-width", "-linecap", "-linejoin")] == [
        COLOURS["ink"],
        "2",
        "round",
        "round",
    ]
    assert lines.get("fill") == "none"


def test_dots_are_lines_without_length():
    dotted = np.vstack([TICK, [[1, 1, 1]]])
    found = cells(parsed([DOT, dotted], columns=2, cell=100))
    np.testing.assert_array_equal(found[10, 10][0][1], [[50, 50], [50, 50]])
    last = found[110, 10][-1][1]
    assert last.shape == (2, 2)
    np.testing.assert_array_equal(last[0], last[1])


def test_empty_cells_keep_their_place():
    root = parsed([None, TICK, np.zeros((0, 3))], columns=3, cell=100, labels=["a", None, "c"])
    assert list(cells(root)) == [(110, 10)]
    assert texts(root) == {"a": (60, 114, "middle"), "c": (260, 114, "middle")}


def test_the_begun_part_is_in_another_colour():
    orange = BEGUN["ink"]
    (lines,) = cells(parsed([TICK], begun=2)).values()
    assert [(colour, len(line)) for colour, line in lines] == [(orange, 2), (None, 2), (None, 2)]
    np.testing.assert_array_equal(lines[0][1][1], lines[1][1][0])  # what follows is joined to it
    for begun, wanted in ((None, {None}), (0, {None}), (99, {orange})):
        (lines,) = cells(parsed([TICK], begun=begun)).values()
        assert {colour for colour, _ in lines} == wanted
    grey = BEGUN["strokes"]
    one, other = cells(parsed([TICK, TICK], begun=[None, 4], colours="strokes")).values()
    assert [colour for colour, _ in one] == PALETTE[:2]
    assert [(colour, len(line)) for colour, line in other] == [(grey, 3), (grey, 2), (PALETTE[1], 2)]


def test_strokes_have_the_colours_of_a_palette_in_turn():
    many = np.array([[1, 1, step % 2] for step in range(2 * len(PALETTE) + 2)])
    (lines,) = cells(parsed([many], colours="strokes")).values()
    assert [colour for colour, _ in lines] == [PALETTE[0], PALETTE[0], *PALETTE[1:]]


def test_order_goes_from_pale_to_dark_within_a_stroke_too():
    line = np.array([[1, 0, 0]] * 3 * len(SHADES))
    (lines,) = cells(parsed([line], colours="order")).values()
    assert [colour for colour, _ in lines] == SHADES
    joined = [point for _, run in lines for point in run.tolist()]
    assert joined == sorted(joined)
    brightness = [sum(bytes.fromhex(shade[1:])) for shade in SHADES]
    assert brightness == sorted(brightness, reverse=True)


def test_rows_and_columns_have_labels_and_say_how_many_columns_there_are():
    root = parsed([TICK] * 6, cell=100, row_labels=["T = 0.1", 7], column_labels=list("abc"), title="All")
    found = texts(root)
    left = min(x for x, _ in cells(root))
    assert [found[letter][0] for letter in "abc"] == [left + 50, left + 150, left + 250]
    assert found["T = 0.1"][0] == found["7"][0] == left
    assert found["T = 0.1"][2] == "end"
    assert found["7"][1] == found["T = 0.1"][1] + 100
    assert found["All"][1] < found["a"][1] < min(y for _, y in cells(root)) + 10
    assert root.get("aria-label") == "All"
    assert len({x for x, _ in cells(parsed([TICK] * 6, row_labels=["a", "b", "c"]))}) == 2
    assert len({x for x, _ in cells(parsed([TICK] * 8))}) == 3
    assert len({x for x, _ in cells(parsed([TICK] * 400))}) == 10


def test_texts_are_escaped_and_cut_to_their_place():
    strange = "<b>&\"'\x00\ud800]]>"
    root = parsed([TICK] * 2, columns=1, cell=300, labels=[strange, "漢字" * 40], title=strange)
    short, long = [text.text for text in root.iter(f"{SVG}text")][1:]
    assert short == root.get("aria-label") == "<b>&\"'\ufffd\ufffd]]>"
    assert long == "漢字" * 4 + "漢…"  # wide letters of 30 pixels in 300


def test_a_hundred_characters_of_ten_strokes_are_a_small_file(tmp_path):
    rng = np.random.default_rng(0)
    drawings = [
        np.column_stack([rng.normal(0, 30, (50, 2)), np.arange(50) % 5 == 4]).astype("float32")
        for _ in range(100)
    ]
    text = sheet(drawings, tmp_path / "new" / "all.svg", colours="strokes")
    assert (tmp_path / "new" / "all.svg").read_text(encoding="utf-8") == text
    assert len(text) < 100_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drawings": []}, "there are no drawings to put on a sheet"),
        ({"drawings": [TICK, TICK[:, :2]]}, r"drawing 1 has the shape \(5, 2\) of int64"),
        ({"drawings": [TICK * np.nan]}, "drawing 0, point 1: dx is nan"),
        ({"labels": ["a", "b"]}, "labels must have 1 entries; received 2"),
        ({"row_labels": []}, "row_labels must have 1 entries; received 0"),
        ({"column_labels": ["a", "b"], "columns": 3}, "column_labels must have 3 entries; received 2"),
        ({"columns": 0}, "at least one column; received 0"),
        ({"begun": -1}, "begun must be a number of points"),
        ({"begun": [1, 2]}, "one for each of 1 drawings"),
        ({"colours": "red"}, "colours must be one of 'ink', 'strokes', 'order'; received 'red'"),
        ({"cell": float("nan")}, "cell must be a positive number"),
    ],
)
def test_what_cannot_be_drawn(arguments, message):
    with pytest.raises(ValueError, match=message):
        sheet(**{"drawings": [TICK], **arguments})
