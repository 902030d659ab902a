"""Drawings in SVG files: outlines in as lines, strokes out as paths."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np

from mixtura.data.curves import Arc, Curve, Stroke, lines_of
from mixtura.data.markup import DEEPEST, LARGEST_COORDINATE, decimals_for, local_name, plain, read_xml
from mixtura.data.strokes import Lines, check, polylines
from mixtura.errors import InputError
from mixtura.files import replacing

NAMESPACE = "http://www.w3.org/2000/svg"
TOLERANCE = 1 / 500  # of the larger side: how far from a curve its line may be
MOST_ELEMENTS = 20_000
MOST_POINTS = 1_000_000
_COARSE = 16  # pieces of each curve while the drawing's size is not known
_DPI = 96  # what CSS says an inch has
_LINKS = ("href", "{http://www.w3.org/1999/xlink}href")
_GROUPS = ("svg", "g", "a", "switch")
# Without these a shape is not drawn; svgelements takes 1 for some of them.
_SHAPES: dict[str, tuple[str, dict[str, str]]] = {
    "path": ("Path", {}),
    "line": ("SimpleLine", {}),
    "polyline": ("Polyline", {}),
    "polygon": ("Polygon", {}),
    "rect": ("Rect", {"width": "0", "height": "0"}),
    "circle": ("Circle", {"r": "0"}),
    "ellipse": ("Ellipse", {"rx": "0", "ry": "0"}),
}
_INHERITED = {"visibility": "visible", "fill": "black", "stroke": "none"}


def read_svg(path: str | Path, tolerance: float | None = None) -> Lines:
    """Read the lines that an SVG file draws, in the order of the file.

    Each subpath of a path, and each line, polyline, polygon, rectangle, circle and ellipse, is one line;
    closed ones end where they start, and one without length is a dot. Groups, transforms, `use`, nested
    viewBoxes and hiding by `display`, `visibility` or neither fill nor stroke count, as attributes, styles
    and simple rules of a style sheet; what is in `defs`, clip paths, masks, markers, patterns and unused
    symbols is not drawn. What is filled counts by its outline. Texts, images and other files that are
    referred to are left out.

    Straight pieces are kept as they are. Curves become chords within the tolerance: see `curves`. Fewer
    points, as some data sets have, follow from `strokes.simplified(lines, epsilon)`.

    Args:
        path: the file.
        tolerance: how far a line may be from its curve, in the units of the result; by default 1/500 of the
            drawing's larger side.

    Returns:
        Arrays `(m, 2)`, y downwards, in units of the outermost viewBox and from its origin; if it is
        stretched, in its units of x.

    Raises:
        InputError: if svgelements is not installed, the file is none that `markup.read_xml` reads, is no SVG
            file, draws no lines, a shape cannot be understood, a coordinate is beyond 1e9, elements refer to
            each other in a circle, or there are more than 20 000 elements or 1 000 000 points.
        ValueError: if the tolerance is not positive.
    """
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise ValueError(f"the tolerance must be positive; received {tolerance}")
    library, path = _svgelements(), Path(path)
    root = read_xml(path, "an SVG file")
    if local_name(root, NAMESPACE) != "svg":
        raise InputError(f"{path} begins with the element {str(root.tag)[:80]!r}; expected an SVG file")
    with np.errstate(all="ignore"):  # what is not finite is refused below
        strokes = [stroke for shape in _Document(root, path, library).shapes() for stroke in shape]
        rough = [stroke.coarse(_COARSE) for stroke in strokes]
        if not rough:
            raise InputError(f"{path} draws no lines; expected at least one path or shape that is shown")
        places = np.concatenate(rough)
        if not (np.abs(places) <= LARGEST_COORDINATE).all():
            raise InputError(f"{path} has a coordinate that is not finite or beyond {LARGEST_COORDINATE:g}")
        size = float(np.ptp(places, axis=0).max())
        tolerance = tolerance or TOLERANCE * size or 1.0
        points = sum(stroke.points(tolerance) for stroke in strokes)
        if points > MOST_POINTS:
            raise InputError(
                f"{path} has {points:.3g} points at a tolerance of {tolerance:g}; "
                f"expected at most {MOST_POINTS}"
            )
        lines = lines_of(strokes, tolerance)
    return [line[:1] if (line == line[0]).all() else line for line in lines]


def write_svg(path: str | Path, drawing: np.ndarray) -> None:
    """Write a drawing `(n, 3)` as an SVG file: each stroke a path without fill, black on white.

    The viewBox holds the drawing, where it is, and a margin. Coordinates are rounded to 1e-6 of the larger
    side or finer, so `read_svg` returns the drawing but for that. The file is there whole or not at all.

    Raises:
        InputError: if `strokes.check` refuses the drawing.
    """
    path = Path(path)
    check(drawing, f"the drawing for {path}")
    lines = polylines(drawing)
    places = np.concatenate(lines)
    low, high = places.min(axis=0), places.max(axis=0)
    size = float((high - low).max()) or 1.0
    decimals = decimals_for(size)
    margin = 0.06 * size

    def text(values: Any) -> str:
        return " ".join(plain(value, decimals) for value in np.ravel(values).tolist())

    # A line of one point is drawn to where it starts: a dot.
    paths = [
        f'<path d="M{"L".join(text(point) for point in (line if len(line) > 1 else [*line, *line]))}"/>'
        for line in lines
    ]
    sides = high - low + 2 * margin
    width, height = (256 * sides / sides.max()).round().clip(1).astype(int)
    content = "\n".join(
        [
            f'<svg xmlns="{NAMESPACE}" width="{width}" height="{height}" '
            f'viewBox="{text([low - margin, sides])}" style="background:#fff">',
            f'<g fill="none" stroke="#222" stroke-width="{text(0.015 * size)}" stroke-linecap="round" '
            'stroke-linejoin="round">',
            *paths,
            "</g>",
            "</svg>",
            "",
        ]
    )
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="\n")


class _Document:
    """Walks through the elements of an SVG file that are drawn."""

    def __init__(self, root: ElementTree.Element, path: Path, library: ModuleType) -> None:
        self.root, self.path, self.library = root, path, library
        self.named = {element.get("id"): element for element in reversed(list(root.iter()))}
        self.rules = _rules(root)
        self.count = 0

    def shapes(self) -> Iterator[list[Stroke]]:
        """Yield the strokes of each shape."""
        size, stretched = (100.0, 100.0), np.eye(3)
        box = self._box(self.root)
        if box:
            size = box[2], box[3]
            lengths = [self.root.get(name, "") for name in ("width", "height")]
            if self.root.get("preserveAspectRatio", "").strip().startswith("none") and all(lengths):
                width, height = (self._length(text, side) for text, side in zip(lengths, size, strict=True))
                if width > 0 and height > 0:
                    stretched[1, 1] = height / box[3] / (width / box[2])
        else:
            width, height = (
                self._length(self.root.get(name, ""), 100.0) or 100.0 for name in ("width", "height")
            )
            size = width, height
        yield from self._walk(self.root, stretched, _INHERITED, size, 0)

    def _walk(
        self,
        element: ElementTree.Element,
        matrix: np.ndarray,
        look: Mapping[str, str],
        size: tuple[float, float],
        depth: int,
        used: ElementTree.Element | None = None,
    ) -> Iterator[list[Stroke]]:
        """Yield the strokes of an element, whose coordinates `matrix` maps to the file's, `(3, 3)`.

        Args:
            element: the element.
            matrix: see above.
            look: what is inherited.
            size: the width and height of the viewBox around it, of which percentages are.
            depth: how many elements are around it.
            used: the `use` that refers to it.
        """
        tag = local_name(element, NAMESPACE)
        self.count += 1
        if self.count > MOST_ELEMENTS:
            raise InputError(f"{self.path} draws more than {MOST_ELEMENTS} elements")
        if depth > DEEPEST:
            raise InputError(
                f"{self.path}: a use element draws itself, or more than {DEEPEST} are inside each other"
            )
        declared = self._declared(element, tag)
        if declared.get("display") == "none":
            return
        look = {name: declared.get(name, value) for name, value in look.items()}
        look = {name: value if value != "inherit" else _INHERITED[name] for name, value in look.items()}
        matrix = matrix @ self._matrix(element.get("transform", ""), size)
        if tag in _GROUPS or (tag == "symbol" and used is not None):
            if tag in ("svg", "symbol") and depth:
                matrix, size = self._viewport(element, used, matrix, size)
            children = list(element)
            if tag == "switch":
                shown = (c for c in children if local_name(c, NAMESPACE) and not c.get("requiredExtensions"))
                children = list(shown)[:1]
            for child in children:
                yield from self._walk(child, matrix, look, size, depth + 1)
        elif tag == "use":
            target = next((element.get(link, "") for link in _LINKS if element.get(link)), "")
            if target.startswith("#") and target[1:] in self.named:
                matrix = matrix @ _moved(self._lengths(element, ("x", "y"), size))
                yield from self._walk(self.named[target[1:]], matrix, look, size, depth + 1, element)
        elif tag in _SHAPES and _is_visible(look):
            yield self._strokes(element, tag, matrix, size)

    def _declared(self, element: ElementTree.Element, tag: str) -> dict[str, str]:
        """Return what attributes, the style sheet and, strongest, its style declare of an element."""
        names = [*_INHERITED, "display"]
        found = {name: element.get(name, "").strip() for name in names if element.get(name)}
        selectors = ["*", tag]
        for own in element.get("class", "").split():
            selectors += [f".{own}", f"{tag}.{own}"]
        selectors.append(f"#{element.get('id')}")
        for selector in selectors:
            found |= self.rules.get(selector, {})
        return found | _declarations(element.get("style", ""))

    def _length(self, text: str, whole: float) -> float:
        """Return a length in the file's units; `whole` is what percentages are of."""
        if not text.strip():
            return 0.0
        try:
            value = self.library.Length(text).value(ppi=_DPI, relative_length=whole)
            return float(value)
        except Exception:  # what svgelements makes of a text that is no length
            return 0.0

    def _lengths(
        self, element: ElementTree.Element, names: tuple[str, str], size: tuple[float, float]
    ) -> tuple[float, float]:
        first, second = (
            self._length(element.get(name, ""), side) for name, side in zip(names, size, strict=True)
        )
        return first, second

    def _box(self, element: ElementTree.Element) -> tuple[float, float, float, float] | None:
        """Return an element's viewBox, or None if it has none that shows anything."""
        try:
            x, y, width, height = map(float, element.get("viewBox", "").replace(",", " ").split())
        except ValueError:
            return None
        return (x, y, width, height) if width > 0 and height > 0 else None

    def _viewport(
        self,
        element: ElementTree.Element,
        used: ElementTree.Element | None,
        matrix: np.ndarray,
        size: tuple[float, float],
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """Return the matrix and size inside a nested svg, or a symbol that is used."""
        x, y = self._lengths(element, ("x", "y"), size)
        asked = [
            (used.get(name) if used is not None else None) or element.get(name) or "100%"
            for name in ("width", "height")
        ]
        width, height = (self._length(text, side) for text, side in zip(asked, size, strict=True))
        box = self._box(element)
        if not box:
            return matrix @ _moved((x, y)), (width, height)
        aspect = element.get("preserveAspectRatio", "xMidYMid meet")
        inside = self.library.Viewbox.viewbox_transform(x, y, width, height, *box, aspect)
        return matrix @ self._matrix(inside, size), (box[2], box[3])

    def _matrix(self, text: str, size: tuple[float, float]) -> np.ndarray:
        if not text.strip():
            return np.eye(3)
        try:
            m = self.library.Matrix(text)
            m.render(ppi=_DPI, width=size[0], height=size[1])
            return np.array([[m.a, m.c, m.e], [m.b, m.d, m.f], [0, 0, 1]], dtype=np.float64)
        except Exception as error:  # svgelements says it in many ways
            raise self._unreadable("transform", text, error) from None

    def _strokes(
        self, element: ElementTree.Element, tag: str, matrix: np.ndarray, size: tuple[float, float]
    ) -> list[Stroke]:
        kind, defaults = _SHAPES[tag]
        given = {name: value for name, value in element.attrib.items() if name != "transform"}
        try:
            shape = getattr(self.library, kind)({**defaults, **given})
            shape.render(ppi=_DPI, width=size[0], height=size[1])
            if tag in ("rect", "ellipse", "circle") and not _has_size(shape):
                return []
            segments = list(self.library.Path(shape))
            return [Stroke(curves) for curves in _subpaths(segments, matrix)]
        except Exception as error:  # svgelements says it in many ways
            text = given.get("d") or given.get("points") or str(given)
            raise self._unreadable(tag, text, error) from None

    def _unreadable(self, what: str, text: str, error: Exception) -> InputError:
        why = f" ({error})" if str(error) else ""
        return InputError(f"{self.path}: the {what} {text[:60]!r} cannot be understood{why}")


def _is_visible(look: Mapping[str, str]) -> bool:
    return look["visibility"] == "visible" and (look["fill"], look["stroke"]) != ("none", "none")


def _has_size(shape: Any) -> bool:
    sides = (shape.width, shape.height) if hasattr(shape, "width") else (shape.rx, shape.ry)
    return all(side > 0 for side in sides)


def _subpaths(segments: list[Any], matrix: np.ndarray) -> Iterator[list[Curve]]:
    """Yield the curves of each subpath that is drawn."""
    curves: list[Curve] = []
    for segment in segments:
        kind = type(segment).__name__
        if kind == "Move":
            if curves:
                yield curves
            curves = []
            continue
        if segment.start is None:
            raise ValueError("it does not begin with M")
        curve = _curve(segment, kind, matrix)
        if kind != "Close":
            curves.append(curve)
            continue
        # What ends where it started, but for rounding, is closed already.
        gap = np.abs(curve.end - curve.start).max()
        if curves and gap <= 1e-9 * np.abs([curve.end, curve.start]).max():
            curves[-1].end = curve.end
        else:
            curves.append(curve)
        yield curves
        curves = []
    if curves:
        yield curves


def _curve(segment: Any, kind: str, matrix: np.ndarray) -> Curve:
    def placed(*points: Any) -> np.ndarray:
        return np.array([[p.x, p.y] for p in points], np.float64) @ matrix[:2, :2].T + matrix[:2, 2]

    start, end = segment.start, segment.end
    if kind == "QuadraticBezier":
        return Curve(placed(start, segment.control, end))
    if kind == "CubicBezier":
        return Curve(placed(start, segment.control1, segment.control2, end))
    if kind == "Arc" and segment.rx > 0 and segment.ry > 0 and segment.sweep:
        # An ellipse stays one under any matrix, which maps its centre and half axes.
        centre, u, v = placed(segment.center, segment.prx, segment.pry)
        first = float(segment.get_start_t())
        return Arc(placed(start, end), centre, np.array([u - centre, v - centre]), first, segment.sweep)
    return Curve(placed(start, end))


def _moved(by: tuple[float, float]) -> np.ndarray:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1]], dtype=np.float64)


def _declarations(text: str) -> dict[str, str]:
    """Return what matters of the declarations of a style."""
    pairs = (part.partition(":") for part in text.split(";"))
    found = {name.strip(): value.split("!")[0].strip() for name, _, value in pairs}
    return {name: value for name, value in found.items() if name in {*_INHERITED, "display"}}


def _rules(root: ElementTree.Element) -> dict[str, dict[str, str]]:
    """Return what matters of the rules in a file's style sheets, for each selector."""
    rules: dict[str, dict[str, str]] = {}
    for sheet in root.iter(f"{{{NAMESPACE}}}style"):
        for block in "".join(sheet.itertext()).split("}"):
            selectors, _, body = block.partition("{")
            for selector in selectors.split(","):
                rules.setdefault(selector.strip(), {}).update(_declarations(body))
    return rules


def _svgelements() -> ModuleType:
    try:
        import svgelements
    except ImportError:
        raise InputError("reading SVG files needs svgelements: pip install 'mixtura[svg]'") from None
    return svgelements
