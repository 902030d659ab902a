"""Checkpoints: one file with everything that training needs to go on, there whole or not at all."""

from __future__ import annotations

import json
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
    settings: dict[str, Any]  # what must be the same to go on
    is_over: bool  # a callback has stopped training
    is_final: bool  # the model was stored after training
    history: list[dict[str, Any]]  # the losses and metrics of each epoch
    optimizer: str  # its class
    callbacks: list[dict[str, Any]]  # the class and the plain attributes of each
    generator: np.ndarray | None  # the backend's own, where it has one
    variables: list[np.ndarray]

    def write(self, path: Path) -> None:
        """Write an npz file: a JSON header, and the arrays without pickles."""
        arrays = {f"variable{place}": _portable(array) for place, array in enumerate(self.variables)}
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
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            header = json.loads(arrays.pop("header").tobytes())
            if (found := header.pop("format")) != _FORMAT:
                raise ValueError(f"its format is {found!r}, not {_FORMAT!r}")
            count = header.pop("variables")
            header = _with_arrays(header, arrays)
            return cls(**header, variables=[arrays[f"variable{place}"] for place in range(count)])
        except FileNotFoundError:
            raise
        except Exception as error:  # damage shows in any way: a zip file's, NumPy's, JSON's
            raise InputError(
                f"{path} is damaged or no checkpoint of Mixtura's ({error}); the run cannot go on from it."
            ) from error


def _portable(array: np.ndarray) -> np.ndarray:
    """Return bfloat16 and float8, which npz files do not know, as float32, which has all their values."""
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _without_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a JSON value in which a reference stands for each array, and add the array to `arrays`."""
    if isinstance(value, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = _portable(value)
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
