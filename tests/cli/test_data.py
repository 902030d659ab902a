import hashlib
import io
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from mixtura.data import fetching
from mixtura.errors import InputError

CONTENT = b"three sheep"


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Put one small file into the table and the cache into a folder; return the names that were fetched."""
    names = []
    digest = hashlib.sha256(CONTENT).hexdigest()
    file = replace(fetching.FILES["aaron-sheep"], name="sheep", size=len(CONTENT), sha256=digest)

    def fetch(file, folder, advance):
        names.append(file.name)
        advance(file.size)
        file.place(folder).parent.mkdir(parents=True)
        file.place(folder).write_bytes(CONTENT)

    monkeypatch.setattr(fetching, "FILES", {"sheep": file})
    monkeypatch.setattr(fetching, "fetch", fetch)
    monkeypatch.setenv("MIXTURA_CACHE", str(tmp_path / "cache"))
    return names


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_data_sets_are_listed(main, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    code, out, err = main("data", "fetch")
    assert (code, err) == (0, "")
    assert re.search(r"short-kanji +1\.44 MB .* CC BY-SA 3\.0, © 2009–2015 Ulrich Apel \(KanjiVG\)", out)
    assert out.count("none stated") == 11


def test_fetch_shows_source_and_licence_and_prints_where_the_file_is(main, fetched, tmp_path):
    place = tmp_path / "cache" / "data" / "sheep" / "aaron_sheep.npz"
    code, out, err = main("data", "fetch", "sheep", "--accept")
    assert (code, out) == (0, f"{place}\n")
    source, licence = err.index("source: https://"), err.index("licence: CC BY-NC 4.0, © 2006 Aaron Koblin")
    assert source < licence
    assert place.read_bytes() == CONTENT
    assert main("data", "fetch", "sheep") == (0, f"{place}\n", "")
    assert fetched == ["sheep"]


def test_fetch_copies_to_an_output(main, fetched, tmp_path):
    out = tmp_path / "mine.npz"
    command = ("data", "fetch", "sheep", "--out", out)
    assert main(*command, "--accept")[:2] == (0, f"{out}\n")
    assert main(*command) == (0, f"{out}\n", "")
    out.write_text("mine")
    assert main(*command) == (2, "", f"mixtura: {out} exists; name another output or give --overwrite.\n")
    assert main(*command, "--overwrite")[0] == 0
    assert out.read_bytes() == CONTENT
    assert fetched == ["sheep"]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("Yes\n", 0), ("n\n", 2), ("\n", 2), ("", 2)])
def test_on_a_terminal_fetch_asks(main, fetched, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    given, _, err = main("data", "fetch", "sheep")
    assert given == code
    assert err.index("licence: CC BY-NC") < err.index("Fetch it under this licence? [y/N] ")
    assert fetched == (["sheep"] if code == 0 else [])
    assert code == 0 or err.endswith("mixtura: The licence of sheep was not accepted; nothing was fetched.\n")


def test_without_a_terminal_fetch_refuses_in_one_sentence(main, fetched, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    code, out, err = main("data", "fetch", "sheep")
    assert (code, out, fetched) == (2, "", [])
    assert err.startswith("mixtura: sheep, from hardmaru/sketch-rnn-datasets, is under the licence 'CC BY-NC")
    assert err.endswith("give --accept if you do.\n")
    assert err.count("\n") == 1


def test_a_failed_fetch_is_one_sentence(main, fetched, monkeypatch):
    def fail(*args, **kwargs):
        raise InputError("the connection failed.")

    monkeypatch.setattr(fetching, "fetch", fail)
    code, out, err = main("data", "fetch", "sheep", "--accept")
    assert (code, out) == (2, "")
    assert err.endswith("mixtura: the connection failed.\n")
    assert main("data", "fetch", "goat")[2].startswith("mixtura: There is no data set 'goat'; ")


@pytest.fixture
def doodles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    drawing = {"word": "[tick]", "drawing": [[[0, 10, 40], [0, 30, 0]], [[7], [9]]]}
    (tmp_path / "doodles.ndjson").write_text(f"{json.dumps(drawing)}\nbroken\n{json.dumps(drawing)}\n")
    return tmp_path


def test_convert_counts_what_it_wrote_and_names_broken_lines(main, doodles):
    code, out, err = main("data", "convert", "doodles.ndjson", "doodles.npz")
    assert (code, out) == (0, "Wrote 2 drawings, 8 points, to doodles.npz.\n")
    assert err.startswith("mixtura: doodles.ndjson, line 2: ")
    assert err.count("\n") == 1
    command = ("data", "convert", "doodles.npz", "one.svg")
    code, out, err = main(*command, "--simplify", "--epsilon", 3, "--category", "[tick]", "--count", 1)
    assert (code, out, err) == (0, "Wrote 1 drawing, 4 points, to one.svg.\n", "")
    assert main(*command)[::2] == (
        2,
        "mixtura: one.svg exists; name another output or give --overwrite.\n",
    )
    assert main("data", "convert", "nowhere.npz", "a.npz")[2].startswith(
        "mixtura: nowhere.npz does not exist"
    )
    assert "Must be > 0" in main("data", "convert", "doodles.npz", "a.npz", "--epsilon", 0)[2]


def test_show_prints_a_table_and_draws_a_sheet(main, doodles):
    code, out, err = main("data", "show", "doodles.ndjson")
    assert code == 0
    assert err.startswith("mixtura: doodles.ndjson, line 2: ")
    for row in (
        "doodles.ndjson: 2 drawings",
        "points of a drawing +│ +4 +│ +4 +│ +4",
        "strokes +│ +2 +│ +2 +│ +2",
        "width +│ +40 ",
        "height +│ +30 ",
        "recording step of dx +│ +1 ",
        "points where both are 0 +│ +25.0 %",
        r"category \[tick\] +│ +2 ",
    ):
        assert re.search(row, out), row
    assert out.endswith("The sheet is doodles.svg.\n")
    assert (doodles / "doodles.svg").read_text().startswith("<svg ")
    assert main("data", "show", "doodles.ndjson")[0] == 2
    assert main("data", "show", "doodles.ndjson", "--overwrite")[0] == 0


def test_show_says_what_cleaning_changes_in_handwriting(main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    stroke = [[x, 3 * (x % 2)] for x in range(20)]
    lines = [{"text": "[zig] zag", "strokes": [stroke, [[30, 0]]]}, {"text": "", "strokes": [stroke]}]
    (tmp_path / "ink.json").write_text(json.dumps(lines))
    code, out, err = main("data", "convert", "ink.json", "ink.npz", "--thin", 4, "--count", 1)
    assert (code, out, err) == (0, "Wrote 1 line, 7 points, to ink.npz.\n", "")
    code, out, err = main("data", "show", "ink.npz", "--limit", 5, "--thin", 3, "--outliers", 4)
    assert (code, err) == (0, "")
    for row in (
        "ink.npz: 1 line +$",
        "points of a line +│ +7 +│",
        "letters +│ +9 +│",
        "points per letter +│ +0.777778 +│",
        "different characters +│ +7 +│",
        "points of a line, cleaned +│ +4 +│",
        "degrees that it rises to the right, cleaned +│ +0 +│",
        "degrees that it leans to the right +│",
        "steps longer than 4 medians, cleaned +│ +0 +│",
    ):
        assert re.search(row, out, re.MULTILINE), row
    assert "The characters are ' []agiz'." in out


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("--smooth", 4), "mixtura: smooth must be an odd number of points, or 0; received 4\n"),
        (("--smooth", 5, "--savgol"), "smooth and savgol are both filters; expected one of them"),
        (("--limit", -1), "Must be >= 0"),
        (("--thin", 0), "Must be > 0"),
        (("--outliers", "inf"), "Must be <= "),
    ],
)
def test_steps_of_cleaning_are_checked(main, doodles, option, sentence):
    code, _, err = main("data", "show", "doodles.ndjson", *option)
    assert code == 2
    assert sentence in err
    assert not (doodles / "doodles.svg").exists()


def test_data_commands_import_no_keras(doodles):
    code = (
        "import sys; sys.argv = ['mixtura', 'data', 'show', 'doodles.ndjson']\n"
        "from mixtura.cli import main\n"
        "try: main()\n"
        "finally: assert not {'keras', 'jax'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
