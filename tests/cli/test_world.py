"""`mixtura world` on CartPole, met as small pictures; as a state it is in `test_stages.py`."""

import contextlib
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from mixtura import cli
from mixtura.systems.world import rollouts
from mixtura.systems.world.comparing import Returns, paired

pytest.importorskip("gymnasium", reason="Gymnasium is not installed")
pytest.importorskip("cma", reason="cma is not installed")

STATE = ["--env", "CartPole-v1", "--preset", "tiny", "--episodes", "9", "--unseen", "2"]
SMALL = ["baseline=3", "memory.units=[4]", "memory.epochs=2", "memory.components=2", "controller.popsize=4"]
SMALL += ["controller.sigma=2.0", "controller.steps=12", "controller.generations=2", "world.limit=30"]
SMALL += ["world.pixels=true", "world.size=[16,16]", "vision.network.encoder=[[4,4,4],[4,4,4]]"]
SMALL += ["vision.network.decoder=[[4,4,4],[3,4,4]]", "vision.network.start=[1,1,8]"]
SMALL += ["vision.network.latent_size=2", "vision.frames=64", "vision.epochs=2", "vision.batch_size=16"]


def wish(settings, *more):
    return [*STATE, *(word for one in settings for word in ("--set", one)), *more]


SERIAL = ["--engine", "serial"]


def begun(folder, settings, *more):
    """Run everything in this process; return the folder and what is printed."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        contextlib.suppress(SystemExit),
    ):
        cli.main(["world", *wish(settings), *SERIAL, "--out", str(folder), *more])
    rollouts.close()
    return folder, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return begun(tmp_path_factory.mktemp("world") / "run", SMALL, "--json")


@pytest.fixture
def run(whole, tmp_path):
    """Return a copy of the run, to do with as one likes."""
    return shutil.copytree(whole[0], tmp_path / "run")


@pytest.fixture(autouse=True)
def _nothing_stays_open():
    yield
    rollouts.close()


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def test_the_last_line_is_json(whole):
    folder, out, err = whole
    found, report = json.loads(out.splitlines()[-1]), report_of(folder)
    assert found["env"] == "CartPole-v1"
    for name, count in (("random", 3), ("dream_trained", 2), ("still", 2), ("sweep", 2), ("replayed", 2)):
        values = np.array(report[name]["values"])
        assert len(values) == found[name]["count"] == count
        np.testing.assert_allclose(found[name]["mean"], values.mean())
        np.testing.assert_allclose(found[name]["standard_error"], values.std(ddof=1) / np.sqrt(count))
    agent, random = (Returns.from_dict(report[name]) for name in ("dream_trained", "random"))
    assert found["agent_less"]["random"]["difference"] == paired(agent, random).difference
    assert "round 1: C" in err
    drawn = {path.stem for path in (folder / "figures").iterdir()}
    assert drawn >= {"actions", "fitness", "returns", "survival", "reconstructions-1"}


@pytest.mark.slow
def test_the_stages_one_by_one_lead_to_the_same(main, whole, tmp_path):
    folder = tmp_path / "run"
    code, out, err = main("world", "collect", folder, *wish(SMALL), *SERIAL)
    assert code == 0, err
    assert out.startswith(f"{folder}/round-1/recordings has 9 episodes, ")
    code, out, err = main("world", "train", folder)
    assert code == 0, err
    assert out.endswith(f"Next: mixtura world evolve {folder}\n")
    code, out, err = main("world", "evolve", folder, *SERIAL)
    assert code == 0, err
    assert out.startswith("The controller earns ")
    code, out, err = main("world", "evaluate", folder, "--json", *SERIAL)
    assert (code, out) == (0, whole[1]), err
    assert report_of(folder) == report_of(whole[0])


def test_a_finished_run_goes_on_to_the_same(main, whole, run):
    code, out, err = main("world", *wish(SMALL), *SERIAL, "--out", run, "--resume")
    assert code == 0, err
    assert "CartPole-v1, 2 unseen episodes" in out
    assert "dream trained" in out
    assert "less this" in out
    assert f"All numbers are in {run}/report.json, figures in {run}/figures.\nNext: mixtura world play" in out
    assert report_of(run) == report_of(whole[0])


def test_one_stage_after_the_other(main, tmp_path):
    folder = tmp_path / "run"
    assert main("world", "collect", folder, *wish(SMALL, "--max-gb", "1e-9"), *SERIAL)[0] == 2
    for command, missing in (
        (
            "train",
            "Round 1 of {0} lacks 8 of 9 episodes; `mixtura world collect {0} --round 1` records them.",
        ),
        ("evolve", "Round 1 of {0} is not trained; `mixtura world train {0} --round 1` comes first."),
        ("evaluate", "{0} has no agent yet; `mixtura world evolve {0}` makes it."),
        ("temperatures", "{0} has no agent yet; `mixtura world evolve {0}` makes it."),
    ):
        code, out, err = main("world", command, folder)
        assert (code, out, err) == (2, "", f"mixtura: {missing.format(folder)}\n")


def test_a_full_disk_is_one_sentence_and_what_is_finished_stays(main, tmp_path, monkeypatch):
    folder, save = tmp_path / "run", rollouts.Episode.save

    def full(episode, path):
        if episode.seed == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(episode, path)

    monkeypatch.setattr(rollouts.Episode, "save", full)
    code, _, err = main("world", *wish(SMALL), *SERIAL, "--out", folder)
    assert code == 2
    said = "000000004.npz cannot be written (No space left on device); the episodes before it are kept.\n"
    assert err.endswith(said)
    assert len(list((folder / "round-1" / "recordings").glob("*.npz"))) == 4
    monkeypatch.undo()
    code, out, _ = main("world", "collect", folder, *SERIAL)
    assert (code, "has 9 episodes" in out) == (0, True)


@pytest.mark.slow
def test_a_dream_as_numbers(main, run, tmp_path):
    out = tmp_path / "dream.npz"
    arguments = ("world", "dream", run, "--out", out, "--steps", 5, "--temperature", 0)
    code, printed, err = main(*arguments)
    assert code == 0, err
    assert printed.startswith(f"Wrote 5 decisions, to {out}; with probability ")
    with np.load(out) as arrays:
        found = dict(arrays)
    assert {name: value.shape for name, value in found.items()} == {
        "latents": (5, 2),
        "codes": (5, 1),
        "rewards": (5,),
        "hazard": (5,),
    }
    code, _, err = main(*arguments)
    assert (code, err) == (2, f"mixtura: {out} exists; name another output or give --overwrite.\n")
    assert main(*arguments, "--overwrite")[0] == 0
    with np.load(out) as arrays:
        np.testing.assert_array_equal(arrays["latents"], found["latents"])


@pytest.mark.slow
def test_temperatures(main, run, monkeypatch):
    arguments = ("world", "temperatures", run, "--values", 0.5, 1.15, *SERIAL)
    code, out, err = main(*arguments, "--json")
    assert code == 0, err
    found = json.loads(out)["temperatures"]
    assert list(found) == ["0.5", "1.15"]
    for row in found.values():
        assert (row["dream"]["count"], row["game"]["count"]) == (256, 2)
        assert 1 <= row["dream"]["mean"] <= 500
    assert json.loads((run / "temperatures.json").read_text()) == found
    assert (run / "figures" / "temperatures.png").exists()

    def never(*_):
        raise AssertionError("what is finished was done again")

    monkeypatch.setattr("mixtura.systems.world.commands.acted", never)
    code, out, err = main(*arguments)
    assert code == 0, err
    assert f"{found['0.5']['dream']['mean']:.4g} ± " in out


@pytest.mark.slow
def test_pictures_of_an_agent_that_sees(main, whole, tmp_path):
    folder = whole[0]
    play, dream = tmp_path / "play.gif", tmp_path / "dream.gif"
    code, out, err = main("world", "play", folder, "--out", play, "--seed", 1)
    assert code == 0, err
    earned = report_of(folder)["dream_trained"]["values"][1]
    assert out == f"Wrote an episode that earned {earned:.4g}, to {play}.\n"
    code, out, err = main("world", "dream", folder, "--out", dream, "--steps", 4)
    assert code == 0, err
    for path, width in ((play, 1), (dream, 2)):
        with Image.open(path) as film:
            assert film.n_frames > 1
            assert film.width >= width * 160


def test_other_controllers(main, whole, tmp_path):
    folder, out = whole[0], tmp_path / "play.gif"
    own = folder / "round-1" / "controller.json"
    assert main("world", "play", folder, "--out", out, "--controller", own)[0] == 0
    damaged, short, wide = (tmp_path / f"{name}.json" for name in ("damaged", "short", "wide"))
    damaged.write_text(own.read_text()[:50])
    content = json.loads(own.read_text())
    short.write_text(json.dumps({**content, "params": content["params"][1:]}))
    form = {**content["controller"], "inputs": 8}
    wide.write_text(json.dumps({**content, "controller": form, "params": [*content["params"], 0.0, 0.0]}))
    for file, said in (
        (tmp_path / "none.json", "none.json does not exist"),
        (damaged, "damaged.json is no controller of Mixtura's"),
        (short, "short.json is no controller of Mixtura's"),
        (wide, "The controller takes 8 numbers, and V and M give 6: it belongs to another model."),
    ):
        code, printed, err = main("world", "play", folder, "--out", tmp_path / "b.gif", "--controller", file)
        assert (code, printed) == (2, "")
        assert said in err
        assert err.count("\n") == 1
    assert not (tmp_path / "b.gif").exists()


MISTAKES = {
    "--env CartPole-v7": "Gymnasium has no environment 'CartPole-v7'; the closest are CartPole-v1",
    "--env Blackjack-v1": "Blackjack-v1: a state is a Box of one axis; received Tuple",
    "--env CartPole-v1 --preset huge": "There is no preset 'huge'; expected one of paper, small, tiny.",
    "--env CartPole-v1 --rounds 0": "--rounds",
    "--env CartPole-v1 --seed 5000000000": "--seed",
    "--env CartPole-v1 --features h": "--features",
    "--env CartPole-v1 --temperature -1": "The temperature must be between 0 and 100; received -1.0.",
    "--env CartPole-v1 --engine threads": "there is no engine 'threads'; expected serial, processes, ray",
    "--env CartPole-v1 --set popsize": "--set takes KEY=VALUE such as controller.popsize=32; received",
    "--env CartPole-v1 --set controller.size=3": "no setting 'controller.size': 'size' is none of bias",
    "--env CartPole-v1 --set controller.popsize=x": "popsize takes a whole number 2 or more; received 'x'",
    "--env CartPole-v1 --set world.skip=x": "skip must be a whole number, 1 or more; received 'x'.",
    "--env CartPole-v1 --max-gb 0": "--max-gb",
    "": "--env",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_sentence_and_leave_nothing(main, tmp_path, words):
    code, printed, err = main("world", *words.split(), "--out", tmp_path / "run")
    assert (code, printed) == (2, "")
    assert MISTAKES[words] in err
    assert err.startswith("mixtura: ")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_touched(main, run, whole, tmp_path):
    arguments = ("world", *wish(SMALL), *SERIAL, "--out", run)
    code, _, err = main(*arguments)
    assert (code, err) == (2, f"mixtura: {run} exists; name another output or give --overwrite.\n")
    code, _, err = main(*arguments, "--resume", "--seed", 1)
    assert (code, err) == (2, f"mixtura: {run} was begun with seed = 0; received 1.\n")
    code, _, err = main("world", "collect", run, "--seed", 1)
    assert (code, err) == (2, f"mixtura: {run} was begun already: give --env with all settings, or none.\n")
    code, _, err = main("world", "train", tmp_path / "none")
    assert (code, err) == (
        2,
        f"mixtura: {tmp_path}/none is not a folder; expected a run of `mixtura world`.\n",
    )
    code, _, err = main("world", "train", run / "round-1" / "memory")
    assert (code, "is a run of 'world memory'; expected one of a world." in err) == (2, True)
    code, _, err = main("world", "dream", run, "--out", tmp_path / "a.mp4")
    assert (code, err) == (2, f"mixtura: {tmp_path}/a.mp4 ends in '.mp4'; expected .gif or .npz.\n")
    code, _, err = main("world", "evaluate", run, "--round", 2)
    assert (code, "has no agent of round 2 yet" in err) == (2, True)
    code, _, err = main("world", "train", run, "--round", 2)
    assert (code, err) == (2, f"mixtura: {run} has 1 round; there is no round 2.\n")
    assert report_of(run) == report_of(whole[0])


def test_a_state_has_no_pictures(main, tmp_path):
    folder = tmp_path / "run"
    main("world", "collect", folder, *STATE, "--max-gb", "1e-9", *SERIAL)
    code, _, err = main("world", "play", folder, "--out", tmp_path / "a.gif")
    assert (code, err) == (2, "mixtura: CartPole-v1 is met as a state: there is no picture to write.\n")
    code, _, err = main("world", "dream", folder, "--out", tmp_path / "a.gif")
    assert (code, "a dream of it is written as .npz, not" in err) == (2, True)


def test_a_missing_package_is_named(main, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    code, _, err = main("world", *wish(SMALL), "--out", tmp_path / "run")
    assert (code, err) == (2, "mixtura: this needs gymnasium; pip install 'mixtura[worlds]'.\n")


def test_worlds_are_listed_beside_systems(main):
    code, out, _ = main("systems")
    assert (code, "`mixtura world`" in out) == (0, True)


# Kills.


def start(folder, settings, *more):
    command = [sys.executable, "-m", "mixtura", "world", *wish(settings), "--out", str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_in_every_stage_it_goes_on_to_the_same(tmp_path):
    settings = [one for one in SMALL if "epochs" not in one and "generations" not in one]
    settings += ["vision.epochs=40", "memory.epochs=40", "controller.generations=60", "episodes=200"]
    settings += ["unseen=40", "rounds=2", "later_episodes=20"]
    folder, round = tmp_path / "killed", tmp_path / "killed" / "round-1"
    there = (
        lambda: len(list((round / "recordings").glob("*.npz"))) >= 40,
        (round / "vision" / "checkpoint.npz").exists,
        (round / "memory" / "checkpoint.npz").exists,
        (round / "evolution.npz").exists,
        lambda: len(list((folder / "round-2" / "recordings").glob("*.npz"))) >= 3,
        (folder / "round-2" / "controller.json").exists,
    )
    for is_underway in there:
        child = start(folder, settings, "--workers", "2", "--resume")
        deadline = time.monotonic() + 300
        while not is_underway() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert child.poll() is None, child.communicate()
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        assert not (folder / "report.json").exists()
    outcomes = []
    for name in ("killed", "whole"):
        child = start(tmp_path / name, settings, "--workers", "2", "--resume", "--json")
        out, err = child.communicate(timeout=900)
        assert child.returncode == 0, err
        outcomes.append((out, report_of(tmp_path / name)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.slow
@pytest.mark.parametrize("env", ["VizdoomTakeCover-v1", "CarRacing-v3"])
def test_the_published_games(env, main, tmp_path):
    game = "vizdoom" if env.startswith("Vizdoom") else "Box2D"
    pytest.importorskip(game, reason="the game is not installed")
    folder = tmp_path / "run"
    changes = ["world.limit=30"] if env == "CarRacing-v3" else []
    sets = [word for one in changes for word in ("--set", one)]
    code, out, err = main("world", "--env", env, "--preset", "tiny", "--out", folder, "--json", *sets)
    assert code == 0, err
    found = json.loads(out)
    assert {"random", "still", "dream_trained", "scrambled", "replayed"} < set(found)
    assert ("sweep" in found) == (env == "VizdoomTakeCover-v1")
    for command, name in (("play", "play.gif"), ("dream", "dream.gif")):
        code, _, err = main("world", command, folder, "--out", tmp_path / name)
        assert code == 0, err
        with Image.open(tmp_path / name) as film:
            assert film.n_frames > 1
