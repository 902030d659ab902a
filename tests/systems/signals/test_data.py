import numpy as np
import pytest

from mixtura.data.sequences import Sequences, read_sequences, write_sequences
from mixtura.errors import InputError
from mixtura.systems.signals.data import beats, read_signals, split_signals


def test_the_lead_mlii_is_kept_wherever_it_is(hearts):
    whole, signals = read_sequences(hearts), read_signals(hearts)
    assert signals.event_size == 1
    np.testing.assert_array_equal(signals[0][:, 0], whole[0][:, 0])
    np.testing.assert_array_equal(signals[1][:, 0], whole[1][:, 1])


def test_the_count_of_zero_is_taken_away(tmp_path):
    signals = Sequences(np.int16([[1030], [1000]]), [0, 2], facts={"adc_zero": np.array(1024)})
    write_sequences(tmp_path / "one.npz", signals)
    assert read_signals(tmp_path / "one.npz").data[:, 0].tolist() == [6, -24]


def test_pacemakers_are_left_out(hearts):
    assert read_signals(hearts).fields["record"].tolist() == ["101", "106", "108", "201", "202", "210"]


def test_only_pacemakers_are_a_mistake(hearts, tmp_path):
    whole = read_sequences(hearts)
    write_sequences(tmp_path / "paced.npz", whole[whole.fields["ds"] == 0])
    with pytest.raises(InputError, match=r"paced\.npz has only recordings whose ds is 0"):
        read_signals(tmp_path / "paced.npz")


def test_no_patient_is_on_two_sides(hearts):
    split = split_signals(read_signals(hearts), seed=0)
    learnt = {*split.training.fields["record"], *split.validation.fields["record"]}
    assert learnt == {"101", "106", "108"}  # 201 is the patient of 202
    assert split.test.fields["record"].tolist() == ["202", "210"]
    assert len(split.validation) == 1


def test_both_sides_need_recordings():
    signals = Sequences.of([np.zeros((9, 1))] * 3, ds=[1, 2, 2])
    with pytest.raises(InputError, match="puts 1 recordings in DS1 and 2 in DS2; expected at least 2 and 1"):
        split_signals(signals, seed=0)


def test_beats_follow_their_recording(hearts):
    whole, signals = read_sequences(hearts), read_signals(hearts)
    picked = signals[[4, 1]]
    for which, number in enumerate([4, 1]):
        own = slice(*whole.facts["beat_offsets"][number : number + 2])
        np.testing.assert_array_equal(beats(picked, which).samples, whole.facts["beat_sample"][own])
        np.testing.assert_array_equal(beats(picked, which).symbols, whole.facts["beat_symbol"][own])


def test_groups_are_dealt_out_alike():
    group = np.repeat([0, 1, 2], [20, 30, 40])
    signals = Sequences.of([np.full((5, 1), n) for n in range(90)], group=group)
    split = split_signals(signals, seed=1)
    for part, shares in zip(split[:3], ([16, 24, 32], [2, 3, 4], [2, 3, 4]), strict=True):
        assert np.bincount(part.fields["group"]).tolist() == shares
    numbers = np.concatenate([part.data[::5, 0] for part in split[:3]])
    assert sorted(numbers.tolist()) == list(range(90))


def test_few_recordings_are_cut_in_time():
    signals = Sequences.of([np.arange(100)[:, None], np.arange(200)[:, None]])
    split = split_signals(signals, seed=0)
    assert [part.lengths.tolist() for part in split[:3]] == [[80, 160], [10, 20], [10, 20]]
    assert split.test[1][:, 0].tolist() == list(range(180, 200))


def test_what_is_cut_has_no_beats():
    signals = Sequences.of([np.zeros((50, 1))])
    facts = {"beat_sample": np.array([3]), "beat_symbol": np.array(["N"]), "beat_offsets": np.array([0, 1])}
    signals = Sequences(signals.data, signals.offsets, {"number": np.array([0])}, facts)
    assert beats(signals, 0).samples.tolist() == [3]
    assert beats(split_signals(signals, seed=0).test, 0) is None
