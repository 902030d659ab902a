"""What every benchmark says about where it ran, and how its results are kept."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
RESULTS = Path(__file__).parent / "results"

Work = dict[str, tuple[Callable[[], Any], float]]  # what to time, and by what to multiply its time


def settle() -> None:
    """Choose JAX on the processor and the number of threads; call it before the backends are imported."""
    os.environ |= {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": str(CORES),  # as many as XLA takes
        "OMP_WAIT_POLICY": "PASSIVE",  # PyTorch's threads sleep, not spin, while others are timed
    }


def timed(work: Work, repetitions: int) -> dict[str, list[float]]:
    """Return the times of each contestant in each repetition, after one that does not count.

    Args:
        work: of each contestant what it does, and by what its seconds are multiplied.
        repetitions: how many; in each, all take their turn.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(1 + repetitions):
        for name, (run, factor) in work.items():
            time.sleep(0.05)  # PyTorch's threads spin for a while after their work
            before = time.perf_counter()
            run()
            if number:
                times[name].append((time.perf_counter() - before) * factor)
    return times


def describe(packages: Sequence[str]) -> dict[str, Any]:
    """Return the date, the processor and the versions."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": CORES,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON: the whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        part.write_text(json.dumps(content, indent=1) + "\n")
        part.replace(path)


def _cpu() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), platform.processor())
