import numpy as np
import pytest
from PIL import Image

from mixtura.drawing.films import write_film

RED, BLUE, DARK = (250, 0, 0), (0, 0, 250), (40, 40, 40)


def film(*colours, height=48, width=64):
    """Frames that have one colour each, the left half dark."""
    frames = np.full((len(colours), height, width, 3), DARK, np.uint8)
    frames[:, :, width // 2 :] = np.array(colours, np.uint8)[:, None, None]
    return frames


def played(path):
    """Return the frames of a file as arrays, and how long each is shown, milliseconds."""
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        frames, waits = [], []
        for place in range(image.n_frames):
            image.seek(place)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
            waits.append(image.info["duration"])
    return frames, waits


def near(colour, other):
    return np.abs(np.subtract(colour, other)).max() < 12


def test_frames_are_enlarged_and_shown_in_their_time(tmp_path):
    path = write_film(tmp_path / "new" / "film.gif", {"": film(RED, BLUE, RED)}, rate=10)
    frames, waits = played(path)
    assert frames[0].shape == (3 * 48 + 16, 3 * 64 + 16, 3)
    assert waits == [100, 100, 1500]
    for frame, colour in zip(frames, (RED, BLUE, RED), strict=True):
        assert near(frame[80, 8 + 50], DARK)
        assert near(frame[80, 8 + 3 * 32], colour)  # edges of pixels stay sharp
        assert near(frame[80, 8 + 3 * 32 - 1], DARK)
        assert near(frame[2, 2], (255, 255, 255))


def test_the_shorter_film_stays_and_fades(tmp_path):
    path = write_film(tmp_path / "two.gif", {"real": film(RED, RED, BLUE), "dreamed": film(RED, BLUE)})
    frames, waits = played(path)
    assert waits == [70, 70, 1500]
    assert frames[0].shape == (8 + 18 + 3 * 48 + 8, 2 * 3 * 64 + 24, 3)
    left, right = 150, 150 + 200
    assert all(near(frame[100, left], colour) for frame, colour in zip(frames, (RED, RED, BLUE), strict=True))
    assert near(frames[1][100, right], BLUE)
    assert near(frames[2][100, right], np.multiply(0.4, BLUE) + 0.6 * 255)
    assert (frames[0][:24] < 128).any()  # the titles
    assert (frames[2][:24, 200:] != frames[1][:24, 200:]).any()  # "over"


def test_captions_change_with_the_frames(tmp_path):
    frames, _ = played(write_film(tmp_path / "said.gif", {"": film(RED, RED)}, ["left", "right"]))
    assert len(frames) == 2
    assert (frames[0][:150] == frames[1][:150]).all()
    assert (frames[0][-26:] != frames[1][-26:]).any()


def test_large_pictures_are_made_smaller(tmp_path):
    frames, _ = played(write_film(tmp_path / "large.gif", {"": film(RED, BLUE, height=400, width=600)}))
    assert frames[0].shape == (134 + 16, 200 + 16, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"films": {"a": film(RED) / 255}}, r"'a' is float64 of shape \(1, 48, 64, 3\)"),
        ({"films": {"a": film(RED)[0]}}, r"'a' is uint8 of shape \(48, 64, 3\)"),
        ({"films": {"a": film(RED)[:0]}}, r"'a' is uint8 of shape \(0, 48, 64, 3\)"),
        ({"films": {"a": film(RED), "b": film(RED, width=32)}}, "of one size"),
        ({"films": {}}, "one film or more"),
        ({"captions": ["x"]}, "captions must be one or 2, one for each frame; received 1"),
        ({"rate": 0}, "rate must be a positive number of frames in a second; received 0"),
    ],
)
def test_what_is_no_film_is_refused(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_film(**{"path": tmp_path / "film.gif", "films": {"": film(RED, BLUE)}, **arguments})
    assert not list(tmp_path.iterdir())
