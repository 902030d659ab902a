"""Run folders: what training leaves, and goes on from."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import keras

from mixtura.errors import InputError, TrainingError
from mixtura.files import check_output, is_leftover, remove_leftovers, replacing
from mixtura.training import state
from mixtura.training.checkpoint import Checkpoint
from mixtura.training.processes import alone, by_the_first, is_first
from mixtura.training.trainer import Trainer

_FORMAT = "mixtura run 1"


class Run:
    """A folder with everything about one training.

    ================== ==================================================================
    `config.json`      what was asked for
    `model.keras`      the model: before training its architecture, afterwards the result
    `history.csv`      losses and metrics of every epoch
    `checkpoint.npz`   weights, optimiser, epoch, seed and callbacks, to go on from
    `figures/`         pictures
    ================== ==================================================================

    Every file is written beside its place and then moved there, so it is whole at every moment. Get one from
    `Run.begin`, and give it to `mixtura.training.fit`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @classmethod
    def begin(
        cls, path: Path, config: Mapping[str, Any], *, overwrite: bool = False, resume: bool = False
    ) -> Self:
        """Make the folder, or open it to go on.

        Args:
            path: the folder.
            config: what `config.json` says; the same when a run goes on.
            overwrite: replace a run that is there.
            resume: go on with a run that is there; begin where there is none.

        Raises:
            InputError: if something is there and neither was asked for; if it is no run; if it was begun with
                another configuration; if the folder cannot be written. Nothing is changed then.
        """
        run = cls(path)
        by_the_first(lambda: run._begin(config, overwrite, resume))
        return run

    def _begin(self, config: Mapping[str, Any], overwrite: bool, resume: bool) -> None:
        try:
            if self._is_there():
                check_output(self.path, overwrite or resume)
                self.config  # noqa: B018 - raises where it is no run
                if resume:
                    self._check(config)
            if self.path.is_dir():
                remove_leftovers(self.path)
            # Written also where a run goes on: it shows now whether the folder can be written. Where a kill
            # stops the clearing, config.json is still there, and the folder a run.
            with replacing(self.path / "config.json") as temporary:
                temporary.write_text(json.dumps({"format": _FORMAT, **config}, indent=2) + "\n")
                if not resume:
                    self._clear()
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}).") from error

    def _is_there(self) -> bool:
        if not self.path.is_dir():
            return os.path.lexists(self.path)
        return not all(map(is_leftover, self.path.iterdir()))

    def _clear(self) -> None:
        """Remove everything but `config.json`, first what a run would go on from."""
        for path in sorted(self.path.iterdir(), key=lambda path: path.name != "checkpoint.npz"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "config.json" and not is_leftover(path):
                path.unlink()

    def _check(self, config: Mapping[str, Any]) -> None:
        if different := _difference(self.config, json.loads(json.dumps(config))):
            name, found, wanted = different
            raise InputError(f"{self.path} was begun with {name} = {found!r}; received {wanted!r}.")

    @property
    def config(self) -> dict[str, Any]:
        """What the run was begun with.

        Raises:
            InputError: if the folder is no run.
        """
        try:
            config = json.loads((self.path / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path} is not a run: it has no readable config.json.") from error
        if not isinstance(config, dict) or config.pop("format", None) != _FORMAT:
            raise InputError(f"{self.path} is not a run: its config.json does not say {_FORMAT!r}.")
        return config

    def figure(self, name: str) -> Path:
        """Return the path of a figure."""
        return self.path / "figures" / f"{name}.png"

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        with self._writing(name) as path:
            path.write_text(json.dumps(value, indent=2) + "\n")

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint, None if there is none yet."""
        try:
            return Checkpoint.read(self.path / "checkpoint.npz")
        except FileNotFoundError:
            return None

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and the history up to it."""
        if is_first():
            with self._explaining("checkpoint.npz"):
                checkpoint.write(self.path / "checkpoint.npz")
            with self._writing("history.csv") as path, path.open("w", newline="") as file:
                names = dict.fromkeys(name for row in checkpoint.history for name in row)
                writer = csv.DictWriter(file, ["epoch", *names])
                writer.writeheader()
                writer.writerows({"epoch": epoch} | row for epoch, row in enumerate(checkpoint.history, 1))

    def restore(self, model: keras.Model, checkpoint: Checkpoint) -> None:
        """Give a built model the weights and the optimiser of a checkpoint.

        Raises:
            InputError: if it belongs to another model.
        """
        shapes = [tuple(variable.shape) for variable in state.variables(model)]
        is_same = type(model.optimizer).__name__ == checkpoint.optimizer
        if not is_same or shapes != [array.shape for array in checkpoint.variables]:
            raise InputError(f"The checkpoint in {self.path} belongs to another network or optimizer.")
        state.restore(model, checkpoint.variables)

    def save(self, model: keras.Model) -> None:
        """Write `model.keras`."""
        if is_first():
            with self._writing("model.keras") as path, alone():
                model.save(path)

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        with self._explaining(name), replacing(self.path / name) as path:
            yield path

    @contextmanager
    def _explaining(self, name: str) -> Iterator[None]:
        if not (self.path / "config.json").is_file():
            raise TrainingError(f"{self.path} is gone: it was moved or removed while training wrote to it.")
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"{self.path / name} could not be written ({error.strerror or error}). The run is whole up "
                "to its last checkpoint: once it can be written again, resume."
            ) from error


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the first entry that differs: its name, with those of what it lies in, and both values."""
    for name in [*found, *wanted]:
        one, other = found.get(name), wanted.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            if inner := _difference(one, other):
                return f"{name}.{inner[0]}", *inner[1:]
        elif one != other:
            return name, one, other
    return None


def load(run: str | Path) -> keras.Model:
    """Return the model of a run folder, with the family in its head, ready to predict.

    Of a run that has not finished it is the model after the last epoch that was kept; of a `Trainer`, the
    model in it.

    Raises:
        InputError: if the folder is no run, or its model or checkpoint is damaged.

    Example: `p = mixtura.load("run").layers[-1].family(model.predict(x))`.
    """
    folder = Run(Path(run))
    if not folder.path.is_dir():
        raise InputError(f"{run} is not a folder; expected one that training left.")
    folder.config  # noqa: B018 - raises where it is no run
    file = folder.path / "model.keras"
    if not file.is_file():
        raise InputError(f"{run} has no model yet: it ended before training began.")
    # In this order: training that ends meanwhile stores first its model, then its last checkpoint.
    checkpoint = folder.checkpoint()
    try:
        model = keras.models.load_model(file)
    except Exception as error:  # damage shows in any way: a zip file's, HDF5's, Keras'
        reason = str(error).partition("\n")[0]
        raise InputError(f"{file} is damaged or no model of Mixtura's ({reason}).") from error
    if checkpoint and not checkpoint.is_final:
        folder.restore(model, checkpoint)
    return model.model if isinstance(model, Trainer) else model
