"""Melodies in MIDI files, as symbols: a pitch or a rest, then its length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mixtura.errors import InputError
from mixtura.files import replacing

GRID = 12  # lengths are counted in twelfths of a quarter note: semiquavers are 3, triplet quavers 4
LONGEST = 16 * GRID  # of a note or a rest
REST = "r"
DRUMS = 9


def read_midi(path: Path) -> list[str]:
    """Return the melody of a MIDI file as symbols: `n60 12` is a C of a quarter note, `r 6` a quaver's rest.

    The melody is the track with the most notes, percussion aside. Where notes overlap, each lasts until the
    next begins, and of those that begin together the highest is heard. Onsets are rounded to the grid, and
    nothing is longer than four whole notes.

    Raises:
        InputError: if mido is not installed, the file is no MIDI file, or has no notes.
    """
    mido = _mido()
    try:
        file = mido.MidiFile(path)
    except OSError as error:
        if error.filename:
            raise
        raise InputError(f"{path} is damaged or no MIDI file ({error})") from error
    except (EOFError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path} is damaged or no MIDI file ({error})") from error
    notes = max((_notes(track, file.ticks_per_beat) for track in file.tracks), key=len, default=[])
    if not notes:
        raise InputError(f"{path} has no notes; expected a melody")
    return melody_symbols(notes)


def melody_symbols(notes: Iterable[tuple[int, int, int]]) -> list[str]:
    """Return symbols for notes `(onset, end, pitch)`, in steps of the grid; the first onset is the start.

    Example:
        >>> melody_symbols([(24, 36, 60), (36, 48, 64), (36, 48, 67), (60, 66, 60)])
        ['n60', '12', 'n67', '12', 'r', '12', 'n60', '6']
    """
    highest = {onset: (end, pitch) for onset, end, pitch in sorted(notes, key=lambda n: (n[0], n[2]))}
    onsets = sorted(highest)
    symbols: list[str] = []
    for onset, following in zip(onsets, [*onsets[1:], None], strict=True):
        end, pitch = highest[onset]
        end = min(end, onset + LONGEST, end if following is None else following)
        symbols += [f"n{pitch}", str(end - onset)]
        if following is not None and following > end:
            symbols += [REST, str(min(following - end, LONGEST))]
    return symbols


def write_midi(path: Path, melodies: Iterable[Sequence[str]]) -> None:
    """Write melodies into one track, one after the other, a whole note's rest between them.

    What has no meaning, a length after a length or a pitch without one, is left out.

    Raises:
        InputError: if mido is not installed.
    """
    mido = _mido()
    track, waited = mido.MidiTrack(), 0
    for melody in melodies:
        for symbol, length in pairwise(melody):
            if symbol.isdecimal() or not length.isdecimal():
                continue
            if symbol == REST:
                waited += int(length)
                continue
            note: dict[str, Any] = {"note": int(symbol[1:]), "velocity": 80}
            track.append(mido.Message("note_on", time=waited, **note))
            track.append(mido.Message("note_off", time=int(length), **note))
            waited = 0
        waited += 4 * GRID
    file = mido.MidiFile(ticks_per_beat=GRID)
    file.tracks.append(track)
    with replacing(path) as temporary:
        file.save(temporary)


def _notes(track: Any, ticks_per_beat: int) -> list[tuple[int, int, int]]:
    """Return a track's notes `(onset, end, pitch)` in steps of the grid, at least one step long."""
    notes: list[tuple[int, int, int]] = []
    sounding: dict[tuple[int, int], int] = {}
    now = 0
    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
            continue
        key, time = (message.channel, message.note), round(now * GRID / ticks_per_beat)
        if key in sounding:
            onset = sounding.pop(key)
            notes.append((onset, max(time, onset + 1), message.note))
        if message.type == "note_on" and message.velocity:
            sounding[key] = time
    return notes


def _mido() -> Any:
    try:
        import mido
    except ImportError:
        raise InputError("MIDI files need mido: pip install 'mixtura[melodies]'") from None
    return mido
