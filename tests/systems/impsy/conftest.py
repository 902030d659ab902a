import numpy as np
import pytest

from mixtura.data.control_logs import write_logs
from mixtura.data.sequences import Sequences


def session(rng, events, controls=3):
    """Turn one control for a while, by a step or three in one direction, then another; the others stay."""
    values, rows, which, direction = rng.integers(0, 128, controls), [], 0, 1
    for _ in range(events):
        if rng.random() < 0.1:
            which, direction = int(rng.integers(controls)), int(rng.choice([-1, 1]))
        values[which] = np.clip(values[which] + direction * rng.choice([0, 1, 3]), 0, 127)
        rows.append([*(values / 127), np.round(rng.lognormal(-4, 1), 6)])
    return np.array(rows)


@pytest.fixture(scope="session")
def played():
    """Sessions of three controls, on a grid of 1/127, times in microseconds."""
    rng = np.random.default_rng(0)
    return Sequences.of([session(rng, 60 + 10 * n) for n in range(6)])


@pytest.fixture(scope="session")
def logs(played, tmp_path_factory):
    """Write them as an `.npz` file."""
    path = tmp_path_factory.mktemp("impsy") / "sessions.npz"
    write_logs(path, played)
    return path
