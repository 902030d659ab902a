import numpy as np
import pytest

from mixtura.data.inkml import read_inkml, read_labelled, write_inkml
from mixtura.data.sequences import Sequences
from mixtura.data.strokes import from_polylines
from mixtura.errors import InputError


@pytest.fixture
def read(tmp_path):
    """Read the body of an InkML file: its drawings and their labels."""

    def drawings(body, namespace=' xmlns="http://www.w3.org/2003/InkML"', before=""):
        path = tmp_path / "drawing.inkml"
        path.write_text(f"{before}<ink{namespace}>{body}</ink>", encoding="utf-8")
        return read_labelled(path)

    return drawings


def same(found, wanted):
    assert len(found) == len(wanted)
    for line, points in zip(found, wanted, strict=True):
        np.testing.assert_allclose(line, np.reshape(points, (-1, 2)), rtol=0, atol=1e-9)


def channels(*names):
    return "<traceFormat>" + "".join(f'<channel name="{name}"/>' for name in names) + "</traceFormat>"


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://www.w3.org/2003/InkML"'])
def test_traces_are_strokes_of_one_drawing(read, namespace):
    (lines,), labels = read("<trace> 10 0, 9 14,\n8 28 </trace><trace>1.5 -.5</trace><trace/>", namespace)
    same(lines, [[10, 0, 9, 14, 8, 28], [1.5, -0.5]])
    assert labels == [""]


def test_differences_and_differences_of_differences(read):
    # Worked out by hand: moves (23, 43), then each move is the one before and the change that is given.
    (lines,), _ = read("""<trace>1125 18432,'23'43,"7"-8,3-5,7 -3,6 2</trace>""")
    x = np.cumsum([1125, 23, 30, 33, 40, 46])
    y = np.cumsum([18432, 43, 35, 30, 27, 29])
    same(lines, [np.column_stack([x, y])])


def test_each_channel_has_its_own_way_and_may_change_it(read):
    (lines,), _ = read("""<trace>5 5, '1 6, 2 7, !9'-1, "1 * , ' * !3</trace>""")
    # y: 5, 6, 7, then -1 from it, and again, and 3. x: 5, 6, 8, 9 (a move of 1), then a move of 2, twice.
    same(lines, [[5, 5, 6, 6, 8, 7, 9, 6, 11, 5, 13, 3]])


def test_stars_repeat_and_numbers_may_touch(read):
    (lines,), _ = read("<trace>3-5,*6,-7*,#FF#10,1e2.5</trace>")
    same(lines, [[3, -5, 3, 6, -7, 6, 255, 16, 100, 0.5]])


def test_the_format_says_where_x_and_y_are(read):
    body = channels("T", "Y", "F", "X") + "<trace>0 2 ? 1, 'T 4 .5 3</trace>"
    same(read(body)[0][0], [[1, 2, 3, 4]])
    # Without one, X and Y come first, and what follows is passed over.
    same(read("<trace>1 2 3 T, 4 5 6 F</trace>")[0][0], [[1, 2, 4, 5]])


def test_an_axis_may_point_the_other_way(read):
    body = '<traceFormat><channel name="X"/><channel name="Y" orientation="-ve"/></traceFormat>'
    same(read(body + "<trace>1 2, 3 '4</trace>")[0][0], [[1, -2, 3, -6]])


def test_each_trace_may_refer_to_a_format(read):
    formats = "".join(f'<context xml:id="{name}">{channels(*name)}</context>' for name in ("YX", "TXY"))
    body = (
        f'<definitions>{formats}<inkSource xml:id="pen">{channels("Y", "T", "X")}</inkSource>'
        '<context xml:id="here" inkSourceRef="#pen"/></definitions>'
        '<trace contextRef="#YX">1 2</trace><trace contextRef="#TXY">0 1 2</trace>'
        '<trace contextRef="#here">1 0 2</trace><trace contextRef="#none">1 2</trace>'
    )
    same(read(body)[0][0], [[2, 1], [1, 2], [2, 1], [2, 1]])
    group = f'<traceGroup contextRef="#YX"><trace>3 4</trace></traceGroup>{formats}'
    same(read(channels("X", "Y") + group)[0][0], [[4, 3]])


def test_a_pen_in_the_air_is_left_out_and_parts_are_joined(read):
    (lines,), _ = read(
        '<trace xml:id="a" continuation="begin">0 0, 1 1</trace><trace type="penUp">5 5</trace>'
        "<trace>9 9</trace>"
        '<trace xml:id="b" continuation="middle" priorRef="#a">2 2</trace>'
        '<trace continuation="end" priorRef="#b">3 3</trace>'
    )
    same(lines, [[0, 0, 1, 1, 2, 2, 3, 3], [9, 9]])


def test_groups_at_the_top_are_drawings(read):
    drawings, labels = read(
        '<annotation type="truth">\n a word </annotation>'
        '<traceGroup><annotation type="writer">me</annotation><annotation type="label">first</annotation>'
        "<traceGroup><trace>1 1</trace></traceGroup><trace>2 2</trace></traceGroup>"
        "<traceGroup><trace>3 3</trace></traceGroup><traceGroup/><trace>4 4</trace>"
    )
    for lines, wanted in zip(drawings, [[[4, 4]], [[1, 1], [2, 2]], [[3, 3]]], strict=True):
        same(lines, wanted)
    assert labels == ["a word", "first", "a word"]


def test_views_of_traces_are_no_drawings(read):
    drawings, labels = read(
        '<annotation type="truth">$x$</annotation><trace id="0">1 1</trace><trace id="1">2 2</trace>'
        '<traceGroup><traceGroup><annotation type="truth">x</annotation><traceView traceDataRef="0"/>'
        "</traceGroup></traceGroup>"
    )
    same(drawings[0], [[1, 1], [2, 2]])
    assert labels == ["$x$"]


# Writing


@pytest.mark.parametrize("scale", [1e-4, 1, 1e6])
def test_drawings_are_read_as_they_were_written(tmp_path, scale):
    rng = np.random.default_rng(0)
    many = [
        from_polylines([rng.normal(size=(m, 2)) * scale for m in rng.integers(1, 20, 4)]) for _ in range(20)
    ]
    path = tmp_path / "new" / "all.inkml"
    write_inkml(path, many)
    found = [from_polylines(lines) for lines in read_inkml(path)]
    assert len(found) == len(many)
    for one, other in zip(found, many, strict=True):
        np.testing.assert_array_equal(one[:, 2], other[:, 2])
        np.testing.assert_allclose(one[:, :2], other[:, :2], rtol=0, atol=1e-5 * scale)


def test_integers_and_labels_are_read_exactly(tmp_path):
    drawings = [np.array([[3, -4, 1]]), np.array([[0, 0, 0], [100, 7, 1], [5, 5, 1]])]
    strange = 'a <b> & "c"'
    path = tmp_path / "a.inkml"
    named = Sequences.of(drawings, label=[1, 0])
    named = Sequences(named.data, named.offsets, named.fields, {"categories": ["cat", strange]})
    for sequences, wanted in (
        (named, [strange, "cat"]),
        (Sequences.of(drawings, label=["x", "\x01"]), ["x", "\ufffd"]),
        (Sequences.of(drawings, label=[7, 8]), ["7", "8"]),
        (drawings, ["", ""]),
    ):
        write_inkml(path, sequences)
        lines, labels = read_labelled(path)
        assert labels == wanted
        for one, other in zip(lines, drawings, strict=True):
            np.testing.assert_array_equal(from_polylines(one), other)


def test_what_is_no_drawing_is_not_written(tmp_path):
    good = np.array([[1, 1, 1]])
    with pytest.raises(InputError, match=r"drawing 1 for .*a\.inkml has no point"):
        write_inkml(tmp_path / "a.inkml", [good, np.zeros((0, 3))])
    assert not list(tmp_path.iterdir())


# Mistakes


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "has no trace with a point"),
        ("<trace type='penUp'>1 1</trace>", "has no trace with a point"),
        (
            "<trace>1 1</trace><trace>1 1, 2</trace>",
            "trace 2, point 2 has 1 value, '2'; expected at least 2",
        ),
        ("<trace>1 1,, 2 2</trace>", "trace 1, point 2 has 0 values"),
        ("<trace>1 1, a 2</trace>", "trace 1, point 2: 'a 2' cannot be understood; expected a number"),
        ("<trace>NaN 2</trace>", "trace 1, point 1: 'NaN 2' cannot be understood"),
        (
            "<trace>1e400 2</trace>",
            r"trace 1, point 1: X or Y is inf; expected a finite number of at most 1e\+09",
        ),
        ("<trace>1 2, ? 2</trace>", "trace 1, point 2: X or Y is '[?]'; expected a number"),
        ("<trace>'1 2</trace>", "trace 1, point 1: '1' is relative to a point before; there is none"),
        ("<trace>* 2</trace>", "point 1: '[*]' is relative to a point before"),
        (channels("X", "F") + "<trace>1 2</trace>", r"has the channels \['X', 'F'\]; expected X and Y"),
        ("<trace>1 2<trace>", "is damaged or no XML"),
    ],
)
def test_files_that_cannot_be_read(read, body, message):
    with pytest.raises(InputError, match=message) as caught:
        read(body)
    assert "drawing.inkml" in str(caught.value)


def test_entities_and_other_files(read, tmp_path):
    with pytest.raises(InputError, match="declares the entity 'a', and files with entities are not read"):
        read("<trace>&a;</trace>", before='<!DOCTYPE ink [<!ENTITY a "1 1">]>')
    with pytest.raises(InputError, match="does not exist; expected an InkML file"):
        read_inkml(tmp_path / "none.inkml")
    path = tmp_path / "a.inkml"
    path.write_text("<svg/>")
    with pytest.raises(InputError, match="begins with the element 'svg'; expected an InkML file"):
        read_inkml(path)
