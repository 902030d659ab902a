import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mixtura.drawing import Paper, animate
from mixtura.errors import InputError

SVG = "{http://www.w3.org/2000/svg}"
# 40 mm to the right; 10 mm through the air; a dot; 50 mm back in two steps.
LINE = np.array([[0, 0, 0], [40, 0, 1], [10, 0, 1], [0, -5, 0], [-25, 0, 0], [-25, 0, 1]])
PAPER = Paper(width=70, margin=5)


def times(path):
    """Return when each stroke of an SVG file starts and how long it takes, seconds."""
    paths = ElementTree.parse(path).getroot().iter(f"{SVG}path")
    styles = [path.get("style") for path in paths if path.get("pathLength") == "1"]
    return np.array([re.findall(r"(?:delay|duration):([\d.]+)s", style) for style in styles], float)


def darkness(image):
    """Return how much ink is on an image, and where it ends on the right, in pixels."""
    ink = 255 - np.asarray(image.convert("L"), float)
    return ink.sum(), np.flatnonzero(ink.max(axis=0) > 128).max(initial=-1)


def test_strokes_start_in_the_order_and_time_of_writing(tmp_path):
    path = animate([LINE, None, LINE], tmp_path / "new" / "line.svg", 1.0, PAPER, speed=50)
    lift = min(np.hypot(10, 0) / 50, 0.3)
    first = [(0, 0.8), (0.8 + lift, 0.3), (1.3 + 0.1, 1.0)]
    second = 2.4 + 0.3  # to the next line takes no longer
    expected = np.array(first + [(second + start, duration) for start, duration in first])
    np.testing.assert_allclose(times(path), expected, atol=0.002)
    root = ElementTree.parse(path).getroot()
    assert root.get("viewBox") == "0 0 70 46"  # as high as three lines
    assert "@keyframes write" in root.find(f"{SVG}style").text
    assert "prefers-reduced-motion" in root.find(f"{SVG}style").text
    assert [len(group) for group in root.findall(f"{SVG}g/{SVG}g")] == [3, 3]


def test_a_gif_shows_more_and_more_and_holds_the_whole(tmp_path):
    path = animate([LINE[:2]], tmp_path / "line.gif", 1.0, PAPER, speed=40)  # 40 mm in a second
    with Image.open(path) as image:
        assert image.size == (350, 110)  # five pixels for a millimetre
        assert image.n_frames == 20
        assert image.info["loop"] == 0
        seen, waits = [], []
        for frame in range(image.n_frames):
            image.seek(frame)
            seen.append(darkness(image))
            waits.append(image.info["duration"])
        assert waits == [50] * 19 + [3000]
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    ink, right = np.transpose(seen)
    assert (np.diff(ink) > 0).all()
    # The pen, 0.45 mm wide, moves 2 mm in a frame.
    np.testing.assert_allclose(right / 5, 5 + 2 * np.arange(1, 21), atol=0.6)


def test_a_gif_has_its_colours_rules_and_title(tmp_path):
    paper = Paper(
        width=70, margin=5, pen=2, ink=["red", "#0000ff"], background="#fdf6e3", ruled=True, title="A\ntitle"
    )
    path = animate([LINE, LINE], tmp_path / "lines.GIF", 1.0, paper)
    with Image.open(path) as image:
        image.seek(image.n_frames - 1)
        last = image.convert("RGB")
    assert last.getpixel((2, 2)) == (253, 246, 227)
    assert last.getpixel((5 * 25, 5 * 27)) == (255, 0, 0)
    assert last.getpixel((5 * 25, 5 * 39)) == (0, 0, 255)
    beside = np.array(last.getpixel((5 * 62, 5 * 27)), int)
    assert beside[0] < 235  # the rule
    assert np.asarray(last.convert("L"))[25:50].min() < 100  # the title


def test_long_writing_has_fewer_frames_in_a_second(tmp_path):
    path = animate([LINE] * 2, tmp_path / "slow.gif", 1.0, Paper(width=70, margin=5, pitch=5), speed=5)
    with Image.open(path) as image:
        assert 200 < image.n_frames <= 300
        durations = set()
        for frame in range(image.n_frames - 1):
            image.seek(frame)
            durations.add(image.info["duration"])
    assert min(durations) > 50


def test_a_dot_is_a_picture(tmp_path):
    dot = np.array([[3, -3, 1]])
    path = animate([dot], tmp_path / "dot.gif", 1.0, PAPER)
    with Image.open(path) as image:
        image.seek(image.n_frames - 1)
        assert darkness(image)[0] > 0
    np.testing.assert_allclose(times(animate([dot], tmp_path / "dot.svg", 1.0, PAPER)), [[0, 0.3]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "line.png"}, r"line.png has another ending; expected .svg or .gif"),
        ({"speed": 0}, "speed of the pen must be a positive number of mm per second; received 0"),
        ({"lines": [None]}, "nothing to animate"),
        ({"lines": []}, "there are no lines"),
        ({"lines": [LINE[:, :2]]}, "line 1 has the shape"),
    ],
)
def test_what_cannot_be_animated(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        animate(**{"lines": [LINE], "path": "line.gif", "unit": 1.0, **arguments})
    assert list(tmp_path.iterdir()) == []
