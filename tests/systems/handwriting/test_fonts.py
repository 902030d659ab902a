import sys

import numpy as np
import pytest

from mixtura.data.sequences import read_sequences
from mixtura.data.strokes import check, polylines
from mixtura.errors import InputError
from mixtura.systems.handwriting import fonts, glyphs

pytest.importorskip("HersheyFonts", reason="the corpus is made of the fonts of the extra `fonts`")


@pytest.fixture(scope="module")
def lines():
    return fonts.corpus(600, seed=0)  # more than are made at once


def written(text, style, times=20):
    return fonts.write([text] * times, [style] * times, np.random.default_rng(0))


def letters(text):
    return len(text.replace(" ", ""))


def test_the_same_seed_gives_the_same_lines():
    one, same, other = (fonts.corpus(5, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.data, same.data)
    assert one.fields["text"].tolist() == same.fields["text"].tolist() != other.fields["text"].tolist()


def test_lines_are_drawings_of_their_texts(lines):
    assert len(lines) == len(lines.fields["text"]) == 600
    assert lines.facts["styles"].tolist() == list(glyphs.STYLES)
    assert set(lines.fields["style"].tolist()) == set(range(len(glyphs.STYLES)))
    for number, drawing in enumerate(lines):
        check(drawing, f"line {number}")
        assert drawing[-1, 2] == 1


def test_points_and_strokes_are_as_many_as_letters_take(lines):
    for drawing, text in zip(lines, lines.fields["text"], strict=True):
        assert 4 < len(drawing) / letters(text) < 26, text
        assert drawing[:, 2].sum() <= 4 * letters(text), text
    total = sum(letters(text) for text in lines.fields["text"])
    assert 10 < len(lines.data) / total < 14


def test_writing_goes_from_left_to_right(lines):
    for drawing, text in zip(lines, lines.fields["text"], strict=True):
        x = np.cumsum(drawing[:, 0], dtype=float)
        assert 0.3 * len(text) < np.ptp(x) < 3 * len(text), text
        assert x.min() > -2, text
        assert np.corrcoef(np.arange(len(x)), x)[0, 1] > 0.9, text


@pytest.mark.parametrize("style", glyphs.STYLES)
def test_an_x_height_is_one(style):
    heights, feet = [], []
    for drawing in written("omen", style):
        y = np.cumsum(drawing[:, 1], dtype=float)
        heights.append(np.ptp(y))
        feet.append(y.max())
    assert np.mean(heights) == pytest.approx(1.1, abs=0.15)  # of the highest and the lowest letter of four
    assert np.mean(feet) == pytest.approx(0.05, abs=0.1)


@pytest.mark.parametrize(
    ("text", "style", "strokes"),
    [
        ("oslec", "print", [5]),
        ("ill", "print", [4]),  # a stem, a dot, two stems
        ("moon", "cursive", [1]),
        ("minimum", "cursive", [5]),  # each dot interrupts the word, which goes on where it was left
        ("at xx", "round", [6]),  # the pen returns to an x for the next letter, not after a word
        ("Emma", "cursive", [1]),
        ("Emma", "round", [3]),  # printed capitals stand alone
        ("moon 12", "cursive", [3]),
        ("HOT", "cursive", [6]),  # capitals among themselves are printed
        ("hand", "joined", [1, 2, 3, 4]),
        ("hand", "italic", [4]),
        ("Tt", "capitals", [4]),
    ],
)
def test_letters_are_joined_where_the_style_joins_them(text, style, strokes):
    found = {int(drawing[:, 2].sum()) for drawing in written(text, style)}
    assert found <= set(strokes)
    assert len(found) > 1 or len(strokes) == 1


def test_no_line_is_like_another():
    drawings = list(written("moon", "cursive", 8))
    ends = [np.cumsum(drawing[:, :2], axis=0)[-1] for drawing in drawings]
    assert np.std(ends, axis=0).min() > 0.02
    # nor is a letter within one
    widths = [[np.ptp(line[:, 0]) for line in polylines(drawing)] for drawing in written("o o", "print")]
    assert np.std(np.diff(widths)) > 0.02


def test_the_hand_is_slower_in_curves():
    # Steps at equal times are as long as the speed: long in a slash, short around an o.
    straight, round_ = (
        np.median(np.hypot(*np.concatenate([drawing[1:-1] for drawing in written(text, "print")])[:, :2].T))
        for text in ("/", "o")
    )
    assert straight > 1.2 * round_
    steps = np.hypot(*written("o", "print").data[:, :2].T)
    assert np.std(steps) / np.mean(steps) > 0.15  # no constant length


def test_no_letter_loses_its_tip():
    tall = [
        np.divide(*(np.ptp(stroke[:, 1]) for stroke in polylines(drawing)))
        for drawing in written("da", "print", 200)
    ]
    assert np.quantile(tall, 0.02) > 1.2  # a d without its stem is an a


def test_slant_leans_to_the_right():
    def slant(style):  # of the stem of a T, downwards
        stems = [polylines(drawing)[-1] for drawing in written("T", style)]
        return np.mean([-(stem[-1] - stem[0])[0] / (stem[-1] - stem[0])[1] for stem in stems])

    for style in ("print", "italic", "joined"):
        assert slant(style) == pytest.approx(glyphs.STYLES[style].slant, abs=0.05)


def test_every_symbol_is_drawn_in_every_style_and_differs_from_the_others():
    shapes = glyphs.glyphs()
    for row, style in enumerate(glyphs.STYLES):
        seen = {}
        for column, symbol in enumerate(glyphs.SYMBOLS):
            number = glyphs.way(row, column, 0, 0)
            vertices = shapes.vertices[shapes.offsets[number] : shapes.offsets[number + 1]]
            assert (len(vertices) > 1) == (symbol != " "), (style, symbol)
            assert shapes.advance[row, column] > 0
            key = vertices.round(3).tobytes()
            assert key not in seen, (style, symbol, seen[key])
            seen[key] = symbol
            if len(vertices):
                assert shapes.starts[shapes.offsets[number]]
                assert vertices[:, 1].min() > -2.2
                assert vertices[:, 1].max() < 1.5


def test_some_styles_alone():
    lines = fonts.corpus(20, seed=0, styles=["round", "print"])
    assert lines.facts["styles"].tolist() == ["round", "print"]
    assert set(lines.fields["style"].tolist()) == {0, 1}


def test_what_is_wrong_is_said(monkeypatch, tmp_path, capsys):
    with pytest.raises(InputError, match=r"there is no style 'gothic'; the styles are cursive, round, print"):
        fonts.corpus(3, seed=0, styles=["gothic"])
    with pytest.raises(ValueError, match="count must be positive; received 0"):
        fonts.corpus(0, seed=0)
    with pytest.raises(SystemExit):
        fonts.main([str(tmp_path / "lines.npz"), "--count", "0"])
    assert "count must be positive" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "HersheyFonts", None)
    glyphs.glyphs.cache_clear()
    with pytest.raises(InputError, match=r"pip install 'mixtura\[fonts\]'"):
        fonts.corpus(3, seed=0)


def test_a_file_of_lines(tmp_path):
    fonts.main([str(tmp_path / "lines.npz"), "--count", "7", "--seed", "2"])
    read, made = read_sequences(tmp_path / "lines.npz"), fonts.corpus(7, seed=2)
    np.testing.assert_array_equal(read.data, made.data)
    assert read.fields["text"].tolist() == made.fields["text"].tolist()
    assert read.facts["styles"].tolist() == list(glyphs.STYLES)
