import numpy as np
import pytest

from mixtura.data.sequences import Sequences, write_sequences

FS = 50
RECORDS = {"101": 1, "106": 1, "108": 1, "201": 1, "202": 2, "210": 2, "217": 0}


def heart(rng, beats):
    """Beats of a spike, wide and early where they are ventricular, with a slow wave and noise."""
    early = rng.random(beats) < 0.3
    intervals = np.where(early, 28, 40) + rng.integers(-2, 3, beats)
    samples = np.cumsum(intervals)
    time = np.arange(samples[-1] + 40)
    signal = 10 * np.sin(time / 30)
    for at, is_early in zip(samples, early, strict=True):
        signal += (80 if is_early else 100) * np.exp(-(((time - at) / (4 if is_early else 1)) ** 2))
    return np.round(signal + rng.normal(0, 2, len(time))), samples, np.where(early, "V", "N")


@pytest.fixture(scope="session")
def hearts(tmp_path_factory):
    """Write a file in the layout of MIT-BIH: two leads, of which MLII is not always the first."""
    rng = np.random.default_rng(0)
    signals, leads, marks = [], [], []
    for number in range(len(RECORDS)):
        signal, *beats = heart(rng, 14)
        other = np.zeros_like(signal)
        is_first = number != 1
        signals.append(np.stack([signal, other] if is_first else [other, signal], axis=1).astype("int16"))
        leads.append(["MLII", "V1"] if is_first else ["V5", "MLII"])
        marks.append(beats)
    whole = Sequences.of(signals, record=list(RECORDS), ds=np.int8([*RECORDS.values()]), leads=leads)
    facts = {
        "fs": np.array(FS),
        "units_per_mV": np.array(200),
        "beat_sample": np.concatenate([samples for samples, _ in marks]),
        "beat_symbol": np.concatenate([symbols for _, symbols in marks]),
        "beat_offsets": np.concatenate([[0], np.cumsum([len(samples) for samples, _ in marks])]),
    }
    path = tmp_path_factory.mktemp("hearts") / "hearts.npz"
    write_sequences(path, Sequences(whole.data, whole.offsets, whole.fields, facts))
    return path
