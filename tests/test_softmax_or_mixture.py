"""The example runs, and the limit that it draws is the true one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

SCRIPT = Path(__file__).parents[1] / "examples" / "softmax_or_mixture.py"


@pytest.mark.slow
def test_the_limits_are_those_of_the_process(tmp_path):
    settings = ["--bins", "6", "600", "--steps", "100", "--updates", "2", "--fresh", "10000"]
    done = subprocess.run(
        [sys.executable, SCRIPT, "--out", tmp_path, *settings], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "softmax_or_mixture.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp_path / "softmax_or_mixture.json").read_text())

    def density(e):
        return 0.6 * norm.pdf(e, -0.5, 0.1) + 0.4 * norm.pdf(e, 0.5, 0.1)

    entropy = quad(lambda e: -density(e) * np.log(density(e)), -1.5, 1.5, limit=200)[0]
    limit = report["limit"]
    assert limit["density"] == pytest.approx(entropy, abs=0.03)  # of 10 000 steps
    assert limit["600"] == pytest.approx(limit["density"], abs=0.001)
    assert limit["6"] > limit["density"] + 0.2
    for name in ("softmax", "mixture"):
        assert all(report[name]["100"][n] > limit[n] for n in ("6", "600"))
