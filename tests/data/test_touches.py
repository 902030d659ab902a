import numpy as np
import pytest

from mixtura.data import touches as module
from mixtura.data.sequences import Sequences, write_sequences
from mixtura.data.touches import (
    COLUMNS,
    clean_touches,
    format_performance,
    move_inwards,
    moving_of,
    parse_performance,
    read_touches,
    write_touches,
)
from mixtura.errors import InputError

RNG = np.random.default_rng(0)


def a_performance(length):
    x_y, dt = RNG.uniform(size=(length, 2)), RNG.exponential(0.1, length)
    dt[0] = 0
    return np.column_stack([x_y, dt, np.arange(length) % 3 != 0])


PERFORMANCES = [a_performance(length) for length in (5, 1, 12)]


@pytest.fixture
def some():
    return Sequences.of(PERFORMANCES, who=["anna", "ben", "anna"])


def same(found, wanted, atol=0.0):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def objects(arrays):
    held = np.empty(len(arrays), dtype=object)
    held[:] = arrays
    return held


# CSV


def test_a_performance_as_microjam_writes_it():
    text = (
        "time,x,y,z,moving\n"
        "0.005213, 0.711230, 0.070856, 25.524292, 0\n"
        "0.025213, 0.721230, 0.080856, 25.5, 1\n"
        "0.525213, 0.1, 0.2, 30, 0\n"
    )
    wanted = [[0.71123, 0.070856, 0, 0], [0.72123, 0.080856, 0.02, 1], [0.1, 0.2, 0.5, 0]]
    np.testing.assert_allclose(parse_performance(text, "call"), wanted, atol=1e-12)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n \n"])
def test_columns_in_any_order_and_ends_of_lines(tmp_path, start, end):
    text = start + end.join([" y ,time, moving,x", "0.1,0,0,0.5", "0.2 , 0.25,1,0.75", "", " ", ""])
    wanted = [[0.5, 0.1, 0, 0], [0.75, 0.2, 0.25, 1]]
    same([parse_performance(text, "call")], [wanted])
    (tmp_path / "p.csv").write_bytes(text.encode())
    found = read_touches(tmp_path / "p.csv")
    same(found, [wanted])
    assert found.fields["sequence"].tolist() == ["p"]
    assert found.facts["columns"].tolist() == list(COLUMNS)


def test_without_moving_a_rule_of_thumb_decides():
    # More than 0.1 s after the touch before, it is a new one.
    text = "time,x,y\n0,0,0\n0.0625,0,0\n0.1625,0,0\n0.28125,0,0\n0.3,0,0\n"
    assert parse_performance(text, "call")[:, 3].tolist() == [0, 1, 1, 0, 1]
    assert moving_of(np.array([0.0, 0.1, 0.11])).tolist() == [0, 1, 0]
    assert moving_of(np.array([])).tolist() == []


def test_the_first_touch_is_a_new_one():
    assert parse_performance("time,x,y,moving\n3,0,0,1\n4,0,0,1\n", "call").tolist() == [
        [0] * 4,
        [0, 0, 1, 1],
    ]


def test_several_performances_in_a_file(tmp_path):
    (tmp_path / "s.csv").write_text('sequence,time,x,y\n"a, b",3,0,0\n"a, b",3.05,1,0\nc,2,0,1\nc,2.5,0,0\n')
    found = read_touches(tmp_path / "s.csv")
    same(found, [[[0, 0, 0, 0], [1, 0, 0.05, 1]], [[0, 1, 0, 0], [0, 0, 0.5, 0]]], atol=1e-12)
    assert found.fields["sequence"].tolist() == ["a, b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "call is empty; expected the columns time,x,y,z,moving, of which only time, x and y must be"),
        ("\n \n", "call is empty"),
        ("time,x,y,z,moving\n", "call has a header line but no rows"),
        ("time,x\n0,0\n", "call: missing 'y'; expected the columns time,x,y,z,moving"),
        ("\ntime,x,y,w,v\n0,0,0,0,0\n", "call: unknown 'w', 'v'; expected"),
        ("0.1,0.2,0.3\n0,0,0\n", "call: unknown '0.1', '0.2', '0.3'; expected"),
        ("time,x,y,x\n0,0,0,0\n", "call: unknown 'x.1'; expected"),
        ("sequence,time,x,y\n1,0,0,0\n", "call: unknown 'sequence'"),
        ("time,x,y\n0,0,0\n\n1,0\n", "call, line 4: the row has 2 cells, but the header has 3"),
        ("time,x,y\n0,0,0,0\n", "call, line 2: the row has 4 cells, but the header has 3"),
        ("time,x,y\n0,0,0\n1,,0\n", "call, line 3, column 'x': the value is missing"),
        ("time,x,y\n0,0,0\n1,0,oh\n", "call, line 3, column 'y': 'oh' is not a number"),
        ("time,x,y,z\n0,0,0,1\n1,0,0,oh\n", "call, line 3, column 'z': 'oh' is not a number"),
        ("time,x,y\n0,nan,0\n", "call, line 2, column 'x': the value is missing"),
        ("time,x,y\n0,0,-inf\n", "call, line 2, column 'y': '-inf' is not finite"),
        ("time,x,y\n0,1e39,0\n", "call, line 2, column 'x': '1e39' is too large"),
        ("time,x,y\n0,0,0\n0.5,0,0\n0.25,0,0\n", "line 4: time runs backwards, from 0.5 to 0.25 s; expected"),
        ("time,x,y,moving\n0,0,0,0\n1,0,0,0.5\n", "call, line 3: moving is 0.5; expected 0 or 1"),
        ('time,x,y\n0,"0,0\n', "call, line 2: the quotes do not pair up"),
        ("time,x,y\n0,0," + "0" * 200_000 + "\n", r"call, line 2: .*field larger than"),
    ],
)
def test_text_that_is_no_performance(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_performance(text, "call")
    assert "\n" not in str(caught.value)
    if "sequence" not in text:
        (tmp_path / "call.csv").write_text(text)
        with pytest.raises(InputError, match=r"call\.csv"):
            read_touches(tmp_path / "call.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,0,0,0\nb,0,0,0\na,1,0,0\n", "line 4: performance 'a' goes on after another"),
        ("a,5,0,0\nb,3,0,0\nb,2,0,0\n", "line 4: time runs backwards, from 3 to 2 s"),
    ],
)
def test_performances_that_are_none(tmp_path, rows, message):
    (tmp_path / "s.csv").write_text("sequence,time,x,y\n" + rows)
    with pytest.raises(InputError, match=message):
        read_touches(tmp_path / "s.csv")


def test_what_is_written_is_read(some, tmp_path):
    text = format_performance(PERFORMANCES[0])
    assert text.splitlines()[0] == "time,x,y,z,moving"
    first = PERFORMANCES[0][0]
    assert text.splitlines()[1] == f"0.000000,{first[0]:.6f},{first[1]:.6f},38.0,0"
    same([parse_performance(text, "text")], PERFORMANCES[:1], atol=1e-6)
    write_touches(tmp_path / "one.csv", some[:1])
    assert (tmp_path / "one.csv").read_bytes() == text.encode()
    write_touches(tmp_path / "all.csv", some)
    assert (tmp_path / "all.csv").read_text().startswith("sequence,time,x,y,z,moving\n1,0.000000,")
    found = read_touches(tmp_path / "all.csv")
    same(found, PERFORMANCES, atol=1e-6)
    assert found.fields["sequence"].tolist() == ["1", "2", "3"]
    write_touches(
        tmp_path / "again.csv", Sequences(found.data, found.offsets, {"sequence": ["u", "v,w", "x"]})
    )
    assert read_touches(tmp_path / "again.csv").fields["sequence"].tolist() == ["u", "v,w", "x"]
    write_touches(tmp_path / "twice.csv", found[[0, 0]])
    assert read_touches(tmp_path / "twice.csv").fields["sequence"].tolist() == ["1", "2"]


def test_long_performances_keep_their_pauses(tmp_path):
    performance = np.column_stack([np.full((3000, 2), 0.5), RNG.uniform(0, 5, 3000), np.zeros(3000)])
    performance[0, 2] = 0
    same([parse_performance(format_performance(performance), "text")], [performance], atol=1e-6)


@pytest.mark.parametrize(
    ("performance", "message"),
    [
        (np.zeros((2, 3)), r"has the shape \(2, 3\); expected \(n, 4\)"),
        ([[0, 0, 0, 0], [0, 0, -0.5, 0]], "has a dt below 0 or a number that is not finite"),
        ([[np.nan, 0, 0, 0]], "has a dt below 0 or a number that is not finite"),
    ],
)
def test_what_is_not_written(tmp_path, performance, message):
    with pytest.raises(InputError, match=f"the performance {message}"):
        format_performance(np.array(performance))
    for name in ("p.csv", "p"):
        with pytest.raises(InputError, match=f"{name}: performance 1 {message}"):
            write_touches(tmp_path / name, Sequences.of([performance]))
    with pytest.raises(
        InputError, match=r"ends in '.txt'; performances are written to .csv, .npz or a folder"
    ):
        write_touches(tmp_path / "p.txt", Sequences.of(PERFORMANCES))
    assert not list(tmp_path.iterdir())


# Folders


def test_a_folder_has_one_performance_in_each_file(some, tmp_path):
    write_touches(tmp_path / "new" / "folder", Sequences.of(PERFORMANCES * 4))
    names = [f"{number:02}" for number in range(1, 13)]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        f"{n}.csv" for n in names
    ]
    found = read_touches(tmp_path / "new" / "folder")
    same(found, PERFORMANCES * 4, atol=1e-6)
    assert found.fields["sequence"].tolist() == names
    write_touches(tmp_path / "new" / "folder", some)
    same(read_touches(tmp_path / "new" / "folder"), PERFORMANCES, atol=1e-6)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["folder"]
    (tmp_path / "new" / "folder" / "2.csv").write_text("time,x\n0,0\n")
    with pytest.raises(InputError, match=r"2\.csv: missing 'y'"):
        read_touches(tmp_path / "new" / "folder")


def test_other_folders_are_left_alone(some, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"has no .csv files; expected one for each performance"):
        read_touches(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("")
    for name in ("folder", "file"):
        with pytest.raises(InputError, match="exists and is no folder of CSV files; name another output"):
            write_touches(tmp_path / name, some)
    write_touches(tmp_path / "whole", some)

    def full(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(module.Path, "write_text", full)
    for name in ("whole", "part", "part.csv"):
        with pytest.raises(OSError, match="no space"):
            write_touches(tmp_path / name, some[:1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "whole"]
    same(read_touches(tmp_path / "whole"), PERFORMANCES, atol=1e-6)


# Arrays


def test_npz_keeps_everything(some, tmp_path):
    write_touches(tmp_path / "s.npz", some)
    found = read_touches(tmp_path / "s.npz")
    same(found, PERFORMANCES)
    assert found.fields["who"].tolist() == ["anna", "ben", "anna"]
    assert found.facts["columns"].tolist() == list(COLUMNS)
    # As many performances as columns.
    write_touches(tmp_path / "s.npz", some[[0, 1, 2, 0]])
    found = read_touches(tmp_path / "s.npz")
    assert (list(found.fields), list(found.facts)) == (["who"], ["columns"])
    write_touches(tmp_path / "again.npz", found)
    same(read_touches(tmp_path / "again.npz"), found)


@pytest.mark.parametrize(
    "named", [["dt", "moving", "y", "x"], ["z", "x", "y", "dt", "moving"], ["y", "x", "dt"]]
)
def test_columns_are_put_in_order(some, tmp_path, named):
    all_columns = np.column_stack([some.data, np.full(len(some.data), 38.0)]).astype("float32")
    order = [[*COLUMNS, "z"].index(name) for name in named]
    stored = Sequences(all_columns[:, order], some.offsets, {}, {"columns": np.array(named)})
    write_sequences(tmp_path / "s.npz", stored)
    found = read_touches(tmp_path / "s.npz")
    np.testing.assert_array_equal(found.data[:, :3], all_columns[:, :3])
    assert found.data.dtype == np.float64
    moving = some.data[:, 3] if "moving" in named else np.concatenate([moving_of(p[:, 2]) for p in some])
    np.testing.assert_array_equal(found.data[:, 3], moving)


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("name", ["raw_perfs", "arr_0", "data"])
def test_arrays_of_the_published_data_sets(some, tmp_path, name, size):
    arrays = [performance[:, :size].astype("float32") for performance in PERFORMANCES]
    stored = {name: objects(arrays), "diff_perfs": objects(arrays[:1])}
    if name == "data":
        stored = {"data": np.concatenate(arrays), "offsets": some.offsets}
    np.savez_compressed(tmp_path / "s.npz", **stored)
    wanted = [np.column_stack([p[:, :3], p[:, 3] if size == 4 else moving_of(p[:, 2])]) for p in PERFORMANCES]
    found = read_touches(tmp_path / "s.npz")
    same(found, wanted, atol=1e-6)
    assert found.facts["columns"].tolist() == list(COLUMNS)
    np.save(tmp_path / "s.npy", objects(arrays), allow_pickle=True)
    same(read_touches(tmp_path / "s.npy"), found)
    # One performance alone is pickled number by number.
    np.savez(tmp_path / "one.npz", raw_perfs=np.array(arrays[:1], dtype=object))
    same(read_touches(tmp_path / "one.npz"), wanted[:1], atol=1e-6)


def test_the_first_touch_of_arrays_is_a_new_one(tmp_path):
    np.savez(tmp_path / "s.npz", data=np.ones((4, 4)), offsets=[0, 1, 4])
    assert read_touches(tmp_path / "s.npz").data[:, 3].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"perfs": np.zeros(3)}, r"holds \['perfs'\]; expected `data` and `offsets`, or raw_perfs or arr_0"),
        (
            {"raw_perfs": objects([np.zeros((2, 4)), np.zeros((2, 3))])},
            r"'raw_perfs': .* sequence 1 has \(2, 3\)",
        ),
        ({"raw_perfs": objects([])}, "'raw_perfs': there are no sequences"),
        ({"raw_perfs": objects([np.zeros((2, 4)), np.zeros((0, 4))])}, "sequence 1 has 0 steps"),
        ({"raw_perfs": objects([np.full((2, 4), np.nan)])}, "sequence 0, step 0, dimension 0 is nan"),
        ({"raw_perfs": objects([moving_of])}, "asks for mixtura.data.touches.moving_of"),
        ({"data": np.zeros((2, 5)), "offsets": [0, 2]}, "has 5 columns; expected x, y, dt and, if"),
        ({"data": np.zeros((2, 2)), "offsets": [0, 2]}, "has 2 columns; expected"),
        (
            {"data": np.zeros((2, 4)), "offsets": [0, 2], "columns": ["x", "y", "time", "moving"]},
            "has 4 columns called x, y, time, moving; expected",
        ),
        (
            {"data": np.zeros((2, 4)), "offsets": [0, 2], "columns": ["x", "y", "dt"]},
            "called x, y, dt; expected",
        ),
        (
            {"data": [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 2]], "offsets": [0, 1, 3]},
            "sequence 1, step 1 has moving 2; expected 0 or 1",
        ),
    ],
)
def test_arrays_that_are_no_performances(tmp_path, arrays, message):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        read_touches(tmp_path / "s.npz")
    assert "s.npz" in str(caught.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"s.csv does not exist; expected a CSV file"):
        read_touches(tmp_path / "s.csv")
    (tmp_path / "s.csv").write_bytes(b"time,x,y\n\xff\n")
    with pytest.raises(InputError, match=r"s.csv, line 2: the text is not UTF-8; save the file as UTF-8"):
        read_touches(tmp_path / "s.csv")


# Cleaning


def test_cleaning_moves_values_to_the_nearer_end_and_counts():
    dirty = Sequences.of(
        [
            [[-0.5, 1.5, 0, 0], [0.5, 0.5, -0.05, 1], [1.0, 0.0, 5.0, 0]],
            [[0.1, 0.2, 0, 0]],
            [[0.3, 0.4, 0, 0], [1.25, 0.5, 2328, 0]],
        ],
        who=[1, 2, 3],
    )
    clean, cleaning = clean_touches(dirty)
    same(
        clean,
        [
            [[0, 1, 0, 0], [0.5, 0.5, 0, 1], [1, 0, 5, 0]],
            [[0.1, 0.2, 0, 0]],
            [[0.3, 0.4, 0, 0], [1, 0.5, 5, 0]],
        ],
    )
    assert clean.fields["who"].tolist() == [1, 2, 3]
    found = (cleaning.outside, cleaning.negative, cleaning.long, cleaning.performances)
    assert (found, cleaning.rows, cleaning.total) == ((3, 1, 1, 2), 6, 3)
    assert cleaning.describe() == (
        "3 values of x or y outside [0, 1], 1 of dt below 0 and 1 above 5 s were moved to the nearer end, "
        "in 2 of 3 performances (6 touches)."
    )
    again, nothing = clean_touches(clean)
    same(again, clean)
    assert (nothing.outside, nothing.negative, nothing.long, nothing.performances) == (0, 0, 0, 0)


@pytest.mark.parametrize("step", [(1 / 600, 1 / 600, 0.001, 0), (0.1, 0.3, 0.7, 0), (1 / 3, 1e-6, 1e-9, 0)])
def test_inwards_is_inside_in_float32_and_with_noise(step):
    ends = np.array(
        [[0, 1, 0, 0], [1, 0, 0, 1], [step[0] / 2, 1 - step[1] / 2, step[2] / 2, 1], [0.5, 0.5, 3, 0]]
    )
    moved = move_inwards(Sequences.of([ends], who=[1]), step)
    np.testing.assert_allclose(moved[0][0], [step[0] / 2, 1 - step[1] / 2, step[2] / 2, 0], atol=3e-7)
    np.testing.assert_array_equal(moved[0][3], ends[3])
    np.testing.assert_array_equal(moved[0][:, 3], ends[:, 3])
    assert moved.fields["who"].tolist() == [1]
    for dtype in ("float64", "float32"):
        events, half = moved.data.astype(dtype), (np.array(step) / 2).astype(dtype)
        for noise in (-half, half):
            noisy = (events + noise)[:, :3]
            assert noisy.dtype == dtype
            assert (noisy > 0).all()
            assert (noisy[:, :2] < 1).all()
    untouched = move_inwards(Sequences.of([ends]), (0, 0, 0, 0))
    np.testing.assert_array_equal(untouched[0], ends)


@pytest.mark.parametrize("step", [(0.1, 0.1), (1, 0, 0, 0), (-0.1, 0, 0, 0), (np.nan, 0, 0, 0)])
def test_steps_that_are_none(some, step):
    with pytest.raises(ValueError, match="step must be 4 numbers from 0 to below 1; received"):
        move_inwards(some, step)
