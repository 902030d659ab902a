import numpy as np
import pytest
from keras import ops

from mixtura.data.cleaning import body
from mixtura.data.strokes import from_polylines
from mixtura.errors import InputError
from mixtura.sampling import Sampler
from mixtura.systems.handwriting import writing
from mixtura.systems.handwriting.writing import (
    Followed,
    Long,
    gone_on,
    straight,
    words_of,
    write_lines,
    write_long,
)

POINTS, ADVANCE = 8, 0.1  # of the clockwork: points of a letter, and how far it is from one to the next
LETTER = POINTS * ADVANCE
TEXT = "abcd abc bcdefg ab ab abc defgh ab. cab dab. abc bcdefg ab ab abc defgh ab"


def test_lines_keep_the_texts_breaks_and_its_words(model, facts):
    found = write_lines(model, facts, "abc def\n\n  abcd   abc\n", seed=0)
    assert found.texts == ["abc def", "", "abcd abc"]
    assert [line is None for line in found.lines] == [False, True, False]
    assert found.troubles == []


def test_a_letter_takes_as_many_points_as_the_window_says(model, facts):
    """The window is nearest to letter u from u - 1/2 to u + 1/2, in whatever parts the text is written."""
    found = write_long(model, facts, TEXT, seed=0)
    assert len(TEXT) > writing.PART
    assert len(found.drawing) == len(found.letters) == len(TEXT) * POINTS + POINTS // 2 + 2
    expected = (np.arange(len(found.letters)) - POINTS / 2) / POINTS
    assert np.abs(found.letters - expected)[POINTS:].max() <= 1
    assert found.troubles == []


def test_words_go_on_the_next_line_where_the_page_ends(model, facts):
    found = write_lines(model, facts, TEXT, width=12 * LETTER, seed=0)
    assert " ".join(found.texts) == TEXT
    assert len(found.texts) > 5
    widths = [np.ptp(np.cumsum(line[:, 0])) for line in found.lines]
    assert max(widths) <= 12 * LETTER
    assert min(widths[:-1]) > 4 * LETTER
    assert all(line[-1, 2] == 1 for line in found.lines)
    narrow = write_lines(model, facts, TEXT, width=0.1, seed=0)
    assert narrow.texts == TEXT.split()  # a word that is too long has a line of its own
    whole = write_long(model, facts, TEXT, seed=0).drawing
    assert sum(map(len, narrow.lines)) == len(whole)


def test_lines_begin_at_the_left_on_the_baseline(model, facts):
    for line in write_lines(model, facts, "abc def abc\ngh", seed=0).lines:
        assert np.cumsum(line[:, 0]).min() == pytest.approx(0, abs=1e-9)
        assert body(line)[0] == pytest.approx(0, abs=1e-9)


def test_a_long_line_is_turned_and_a_short_one_is_not():
    x = np.arange(60.0)
    heights = np.where(np.arange(60) % 2, 0.0, -5.0)
    rising = np.column_stack([x, heights - 0.05 * x])
    line = np.column_stack([np.diff(rising, axis=0, prepend=0), x == 59])
    for text, slope in (("a" * writing.TURNED, 0.0), ("a", -0.05)):
        places = np.cumsum(straight(line, text)[:, :2], axis=0)
        assert np.polyfit(*places[1::2].T, 1)[0] == pytest.approx(slope, abs=2e-3)


def letter(x, width=1.0):
    return np.array([[x, 0.0], [x + width, 1.0]])


def test_words_are_cut_where_gaps_are_wide():
    """Two words: an i whose dot comes late, t, and its late bar; then a, and a full stop."""
    strokes = [letter(0), letter(1.2), [[0.5, -1.0]], letter(0.9, 1.5), letter(4), [[5.2, 1.0]]]
    drawing = from_polylines(strokes)
    for at in ([0, 1, 1, 3, 3, 4], [0, 1, 2, 2, 3, 4]):  # the window is early, or late
        letters = np.repeat(at, [len(stroke) for stroke in strokes])
        first, second = words_of(Long(drawing, letters, []), ["it", "a."], 0.25)
        assert (len(first), len(second)) == (4, 2)


def test_each_word_has_a_stroke_and_words_come_in_their_order():
    """Within the third word is a gap wider than all between words, which a far window does not choose."""
    xs = [0, 1.5, 3, 6, 7.1]
    drawing = from_polylines([letter(x) for x in xs])
    letters = np.repeat([0, 2, 4, 5, 6], 2)
    cut = words_of(Long(drawing, letters, []), ["a", "b", "cde"], 2.0)
    assert [len(word) for word in cut] == [1, 1, 3]
    cut = words_of(Long(drawing, letters, []), list("abcde"), 2.0)
    assert [len(word) for word in cut] == [1] * 5
    assert [len(word) for word in words_of(Long(drawing, letters, []), list("abcdef"), 2.0)] == [5] + [0] * 5


def test_the_same_seed_writes_the_same(model, facts):
    first, second, other = (write_long(model, facts, "abc", seed=seed).drawing for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_going_on_is_one_long_sequence(model):
    """After two letters are gone from the text, the network draws what it would with the whole text."""
    rule = Followed(8 * POINTS)
    settings = {"sampler": Sampler.graves(0.0), "seed": 3, "stop": rule}
    whole = model.context(["abcdefgh abc"], length=64)
    begun = model.generate(
        8 * POINTS, context=whole, after=gone_on(model, None, whole, 0, rule, 4), **settings
    )
    assert begun.ended[0]
    assert begun.lengths[0] == pytest.approx(3.5 * POINTS, abs=1)  # where the fourth letter is nearest
    rest = model.context(["cdefgh abc"], length=64)
    one, other = (
        model.generate(
            8 * POINTS,
            context=context,
            after=gone_on(model, begun, context, gone, rule, 9 - gone),
            **settings,
        )
        for context, gone in ((whole, 0), (rest, 2))
    )
    np.testing.assert_allclose(one.events, other.events, atol=1e-5)
    assert one.lengths[0] == pytest.approx(5 * POINTS, abs=1)
    places = [ops.convert_to_numpy(found.state[-2])[0, 2] for found in (one, other)]
    assert places[0] - places[1] == pytest.approx(2, abs=1e-4)
    tracks = [ops.convert_to_numpy(found.carry.memory[1])[0, : one.lengths[0]] for found in (one, other)]
    np.testing.assert_array_equal(tracks[0] - tracks[1], 2)


def test_letters_that_were_left_out_are_named_after_some_tries(make_clockwork, facts, monkeypatch):
    tries = []
    write = writing._Pen.write
    monkeypatch.setattr(writing._Pen, "write", lambda *given: tries.append(1) or write(*given))
    found = write_lines(make_clockwork(pace=1.9), facts, "abc defgh", seed=0)
    assert len(tries) == writing.TRIES
    assert len(found.troubles) == 1
    assert found.troubles[0].startswith("'abc defgh' seems to lack ")


def test_a_hand_is_taken_up(model, facts):
    """What is primed is not in the line, and the window begins behind its text, however long that took."""
    for points in (20, 40):
        line = np.column_stack([np.full(points, 0.1), np.zeros(points), np.arange(points) % 5 == 4])
        found = write_long(model, facts, "abc", primed=(line, "ab"), seed=0)
        assert len(found.drawing) == len(found.letters) == pytest.approx(3.5 * POINTS, abs=POINTS / 2)
        assert found.letters[0] == -1
        assert found.letters[-1] in (2, 3)


def test_a_line_that_was_followed_is_like_one_that_was_drawn(model):
    """But for the window, the state is that of `generate` after a prompt."""
    line = np.column_stack([np.full(21, 0.1), np.zeros(21), np.arange(21) == 20])
    context = model.context(["ab"])
    found = writing.followed(model, line, "ab")
    drawn = model.generate(1, prompt=model.events(line), context=context, seed=0)
    assert [np.shape(one) for one in found.state] == [np.shape(one) for one in drawn.state]
    places = [ops.convert_to_numpy(one.state[-2])[0, 2] for one in (found, drawn)]
    assert places[0] == pytest.approx(20 / POINTS + 1)  # it was at b, the second letter, and is put behind
    assert places[1] == pytest.approx(21 / POINTS)


def test_what_cannot_be_written(model, facts):
    with pytest.raises(InputError, match="the alphabet has no 'Z', 'é' \\(nearest: 'e'\\)"):
        write_lines(model, facts, "Zé\nab")
    with pytest.raises(InputError, match="empty"):
        write_lines(model, facts, " \n ")
    with pytest.raises(ValueError, match="styles must not be given"):
        write_lines(model, facts, "ab", style=1)
