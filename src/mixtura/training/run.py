"""Run folders: what training leaves, and goes on from."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import keras

from mixtura.errors import InputError, TrainingError
from mixtura.files import check_output, replacing
from mixtura.training import state
from mixtura.training.checkpoint import Checkpoint


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
        there = run.path.is_dir() and any(run.path.iterdir())
        if there and (overwrite or resume) and not (run.path / "config.json").is_file():
            raise InputError(f"{path} is not a run: it has no config.json.")
        if there and resume:
            run._check(config)
            return run
        if there or not run.path.is_dir():
            check_output(run.path, overwrite)
        try:
            if there:
                shutil.rmtree(run.path)
            run.path.mkdir(parents=True, exist_ok=True)
            run.write("config.json", config)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}).") from error
        return run

    def _check(self, config: Mapping[str, Any]) -> None:
        for leftover in self.path.glob(".*-*"):  # of a write that was killed
            leftover.unlink()
        wanted = json.loads(json.dumps(config))
        found = self.config
        for name in [*found, *wanted]:
            if found.get(name) != wanted.get(name):
                raise InputError(
                    f"{self.path} was begun with {name} = {found.get(name)!r}; received {wanted.get(name)!r}."
                )

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` says.

        Raises:
            InputError: if the folder is no run.
        """
        try:
            config = json.loads((self.path / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path} is not a run: it has no readable config.json.") from error
        if not isinstance(config, dict):
            raise InputError(f"{self.path}/config.json is not a run's.")
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
        if _is_first_process():
            with self._explaining("checkpoint.npz"):
                checkpoint.write(self.path / "checkpoint.npz")
            with self._writing("history.csv") as path, path.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["epoch", *checkpoint.history])
                columns = checkpoint.history.values()
                writer.writerows([epoch, *row] for epoch, row in enumerate(zip(*columns, strict=False), 1))

    def save(self, model: keras.Model) -> None:
        """Write `model.keras`."""
        if _is_first_process():
            with self._writing("model.keras") as path:
                model.save(path)

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        with self._explaining(name), replacing(self.path / name) as path:
            yield path

    @contextmanager
    def _explaining(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"{self.path / name} could not be written ({error.strerror or error}). The run is whole up "
                "to its last checkpoint: once it can be written again, resume."
            ) from error


def _is_first_process() -> bool:
    if keras.backend.backend() != "jax" or keras.distribution.distribution() is None:
        return True
    import jax

    return jax.process_index() == 0


def load(run: str | Path) -> keras.Model:
    """Return the model of a run folder, with the family in its head, ready to predict.

    Of a run that has not finished it is the model after the last epoch that was kept.

    Raises:
        InputError: if the folder is no run, or its model or checkpoint is damaged.

    Example: `p = mixtura.load("run").layers[-1].family(model.predict(x))`.
    """
    folder = Run(Path(run))
    if not folder.path.is_dir():
        raise InputError(f"{run} is not a folder; expected one that training left.")
    folder.config  # noqa: B018 - raises where it is no run
    try:
        model = keras.models.load_model(folder.path / "model.keras")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder.path / 'model.keras'} is missing or damaged ({error}).") from error
    checkpoint = folder.checkpoint()
    if checkpoint and not checkpoint.is_final:
        state.restore(model, checkpoint.variables)
    return model
