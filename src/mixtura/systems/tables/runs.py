"""Run folders of `mixtura fit`, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixtura.data.tables import Inputs
from mixtura.errors import InputError
from mixtura.estimators import MDNRegressor
from mixtura.training import Run


def load(run: Path) -> tuple[MDNRegressor, Inputs]:
    """Return the regressor of a run folder and which columns it reads.

    Raises:
        InputError: if the folder is not a run of `fit`.
    """
    config = configuration(run)
    return MDNRegressor.load(run), Inputs(**config["inputs"])


def configuration(run: Path) -> dict[str, Any]:
    """Return what a run was begun with.

    Raises:
        InputError: if the folder is not a run of `fit`.
    """
    if not run.is_dir():
        raise InputError(f"{run} is not a folder; expected one that `mixtura fit` left.")
    config = Run(run).config
    if (system := config.get("system")) != "tables":
        raise InputError(f"{run} is a run of {system!r}; expected one that `mixtura fit` left.")
    if "regressor" not in config:
        raise InputError(f"{run} was left by an older version of `mixtura fit`; train it again.")
    return config
