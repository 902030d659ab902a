"""What several commands need: the caches' folder and a check of their arguments."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mixtura.errors import InputError


def cache_folder() -> Path:
    """Return the folder where this user's caches belong."""
    if named := os.environ.get("MIXTURA_CACHE"):
        return Path(named)
    home = Path.home()
    base = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or base) / "mixtura"


def cache_compiled_programs() -> None:
    """Let JAX keep compiled programs between commands, unless the user chose a place for them.

    Call it before Keras is imported. A second run then starts in a quarter of the time.
    """
    folder = cache_folder() / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def check_temperature(temperature: float | None) -> None:
    """Raise an InputError if a temperature is none that a draw can have."""
    if temperature is not None and not 0 <= temperature <= 100:
        raise InputError(f"The temperature must be between 0 and 100; received {temperature}.")
