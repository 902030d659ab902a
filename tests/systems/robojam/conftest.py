import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.data.touches import write_touches
from mixtura.systems.registry import find
from mixtura.systems.runs import train


@pytest.fixture(scope="session")
def swiped():
    """Return performances of swipes and taps: 14, and one of a single touch."""
    rng = np.random.default_rng(0)
    performances = []
    for _ in range(14):
        rows = [[0.5, 0.5, 0.0, 0.0]]
        for _ in range(5):
            x, y = rng.uniform(0, 1, 2)
            rows.append([x, y, rng.uniform(0.2, 0.6), 0.0])
            for step in range(1, rng.integers(1, 9)):
                rows.append([x + 0.03 * step, y - 0.02 * step, 0.016, 1.0])
        performances.append(np.array(rows))
    return Sequences.of([*performances, [[0.1, 0.2, 0.0, 0.0]]])


@pytest.fixture(scope="session")
def swiped_npz(swiped, tmp_path_factory):
    path = tmp_path_factory.mktemp("touches") / "swiped.npz"
    write_touches(path, swiped)
    return path


@pytest.fixture(scope="session")
def run(swiped_npz, tmp_path_factory):
    """Train the tiny preset, and return the run folder."""
    out = tmp_path_factory.mktemp("robojam") / "run"
    train(find("robojam"), swiped_npz, out, preset="tiny")
    return out
