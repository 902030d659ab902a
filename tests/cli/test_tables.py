import inspect
import json
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

import mixtura
from mixtura import models
from mixtura.cli import tables


def test_fit_and_predict_from_the_command_line(main, tmp_path, monkeypatch):
    data = tmp_path / "line.csv"
    data.write_text("x,y\n" + "".join(f"{i},{2 * i + i % 2}\n" for i in range(40)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    code, out, err = main("fit", data, "--target", "y", "--epochs", 3, "--ensemble", 2)
    assert code == 0, err
    for sentence in (
        "8 held-out rows",
        "3 epochs on 32 rows, of which each of 2 networks held some back to know when to stop.",
        "half the recording step 1",
        "The report is line-y/report.html; next: mixtura predict line-y NEW.csv",
    ):
        assert sentence in out
    for predictor in ("this model", "no inputs", "linear"):
        assert predictor in out
    assert (tmp_path / "line-y" / "model.keras").exists()
    assert (tmp_path / "line-y" / "report.html").exists()
    sentence = "mixtura: line-y exists; name another output or give --overwrite.\n"
    assert main("fit", data, "--target", "y") == (2, "", sentence)
    code, out, err = main("predict", "line-y", data, "--quantiles", "0.25", "0.75")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "mean,q0.25,q0.75"
    assert len(out.splitlines()) == 41


def test_demo_refuses_a_file_as_its_folder(main, tmp_path):
    (tmp_path / "taken").touch()
    code, _, err = main("demo", "--out", tmp_path / "taken")
    assert (code, "is a file" in err) == (2, True)


@pytest.mark.slow
def test_a_failed_training_is_one_sentence_and_exit_code_1(main, tmp_path, monkeypatch):
    data = tmp_path / "d.csv"
    data.write_text("x,y\n" + "".join(f"{i},{i * i}\n" for i in range(30)))
    network = partial(models.tabular_ensemble, learning_rate=1e30)
    monkeypatch.setattr(
        "mixtura.estimators.regressor.tabular_ensemble",
        lambda *args, learning_rate, **kwargs: network(*args, **kwargs),
    )
    code, _, err = main("fit", data, "--target", "y", "--ensemble", 2, "--out", tmp_path / "run")
    assert code == 1
    sentence = err.splitlines()[-1]
    assert sentence.startswith("mixtura: The loss or a weight became infinite or NaN in epoch 1, step ")
    assert np.isfinite(mixtura.load(tmp_path / "run").predict(np.zeros((1, 1)), verbose=0)).all()


@pytest.mark.slow
def test_ctrl_c_stops_after_an_epoch_and_resume_goes_on_as_if_nothing_had_been(main, tmp_path):
    data = tmp_path / "line.csv"
    data.write_text("x,y\n" + "".join(f"{i},{2 * i + i % 2}\n" for i in range(400)))
    command = ["fit", data, "--target", "y", "--epochs", 60, "--ensemble", 2]
    code, _, err = main(*command, "--out", tmp_path / "whole")
    assert code == 0, err
    process = subprocess.Popen(
        [sys.executable, "-m", "mixtura", *map(str, [*command, "--out", "run"])],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "run" / "checkpoint.npz").exists():  # after the first epoch
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    history = [(tmp_path / name / "history.csv") for name in ("whole", "run")]
    if process.returncode == 0:
        pytest.skip("training was over before the signal came")
    assert process.returncode == 130
    assert "Stopped" in err
    assert len(history[1].read_text().splitlines()) < 61
    model = mixtura.load(tmp_path / "run")
    assert np.isfinite(model.predict(np.zeros((1, 1)), verbose=0)).all()
    code, _, err = main(*command, "--out", tmp_path / "run", "--resume")
    assert code == 0, err
    assert history[0].read_text() == history[1].read_text()
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("whole", "run")]
    for report in reports:
        assert report.pop("fit")["seconds_to_first_epoch"] > 0
    assert reports[0] == reports[1]


def test_the_defaults_of_fit_are_those_of_the_regressor():
    defaults = inspect.signature(tables.fit).parameters
    ours = {name: defaults[name].default for name in ("components", "ensemble")}
    theirs = mixtura.MDNRegressor().get_params()
    assert list(ours.values()) == [theirs[name] for name in ("n_components", "ensemble")]
