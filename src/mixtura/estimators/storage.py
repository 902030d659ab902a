"""Fitted estimators as files without pickle: one npz archive of weights, and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import is_zipfile

import numpy as np

from mixtura import training
from mixtura.errors import InputError
from mixtura.estimators.columns import Columns
from mixtura.estimators.targets import Targets
from mixtura.evaluation import Baselines
from mixtura.files import replacing
from mixtura.training import KeepBestMembers, Run

if TYPE_CHECKING:
    from mixtura.estimators.regressor import MDNRegressor

_FORMAT = "mixtura regressor 1"
_CURVES = ("loss_curve_", "validation_loss_curve_", "validation_loss_", "conformal_tails_")

Regressor = TypeVar("Regressor", bound="MDNRegressor")


def described(regressor: MDNRegressor) -> dict[str, Any]:
    """Return everything about a fitted regressor but its arrays, as what JSON can hold.

    A random state that is no number is left out.
    """
    params = {name: _plain(value) for name, value in regressor._settings.items()}
    if not isinstance(params["random_state"], int | None):
        params["random_state"] = None
    return {
        "params": params,
        "columns": regressor._columns.to_dict(),
        "targets": regressor._targets.to_dict(),
        "baselines": regressor._baselines.to_dict(),
        "n_features_in_": regressor.n_features_in_,
        "n_outputs_": regressor.n_outputs_,
        "feature_names_in_": list(map(str, getattr(regressor, "feature_names_in_", []))),
    }


def restored(kind: type[Regressor], config: dict[str, Any], weights: list[np.ndarray]) -> Regressor:
    """Return a fitted regressor from what `described` returned and its weights."""
    regressor = kind(**config["params"])
    regressor._settings = config["params"]
    regressor._columns = Columns.from_dict(config["columns"])
    regressor._targets = Targets.from_dict(config["targets"])
    regressor._baselines = Baselines.from_dict(config["baselines"])
    regressor.n_features_in_ = config["n_features_in_"]
    regressor.n_outputs_ = config["n_outputs_"]
    if config["feature_names_in_"]:
        regressor.feature_names_in_ = np.array(config["feature_names_in_"], dtype=object)
    regressor._weights = weights
    return regressor


def save(regressor: MDNRegressor, path: Path) -> None:
    """Write a fitted regressor: the whole file or nothing."""
    head = {"format": _FORMAT, **described(regressor), "n_iter_": regressor.n_iter_}
    arrays = {name: np.asarray(getattr(regressor, name)) for name in _CURVES if hasattr(regressor, name)}
    arrays |= {f"weight{place}": weight for place, weight in enumerate(regressor._weights or [])}
    arrays["config"] = np.array(json.dumps(head))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load(kind: type[Regressor], path: Path) -> Regressor:
    """Return what `save` wrote, or what a run folder holds.

    Raises:
        InputError: if the file or folder is missing, damaged, or not of this kind.
    """
    if path.is_dir():
        return _of_run(kind, path)
    try:
        if path.is_file() and not is_zipfile(path):
            raise ValueError("it is no npz archive")
        # Opened here, because NumPy leaves a damaged archive open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        config = json.loads(str(arrays["config"]))
        if config["format"] != _FORMAT:
            raise ValueError(f"its format is {config['format']!r}, not {_FORMAT!r}")
        weights = [
            arrays[f"weight{place}"] for place in range(sum(name.startswith("weight") for name in arrays))
        ]
        regressor = restored(kind, config, weights)
        regressor.n_iter_ = config["n_iter_"]
        for name in _CURVES:
            if name in arrays:
                setattr(
                    regressor, name, arrays[name] if name == "conformal_tails_" else arrays[name].tolist()
                )
        regressor._network_  # noqa: B018 - builds the network, to which the weights must fit
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a file that `save` wrote.") from None
    except Exception as error:  # NumPy, the archive and a configuration of another shape raise a dozen kinds
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} is damaged or no saved MDNRegressor ({reason}).") from error
    return regressor


def _of_run(kind: type[Regressor], path: Path) -> Regressor:
    """Return the regressor that a run's configuration describes, with the weights of the run's model."""
    run = Run(path)
    if (config := run.config.get("regressor")) is None:
        raise InputError(
            f"{path} is a run without a regressor; expected one of this version's `mixtura fit`."
        )
    network = training.load(path)
    checkpoint = run.checkpoint()
    history = checkpoint.history if checkpoint else []
    callbacks = {kept["class"]: kept["attributes"] for kept in checkpoint.callbacks} if checkpoint else {}
    try:
        regressor = restored(kind, config, network.get_weights())
        regressor.loss_curve_ = [row["member_likelihoods"] for row in history]
        if regressor.early_stopping:
            regressor.validation_loss_curve_ = [row["val_member_likelihoods"] for row in history]
        if KeepBestMembers.__name__ in callbacks:
            regressor.validation_loss_ = float(np.mean(callbacks[KeepBestMembers.__name__]["best"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path / 'config.json'} is damaged or of another version ({error!r}).") from error
    regressor.n_iter_ = len(history)
    regressor._network = network
    return regressor


def _plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays, and tuples, as Python's numbers and lists."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
