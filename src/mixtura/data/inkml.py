"""Drawings in InkML files, the W3C's Ink Markup Language (2011)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mixtura.data.markup import LARGEST_COORDINATE, decimals_for, escaped, local_name, plain, read_xml
from mixtura.data.sequences import Sequences
from mixtura.data.strokes import Lines, categories_of, check, polylines
from mixtura.data.tables import counted
from mixtura.errors import InputError
from mixtura.files import replacing

NAMESPACE = "http://www.w3.org/2003/InkML"
LABELS = ("label", "truth")  # types of annotation
_VALUE = re.compile(
    r"""\s*(?P<mode>[!'"]?)\s*(?P<value>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|\#-?[0-9A-Fa-f]+|[TF*?])"""
)
_ID = "{http://www.w3.org/XML/1998/namespace}id"
_FORMATS = ("traceFormat", "context", "inkSource")
_REFERENCES = ("contextRef", "traceFormatRef", "inkSourceRef")

Axes = tuple[tuple[int, float], tuple[int, float]]  # the channel and the sign of x and of y


def read_inkml(path: str | Path) -> list[Lines]:
    """Return the drawings of an InkML file; see `read_labelled`."""
    return read_labelled(path)[0]


def read_labelled(path: str | Path) -> tuple[list[Lines], list[str]]:
    """Read the drawings of an InkML file and their labels.

    A file is one drawing, unless its root has groups of traces: then each is one, whatever groups are in it,
    and traces outside of them are one more, the first. A trace is a stroke, and one that continues another
    (`continuation`, `priorRef`) a part of it; traces of a pen in the air (`penUp`) and views of traces are
    left out.

    Points are read as the standard says (W3C 2011, section 3.2.1, `trace`): `!` before a value gives the
    value, `'` the difference from the value before, `"` the difference from the difference before, each until
    another is given, for each channel; `*` repeats. X and Y are found by the trace format, without which they
    come first; other channels are passed over, and an orientation of `-ve` turns an axis around.

    Args:
        path: the file.

    Returns:
        For each drawing its lines, arrays `(m, 2)`, y downwards; and for each the annotation of the type
        label or truth of its group, else of the file, else nothing.

    Raises:
        InputError: if the file is none that `markup.read_xml` reads, is no InkML, has no points, or a trace
            cannot be understood. Traces and points are counted from 1.
    """
    path = Path(path)
    root = read_xml(path, "an InkML file")
    if local_name(root, NAMESPACE) != "ink":
        raise InputError(f"{path} begins with the element {str(root.tag)[:80]!r}; expected an InkML file")
    ink = _Ink(root, path)
    lines, labels = [], []
    for element, traces in ink.drawings():
        drawn = ink.lines(traces)
        if drawn:
            lines.append(drawn)
            labels.append(_label(element) or _label(root))
    if not lines:
        raise InputError(f"{path} has no trace with a point; expected at least one")
    return lines, labels


def write_inkml(path: str | Path, sequences: Sequence[np.ndarray]) -> None:
    """Write drawings `(n, 3)` as InkML: for each a group of traces, with its label if there is one.

    The label is what the field `label` of `Sequences` says, by the fact `categories` where there is one.
    Coordinates are rounded to a millionth of a drawing's larger side or finer, so `read_labelled` returns
    the drawings but for that. The file is there whole or not at all.

    Raises:
        InputError: if `strokes.check` refuses a drawing.
    """
    path = Path(path)
    written = [
        f'<ink xmlns="{NAMESPACE}">',
        '<traceFormat><channel name="X" type="decimal"/><channel name="Y" type="decimal"/></traceFormat>',
    ]
    labels = categories_of(sequences) if isinstance(sequences, Sequences) else []
    for number, drawing in enumerate(sequences):
        check(drawing, f"drawing {number} for {path}")
        lines = polylines(drawing)
        decimals = decimals_for(float(np.ptp(np.concatenate(lines), axis=0).max()))
        written.append("<traceGroup>")
        if labels and labels[number]:
            written.append(f'<annotation type="label">{escaped(labels[number])}</annotation>')
        for line in lines:
            points = (f"{plain(x, decimals)} {plain(y, decimals)}" for x, y in line.tolist())
            written.append(f"<trace>{', '.join(points)}</trace>")
        written.append("</traceGroup>")
    text = "\n".join([*written, "</ink>", ""])
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


class _Ink:
    """What an InkML file says, by the names of its elements."""

    def __init__(self, root: ElementTree.Element, path: Path) -> None:
        self.root, self.path = root, path
        everything = list(root.iter())
        self.named = {e.get(_ID) or e.get("id"): e for e in reversed(everything) if e.get(_ID) or e.get("id")}
        self.parents = {child: parent for parent in everything for child in parent}
        self.numbers = {trace: number for number, trace in enumerate(self._traces(root), start=1)}
        self.axes: dict[ElementTree.Element | None, Axes] = {}

    def drawings(self) -> Iterator[tuple[ElementTree.Element, list[ElementTree.Element]]]:
        """Yield the element whose annotations a drawing has, and its traces."""
        groups = [child for child in self.root if local_name(child, NAMESPACE) == "traceGroup"]
        grouped = [(group, list(self._traces(group))) for group in groups]
        loose = [child for child in self.root if local_name(child, NAMESPACE) == "trace"]
        yield self.root, loose
        yield from grouped

    def lines(self, traces: list[ElementTree.Element]) -> Lines:
        """Return the lines of traces; a trace that continues another is put to its end."""
        parts: list[list[np.ndarray]] = []
        line_of: dict[str, int] = {}
        for trace in traces:
            if trace.get("type", "penDown") == "penUp":
                continue
            points = self._points(trace)
            if not len(points):
                continue
            prior = trace.get("priorRef", "").removeprefix("#")
            if trace.get("continuation") in ("middle", "end") and prior in line_of:
                number = line_of[prior]
                parts[number].append(points)
            else:
                number = len(parts)
                parts.append([points])
            if name := trace.get(_ID) or trace.get("id"):
                line_of[name] = number
        return [np.concatenate(part) for part in parts]

    def _traces(self, element: ElementTree.Element) -> Iterator[ElementTree.Element]:
        return (each for each in element.iter() if local_name(each, NAMESPACE) == "trace")

    def _points(self, trace: ElementTree.Element) -> np.ndarray:
        """Return the points of a trace, `(n, 2)`."""
        where = f"{self.path}, trace {self.numbers[trace]}"
        columns = self._axes(trace, where)
        needed = max(channel for channel, _ in columns) + 1
        modes: dict[int, str] = {}
        before: dict[int, tuple[float, float]] = {}  # of each channel, the value and its difference
        points = []
        text = "".join(trace.itertext()).strip()
        # A comma at the end is followed by nothing.
        for number, point in enumerate(text.removesuffix(",").split(",") if text else [], start=1):
            here = f"{where}, point {number}"
            values = _values(point, here)
            if len(values) < needed:
                has = f"{counted(len(values), 'value')}, {point.strip()[:40]!r}"
                raise InputError(f"{here} has {has}; expected at least {needed}")
            for channel, _ in columns:
                mode, value = values[channel]
                modes[channel] = mode or modes.get(channel, "!")
                before[channel] = _next(
                    before.get(channel), modes[channel], value, f"{where}, point {number}"
                )
            points.append([sign * before[channel][0] for channel, sign in columns])
        return np.array(points, dtype=np.float64).reshape(-1, 2)

    def _axes(self, trace: ElementTree.Element, where: str) -> Axes:
        """Return the channels of x and y, by the nearest format referred to, or the first there is."""
        found, element = None, trace
        while found is None and element is not None:
            found = self._referred(element, 0)
            element = self.parents.get(element)  # type: ignore[assignment]
        if found is None:
            found = next(self._formats(self.root), None)
        if found not in self.axes:
            self.axes[found] = _axes(found, where)
        return self.axes[found]

    def _formats(self, element: ElementTree.Element) -> Iterator[ElementTree.Element]:
        return (each for each in element.iter() if local_name(each, NAMESPACE) == "traceFormat")

    def _referred(self, element: ElementTree.Element, depth: int) -> ElementTree.Element | None:
        """Return the trace format that an element refers to, through contexts and sources."""
        for reference in _REFERENCES:
            target = self.named.get(element.get(reference, "").removeprefix("#"))
            if target is None or local_name(target, NAMESPACE) not in _FORMATS or depth > len(_REFERENCES):
                continue
            found = next(self._formats(target), None)
            found = found if found is not None else self._referred(target, depth + 1)
            if found is not None:
                return found
        return None


def _axes(trace_format: ElementTree.Element | None, where: str) -> Axes:
    if trace_format is None:
        return (0, 1.0), (1, 1.0)
    channels = [each for each in trace_format.iter() if local_name(each, NAMESPACE) == "channel"]
    names = [channel.get("name") for channel in channels]
    if "X" not in names or "Y" not in names:
        raise InputError(f"{where} has the channels {names}; expected X and Y among them")
    x, y = (
        (names.index(name), -1.0 if channels[names.index(name)].get("orientation") == "-ve" else 1.0)
        for name in "XY"
    )
    return x, y


def _values(point: str, where: str) -> list[tuple[str, str]]:
    """Return what is before each value of a point, or nothing, and the value."""
    values, at, point = [], 0, point.rstrip()
    while at < len(point):
        found = _VALUE.match(point, at)
        if not found:
            raise InputError(f"{where}: {point[at:].strip()[:40]!r} cannot be understood; expected a number")
        values.append((found["mode"], found["value"]))
        at = found.end()
    return values


def _next(before: tuple[float, float] | None, mode: str, value: str, where: str) -> tuple[float, float]:
    """Return a channel's next value and its difference from the one before."""
    last, difference = before or (0.0, 0.0)
    if value == "?" or value in "TF":
        raise InputError(f"{where}: X or Y is {value!r}; expected a number")
    if before is None and (mode != "!" or value == "*"):
        raise InputError(f"{where}: {value!r} is relative to a point before; there is none")
    if value == "*":  # the value, the difference or its change stays
        number = {"!": last, "'": difference}.get(mode, 0.0)
    elif value.startswith("#"):
        number = float(int(value[1:], 16))
    else:
        number = float(value)
    if mode == "!":
        found = number, number - last if before else 0.0
    else:
        change = number if mode == "'" else difference + number
        found = last + change, change
    if not abs(found[0]) <= LARGEST_COORDINATE:
        raise InputError(
            f"{where}: X or Y is {found[0]:g}; expected a finite number of at most {LARGEST_COORDINATE:g}"
        )
    return found


def _label(element: ElementTree.Element) -> str:
    for child in element:
        if local_name(child, NAMESPACE) == "annotation" and child.get("type", "").lower() in LABELS:
            return " ".join("".join(child.itertext()).split())
    return ""
