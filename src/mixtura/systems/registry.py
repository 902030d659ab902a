"""The systems that there are: the folders beside this file, and any file of a user's own."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from mixtura import systems
from mixtura.errors import InputError
from mixtura.systems.system import System


def names() -> list[str]:
    """Return the names of Mixtura's systems of sequences."""
    return [name for name in _folders() if _systems_of(name)]


def find(name: str, run: Path | None = None) -> System:
    """Return a system by its name, or from a Python file of the user's own.

    Args:
        name: of one of Mixtura's systems, or the path of a file ending in ".py" that has a subclass of
            `System`.
        run: whose system it is, for the message.

    Raises:
        InputError: if there is no such system.
    """
    if name.endswith(".py"):
        return _from_file(Path(name))
    if found := _systems_of(name):
        return found[0]()
    if run is not None:
        raise InputError(
            f"{run} is a run of the system {name!r}, which is none of Mixtura's; name its file with --system."
        )
    raise InputError(f"there is no system {name!r}; expected one of {', '.join(names())}, or a Python file.")


def shipped(run: Path) -> Path:
    """Return the run folder that is installed with a system, by the system's name.

    Raises:
        InputError: if there is no such system, or it ships no model.
    """
    name = str(run)
    if not _systems_of(name):
        raise InputError(f"{run} is not a folder; expected one that `mixtura train` left.")
    folder = Path(sys.modules[f"mixtura.systems.{name}"].__path__[0]) / "shipped"
    if not folder.is_dir():
        raise InputError(f"{name} ships no model; train one with `mixtura train {name}`.")
    return folder


def _folders() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(systems.__path__) if module.ispkg)


def _systems_of(name: str) -> list[Any]:
    """Return the systems that the folder of a name offers: none if there is no such folder."""
    return _systems(importlib.import_module(f"mixtura.systems.{name}")) if name in _folders() else []


def _systems(module: ModuleType) -> list[Any]:
    """Return the systems that a module defines or its folder offers."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, System)
        and value is not System
        and value.__module__.startswith(module.__name__)
    ]


def _from_file(path: Path) -> System:
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected a Python file with a subclass of System.")
    name = f"_system_{path.stem}"  # no module of another's
    loader = SourceFileLoader(name, str(path))
    # As an import would: `__file__` is set, and dataclasses look their module up.
    sys.modules[name] = module = module_from_spec(spec_from_loader(name, loader))  # type: ignore[arg-type]
    try:
        loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{path} cannot be imported ({type(error).__name__}: {error}).") from error
    found = _systems(module)
    if len(found) != 1:
        raise InputError(f"{path} has {len(found)} subclasses of System; expected one.")
    return found[0]()
