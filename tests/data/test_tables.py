import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from mixtura.data.tables import (
    Inputs,
    Table,
    read_table,
    read_target,
    recording_step,
)
from mixtura.errors import InputError


@pytest.fixture
def read(tmp_path):
    def write_and_read(content):
        path = tmp_path / "data.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path)

    return write_and_read


def a_table(**columns):
    rows = len(next(iter(columns.values())))
    return Table(
        Path("data.csv"), {k: [str(x) for x in v] for k, v in columns.items()}, list(range(2, rows + 2))
    )


# Reading


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_guessed_from_the_header(read, separator):
    table = read(f"a{separator} b b \n 1 {separator} x \n")
    assert table.columns == {"a": ["1"], "b b": ["x"]}


def test_separators_inside_quotes_do_not_count(read):
    assert read('"a,b,c";d\n"1;2";3\n').columns == {"a,b,c": ["1;2"], "d": ["3"]}
    assert read('"a";"b,c,d,e"\n1;2\n').columns == {"a": ["1"], "b,c,d,e": ["2"]}


def test_a_stray_quote_in_the_header_is_text(read):
    assert read('height 5";width\n1;2\n').columns == {'height 5"': ["1"], "width": ["2"]}


def test_one_column(read):
    table = read('x\n1\n\n""\n3')
    assert (table.columns, table.lines) == ({"x": ["1", "", "3"]}, [2, 4, 5])


def test_lines_are_physical_lines(read):
    table = read('\n  \na,b\n"one\ntwo", "say ""x"""\n\n \t \n3,4\n')
    assert table.columns == {"a": ["one\ntwo", "3"], "b": ['say "x"', "4"]}
    assert table.lines == [4, 8]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_encodings(read, encoding, end):
    table = read(end.join(["größe,b", "1,é", "", "2,x", ""]).encode(encoding))
    assert (table.columns, table.lines) == ({"größe": ["1", "2"], "b": ["é", "x"]}, [2, 4])


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("a,a,a", ["a", "a.1", "a.2"]),
        ("a,a,a.1,a", ["a", "a.2", "a.1", "a.3"]),
        ("a, ,", ["a", "column 2", "column 3"]),
        ("column 2,,c", ["column 2", "column 2.1", "c"]),
    ],
)
def test_names_are_made_unique(read, header, names):
    row = ",".join("1" * len(names))
    assert list(read(f"{header}\n{row}\n").columns) == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"data\.csv is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("\n  \n", "is empty"),
        ("a,b\n\n", "has a header line but no rows"),
        (b"\x89PNG\r\n\0\0\0\rIHDR", "is not a text file"),
        (b"a,b\n1,\0\n", "is not a text file"),
        ("a,b".encode("utf-16") + b"\n", "is not a text file"),
        ("a,b\n1,é\n".encode("latin-1"), "line 2: the text is not UTF-8; save the file as UTF-8"),
        ("a,b\n1,2\n\n1\n", r"line 4: the row has 1 cell, but the header has 2 \(the separator is a comma\)"),
        ("a;b\n1;2;3\n", r"line 2: the row has 3 cells, .* has 2 \(the separator is a semicolon\)"),
        ('a,b\n1,2\n3,"4\n5,6\n', "line 3: the quotes do not pair up"),
        ('a,b\n1,"2"3\n', "line 2: the quotes do not pair up"),
        ('a,b\n1,"2\n' + "3,4\n" * 50_000, "line 2: the quotes do not pair up"),
    ],
)
def test_broken_files_are_refused(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


def test_paths_that_are_no_readable_file_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"absent\.csv does not exist"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="is a folder; expected a CSV file"):
        read_table(str(tmp_path))

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"locked\.csv cannot be read \(Permission denied\)"):
        read_table(tmp_path / "locked.csv")


# Inputs


def test_numbers_become_floats_and_text_stays_text():
    table = a_table(x=["1", " 2e0", "+3", "1_0"], kind=["b", "a", "", "b"], y=[1, 2, 3, 4])
    inputs = Inputs.find(table, "y")
    assert inputs == Inputs({"x": "numbers", "kind": "text"}, {})
    frame = inputs.read(table)
    assert (frame.columns, frame.shape, frame.index[-1]) == (["x", "kind"], (4, 2), "line 5")
    assert (frame["x"].dtype, frame["kind"].dtype) == (np.float64, object)
    np.testing.assert_array_equal(frame["x"], [1, 2, 3, 10])
    np.testing.assert_array_equal(frame["kind"], ["b", "a", "", "b"])
    some = frame.rows(np.array([2, 0]))
    assert (some.shape, some.index, list(some["x"])) == ((2, 2), ["line 4", "line 2"], [3, 1])


def test_columns_are_left_out_by_the_training_rows():
    table = a_table(x=[1, 3, 100], kind=["a", "b", "c"], step=[5, 5, 6], twin=[1, 3, 0])
    inputs = Inputs.find(table, rows=np.array([0, 1]))
    assert list(inputs.kinds) == ["x", "kind"]
    assert inputs.left_out == {"step": "constant", "twin": "copy of 'x'"}


def test_columns_that_cannot_help_are_left_out():
    n = 300
    table = a_table(
        x=range(n),
        same=["1", "1.0"] * (n // 2),
        word=["w"] * n,
        empty=[""] * n,
        copy=[f"{i}.0" for i in range(n)],
        key=[f"id {i}" for i in range(n)],
        many=[f"t{i % 101}" for i in range(n)],
        some=[f"t{i % 100}" for i in range(n)],
        again=[f"t{i % 100}" for i in range(n)],
    )
    inputs = Inputs.find(table)
    assert list(inputs.kinds) == ["x", "some"]
    assert inputs.left_out == {
        "same": "constant",
        "word": "constant",
        "empty": "constant",
        "copy": "copy of 'x'",
        "key": "text with 300 different values",
        "many": "text with 101 different values",
        "again": "copy of 'some'",
    }


@pytest.mark.parametrize(("levels", "rows", "kept"), [(20, 20, True), (21, 42, True), (21, 41, False)])
def test_text_that_fills_the_rows_is_left_out(levels, rows, kept):
    inputs = Inputs.find(a_table(x=range(rows), t=[f"t{i % levels}" for i in range(rows)]))
    assert ("t" in inputs.left_out) is not kept


def test_text_may_hold_some_numbers():
    inputs = Inputs.find(a_table(size=["S", "M", "10", "", "NA"]))
    assert inputs.kinds == {"size": "text"}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            ["1", "2", "old"],
            "line 4, column 'age': 'old' is not a number; every input must be a finite number",
        ),
        (["1", "old", "x", "2"], "line 3, column 'age': 'old' is not a number"),
        (["1", "0x10"], "line 3, column 'age': '0x10' is not a number"),
        (["1", "2", ""], "line 4, column 'age': the value is missing; every input must be a finite number"),
        (["1", "NA"], "line 3, column 'age': the value is missing"),
        (["1", "NaN"], "line 3, column 'age': the value is missing"),
        (["1", "-inf"], "line 3, column 'age': '-inf' is not finite"),
        (["1", "1e999"], "line 3, column 'age': '1e999' is not finite"),
        (["1", "z" * 99], "'z{37}[.]{3}' is not a number"),
        (["3,14", "2,5", "4"], "line 2, column 'age': '3,14' has a comma; .* decimal point"),
        (["4", "5", "1.234,5"], "line 4, column 'age': '1.234,5' has a comma"),
        (["1", "-1e308"], "line 3, column 'age': '-1e308' is too large; no number may exceed 3.4e[+]38"),
    ],
)
def test_cells_that_are_no_numbers_are_named(cells, message):
    with pytest.raises(InputError, match=message):
        Inputs.find(a_table(age=cells))


def test_a_decimal_comma_in_a_file_is_named(read):
    table = read("x;y\n3,14;1\n2,72;2\n")
    with pytest.raises(InputError, match=r"data\.csv, line 2, column 'x': '3,14' has a comma"):
        Inputs.find(table, "y")


def test_a_table_without_inputs_is_refused():
    with pytest.raises(InputError, match=r"no column to use as an input: 'a' \(constant\), 'b' \(constant\)"):
        Inputs.find(a_table(a=[1, 1], b=["u", "u"], y=[1, 2]), "y")
    with pytest.raises(InputError, match="no column to use as an input: no other column"):
        Inputs.find(a_table(y=[1, 2]), "y")
    with pytest.raises(InputError, match="has no column 'z'"):
        Inputs.find(a_table(y=[1, 2]), "z")


def test_a_new_table_is_checked():
    inputs = Inputs.find(a_table(a=[1, 2], b=[3, 5], c=["u", "v"]))
    frame = inputs.read(a_table(extra=["?"], c=["w"], b=[4], a=["2"]))
    assert {name: list(frame[name]) for name in frame.columns} == {"a": [2.0], "b": [4.0], "c": ["w"]}
    assert list(inputs.read(a_table(a=[1], b=[2], c=["7"]))["c"]) == [
        "7"
    ]  # text also where it looks like numbers
    with pytest.raises(InputError, match=r"data\.csv lacks 2 input columns: 'a', 'c'"):
        inputs.read(a_table(b=[4]))
    with pytest.raises(InputError, match="lacks 1 input column: 'b'"):
        inputs.read(a_table(a=[4], c=["u"]))
    for cell, message in [
        ("", "the value is missing"),
        ("u", "'u' is not a number"),
        ("inf", "'inf' is not finite"),
        ("1e300", "'1e300' is too large"),
    ]:
        with pytest.raises(InputError, match=f"line 3, column 'a': {message}"):
            inputs.read(a_table(a=[1, cell], b=[1, 2], c=["u", "u"]))


def test_inputs_survive_json():
    inputs = Inputs.find(a_table(x=[0.1, 0.2, 1 / 3], kind=["a", "é", ""], one=[1, 1, 1]))
    assert Inputs(**json.loads(json.dumps(asdict(inputs)))) == inputs


@pytest.mark.slow
def test_a_big_table(read):
    x = np.random.default_rng(0).normal(size=(45_000, 9))
    kinds = np.array(["red", "green", "blue"])[np.arange(len(x)) % 3]
    rows = "\n".join(f"{','.join(map(str, r))},{k}" for r, k in zip(x.tolist(), kinds, strict=True))
    table = read(f"a,b,c,d,e,f,g,h,y,kind\n{rows}\n")
    frame = Inputs.find(table, "y").read(table)
    assert (frame.shape, table.lines[-1]) == ((45_000, 9), 45_001)
    np.testing.assert_array_equal(frame["h"], x[:, 7])
    np.testing.assert_array_equal(frame["kind"], kinds)
    np.testing.assert_array_equal(read_target(table, "y"), x[:, 8])


# Target


def test_a_target_is_read_exactly():
    y = read_target(a_table(y=["0.1", "-2", "1e-7"]), "y")
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, [0.1, -2, 1e-7])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["setosa", "x"], "line 2, column 'y': 'setosa' is not a number; a target must be numeric"),
        (["1", ""], "line 3, column 'y': the value is missing; a target must be numeric and finite"),
        (["1", "inf"], "line 3, column 'y': 'inf' is not finite; a target must be numeric and finite"),
        (["1", "2,5"], "line 3, column 'y': '2,5' has a comma"),
        (["1", "1e39"], "line 3, column 'y': '1e39' is too large"),
        (["1"], "data.csv has one row; expected at least two"),
        (["0.1", "0.10"], "data.csv, column 'y': every value is 0.1; a target must vary"),
    ],
)
def test_targets_that_cannot_be_predicted_are_refused(cells, message):
    with pytest.raises(InputError, match=message):
        read_target(a_table(y=cells), "y")


def test_an_unknown_target_is_answered_with_the_names():
    with pytest.raises(InputError, match=r"no column 'medb' \(did you mean 'MEDV'\?\); its .* 'RM', 'MEDV'$"):
        read_target(a_table(RM=[1, 2], MEDV=[1, 2]), "medb")
    with pytest.raises(InputError, match=r"no column 'zzz'; its columns are 'RM', 'MEDV'$"):
        read_target(a_table(RM=[1, 2], MEDV=[1, 2]), "zzz")
    headless = a_table(**{"5.1": [1, 2], "3.5": [1, 2], "setosa": [1, 2]})
    with pytest.raises(InputError, match="look like numbers, so the file may lack a header line"):
        read_target(headless, "species")


RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("y", "step"),
    [
        ([3, 4, 5, 6, 7, 8], 1.0),
        ([10, 30, 70], 20.0),
        ([0.1 + 0.2, 0.1, 0.5, 0.7], 0.2),
        ([0.3 - 0.1 - 0.2, 0.1, 0.2], 0.1),
        (np.arange(200) * 0.05 + 19.95, 0.05),
        (np.cumsum(np.full(1000, 0.1)), 0.1),
        ([1.000001, 2.0, 3.0], 0.000001),
        ([-0.25, 0.5, 1.0], 0.25),
        ([1e9 + 0.01, 1e9, 1e9 + 0.02], 0.01),
        (np.round(RANDOM.normal(size=1000), 3), 0.001),
        (RANDOM.normal(size=1000), 0.0),
        (RANDOM.uniform(size=10) * 1e9, 0.0),
        (RANDOM.uniform(size=10) * 1e20, 0.0),
        (RANDOM.uniform(size=10) * 1e-9, 0.0),
        ([1 / 3, 2 / 3], 0.0),
        ([5.0, 5.0], 0.0),
        ([], 0.0),
    ],
)
def test_the_recording_step_is_the_coarsest_grid(y, step):
    assert recording_step(np.array(y)) == step
