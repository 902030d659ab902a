"""Every script of `examples/lecture` runs as a page of the lecture would be run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "lecture"
SCRIPTS = sorted(FOLDER.glob("*.py"))
# Each is a process of its own; these are like the others.
LIKE_OTHERS = {"mdn_network", "mdn_without_the_layer", "mixture_of_normals", "mse_network"}


def test_the_lectures_scripts_are_here():
    assert len(SCRIPTS) == 5
    readme = (FOLDER / "README.md").read_text()
    assert [script.name for script in SCRIPTS if f"({script.name})" not in readme] == []


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, id=script.stem, marks=[pytest.mark.slow] * (script.stem in LIKE_OTHERS))
        for script in SCRIPTS
    ],
)
def test_example(script, tmp_path):
    trains = "--epochs" in script.read_text()
    done = subprocess.run(
        [sys.executable, script, "--out", tmp_path / "out", *(["--epochs", "2"] if trains else [])],
        env={**os.environ, "MPLBACKEND": "Agg"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    picture = tmp_path / "out" / f"{script.stem}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
