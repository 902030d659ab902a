import sys

import numpy as np
import pytest

from mixtura.data.records import read_records
from mixtura.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wfdb's own, of pandas


def test_without_wfdb_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wfdb", None)
    with pytest.raises(InputError, match=r"100\.hea: .* pip install 'mixtura\[signals\]'"):
        read_records(tmp_path / "100.hea")


@pytest.fixture
def wfdb():
    return pytest.importorskip("wfdb", reason="the extra mixtura[signals] is not installed")


COUNTS = np.random.default_rng(0).integers(900, 1150, (2, 50, 2))
MARKS = ["+", "N", "V", "~", "N"]  # a rhythm and noise among the beats


@pytest.fixture
def folder(wfdb, tmp_path):
    for name, counts in zip(("a", "b"), COUNTS, strict=True):
        wfdb.wrsamp(
            name,
            fs=360,
            units=["mV", "mV"],
            sig_name=["MLII", "V1"],
            d_signal=counts,
            fmt=["16", "16"],
            adc_gain=[200, 200],
            baseline=[1024, 1024],
            write_dir=str(tmp_path),
        )
    samples = np.array([2, 10, 20, 25, 40])
    wfdb.wrann("b", "atr", samples, symbol=MARKS, write_dir=str(tmp_path), fs=360)
    return tmp_path


def test_records_are_read_as_counts(folder):
    found = read_records(folder)
    assert found.fields["record"].tolist() == ["a", "b"]
    assert found.fields["leads"].tolist() == [["MLII", "V1"]] * 2
    np.testing.assert_array_equal(found[1], COUNTS[1] - 1024)
    assert (float(found.facts["fs"]), float(found.facts["units_per_mV"])) == (360, 200)


def test_only_beats_are_kept(folder):
    facts = read_records(folder).facts
    assert facts["beat_offsets"].tolist() == [0, 0, 3]
    assert facts["beat_sample"].tolist() == [10, 20, 40]
    assert facts["beat_symbol"].tolist() == ["N", "V", "N"]


def test_one_record_is_its_header(folder):
    found = read_records(folder / "b.hea")
    assert len(found) == 1
    np.testing.assert_array_equal(found[0], COUNTS[1] - 1024)


def test_mistakes_are_named(folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="has no WFDB header"):
        read_records(empty)
    (folder / "b.dat").unlink()
    with pytest.raises(InputError, match=r"b\.hea cannot be read as a WFDB record"):
        read_records(folder)


def test_records_of_a_folder_are_alike(wfdb, folder):
    counts = COUNTS[0]
    wfdb.wrsamp(
        "c", 250, ["mV"] * 2, ["I", "II"], d_signal=counts, fmt=["16"] * 2, adc_gain=[200] * 2,
        baseline=[0, 0], write_dir=str(folder),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"c\.hea has fs 250, .*a\.hea has 360"):
        read_records(folder)
