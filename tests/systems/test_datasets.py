import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from mixtura.data.cleaning import Cleaning
from mixtura.data.sequences import Sequences
from mixtura.data.sketches import read_sketches, write_sketches
from mixtura.data.strokes import from_polylines, polylines
from mixtura.drawing import COLOURS
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


# Handwriting


@pytest.fixture
def lines(tmp_path):
    """Two lines of handwriting that rise, with a step that is too long in the second."""
    hooks = [np.array([[x, 0], [x, 9], [x + 3, 10], [x + 6, 8]]) - [0, x / 20] for x in range(0, 200, 10)]
    jump = np.array([[0, 0], [1, 1], [2, 2], [90, 90], [91, 91]])
    drawings = [from_polylines(hooks), from_polylines([*hooks[:9], jump])]
    path = tmp_path / "lines.npz"
    write_sketches(path, Sequences.of(drawings, text=["ivy & oak", "no"], iam_set=[1, 0]))
    return path


def test_handwriting_has_texts_and_cleaning_is_seen(lines, tmp_path):
    found, left_out = show(lines, tmp_path / "a.svg")
    assert left_out == []
    assert found.change is None
    assert found.texts.letters == (2, 5.5, 9)
    assert found.texts.points_per_letter == pytest.approx((80 / 9, (80 / 9 + 41 / 2) / 2, 41 / 2))
    assert found.texts.characters == " &aiknovy"
    assert found.texts.sets == {"trainset": 1, "testset_v": 1}
    groups, texts = cells(tmp_path / "a.svg")
    assert len(groups) == 2
    assert texts == ["ivy & oak", "no"]

    cleaning = Cleaning(outliers=6, baseline=True, slant=True, thin=3, height=1.0)
    found, _ = show(lines, tmp_path / "b.svg", cleaning=cleaning)
    groups, texts = cells(tmp_path / "b.svg")
    orange, ink = (COLOURS[name].lower() for name in ("orange", "ink"))
    assert [group.get("stroke").lower() for group in groups] == [orange, ink] * 2
    assert texts == ["ivy & oak", "no"]
    change = found.change
    assert change.limit == 6
    assert change.long == (1, 0)
    assert change.points[0] == found.points == (41, 60.5, 80)
    assert change.points[1][0] < 41
    assert change.slope[0][2] == pytest.approx(np.degrees(np.arctan(1 / 20)), abs=0.3)
    assert abs(change.slope[1][2]) < 0.3
    assert change.spread[0] == found.spread


def test_both_versions_of_a_line_have_one_size(lines, tmp_path):
    show(lines, tmp_path / "a.svg", count=1, cleaning=Cleaning(height=40.0))
    groups, _ = cells(tmp_path / "a.svg")
    assert len({group[0].get("d") for group in groups}) == 1
    assert len(groups) == 2


def test_texts_go_from_format_to_format_cleaned_or_not(lines, tmp_path):
    convert(lines, tmp_path / "a.json")
    convert(tmp_path / "a.json", tmp_path / "folder")
    drawings, _ = convert(tmp_path / "folder", tmp_path / "b.npz", cleaning=Cleaning(thin=2))
    assert drawings.fields["text"].tolist() == ["ivy & oak", "no"]
    assert drawings.lengths.tolist() == [60, 30]
    assert read_sketches(tmp_path / "b.npz").fields["text"].tolist() == ["ivy & oak", "no"]
    convert(lines, tmp_path / "c.svg")
    assert cells(tmp_path / "c.svg")[1] == ["ivy & oak", "no"]


def test_drawings_without_texts_are_cleaned_too(doodles, tmp_path):
    found, _ = show(doodles, tmp_path / "a.svg", cleaning=Cleaning(limit=50))
    assert found.texts is None
    groups, texts = cells(tmp_path / "a.svg")
    assert len(groups) == 8
    assert texts == ["square", "cross", "square", "square"]
    assert convert(doodles, tmp_path / "a.npz", cleaning=Cleaning(limit=50))[0].data.max() == 50


def test_a_dash_is_no_broader_than_a_line(tmp_path):
    write_sketches(
        tmp_path / "a.npz", Sequences.of([[[0, 0, 0], [90, 1e-3, 1]], [[5, 5, 1]]], text=["-", "."])
    )
    show(tmp_path / "a.npz", tmp_path / "a.svg", cleaning=Cleaning(baseline=True))
    assert float(ElementTree.parse(tmp_path / "a.svg").getroot().get("viewBox").split()[2]) < 350
