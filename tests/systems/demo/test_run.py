import json

import pytest

from mixtura.systems.demo import run

FIGURES = {"mixture.png", "losses.png", "predictions.png", "densities.png"}


def check_report(report, out):
    assert json.loads((out / "report.json").read_text()) == report
    assert {file.name for file in out.iterdir()} == FIGURES | {"report.json"}
    assert report["mse"]["params"] == 286
    assert report["mdn"]["params"] == 510
    assert report["limits"]["conditional_entropy"] == pytest.approx(1.288, abs=5e-4)


@pytest.mark.slow
def test_a_short_demo_writes_everything(tmp_path):
    check_report(run(tmp_path, epochs=1), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_demo_reaches_its_scores(tmp_path, seed):
    report = run(tmp_path, seed=seed)
    check_report(report, tmp_path)
    limits = report["limits"]
    assert limits["constant_variance"] - 0.02 < report["mse"]["nll"] < 3.05
    assert report["mdn"]["nll"] < 2.0
    assert limits["conditional_entropy"] < report["best"]["nll"] <= 1.40
    learnt = report["mixture"]["learnt"]
    assert learnt["weights"] == pytest.approx([0.5, 0.5], abs=0.05)
    assert learnt["means"] == pytest.approx([-5, 5], abs=0.4)
    assert learnt["scales"] == pytest.approx([2, 3], abs=0.35)
