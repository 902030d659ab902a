import pytest

from mixtura.data.touches import read_touches, write_touches
from mixtura.errors import InputError
from mixtura.systems.robojam.commands import respond


@pytest.fixture
def call(swiped, tmp_path):
    write_touches(tmp_path / "call.csv", swiped[:1])
    return tmp_path / "call.csv"


def test_answers_and_a_picture_are_written(run, call, tmp_path):
    respond(run, call, tmp_path / "answers", count=2, seed=1, picture=tmp_path / "answers.png")
    first = (tmp_path / "answers" / "1.csv").read_text().splitlines()
    assert first[0] == "time,x,y,z,moving"
    assert first[1].endswith(",38.0,0")
    assert (tmp_path / "answers.png").stat().st_size > 10_000
    respond(run, call, tmp_path / "both.csv", count=2, seed=1)
    both = read_touches(tmp_path / "both.csv")
    assert [len(one) for one in both] == [len(one) for one in read_touches(tmp_path / "answers")]


def test_mistakes_are_one_sentence_and_leave_nothing(run, call, tmp_path, swiped):
    write_touches(tmp_path / "several.csv", swiped[:3])
    bad = tmp_path / "bad.csv"
    for text, message in {
        "time,x,y,z,moving\n0,0.1,0.1,38,0\n1,oops,0.1,38,1\n": "line 3",
        "time,x,y,z,moving\n1,0.1,0.1,38,0\n0,0.1,0.1,38,1\n": "line 3.*backwards",
        "time,x,y,z,moving\n": "a header line but no rows",
        "time,x,y,z,moving,colour\n0,0.1,0.1,38,0,1\n": "'colour'",
        "time,x,y,z,moving\n" + "".join(f"{t},0.1,0.1,38,1\n" for t in range(1001)): "1001 touches",
    }.items():
        bad.write_text(text)
        with pytest.raises(InputError, match=message):
            respond(run, bad, tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"several\.csv has 3 performances; expected one, the call"):
        respond(run, tmp_path / "several.csv", tmp_path / "out.csv")
    with pytest.raises(InputError, match="exists"):
        respond(run, call, call)
    for picture in ("picture.xyz", "picture"):
        with pytest.raises(InputError, match=f"{picture} has no picture's ending; expected one such as"):
            respond(run, call, tmp_path / "out.csv", picture=tmp_path / picture)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "call.csv", "several.csv"]
    with pytest.raises(InputError, match="is not a folder"):
        respond(tmp_path / "nothing", call, tmp_path / "out.csv")


@pytest.mark.slow
def test_a_call_is_drawn_as_it_is_heard(run, tmp_path):
    call = tmp_path / "call.csv"
    call.write_text("time,x,y\n0,1e30,-1e30\n1e30,0.5,0.5\n")
    respond(run, call, tmp_path / "answer.csv", seed=1, picture=tmp_path / "answer.png")
    assert (tmp_path / "answer.png").exists()
