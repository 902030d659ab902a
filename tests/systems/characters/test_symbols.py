import mido
import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.characters.symbols import (
    END,
    KINDS,
    UNKNOWN,
    alphabet,
    blocks,
    decode,
    encode,
    encode_all,
    read_symbols,
)

TUNE = "X:1\nK:C\nCD|\n"


def test_a_text_is_cut_into_contiguous_blocks_of_whole_lines(tmp_path):
    text = "".join(f"line {n} of the text\n" for n in range(600))
    (tmp_path / "a.md").write_text(text, encoding="utf-8-sig")
    assert read_symbols(tmp_path / "a.md") == ("text", [text])
    found = blocks(text, 250)
    assert "".join(found) == text
    assert all(block.endswith("\n") for block in found)
    assert all(250 <= len(block) < 400 for block in found)


@pytest.mark.parametrize(("length", "count"), [(0, 0), (1, 1), (149, 1), (150, 2), (249, 2), (10_000, 100)])
def test_a_text_without_lines_is_cut_too(length, count):
    found = blocks("x" * length, 100)
    assert len(found) == count
    assert sum(map(len, found)) == length


def test_folders_hold_files_of_one_kind(tmp_path):
    for name, text in (("b.abc", TUNE), ("sub/a.ABC", TUNE + "\n" + TUNE), ("read me.txt", "about")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    kind, tunes = read_symbols(tmp_path)
    assert (kind, tunes) == ("abc", [["K:C\n", *"CD|"]] * 3)
    file = mido.MidiFile(ticks_per_beat=12)
    file.tracks.append(
        mido.MidiTrack([mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=12)])
    )
    file.save(tmp_path / "sub" / "x.mid")
    assert read_symbols(tmp_path / "sub" / "x.mid") == ("midi", [["n60", "12"]])


def test_rare_and_unknown_symbols_are_one(tmp_path):
    letters = alphabet("text", ["aaaaab", "bbbbcccc"])
    assert letters == [UNKNOWN, "a", "b"]
    events = encode("abcz", letters)
    np.testing.assert_array_equal(events, [[0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]])
    assert "".join(decode(events, letters)) == f"ab{UNKNOWN}{UNKNOWN}"
    assert encode("", letters).shape == (0, 3)


def test_tunes_end_and_texts_do_not():
    letters = alphabet("abc", [["C", "D"] * 5])
    assert letters == [UNKNOWN, END, "C", "D"]
    (events,) = encode_all([["D", "C"]], letters)
    assert events.argmax(axis=1).tolist() == [3, 2, 1]
    assert decode(events, letters) == ["D", "C"]
    (events,) = encode_all(["ba"], [UNKNOWN, "a", "b"])
    assert events.argmax(axis=1).tolist() == [2, 1]


def test_a_large_alphabet_keeps_the_common_symbols():
    text = "".join(chr(0x4E00 + n) * (5 + (n < 400)) for n in range(500))
    letters = alphabet("text", [text])
    assert letters == [UNKNOWN, *(chr(0x4E00 + n) for n in range(400))]


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("a.txt", b"caf\xe9", None, "a.txt is no UTF-8 text: byte 3 is 0xe9"),
        ("a.txt", b" \n", None, "a.txt is empty; expected text"),
        ("a.abc", TUNE.encode(), "text", "a.abc holds abc; expected text, which the run was trained on"),
        ("sub/a.pdf", b"", None, r"sub has no files that end in .txt, .abc or .mid"),
    ],
)
def test_what_cannot_be_read(tmp_path, name, content, kind, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_symbols(path if path.parent == tmp_path else path.parent, kind)


def test_written_texts_and_symbols(tmp_path):
    KINDS["text"].write[".txt"](tmp_path / "a.txt", ["one", "two\n"])
    assert (tmp_path / "a.txt").read_text() == "one\n\ntwo\n\n"
    KINDS["midi"].write[".txt"](tmp_path / "b.txt", [["n60", "12"], ["r", "3"]])
    assert (tmp_path / "b.txt").read_text() == "n60 12\nr 3\n"
    KINDS["abc"].write[".mid"](tmp_path / "c.mid", [["L:1/4\n", "K:G\n", "F", "2"]])
    assert read_symbols(tmp_path / "c.mid") == ("midi", [["n66", "24"]])
