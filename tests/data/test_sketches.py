import numpy as np
import pytest

from mixtura.data import sketches
from mixtura.data.quickdraw import write_bin, write_ndjson
from mixtura.data.sequences import Sequences, write_sequences
from mixtura.data.sketches import read_sketches, write_sketches
from mixtura.data.strokes import from_polylines, polylines, quickdraw
from mixtura.errors import InputError

RNG = np.random.default_rng(0)


def a_drawing(*lengths):
    return from_polylines([RNG.integers(0, 256, (length, 2)) for length in lengths])


DRAWINGS = [a_drawing(3, 1), a_drawing(7), a_drawing(2, 2, 9)]


def some(drawings=DRAWINGS, categories=("cat", "sheep"), **fields):
    found = Sequences.of(drawings, **fields)
    facts = {"categories": np.array(categories)} if "label" in fields else {}
    return Sequences(found.data, found.offsets, found.fields, facts)


def objects(arrays):
    held = np.empty(len(arrays), dtype=object)
    held[:] = arrays
    return held


def write_sketch_rnn(path, **arrays):
    with path.open("wb") as file:
        np.savez_compressed(file, **{name: objects(own) for name, own in arrays.items()})


def same(found, wanted, atol=0.0):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


# Every format and back


@pytest.mark.parametrize(
    ("name", "atol"), [("a.npz", 0), ("a.ndjson", 0), ("a.NDJSON", 0), ("a.inkml", 1e-3), ("a.bin", 0)]
)
def test_drawings_come_back(tmp_path, name, atol):
    labels = [0, 0, 0] if name == "a.bin" else [1, 0, 1]
    wanted = some(label=labels, categories=("a", "sheep"))
    write_sketches(tmp_path / name, wanted)
    found = read_sketches(tmp_path / name)
    same(found, wanted, atol)
    assert found.data.dtype == np.float64
    assert found.facts["columns"].tolist() == ["dx", "dy", "end"]
    assert found.facts["categories"][found.fields["label"]].tolist() == [["a", "sheep"][n] for n in labels]
    # As it is after reading, it may be written again.
    write_sketches(tmp_path / name, found)
    same(read_sketches(tmp_path / name), found, atol)


def test_one_drawing_in_an_svg_file(tmp_path):
    write_sketches(tmp_path / "cat.svg", some(DRAWINGS[2:]))
    found = read_sketches(tmp_path / "cat.svg")
    same(found, DRAWINGS[2:], atol=1e-3)
    assert found.fields["name"].tolist() == ["cat"]
    with pytest.raises(
        InputError, match=r"s\.svg: an \.svg file holds one drawing; received 3; name a folder"
    ):
        write_sketches(tmp_path / "s.svg", some())


def test_a_folder_of_svg_files(tmp_path):
    many = [DRAWINGS[number % 3] for number in range(11)]
    for _ in range(2):  # what is there is replaced
        write_sketches(tmp_path / "out", some(many))
        found = read_sketches(tmp_path / "out")
        same(found, many, atol=1e-3)
        assert found.fields["name"].tolist() == [f"{number:02}" for number in range(1, 12)]
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is no folder of SVG files; name another output"):
        write_sketches(tmp_path / "out", some(many))


def test_a_folder_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    write_sketches(tmp_path / "out", some(DRAWINGS[:1]))

    def fail(path, drawing):
        if path.name.startswith("2"):
            raise OSError("the disk is full")

    monkeypatch.setattr(sketches, "write_svg", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_sketches(tmp_path / "out", some())
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["1.svg"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


# npz


def test_fields_and_facts_of_an_npz_file(tmp_path):
    wanted = some(label=[1, 0, 1], split=[0, 1, 2], key_id=["7", "8", "9"], categories=("a", "b", "c"))
    facts = {**wanted.facts, "left_out": np.array(["line 3: oh"]), "made": np.array("by hand")}
    write_sketches(tmp_path / "a.npz", Sequences(wanted.data, wanted.offsets, wanted.fields, facts))
    found = read_sketches(tmp_path / "a.npz")
    # There are as many categories and columns as drawings, and they are facts all the same.
    assert {name: value.tolist() for name, value in found.facts.items()} == {
        "categories": ["a", "b", "c"],
        "columns": ["dx", "dy", "end"],
        "made": "by hand",
    }
    assert {name: value.tolist() for name, value in found.fields.items()} == {
        "label": [1, 0, 1],
        "split": [0, 1, 2],
        "key_id": ["7", "8", "9"],
    }
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert stored["data"].shape == wanted.data.shape


@pytest.mark.parametrize("labels", [[0, 2, 1], [0, -1, 1], [0.0, 0.5, 1.0], ["0", "1", "1"]])
def test_labels_that_number_no_category(tmp_path, labels):
    path, wanted = tmp_path / "a.npz", some(label=np.array(labels))
    write_sequences(path, wanted)
    number = 1 if labels[1] == 0.5 or labels[0] == "0" else 2
    with pytest.raises(InputError, match=rf"a\.npz, drawing {number}: the label is .* from 0 to 1$"):
        read_sketches(path)
    path.unlink()
    with pytest.raises(InputError, match="the label is"):
        write_sketches(path, wanted)
    assert not path.exists()


def test_integers_without_a_last_end(tmp_path):
    data = np.array([[1, 2, 0], [3, 4, 0], [5, 6, 1]], dtype=np.int16)
    write_sequences(tmp_path / "a.npz", Sequences.of([data[:2], data]))
    found = read_sketches(tmp_path / "a.npz")
    same(found, [[[1, 2, 0], [3, 4, 1]], data])
    assert found.data.dtype == np.float64


def test_files_of_sketch_rnn(tmp_path):
    one, two, three = (drawing.astype(np.int16) for drawing in DRAWINGS)
    write_sketch_rnn(tmp_path / "a.npz", valid=[two], train=[one, three], test=[])
    found = read_sketches(tmp_path / "a.npz")
    same(found, [one, three, two])
    assert found.fields["split"].tolist() == [0, 0, 1]
    one, wanted = DRAWINGS[1], DRAWINGS[1] + 0
    wanted[:, :2] = one[::-1, :2]
    # Drawings of one shape are stored as rows of numbers.
    with (tmp_path / "b.npz").open("wb") as file:
        np.savez(file, train=np.array([one, wanted], dtype=object))
    same(read_sketches(tmp_path / "b.npz"), [one, wanted])


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        (np.zeros((2, 5)), r"a\.npz: drawing 2 of valid has the shape \(2, 5\)"),
        (np.zeros((0, 3)), r"a\.npz: drawing 2 of valid has no point"),
        (np.array([[0, 0, 1], [np.nan, 0, 1]]), r"a\.npz: drawing 2 of valid, point 2: dx is nan"),
        (np.array([[0, 0, 2.0]]), r"a\.npz: drawing 2 of valid, point 1: end is 2; expected 0 or 1"),
    ],
)
def test_arrays_of_sketch_rnn_that_are_no_drawings(tmp_path, drawing, message):
    write_sketch_rnn(tmp_path / "a.npz", train=DRAWINGS, valid=[DRAWINGS[0], drawing])
    with pytest.raises(InputError, match=message):
        read_sketches(tmp_path / "a.npz")


def test_npz_files_that_hold_no_drawings(tmp_path):
    path = tmp_path / "a.npz"
    write_sketch_rnn(path, train=[], test=[])
    with pytest.raises(InputError, match=r"a\.npz has no drawing in train and test"):
        read_sketches(path)
    np.savez(path, x=np.zeros(3))
    with pytest.raises(
        InputError, match=r"holds \['x'\]; expected `data` and `offsets`, or train, valid and t"
    ):
        read_sketches(path)
    write_sequences(path, Sequences.of([np.zeros((2, 5))]))
    with pytest.raises(InputError, match=r"a\.npz, drawing 1 has the shape \(2, 5\)"):
        read_sketches(path)
    write_sequences(path, Sequences.of([np.zeros((2, 3)), np.array([[0, 0, 0.5]])]))
    with pytest.raises(InputError, match=r"a\.npz, drawing 2, point 1: end is 0.5; expected 0 or 1"):
        read_sketches(path)
    touches = Sequences.of([np.zeros((2, 3))])
    touches = Sequences(touches.data, touches.offsets, {}, {"columns": np.array(["x", "y", "dt"])})
    write_sequences(path, touches)
    with pytest.raises(InputError, match=r"a\.npz: the columns are x, y, dt; expected dx, dy, end"):
        read_sketches(path)
    with pytest.raises(InputError, match="the columns are x, y, dt"):
        write_sketches(path, touches)
    path.write_bytes(b"PK oh")
    with pytest.raises(InputError, match=r"a\.npz is damaged or no file of NumPy's"):
        read_sketches(path)


# Folders


def test_a_folder_of_files_of_quick_draw(tmp_path):
    write_ndjson(tmp_path / "sheep.ndjson", some(DRAWINGS[:2], label=[1, 1], key_id=["1", "2"]))
    write_bin(tmp_path / "cat.bin", some(DRAWINGS[2:], key_id=["3"]))
    with (tmp_path / "sheep.ndjson").open("a") as file:
        file.write("oh\n")
    (tmp_path / "list.txt").write_text("not read")
    (tmp_path / ".mixtura-cat.bin").write_text("hidden")
    found = read_sketches(tmp_path)
    same(found, [DRAWINGS[2], *DRAWINGS[:2]])
    assert found.facts["categories"].tolist() == ["cat", "sheep"]
    assert found.fields["label"].tolist() == [0, 1, 1]
    assert found.fields["key_id"].tolist() == ["3", "1", "2"]
    assert found.fields.keys() == {"label", "key_id"}  # the .ndjson file has no country
    (sentence,) = found.facts["left_out"].tolist()
    assert sentence.startswith("sheep.ndjson, line 3: this is not JSON")


def test_a_folder_of_folders_whose_names_are_categories(tmp_path):
    for category, drawings in (("sheep", DRAWINGS[:2]), ("a cat", DRAWINGS[2:])):
        write_sketches(tmp_path / category, some(drawings))
    (tmp_path / "sheep" / "3.svg").write_text("<svg")
    (tmp_path / ".git").mkdir()
    found = read_sketches(tmp_path)
    same(found, [DRAWINGS[2], *DRAWINGS[:2]], atol=1e-3)
    assert found.facts["categories"].tolist() == ["a cat", "sheep"]
    assert found.fields["label"].tolist() == [0, 1, 1]
    assert found.fields["name"].tolist() == ["1", "1", "2"]
    (sentence,) = found.facts["left_out"].tolist()
    assert sentence.startswith(("sheep/3.svg: ", "sheep\\3.svg: "))
    assert str(tmp_path) not in sentence
    write_sketches(tmp_path / "1.svg", some(DRAWINGS[:1]))
    with pytest.raises(InputError, match="holds files of drawings beside folders of them"):
        read_sketches(tmp_path)


def test_folders_without_drawings(tmp_path):
    with pytest.raises(
        InputError, match=r"has no files of drawings; expected \.npz, \.ndjson, \.bin, \.svg, \.inkml or"
    ):
        read_sketches(tmp_path)
    (tmp_path / "a.svg").write_text("<svg")
    with pytest.raises(InputError, match=r"has no drawing that can be read; a\.svg: "):
        read_sketches(tmp_path)


# By name


def test_simplified_drawings(tmp_path):
    drawing = from_polylines(np.array([[[0.5, 1.5], [600, 0.25], [300, 700], [300, 701]]]))
    write_sketches(tmp_path / "a.ndjson", some([drawing, *DRAWINGS], label=[1, 0, 1, 0]))
    found = read_sketches(tmp_path / "a.ndjson", simplify=True)
    same(found[:1], [from_polylines(quickdraw(polylines(drawing)))])
    assert found[0].tolist() == [[0, 0, 0], [218, 0, 0], [-109, 255, 1]]
    assert found.fields["label"].tolist() == [1, 0, 1, 0]
    write_sketches(tmp_path / "a.bin", some(list(found)))


def test_names_that_say_nothing(tmp_path):
    with pytest.raises(InputError, match=r"a\.ndjson does not exist; expected a file of drawings"):
        read_sketches(tmp_path / "a.ndjson")
    with pytest.raises(
        InputError, match=r"a\.png ends in '\.png'; drawings are read from \.npz, .* or a folder"
    ):
        read_sketches(tmp_path / "a.png")
    with pytest.raises(
        InputError, match=r"a\.png ends in '\.png'; drawings are written to \.npz, .* or a fold"
    ):
        write_sketches(tmp_path / "a.png", some())
    with pytest.raises(InputError, match="there is no drawing; expected at least one"):
        write_sketches(tmp_path / "a.npz", some()[:0])
    assert not list(tmp_path.iterdir())
