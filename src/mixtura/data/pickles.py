"""Object arrays in NumPy's files, read without running the pickles that they are.

A pickle is a program, and loading one may do anything; yet data sets of sequences come as pickled arrays of
arrays: sketch-rnn's, MicroJam's, IMPSY's. Here such a program is taken apart, by `pickletools`, which runs
nothing, and followed by a machine that knows numbers, text, lists, tuples and, of all functions there are,
those in `_KNOWN`, which only note down what NumPy's own would build. Nothing that a file asks for is
imported, called or made, and what it may take is bounded by `LARGEST` and `LONGEST`.
"""

from __future__ import annotations

import math
import pickletools
import re
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from mixtura.errors import InputError

LARGEST = 2**31  # bytes of the arrays in a file, unpacked, and of the arrays that one refers to
LONGEST = 2**25  # steps of a pickle; an array takes about 20
_NPY = "arr_0"  # NumPy's name for an array without one
_NUMBER = re.compile(r"b1|[iu][1248]|f[248]")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ARGUMENTS = {  # opcodes that put their argument on the stack
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_object_arrays(path: str | Path) -> dict[str, list[np.ndarray] | np.ndarray]:
    """Read an `.npz` or `.npy` file that may hold object arrays of arrays of numbers.

    They may be pickled by Python 2 or 3, in any protocol up to 4.

    Args:
        path: the file.

    Returns:
        From each name (`arr_0` in an `.npy` file) to a list of arrays if it is an object array of arrays,
        else to an array. Numbers one by one in an object array, which is what NumPy makes of arrays that
        all have one shape, come as one array of float64. Other arrays are read-only.

    Raises:
        InputError: if the file is absent, damaged or none of these, a pickle asks for anything but arrays of
            numbers, an array is not of the size that its header says, arrays take more than `LARGEST`, or a
            pickle more than `LONGEST`.
    """
    path, where = Path(path), f"{path}"
    found: dict[str, list[np.ndarray] | np.ndarray] = {}
    try:
        with path.open("rb") as file:
            if file.peek(6)[:6] == np.lib.format.MAGIC_PREFIX:
                where = f"{path}: {_NPY!r}"
                _check_size(path.stat().st_size)
                return {_NPY: _read(file)}
            with zipfile.ZipFile(file) as stored:
                _check_size(sum(entry.file_size for entry in stored.infolist()))
                for entry in stored.infolist():
                    name = entry.filename.removesuffix(".npy")
                    where = f"{path}: {name!r}"
                    with stored.open(entry) as member:
                        found[name] = _read(member)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected an .npz or .npy file") from None
    except _Refused as refused:
        raise InputError(f"{where} {refused}; expected arrays of numbers") from None
    except Exception as error:  # damage shows in any way: a zip file's, NumPy's, a pickle's
        said = " ".join(str(error).split())[:100] or type(error).__name__
        raise InputError(f"{where} is damaged or no file of NumPy's ({said})") from error
    return found


class _Refused(Exception):
    """What is the matter with an array, as a verb and what follows."""


class _Type:
    """What a pickle says of a dtype."""

    order = "="

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code

    def build(self, state: Any) -> None:
        self.order, parts = state[1], state[2:5]  # the parts of a structured type
        if self.order not in ("<", ">", "=", "|") or parts != (None, None, None):
            raise _Refused("holds values that are no numbers")

    def dtype(self) -> np.dtype:
        if not isinstance(self.code, str) or not _NUMBER.fullmatch(self.code):
            what = f"of dtype {self.code[:20]!r}" if isinstance(self.code, str) else "without a dtype"
            raise _Refused(f"holds values {what}")
        return np.dtype(self.order.replace("|", "=") + self.code)


class _Array:
    """What a pickle says of an array: its values are bytes, the same as text, or a list of objects."""

    shape: tuple[int, ...] = ()
    type: _Type | None = None
    fortran = False
    values: Any = None

    def build(self, state: Any) -> None:
        _, self.shape, self.type, self.fortran, self.values = state
        if not isinstance(self.type, _Type) or not isinstance(self.shape, tuple):
            raise _Refused("holds an array without a shape or dtype")
        sizes = all(isinstance(size, int) and 0 <= size <= LARGEST for size in self.shape)
        if not sizes or len(self.shape) > 64:
            raise _Refused("holds an array of an impossible shape")

    @property
    def size(self) -> int:
        """The number of bytes, or of objects."""
        return len(self.values) if isinstance(self.values, str | bytes | list) else 0

    def array(self) -> np.ndarray:
        """Return the array of numbers."""
        if self.type is None or not isinstance(self.values, str | bytes):
            raise _Refused("holds an array inside an array that is none of numbers")
        values = self.values.encode("latin1") if isinstance(self.values, str) else self.values
        return _of_bytes(values, self.type.dtype(), self.shape, bool(self.fortran))


def _scalar(dtype: Any, values: Any) -> _Array:
    scalar = _Array()
    scalar.build((1, (), dtype, False, values))
    return scalar


def _encode(text: Any, encoding: Any) -> Any:
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused("encodes what is not bytes")
    return text  # they become bytes once, in `_Array.array`, or a small file could ask for them many times


_KNOWN = {
    "numpy ndarray": None,
    "numpy dtype": _Type,
    "_codecs encode": _encode,
    "__builtin__ bytes": lambda: b"",  # how protocol 2 writes no bytes at all
    "builtins bytes": lambda: b"",
} | {
    f"numpy.{core}.multiarray {name}": function
    for core in ("core", "_core")
    for name, function in (("_reconstruct", lambda kind, shape, code: _Array()), ("scalar", _scalar))
}


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise _Refused(f"holds {size} bytes, and {LARGEST} are read at most")


def _read(stream: IO[bytes]) -> list[np.ndarray] | np.ndarray:
    """Return the array that a stream holds in the `.npy` format."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise _Refused(f"has version {version} of the npy format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that Python 2 wrote the header
        shape, fortran, dtype = readers[version](stream)
    raw = stream.read()
    if dtype.kind in "biufcSU":
        return _of_bytes(raw, dtype, shape, fortran)
    if dtype.kind != "O":
        raise _Refused(f"holds values of dtype {str(dtype)[:80]}")
    found = _follow(raw)
    if not isinstance(found, _Array) or not isinstance(found.values, list):
        raise _Refused("holds an object that is no array of objects")
    if not found.shape == shape or math.prod(shape) != len(found.values):
        raise _Refused(f"has the shape {shape} in its header and {len(found.values)} objects")
    return _of_objects(found)


def _of_bytes(raw: bytes, dtype: np.dtype, shape: tuple[int, ...], fortran: bool) -> np.ndarray:
    count = math.prod(shape)
    needed = count * dtype.itemsize
    if needed != len(raw) or count > needed:  # empty texts, as many as a header likes
        raise _Refused(f"has {len(raw)} bytes for an array of {needed}")
    return np.ndarray(shape, dtype, raw, order="F" if fortran else "C")


def _of_objects(found: _Array) -> list[np.ndarray] | np.ndarray:
    """Return the arrays in an array of objects, or its numbers as one array."""
    for number, value in enumerate(found.values):
        if not isinstance(value, _Array | int | float):
            raise _Refused(f"holds an object of type {type(value).__name__} at position {number}")
    # A pickle may refer to one array many times.
    _check_size(sum(value.size for value in found.values if isinstance(value, _Array)))
    values = [value.array() if isinstance(value, _Array) else value for value in found.values]
    if values and all(np.ndim(value) == 0 for value in values):
        return np.array([float(value) for value in values]).reshape(found.shape)
    if len(found.shape) != 1 or not all(isinstance(value, np.ndarray) for value in values):
        raise _Refused("holds arrays and numbers side by side, or arrays in rows and columns")
    return values


def _follow(raw: bytes) -> Any:
    """Return what a pickle describes: values, lists and tuples of them, `_Array`s and `_Type`s."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def popped(count: int) -> list[Any]:
        start = len(stack) - count
        if start < (marks[-1] if marks else 0):
            raise ValueError("the stack is empty")
        values = stack[start:]
        del stack[start:]
        return values

    argument: Any
    for number, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
        if number >= LONGEST:
            raise _Refused(f"is a pickle of more than {LONGEST} steps")
        name = opcode.name
        if name in _ARGUMENTS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _TUPLES:
            stack.append(tuple(popped(_TUPLES[name])))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("TUPLE", "LIST", "APPENDS"):
            values = popped(len(stack) - marks[-1])
            marks.pop()
            if name == "APPENDS":
                _list(stack).extend(values)
            else:
                stack.append(tuple(values) if name == "TUPLE" else values)
        elif name == "APPEND":
            _list(stack[:-1]).append(stack.pop())
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            asked = argument if name == "GLOBAL" else " ".join(popped(2))
            if asked not in _KNOWN:
                raise _Refused(f"asks for {asked.replace(' ', '.')[:80]}")
            stack.append(_KNOWN[asked])
        elif name == "REDUCE":
            function, arguments = popped(2)
            if not callable(function):
                raise _Refused("calls what is no function")
            stack.append(function(*arguments))
        elif name == "BUILD":
            (state,) = popped(1)
            if not isinstance(stack[-1], _Array | _Type):
                raise _Refused("sets the state of what is no array")
            stack[-1].build(state)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise _Refused(f"uses {name}, of which arrays have no need")
    return stack[-1]


def _list(stack: list[Any]) -> list[Any]:
    if not isinstance(stack[-1], list):
        raise ValueError("what is added to is no list")
    return stack[-1]
