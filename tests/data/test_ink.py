import json

import numpy as np
import pytest

from mixtura.data.ink import read_ink, write_ink
from mixtura.data.sequences import Sequences
from mixtura.data.strokes import from_polylines, polylines
from mixtura.errors import InputError

STROKES = [[[1, 2], [3, 5], [4, 4]], [[10, 0.5]], [[7, 7], [8, 9]]]
OBJECTS = [[{"x": x, "y": y, "t": 3, "pressure": 0} for x, y in stroke] for stroke in STROKES]


def read(tmp_path, held):
    path = tmp_path / "ink.json"
    path.write_text(held if isinstance(held, str) else json.dumps(held), encoding="utf-8")
    return read_ink(path)


def places(drawing):
    return [line.tolist() for line in polylines(drawing)]


FORMS = {
    "objects": {"strokes": OBJECTS},
    "pairs": {"strokes": STROKES},
    "triples": {"strokes": [[[x, y, 17] for x, y in stroke] for stroke in STROKES]},
    "columns": {"strokes": [{"x": [p[0] for p in s], "y": [p[1] for p in s]} for s in STROKES]},
    "points": {"strokes": [{"colour": "red", "points": stroke} for stroke in OBJECTS]},
    "Quick, Draw!": {"drawing": [[[p[0] for p in s], [p[1] for p in s], [0] * len(s)] for s in STROKES]},
    "bare": STROKES,
    "bare objects": OBJECTS,
    "flags": [
        {"x": x, "y": y, "pen_up": n == len(stroke) - 1}
        for stroke in STROKES
        for n, (x, y) in enumerate(stroke)
    ],
    "lines": {"lines": [{"strokes": STROKES}]},
    "empty strokes": {"strokes": [[], *STROKES, []]},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_same_drawing(tmp_path, name):
    (drawing,) = read(tmp_path, FORMS[name])
    assert places(drawing) == [[[float(x), float(y)] for x, y in stroke] for stroke in STROKES]


def test_long_lists_are_columns(tmp_path):
    x, y = list(range(9)), list(range(9, 18))
    (drawing,) = read(tmp_path, {"strokes": [[x, y, x]]})
    np.testing.assert_array_equal(polylines(drawing)[0], np.column_stack([x, y]))


@pytest.mark.parametrize("wrapped", [False, True])
def test_several_lines_with_texts(tmp_path, wrapped):
    lines = [
        {"strokes": STROKES, "text": "ça & so"},
        {"strokes": OBJECTS[:1], "label": "b"},
        {"drawing": [[[1], [2]]]},
    ]
    found = read(tmp_path, {"lines": lines} if wrapped else lines)
    assert found.fields["text"].tolist() == ["ça & so", "b", ""]
    assert [len(drawing) for drawing in found] == [6, 3, 1]
    assert "text" not in read(tmp_path, lines[2:]).fields


def test_a_line_that_cannot_be_understood_is_named_and_the_rest_kept(tmp_path):
    found = read(tmp_path, [{"strokes": STROKES}, {"strokes": [[[1, None]]]}, {"text": "x"}, {"strokes": []}])
    assert len(found) == 1
    one, two, three = found.facts["left_out"].tolist()
    assert one.startswith("line 2: stroke 1, point 1: y is null; expected a number of at most")
    assert two.startswith("line 3: an object with the keys ['text']; expected strokes, such as")
    assert three == "line 4: there is no stroke with a point; expected at least one"


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        ("{'a'", r"ink.json is no JSON \(.*, row 1, character 2\); expected strokes, such as"),
        ('"\\ud800', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("3", "ink.json: received a number; expected strokes"),
        ("[]", "there is no stroke with a point"),
        ('{"lines": []}', "there is nothing in it; expected strokes"),
        ({"strokes": "M0 0"}, "received a string; expected strokes"),
        ({"strokes": [[[1, 2]], 7]}, "stroke 2 is a number; expected a list of points"),
        (
            {"strokes": [[[1, 2], [3]]]},
            r"stroke 1, point 2 is a list of 1; expected an object with x and y, or",
        ),
        ({"strokes": [[{"x": 1, "y": "2"}]]}, 'stroke 1, point 1: y is "2"; expected a number of at most 1e'),
        ({"strokes": [[{"x": True, "y": 2}]]}, "stroke 1, point 1: x is true; expected"),
        ('{"strokes": [[[1, NaN]]]}', "stroke 1, point 1: y is nan; expected"),
        ('{"strokes": [[[1e999, 1]]]}', "stroke 1, point 1: x is inf; expected"),
        ({"strokes": [{"x": [1, 2], "y": [1]}]}, "stroke 1 has 2 x but 1 y"),
        ({"strokes": [{"colour": 3}]}, r"stroke 1 has the keys \['colour'\]; expected `points`, or lists"),
        ({"drawing": [[[1, 2]]]}, r"stroke 1 of `drawing` is not \[\[x...\], \[y...\]\]"),
        ({"strokes": STROKES, "text": 7}, "the text is 7; expected a string"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, held, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        read(tmp_path, held)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(tmp_path))


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(InputError, match="does not exist; expected a file of ink"):
        read_ink(tmp_path / "no.json")
    (tmp_path / "raw.json").write_bytes(b"\xff\xfe\x00\xd8[")
    with pytest.raises(InputError, match="is no JSON"):
        read_ink(tmp_path / "raw.json")


def test_what_is_written_comes_back(tmp_path):
    drawings = [
        from_polylines(STROKES),
        from_polylines([np.random.default_rng(0).normal(size=(9, 2)) * 1e-3]),
    ]
    for count in (1, 2):
        wanted = Sequences.of(drawings[:count], text=['ünder "way"', "b"][:count])
        write_ink(tmp_path / "a.json", wanted)
        found = read_ink(tmp_path / "a.json")
        assert found.fields["text"].tolist() == wanted.fields["text"].tolist()
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6 * np.ptp(np.cumsum(other[:, :2], axis=0)))
    write_ink(tmp_path / "a.json", drawings[:1])
    assert json.loads((tmp_path / "a.json").read_text()) == {"strokes": STROKES}
