import json

import numpy as np
import pytest

from mixtura.data.handwriting import has_texts, read_handwriting, write_handwriting
from mixtura.data.inkml import write_inkml
from mixtura.data.sequences import Sequences
from mixtura.data.sketches import read_sketches, write_sketches
from mixtura.data.strokes import from_polylines
from mixtura.data.svg import write_svg
from mixtura.errors import InputError

RNG = np.random.default_rng(0)
DRAWINGS = [
    from_polylines([RNG.integers(0, 99, (length, 2)) for length in lengths]) for lengths in ((9, 4), (12,))
]
LINES = Sequences.of(DRAWINGS, text=["be <quick>", "lazy dog"], style=[0, 1])


def same(found, wanted=LINES):
    assert found.fields["text"].tolist() == wanted.fields["text"].tolist()
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("name", ["a.npz", "a.json", "a.inkml", "folder"])
def test_lines_come_back_with_their_texts(tmp_path, name):
    write_handwriting(tmp_path / name, LINES)
    found = read_handwriting(tmp_path / name)
    same(found)
    assert found.data.dtype == np.float64
    assert "left_out" not in found.facts
    write_handwriting(tmp_path / name, found)  # in place of what is there


def test_one_line_in_an_svg_file_has_its_text_as_title(tmp_path):
    write_handwriting(tmp_path / "a.svg", LINES[:1])
    same(read_handwriting(tmp_path / "a.svg"), LINES[:1])
    assert has_texts(tmp_path / "a.svg")
    with pytest.raises(InputError, match=r"an .svg file holds one drawing; received 2"):
        write_handwriting(tmp_path / "b.svg", LINES)
    with pytest.raises(
        InputError, match=r"ends in '.bin'; handwriting is written to .npz, .json, .inkml, .svg or"
    ):
        write_handwriting(tmp_path / "b.bin", LINES)


def test_texts_may_stand_in_a_file_beside(tmp_path):
    write_svg(tmp_path / "a.svg", DRAWINGS[0])
    write_inkml(tmp_path / "b.inkml", DRAWINGS)
    assert not has_texts(tmp_path / "a.svg")
    with pytest.raises(InputError, match=r"a.svg has drawings but no texts; expected them in it or in a.txt"):
        read_handwriting(tmp_path / "a.svg")
    (tmp_path / "a.txt").write_text("be\n<quick>\n")
    (tmp_path / "b.txt").write_text("\ufeffbe <quick>\n\nlazy dog\n", encoding="utf-8")
    assert has_texts(tmp_path / "a.svg")
    assert has_texts(tmp_path)
    same(read_handwriting(tmp_path / "a.svg"), LINES[:1])
    same(read_handwriting(tmp_path / "b.inkml"))
    assert read_handwriting(tmp_path).fields["text"].tolist() == ["be <quick>", "be <quick>", "lazy dog"]
    (tmp_path / "b.txt").write_text("be <quick>\n")
    with pytest.raises(InputError, match=r"b.txt has 1 line of text, but b.inkml 2 of strokes"):
        read_handwriting(tmp_path / "b.inkml")
    (tmp_path / "b.txt").write_bytes(b"\xff\n\xff\n")
    with pytest.raises(InputError, match=r"b.txt is no text in UTF-8; expected what is written in b.inkml"):
        read_handwriting(tmp_path / "b.inkml")
    found = read_handwriting(tmp_path)
    assert len(found) == 1
    assert found.facts["left_out"].tolist()[0].startswith(str(tmp_path / "b.txt"))


def test_lines_that_cannot_match_are_named_and_the_rest_kept(tmp_path):
    lines = [*DRAWINGS, DRAWINGS[0]]
    write_sketches(tmp_path / "a.npz", Sequences.of(lines, text=["  ", " lazy  dog ", "fourteen letters"]))
    found = read_handwriting(tmp_path / "a.npz")
    same(found, LINES[1:])
    assert found.facts["left_out"].tolist() == [
        "line 1: it has no text",
        "line 3: it has 13 points, too few for the text 'fourteen letters'",
    ]
    write_sketches(tmp_path / "b.npz", Sequences.of(lines[:1], text=[""]))
    with pytest.raises(
        InputError, match=r"b.npz has no line of handwriting that can be read; line 1: it has no"
    ):
        read_handwriting(tmp_path / "b.npz")


def test_drawings_without_texts_are_refused(tmp_path):
    write_sketches(tmp_path / "a.npz", Sequences.of(DRAWINGS))
    with pytest.raises(InputError, match=r"a.npz has drawings but no texts; expected them in it or in a.txt"):
        read_handwriting(tmp_path / "a.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty has no files of handwriting that can be read"):
        read_handwriting(tmp_path / "empty")
    with pytest.raises(InputError, match="does not exist"):
        read_handwriting(tmp_path / "no.json")


def test_sketches_read_ink_too(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"strokes": [[[1, 2], [3, 4]]], "text": "a"}))
    found = read_sketches(tmp_path / "a.json")
    assert found[0].tolist() == [[1, 2, 0], [2, 2, 1]]
    assert found.fields["text"].tolist() == ["a"]
    write_sketches(tmp_path / "b.json", found)
    assert read_sketches(tmp_path / "b.json")[0].tolist() == found[0].tolist()
