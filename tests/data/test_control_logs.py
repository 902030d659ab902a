from datetime import datetime

import numpy as np
import pytest

from mixtura.data.control_logs import read_logs, write_logs
from mixtura.data.sequences import Sequences, write_sequences
from mixtura.errors import InputError

RNG = np.random.default_rng(0)
SESSIONS = [np.column_stack([RNG.uniform(size=(n, 3)), RNG.exponential(0.1, n)]) for n in (5, 1, 12)]
LOG = """\
2019-01-17T12:37:29.248784,interface,0.5,0.25
2019-01-17T12:37:29.348784,rnn,0.75,0.125
2019-01-17T12:37:29.748784,interface,0.5,1
2019-01-17T12:37:31.248784,interface,0.0,1.0
2019-01-17T12:37:31.348784,rnn,0.25,0.5
"""


@pytest.fixture
def some():
    return Sequences.of(SESSIONS, who=["anna", "ben", "anna"])


def same(found, wanted, atol=0.0):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def dt_first(sessions):
    return [np.roll(session, 1, axis=1) for session in sessions]


def objects(arrays):
    held = np.empty(len(arrays), dtype=object)
    held[:] = arrays
    return held


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("interface", [[0.5, 1, 0.5], [0, 1, 1.5]]),
        ("rnn", [[0.25, 0.5, 2.0]]),
        ("all", [[0.75, 0.125, 0.1], [0.5, 1, 0.4], [0, 1, 1.5], [0.25, 0.5, 0.1]]),
    ],
)
@pytest.mark.parametrize("name", ["2019-01-17T12-37-29-3d-mdrnn", "mine"])
def test_a_log(tmp_path, name, source, wanted):
    (tmp_path / f"{name}.log").write_text(LOG)
    found = read_logs(tmp_path / f"{name}.log", source)
    same(found, [wanted], atol=1e-9)
    assert found.facts["columns"].tolist() == ["x1", "x2", "dt"]
    assert found.fields["sequence"].tolist() == [name]


def test_lines_end_in_any_way_and_may_be_blank(tmp_path):
    text = "\ufeff\r\n" + LOG.replace("\n", "\r\n").replace(",", " , ") + "\r\n \r\n"
    (tmp_path / "a.log").write_bytes(text.encode())
    same(read_logs(tmp_path / "a.log"), [[[0.5, 1, 0.5], [0, 1, 1.5]]], atol=1e-9)


def test_times_with_and_without_a_zone(tmp_path):
    (tmp_path / "a.log").write_text(
        "2019-01-17T12:00:00,rnn,1\n2019-01-17T14:00:01+02:00,rnn,1\n20190117T120002Z,rnn,1\n"
    )
    same(read_logs(tmp_path / "a.log", "rnn"), [[[1, 1], [1, 1]]])


def test_a_folder_of_logs(tmp_path):
    (tmp_path / "b-3d-mdrnn.log").write_text(LOG)
    (tmp_path / "a-3d-mdrnn.log").write_text("".join(LOG.splitlines(keepends=True)[2:]))
    (tmp_path / "c-3d-mdrnn.log").write_text("")
    (tmp_path / "d-3d-mdrnn.log").write_text(LOG.splitlines()[0])  # gives the time alone
    (tmp_path / "notes.txt").write_text("no log")
    found = read_logs(tmp_path)
    same(found, [[[0, 1, 1.5]], [[0.5, 1, 0.5], [0, 1, 1.5]]], atol=1e-9)
    assert found.fields["sequence"].tolist() == ["a-3d-mdrnn", "b-3d-mdrnn"]
    (tmp_path / "e.log").write_text("2019-01-17T12:00:00,interface,1\n2019-01-17T12:00:01,interface,1\n")
    with pytest.raises(InputError, match=r"e has the shape \(1, 2\), a-3d-mdrnn \(1, 3\); expected"):
        read_logs(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("yesterday,interface,0,0", "line 3: 'yesterday' is no time in ISO 8601, as in 2000-01-01"),
        (
            "2019-01-17T12:37:29.748784",
            "line 3: no source; expected a time, 'interface' or 'rnn', and values",
        ),
        (
            "2019-01-17T12:37:29.748784,me,0,0",
            "line 3: the source 'me'; expected a time, 'interface' or 'rnn'",
        ),
        (
            "2019-01-17T12:37:29.748784,rnn,0",
            "line 3: the event has 1 value; expected 2, as the first line says",
        ),
        ("2019-01-17T12:37:29.748784,rnn,0,0,0", "line 3: the event has 3 values; expected 2"),
        (
            "2019-01-17T12:37:29.748784,rnn,0,",
            "line 3: '' is not a finite number; expected a control's value",
        ),
        ("2019-01-17T12:37:29.748784,rnn,0,nan", "line 3: 'nan' is not a finite number"),
        ("2019-01-17T12:37:29.748784,rnn,-inf,0", "line 3: '-inf' is not a finite number"),
        ("2019-01-17T12:37:29.148784,rnn,0,0", "line 3: time runs backwards, by 0.2 s"),
    ],
)
def test_lines_that_are_no_events(tmp_path, line, message):
    lines = LOG.splitlines()
    lines.insert(2, line)
    (tmp_path / "a.log").write_text("\n".join(lines))
    with pytest.raises(InputError, match=message) as caught:
        read_logs(tmp_path / "a.log")
    assert "a.log, line 3" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_logs_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="source must be 'interface', 'rnn' or 'all'; received 'me'"):
        read_logs(tmp_path, "me")
    with pytest.raises(InputError, match=r"a.log does not exist; expected a log of controls"):
        read_logs(tmp_path / "a.log")
    (tmp_path / "x-9d-mdrnn.log").write_text(LOG)
    with pytest.raises(InputError, match="line 1: the event has 2 values; expected 8, as the name says"):
        read_logs(tmp_path / "x-9d-mdrnn.log")
    path = tmp_path / "a.log"
    path.write_text("2019-01-17T12:00:00,interface\n")
    with pytest.raises(InputError, match="line 1: the event has 0 values; expected one at least"):
        read_logs(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"a.log cannot be read \(.*\); expected a log of controls"):
        read_logs(path)
    for text in ("", "2019-01-17T12:00:00,interface,1\n", "2019-01-17T12:00:00,rnn,1\n" * 2):
        path.write_text(text)
        with pytest.raises(InputError, match="has no events; a log has one for each line after the first"):
            read_logs(path)


# Arrays


def test_data_sets_of_impsy(some, tmp_path):
    sessions = dt_first(SESSIONS)
    held = [sessions[0], np.zeros((0, 4)), *sessions[1:], np.zeros(0)]
    np.savez_compressed(tmp_path / "training-dataset-4d.npz", perfs=objects(held))
    found = read_logs(tmp_path / "training-dataset-4d.npz")
    same(found, SESSIONS)
    assert found.fields["sequence"].tolist() == ["session 0", "session 2", "session 3"]
    assert found.facts["columns"].tolist() == ["x1", "x2", "x3", "dt"]
    # One session alone is pickled number by number; sessions of one length make an array.
    np.savez(tmp_path / "one.npz", perfs=np.array(sessions[:1], dtype=object))
    same(read_logs(tmp_path / "one.npz"), SESSIONS[:1])
    np.savez(tmp_path / "plain.npz", perfs=np.stack(sessions[:1] * 2).astype("float32"))
    found = read_logs(tmp_path / "plain.npz")
    same(found, SESSIONS[:1] * 2, atol=1e-6)
    assert found.data.dtype == np.float64


@pytest.mark.parametrize("columns", [None, ["dt", "a", "b", "c"], ["a", "b", "dt", "c"]])
def test_npz_of_sequences(some, tmp_path, columns):
    place = 0 if columns is None else columns.index("dt")
    values = np.insert(some.data[:, :3], place, some.data[:, 3], axis=1)
    facts = {} if columns is None else {"columns": np.array(columns)}
    write_sequences(tmp_path / "s.npz", Sequences(values, some.offsets, some.fields, facts))
    found = read_logs(tmp_path / "s.npz")
    same(found, SESSIONS)
    assert found.fields["who"].tolist() == ["anna", "ben", "anna"]
    assert found.facts["columns"].tolist() == ["x1", "x2", "x3", "dt"]


def test_csv_with_a_column_dt(tmp_path):
    (tmp_path / "s.csv").write_text("sequence,volume,dt,pitch\n1,0.5,0.1,0.25\n1,0.6,0.2,0.25\n2,0,0,0\n")
    found = read_logs(tmp_path / "s.csv")
    same(found, [[[0.5, 0.25, 0.1], [0.6, 0.25, 0.2]], [[0, 0, 0]]])
    assert found.fields["sequence"].tolist() == ["1", "2"]
    (tmp_path / "s.csv").write_text("volume,pitch\n0.5,0.1\n")
    with pytest.raises(
        InputError, match=r"s.csv has 2 columns called volume, pitch; expected one called dt and"
    ):
        read_logs(tmp_path / "s.csv")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"raw": np.zeros(3)}, r"holds \['raw'\]; expected 'perfs', or `data` and `offsets`"),
        ({"perfs": objects([np.zeros((0, 3))])}, "has no events"),
        (
            {"perfs": objects([np.zeros((2, 3)), np.zeros((2, 4))])},
            r"session 1 has the shape \(2, 4\), session 0",
        ),
        ({"perfs": np.zeros((2, 3))}, r"session 0 has the shape \(3,\)"),
        ({"perfs": objects([print])}, "asks for (builtins|__builtin__).print"),
        ({"data": np.zeros((2, 1)), "offsets": [0, 2]}, "has 1 column; expected one called dt and others"),
        ({"data": np.full((2, 2), np.nan), "offsets": [0, 2]}, "sequence 0, step 0, dimension 0 is nan"),
        ({"data": np.zeros((2, 2)), "offsets": [0, 2], "columns": ["dt", "dt"]}, "called dt, dt; expected"),
    ],
)
def test_arrays_that_are_no_sessions(tmp_path, arrays, message):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        read_logs(tmp_path / "s.npz")
    assert "s.npz" in str(caught.value)


# Writing


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_what_is_written_is_read(some, tmp_path, ending):
    for sessions in (some, some[[0, 1, 2, 0]]):  # as many sessions as columns, too
        write_logs(tmp_path / f"s.{ending}", sessions)
        found = read_logs(tmp_path / f"s.{ending}")
        same(found, list(sessions))
        assert found.fields["who"].tolist() == sessions.fields["who"].tolist()
        assert found.facts["columns"].tolist() == ["x1", "x2", "x3", "dt"]


def test_a_log_as_impsy_writes_it(some, tmp_path):
    path = tmp_path / "2000-01-01T00-00-00-4d-mdrnn.log"
    session = np.array([[0.5, 0.25, 0.125, 1.5], [0.5, 0.75, 1.0, 0.000001]])
    write_logs(path, Sequences.of([session]))
    assert path.read_text() == (
        "2000-01-01T00:00:00.000000,rnn,0.5,0.25,0.125\n"
        "2000-01-01T00:00:01.500000,rnn,0.5,0.25,0.125\n"
        "2000-01-01T00:00:01.500001,rnn,0.5,0.75,1.0\n"
    )
    same(read_logs(path, "rnn"), [session], atol=1e-9)
    write_logs(path, some[[2]], start=datetime(2026, 5, 4, 3, 2, 1), source="interface")
    assert path.read_text().startswith("2026-05-04T03:02:01.000000,interface,")
    same(read_logs(path), SESSIONS[2:], atol=2e-6)


def test_what_is_not_written(some, tmp_path):
    with pytest.raises(InputError, match=r"a.log: a log holds one session; received 3; write an .npz file"):
        write_logs(tmp_path / "a.log", some)
    for value in (-0.1, np.inf):
        with pytest.raises(InputError, match="a dt is below 0 or a number is not finite; a log has no place"):
            write_logs(tmp_path / "a.log", Sequences.of([[[0.5, value]]]))
    with pytest.raises(ValueError, match="source must be 'interface' or 'rnn'; received 'all'"):
        write_logs(tmp_path / "a.log", some[[0]], source="all")
    with pytest.raises(InputError, match=r"ends in '.txt'"):
        write_logs(tmp_path / "a.txt", some)
    assert not list(tmp_path.iterdir())
