import pytest

from mixtura.data.alphabets import GRAVES, Alphabet
from mixtura.errors import InputError


def test_codes_begin_at_one_and_padding_is_zero():
    alphabet = Alphabet("ab c")
    assert len(alphabet) == 4
    assert alphabet.encode("c a").tolist() == [4, 3, 1]
    assert alphabet.batch(["b", "cab"]).tolist() == [[2, 0, 0], [4, 1, 2]]
    assert alphabet.batch(["b"], 4).tolist() == [[2, 0, 0, 0]]
    assert alphabet.decode([4, 3, 1, 0, 0]) == "c a"


def test_the_alphabet_of_texts_is_sorted():
    assert Alphabet.of(["ba", "cab !"]).symbols == " !abc"


def test_a_longer_text_than_the_row_is_refused():
    with pytest.raises(ValueError, match="at most 2 characters; received 3"):
        Alphabet("a").batch(["aaa"], 2)


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        *zip(
            "éÉñBz’–[ßØﬁ²漢\n",
            ("e", "E", "n", "b", "Z", "'", "-", "(", "ss", "O", "fi", "", "", " "),
            strict=True,
        )
    ],
)
def test_the_nearest_symbols(character, expected):
    assert Alphabet("abefinosEOZ'-( ").substitute(character) == expected


def test_unknown_characters_are_named_once_with_what_is_near():
    alphabet = Alphabet("abcde ")
    assert alphabet.unknown("é€ é") == {"é": "e", "€": ""}
    with pytest.raises(InputError, match=r"^the alphabet has no 'é' \(nearest: 'e'\), '€'; it has 'abcde '$"):
        alphabet.check("é€ é")
    assert alphabet.substituted("décAdÉ€") == "decade€"


@pytest.mark.parametrize("text", ["", "  "])
def test_nothing_to_write_is_refused(text):
    with pytest.raises(InputError, match="the text is empty"):
        Alphabet("ab ").encode(text)


def test_graves_alphabet_has_one_symbol_for_the_rest():
    assert len(GRAVES) == 57
    assert GRAVES.unknown("1?é") == {}
    assert GRAVES.encode("aZ7?").tolist() == [1, 52, 57, 57]


def test_more_symbols_come_behind():
    more = Alphabet("ba").extended(["abc", "á"])
    assert more == Alphabet("bacá")
    assert Alphabet("ba", other=True).extended(["ab"]) == Alphabet("ba", other=True)


@pytest.mark.parametrize("symbols", ["", "aba"])
def test_symbols_must_differ(symbols):
    with pytest.raises(ValueError, match="different characters"):
        Alphabet(symbols)
