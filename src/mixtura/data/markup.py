"""XML files from anywhere, read with care."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape

from mixtura.errors import InputError

LARGEST_COORDINATE = 1e9
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LARGEST = 50_000_000  # bytes of a file
DEEPEST = 200  # elements inside each other


class _Refused(Exception):
    """Why a file is not read; the message follows its name."""


def read_xml(path: Path, what: str) -> ElementTree.Element:
    """Return the root element of an XML file.

    Nothing that the file refers to is fetched.

    Args:
        path: the file.
        what: what a message calls the file that was expected, such as "an SVG file".

    Raises:
        InputError: if there is no such file, it has more than 50 MB, is not well-formed, declares entities,
            with which a small file can become a huge one, or has more than 200 elements inside each other.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise _Refused(f"has {size} bytes; expected {what} of at most {LARGEST}")
        raw = path.read_bytes()
        _check(raw)
        return ElementTree.fromstring(raw)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected {what}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; expected {what}") from None
    except _Refused as refused:
        raise InputError(f"{path} {refused}") from None
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:  # or its encoding
        raise InputError(f"{path} is damaged or no XML ({error}); expected {what}") from None


def escaped(text: str) -> str:
    """Return a text as XML has it between tags or double quotes; letters that it cannot have are replaced."""
    return escape(_NOT_IN_XML.sub("\ufffd", text), {'"': "&quot;"})


def local_name(element: ElementTree.Element, namespace: str) -> str:
    """Return an element's name, or nothing if it belongs to another namespace than this or none at all."""
    space, brace, name = str(element.tag).rpartition("}")
    return name if not brace or space == f"{{{namespace}" else ""


def decimals_for(size: float) -> int:
    """Return how many decimals coordinates need to be exact to a millionth of a drawing's larger side."""
    return max(0, 6 - math.floor(math.log10(size or 1.0)))


def plain(value: float, decimals: int) -> str:
    """Return a number without an exponent and without zeros at its end."""
    written = f"{value:.{decimals}f}"
    written = written.rstrip("0").rstrip(".") if "." in written else written
    return "0" if written == "-0" else written


def _check(raw: bytes) -> None:
    parser, depth = expat.ParserCreate(), 0

    def declared(name: str, *_: object) -> None:
        raise _Refused(f"declares the entity {name[:80]!r}, and files with entities are not read")

    def opened(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise _Refused(f"has more than {DEEPEST} elements inside each other")

    def closed(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser.EntityDeclHandler = declared
    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    parser.Parse(raw, True)
