"""Times the Response API as a client sees it: a real server on one core, real HTTP, real calls.

    python benchmarks/respond.py           # the shipped model
    python benchmarks/respond.py RUN       # that of a run folder

The server is a process of its own, held to one core where the system allows it; the clients are threads of
this process, on the other cores, each with a connection of its own. A call is a performance of five seconds,
drawn from the model; a request is `POST /api/predict`, RoboJam's contract: five seconds in answer. Of each
number of clients at once, 200 requests are timed, from sending the first byte to having read the last.

`alone` is the responder without HTTP, in the server's process. Nothing may fail, or the script stops.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import machine

machine.settle()

PACKAGES = ("mixtura", "jax", "keras", "numpy", "fastapi", "uvicorn")
CLIENTS, REQUESTS = (1, 4, 16), 200
CALLS, ALONE = 20, 50


def serve(run: str) -> None:
    """Time the responder alone, print that as a line of JSON, and serve it until Ctrl-C."""
    import numpy as np

    from mixtura import studio
    from mixtura.systems.robojam.commands import responder

    answers = responder(Path(run))
    tap = np.array([[0.5, 0.5, 0.0, 0.0]])
    calls = list(answers.respond(tap, count=CALLS, seed=0))
    touches, seconds = [], []
    for number in range(CALLS + ALONE):
        start = time.perf_counter()
        (answer,) = answers.respond(calls[number % CALLS], seed=number)
        if number >= CALLS:  # the first ones may compile
            seconds.append(time.perf_counter() - start)
            touches.append(len(answer))
    about = {
        "model": answers.name,
        "parameters": answers.model.count_params(),
        "ms": 1e3 * statistics.median(seconds),
        "touches_of_a_call": statistics.median(map(len, calls)),
        "touches_of_an_answer": statistics.median(touches),
    }
    print(json.dumps(about), flush=True)
    studio.serve(answers, port=0)


class Server:
    """The server's process.

    Args:
        run: a run folder, or robojam.
    """

    def __init__(self, run: str) -> None:
        before: Callable[[], None] | None = None
        if hasattr(os, "sched_setaffinity"):
            first, *others = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, others or [first])
            before = lambda: os.sched_setaffinity(0, [first])  # noqa: E731
        self.pinned = before is not None
        command = [sys.executable, __file__, "--serve", run]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=before
        )

    def __enter__(self) -> Server:
        lines, said = iter(self._process.stdout or ()), []
        for line in lines:
            said.append(line)
            if line.startswith("{"):
                self.alone, start = json.loads(line), time.perf_counter()
            if line.startswith("Answering at"):
                break
        else:
            raise SystemExit(f"the server did not start:\n{''.join(said)}")
        # What it logs must be read, or it would wait for that.
        threading.Thread(target=deque, args=(lines, 0), daemon=True).start()
        address = said[-1].split()[2]
        self.host, port = address.removeprefix("http://").split(":")
        self.port = int(port)
        Client(self).ask("GET", "/health", "")  # waits until all is compiled
        self.seconds_to_compile = time.perf_counter() - start
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)


class Client:
    """A connection that stays open."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=600)

    def ask(self, method: str, path: str, body: str) -> dict[str, Any]:
        """Return the JSON of a response, or stop the script."""
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise SystemExit(f"{path} answered {response.status}: {text.decode()}")
        return json.loads(text)


def calls_of(server: Server) -> list[str]:
    """Return performances of five seconds as RoboJam's clients send them."""
    client, question = Client(server), {"csv": "time,x,y\n0,0.5,0.5\n", "count": 10}
    drawn: list[str] = []
    while len(drawn) < CALLS:
        answers = client.ask("POST", "/api/v1/respond", json.dumps({**question, "seed": len(drawn)}))
        drawn += [answer["csv"] for answer in answers["answers"]]
    return [json.dumps({"perf": csv}) for csv in drawn]


def load(server: Server, clients: int, calls: list[str]) -> dict[str, float]:
    """Return one row of the results: latencies in milliseconds, and answers per second."""

    def work(own: int) -> list[float]:
        client, latencies = Client(server), []
        for number in range(own, REQUESTS, clients):
            start = time.perf_counter()
            answer = client.ask("POST", "/api/predict", calls[number % len(calls)])["response"]
            latencies.append(time.perf_counter() - start)
            if not answer.startswith("time,x,y,z,moving\n"):
                raise SystemExit(f"received {answer[:80]!r}")
        return latencies

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        latencies = [1e3 * one for part in threads.map(work, range(clients)) for one in part]
    elapsed = time.perf_counter() - start
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return {
        "clients": clients,
        "requests": len(latencies),
        "median_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
        "max_ms": max(latencies),
        "per_second": len(latencies) / elapsed,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="Time the Response API over HTTP.")
    parser.add_argument("run", nargs="?", default="robojam", help="by default the shipped model")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "respond.json", help="the JSON file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.run)
        return
    content = machine.describe(PACKAGES)
    with Server(arguments.run) as server:
        calls = calls_of(server)
        load(server, 1, calls)  # what the first requests import
        rows = [load(server, clients, calls) for clients in CLIENTS]
    alone = server.alone
    where = "one core" if server.pinned else "all cores"
    print(f"{content['cpu']}, the server on {where}; {content['versions']}")
    print(
        f"{alone['model']}, {alone['parameters']} parameters, ready after {server.seconds_to_compile:.1f} s"
    )
    print(
        f"alone: {alone['ms']:.1f} ms for {alone['touches_of_an_answer']:.0f} touches, five seconds, "
        f"after a call of {alone['touches_of_a_call']:.0f}\n"
    )
    print(f"{'clients':>8}{'requests':>10}{'median ms':>11}{'p95':>8}{'p99':>8}{'max':>8}{'per second':>12}")
    for row in rows:
        numbers = "".join(f"{row[name]:8.1f}" for name in ("p95_ms", "p99_ms", "max_ms"))
        print(
            f"{row['clients']:8}{row['requests']:10}{row['median_ms']:11.1f}{numbers}{row['per_second']:12.1f}"
        )
    about = {"alone": alone, "pinned": server.pinned, "seconds_to_compile": server.seconds_to_compile}
    machine.write(arguments.out, content | about | {"rows": rows})


if __name__ == "__main__":
    main()
