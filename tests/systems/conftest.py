from pathlib import Path

import numpy as np
import pytest

from mixtura.systems.registry import find

GESTURES = Path(__file__).parents[2] / "examples" / "gestures" / "gestures.py"


@pytest.fixture(scope="session")
def gestures():
    """Return the example's system: sequences of numbers from a CSV file."""
    return find(str(GESTURES))


@pytest.fixture(scope="session")
def gestures_csv(tmp_path_factory):
    """Write a file of loops, recorded in steps of a hundredth."""
    rng = np.random.default_rng(0)
    lines = ["sequence,x,y"]
    for number in range(12):
        angle = np.linspace(0, 2 * np.pi, rng.integers(9, 14))
        x, y = (np.round(f(angle) + rng.normal(0, 0.02, len(angle)), 2) for f in (np.cos, np.sin))
        lines += [f"g{number},{a},{b}" for a, b in zip(x, y, strict=True)]
    path = tmp_path_factory.mktemp("gestures") / "gestures.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def saved_figures(monkeypatch):
    """Return a function of a module of pictures: it returns the figures that are saved from then on."""

    def watch(pictures):
        figures = []
        real = pictures.save_figure
        monkeypatch.setattr(
            pictures,
            "save_figure",
            lambda figure, *rest, **more: figures.append(figure) or real(figure, *rest, **more),
        )
        return figures

    return watch
