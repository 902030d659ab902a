import json
from pathlib import Path

import numpy as np
import pytest


def test_train_generate_and_evaluate(main, gestures_file, tmp_path):
    system, data = gestures_file
    run = tmp_path / "run"
    code, out, err = main("train", system, "--data", data, "--preset", "tiny", "--epochs", 1, "--out", run)
    assert code == 0, err
    assert "test part: 1 sequence, " in out
    assert "NLL per step" in out
    assert f"Next: mixtura generate {run} --system {system} --out FILE" in out
    code, out, err = main("generate", run, "--system", system, "--count", 2, "--out", tmp_path / "new.csv")
    assert code == 0, err
    assert "Wrote 2 sequences" in out
    code, out, err = main("evaluate", run, "--system", system, "--data", tmp_path / "new.csv", "--json")
    assert code == 0, err
    scores = json.loads(out.splitlines()[-1])
    names = "nll_per_step nll_per_sequence nll_per_part recording_step min_scale sequences steps"
    assert set(names.split()) <= set(scores)
    assert scores["sequences"] == 2
    for arguments, message in (
        (("evaluate", run, "--data", data), "name its file with --system"),
        (("generate", run, "--system", system, "--out", tmp_path / "new.csv"), "exists"),
        (("generate", run, "--system", system, "--out", tmp_path / "new.pdf"), ".pdf"),
        (("generate", run, "--out", tmp_path / "a.csv", "--temperature", -1), "temperature"),
        (("train", "nothing"), "there is no system 'nothing'"),
    ):
        code, out, err = main(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("mixtura: ")
        assert err.count("\n") == 1
        assert message in err


def test_systems_are_listed(main):
    code, out, err = main("systems")
    assert code == 0, err
    assert "moves" in out
    assert "presets: " in out


@pytest.fixture
def gestures_file(tmp_path):
    rows = [f"g{n},{np.cos(t):.2f},{np.sin(t):.2f}" for n in range(5) for t in np.linspace(0, 6, 8 + n)]
    (tmp_path / "gestures.csv").write_text("\n".join(["sequence,x,y", *rows]) + "\n")
    examples = Path(__file__).parents[2] / "examples"
    return examples / "gestures" / "gestures.py", tmp_path / "gestures.csv"
