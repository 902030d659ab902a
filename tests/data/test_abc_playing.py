import pytest

from mixtura.data.abc_playing import abc_melody
from mixtura.data.abc_tunes import abc_symbols


def played(music):
    symbols = abc_melody(abc_symbols(music))
    return list(zip(symbols[::2], map(int, symbols[1::2]), strict=True))


@pytest.mark.parametrize(
    ("music", "pitches"),
    [
        ("K:C\nC,CDEFGABcc'", [48, 60, 62, 64, 65, 67, 69, 71, 72, 84]),
        ("K:D\nFCG", [66, 61, 67]),
        ("K:Bbmaj\nBEA", [70, 63, 69]),
        ("K:A minor\nFCG", [65, 60, 67]),
        ("K:Em\nFCG", [66, 60, 67]),
        ("K:Ddor\nBF", [71, 65]),
        ("K:Amix\nFCG", [66, 61, 67]),
        ("K:F#\nE", [65]),  # six sharps
        ("K:C\n^FF=F|F", [66, 66, 65, 65]),
        ("K:C\n^Ff|__B^^c", [66, 78, 69, 74]),  # an accidental is for all octaves
        ("K:C\nF[K:G]F\nK:C\nF", [65, 66, 65]),
        ('K:C\n{gf}C[EGc]~D!trill!E"Am"F', [60, 64, 62, 64, 65]),
    ],
)
def test_pitches(music, pitches):
    assert [pitch for pitch, _ in played(music)] == [f"n{pitch}" for pitch in pitches]


@pytest.mark.parametrize(
    ("music", "lengths"),
    [
        ("L:1/8\nK:C\nC2D/E//F3/2G3/2A/4", [12, 3, 2, 9, 9, 1]),  # twelfths of a quarter note, onsets rounded
        ("M:6/8\nK:C\nC", [6]),
        ("M:2/4\nK:C\nC", [3]),
        ("L:1/4\nM:2/4\nK:C\nC", [12]),
        ("L:1/8\nK:C\n(3CDEF", [4, 4, 4, 6]),
        ("L:1/4\nK:C\nC>DE<F", [18, 6, 6, 18]),
        ("L:1/4\nK:C\nC-|CD", [24, 12]),
        ("L:1/4\nK:C\nC-D[EG]2F", [12, 12, 24, 12]),
        ("L:1/1\nK:C\nC9", [192]),  # nothing is longer than four whole notes
    ],
)
def test_lengths(music, lengths):
    assert [length for _, length in played(music)] == lengths


def test_rests():
    assert played("L:1/4\nK:C\nCz2D") == [("n60", 12), ("r", 24), ("n62", 12)]
    assert played("L:1/4\nK:C\nz|zDz3z4z") == [("r", 24), ("n62", 12), ("r", 96)]


def test_what_makes_no_sense_is_no_error():
    assert played("2-<K:Q\nL:1/0\nM:x\n}]C/0(0") == [("n60", 6)]
