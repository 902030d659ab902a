"""Files that are there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mixtura.errors import InputError

T = TypeVar("T")

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


def write_folder(path: Path, ending: str, items: Sequence[T], write: Callable[[Path, T], object]) -> None:
    """Write a folder of numbered files, `1.csv` and so on; it is there whole or not at all.

    A folder of such files that is there is replaced.

    Args:
        path: the folder.
        ending: of the files, with its dot.
        items: what to write, each to a file.
        write: writes an item to a file.

    Raises:
        InputError: if something else is there.
    """
    if path.exists() and not (path.is_dir() and all(file.suffix == ending for file in path.iterdir())):
        raise InputError(f"{path} exists and is no folder of {ending[1:].upper()} files; name another output")
    digits = len(str(len(items)))
    with replacing_folder(path) as folder:
        for number, item in enumerate(items, start=1):
            write(folder / f"{number:0{digits}}{ending}", item)


def check_output(path: Path, overwrite: bool, source: Path | None = None) -> None:
    """Raise an InputError if `path` may not be written; call it before any work.

    Args:
        path: the output.
        overwrite: whether what is there may be replaced.
        source: what is read; it may not be.
    """
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise InputError(f"{path} exists; name another output or give --overwrite.")
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise InputError(f"{path} is what is read; name another output.")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
