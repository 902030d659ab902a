"""Engines: one `map` over items, in this process, in processes beside it, or on a cluster.

What a worker computes must depend on its item alone: then every engine gives the same results, and an item
whose worker died is done again by another.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from _thread import interrupt_main
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from mixtura.errors import InputError, TrainingError
from mixtura.systems.world.environments import imported

T = TypeVar("T")
R = TypeVar("R")

TRIES = 3  # of an item, before its failures are taken for its own fault
GRACE = 2.0  # seconds that a worker has to close its games

# A worker computes on one core: the others have their own workers, and an accelerator is its parent's.
_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


class Engine:
    """Maps a function over items; a context manager."""

    def map(
        self, function: Callable[[T], R], items: Iterable[T], timeout: float | None = None
    ) -> Generator[tuple[int, R]]:
        """Yield the number of each item and its result, as they finish.

        Args:
            function: of a module, so that it can be pickled.
            items: can be pickled too.
            timeout: seconds that one item may take, with the start of its worker; None for any.

        Raises:
            TrainingError: if an item's worker died or took too long three times.
            Exception: what the function raises.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the workers."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def engine(name: str, workers: int | None = None) -> Engine:
    """Return an engine by its name.

    Args:
        name: "serial", "processes", or "ray"; "ray:ADDRESS" for a cluster that is running.
        workers: how many; by default as many as there are cores.

    Raises:
        InputError: if there is no such engine, or Ray is missing.
    """
    if workers is not None and workers < 1:
        raise InputError(f"expected one worker or more; received {workers}.")
    kind, _, address = name.partition(":")
    if kind == "ray":
        return Ray(address or None, workers)
    if name == "serial":
        return Serial()
    if name == "processes":
        return Processes(workers)
    raise InputError(f"there is no engine {name!r}; expected serial, processes, ray or ray:ADDRESS.")


class Serial(Engine):
    """Maps in this process, in order; a timeout has no effect."""

    def map(
        self, function: Callable[[T], R], items: Iterable[T], timeout: float | None = None
    ) -> Generator[tuple[int, R]]:
        """Yield the number of each item and its result."""
        for number, item in enumerate(items):
            yield number, function(item)


class _Died(Exception):
    """A worker ended without an answer."""


class _Pool(Engine):
    """Hands items to workers and replaces those that die or hang; a subclass says what a worker is."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._all: list[Any] = []
        self._idle: list[Any] = []

    def _start(self) -> Any:
        """Return a new worker."""
        raise NotImplementedError

    def _give(self, worker: Any, task: bytes) -> None:
        """Give a worker a pickled function and item; that it is dead is found when it should answer."""
        raise NotImplementedError

    def _finished(self, workers: list[Any], timeout: float | None) -> list[Any]:
        """Wait until some of the workers have answered or died, and return these."""
        raise NotImplementedError

    def _answer(self, worker: Any) -> bytes:
        """Return a worker's pickled answer.

        Raises:
            _Died: if there is none.
        """
        raise NotImplementedError

    def _end(self, workers: list[Any]) -> None:
        """End workers: politely, and if they do not hear, by force."""
        raise NotImplementedError

    def map(
        self, function: Callable[[T], R], items: Iterable[T], timeout: float | None = None
    ) -> Generator[tuple[int, R]]:
        """Yield the number of each item and its result, as they finish."""
        tasks = list(items)
        waiting = list(range(len(tasks)))[::-1]
        failures = [0] * len(tasks)
        busy: dict[Any, tuple[int, float]] = {}  # the item of each worker, and since when
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    task = pickle.dumps((function, tasks[waiting[-1]]))
                    worker = self._idle.pop() if self._idle else self._started()
                    busy[worker] = (waiting.pop(), time.monotonic())
                    self._give(worker, task)
                for worker, number, outcome in self._outcomes(busy, timeout):
                    if isinstance(outcome, str):
                        failures[number] += 1
                        if failures[number] == TRIES:
                            raise TrainingError(
                                f"item {number} of {len(tasks)} failed {TRIES} times: its worker {outcome}."
                            )
                        waiting.append(number)
                        continue
                    self._idle.append(worker)
                    returned, value = pickle.loads(outcome)
                    if not returned:
                        raise value
                    yield number, value
        finally:
            self._dismiss(list(busy))  # what was given up must not answer the next map

    def _outcomes(
        self, busy: dict[Any, tuple[int, float]], timeout: float | None
    ) -> Iterator[tuple[Any, int, bytes | str]]:
        """Yield the workers that are done, their items, and their answers, or what befell them."""
        left = None
        if timeout is not None:
            left = max(0.0, min(begun for _, begun in busy.values()) + timeout - time.monotonic())
        finished = self._finished(list(busy), left)
        now = time.monotonic()  # what answers while the caller works on results is not late
        late = [
            worker
            for worker, (_, begun) in busy.items()
            if timeout is not None and now - begun >= timeout and worker not in finished
        ]
        for worker in finished:
            try:
                outcome: bytes | str = self._answer(worker)
            except _Died as death:
                self._dismiss([worker])
                outcome = str(death)
            yield worker, busy.pop(worker)[0], outcome
        for worker in late:
            self._dismiss([worker])
            yield worker, busy.pop(worker)[0], f"took more than {timeout:g} seconds"

    def _started(self) -> Any:
        self._all.append(self._start())
        return self._all[-1]

    def _dismiss(self, workers: list[Any]) -> None:
        gone = [worker for worker in workers if worker in self._all]
        self._all = [worker for worker in self._all if worker not in gone]
        self._end(gone)

    def close(self) -> None:
        """End the workers."""
        self._idle.clear()
        self._dismiss(self._all)


# ---------------------------------------------------------------------- processes


class Processes(_Pool):
    """Maps in processes beside this one.

    A worker stays for the next map, with the games it has open. Each begins in a fresh interpreter, computes
    on one core, and ends with this process, however that ends.

    Args:
        workers: how many; by default as many as there are cores.
    """

    def __init__(self, workers: int | None = None) -> None:
        super().__init__(workers or _cores())

    def _start(self) -> _Process:
        return _Process()

    def _give(self, worker: _Process, task: bytes) -> None:
        with contextlib.suppress(OSError):
            worker.connection.send_bytes(task)

    def _finished(self, workers: list[_Process], timeout: float | None) -> list[_Process]:
        ready = wait([worker.connection for worker in workers], timeout)
        return [worker for worker in workers if worker.connection in ready]

    def _answer(self, worker: _Process) -> bytes:
        try:
            return worker.connection.recv_bytes()
        except (EOFError, OSError):
            raise _Died(worker.death()) from None

    def _end(self, workers: list[_Process]) -> None:
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            worker.end()


def _cores() -> int:
    """Return how many cores this process may use; where that is not told, how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Process:
    """A fresh interpreter that does tasks, with a folder for its temporary files.

    It is started by a command line, not by `multiprocessing`: so its variables are set before anything is
    imported, and a script needs no `if __name__ == "__main__"`.
    """

    # By this name of the program, Keras is not imported with `mixtura` (see `mixtura.backend.in_command`).
    _CODE = (
        "import sys; sys.argv[0] = 'mixtura'; sys.path[:] = {path!r}; "
        "from mixtura.systems.world.engines import _work; _work({descriptor})"
    )

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="mixtura-worker-")
        self.connection, theirs = Pipe()
        with theirs:
            path = [str(Path(one).absolute()) for one in sys.path]
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._CODE.format(path=path, descriptor=theirs.fileno())],
                env={**os.environ, **_ENVIRONMENT, "TMPDIR": self.folder},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # results go there, not what games say
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the parent; and a group that games are in too
            )

    def death(self) -> str:
        """Return how the process ended, which has closed its connection."""
        try:
            code = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def end(self) -> None:
        """Wait for the process, whose connection is closed, to end, and kill what is left of its group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2 * GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _work(descriptor: int) -> None:
    """Do tasks until the connection is closed or the parent gone: what a worker process does."""
    connection = Connection(descriptor)
    tasks: SimpleQueue[bytes] = SimpleQueue()

    def receive() -> None:
        try:
            while True:
                tasks.put(connection.recv_bytes())
        except (EOFError, OSError):
            interrupt_main()  # games are closed on the way out, so that their shared memory is freed
            tasks.put(b"")
            time.sleep(GRACE)
            shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)
            os.killpg(0, signal.SIGKILL)

    Thread(target=receive, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt, OSError):
        while task := tasks.get():
            connection.send_bytes(_done(task))
    atexit.register(shutil.rmtree, tempfile.gettempdir(), ignore_errors=True)


def _done(task: bytes) -> bytes:
    """Return the pickled answer to a pickled task: whether the function returned, and what."""
    try:
        function, item = pickle.loads(task)
        return pickle.dumps((True, function(item)))
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            answer = pickle.dumps((False, error))
            pickle.loads(answer)  # some exceptions can be written but not read
        except Exception:
            answer = pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
        return answer


# ---------------------------------------------------------------------- Ray


class Ray(_Pool):
    """Maps by actors of Ray, on this machine or a cluster.

    Every machine of a cluster has Mixtura installed, and folders that are written lie where all see them.

    Args:
        address: of a cluster that is running, as for `ray.init`; by default one is started on this machine,
            and shut down at the end.
        workers: how many actors; by default one for each of the cluster's CPUs.

    Raises:
        InputError: if Ray is missing, or there is no cluster at the address.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._ray = imported("ray", "ray")
        self._is_own = not self._ray.is_initialized()
        if self._is_own:
            own: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address is None else {}
            try:
                self._ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **own)
            except (ConnectionError, ValueError) as error:
                raise InputError(f"there is no Ray cluster at {address} ({error}).") from error
        super().__init__(workers or max(1, int(self._ray.cluster_resources().get("CPU", 1))))
        self._asked: dict[Any, Any] = {}

    def _start(self) -> Any:
        options = {"num_cpus": 1, "runtime_env": {"env_vars": _ENVIRONMENT}}
        return self._ray.remote(_actor()).options(**options).remote()

    def _give(self, worker: Any, task: bytes) -> None:
        self._asked[worker] = worker.done.remote(task)

    def _finished(self, workers: list[Any], timeout: float | None) -> list[Any]:
        asked = {self._asked[worker]: worker for worker in workers}
        ready, _ = self._ray.wait(list(asked), timeout=timeout)
        return [asked[one] for one in ready]

    def _answer(self, worker: Any) -> bytes:
        try:
            return self._ray.get(self._asked[worker])
        except self._ray.exceptions.RayError as error:
            raise _Died(f"was lost ({type(error).__name__})") from None

    def _end(self, workers: list[Any]) -> None:
        leaving = [worker.__ray_terminate__.remote() for worker in workers]
        if leaving:
            self._ray.wait(leaving, num_returns=len(leaving), timeout=GRACE)
        for worker in workers:
            self._ray.kill(worker)
            self._asked.pop(worker, None)

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        if self._ray.is_initialized():
            super().close()
            if self._is_own:
                self._ray.shutdown()


def _actor() -> type:
    """Return what does tasks on a cluster: a class that travels whole, and imports Mixtura without Keras."""

    class Actor:
        def __init__(self) -> None:
            import sys

            sys.argv[0] = "mixtura"

        def done(self, task: bytes) -> bytes:
            from mixtura.systems.world.engines import _done

            return _done(task)

    return Actor
