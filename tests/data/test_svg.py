import math
import sys

import numpy as np
import pytest

from mixtura.data.strokes import from_polylines, polylines
from mixtura.data.svg import read_svg, write_svg
from mixtura.errors import InputError

T = np.linspace(0, 1, 500)[:, None]


@pytest.fixture
def read(tmp_path):
    """Read the body of an SVG file."""

    def lines(body, attributes='viewBox="0 0 100 100"', before="", **named):
        path = tmp_path / "drawing.svg"
        start = f'{before}<svg xmlns="http://www.w3.org/2000/svg" {attributes}>'
        path.write_text(f"{start}{body}</svg>", encoding="utf-8")
        return read_svg(path, **named)

    return lines


def same(found, wanted):
    assert len(found) == len(wanted)
    for line, points in zip(found, wanted, strict=True):
        np.testing.assert_allclose(line, np.reshape(points, (-1, 2)), rtol=0, atol=1e-9)


def distance(points, line):
    """Return how far points are from a line at most."""
    a, b = line[:-1], line[1:]
    squared = np.maximum(((b - a) ** 2).sum(-1), 1e-300)
    along = np.clip(((points[:, None] - a) * (b - a)).sum(-1) / squared, 0, 1)
    return np.linalg.norm(points[:, None] - a - along[..., None] * (b - a), axis=-1).min(axis=1).max()


def bezier(*points):
    """Return a curve's places by Bernstein's polynomials."""
    n = len(points) - 1
    return sum(math.comb(n, k) * (1 - T) ** (n - k) * T**k * np.array(p) for k, p in enumerate(points))


# Lines


def test_subpaths_are_lines_of_their_own(read):
    found = read('<path d="M 1,2 L3 4 5 6 m1 1 h2 V0 l-1-1"/><path d="M0 0 1 1"/>')
    same(found, [[1, 2, 3, 4, 5, 6], [6, 7, 8, 7, 8, 0, 7, -1], [0, 0, 1, 1]])


def test_closed_paths_end_where_they_start(read):
    found = read('<path d="M0 0h10v10z l5 5 M20 20h5v5L20 20z"/>')
    same(found, [[0, 0, 10, 0, 10, 10, 0, 0], [0, 0, 5, 5], [20, 20, 25, 20, 25, 25, 20, 20]])


def test_what_has_no_length_is_a_dot_and_a_move_alone_nothing(read):
    same(read('<path d="M5 5h0M1 1zM3 3M2 2L2 2 2 2"/>'), [[5, 5], [1, 1], [2, 2]])


def test_shapes(read):
    found = read(
        '<line x1="1" x2="3" y2="5"/><polyline points="0,0 1 1, 2,0"/><polygon points="0 0 1 1 0 5"/>'
        '<rect x="10%" y="2" width="5" height="6"/>'
    )
    same(
        found,
        [
            [1, 0, 3, 5],
            [0, 0, 1, 1, 2, 0],
            [0, 0, 1, 1, 0, 5, 0, 0],
            [10, 2, 15, 2, 15, 8, 10, 8, 10, 2],
        ],
    )


def test_shapes_without_a_size_are_not_drawn(read):
    nothing = '<rect width="5"/><rect height="3" width="-1"/><circle cx="5"/><ellipse rx="3" ry="0"/>'
    same(read(nothing + '<path d=""/><polyline points=""/><path d="M0 0 1 1"/>'), [[0, 0, 1, 1]])


# Curves


@pytest.mark.parametrize("tolerance", [None, 0.01, 1.0])
def test_lines_are_within_the_tolerance_of_their_curves(read, tolerance):
    (found,) = read('<path d="M0 0C50 0 0 90 80 60S60-20 20 30Q10 80 30 90T90 90"/>', tolerance=tolerance)
    truth = np.concatenate(
        [
            bezier([0, 0], [50, 0], [0, 90], [80, 60]),
            bezier([80, 60], [160, 30], [60, -20], [20, 30]),
            bezier([20, 30], [10, 80], [30, 90]),
            bezier([30, 90], [50, 100], [90, 90]),
        ]
    )
    limit = tolerance or np.ptp(truth, axis=0).max() / 500
    assert distance(truth, found) <= limit * 1.001
    assert distance(truth, found) > limit / 20  # and no finer than that needs
    assert distance(found, truth) < 2e-3  # points are on the curve
    assert len(found) < {None: 70, 0.01: 320, 1.0: 32}[tolerance]


def test_circles_and_arcs_are_right_under_any_transform(read):
    round_ = read('<circle cx="50" cy="40" r="20"/><ellipse cx="50" cy="40" rx="20" ry="10"/>', tolerance=0.1)
    for line, ry in zip(round_, (20, 10), strict=True):
        angle = np.arctan2((line[:, 1] - 40) / ry, (line[:, 0] - 50) / 20)
        np.testing.assert_allclose(line[:, 0], 50 + 20 * np.cos(angle), atol=1e-9)
        np.testing.assert_allclose(line[:, 1], 40 + ry * np.sin(angle), atol=1e-9)
        assert distance(np.column_stack([50 + 20 * np.cos(7 * T), 40 + ry * np.sin(7 * T)]), line) < 0.1
        np.testing.assert_array_equal(line[0], line[-1])
    # A quarter of a circle of radius 5 around the origin, skewed.
    body = '<path d="M5 0A5 5 0 0 1 0 5" transform="matrix(2 0 1.5 1 30 0)"/>'
    (arc,) = read(body, tolerance=0.01)
    x, y = 5 * np.cos(T * np.pi / 2), 5 * np.sin(T * np.pi / 2)
    assert distance(np.column_stack([2 * x + 1.5 * y + 30, y]), arc) < 0.01
    assert 10 < len(arc) < 40


def test_an_arc_without_a_radius_is_straight(read):
    same(read('<path d="M0 0A0 5 0 0 1 10 10"/>'), [[0, 0, 10, 10]])


def test_rounded_corners(read):
    (line,) = read('<rect width="10" height="6" rx="2"/>')
    assert (line.min(axis=0) == 0).all()
    np.testing.assert_allclose(line.max(axis=0), [10, 6])
    corner = line[(line < 2).all(axis=1)]
    np.testing.assert_allclose(np.hypot(*(corner - 2).T), 2)


# Places


def test_transforms_are_nested(read):
    body = (
        '<g transform="translate(10 20)"><g transform="scale(2,3) rotate(90)">'
        '<path d="M0 0L1 2" transform="translate(1)"/></g></g>'
    )
    # (1, 0) and (2, 2), turned to (0, 1) and (-2, 2).
    same(read(body), [[10, 23, 6, 26]])


def test_use_draws_what_is_defined(read):
    body = (
        '<defs><path id="tick" d="M0 0L1 1"/></defs><use href="#tick" x="5" y="6"/>'
        '<g transform="scale(2)"><use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="#tick"/></g>'
        '<symbol id="s" viewBox="0 0 10 10"><path d="M0 0L10 10"/></symbol>'
        '<use href="#s" x="5" width="20" height="40"/><use href="#none"/><use href="other.svg#a"/>'
    )
    same(read(body), [[5, 6, 6, 7], [0, 0, 2, 2], [5, 10, 25, 30]])


def test_viewboxes(read):
    line = '<path d="M0 0L1 1"/>'
    same(read(line, 'viewBox="-5 -5 10 10" width="300mm" height="300mm"'), [[0, 0, 1, 1]])
    stretched = 'viewBox="0 0 10 10" width="40" height="80" preserveAspectRatio="none"'
    same(read(line, stretched), [[0, 0, 1, 2]])
    inner = f'<svg x="10" y="10" width="20" height="40" viewBox="0 0 1 1">{line}</svg>'
    same(read(inner), [[10, 20, 30, 40]])
    same(read('<line x2="50%" y2="1in"/>', 'width="200" height="100"'), [[0, 0, 100, 96]])


@pytest.mark.parametrize(
    "hidden",
    [
        '<g display="none">{}</g>',
        '<g style="stroke:red; display : none">{}</g>',
        '<g visibility="hidden">{}</g>',
        '<g fill="none">{}</g>',
        '<style>.a, .off {{ stroke: #000; display: none }} .b {{ x: y }}</style><g class="b off">{}</g>',
        "<style>g g {{}} #hid{{visibility:hidden}}</style><g id='hid'>{}</g>",
        "<defs>{}</defs>",
        "<symbol>{}</symbol>",
        "<clipPath>{}</clipPath>",
        "<mask>{}</mask>",
        "<marker>{}</marker>",
        "<pattern>{}</pattern>",
        '<foreign xmlns="http://example.org">{}</foreign>',
    ],
)
def test_what_is_hidden_is_left_out(read, hidden):
    body = hidden.format('<path d="M0 0L9 9"/>') + '<text x="3">no</text><image href="a.png"/>'
    same(read(body + '<path d="M0 0L1 1" class="a2"/>'), [[0, 0, 1, 1]])


def test_what_is_hidden_may_be_shown_again(read):
    body = '<g visibility="hidden" fill="none"><path visibility="visible" stroke="red" d="M0 0L1 1"/></g>'
    same(read(body), [[0, 0, 1, 1]])
    switch = '<switch><a requiredExtensions="x"><path d="M3 3L4 4"/></a><g>{}</g><g>{}</g></switch>'
    same(read(switch.format('<path d="M0 0L1 1"/>', '<path d="M0 0L2 2"/>')), [[0, 0, 1, 1]])


def test_a_character_in_the_form_of_kanjivg(read):
    doctype = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.0//EN" '
        '"http://www.w3.org/TR/2001/REC-SVG-20010904/DTD/svg10.dtd" [\n<!ATTLIST g\n'
        'xmlns:kvg CDATA #FIXED "http://example.org/kvg"\nkvg:element CDATA #IMPLIED >\n]>\n'
    )
    body = (
        '<g id="kvg:StrokePaths_1" style="fill:none;stroke:#000000;stroke-width:3;">'
        '<g id="kvg:1" kvg:element="x"><path id="kvg:1-s1" kvg:type="a" d="M10,20c5,0.5,10,0.5,40,0"/>'
        '<g id="kvg:1-g1"><path id="kvg:1-s2" d="M30.5,10.25C30.5,20,30,30,28,50"/></g></g></g>'
        '<g id="kvg:StrokeNumbers_1" style="font-size:8;fill:#808080">'
        '<text transform="matrix(1 0 0 1 3.5 9)">1</text></g>'
    )
    found = read(body, 'width="109" height="109" viewBox="0 0 109 109"', doctype)
    assert len(found) == 2
    np.testing.assert_allclose(found[0][[0, -1]], [[10, 20], [50, 20]])
    np.testing.assert_allclose(found[1][[0, -1]], [[30.5, 10.25], [28, 50]])
    assert 4 <= len(found[0]) <= 8


# Writing


@pytest.mark.parametrize("scale", [1e-4, 1, 1e6])
def test_a_drawing_is_read_as_it_was_written(tmp_path, scale):
    rng = np.random.default_rng(0)
    for number in range(20):
        lines = [rng.normal(size=(m, 2)) * scale + 5 * scale for m in rng.integers(1, 30, size=5)]
        drawing = from_polylines(lines)
        write_svg(tmp_path / "new" / f"{number}.svg", drawing)
        found = from_polylines(read_svg(tmp_path / "new" / f"{number}.svg"))
        np.testing.assert_array_equal(found[:, 2], drawing[:, 2])
        size = np.ptp(np.concatenate(lines), axis=0).max()
        np.testing.assert_allclose(found[:, :2], drawing[:, :2], rtol=0, atol=3e-6 * size)


def test_integers_and_dots_are_read_exactly(tmp_path):
    for drawing in ([[3, -4, 1]], [[0, 0, 0], [100, 7, 1], [5, 5, 1], [0, -30000, 1]]):
        write_svg(tmp_path / "a.svg", np.array(drawing))
        np.testing.assert_array_equal(from_polylines(read_svg(tmp_path / "a.svg")), drawing)
    text = (tmp_path / "a.svg").read_text()
    assert 'viewBox="-1800 -31788' in text
    assert text.count("<path") == len(polylines(np.array(drawing)))


def test_what_is_no_drawing_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"a\.svg, point 1: dx is nan"):
        write_svg(tmp_path / "a.svg", np.array([[np.nan, 0, 1]]))
    assert not list(tmp_path.iterdir())


# Mistakes


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<text>only words</text>", "draws no lines; expected at least one path or shape"),
        ("<path d='M0 0'/>", "draws no lines"),
        ("<path d='M 3 foo'/>", "the path 'M 3 foo' cannot be understood"),
        ("<path d='L 5 5'/>", r"the path 'L 5 5' cannot be understood \(it does not begin with M\)"),
        ("<path d='M0 0L1e400 3'/>", "a coordinate that is not finite or beyond 1e"),
        ("<path d='M0 0C1e308 1e308-1e308 3 4 5'/>", "a coordinate that is not finite or beyond 1e"),
        ("<path d='M0 0L1 1' transform='scale(1e300)'/>", "a coordinate that is not finite or beyond 1e"),
        ("<path d='M0 0L1 1'>", "is damaged or no XML"),
        ("<g id='a'><use href='#a'/></g>", "a use element draws itself"),
        ("<g>" * 300 + "</g>" * 300, "has more than 200 elements inside each other"),
        ("\x00", "is damaged or no XML"),
    ],
)
def test_files_that_cannot_be_read(read, body, message):
    with pytest.raises(InputError, match=message) as caught:
        read(body)
    assert str(caught.value).count("\n") == 0
    assert "drawing.svg" in str(caught.value)


def test_uses_of_uses_end(read):
    levels = "".join(
        f'<g id="l{n}">' + f'<use href="#l{n - 1}"/>' * 10 + "</g>" for n in range(1, 12)
    )  # 10^11 of them
    with pytest.raises(InputError, match="draws more than 20000 elements"):
        read(f'<g id="l0"/>{levels}')


def test_entities_are_refused_before_they_grow(read):
    bomb = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    with pytest.raises(InputError, match="declares the entity 'a', and files with entities are not read"):
        read("<text>&b;</text><path d='M0 0L1 1'/>", before=bomb)
    outside = '<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    with pytest.raises(InputError, match="declares the entity 'a'"):
        read("<text>&a;</text>", before=outside)


def test_other_files(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="does not exist; expected an SVG file"):
        read_svg(tmp_path / "none.svg")
    with pytest.raises(InputError, match="is a folder; expected an SVG file"):
        read_svg(tmp_path)
    path = tmp_path / "a.svg"
    path.write_text("<html/>")
    with pytest.raises(InputError, match="begins with the element 'html'; expected an SVG file"):
        read_svg(path)
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(InputError, match="has 100000000 bytes; expected an SVG file of at most 50000000"):
        read_svg(path)
    monkeypatch.setitem(sys.modules, "svgelements", None)
    with pytest.raises(InputError, match=r"needs svgelements: pip install 'mixtura\[svg\]'"):
        read_svg(path)


def test_tolerances_that_make_no_sense(read):
    for tolerance in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="the tolerance must be positive"):
            read('<path d="M0 0L1 1"/>', tolerance=tolerance)
    with pytest.raises(InputError, match="points at a tolerance of 1e-12; expected at most 1000000"):
        read('<path d="M0 0C100 0 100 100 0 100"/>', tolerance=1e-12)
