import numpy as np
import pytest

from mixtura.data.sequences import Sequences
from mixtura.data.sketches import write_sketches
from mixtura.data.strokes import from_polylines
from mixtura.systems import runs
from mixtura.systems.registry import find

KINDS = ("square", "circle", "zigzag")


def shapes(count=10):
    """Return squares, circles and zigzags, each with a dot beside it."""
    rng = np.random.default_rng(0)
    square = np.array([[0, 0], [40, 0], [40, 40], [0, 40], [0, 0]])
    angle = np.linspace(0, 2 * np.pi, 9)
    circle = 20 * np.column_stack([np.cos(angle), np.sin(angle)])
    zigzag = np.array([[0, 0], [10, 30], [20, 0], [30, 30], [40, 0]])
    made = []
    for number in range(3 * count):
        line = (square, circle, zigzag)[number % 3] * rng.uniform(0.7, 1.3)
        made.append(np.rint(from_polylines([line, line.mean(axis=0)[None] + 30])))
    found = Sequences.of(made, label=np.arange(3 * count) % 3)
    return Sequences(found.data, found.offsets, found.fields, {"categories": np.array(KINDS)})


@pytest.fixture(scope="session")
def drawings():
    return shapes()


@pytest.fixture(scope="session")
def shapes_npz(drawings, tmp_path_factory):
    path = tmp_path_factory.mktemp("shapes") / "shapes.npz"
    write_sketches(path, drawings)
    return path


@pytest.fixture(scope="session")
def run(shapes_npz):
    """Train a model with a latent vector and classes for seconds."""
    folder = shapes_npz.parent / "run"
    runs.train(find("sketch"), shapes_npz, folder, preset="tiny")
    return folder
