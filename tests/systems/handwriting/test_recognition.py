from functools import cache

import numpy as np
import pytest

from mixtura.data.alphabets import Alphabet
from mixtura.data.sequences import Sequences
from mixtura.data.strokes import polylines
from mixtura.errors import InputError
from mixtura.systems.handwriting.recognition import (
    FEATURES,
    ReadingLoss,
    Recogniser,
    changed,
    character_error_rate,
    decoded,
    distance,
    evened,
    frames,
    legibility,
    missed,
    rates,
    size,
    train_recogniser,
    word_error_rate,
)

LETTERS = {  # in a box of height 1, y downwards
    "l": [[(0.1, 0), (0.1, 1)]],
    "o": [[(0.3 + 0.3 * np.sin(a), 0.7 + 0.3 * np.cos(a)) for a in np.linspace(0, 6.28, 9)]],
    "x": [[(0, 0.4), (0.5, 1)], [(0.5, 0.4), (0, 1)]],
}
slow = pytest.mark.slow  # recurrent networks take seconds to compile
THIN = {"units": 24, "layers": 1, "dropout": 0.0}


def drawing(*lines):
    """Return lines as moves of a pen that starts at the origin."""
    places = np.concatenate(lines).astype(float)
    ends = np.concatenate([np.arange(len(line)) == len(line) - 1 for line in lines])
    return np.column_stack([np.diff(places, axis=0, prepend=0), ends])


def line(text, rng, unit=40.0):
    strokes, x = [], 0.0
    for letter in text:
        strokes += [
            unit * (np.array(stroke) + np.array([x, 0]) + rng.normal(0, 0.04, (len(stroke), 2)))
            for stroke in LETTERS[letter]
        ]
        x += 0.8 + rng.uniform(-0.1, 0.1)
    return drawing(*strokes)


@cache
def lines(count, seed):
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(list(LETTERS), rng.integers(2, 6))) for _ in range(count)]
    return Sequences.of([line(text, rng) for text in texts], text=texts)


@pytest.fixture(scope="module")
def recogniser():
    return train_recogniser(lines(256, 1), epochs=12, **THIN)


# ---------------------------------------------------------------------- errors


def test_distances_are_levenshteins():
    @cache
    def plain(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(plain(a[1:], b) + 1, plain(a, b[1:]) + 1, plain(a[1:], b[1:]) + (a[0] != b[0]))

    rng = np.random.default_rng(0)
    for _ in range(60):
        a, b = ("".join(rng.choice(list("abc"), rng.integers(0, 8))) for _ in range(2))
        assert distance(a, b) == plain(a, b)
    assert distance("intention", "execution") == 5
    assert distance(["a", "cat"], ["cat"]) == 1


def test_rates_are_sums_over_sums():
    read, texts = ["the cot", "", "oh no"], ["the cat", "ab", "oh"]
    assert character_error_rate(read, texts) == (1 + 2 + 3) / 11
    assert word_error_rate(read, texts) == (1 + 1 + 1) / 4
    found = rates(read, texts)
    # The delta method: residuals d - R c with R the ratio of sums.
    residuals = np.array([1, 2, 3]) - 6 / 11 * np.array([7, 2, 2])
    assert found["cer_error"] == pytest.approx(np.sqrt((residuals**2).sum() / 2 * 3) / 11)
    assert found["lines"] == 3
    assert np.isnan(rates(["a"], ["a"])["cer_error"])
    assert character_error_rate(["aaaa"], ["b"]) == 4


def test_a_standard_error_is_that_of_fresh_lines():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 6, (300, 20))
    wrong = rng.binomial(lengths, 0.2)
    each = [
        rates(["b" * w + "a" * (n - w) for w, n in zip(*row, strict=True)], ["a" * n for n in row[1]])
        for row in zip(wrong, lengths, strict=True)
    ]
    assert np.mean([one["cer_error"] for one in each]) == pytest.approx(
        np.std([one["cer"] for one in each]), rel=0.15
    )


def test_letters_that_are_missed_come_first():
    found = missed(["lille", "nol", "xno"], ["title", "not", "no"])
    assert found["t"] == (3, 3, "l")
    assert found["i"] == (1, 0, "")
    assert next(iter(found)) == "t"
    assert missed(["hi"], ["hid"])["d"] == (1, 1, "")
    assert sum(wrong for _, wrong, _ in found.values()) == 3  # what is read too much is nobody's


def test_decoding_drops_repeats_then_blanks():
    alphabet = Alphabet("abc")
    for codes, text in (
        ([0, 1, 1, 0, 1, 2, 2, 0], "aab"),
        ([3, 3, 3], "c"),
        ([0, 0], ""),
        ([], ""),
        ([1, 2, 1], "aba"),
    ):
        assert decoded(np.array(codes), alphabet) == text


# ---------------------------------------------------------------------- what is seen


def test_a_line_is_seen_whatever_its_size_place_and_points():
    some = line("xol", np.random.default_rng(0))
    bigger = some * [7.0, 7.0, 1]
    bigger[0, :2] += 50, -20
    middles = [(one[:-1] + one[1:]) / 2 for one in polylines(some)]
    finer = [
        np.insert(one, range(1, len(one)), more, 0)
        for one, more in zip(polylines(some), middles, strict=True)
    ]
    one = frames(evened(some, size(some)))
    assert one.shape == (-(-len(evened(some, size(some))) // 4), FEATURES)
    for seen in (bigger, drawing(*finer)):
        np.testing.assert_allclose(frames(evened(seen, size(seen))), one, atol=1e-4)


def test_the_size_leaves_a_slope_out():
    x = np.linspace(0, 60, 500)
    level = np.column_stack([x, (-1.0) ** np.arange(500)])
    steep = level + np.column_stack([0 * x, 0.3 * x])
    assert size(drawing(level)) == pytest.approx(np.sqrt(1 / 3), rel=0.01)
    assert size(drawing(steep)) == pytest.approx(np.sqrt(1 / 3), rel=0.01)
    assert size(drawing(level[:1])) == 0
    assert len(evened(drawing(level[:1]), 10.0)) == 1
    assert len(evened(drawing(np.array([[0, 0], [30.0, 0]])), 10.0)) == 19  # no longer than thrice its usual


def test_frames_hold_what_they_say():
    stroke = drawing([[0, 0], [0.5, 0], [1, 0]], [[0.5, 1]])
    seen = frames(stroke).reshape(1, 8, 9)[0]
    assert not seen[:2].any()
    assert not seen[6:].any()
    mean = 0.25
    np.testing.assert_allclose(
        seen[2:6],
        [
            [0, 0, 0, 0, 1, 0, -mean, 0, 1],
            [0.5, 0, 1, 0, 0, 0, -mean, 0, 1],
            [0.5, 0, 1, 0, 0, 1, -mean, 0, 1],
            [-0.5, 1, 0, 0, 1, 1, 0.75, -0.5, 1],
        ],
        atol=1e-6,
    )


def test_changes_keep_strokes():
    one = evened(line("xol", np.random.default_rng(0)), 10.0)
    other = changed(one, np.random.default_rng(1))
    np.testing.assert_array_equal(other[:, 2], one[:, 2])
    assert 0.01 < np.abs(other[:, :2] - one[:, :2]).mean() < 0.5


# ---------------------------------------------------------------------- the network


def test_the_loss_sums_over_all_spellings(compiled):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 5, 3))
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    alphabet = Alphabet("ab")
    targets = [("aa", 5), ("b", 3)]
    expected = []
    for row, (text, steps) in enumerate(targets):
        paths = np.stack(np.meshgrid(*[np.arange(3)] * steps), axis=-1).reshape(-1, steps)
        own = [path for path in paths if decoded(path, alphabet) == text]
        expected.append(-np.log(sum(np.exp(log_p[row, np.arange(steps), path].sum()) for path in own)))
    y = np.column_stack([[steps for _, steps in targets], alphabet.batch([text for text, _ in targets])])
    found = compiled(ReadingLoss().call, y, log_p)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@slow
def test_it_learns_to_read(recogniser):
    held_out = lines(60, 2)
    read = recogniser.read(held_out)
    assert character_error_rate(read, list(held_out.fields["text"])) < 0.05
    assert recogniser.left_out == ()
    assert recogniser.read([np.zeros((0, 3)), held_out[0]]) == ["", read[0]]
    assert recogniser.read(held_out[7:8]) == read[7:8]  # whoever is beside
    other = held_out.map(lambda one: one * [2.0, 2.0, 1])
    assert recogniser.read(other) == read


@slow
def test_it_is_what_was_saved(recogniser, tmp_path):
    recogniser.save(tmp_path / "reader.npz")
    again = Recogniser.load(tmp_path / "reader.npz")
    assert again.alphabet == recogniser.alphabet
    assert again.size == recogniser.size
    assert again.read(lines(60, 2)) == recogniser.read(lines(60, 2))
    (tmp_path / "other.npz").write_bytes(b"nothing")
    for name in ("other.npz", "none.npz"):
        with pytest.raises(InputError, match=f"{name} is no recogniser that was saved"):
            Recogniser.load(tmp_path / name)


@slow
def test_legibility_is_told_for_each_bias(recogniser):
    held_out, scrawl = lines(60, 2), lines(60, 2).map(lambda one: one * [1, -1, 1])
    texts = list(held_out.fields["text"])
    found = legibility(recogniser, {0.0: (scrawl, texts), 1.0: (list(held_out), texts)}, (held_out, texts))
    assert list(found) == ["real", 0.0, 1.0]
    assert found[1.0] == found["real"] == rates(recogniser.read(held_out), texts)
    assert found[0.0]["cer"] > found["real"]["cer"] + 0.1


@slow
def test_progress_is_told_and_the_seed_decides():
    def train(seed):
        told = []
        made = train_recogniser(
            lines(40, 3),
            lines(8, 4),
            epochs=2,
            seed=seed,
            progress=lambda *arguments: told.append(arguments),
            **THIN,
        )
        return made, told

    (one, told), (two, again), (_, other) = train(0), train(0), train(1)
    assert [epoch for epoch, _ in told] == [1, 2]
    assert told[1][1]["loss"] < told[0][1]["loss"]
    assert set(told[0][1]) == {"loss", "cer"}
    assert again == told
    assert other != told
    for a, b in zip(one.network.get_weights(), two.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@slow
def test_lines_that_cannot_be_learnt_are_left_out():
    some = lines(3, 5)
    texts = np.array(["lox" * 40, "lo!", some.fields["text"][2]])
    mixed = Sequences(some.data, some.offsets, {"text": texts})
    made = train_recogniser(mixed, alphabet=Alphabet("lox"), epochs=1, **THIN)
    long, unknown = made.left_out
    assert long.startswith("line 0: 'loxlox")
    assert "takes 120 steps to read; its ink is long enough for" in long
    assert unknown.startswith("line 1: the alphabet has no '!'")
    with pytest.raises(InputError, match="no line is left to learn to read from; line 0: the text is empty"):
        train_recogniser(
            Sequences(some.data, some.offsets, {"text": np.array([""] * 3)}), alphabet=Alphabet("a")
        )


@slow
def test_errors_say_what_was_expected(recogniser):
    some = lines(3, 5)
    with pytest.raises(ValueError, match="lines must have the field 'text'; they have"):
        train_recogniser(Sequences(some.data, some.offsets))
    with pytest.raises(InputError, match="the lines: there is no sequence; expected at least one"):
        train_recogniser(some[:0])
    with pytest.raises(ValueError, match="epochs must be a positive integer; received 0"):
        train_recogniser(some, epochs=0)
    with pytest.raises(InputError, match="there are no lines to read; expected one at least"):
        recogniser.read([])
    with pytest.raises(InputError, match="the lines: events have 2 dimensions; expected 3"):
        recogniser.read([np.zeros((4, 2))])
    with pytest.raises(ValueError, match="each line that was read must have a text; received 1 for 2"):
        character_error_rate(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="the texts are empty; expected one character at least"):
        word_error_rate([], [])
