import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest

from mixtura.errors import InputError, TrainingError
from mixtura.systems.world import engines
from mixtura.systems.world.engines import Processes, Serial, engine

# What workers run is of a module that they can import: it needs nothing else.
TASKS = """
import os, signal, sys, time
from pathlib import Path

def square(number):
    return number**2

def process(item):
    return os.getpid(), os.environ["JAX_PLATFORMS"], "keras" in sys.modules, "jax" in sys.modules

def fail(number):
    if number == 2:
        raise LookupError("no two")
    return number

class Odd(Exception):
    def __init__(self, one, other):
        super().__init__(one)

def fail_oddly(number):
    raise Odd(1, 2)

def crash(item):
    number, folder, times = item
    if number == 1 and _visits(folder) <= times:
        os._exit(7)
    return number

def hang(item):
    number, folder, times = item
    if number == 1 and _visits(folder) <= times:
        time.sleep(60)
    return number

def killed(item):
    os.kill(os.getpid(), signal.SIGKILL)

def say_and_sleep(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)

def slow(number):
    time.sleep(0.2 * number)
    return os.getpid()

def _visits(folder):
    path = Path(folder) / "visits"
    count = len(path.read_text()) if path.exists() else 0
    path.write_text("x" * (count + 1))
    return count + 1
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tasks_of_workers.py").write_text(TASKS)
    sys.path.insert(0, str(folder))
    yield import_module("tasks_of_workers")
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def pool(tasks):
    with Processes(2) as pool:
        yield pool


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a process without a parent that waits for it stays as a zombie
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["serial", "processes"])
def test_a_map_yields_every_item_with_its_number(kind, pool, tasks):
    chosen = Serial() if kind == "serial" else pool
    assert dict(chosen.map(tasks.square, range(20))) == {number: number**2 for number in range(20)}
    assert list(chosen.map(tasks.square, [])) == []


def test_results_come_as_they_finish(pool, tasks):
    assert [number for number, _ in pool.map(tasks.slow, [4, 1, 1])] == [1, 2, 0]


def test_workers_stay_and_have_neither_keras_nor_an_accelerator(pool, tasks):
    first, second = (dict(pool.map(tasks.process, range(8))) for _ in range(2))
    pids = {pid for pid, *_ in [*first.values(), *second.values()]}
    assert len(pids) <= 2
    assert os.getpid() not in pids
    assert {tuple(facts) for _, *facts in first.values()} == {("cpu", False, False)}


@pytest.mark.parametrize("kind", ["serial", "processes"])
def test_an_exception_comes_back_as_itself(kind, pool, tasks):
    chosen = Serial() if kind == "serial" else pool
    with pytest.raises(LookupError, match="no two") as caught:
        list(chosen.map(tasks.fail, range(4)))
    if kind == "processes":
        assert 'raise LookupError("no two")' in caught.value.__notes__[0]  # where in the worker
    assert dict(chosen.map(tasks.square, [3])) == {0: 9}  # the next map is unaffected


def test_an_exception_that_cannot_be_pickled_comes_back_in_words(pool, tasks):
    with pytest.raises(RuntimeError, match="Odd: 1"):
        list(pool.map(tasks.fail_oddly, [0]))


def test_an_item_whose_worker_crashed_is_done_again(pool, tasks, tmp_path):
    items = [(number, str(tmp_path), 2) for number in range(4)]
    assert dict(pool.map(tasks.crash, items)) == {number: number for number in range(4)}
    assert len((tmp_path / "visits").read_text()) == 3


def test_an_item_whose_worker_hangs_is_done_again(pool, tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "GRACE", 0.1)
    list(pool.map(tasks.slow, [1, 1]))  # both workers have started
    items = [(number, str(tmp_path), 1) for number in range(4)]
    assert dict(pool.map(tasks.hang, items, timeout=2)) == {number: number for number in range(4)}


@pytest.mark.slow
def test_three_failures_of_an_item_are_named(pool, tasks, tmp_path):
    with pytest.raises(TrainingError, match=r"item 1 of 3 failed 3 times: its worker ended with exit code 7"):
        list(pool.map(tasks.crash, [(number, str(tmp_path), 3) for number in range(3)]))
    with pytest.raises(TrainingError, match="item 0 of 1 failed 3 times: its worker ended by signal 9"):
        list(pool.map(tasks.killed, [0]))


@pytest.mark.slow
def test_a_slow_reader_makes_no_worker_late(pool, tasks):
    list(pool.map(tasks.slow, [1, 1]))  # both workers have started
    with closing(pool.map(tasks.slow, [1, 2, 1], timeout=1.5)) as results:
        assert next(results)
        time.sleep(1.6)
        assert len(list(results)) == 2


@pytest.mark.slow
def test_what_is_given_up_answers_no_later_map(pool, tasks):
    with closing(pool.map(tasks.slow, [0, 5, 5])) as results:
        next(results)
    assert dict(pool.map(tasks.square, range(4))) == {0: 0, 1: 1, 2: 4, 3: 9}


def test_closing_ends_workers_that_are_busy(tasks, monkeypatch):
    monkeypatch.setattr(engines, "GRACE", 0.1)
    with Processes(2) as pool:
        results = pool.map(tasks.slow, [0, 300])
        next(results)
        pids = [worker.process.pid for worker in pool._all]
        assert len(pids) == 2
        assert all(map(_is_running, pids))
    assert not any(map(_is_running, pids))


def test_workers_do_not_outlive_a_killed_parent(tasks, tmp_path):
    code = (
        f"import sys; sys.argv[0] = 'mixtura'; sys.path.insert(0, {str(Path(tasks.__file__).parent)!r})\n"
        "import tasks_of_workers\n"
        "from mixtura.systems.world.engines import Processes\n"
        f"list(Processes(2).map(tasks_of_workers.say_and_sleep, [{str(tmp_path)!r}] * 2))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})

    def named():
        return [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]

    _until(lambda: len(named()) == 2)
    assert len(list(tmp_path.glob("mixtura-worker-*"))) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _until(lambda: not any(map(_is_running, named())))
    assert not list(tmp_path.glob("mixtura-worker-*"))


@pytest.fixture(scope="module")
def cluster(tasks):
    """Start Ray on this machine; its workers find the tasks as those of a cluster find what is installed."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(tasks.__file__).parent))
        with engine("ray", 2) as cluster:
            yield cluster


@pytest.mark.slow
def test_ray_maps_as_the_others(cluster, tasks, tmp_path):
    assert dict(cluster.map(tasks.square, range(20))) == {number: number**2 for number in range(20)}
    first, second = (dict(cluster.map(tasks.process, range(8))) for _ in range(2))
    assert len({pid for pid, *_ in [*first.values(), *second.values()]} - {os.getpid()}) <= 2
    assert {tuple(facts) for _, *facts in first.values()} == {("cpu", False, False)}
    with pytest.raises(LookupError, match="no two"):
        list(cluster.map(tasks.fail, range(4)))
    with closing(cluster.map(tasks.slow, [0, 300])) as results:
        next(results)
    assert dict(cluster.map(tasks.square, [3])) == {0: 9}


@pytest.mark.slow
def test_ray_does_again_what_crashed_or_hung(cluster, tasks, tmp_path):
    for name, task, options in (("crash", tasks.crash, {}), ("hang", tasks.hang, {"timeout": 15})):
        (tmp_path / name).mkdir()
        items = [(number, str(tmp_path / name), 1) for number in range(4)]
        assert dict(cluster.map(task, items, **options)) == {number: number for number in range(4)}
    with pytest.raises(TrainingError, match="item 0 of 1 failed 3 times: its worker was lost"):
        list(cluster.map(tasks.killed, [0]))


def test_engines_by_name():
    assert isinstance(engine("serial"), Serial)
    with engine("processes", 3) as pool:
        assert pool.workers == 3
    with pytest.raises(InputError, match="there is no engine 'mpi'; expected serial, processes, ray"):
        engine("mpi")
    with pytest.raises(InputError, match="expected one worker or more; received 0"):
        engine("processes", 0)


def test_a_missing_ray_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"this needs ray; pip install 'mixtura\[ray\]'"):
        engine("ray")
