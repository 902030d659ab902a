import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtura.data.quickdraw import read_bin, read_ndjson, write_bin, write_ndjson
from mixtura.data.sequences import Sequences
from mixtura.data.strokes import from_polylines, polylines
from mixtura.errors import InputError

HOUSE = {
    "word": "house",
    "countrycode": "NO",
    "timestamp": "2017-03-02 23:25:10.07453 UTC",
    "recognized": True,
    "key_id": "5201136883597312",
    "drawing": [[[0, 255, 255], [10, 20, 0]], [[100], [7]]],
}
CAT = {**HOUSE, "word": "cat", "countrycode": "BR", "recognized": False, "key_id": "18446744073709551615"}
CAT["drawing"] = [[[3.25, -4.5], [0, 1e3], [0, 17]]]  # raw
LINES = [[[[0, 10], [255, 20], [255, 0]], [[100, 7]]], [[[3.25, 0], [-4.5, 1000]]]]

bytes_of = st.integers(0, 255)
drawings_of = st.lists(
    st.lists(st.lists(st.tuples(bytes_of, bytes_of), min_size=1, max_size=5), min_size=1, max_size=3),
    min_size=1,
    max_size=4,
)


def write_lines(path, lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def same(found, wanted):
    assert len(found) == len(wanted)
    for drawing, lines in zip(found, wanted, strict=True):
        assert [line.tolist() for line in polylines(drawing)] == lines


# ndjson


def test_a_raw_and_a_simplified_drawing(tmp_path):
    found = read_ndjson(write_lines(tmp_path / "some.ndjson", [HOUSE, CAT, "", " "]))
    same(found, LINES)
    assert found.data.dtype == np.float64
    assert found.facts.keys() == {"columns", "categories"}
    assert found.facts["categories"].tolist() == ["cat", "house"]
    assert {name: values.tolist() for name, values in found.fields.items()} == {
        "label": [1, 0],
        "countrycode": ["NO", "BR"],
        "timestamp": ["2017-03-02 23:25:10.07453 UTC"] * 2,
        "recognized": [True, False],
        "key_id": ["5201136883597312", "18446744073709551615"],
    }


def test_fields_that_not_every_drawing_has_are_not_read(tmp_path):
    bare = {"drawing": HOUSE["drawing"], "key_id": 5}
    found = read_ndjson(write_lines(tmp_path / "bare.ndjson", [bare, bare]))
    assert not found.fields
    assert found.facts.keys() == {"columns"}
    named = {**bare, "word": "house", "countrycode": "NO"}
    found = read_ndjson(write_lines(tmp_path / "named.ndjson", [HOUSE, named]))
    assert found.fields.keys() == {"label", "countrycode"}


def drawn(drawing):
    return {**HOUSE, "drawing": drawing}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("oh", "this is not JSON (Expecting value, character 1); expected an object with `drawing`"),
        ('{"word": "house", ', "this is not JSON (Expecting property name enclosed in double quotes, char"),
        ("[" * 100_000, "this is not JSON; expected"),
        ("1" * 5000, "this is not JSON; expected"),
        ([1, 2], "received a list; expected an object with `drawing`"),
        ({"word": "house", "a\nb": 1}, "received the keys ['word', 'a\\nb']; expected an object with"),
        ({**HOUSE, "word": [1]}, "`word` is [1]; expected a text"),
        ({"drawing": HOUSE["drawing"]}, "no `word`, the category, which other lines have"),
        ({**HOUSE, "word": ""}, "no `word`, the category, which other lines have"),
        (drawn([]), "`drawing` is empty; expected strokes [[x...], [y...]]"),
        (drawn({}), "`drawing` is no list; expected strokes"),
        (drawn([[[0], [0]], [[], []]]), "stroke 2 is not [[x...], [y...]] with a point at least"),
        (drawn([[[0]]]), "stroke 1 is not [[x...], [y...]]"),
        (drawn([[0, 1]]), "stroke 1 is not [[x...], [y...]]"),
        (drawn([[[0, 1], [0, 1]], [[0, 1], [0]]]), "stroke 2 has 2 x but 1 y"),
        (drawn([[[0, "1"], [0, 1]]]), "a coordinate is no number"),
        (drawn([[[0, None], [0, 1]]]), "a coordinate is no number"),
        (drawn([[[True], [False]]]), "a coordinate is no number"),
        (drawn([[[[0], [1]], [[0], [1]]]]), "a coordinate is no number"),
        (drawn([[[[0], 1], [0, 1]]]), "a coordinate is no number"),
        (drawn([[[10**30], [0]]]), "a coordinate is no number"),
        (drawn([[[0, float("nan")], [0, 1]]]), "a coordinate is not finite, or too large"),
        (drawn([[[0, 1], [0, float("-inf")]]]), "a coordinate is not finite, or too large"),
        (drawn([[[0, 1e39], [0, 1]]]), "a coordinate is not finite, or too large"),
    ],
)
def test_a_line_that_is_no_drawing_is_left_out(tmp_path, line, message):
    path = write_lines(tmp_path / "some.ndjson", [HOUSE, "", line, CAT])
    found = read_ndjson(path)
    same(found, LINES)
    (sentence,) = found.facts["left_out"].tolist()
    assert sentence.startswith(f"line 3: {message}")
    assert "\n" not in sentence
    if "no `word`" not in message:
        write_lines(path, [line, line])
        with pytest.raises(
            InputError, match=r"some\.ndjson has no drawing of Quick, Draw!; line 1: "
        ) as caught:
            read_ndjson(path)
        assert message in str(caught.value)


def test_text_that_is_not_utf8(tmp_path):
    path = tmp_path / "some.ndjson"
    path.write_bytes(json.dumps(HOUSE).encode() + b'\n{"word": "\xff"}\n')
    assert read_ndjson(path).facts["left_out"].tolist()[0].startswith("line 2: this is not JSON; expected")
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(HOUSE).encode() + b"\r\n")
    same(read_ndjson(path), LINES[:1])


def test_of_many_lines_that_are_left_out_some_are_named(tmp_path):
    found = read_ndjson(write_lines(tmp_path / "some.ndjson", ["oh"] * 30 + [HOUSE]))
    sentences = found.facts["left_out"].tolist()
    assert len(sentences) == 21
    assert sentences[19].startswith("line 20: ")
    assert sentences[20] == "and 10 more"


def test_files_without_drawings(tmp_path):
    (tmp_path / "empty.ndjson").write_text("")
    with pytest.raises(InputError, match=r"empty\.ndjson has no drawing of Quick, Draw!$"):
        read_ndjson(tmp_path / "empty.ndjson")
    with pytest.raises(InputError, match=r"none\.ndjson does not exist; expected a file of Quick, Draw!"):
        read_ndjson(tmp_path / "none.ndjson")
    with pytest.raises(InputError, match="cannot be read"):
        read_ndjson(tmp_path)


def test_what_is_written(tmp_path):
    found = read_ndjson(write_lines(tmp_path / "some.ndjson", [HOUSE, CAT]))
    write_ndjson(tmp_path / "copy.ndjson", found)
    without_times = [[[3.25, -4.5], [0.0, 1000.0]]]
    lines = (tmp_path / "copy.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [HOUSE, {**CAT, "drawing": without_times}]
    assert '"drawing":[[[0,255,255],[10,20,0]],[[100],[7]]]}' in lines[0]
    again = read_ndjson(tmp_path / "copy.ndjson")
    np.testing.assert_array_equal(again.data, found.data)
    for name, values in found.fields.items():
        np.testing.assert_array_equal(again.fields[name], values)


def test_without_categories_there_is_no_word(tmp_path):
    bare = Sequences.of([from_polylines(lines) for lines in LINES])
    write_ndjson(tmp_path / "bare.ndjson", bare)
    assert json.loads((tmp_path / "bare.ndjson").read_text().splitlines()[0]) == {"drawing": HOUSE["drawing"]}
    numbered = Sequences(bare.data, bare.offsets, {"label": np.array([3, 5])})
    write_ndjson(tmp_path / "numbered.ndjson", numbered)
    assert read_ndjson(tmp_path / "numbered.ndjson").facts["categories"].tolist() == ["3", "5"]


def test_text_of_any_kind_comes_back(tmp_path):
    found = read_ndjson(write_lines(tmp_path / "some.ndjson", [{**HOUSE, "word": "猫\n\ud800"}]))
    write_ndjson(tmp_path / "copy.ndjson", found)
    assert read_ndjson(tmp_path / "copy.ndjson").facts["categories"].tolist() == ["猫\n\ud800"]


@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=8), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_coordinates_come_back_to_their_decimals(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("some") / "some.ndjson"
    lines = [np.reshape(row[: len(row) // 2 * 2], (-1, 2)) for row in rows]
    write_ndjson(path, Sequences.of([from_polylines(lines)]))
    for line, wanted in zip(polylines(read_ndjson(path)[0]), lines, strict=True):
        np.testing.assert_allclose(line, wanted, rtol=0, atol=6e-7)


# bin


def test_a_binary_file_by_its_description(tmp_path):
    # key_id, country, recognized, time; strokes; points, x, y of each.
    raw = struct.pack("<Q2sbIH", 2**64 - 1, b"NO", 1, 1488497110, 2)
    raw += struct.pack("<H6B", 3, 0, 255, 255, 10, 20, 0) + struct.pack("<H2B", 1, 100, 7)
    (tmp_path / "house.bin").write_bytes(raw * 2)
    found = read_bin(tmp_path / "house.bin")
    same(found, [LINES[0], LINES[0]])
    assert found.facts["categories"].tolist() == ["house"]
    assert {name: values.tolist()[1] for name, values in found.fields.items()} == {
        "label": 0,
        "countrycode": "NO",
        "timestamp": "2017-03-02 23:25:10 UTC",
        "recognized": True,
        "key_id": "18446744073709551615",
    }
    write_bin(tmp_path / "copy.bin", found)
    assert (tmp_path / "copy.bin").read_bytes() == raw * 2
    house = read_ndjson(
        write_lines(tmp_path / "some.ndjson", [{**HOUSE, "key_id": "18446744073709551615"}] * 2)
    )
    write_bin(tmp_path / "house.bin", house)
    assert (tmp_path / "house.bin").read_bytes() == raw * 2


@given(drawings_of)
@settings(max_examples=25, deadline=None)
def test_binary_drawings_come_back(tmp_path_factory, drawings):
    path = tmp_path_factory.mktemp("some") / "some.bin"
    wanted = Sequences.of([from_polylines(lines) for lines in drawings])
    write_bin(path, wanted)
    found = read_bin(path)
    np.testing.assert_array_equal(found.data, wanted.data)
    np.testing.assert_array_equal(found.offsets, wanted.offsets)
    assert found.fields["countrycode"].tolist() == [""] * len(wanted)


def test_binary_files_that_are_none(tmp_path):
    path = tmp_path / "house.bin"
    write_bin(path, Sequences.of([from_polylines(LINES[0])]))
    raw = path.read_bytes()
    for length in range(1, len(raw)):
        path.write_bytes(raw + raw[:length])
        with pytest.raises(InputError, match=r"house\.bin ends within drawing 2; expected a binary file"):
            read_bin(path)
    path.write_bytes(raw[:15] + b"\0\0" + raw + raw[:15] + b"\1\0\0\0")
    found = read_bin(path)
    same(found, [LINES[0]])
    assert found.facts["left_out"].tolist() == ["drawing 1: no strokes", "drawing 3: a stroke is empty"]
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"house\.bin has no drawing"):
        read_bin(path)
    with pytest.raises(InputError, match="does not exist"):
        read_bin(tmp_path / "none.bin")


@pytest.mark.parametrize("place", [(256, 0), (0, -1), (0.5, 0)])
def test_other_coordinates_have_no_place_in_a_binary_file(tmp_path, place):
    drawings = [from_polylines(LINES[0]), from_polylines([[place]])]
    with pytest.raises(InputError, match=r"drawing 2 for .*some\.bin has coordinates .* simplify the"):
        write_bin(tmp_path / "some.bin", Sequences.of(drawings))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key_id", "-1"),
        ("key_id", str(2**64)),
        ("key_id", "abc"),
        ("countrycode", "NOR"),
        ("countrycode", "é"),
        ("timestamp", "yesterday"),
        ("timestamp", "1969-01-01 00:00:00 UTC"),
        ("timestamp", "2107-01-01 00:00:00 UTC"),
    ],
)
def test_values_without_a_place_in_a_binary_file(tmp_path, field, value):
    drawings = Sequences.of([from_polylines(LINES[0])], **{field: [value]})
    with pytest.raises(InputError, match=rf"drawing 1 for .*some\.bin has {field} {value}; a \.bin file has"):
        write_bin(tmp_path / "some.bin", drawings)


def test_a_binary_file_holds_one_category(tmp_path):
    square = from_polylines(LINES[0])
    with pytest.raises(InputError, match=r"some\.bin: a \.bin file holds one category; write one for each"):
        write_bin(tmp_path / "some.bin", Sequences.of([square, square], label=[0, 1]))


def test_more_points_than_a_binary_file_can_say(tmp_path):
    drawing = from_polylines([np.zeros((2**16, 2))])
    with pytest.raises(InputError, match="has more strokes, or points in a stroke, than 65535"):
        write_bin(tmp_path / "some.bin", Sequences.of([drawing]))


@pytest.mark.parametrize(("write", "ending"), [(write_ndjson, "ndjson"), (write_bin, "bin")])
def test_what_is_no_drawing_is_not_written(tmp_path, write, ending):
    drawings = Sequences.of([[[0, 0, 1]], [[0, np.nan, 1]]])
    with pytest.raises(InputError, match=rf"drawing 2 for .*some\.{ending}, point 1: dy is nan"):
        write(tmp_path / f"some.{ending}", drawings)
    assert not list(tmp_path.iterdir())
