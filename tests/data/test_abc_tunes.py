import pytest

from mixtura.data.abc_tunes import abc_symbols, read_abc, write_abc
from mixtura.errors import InputError

BOOK = """\
% a book of tunes
X:1
T:The First
C:Trad.
M: 6/8
L:1/8
K: Dmix   % with a comment
|:"D"d2f _ed^c'|{g}A,,3/2 B/ z2 (3abc|1 d6:|2 !trill!D6|]
w: la la la
[K:G] [ceg]2 a>b ~c | d-d

Words that belong to no tune.

X:2
K:C
CDEF|
M: 3/4
GAB|

X:3
T:no notes
K:C
"""


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.abc"
    path.write_text(BOOK)
    return path


def test_tunes_become_symbols(book):
    first, second = read_abc(book)
    assert first[:3] == ["M:6/8\n", "L:1/8\n", "K:Dmix\n"]
    assert " ".join(symbol for symbol in first[3:] if symbol.strip()) == (
        '|: "D" d 2 f _e d ^c\' | { g } A,, 3/2 B / z 2 (3 a b c |1 d 6 :|2 !trill! D 6 |] '
        "[K:G] [ c e g ] 2 a > b ~ c | d - d"
    )
    assert second == ["K:C\n", *"CDEF|", "\n", "M:3/4\n", *"GAB|"]


@pytest.mark.parametrize(
    "music", ["", "|]|]:|:::|::", "a/4b//c12/7__B^^c,,=F''", 'K:C\n"open\n![(9(3:2:2~\\']
)
def test_symbols_put_together_are_the_text(music):
    assert "".join(abc_symbols(music)) == music


def test_what_is_written_is_read_back(book, tmp_path):
    tunes = read_abc(book)
    write_abc(tmp_path / "again.abc", tunes)
    assert read_abc(tmp_path / "again.abc") == tunes
    assert (tmp_path / "again.abc").read_text().startswith("X:1\nT:1\nM:6/8\n")


def test_other_encodings_and_ends_of_lines(tmp_path):
    path = tmp_path / "old.abc"
    path.write_bytes("X:1\r\nT:Für\r\nK:C\r\nCD|\r\n".encode("latin-1"))
    assert read_abc(path) == [["K:C\n", *"CD|"]]


def test_a_file_without_tunes(tmp_path):
    path = tmp_path / "none.abc"
    path.write_text("Once upon a time\n")
    with pytest.raises(InputError, match=r"none.abc holds no tune; expected ABC notation, whose tunes begin"):
        read_abc(path)
