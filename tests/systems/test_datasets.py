import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.data.sketches import read_sketches, write_sketches
from mixtura.data.strokes import from_polylines, polylines
from mixtura.errors import InputError
from mixtura.systems.datasets import LARGEST_SHEET, convert, show, statistics

SQUARE = [[[0, 100, 100, 0, 0], [0, 0, 100, 100, 0]]]
CROSS = [[[10, 200], [10, 200]], [[200, 10], [10, 200]]]
BENT = [[[0, 50, 100], [0, 3, 0]]]


@pytest.fixture
def doodles(tmp_path):
    """Four drawings of two categories in a file of Quick, Draw!'s, and a broken line."""
    lines = [
        json.dumps({"word": word, "drawing": drawing})
        for word, drawing in (("square", SQUARE), ("cross", CROSS), ("square", BENT), ("square", SQUARE))
    ]
    path = tmp_path / "doodles.ndjson"
    path.write_text("\n".join([*lines[:2], "{broken", *lines[2:]]) + "\n")
    return path


def lines_of(drawings):
    return [[line.tolist() for line in polylines(drawing)] for drawing in drawings]


def points(drawing):
    return [np.array(stroke).T.tolist() for stroke in drawing]


def cells(path):
    """Return the groups of a sheet that hold drawings, and its texts."""
    root = ElementTree.parse(path).getroot()
    groups = [group for group in root.iter() if group.tag.endswith("}g") and "transform" in group.attrib]
    return groups, [text.text for text in root.iter() if text.tag.endswith("}text")]


def test_formats_keep_the_drawings_and_broken_lines_are_named(doodles, tmp_path):
    drawings, left_out = convert(doodles, tmp_path / "a.npz")
    (sentence,) = left_out
    assert sentence.startswith(f"{doodles}, line 3: ")
    assert lines_of(drawings) == [points(drawing) for drawing in (SQUARE, CROSS, BENT, SQUARE)]
    assert convert(tmp_path / "a.npz", tmp_path / "b.inkml")[1] == []
    assert lines_of(convert(tmp_path / "b.inkml", tmp_path / "c.ndjson")[0]) == lines_of(drawings)
    convert(tmp_path / "a.npz", tmp_path / "d.bin", category="square")
    assert lines_of(read_sketches(tmp_path / "d.bin")) == [points(each) for each in (SQUARE, BENT, SQUARE)]
    assert "left_out" not in read_sketches(tmp_path / "a.npz").facts


def test_a_category_and_a_count_are_kept(doodles, tmp_path):
    drawings, _ = convert(doodles, tmp_path / "a.npz", category="square", count=2)
    assert lines_of(drawings) == [points(SQUARE), points(BENT)]
    with pytest.raises(InputError, match="no drawing of the category 'squares'; did you mean 'square'"):
        convert(doodles, tmp_path / "b.npz", category="squares")
    with pytest.raises(InputError, match="no drawing of the category 'x'; it has cross, square"):
        convert(doodles, tmp_path / "b.npz", category="x")
    write_sketches(tmp_path / "plain.npz", Sequences.of(drawings))
    with pytest.raises(InputError, match="has no categories; received 'square'"):
        convert(tmp_path / "plain.npz", tmp_path / "b.npz", category="square")
    assert not (tmp_path / "b.npz").exists()


def test_epsilon_alone_straightens_and_simplify_also_scales(doodles, tmp_path):
    straight, _ = convert(doodles, tmp_path / "a.npz", epsilon=4)
    assert lines_of(straight) == [points(SQUARE), points(CROSS), [[[0, 0], [100, 0]]], points(SQUARE)]
    scaled, _ = convert(doodles, tmp_path / "b.npz", simplify=True)
    corners = [[0, 0], [255, 0], [255, 255], [0, 255], [0, 0]]
    assert lines_of(scaled)[0] == [corners]
    assert len(lines_of(scaled)[2][0]) == 3  # bent by 7.65 of 255
    coarse, _ = convert(doodles, tmp_path / "c.npz", simplify=True, epsilon=8)
    assert lines_of(coarse)[2] == [[[0, 0], [255, 0]]]


def test_svg_of_several_is_a_sheet_and_of_one_that_drawing(doodles, tmp_path):
    convert(doodles, tmp_path / "all.svg")
    groups, texts = cells(tmp_path / "all.svg")
    assert len(groups) == 4
    assert texts == ["square", "cross", "square", "square"]
    convert(doodles, tmp_path / "one.svg", count=1)
    (line,) = polylines(read_sketches(tmp_path / "one.svg")[0])
    np.testing.assert_allclose(line - line[0], np.array(SQUARE[0]).T, atol=0.1)
    convert(doodles, tmp_path / "folder")
    assert len(list((tmp_path / "folder").iterdir())) == 4
    many = Sequences.of([[[1, 1, 1]]] * (LARGEST_SHEET + 1))
    write_sketches(tmp_path / "many.npz", many)
    with pytest.raises(InputError, match="1001 drawings do not fit on a sheet"):
        convert(tmp_path / "many.npz", tmp_path / "many.svg")


def test_outputs_are_checked_first(doodles, tmp_path):
    with pytest.raises(InputError, match=re.escape("ends in '.pdf'; expected .npz, .ndjson")):
        convert(tmp_path / "nowhere.npz", tmp_path / "a.pdf")
    with pytest.raises(InputError, match="exists; name another output or give --overwrite"):
        convert(tmp_path / "nowhere.npz", doodles)
    with pytest.raises(InputError, match="is what is read"):
        convert(doodles, doodles, overwrite=True)
    with pytest.raises(InputError, match="a sheet is written to"):
        show(doodles, tmp_path / "a.png")
    with pytest.raises(InputError, match="exists; name another output or give --overwrite"):
        show(tmp_path / "nowhere.npz", doodles.with_suffix(".ndjson").rename(tmp_path / "taken.svg"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken.svg"]


def test_statistics_are_those_counted_by_hand():
    first = from_polylines([np.array([[5, 5], [5, 9], [8, 9]]), np.array([[8, 1]])])
    second = from_polylines([np.array([[2, 2], [4, 6]])])
    found = statistics(
        Sequences(
            np.concatenate([first, second]),
            np.array([0, 4, 6]),
            {"label": np.array([1, 1]), "split": np.array([0, 2])},
            {"categories": np.array(["a", "b"])},
        )
    )
    assert (found.drawings, found.points, found.strokes) == (2, (2, 3, 4), (1, 1.5, 2))
    assert (found.width, found.height) == ((2, 2.5, 3), (4, 6, 8))
    moves = [5, 0, 3, 0, 2, 2, 5, 4, 0, -8, 2, 4]
    assert found.spread == pytest.approx(np.std(moves))
    assert found.step == (1.0, 1.0)
    assert found.still == pytest.approx((2 / 6, 1 / 6, 0))
    assert (found.categories, found.splits) == ({"b": 2}, {"train": 1, "test": 1})


def test_show_puts_some_on_a_sheet(doodles, tmp_path):
    found, left_out = show(doodles, tmp_path / "a.svg", count=3, seed=1)
    assert (found.drawings, found.categories, len(left_out)) == (4, {"square": 3, "cross": 1}, 1)
    assert len(cells(tmp_path / "a.svg")[0]) == 3
    sheets = []
    for seed in (1, 2, 3):
        show(doodles, tmp_path / "b.svg", count=3, seed=seed, overwrite=True)
        sheets.append((tmp_path / "b.svg").read_text())
    assert sheets[0] == (tmp_path / "a.svg").read_text()
    assert len(set(sheets)) > 1
