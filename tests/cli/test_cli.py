import os
import subprocess
import sys

import pytest

import mixtura


def run(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "mixtura", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120"},
        check=False,
    )


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


def test_an_output_that_cannot_be_written_is_one_sentence(main, tmp_path):
    data = tmp_path / "d.csv"
    data.write_text("x,y\n" + "".join(f"{i},{i * i}\n" for i in range(30)))
    code, _, err = main("fit", data, "--target", "y", "--out", data / "run")
    assert code == 2
    assert err.count("\n") == 1
    assert "Not a directory" in err or "exists" in err
