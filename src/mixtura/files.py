"""Files that are there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixtura.errors import InputError

# Nobody else's files are called like this, so what killed writes have left can be removed.
_TEMPORARY = ".mixtura-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{_TEMPORARY}{path.stem}-"
    name = None
    try:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes it private
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # or a power failure could leave the new name without what it names
        temporary.replace(path)
    except OSError as error:
        if _names_a_temporary_path(error):
            raise OSError(error.errno, error.strerror, str(path)) from error  # the path that is known
        raise
    finally:
        if name is not None:
            Path(name).unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes the place of `path`, else it is removed.

    A folder that is there is moved away in the moment before, so a kill just then leaves none of the name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY}{path.name}-", dir=path.parent) as beside:
            folder = Path(beside) / "new"
            folder.mkdir()
            yield folder
            if path.exists():
                path.rename(Path(beside) / "former")
            folder.rename(path)
    except OSError as error:
        if _names_a_temporary_path(error):
            raise OSError(error.errno, error.strerror, str(path)) from error  # the path that is known
        raise


def _names_a_temporary_path(error: OSError) -> bool:
    place = Path(str(error.filename))
    return any(map(is_leftover, (place, *place.parents)))


def is_leftover(path: Path) -> bool:
    """Tell whether a path is a temporary one of `replacing` or `replacing_folder`."""
    return path.name.startswith(_TEMPORARY)


def remove_leftovers(folder: Path) -> None:
    """Remove what writes that were killed have left in a folder and the folders in it."""
    for path in list(folder.rglob(f"{_TEMPORARY}*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def check_output(path: Path, overwrite: bool) -> None:
    """Raise an InputError if `path` exists and may not be overwritten; call it before any work."""
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise InputError(f"{path} exists; name another output or give --overwrite.")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
