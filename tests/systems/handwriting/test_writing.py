from dataclasses import replace

import numpy as np
import pytest
from keras import ops

from mixtura.data.cleaning import body
from mixtura.errors import InputError
from mixtura.sampling import Sampler
from mixtura.systems.handwriting import writing
from mixtura.systems.handwriting.writing import Attended, Pen, gone_on, straight, write_lines

POINTS, ADVANCE = 8, 0.1  # of the clockwork: points of a letter, and how far it is from one to the next
LETTER = POINTS * ADVANCE


def test_lines_keep_the_texts_breaks_and_its_words(model, facts):
    found = write_lines(model, facts, "abc def\n\n  abcd   abc\n", seed=0)
    assert found.texts == ["abc def", "", "abcd abc"]
    assert [line is None for line in found.lines] == [False, True, False]
    assert found.troubles == []


def test_a_letter_takes_as_many_points_as_the_window_says(model, facts):
    """The first line has the window's way from 0 to U + 1/2, the next that from there, a space included."""
    found = write_lines(model, facts, "abc def\nabcd abc\nh", seed=0)
    assert [len(line) for line in found.lines] == [
        7 * POINTS + POINTS // 2 + 2,
        9 * POINTS,
        2 * POINTS,
    ]


def test_words_go_on_the_next_line_where_the_page_ends(model, facts):
    text = "abcd abc bcdefg ab ab abc defgh ab"
    found = write_lines(model, facts, text, width=12 * LETTER, seed=0)
    assert " ".join(found.texts) == text
    assert len(found.texts) > 2
    for line, own in zip(found.lines, found.texts, strict=True):
        assert np.ptp(np.cumsum(line[:, 0])) <= writing.SQUEEZED * 12 * LETTER
        assert line[-1, 2] == 1
        assert len(own) > 5  # a line is filled


def test_a_long_word_has_a_line_of_its_own(model, facts):
    found = write_lines(model, facts, "ab abcdefghabcdefgh cd", width=6 * LETTER, seed=0)
    assert found.texts == ["ab", "abcdefghabcdefgh", "cd"]


def test_lines_that_come_out_too_wide_are_written_again(model, facts):
    narrow = {**facts, "mean": [0.3 * ADVANCE, 0.0]}  # what the width of letters is thought to be
    found = write_lines(model, narrow, "abcd abc bcdefg ab", width=12 * LETTER, seed=0)
    assert found.texts == ["abcd abc", "bcdefg ab"]


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


def test_the_same_seed_writes_the_same(model, facts):
    first, second, other = (write_lines(model, facts, "abc def\nabc", seed=seed).lines for seed in (1, 1, 2))
    for one, same, another in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, another)


def test_going_on_is_one_long_sequence(model, facts):
    """A text in two parts has the state of the whole: only the text it sees is shorter."""
    steps, rule = 4 * POINTS, Attended(64, 1000)
    settings = {"sampler": Sampler.graves(0.0), "seed": 3, "stop": rule}
    whole = model.context(["abcdefgh abc"], length=64)
    begun = model.generate(steps, context=whole, **settings)
    expected = model.generate(2 * POINTS, context=whole, after=begun, **settings)
    rest = model.context(["cdefgh abc"], length=64)
    moved = gone_on(model, begun, rest, 2, rule)
    found = model.generate(2 * POINTS, context=rest, after=moved, **settings)
    # Only the end of a stroke that it is told of may differ: it is set.
    carry = moved.carry._replace(event=begun.carry.event)
    same = model.generate(2 * POINTS, context=rest, after=replace(moved, carry=carry), **settings)
    np.testing.assert_allclose(same.events, expected.events, atol=1e-5)
    assert found.events.shape == expected.events.shape
    assert ops.convert_to_numpy(moved.carry.event)[0, 2] == 1
    places = [ops.convert_to_numpy(one.state[-2])[0, 2] for one in (expected, same)]
    assert places[0] - places[1] == pytest.approx(2, abs=1e-4)


def test_windows_are_counted(model):
    """The clockwork's window is nearest to letter u from (u - 1/2) to (u + 1/2) letters' points."""
    rule = Attended(6, 1000)
    found = model.generate(4 * POINTS, context=model.context(["abcde"], length=8), stop=rule, seed=0)
    counts = ops.convert_to_numpy(found.carry.memory)[0]
    half = POINTS // 2
    np.testing.assert_allclose(counts, [POINTS + half - 1, POINTS, POINTS, half + 1, 0, 0], atol=1)
    assert counts.sum() == 4 * POINTS


def test_what_stays_at_a_letter_is_ended(model):
    found = model.generate(50, context=model.context(["abcde"]), stop=Attended(6, POINTS + 1), seed=0)
    assert found.lengths[0] < 2 * POINTS


def test_what_goes_wrong_is_tried_again_and_then_said(model, facts, monkeypatch):
    """With far too many points a letter expected, and with letters that the window runs over."""
    tries = []
    write = Pen._written
    monkeypatch.setattr(Pen, "_written", lambda self, *given: tries.append(given) or write(self, *given))
    found = write_lines(model, {**facts, "points_per_letter": 10 * POINTS}, "abc defgh", seed=0)
    assert len(tries) == writing.TRIES
    assert len({seed for _, seed in tries}) == writing.TRIES
    assert found.troubles == [
        "line 1, 'abc defgh', has 0.1 times the usual points of a letter, as often as it was tried (4 times)."
    ]


def test_letters_that_were_left_out_are_named(make_clockwork, facts):
    hasty = make_clockwork(pace=1.9)
    found = write_lines(hasty, {**facts, "points_per_letter": 0.5}, "abcdefgh", seed=0)
    assert len(found.troubles) == 1
    assert "seems to lack" in found.troubles[0]


def test_a_hand_is_taken_up(model, facts):
    """What is primed is not in the line, and the window goes on behind its text."""
    line = np.column_stack([np.full(20, 0.1), np.zeros(20), np.arange(20) % 5 == 4]).astype(float)
    found = write_lines(model, facts, "abc", primed=(line, "ab"), seed=0)
    way = 6 + 0.5 - 19 / POINTS  # from where the window is after 19 events to behind "ab abc"
    assert len(found.lines[0]) == pytest.approx(way * POINTS, abs=1)


def test_what_cannot_be_written(model, facts):
    with pytest.raises(InputError, match="the alphabet has no 'Z', 'é' \\(nearest: 'e'\\)"):
        write_lines(model, facts, "Zé\nab")
    with pytest.raises(InputError, match="empty"):
        write_lines(model, facts, " \n ")
    with pytest.raises(ValueError, match="styles must not be given"):
        write_lines(model, facts, "ab", style=1)
