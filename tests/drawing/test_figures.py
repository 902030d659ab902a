from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from mixtura.drawing import check_picture, heat_map, loss_curves, new_figure, save_figure
from mixtura.errors import InputError


def test_loss_curves_are_shifted_and_counted_from_one():
    _, (axes,) = new_figure()
    loss_curves(axes, {"loss": [3.0, 2.0], "val_loss": [4.0, 3.0]}, "blue", offset=1.0)
    training, validation = axes.get_lines()
    np.testing.assert_array_equal(training.get_xydata(), [[1, 4], [2, 3]])
    np.testing.assert_array_equal(validation.get_ydata(), [5, 4])


def test_a_saved_figure_shows_the_heat_map_right_way_up(tmp_path):
    figure, (axes,) = new_figure(width=3, height=3)
    density = np.zeros((20, 10))
    density[-5:, :] = 1.0  # high y
    heat_map(axes, np.linspace(0, 1, 10), np.linspace(0, 1, 20), density, ceiling=1.0)
    axes.set_axis_off()
    path = save_figure(figure, tmp_path / "new" / "map.png", dpi=50)
    image = imread(path)[..., :3].mean(axis=-1)
    assert image.shape == (150, 150)
    assert image[:50].mean() < 0.7 < image[60:].mean()  # the top is dark


def test_the_ending_of_a_picture_is_known_beforehand():
    for name in ("a.png", "a.SVG", "b/a.pdf"):
        check_picture(Path(name))
    for name in ("a.csv", "a", "a.", ".png"):
        with pytest.raises(InputError, match="has no picture's ending; expected one such as"):
            check_picture(Path(name))
