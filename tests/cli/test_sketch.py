import re
from xml.etree import ElementTree

import numpy as np
import pytest

import mixtura as mx
from mixtura.data.sequences import Sequences
from mixtura.data.sketches import write_sketches
from mixtura.data.strokes import from_polylines
from mixtura.models.sketch_rnn import SketchRNN
from mixtura.training import Run

ORANGE = "#D55E00"
CATEGORIES = ["house", "sun"]


def saved(folder, system, facts, **network):
    """Save a network that was not trained as a run."""
    offset = mx.Affine(mx.Mixture(mx.Normal(2, "bivariate"), 2), 0.0, 9.0)
    family = mx.Joint(offset=offset, pen=mx.Categorical(3))
    model = SketchRNN(family, (4,), encoder_units=3, seed=1, **network)
    Run.begin(folder, {"system": system, "recording_step": [1, 1, 0, 0, 0], "facts": facts}).save(model)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make runs, and a file of drawings: five of four points, the last of twelve."""
    folder = tmp_path_factory.mktemp("sketch")
    facts = {"longest": 10, "categories": CATEGORIES}
    saved(folder / "classes", "sketch", facts, latent_size=2, num_classes=2, class_size=2)
    saved(folder / "imported", "sketch", {}, latent_size=2, closing=True)
    saved(folder / "kanji", "kanji", {"longest": 10})
    rng = np.random.default_rng(0)
    lines = [[rng.integers(0, 50, (3, 2)), rng.integers(0, 50, (1, 2))] for _ in range(5)]
    made = [*map(from_polylines, lines), from_polylines([rng.integers(0, 50, (12, 2))])]
    sequences = Sequences.of(made, label=np.array([0, 1, 0, 1, 0, 1]))
    write_sketches(folder / "plain.npz", Sequences(sequences.data, sequences.offsets))
    known = Sequences.of(made, label=sequences.fields["label"]), {"categories": np.array(CATEGORIES)}
    write_sketches(
        folder / "known.npz", Sequences(known[0].data, known[0].offsets, known[0].fields, known[1])
    )
    return folder


def pictures(path):
    """Return for each drawing on a sheet whether it is orange, and the texts."""
    root = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    cells = [[one.get("stroke") for one in cell] for cell in root.findall(f"{space}g/{space}g")]
    return [ORANGE in colours for colours in cells], [text.text for text in root.iter(f"{space}text")]


def run(main, out, *arguments):
    code, printed, err = main("sketch", *arguments, "--out", out, "--seed", 1)
    assert (code, err) == (0, "")
    assert printed == f"The sheet is {out}.\n"
    return pictures(out)


def test_copies_stand_below_drawings(main, folder, tmp_path):
    orange, texts = run(
        main, tmp_path / "a.svg", "reconstruct", folder / "classes", folder / "known.npz", "--pick", "4,1"
    )
    assert orange == [True, True, False, False]
    assert texts[1:] == ["4 sun", "1 house"]
    arguments = ("reconstruct", folder / "imported", folder / "plain.npz", "--count", 6, "--temperature", 0.5)
    orange, texts = run(main, tmp_path / "b.svg", *arguments)
    assert orange == [True] * 6 + [False] * 6
    assert texts[1:] == list("123456")


@pytest.mark.slow
def test_more_copies_than_a_row_has(main, folder, tmp_path):
    pick = ",".join(map(str, [1, 2, 3, 4, 5] * 2 + [3, 2]))
    orange, texts = run(
        main, tmp_path / "a.svg", "reconstruct", folder / "imported", folder / "plain.npz", "--pick", pick
    )
    assert orange == [True] * 10 + [False] * 10 + [True] * 2 + [False] * 2
    assert texts[1:] == [*"12345" * 2, "3", "2"]


def test_a_category_picks_of_a_file_or_says_what_it_is(main, folder, tmp_path):
    for file, names in (("known.npz", ["2 sun", "4 sun"]), ("plain.npz", ["1", "2"])):
        arguments = (folder / "classes", folder / file, "--category", "sun", "--steps", 3)
        orange, texts = run(main, tmp_path / f"{file}.svg", "interpolate", *arguments)
        assert orange == [True, False, False, False, True]
        assert texts[1:] == [names[0], "0", "0.5", "1", names[1]]


@pytest.mark.slow
def test_four_drawings_make_a_grid(main, folder, tmp_path):
    arguments = ("--pick", "1,2,3,4", "--steps", 3, "--how", "lerp")
    orange, texts = run(
        main, tmp_path / "a.svg", "interpolate", folder / "imported", folder / "plain.npz", *arguments
    )
    assert orange == [True] * 2 + [False] * 9 + [True] * 2
    assert texts[1:] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("system", ["kanji", "imported"])
def test_completions_show_what_was_begun(main, folder, tmp_path, system):
    arguments = (folder / system, folder / "plain.npz", "--pick", 2, "--points", 2, "--count", 3)
    orange, texts = run(main, tmp_path / "a.svg", "complete", *arguments)
    assert orange == [True] * 4
    assert texts[:2] == ["Completions, best first", "2"]
    assert len(texts) == 5
    assert all(re.fullmatch(r"-?\d+ nats, \d pts", text) for text in texts[2:])


def test_sums_show_their_terms(main, folder, tmp_path):
    arguments = (folder / "classes", folder / "known.npz", "--plus", "1,2", "--minus", 4, "--count", 2)
    orange, texts = run(main, tmp_path / "a.svg", "combine", *arguments)
    assert orange == [True, True, True, False, False]
    assert texts[1:] == ["+ 1 house", "+ 2 sun", "− 4 sun", "=", "="]


def test_temperatures_are_rows(main, folder, tmp_path):
    arguments = ("--values", "0,1", "--count", 3)
    for system, names in (("kanji", []), ("classes", ["sun"] * 3)):
        category = ("--category", "sun") if names else ()
        orange, texts = run(
            main, tmp_path / f"{system}.svg", "temperatures", folder / system, *arguments, *category
        )
        assert orange == [False] * 6
        assert texts[1:] == [*names, "0", "1"]
    _, texts = run(main, tmp_path / "any.svg", "temperatures", folder / "classes", *arguments)
    assert set(texts[1:4]) <= set(CATEGORIES)


@pytest.mark.slow
def test_the_same_seed_makes_the_same_sheet(main, folder, tmp_path):
    arguments = ("complete", folder / "kanji", folder / "plain.npz")
    for name in ("a", "b"):
        run(main, tmp_path / f"{name}.svg", *arguments)
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()


def test_what_is_too_long_is_not_taken_unasked(main, folder, tmp_path):
    orange, texts = run(main, tmp_path / "a.svg", "reconstruct", folder / "classes", folder / "known.npz")
    assert orange == [True] * 5 + [False] * 5
    assert texts[1:] == ["1 house", "2 sun", "3 house", "4 sun", "5 house"]


def test_a_run_draws_at_its_own_temperature(main, folder, tmp_path):
    own = saved(tmp_path / "own", "sketch", {"longest": 10, "temperature": 0.1}, latent_size=2)
    arguments = ("complete", own, folder / "plain.npz")
    for name, options in (("a", ()), ("b", ("--temperature", 0.1)), ("c", ("--temperature", 1))):
        run(main, tmp_path / f"{name}.svg", *arguments, *options)
    first, second, third = ((tmp_path / f"{name}.svg").read_bytes() for name in "abc")
    assert first == second != third


def test_broken_lines_are_named(main, folder, tmp_path):
    source = tmp_path / "some.ndjson"
    source.write_text('{"drawing": [[[0, 9, 9], [0, 0, 9]]]}\nnonsense\n{"drawing": [[[1, 5], [2, 8]]]}\n')
    out = tmp_path / "a.svg"
    code, _, err = main("sketch", "interpolate", folder / "imported", source, "--out", out)
    assert code == 0
    assert err.startswith(f"mixtura: {source}, line 2")
    assert err.count("\n") == 1
    assert out.exists()


NO_LATENT = "This model has no latent vector and cannot"
MISTAKES = {
    "reconstruct kanji plain.npz": f"{NO_LATENT} copy drawings; it can generate and complete drawings",
    "interpolate kanji plain.npz": f"{NO_LATENT} interpolate; ",
    "combine kanji plain.npz --plus 1": f"{NO_LATENT} add drawings up; ",
    "reconstruct nothing plain.npz": "is not a folder; expected one that `mixtura train` left",
    "reconstruct robojam plain.npz": "is a run of the system 'robojam'; expected one of sketch or kanji",
    "reconstruct imported none.npz": "none.npz does not exist",
    "reconstruct imported broken.npz": "broken.npz",
    "reconstruct imported nan.npz": "nan.npz: sequence 1, step 0, dimension 0 is nan; expected a finite",
    "reconstruct imported plain.npz --pick 7": "plain.npz has 6 drawings; there is no drawing 7.",
    "reconstruct imported plain.npz --pick 0": "there is no drawing 0.",
    "reconstruct imported plain.npz --pick one": "--pick takes numbers of drawings such as 3,17; received 'o",
    "reconstruct imported plain.npz --count 0": "--count",
    "reconstruct imported plain.npz --temperature -1": "temperature must be between 0 and 100; received -1",
    "reconstruct imported plain.npz --category sun": "plain.npz nor the run knows categories; received 'sun'",
    "reconstruct imported known.npz --category moon": "has no drawing of the category 'moon'",
    "reconstruct classes plain.npz": "does not say of which category a drawing is; the model has 2: give",
    "reconstruct classes known.npz --category moon": "there is no category 'moon' among the 2",
    "reconstruct classes known.npz --pick 6": "known.npz: drawing 6 has 12 points; expected at most 10",
    "interpolate imported plain.npz --pick 1,2,3": "pick two, or four for a grid; received 3",
    "interpolate imported one.npz": "one.npz has 1 drawing; expected two at least",
    "complete kanji plain.npz --pick 1,2": "One drawing at a time is completed; received 2",
    "complete kanji plain.npz --pick 6": "drawing 6 has 12 points; expected at most 9",
    "complete kanji plain.npz --count 3 --candidates 2": "There must be 3 candidates at least",
    "temperatures kanji --category sun": "kanji knows no categories; received 'sun'",
    "temperatures kanji --values 1,x": "--values takes temperatures such as 0.3,1; received '1,x'",
    "temperatures kanji --values 1,nan": "temperature must be between 0 and 100; received nan",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_sentence_and_leave_nothing(main, folder, tmp_path, monkeypatch, words):
    monkeypatch.chdir(folder)
    (folder / "broken.npz").write_bytes(b"PK no archive")
    dot = np.array([[1.0, 1.0, 1.0]])
    for name, drawings in (("one.npz", [dot]), ("nan.npz", [dot, [[np.nan, 1.0, 1.0]]])):
        data = Sequences.of(drawings)
        np.savez(folder / name, data=data.data, offsets=data.offsets)
    out = tmp_path / "a.svg"
    code, printed, err = main("sketch", *words.split(), "--out", out)
    assert (code, printed) == (2, "")
    assert MISTAKES[words] in err
    assert err.startswith("mixtura: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_outputs_that_cannot_be_written(main, folder, tmp_path):
    arguments = ("sketch", "temperatures", folder / "kanji", "--count", 1, "--values", 1, "--out")
    for name, message in (("a.png", "ends in '.png'; a sheet is written to .svg."), ("a", "ends in ''")):
        code, _, err = main(*arguments, tmp_path / name)
        assert code == 2
        assert message in err
    out = tmp_path / "a.svg"
    out.write_text("mine")
    code, _, err = main(*arguments, out)
    assert (code, err) == (2, f"mixtura: {out} exists; name another output or give --overwrite.\n")
    assert out.read_text() == "mine"
    assert main(*arguments, out, "--overwrite")[0] == 0
    code, _, err = main("sketch", "complete", folder / "kanji", out, "--out", out, "--overwrite")
    assert (code, err) == (2, f"mixtura: {out} is what is read; name another output.\n")
