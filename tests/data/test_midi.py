import sys

import mido
import pytest

from mixtura.data.midi import melody_symbols, read_midi, write_midi
from mixtura.errors import InputError


def track(notes, channel=0):
    """Return a track of `(onset, end, pitch)` in ticks."""
    events = sorted(
        (time, kind, pitch)
        for on, off, pitch in notes
        for time, kind, pitch in ((on, 1, pitch), (off, 0, pitch))
    )
    now, messages = 0, []
    for time, kind, pitch in events:
        messages.append(
            mido.Message("note_on", note=pitch, velocity=64 * kind, time=time - now, channel=channel)
        )
        now = time
    return mido.MidiTrack(messages)


def saved(path, *tracks, ticks=480):
    file = mido.MidiFile(ticks_per_beat=ticks)
    file.tracks.extend(tracks)
    file.save(path)
    return path


def test_the_melody_is_the_fullest_track_without_drums(tmp_path):
    melody = [(0, 480, 60), (480, 720, 64), (960, 1120, 67)]
    drums = [(100 * n, 100 * n + 50, 35) for n in range(9)]
    path = saved(tmp_path / "a.mid", track([(0, 1920, 40)]), track(melody), track(drums, channel=9))
    assert read_midi(path) == ["n60", "12", "n64", "6", "r", "6", "n67", "4"]


@pytest.mark.parametrize(
    ("notes", "symbols"),
    [
        ([(0, 12, 60), (6, 18, 64)], "n60 6 n64 12"),  # the first ends where the second begins
        ([(0, 12, 60), (0, 6, 67), (0, 12, 64)], "n67 6"),  # the highest
        ([(0, 999, 60), (1200, 1203, 62)], "n60 192 r 192 n62 3"),  # four whole notes at most
        ([(5, 8, 60)], "n60 3"),
    ],
)
def test_one_note_at_a_time(notes, symbols):
    assert melody_symbols(notes) == symbols.split()


def test_onsets_are_rounded_and_no_note_is_lost(tmp_path):
    path = saved(tmp_path / "a.mid", track([(3, 5, 60), (95, 190, 62)]), ticks=96)
    assert read_midi(path) == ["n60", "1", "r", "11", "n62", "12"]


def test_what_is_written_is_read_back(tmp_path):
    melody = ["n60", "12", "n64", "6", "r", "6", "n67", "4", "n67", "192"]
    write_midi(tmp_path / "a.mid", [melody])
    assert read_midi(tmp_path / "a.mid") == melody
    write_midi(tmp_path / "b.mid", [melody, ["n60", "3"]])
    assert read_midi(tmp_path / "b.mid") == [*melody, "r", "48", "n60", "3"]
    write_midi(tmp_path / "c.mid", [["3", "n60", "n61", "r", "n62", "6", "6", "r"]])
    assert read_midi(tmp_path / "c.mid") == ["n62", "6"]


def test_files_without_a_melody(tmp_path):
    with pytest.raises(InputError, match=r"a.mid has no notes; expected a melody"):
        read_midi(saved(tmp_path / "a.mid", track([(0, 9, 35)], channel=9)))
    (tmp_path / "b.mid").write_bytes(b"RIFF0000")
    with pytest.raises(InputError, match=r"b.mid is damaged or no MIDI file"):
        read_midi(tmp_path / "b.mid")
    whole = saved(tmp_path / "c.mid", track([(0, 480, 60)])).read_bytes()
    (tmp_path / "d.mid").write_bytes(whole[:-9])
    with pytest.raises(InputError, match=r"d.mid is damaged or no MIDI file"):
        read_midi(tmp_path / "d.mid")


def test_without_mido(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(InputError, match=r"MIDI files need mido: pip install 'mixtura\[melodies\]'"):
        read_midi(tmp_path / "a.mid")
