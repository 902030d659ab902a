"""What `mixtura doctor` reports."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mixtura
from mixtura import backend

_PACKAGES = ("keras", "jax", "jaxlib", "torch", "tensorflow", "numpy", "scipy", "matplotlib")


def findings(cache: Path) -> Iterator[tuple[str, str]]:
    """Yield names and values: versions first, then what needs Keras to be imported.

    Args:
        cache: the folder of the command's caches.
    """
    yield "mixtura", f"{mixtura.__version__} in {Path(mixtura.__file__).parent}"
    yield "python", f"{platform.python_version()} on {platform.platform()}"
    yield "backend", f"{backend.chosen.name}: {backend.chosen.reason}"
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"
    yield "devices", _devices()
    compiled = Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", cache / "jax"))
    yield "compiled programs", _size(compiled)
    yield "Keras configuration", str(backend.keras_home() / "keras.json")


def _devices() -> str:
    try:
        import keras

        return f"{', '.join(keras.distribution.list_devices())} ({os.cpu_count()} processors)"
    except Exception as error:  # a broken backend is what people run the doctor for
        return f"the backend does not load: {error}"


def _size(folder: Path) -> str:
    files = [file for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    return f"{folder} ({len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB)"
