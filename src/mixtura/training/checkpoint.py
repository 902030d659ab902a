"""Checkpoints: one file with everything that training needs to go on, there whole or not at all."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from mixtura.errors import InputError
from mixtura.files import replacing

_FORMAT = "mixtura checkpoint 1"


class Checkpoint(NamedTuple):
    """The state of a run after an epoch."""

    epochs: int  # done so far
    seed: int
    data: str  # a fingerprint of the training data
    is_over: bool  # a callback has stopped training
    is_final: bool  # the model was stored after training
    history: dict[str, list[Any]]
    callbacks: list[dict[str, Any]]  # the class and the plain attributes of each
    generator: np.ndarray | None  # the backend's own, where it has one
    variables: list[np.ndarray]

    def write(self, path: Path) -> None:
        """Write an npz file: a JSON header, and the arrays without pickles."""
        arrays = {f"variable{place}": array for place, array in enumerate(self.variables)}
        header = self._asdict() | {"format": _FORMAT, "variables": len(arrays)}
        text = json.dumps(_without_arrays(header, arrays))
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, header=np.frombuffer(text.encode(), np.uint8), **arrays)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            InputError: if the file is damaged or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(arrays.pop("header").tobytes())
            if header.pop("format") != _FORMAT:
                raise ValueError("another format")
            count = header.pop("variables")
            header = _with_arrays(header, arrays)
            return cls(**header, variables=[arrays[f"variable{place}"] for place in range(count)])
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path} is damaged or no checkpoint of Mixtura's ({error}); the run cannot go on from it."
            ) from error


def _without_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a JSON value in which a reference stands for each array, and add the array to `arrays`."""
    if isinstance(value, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _without_arrays(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(inner, arrays) for inner in value]
    return value


def _with_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Undo `_without_arrays`."""
    if isinstance(value, dict) and list(value) == ["array"]:
        return arrays[value["array"]]
    if isinstance(value, dict):
        return {key: _with_arrays(inner, arrays) for key, inner in value.items()}
    return [_with_arrays(inner, arrays) for inner in value] if isinstance(value, list) else value
