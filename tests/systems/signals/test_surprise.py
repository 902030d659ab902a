import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.systems.signals.surprise import areas, score_beats

FS = 20
SAMPLES = np.array([3, 20, 40, 55, 80, 97])
SYMBOLS = np.array(["N", "N", "V", "A", "N", "N"])


@pytest.fixture(scope="module")
def signals():
    signal = np.zeros((100, 1))
    signal[40] = 5.0
    signal[80] = 2.0
    facts = {"beat_sample": SAMPLES, "beat_symbol": SYMBOLS, "beat_offsets": np.array([0, 6])}
    return Sequences(signal, [0, 100], {"number": np.array([0])}, facts)


def test_scores_by_hand(signals):
    surprise = np.zeros(100)
    surprise[38:44] = 6.0  # the window of the beat at 40: a tenth of a second before to two after
    found = score_beats(signals, {"model": [surprise]}, FS)
    # The first beat has none before it, the last no whole window; the beat at 55 counts for medians alone.
    assert found.is_ventricular.tolist() == [False, True, False]
    assert found.recording.tolist() == [0, 0, 0]
    np.testing.assert_allclose(found.scores["model"], [0, 6, 0])
    np.testing.assert_allclose(found.scores["early"], -np.array([17, 20, 25]) / 18.5)
    np.testing.assert_allclose(found.scores["size"], np.array([0, 5, 2]) / 1.0)


def test_areas_by_hand(signals):
    found = score_beats(signals, {"model": [np.arange(100.0)]}, FS)
    numbers = areas(found, ["x"], least=1)
    assert (numbers["normal"], numbers["ventricular"]) == (2, 1)
    assert numbers["pooled"] == {"model": 0.5, "early": 0.5, "size": 1.0}
    assert numbers["per_recording"] == {"x": numbers["pooled"]}
    assert areas(found, ["x"], least=2)["per_recording"] == {}


def test_without_beats_there_is_nothing_to_score():
    assert score_beats(Sequences.of([np.zeros((9, 1))]), {"model": [np.zeros(9)]}, FS) is None
