"""Picks the Keras backend before Keras is imported.

Keras reads its backend once, on its first import, and falls back to TensorFlow. Mixtura installs JAX, so
`import mixtura` must speak first. The order is: a Keras already imported; the variable `KERAS_BACKEND`; the
Keras configuration file, where it names something other than TensorFlow; else JAX. The file's `tensorflow`
is no evidence of a choice, because Keras writes it there unasked on its first import.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

_started = time.perf_counter()


class Choice(NamedTuple):
    """A backend's name and the reason it was chosen."""

    name: str
    reason: str


def choose() -> Choice:
    """Decide the backend and leave `KERAS_BACKEND` set when the decision was Mixtura's.

    The variable stays set because child processes that unpickle a model import Keras first.
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return Choice(keras.backend.backend(), "Keras was imported before Mixtura")
    if named := os.environ.get("KERAS_BACKEND"):
        return Choice(named, "the environment variable KERAS_BACKEND names it")
    path = keras_home() / "keras.json"
    named = _configured(path)
    if named not in (None, "tensorflow"):
        return Choice(named, f"{path} names it")
    os.environ["KERAS_BACKEND"] = "jax"
    return Choice("jax", "Mixtura's default; set KERAS_BACKEND to choose another")


def keras_home() -> Path:
    """Return the folder where Keras keeps its configuration."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def _configured(path: Path) -> str | None:
    try:
        named = json.loads(path.read_text()).get("backend")
    except (OSError, ValueError, AttributeError):
        return None
    return named if isinstance(named, str) and named else None


def uptime() -> float:
    """Return the seconds since Mixtura was imported: in the command, since it began."""
    return time.perf_counter() - _started


def in_command() -> bool:
    """Tell whether this process is the command `mixtura`, which must answer before Keras is imported."""
    return Path(sys.argv[0]).stem == "mixtura" or sys.orig_argv[1:3] == ["-m", "mixtura"]


chosen = choose()
