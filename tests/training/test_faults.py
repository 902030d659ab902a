"""Kill training at any moment, go on, and compare with training that nobody killed.

Run as a script this file is a server: it reads one job a line and forks a process for each, which costs less
than a start of Python. The server itself never computes, as a forked process must not inherit JAX's threads.
"""

import builtins
import csv
import io
import json
import mmap
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mixtura as mx

# isort: split
import keras
import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.training import DataNoise, Run, fit, resuming
from mixtura.training.checkpoint import Checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="others compute before they are forked"),
]

FILES = ["checkpoint.npz", "config.json", "history.csv", "model.keras"]
EPOCHS = 60
RANDOM_RUNS = 30
# Which file, which of its writes, and where: inside it, before or after it takes its place. The writes after
# training have stored its model are "final".
POINTS = [
    ("config", 1, "inside"),
    ("config", 1, "before"),
    ("model", 1, "inside"),
    ("model", 1, "before"),
    ("model", 1, "after"),
    ("checkpoint", 1, "inside"),
    ("checkpoint", 2, "inside"),
    ("checkpoint", 2, "before"),
    ("checkpoint", 2, "after"),
    ("history", 1, "inside"),
    ("history", 2, "before"),
    ("model", 2, "inside"),
    ("model", 2, "after"),
    ("final checkpoint", 1, "inside"),
    ("final checkpoint", 1, "after"),
]


# In the forked process.


def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


class KillingFile(io.FileIO):
    """A file whose process is killed as soon as it has so many bytes."""

    def __init__(self, path, left):
        super().__init__(path, "w")
        self.left = left

    def write(self, data):
        if len(data) >= self.left:
            super().write(data[: self.left])
            kill_oneself()
        self.left -= len(data)
        return super().write(data)


def watch_writes(phase, kill):
    """Write to shared memory what is being written, and be killed where `kill` says."""
    plain_open, plain_replace = io.open, Path.replace
    writes = Counter()

    def key(name):
        return ("final " if writes["model"] >= 2 and name != "model" else "") + name

    def is_due(name, where):
        return kill and [name, writes[name], where] == kill[:3]

    def watching_open(path, mode="r", *args, **kwargs):
        name = Path(path).name if isinstance(path, str | Path) else ""
        if not name.startswith(".mixtura-") or "r" in mode:
            return plain_open(path, mode, *args, **kwargs)
        name = key(name.split("-")[1])
        writes[name] += 1
        phase[:32] = name.encode().ljust(32)
        if not is_due(name, "inside"):
            return plain_open(path, mode, *args, **kwargs)
        file = io.BufferedWriter(KillingFile(path, kill[3]))
        return file if "b" in mode else io.TextIOWrapper(file, newline=kwargs.get("newline"))

    def watching_replace(self, target):
        name = key(Path(target).stem)
        if is_due(name, "before"):
            kill_oneself()
        plain_replace(self, target)
        if is_due(name, "after"):
            kill_oneself()
        phase[:32] = b"other work".ljust(32)

    builtins.open = io.open = watching_open
    Path.replace = watching_replace


class Signal(keras.callbacks.Callback):
    """Tells the server when the first epoch of this process is over, and remembers the weights."""

    def __init__(self, phase, pipe):
        super().__init__()
        self._phase, self._pipe, self._weights = phase, pipe, {}

    def on_epoch_begin(self, epoch, logs=None):
        self._phase[:32] = b"epoch".ljust(32)

    def on_epoch_end(self, epoch, logs=None):
        if not self._weights:
            os.write(self._pipe, b"2")
        self._weights[epoch + 1] = self.model.get_weights()


def train(folder, phase, pipe):
    """Return everything that must not depend on kills."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (96, 1))
    y = np.sin(3 * x) + 0.3 * rng.standard_normal(x.shape)
    family = mx.Mixture(mx.Normal(1), 2)
    layers = [keras.Input((1,)), keras.layers.Dense(8, "tanh"), keras.layers.Dropout(0.2), mx.MDN(family)]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, loss=mx.NegativeLogLikelihood(family))
    start = model.get_weights()
    callbacks = [
        keras.callbacks.SwapEMAWeights(),
        keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.7, min_delta=0.01),
        keras.callbacks.EarlyStopping(patience=5, min_delta=0.01, restore_best_weights=True),
        Signal(phase, pipe),
    ]
    os.write(pipe, b"1")
    run = Run.begin(folder, {"epochs": EPOCHS}, resume=True)
    history = fit(
        model,
        x[:64],
        y[:64],
        16,
        EPOCHS,
        verbose=0,
        callbacks=callbacks,
        validation_data=(x[64:], y[64:]),
        seed=5,
        noise=DataNoise(0.1, 0.1),
        run=run,
    )
    return {
        "history": history.history,
        "weights": model.get_weights(),
        "optimizer": [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables],
        "epochs": {0: start} | callbacks[-1]._weights,
    }


def check_killed(folder, reference):
    """What a kill has left must be whole, and be a state of the training that nobody killed."""
    visible = [name for name in os.listdir(folder) if not name.startswith(".")] if folder.exists() else []
    assert set(visible) <= set(FILES)
    if "model.keras" not in visible:
        with pytest.raises(InputError, match=r"no model yet|not a run|not a folder") as error:
            mx.load(folder)
        assert "\n" not in str(error.value)
        return
    json.loads((folder / "config.json").read_text())
    weights = reference["epochs"][0]
    if "checkpoint.npz" in visible:
        checkpoint = Checkpoint.read(folder / "checkpoint.npz")
        weights = reference["weights" if checkpoint.is_final else "epochs"]
        weights = weights if checkpoint.is_final else weights[checkpoint.epochs]
    np.testing.assert_equal(mx.load(folder).get_weights(), weights)
    if "history.csv" in visible:
        check_history(folder, reference["history"], whole=False)


def check_history(folder, history, whole=True):
    with (folder / "history.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names == ["epoch", *history]
    expected = [[epoch, *row] for epoch, row in enumerate(zip(*history.values(), strict=True), 1)]
    assert [[float(value) for value in row] for row in rows] == expected[: None if whole else len(rows)]


def forked(job, phase, pipe):
    folder = Path(job["folder"])
    resuming.INTERVAL = job["interval"]
    reference = pickle.loads(Path(job["reference"]).read_bytes()) if "reference" in job else None
    if reference:
        check_killed(folder, reference)
    watch_writes(phase, job.get("kill"))
    result = train(folder, phase, pipe)
    assert sorted(os.listdir(folder)) == FILES  # nothing of killed writes
    np.testing.assert_equal(mx.load(folder).get_weights(), result["weights"])
    check_history(folder, result["history"])
    if reference is None:
        Path(job["result"]).write_bytes(pickle.dumps(result))
    else:
        for key in ("history", "weights", "optimizer"):
            np.testing.assert_equal(result[key], reference[key])


# In the server.


def serve():
    for line in sys.stdin:
        job = json.loads(line)
        phase = mmap.mmap(-1, 32)
        phase[:32] = b"start".ljust(32)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                forked(job, phase, write)
            except BaseException:
                Path(job["log"]).write_text(traceback.format_exc())
                os._exit(1)
            os._exit(0)
        os.close(write)
        times = []
        for moment in ("start", "epoch"):
            os.read(read, 1)
            times.append(time.monotonic())
            if job.get("after") == moment:
                time.sleep(job["delay"])
                os.kill(child, signal.SIGKILL)  # still this process, dead or not: it was not waited for
        _, status = os.waitpid(child, 0)
        times.append(time.monotonic())
        os.close(read)
        code = os.waitstatus_to_exitcode(status)
        answer = {"code": code, "phase": phase[:].decode().strip(), "times": times}
        print(json.dumps(answer), flush=True)


class Server:
    def __init__(self, cache):
        environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, **job):
        """Run a job to its end or its kill; return whether it was killed, where, and the seconds."""
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["code"] in (0, -signal.SIGKILL), Path(job["log"]).read_text()
        return answer

    def close(self):
        self._process.communicate(timeout=60)


# In the test.


class Trials:
    """Kills on two servers, which share what JAX has compiled."""

    def __init__(self, folder):
        self.folder = folder
        self.servers = [Server(folder / "cache") for _ in range(2)]
        found = []
        for name in "compiles", "again", "reference":
            times = self.run(0, name, interval=0.0, result=str(folder / "result"))["times"]
            found.append(np.diff(times))
        self.durations = dict(zip(("start", "epoch"), np.min(found, 0).tolist(), strict=True))

    def run(self, server, name, **job):
        return self.servers[server].do(
            folder=str(self.folder / name), log=str(self.folder / f"{name}.log"), **job
        )

    def killed(self, server, name, jobs):
        """Kill a run in the given ways, then let it finish; return where it was when it was killed."""
        phases = []
        for job in jobs:
            answer = self.run(server, name, reference=str(self.folder / "result"), **job)
            if answer["code"] != 0:
                phases.append(answer["phase"])
        return phases

    def all(self, name, jobs):
        """Do `jobs`, the lists for `killed`, one half on each server; count where they were killed."""

        def half(server):
            return [self.killed(server, f"{name}{n}", jobs[n]) for n in range(server, len(jobs), 2)]

        with ThreadPoolExecutor(2) as pool:
            runs = [phases for part in pool.map(half, range(2)) for phases in part]
        return Counter(phase for phases in runs for phase in phases)

    def close(self):
        for server in self.servers:
            server.close()


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    trials = Trials(tmp_path_factory.mktemp("faults"))
    yield trials
    trials.close()


def test_a_run_killed_at_random_moments_ends_as_if_nobody_had_killed_it(trials):
    rng = random.Random(1)

    def job(interval):
        after = rng.choice(["start", "epoch", "epoch"])
        return {"interval": interval, "after": after, "delay": rng.uniform(0, 0.9 * trials.durations[after])}

    jobs = []
    for number in range(RANDOM_RUNS):
        interval = (0.0, 0.02)[number // 2 % 2]
        jobs.append([job(interval) for _ in range(rng.choice([1, 1, 2, 3]))] + [{"interval": interval}])
    phases = trials.all("random", jobs)
    writes = sum(phases[name] for name in {name for name, _, _ in POINTS})
    assert phases.total() >= 20, phases  # some end before their kill
    assert min(phases["other work"], phases["epoch"], writes) >= 2, phases


def test_a_run_killed_in_its_writes_ends_as_if_nobody_had_killed_it(trials):
    rng = random.Random(2)
    jobs = []
    for interval in 0.0, 0.02:
        for name, turn, where in POINTS:
            file = next(file for file in FILES if file.startswith(name.removeprefix("final ")))
            size = (trials.folder / "reference" / file).stat().st_size
            offset = int(rng.uniform(0, 1) * size * (0.04 if name == "history" else 0.9))
            kill = [name, turn, where, offset]
            jobs.append([{"interval": interval, "kill": kill}, {"interval": interval}])
    phases = trials.all("write", jobs)
    assert phases.total() == len(jobs)
    assert phases == Counter(name for name, _, _ in POINTS * 2)


if __name__ == "__main__":
    serve()
