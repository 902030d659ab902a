"""Pictures that move: GIF files of frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from mixtura.drawing.figures import COLOURS
from mixtura.files import replacing

RATE = 15.0  # frames in a second
HELD = 1.5  # seconds: the last frame
SIDE = 192  # pixels: what the longer side of a picture is brought near to
GROUND = "white"
_SAMPLE = 24  # frames whose colours make the palette
_GAP, _LETTERS, _LINE = 8, 12, 18  # pixels: around pictures, of letters, of a line of them
_FADED = 0.6  # how much of a film that is over is the ground


def write_gif(path: Path, frames: Iterable[Image.Image], durations: Sequence[float]) -> None:
    """Write pictures with one palette as a GIF file that plays again and again.

    Args:
        path: of the file.
        frames: of mode "P".
        durations: how long each is shown, seconds; a GIF counts hundredths.
    """
    first, *others = frames
    first.save(
        path,
        "GIF",
        save_all=True,
        append_images=others,
        duration=[10 * round(100 * one) for one in durations],
        loop=0,
        optimize=True,
        disposal=1,
    )


def write_film(
    path: Path, films: Mapping[str, np.ndarray], captions: str | Sequence[str] = "", rate: float = RATE
) -> Path:
    """Write films side by side as a GIF file, each below its title; what is over stays, faded.

    Small pictures are enlarged by a whole factor to about 192 pixels, each pixel a square; large ones are
    made smaller by one. The last frame is held for 1.5 seconds.

    Args:
        path: of the file; it is there whole or not at all.
        films: `(frames, height, width, 3)` of uint8, of one size, by title.
        captions: below the pictures, for all frames or for each of the longest film.
        rate: frames in a second.

    Raises:
        ValueError: if there is no film, one is not such an array or of the others' size, captions are not as
            many as frames, or the rate is not positive.
    """
    if not films:
        raise ValueError("one film or more is needed; received none")
    sizes = {np.shape(film)[1:] for film in films.values()}
    for title, film in films.items():
        if film.ndim != 4 or film.dtype != np.uint8 or film.shape[3] != 3 or not len(film) or len(sizes) > 1:
            raise ValueError(
                "films must be uint8 arrays of shape (frames, height, width, 3), of one size; "
                f"{title!r} is {film.dtype} of shape {film.shape}"
            )
    count = max(map(len, films.values()))
    lines = [captions] * count if isinstance(captions, str) else list(captions)
    if len(lines) != count:
        raise ValueError(f"captions must be one or {count}, one for each frame; received {len(lines)}")
    if not 0 < rate < math.inf:
        raise ValueError(f"the rate must be a positive number of frames in a second; received {rate}")
    durations = [1 / rate] * (count - 1) + [HELD]
    has_line = any(lines)
    palette = _palette([_frame(films, at, "", has_line) for at in _spread(count, _SAMPLE)])
    frames = (_frame(films, at, line, has_line) for at, line in enumerate(lines))
    with replacing(path) as temporary:
        write_gif(
            temporary,
            (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames),
            durations,
        )
    return path


def _frame(films: Mapping[str, np.ndarray], at: int, line: str, has_line: bool) -> Image.Image:
    """Return the picture at a time."""
    pictures = [_sized(film[min(at, len(film) - 1)]) for film in films.values()]
    across, down = pictures[0].size
    top = _GAP + (_LINE if any(films) else 0)
    size = (_GAP + len(films) * (across + _GAP), top + down + (_LINE if has_line else 0) + _GAP)
    canvas = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.truetype(findfont("DejaVu Sans"), _LETTERS)
    for place, (title, film) in enumerate(films.items()):
        left = _GAP + place * (across + _GAP)
        picture, is_over = pictures[place], at >= len(film)
        pen.text((left, top - 5), f"{title}: over" if is_over else title, COLOURS["ink"], font, "ls")
        if is_over:
            picture = Image.blend(picture, Image.new("RGB", picture.size, GROUND), _FADED)
        canvas.paste(picture, (left, top))
    pen.text((_GAP, top + down + _LINE - 4), line, COLOURS["ink"], font, "ls")
    return canvas


def _sized(frame: np.ndarray) -> Image.Image:
    picture = Image.fromarray(frame)
    longest = max(picture.size)
    if longest > SIDE:
        return picture.reduce(round(longest / SIDE))
    factor = round(SIDE / longest)
    return picture.resize([factor * side for side in picture.size], Image.Resampling.NEAREST)


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """Return an image whose palette is the colours of frames."""
    across, down = frames[0].size
    sheet = Image.new("RGB", (across, down * len(frames)))
    for place, frame in enumerate(frames):
        sheet.paste(frame, (0, place * down))
    return sheet.quantize(256, Image.Quantize.MEDIANCUT)


def _spread(count: int, most: int) -> list[int]:
    """Return up to so many numbers below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()
