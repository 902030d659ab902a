import numpy as np
import pytest

from mixtura.data import sequences as module
from mixtura.data.sequences import Sequences, read_sequences, require, write_sequences
from mixtura.errors import InputError

RNG = np.random.default_rng(0)
ARRAYS = [RNG.normal(size=(length, 2)) for length in (3, 1, 5, 2)]


@pytest.fixture
def some():
    return Sequences.of(ARRAYS, label=[7, 8, 9, 7], text=["a", "b, c", "d", "a"])


def same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_holds_arrays_one_after_the_other(some):
    same(some, ARRAYS)
    assert (len(some), some.event_size, some.lengths.tolist()) == (4, 2, [3, 1, 5, 2])
    np.testing.assert_array_equal(some.data, np.concatenate(ARRAYS))
    assert some.offsets.tolist() == [0, 3, 4, 9, 11]
    np.testing.assert_array_equal(some[-1], ARRAYS[-1])
    with pytest.raises(IndexError):
        some[4]


def test_keeps_its_type_and_does_not_change(some):
    assert Sequences.of([np.zeros((2, 1), np.int16)]).data.dtype == np.int16
    for array in (some.data, some[0], some.offsets, some.fields["label"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        some.data = None


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, -1), [3, 2, 1, 0]),
        ([2, 0, 2], [2, 0, 2]),
        (np.array([True, False, False, True]), [0, 3]),
        ([], []),
        (np.array([-1]), [3]),
    ],
)
def test_picks_sequences_and_their_fields(some, where, numbers):
    picked = Sequences(some.data, some.offsets, some.fields, {"names": np.arange(9)})[where]
    same(picked, [ARRAYS[number] for number in numbers])
    assert picked.fields["label"].tolist() == [[7, 8, 9, 7][number] for number in numbers]
    assert picked.facts["names"].tolist() == list(range(9))


def test_map_changes_each_and_keeps_fields(some):
    changed = some.map(lambda events: np.diff(events[:, :1], axis=0, prepend=0.0))
    same(changed, [np.diff(array[:, :1], axis=0, prepend=0.0) for array in ARRAYS])
    assert changed.fields["text"].tolist() == some.fields["text"].tolist()


def test_split_deals_out_whole_sequences_in_order():
    some = Sequences.of([np.full((1 + i % 3, 1), i) for i in range(40)])
    parts = some.split((0.5, 0.25, 0.25), seed=3)
    assert [len(part) for part in parts] == [20, 10, 10]
    drawn = [[int(sequence[0, 0]) for sequence in part] for part in parts]
    assert all(numbers == sorted(numbers) for numbers in drawn)
    assert sorted(number for numbers in drawn for number in numbers) == list(range(40))
    assert all(np.ptp(sequence) == 0 and len(sequence) == 1 + sequence[0, 0] % 3 for sequence in some)
    again = some.split((0.5, 0.25, 0.25), seed=3)
    for one, other in zip(parts, again, strict=True):
        same(one, other)
    rest, tenth = some.split(0.1, seed=0)
    assert (len(rest), len(tenth)) == (36, 4)
    assert some.split(0.1, seed=1)[1].data.tolist() != tenth.data.tolist()


@pytest.mark.parametrize("by_name", [True, False])
def test_split_keeps_groups_together(by_name):
    writers = np.repeat(list("abcdefghij"), 4)
    some = Sequences.of([np.full((1, 1), i) for i in range(40)], writer=writers)
    first, second = some.split(0.3, seed=0, groups="writer" if by_name else writers)
    assert len(second) == 12
    assert not set(first.fields["writer"]) & set(second.fields["writer"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.001, 0), "a share of 0.001 of 4 sequences or groups is none at all"),
        ((1.5, 0), "add up to 1; received \\[-0.5, 1.5\\]"),
        (((0.5, 0.2), 0), "add up to 1"),
        ((0.5, 0, [1, 2]), r"groups must have the shape \(4,\)"),
    ],
)
def test_split_refuses(some, arguments, message):
    with pytest.raises(ValueError, match=message):
        some.split(*arguments)


def test_recording_steps_of_each_dimension():
    events = np.stack([RNG.integers(0, 9, 50) * 0.05, RNG.normal(size=50), RNG.integers(0, 9, 50)], axis=1)
    events[0, 0], events[1, 0] = 0.0, 0.05
    assert Sequences.of([events]).recording_step().tolist() == [0.05, 0.0, 1.0]
    # In float32 the decimals are those that its shortest text has.
    assert Sequences.of([events.astype("float32")]).recording_step().tolist() == [0.05, 0.0, 1.0]
    many = np.arange(1, 5000)[:, None] * 0.01
    assert Sequences.of([many.astype("float32")]).recording_step().tolist() == [0.01]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3), [0, 3]), r"data must be numbers \(steps, dimensions\); received float64 \(3,\)"),
        ((np.array([["a"]]), [0, 1]), "data must be numbers"),
        ((np.zeros((3, 1)), [0.0, 3.0]), "offsets must be integers"),
        ((np.zeros((3, 1)), []), "offsets must be integers"),
        (
            (np.zeros((3, 1)), [0, 4]),
            r"offsets must rise from 0 to the number of steps, 3; received \[0, 4\]",
        ),
        ((np.zeros((3, 1)), [1, 3]), "offsets must rise"),
        ((np.zeros((3, 1)), [0, 2, 1, 3]), "offsets must rise"),
        (
            (np.zeros((3, 1)), [0, 3], {"label": [1, 2]}),
            "the field 'label' must have one entry for each of 1",
        ),
    ],
)
def test_what_does_not_fit_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sequences(*arguments)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], "there are no sequences"),
        ([np.zeros((2, 3)), np.zeros((2, 2))], r"the shape \(length, 3\); sequence 1 has \(2, 2\)"),
        ([np.zeros(2)], r"the shape \(length, event_size\); sequence 0 has \(2,\)"),
    ],
)
def test_arrays_that_are_no_sequences(arrays, message):
    with pytest.raises(ValueError, match=message):
        Sequences.of(arrays)


def planted(value):
    arrays = [array.copy() for array in ARRAYS]
    arrays[2][4, 1] = value
    return Sequences.of(arrays)


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        (Sequences.of(ARRAYS), {"event_size": 3}, "the sequences: events have 2 dimensions; expected 3"),
        (Sequences.of(ARRAYS)[:0], {}, "the sequences: there is no sequence; expected at least one"),
        (
            Sequences.of(ARRAYS),
            {"steps": 3},
            r"sequence 1 has 1 step \(and 1 more like it\); expected at least 3",
        ),
        (Sequences.of([np.zeros((0, 1))]), {}, "sequence 0 has 0 steps; expected at least 1"),
        (planted(np.nan), {}, "sequence 2, step 4, dimension 1 is nan; expected a finite number"),
        (planted(1e39), {"what": "x.npz"}, r"x.npz: sequence 2, step 4, dimension 1 is 1e\+39"),
    ],
)
def test_what_no_model_can_be_trained_on(found, options, message):
    with pytest.raises(InputError, match=message):
        require(found, **options)
    require(Sequences.of(ARRAYS), 2)


# Files


def test_npz_keeps_everything(some, tmp_path):
    whole = Sequences(
        some.data.astype("float32"), some.offsets, some.fields, {"letters": np.array(list("xyzuv"))}
    )
    write_sequences(tmp_path / "s.npz", whole)
    found = read_sequences(tmp_path / "s.npz")
    same(found, whole)
    assert found.data.dtype == np.float32
    assert found.fields["text"].tolist() == ["a", "b, c", "d", "a"]
    assert found.fields["label"].tolist() == [7, 8, 9, 7]
    assert found.facts["letters"].tolist() == list("xyzuv")
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_csv_keeps_every_digit_and_the_fields(some, tmp_path, dtype):
    typed = Sequences(some.data.astype(dtype), some.offsets, some.fields)
    write_sequences(tmp_path / "s.csv", typed)
    assert (tmp_path / "s.csv").read_text().splitlines()[0] == "sequence,x0,x1,sequence.label,sequence.text"
    found = read_sequences(tmp_path / "s.csv")
    same(Sequences(found.data.astype(dtype), found.offsets), typed)
    assert found.fields["sequence"].tolist() == list("0123")
    assert found.fields["label"].tolist() == [7, 8, 9, 7]
    assert found.fields["text"].tolist() == ["a", "b, c", "d", "a"]
    write_sequences(tmp_path / "again.csv", found)
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "s.csv").read_text()


@pytest.mark.parametrize(
    ("text", "sequence", "names", "lengths", "columns"),
    [
        ("x,sequence,y\n1,1,2\n3,1,4\n5,2,6\n", None, ["1", "2"], [2, 1], ["x", "y"]),
        ("who,x,y\nanna,1,2\nanna,3,4\nben,5,6\n", None, ["anna", "ben"], [2, 1], ["x", "y"]),
        ("t,x\n1,2\n1,4\n5,6\n", None, ["s"], [3], ["t", "x"]),
        ("t,x\n1,2\n1,4\n5,6\n", "t", ["1", "5"], [2, 1], ["x"]),
    ],
)
def test_the_column_that_tells_sequences_apart(tmp_path, text, sequence, names, lengths, columns):
    (tmp_path / "s.csv").write_text(text)
    found = read_sequences(tmp_path / "s.csv", sequence)
    assert found.fields["sequence"].tolist() == names
    assert found.lengths.tolist() == lengths
    assert found.facts["columns"].tolist() == columns
    assert found[0][0].tolist() == [1, 2][-len(columns) :]


def test_a_folder_has_one_sequence_in_each_file(tmp_path):
    (tmp_path / "b.CSV").write_text("x;y\n5;6\n")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "notes.txt").write_text("no sequence")
    found = read_sequences(tmp_path)
    same(found, [[[1, 2], [3, 4]], [[5, 6]]])
    assert found.fields["sequence"].tolist() == ["a", "b"]
    assert found.facts["columns"].tolist() == ["x", "y"]
    (tmp_path / "c.csv").write_text("y,x\n1,2\n")
    with pytest.raises(InputError, match=r"c.csv has the columns \['y', 'x'\]; expected .* as in a.csv"):
        read_sequences(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"has no .csv files; expected one for each sequence"):
        read_sequences(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sequence,x\na,1\nb,2\na,3\n", "line 4: sequence 'a' goes on after another; the rows"),
        ("sequence,x\na,1\na,?\n", "line 3, column 'x': '\\?' is not a number"),
        ("sequence,x\na,1\na,inf\n", "line 3, column 'x': 'inf' is not finite"),
        ("sequence,x\n", "has a header line but no rows"),
        ("sequence\na\n", "has no column of numbers beside 'sequence'"),
        (
            "sequence,x,sequence.label\na,1,u\na,2,v\n",
            "line 3, column 'sequence.label': 'v' differs from 'u' in the same sequence",
        ),
    ],
)
def test_csv_that_holds_no_sequences(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_sequences(tmp_path / "s.csv")


def test_a_column_that_is_not_there(tmp_path):
    (tmp_path / "s.csv").write_text("t,x\n1,2\n")
    with pytest.raises(InputError, match=r"has no column 'id'; its columns are \['t', 'x'\]"):
        read_sequences(tmp_path / "s.csv", "id")


def test_npz_that_holds_no_sequences(tmp_path):
    path = tmp_path / "s.npz"

    def refused(message):
        with pytest.raises(InputError, match=message):
            read_sequences(path)

    refused("does not exist")
    path.write_bytes(b"PK no zip file")
    refused("is damaged or no npz file")
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    refused("is damaged or no npz file")
    np.savez(path, X=np.zeros(3))
    refused(r"holds the arrays \['X'\]; expected arrays `data` \(steps, dimensions\) and `offsets`")
    np.savez(path, train=np.array([np.zeros(2), None], dtype=object))
    refused("'train' holds pickled Python objects, which are not read; expected arrays `data`")
    np.savez(path, data=np.zeros((3, 1)), offsets=[0, 4])
    refused("offsets must rise from 0 to the number of steps, 3")
    np.savez(path, data=np.full((3, 1), np.nan), offsets=[0, 1, 3])
    refused("s.npz: sequence 0, step 0, dimension 0 is nan")
    np.savez(path, data=np.zeros((3, 1)), offsets=[0, 0, 3])
    refused("s.npz: sequence 0 has 0 steps")


def test_what_cannot_be_written(some, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"ends in '.txt'; sequences are written to .npz or .csv"):
        write_sequences(tmp_path / "s.txt", some)
    wide = Sequences(some.data, some.offsets, {"leads": np.zeros((4, 2))})
    with pytest.raises(InputError, match=r"a CSV file has no place for 'leads'; write a .npz file"):
        write_sequences(tmp_path / "s.csv", wide)
    named = Sequences(some.data, some.offsets, {}, {"columns": np.array(["x"])})
    with pytest.raises(InputError, match="`columns` must name 2 dimensions"):
        write_sequences(tmp_path / "s.csv", named)
    write_sequences(tmp_path / "s.npz", some)
    before = (tmp_path / "s.npz").read_bytes()

    def full(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(module.np, "savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        write_sequences(tmp_path / "s.npz", some[:1])
    assert (tmp_path / "s.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]


def test_names_of_columns_are_a_fact_where_there_are_as_many_sequences(tmp_path):
    both = Sequences.of([[[1.0, 2.0]], [[3.0, 4.0]]])
    named = Sequences(both.data, both.offsets, {}, {"columns": np.array(["x", "y"])})
    write_sequences(tmp_path / "two.npz", named)
    found = read_sequences(tmp_path / "two.npz")
    assert found.facts["columns"].tolist() == ["x", "y"]
    assert not found.fields
