import inspect
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import mixtura
from mixtura import cli, models


def run(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "mixtura", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120"},
        check=False,
    )


@pytest.fixture
def main(capsys):
    """Call the command in this process; return exit code, standard output and standard error."""

    def call(*arguments):
        code = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code or 0
        return (code, *capsys.readouterr())

    return call


def test_help_and_version_import_no_keras():
    code = (
        "import sys; sys.argv = ['mixtura', {!r}]\n"
        "from mixtura.cli import main\n"
        "try: main()\n"
        "finally: assert not {{'keras', 'jax', 'scipy', 'matplotlib', 'numpy'}} & set(sys.modules)"
    )
    for option, shown in (("--help", "predict"), ("--version", mixtura.__version__)):
        done = subprocess.run([sys.executable, "-c", code.format(option)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert shown in done.stdout


def test_doctor_names_the_backend_and_the_reason():
    done = run("doctor")
    assert done.returncode == 0, done.stderr
    for word in ("backend", mixtura.backend.chosen.name, "devices", "keras", "compiled programs"):
        assert word in done.stdout


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "nowhere.csv", "--target", "y"], "nowhere.csv does not exist"),
        (["fit", "nowhere.csv"], "--target"),
        (["fit", "a.csv", "--target", "y", "--components", "0"], "Must be > 0"),
        (["fit", "a.csv", "--target", "y", "--seed", "-1"], "Must be >= 0"),
        (["nonsense"], "nonsense"),
        (["predict", "nowhere", "a.csv"], "nowhere is not a folder"),
        (["respond", "robojam", "nowhere.csv", "--out", "a.csv"], "nowhere.csv does not exist"),
        (["respond", "robojam", "a.csv", "--out", "b.csv", "--count", "0"], "Must be >= 1"),
        (["respond", "robojam", "a.csv", "--out", "b.csv", "--duration", "0"], "Must be > 0"),
        (["respond", "robojam", "a.csv", "--out", "b.csv", "--temperature", "-1"], "The temperature must be"),
        (["generate", "moves", "--out", "a.csv"], "moves ships no model"),
        (["serve", "nowhere"], "nowhere is not a folder"),
        (["import", "nowhere.keras"], "nowhere.keras does not exist"),
        (["import", "a.keras", "--scale", "0"], "The scale must be between"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(main, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = main(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("mixtura: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_demo_refuses_a_file_as_its_folder(main, tmp_path):
    (tmp_path / "taken").touch()
    code, _, err = main("demo", "--out", tmp_path / "taken")
    assert (code, "is a file" in err) == (2, True)


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
    defaults = inspect.signature(cli.fit).parameters
    ours = {name: defaults[name].default for name in ("components", "ensemble")}
    theirs = mixtura.MDNRegressor().get_params()
    assert list(ours.values()) == [theirs[name] for name in ("n_components", "ensemble")]


def test_an_output_that_cannot_be_written_is_one_sentence(main, tmp_path):
    data = tmp_path / "d.csv"
    data.write_text("x,y\n" + "".join(f"{i},{i * i}\n" for i in range(30)))
    code, _, err = main("fit", data, "--target", "y", "--out", data / "run")
    assert code == 2
    assert err.count("\n") == 1
    assert "Not a directory" in err or "exists" in err


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


def test_a_shipped_model_answers(main, tmp_path):
    call, answer, picture = (tmp_path / name for name in ("call.csv", "answer.csv", "both.png"))
    call.write_text(
        "time,x,y,z,moving\n0.005213, 0.711230, 0.070856, 25.524292, 0\n0.1, 0.72, 0.08, 25.5, 1\n"
    )
    arguments = ("respond", "robojam", call, "--out", answer, "--seed", 1, "--picture", picture)
    code, out, err = main(*arguments)
    assert code == 0, err
    assert out.startswith("Wrote 1 answer, ")
    lines = answer.read_text().splitlines()
    assert lines[0] == "time,x,y,z,moving"
    assert float(lines[-1].split(",")[0]) <= 5
    assert picture.stat().st_size > 10_000
    code, out, err = main(*arguments)
    assert (code, err) == (2, f"mixtura: {answer} exists; name another output or give --overwrite.\n")


def test_systems_are_listed(main):
    code, out, err = main("systems")
    assert code == 0, err
    assert "moves" in out
    assert "presets: " in out


@pytest.fixture
def gestures_file(tmp_path):
    rows = [f"g{n},{np.cos(t):.2f},{np.sin(t):.2f}" for n in range(5) for t in np.linspace(0, 6, 8 + n)]
    (tmp_path / "gestures.csv").write_text("\n".join(["sequence,x,y", *rows]) + "\n")
    examples = Path(__file__).parents[1] / "examples"
    return examples / "gestures" / "gestures.py", tmp_path / "gestures.csv"
