import shutil

import numpy as np
import pytest

from mixtura.data.iam_ondb import is_iam_ondb, read_iam_ondb
from mixtura.data.strokes import polylines
from mixtura.errors import InputError

FORM = "b03-017u"
TEXTS = ["Seven owls sat on a wire .", 'One said : "who & why ?"', "Nobody knew ."]
LINES = [
    [[(100, 40), (103, 44), (105, 41)], [(120, 40), (121, 50)]],
    [[(90, 140), (91, 144)], [(101, 150)]],
    [[(80, 240), (85, 230), (90, 241), (95, 232)]],
]


def xml(lines):
    strokes = "".join(
        '<Stroke colour="black" start_time="1.0" end_time="2.0">'
        + "".join(f'<Point x="{x}" y="{y}" time="1.5"/>' for x, y in line)
        + "</Stroke>"
        for line in lines
    )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?><WhiteboardCaptureSession><WhiteboardDescription>'
        '<SensorLocation corner="top_left"/></WhiteboardDescription>'
        f"<StrokeSet>{strokes}</StrokeSet></WhiteboardCaptureSession>"
    )


def form_of(root, name, texts, lines, all_=""):
    where = f"{name[:3]}/{name[:7]}"
    ascii_, strokes = root / f"ascii{all_}", root / f"lineStrokes{all_}"
    if all_:
        ascii_, strokes = ascii_ / "ascii", strokes / "lineStrokes"
    for place in (ascii_ / where, strokes / where):
        place.mkdir(parents=True, exist_ok=True)
    said = "\n".join(text.replace("&", "&amp;").replace('"', "&quot;") for text in texts)
    (ascii_ / where / f"{name}.txt").write_text(f"OCR:\n\nsome thing else\n\nCSR:\n\n{said}\n")
    for number, line in enumerate(lines, start=1):
        (strokes / where / f"{name}-{number:02}.xml").write_text(xml(line))
    return strokes / where


@pytest.fixture
def root(tmp_path):
    form_of(tmp_path, FORM, TEXTS, LINES)
    return tmp_path


def left_out(found):
    return found.facts["left_out"].tolist() if "left_out" in found.facts else []


def test_lines_have_their_texts_and_begin_at_the_origin(root):
    found = read_iam_ondb(root)
    assert found.fields["text"].tolist() == TEXTS
    assert found.fields["line_id"].tolist() == [f"{FORM}-{n:02}" for n in (1, 2, 3)]
    assert set(found.fields["form_id"].tolist()) == {FORM}
    assert found.fields["iam_set"].tolist() == [-1, -1, -1]
    assert "writer" not in found.fields
    assert left_out(found) == []
    for drawing, lines in zip(found, LINES, strict=True):
        for one, other in zip(polylines(drawing), lines, strict=True):
            np.testing.assert_array_equal(one, np.subtract(other, lines[0][0]))


def test_the_folder_may_be_any_of_several(root):
    wanted = read_iam_ondb(root)
    strokes = root / "lineStrokes"
    for place in (strokes, strokes / "b03", strokes / "b03" / "b03-017"):
        np.testing.assert_array_equal(read_iam_ondb(place).data, wanted.data)
    one = read_iam_ondb(strokes / "b03" / "b03-017" / f"{FORM}-02.xml")
    assert one.fields["text"].tolist() == [TEXTS[1]]
    np.testing.assert_array_equal(one[0], wanted[1])
    assert left_out(one) == []
    assert is_iam_ondb(root)
    assert is_iam_ondb(strokes / "b03")
    assert not is_iam_ondb(root / "ascii")


def test_folders_of_archives_writers_and_official_lists(tmp_path):
    names = ["c01-001u", "c01-001z", "c02-002", "c03-003u"]
    for name in names:
        form_of(tmp_path, name, TEXTS[:1], LINES[:1], "-all")
    for number, name in enumerate(("trainset", "testset_v", "testset_f", "testset_t")):
        (tmp_path / "task1").mkdir(exist_ok=True)
        (tmp_path / "task1" / f"{name}.txt").write_text(f"{[*names[:1], *names[1:3], 'x'][number]}\n")
    for folder, file, writer in (("c01-001", "strokesu", 10101), ("c02-002", "strokes", 10207)):
        place = tmp_path / "original-xml-all" / "original" / folder[:3] / folder
        place.mkdir(parents=True)
        (place / f"{file}.xml").write_text(
            '<?xml version="1.0"?><WhiteboardCaptureSession><General>'
            f'<Form writerID="{writer}"/></General></WhiteboardCaptureSession>'
        )
    found = read_iam_ondb(tmp_path)
    assert found.fields["form_id"].tolist() == names
    assert found.fields["iam_set"].tolist() == [0, 1, 2, -1]
    assert found.fields["writer"].tolist() == [10101, -1, 10207, -1]
    np.testing.assert_array_equal(read_iam_ondb(tmp_path / "lineStrokes-all").data, found.data)


def test_what_does_not_match_is_named_and_the_rest_kept(root):
    form_of(root, "b03-018u", TEXTS[:1], LINES)  # too few texts
    form_of(root, "b03-019u", TEXTS, LINES[:2])  # a file is missing
    form_of(root, "z01-000z", TEXTS, LINES)
    silent = form_of(root, "b03-020u", [], LINES[:1])
    (silent / "notes.xml").write_text(xml(LINES[0]))
    (root / "ascii" / "b03" / "b03-019" / "b03-019x.txt").write_text("CSR:\n\nNothing .\n")
    alone = form_of(root, "b03-021u", TEXTS, LINES[:1])
    (root / "ascii" / "b03" / "b03-021" / "b03-021u.txt").unlink()
    assert alone.is_dir()
    found = read_iam_ondb(root)
    assert found.fields["line_id"].tolist() == [
        *(f"{FORM}-{n:02}" for n in (1, 2, 3)),
        "b03-019u-01",
        "b03-019u-02",
    ]
    said = "\n".join(left_out(found))
    assert "form b03-018u: 3 lines of strokes, b03-018u-01 to b03-018u-03, but 1 of text" in said
    assert "line b03-019u-03: there are no strokes for the text 'Nobody knew .'" in said
    assert "form z01-000z: its transcription is known to be wrong" in said
    assert "b03-020u.txt has no lines after 'CSR:'" in said
    assert "form b03-021u: there is no transcription b03-021u.txt in ascii" in said
    assert "notes.xml: its name is no line's; expected one like a01-000u-01.xml" in said
    assert len(left_out(found)) == 6


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("<Whiteboard", r"-02.xml is damaged or no XML \(.*\); expected strokes of IAM-OnDB"),
        ("<svg/>", "-02.xml begins with the element 'svg'; expected WhiteboardCaptureSession"),
        (xml([]), "-02.xml has no stroke with a point"),
        (
            xml(LINES[0]).replace('x="120"', 'x="far"'),
            "-02.xml, stroke 2, point 1: x and y are 'far' and '40'; expected numbers of at most 1e",
        ),
        (xml(LINES[0]).replace('y="44"', ""), "stroke 1, point 2: x and y are '103' and ''"),
    ],
)
def test_a_broken_file_is_named_and_the_rest_kept(root, content, sentence):
    file = root / "lineStrokes" / "b03" / "b03-017" / f"{FORM}-02.xml"
    file.write_text(content)
    found = read_iam_ondb(root)
    assert found.fields["text"].tolist() == TEXTS[::2]
    with pytest.raises(InputError, match=sentence):
        raise InputError(left_out(found)[0])
    with pytest.raises(InputError, match=sentence):
        read_iam_ondb(file)


def test_what_is_missing_is_said(root, tmp_path):
    with pytest.raises(InputError, match="has no folder lineStrokes; expected IAM-OnDB"):
        read_iam_ondb(root / "ascii")
    with pytest.raises(InputError, match="has no folder lineStrokes"):
        read_iam_ondb(root / "lineStrokes" / "b09")
    shutil.rmtree(root / "ascii")
    with pytest.raises(
        InputError, match="has no folder ascii; expected the transcriptions beside lineStrokes"
    ):
        read_iam_ondb(root)


def test_a_transcription_in_latin_letters_with_a_broken_line(root):
    file = root / "ascii" / "b03" / "b03-017" / f"{FORM}.txt"
    file.write_bytes("CSR:\r\n\r\nFran\xe7ois%%%%%%%%%%%sat\r\n\r\nhere .\r\n".encode("latin1"))
    assert read_iam_ondb(root).fields["text"].tolist() == ["François", "sat", "here ."]
