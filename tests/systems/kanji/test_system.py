import json

import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.data.sketches import write_sketches
from mixtura.data.strokes import from_polylines
from mixtura.systems import runs
from mixtura.systems.registry import find


@pytest.fixture(scope="module")
def crosses_npz(tmp_path_factory):
    """Write characters of two strokes, one across the other."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(12):
        x, y = rng.integers(20, 80, 2)
        made.append(np.rint(from_polylines([[[0, y], [50, y + 3], [100, y]], [[x, 0], [x, 100]]])))
    path = tmp_path_factory.mktemp("crosses") / "crosses.npz"
    write_sketches(path, Sequences.of(made))
    return path


@pytest.mark.slow
def test_characters_are_invented(crosses_npz, tmp_path):
    runs.train(find("kanji"), crosses_npz, tmp_path / "run", preset="tiny")
    numbers = json.loads((tmp_path / "run" / "report.json").read_text())["kanji"]
    assert "L_KL" not in numbers
    assert "recognised" not in numbers
    assert numbers["drawn"]["real"] == {"points": 5.0, "strokes": 2.0, "side": pytest.approx(100, abs=1)}
    assert not (tmp_path / "run" / "figures" / "reconstructed.svg").exists()
    first, again = (
        runs.generate(tmp_path / "run", tmp_path / name, count=4, seed=1) for name in ("a.svg", "b.npz")
    )
    np.testing.assert_array_equal(first.data, again.data)
    assert (tmp_path / "a.svg").read_text().count("<g ") >= 4
