"""CMA-ES that is killed and goes on: the same, bit for bit, as one that nobody killed."""

import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mixtura.errors import InputError
from mixtura.systems.world.evolution import evolve

TARGET = np.linspace(-1.0, 1.0, 6)
SETTINGS = {"popsize": 8, "seed": 3}

CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np
from mixtura.systems.world.evolution import evolve

def fitness(candidates, generation):
    if generation == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return -np.sum((candidates - np.linspace(-1.0, 1.0, 6)) ** 2, axis=1)

evolve(fitness, 6, path=Path(sys.argv[1]), generations=12, popsize=8, seed=3)
"""


def sphere(candidates, generation):
    assert candidates.shape[1] == 6
    assert candidates.dtype == np.float64
    return -np.sum((candidates - TARGET) ** 2, axis=1)


def never(*_):
    raise AssertionError("what is recorded was computed again")


def same(one, other):
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.best, other.best)
    assert (one.best_fitness, one.generations) == (other.best_fitness, other.generations)
    assert one.history == other.history


@pytest.mark.parametrize("diagonal", [False, True])
def test_it_finds_the_largest_value(tmp_path, diagonal):
    found = evolve(sphere, 6, path=tmp_path / "r.npz", generations=120, diagonal=diagonal, **SETTINGS)
    np.testing.assert_allclose(found.mean, TARGET, atol=1e-2)
    np.testing.assert_allclose(found.best, TARGET, atol=1e-2)
    assert found.best_fitness == max(one.best for one in found.history) == sphere(found.best[None], 1)
    assert found.generations == len(found.history) == 120
    assert [one.number for one in found.history] == list(range(1, 121))
    assert found.history[-1].sigma < 0.1


def test_its_first_generation_is_spread_as_asked(tmp_path):
    """Candidates are normal about the start, sigma in every direction."""
    seen = []

    def fitness(candidates, generation):
        seen.append(candidates)
        return sphere(candidates, generation)

    evolve(fitness, 6, path=tmp_path / "r.npz", generations=1, popsize=1000, sigma=0.3, seed=1, start=TARGET)
    np.testing.assert_allclose(seen[0].mean(axis=0), TARGET, atol=4 * 0.3 / np.sqrt(1000))
    np.testing.assert_allclose(np.cov(seen[0].T), 0.09 * np.eye(6), atol=0.02)


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    path = tmp_path / "killed.npz"
    child = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, timeout=120)
    assert child.returncode == -9, child.stderr.decode()
    with np.load(path, allow_pickle=False) as stored:
        assert stored["fitnesses"].shape == (6, 8)
    computed = []

    def fitness(candidates, generation):
        computed.append(generation)
        return sphere(candidates, generation)

    resumed = evolve(fitness, 6, path=path, generations=12, **SETTINGS)
    assert computed == [*range(7, 13)]
    same(resumed, evolve(sphere, 6, path=tmp_path / "whole.npz", generations=12, **SETTINGS))


def test_a_finished_run_is_read_and_goes_on(tmp_path):
    short = evolve(sphere, 6, path=tmp_path / "r.npz", generations=5, **SETTINGS)
    same(evolve(never, 6, path=tmp_path / "r.npz", generations=5, **SETTINGS), short)
    longer = evolve(sphere, 6, path=tmp_path / "r.npz", generations=9, **SETTINGS)
    same(longer, evolve(sphere, 6, path=tmp_path / "whole.npz", generations=9, **SETTINGS))
    same(evolve(never, 6, path=tmp_path / "r.npz", generations=5, **SETTINGS), short)


def test_the_mean_is_evaluated_now_and_then_and_the_best_is_kept(tmp_path):
    scores = {3: 1.0, 6: 5.0, 9: 2.0, 10: 0.0}
    means = {}

    def evaluate(mean, generation):
        means[generation] = mean
        if generation == 9 and len(means) == 3:
            raise KeyboardInterrupt
        return scores[generation]

    def run():
        settings = {**SETTINGS, "evaluate": evaluate, "every": 3}
        return evolve(sphere, 6, path=tmp_path / "r.npz", generations=10, **settings)

    with pytest.raises(KeyboardInterrupt):
        run()
    means.clear()
    found = run()
    assert [*means] == [9, 10]  # those before were recorded
    means.clear()
    same(found, run())
    assert not means
    assert found.best_fitness == 5.0
    np.testing.assert_array_equal(
        found.best, evolve(sphere, 6, path=tmp_path / "six.npz", generations=6, **SETTINGS).mean
    )
    assert {one.number: one.evaluation for one in found.history if one.evaluation is not None} == scores


def test_all_generations_are_told(tmp_path):
    told = []
    run = {"path": tmp_path / "r.npz", "progress": told.append, **SETTINGS}
    evolve(sphere, 6, generations=2, **run)
    assert evolve(sphere, 6, generations=4, **run).history == tuple(told[2:])


def test_the_global_generator_is_left_alone(tmp_path):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = evolve(sphere, 6, path=tmp_path / "r.npz", generations=2, **SETTINGS)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    other = evolve(sphere, 6, path=tmp_path / "other.npz", generations=2, popsize=8, seed=4)
    assert (first.mean != other.mean).all()


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("popsize", 9, "another popsize: 8, received 9"),
        ("seed", 4, "another seed: 3, received 4"),
        ("sigma", 0.2, "another sigma: 0.1, received 0.2"),
        ("diagonal", True, "another diagonal: False, received True"),
        ("start", np.ones(6), "another start; give the same"),
    ],
)
def test_other_settings_are_refused(tmp_path, name, value, shown):
    evolve(sphere, 6, path=tmp_path / "r.npz", generations=1, **SETTINGS)
    with pytest.raises(InputError, match=rf"r\.npz holds an evolution with {shown}"):
        evolve(never, 6, path=tmp_path / "r.npz", generations=1, **{**SETTINGS, name: value})


def test_candidates_that_are_not_drawn_again_are_noticed(tmp_path):
    path = tmp_path / "r.npz"
    evolve(sphere, 6, path=path, generations=3, **SETTINGS)
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["checksums"][1] += 1
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"begun on another machine.*generation 2 differs"):
        evolve(never, 6, path=path, generations=3, **SETTINGS)


def test_damage_is_one_sentence(tmp_path):
    path = tmp_path / "r.npz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"r\.npz is damaged or no record"):
        evolve(sphere, 6, path=path, generations=1, **SETTINGS)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cma", None)
    with pytest.raises(InputError, match=r"needs cma; pip install 'mixtura\[worlds\]'"):
        evolve(sphere, 6, path=tmp_path / "r.npz", generations=1, **SETTINGS)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"popsize": 1}, "popsize must be 2 or more; received 1"),
        ({"popsize": 2.5}, "popsize must be a positive integer"),
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"generations": 0}, "generations must be a positive integer"),
        ({"every": 0}, "every must be a positive integer"),
        ({"seed": -1}, "seed must be an integer, 0 or more"),
        ({"start": np.zeros(5)}, r"start must be 6 finite numbers; received an array of shape \(5,\)"),
    ],
)
def test_bad_settings_are_refused(tmp_path, changes, shown):
    with pytest.raises(ValueError, match=shown):
        evolve(never, 6, path=tmp_path / "r.npz", **{"generations": 1, **SETTINGS, **changes})


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.zeros(7), r"fitness must return 8 numbers.*received shape \(7,\)"),
        ([0.0, np.nan] * 4, "candidate 1 of generation 1 has nan"),
    ],
)
def test_bad_fitnesses_are_refused(tmp_path, values, shown):
    with pytest.raises(ValueError, match=shown):
        evolve(lambda *_: values, 6, path=tmp_path / "r.npz", generations=1, **SETTINGS)
    assert not (tmp_path / "r.npz").exists()


def test_threads_do_not_change_it(tmp_path):
    """Products and decompositions round otherwise on two threads, from some hundred parameters on."""

    def fitness(candidates, generation):
        return -np.sum((candidates - 1.0) ** 2, axis=1)

    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            path = tmp_path / f"{threads}.npz"
            found.append(evolve(fitness, 300, path=path, generations=4, popsize=32, seed=0))
    same(*found)
