import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import mixtura as mx
from mixtura.data.alphabets import Alphabet
from mixtura.data.capture import SENTENCES
from mixtura.data.handwriting import read_handwriting
from mixtura.models import Handwriting
from mixtura.training import Run

FACTS = {
    "points_per_letter": 4,
    "mean": [0.1, 0.0],
    "body": 0.3,
    "bias": 0.5,
    "event_size": 3,
    "styles": ["round", "steep"],
}
HAND = {"text": "ab cé", "strokes": [[[4 * n, 9 * (n % 2)] for n in range(40)], [[170, 0]]]}
EXISTS = "exists; name another output or give --overwrite."


def saved(folder, system="handwriting", start=None, **network):
    """Save a network whose window moves on by a quarter of a letter at each point, whatever it sees."""
    family = mx.Joint(
        offset=mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 1),
        end=mx.Bernoulli(),
    )
    model = Handwriting(family, (3,), seed=1, **network)
    layers = [model.head] if model.alphabet is None else [model.head, model.cell.aim]
    for weight in (one for layer in layers for one in layer.weights if one.path.endswith("kernel")):
        weight.assign(np.zeros(weight.shape))
    bias = next(one for one in model.head.weights if one.path.endswith("bias"))
    bias.assign([0.0, 0.1, 0.0, -2.5, -2.0, 0.0, -1.0])
    about = {"system": system, "recording_step": [0, 0, 0], "start": start, "facts": FACTS}
    Run.begin(folder, about).save(model)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handwriting")
    network = {"alphabet": Alphabet("abcdefgh. "), "windows": 1, "pace": -np.log(4), "narrowness": 1.0}
    saved(folder / "plain", **network)
    saved(folder / "styled", num_styles=2, style_size=2, **network)
    saved(folder / "continued", start="styled", num_styles=2, style_size=2, **network)
    saved(folder / "predicts")
    (folder / "hand.json").write_text(json.dumps(HAND))
    (folder / "hand.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0L4 9L8 0L12 9L16 0"/></svg>'
    )
    (folder / "latin.txt").write_bytes(b"\xe9")
    return folder


@pytest.fixture
def write(main, folder, monkeypatch):
    """Write with a run of the folder, and return what is said."""
    monkeypatch.chdir(folder)

    def call(*arguments, run="plain"):
        code, printed, err = main("write", *arguments, "--run", run, "--seed", 1)
        assert (code, err) == (0, "")
        return printed

    return call


def groups(path):
    """Return the colours of a page's lines, and how many strokes each has."""
    space = "{http://www.w3.org/2000/svg}"
    lines = ElementTree.parse(path).getroot().findall(f"{space}g/{space}g")
    return [line.get("stroke") for line in lines], [path.read_text().count("M") for line in lines]


def test_a_text_becomes_a_page(write, tmp_path):
    out = tmp_path / "page.svg"
    assert write("abc def\n\nabcd", "--out", out) == f"Wrote 2 lines, to {out}.\n"
    root = ElementTree.parse(out).getroot()
    assert (root.get("width"), root.get("height")) == ("210mm", "297mm")
    assert groups(out)[0] == ["#1b1f3b"] * 2


def test_pages_have_a_size_and_lines_their_colours(write, tmp_path):
    arguments = ("--size", "60x40", "--margin", 5, "--pitch", 10, "--colour", "red", "--colour", "#00ff00")
    text = "abc def abc def abc def abc def abc def abc def"
    printed = write(text, "--out", tmp_path / "p.svg", *arguments, "--ruled", "--title", "A <title>")
    pages = sorted(tmp_path.iterdir())
    assert [page.name for page in pages] == [f"p-{n}.svg" for n in range(1, len(pages) + 1)]
    assert len(pages) > 1
    assert printed.endswith(f"to {', '.join(map(str, pages))}.\n")
    colours = [colour for page in pages for colour in groups(page)[0]]
    assert colours == ["#ff0000", "#00ff00", "#ff0000", "#00ff00", "#ff0000", "#00ff00"][: len(colours)]
    assert "A &lt;title&gt;" in pages[0].read_text()


def test_a_line_is_as_large_as_it_needs(write, tmp_path):
    write("abc def", "--out", tmp_path / "a.svg", "--size", "line", "--pitch", 10)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert root.get("height") == "18mm"  # and margins of 4 mm
    assert float(root.get("width").removesuffix("mm")) < 60


def test_texts_come_from_files_and_standard_input(write, tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("abc\ndef\n", encoding="utf-8-sig")
    assert write("--text", tmp_path / "text.txt", "--out", tmp_path / "a.svg").startswith("Wrote 2 lines")
    monkeypatch.setattr("sys.stdin", io.StringIO("abc\ndef\n"))
    write("--text", "-", "--out", tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()


def test_ink_is_in_millimetres(write, tmp_path):
    """The body of letters is 0.28 of the pitch; a unit is the body's, and a letter is 0.4 wide."""
    for name in ("a.json", "a.npz", "a.inkml"):
        write("abcdefgh.\nab", "--out", tmp_path / name)
        lines = read_handwriting(tmp_path / name)
        assert lines.fields["text"].tolist() == ["abcdefgh.", "ab"]
        width = np.cumsum(lines[0][:, 0]).max()
        assert width == pytest.approx(9.5 * 0.4 * 0.28 * 12 / 0.3, rel=0.25)


def test_animations(write, tmp_path):
    write("ab", "--out", tmp_path / "a.gif", "--size", "line")
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames > 3
    write("ab", "--out", tmp_path / "a.svg", "--animate")
    assert "@keyframes" in (tmp_path / "a.svg").read_text()


def test_pictures_of_what_the_network_looked_at_and_expected(write, tmp_path):
    arguments = ("--attention", tmp_path / "a.png", "--density", tmp_path / "d.png")
    printed = write("abc. def", "--out", tmp_path / "p.svg", *arguments)
    assert printed.endswith(f"to {tmp_path}/p.svg, {tmp_path}/a.png, {tmp_path}/d.png.\n")
    for name in ("a.png", "d.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 100


@pytest.mark.slow
def test_styles_have_names_and_files_have_hands(write, tmp_path):
    for run, first in (("styled", "round"), ("continued", "steep")):
        written = {}
        for style in (None, "round", "steep", "hand.json"):
            out = tmp_path / f"{run}-{style}.svg"
            write("abc", "--out", out, *(("--style", style) if style else ()), run=run)
            written[style] = out.read_text()
        assert written[None] == written[first]
        assert written["hand.json"] != written[None]


def test_nearest_characters_stand_in(write, main, folder, tmp_path):
    out = tmp_path / "a.svg"
    code, _, err = main("write", "déf Z", "--run", folder / "plain", "--out", out)
    assert code == 2
    assert re.fullmatch(
        r"mixtura: the alphabet has no 'é' \(nearest: 'e'\), 'Z'; it has .*; --substitute .*\n", err
    )
    code, _, err = main("write", "déf Z", "--run", folder / "plain", "--out", out, "--substitute")
    assert (code, err) == (2, "mixtura: the alphabet has no 'Z'; it has 'abcdefgh. '\n")
    write("de\u0301f", "--out", out, "--substitute")
    write("def", "--out", tmp_path / "b.svg")
    assert out.read_text() == (tmp_path / "b.svg").read_text()


def test_what_is_missing_is_said(main, folder, tmp_path):
    code, printed, err = main("write", "ab" * 300, "--run", folder / "plain", "--out", tmp_path / "a.svg")
    assert (code, err) == (0, "")
    assert printed.startswith("Wrote 1 line")


MISTAKES = {
    "": "Give a text, or a file with --text, and not both.",
    "ab --text latin.txt": "Give a text, or a file with --text, and not both.",
    "--text none.txt": "none.txt: No such file or directory.",
    "--text latin.txt": "latin.txt is no text in UTF-8.",
    " ": "The text is empty; expected something to write.",
    "ab --bias -1": "--bias",
    "ab --style flat --run styled": "there is no style 'flat'; expected one of round, steep, or a file",
    "ab --style flat": "there is no style 'flat'; expected a file of handwriting",
    "ab --style hand.svg": "hand.svg has drawings but no texts",
    "ab --style hand.json --line 2": "hand.json has 1 line; there is no line 2.",
    "ab --size huge": "there is no size 'huge'; expected one of a4, a5, letter, line, or millimetres",
    "ab --size 20x12": "a page 12 mm high has no room for a line of 12 mm",
    "ab --colour nocolour": "'nocolour' is no colour",
    "ab --pen 0": "the pen of a page must be a positive number",
    "ab --run predicts": "predicts is no run of handwriting that knows texts",
    "ab --run robojam": "robojam is no run of handwriting that knows texts",
    "ab --run nothing": "nothing is not a folder",
    "ab --attention a.txt": "a.txt has no picture's ending",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_sentence_and_leave_nothing(main, folder, tmp_path, monkeypatch, words):
    monkeypatch.chdir(folder)
    run = () if "--run" in words else ("--run", "plain")
    given = [words] if words == " " else words.split()
    code, printed, err = main("write", *given, *run, "--out", tmp_path / "a.svg")
    assert (code, printed) == (2, "")
    assert MISTAKES[words] in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_outputs_that_cannot_be_written(write, main, folder, tmp_path):
    arguments = ("write", "ab", "--run", folder / "plain", "--seed", 1)
    code, _, err = main(*arguments, "--out", tmp_path / "a.png")
    assert code == 2
    assert "ends in '.png'; handwriting is written to .gif, .npz, .json, .inkml, .svg" in err
    code, _, err = main(*arguments, "--out", tmp_path / "a.svg", "--attention", tmp_path / "a.svg")
    assert (code, "different files" in err) == (2, True)
    assert not list(tmp_path.iterdir())
    for name in ("a.svg", "d.png"):
        (tmp_path / name).write_text("mine")
        code, _, err = main(*arguments, "--out", tmp_path / "a.svg", "--density", tmp_path / "d.png")
        assert (code, err) == (
            2,
            f"mixtura: {tmp_path}/{name} exists; name another output or give --overwrite.\n",
        )
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / "p-2.svg").write_text("mine")
    small = ("--size", "60x40", "--margin", 5)
    code, _, err = main(
        "write",
        "abc def abc def abc def abc def abc def",
        *arguments[2:],
        *small,
        "--out",
        tmp_path / "p.svg",
    )
    assert (code, err) == (
        2,
        f"mixtura: {tmp_path}/p-2.svg exists; name another output or give --overwrite.\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["p-2.svg"]


def test_a_page_asks_for_sentences(main, tmp_path):
    out = tmp_path / "page.html"
    code, printed, err = main("capture", out)
    assert (code, err) == (0, "")
    assert printed.startswith(f"Open {out} in a browser.")
    held = re.search(r'<script id="texts" type="application/json">(.*?)</script>', out.read_text())
    assert tuple(json.loads(held[1])) == SENTENCES
    assert "http" not in out.read_text()
    (tmp_path / "own.txt").write_text("One </script>.\n\n Two. \n")
    assert main("capture", out, "--texts", tmp_path / "own.txt", "--overwrite")[0] == 0
    held = re.search(r'<script id="texts" type="application/json">(.*?)</script>', out.read_text())
    assert json.loads(held[1]) == ["One </script>.", "Two."]


def test_pages_that_cannot_be_made(main, tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "page.html").write_text("mine")
    for arguments, message in (
        ((tmp_path / "a.txt",), "a.txt ends in '.txt'; the page is written to .html."),
        (
            (tmp_path / "a.html", "--texts", tmp_path / "empty.txt"),
            "there is no text for the page to ask for",
        ),
        ((tmp_path / "page.html",), f"page.html {EXISTS}"),
    ):
        code, printed, err = main("capture", *arguments)
        assert (code, printed) == (2, "")
        assert message in err
    assert (tmp_path / "page.html").read_text() == "mine"
