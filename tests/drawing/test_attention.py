import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.image import imread

from mixtura.drawing import COLOURS, attention, attention_plot, density_plot

# A zigzag of two strokes and a dot.
ZIGZAG = np.array([[5, 5, 0], [3, -4, 0], [3, 4, 1], [2, 0, 0], [3, -4, 0], [3, 4, 1], [2, 0, 1]], float)
PLACES = np.cumsum(ZIGZAG[:, :2], axis=0)
STEP = 5.0  # inside strokes


@pytest.fixture
def figures(monkeypatch):
    """Return a list that gets the figures that are saved."""
    saved = []
    save = attention.save_figure

    def keep(figure, path, dpi):
        saved.append(figure)
        return save(figure, path, dpi)

    monkeypatch.setattr(attention, "save_figure", keep)
    return saved


def lines_of(axes):
    (collection,) = [one for one in axes.collections if isinstance(one, LineCollection)]
    return collection


def test_attention_is_dark_where_the_weight_is(figures, tmp_path):
    weights = np.zeros((7, 4))
    looked = [0, 0, 1, 1, 1, 2, 3]
    weights[np.arange(7), looked] = 0.8
    path = attention_plot(weights, "a $", ZIGZAG, tmp_path / "new" / "window.png")
    assert imread(path).ndim == 3
    (axes,) = figures[0].axes
    (image,) = axes.get_images()
    np.testing.assert_array_equal(image.get_array(), weights.T)
    assert image.get_extent() == [0, 7, 4, 0]
    assert [text.get_text() for text in axes.texts] == ["a", "␣", "$", "end"]
    assert [text.get_position()[1] for text in axes.texts] == [0.5, 1.5, 2.5, 3.5]
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [
        0.5,
        2.5,
        5.5,
        6.5,
    ]  # where the letter changes
    drawn = lines_of(axes)
    colours = [attention.LETTERS[row] for row in looked[:-1]] + [COLOURS["grey"]]
    for colour, shown in zip(colours, drawn.get_colors(), strict=True):
        assert tuple(shown[:3]) == pytest.approx([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_the_drawing_below_attention_keeps_its_shape_and_is_on_the_picture(figures, tmp_path):
    for stretch in ((1, 1), (1, 30), (30, 1)):
        attention_plot(np.eye(7), "letter", ZIGZAG * [*stretch, 1], tmp_path / "window.svg")
        (axes,) = figures[-1].axes
        ends = np.array(lines_of(axes).get_segments())[:, -1]
        pixels = axes.transData.transform(ends)
        sides = np.ptp(pixels, axis=0) / np.ptp(PLACES * stretch, axis=0)
        assert sides[0] == pytest.approx(sides[1])
        width, height = figures[-1].get_size_inches() * figures[-1].dpi
        assert (pixels > 0).all()
        assert (pixels < (width, height)).all()


def test_attention_needs_weights_that_fit(tmp_path):
    for weights, text in ((np.ones((7, 3)), "abc"), (np.ones((6, 4)), "abc"), (np.ones(7), "")):
        with pytest.raises(ValueError, match=r"weights of 7 points for \d letters and the end must have"):
            attention_plot(weights, text, ZIGZAG, tmp_path / "window.png")
    with pytest.raises(ValueError, match="the drawing has no point"):
        attention_plot(np.ones((0, 2)), "a", ZIGZAG[:0], tmp_path / "window.png")


def around_the_next(spread):
    """Return the density of a normal around the true next point."""

    def log_density(number, places):
        far = ((places - PLACES[number]) ** 2).sum(axis=1) / spread**2
        return -far / 2 - np.log(2 * np.pi * spread**2)

    return log_density


def test_densities_are_summed_over_all_points(figures, tmp_path):
    spread = 1.0
    density_plot(ZIGZAG, around_the_next(spread), tmp_path / "density.png", radius=12.0)
    (axes,) = figures[0].axes
    (image,) = axes.get_images()
    total = np.asarray(image.get_array()) ** 2
    left, right, bottom, top = image.get_extent()
    rows, columns = total.shape
    cell = (right - left) / columns
    assert (bottom - top) / rows == pytest.approx(cell)
    assert total.sum() * cell**2 == pytest.approx(len(ZIGZAG) - 1, rel=0.15)
    y, x = np.unravel_index(total.argmax(), total.shape)
    assert np.hypot(*(PLACES - (left + (x + 0.5) * cell, top + (y + 0.5) * cell)).T).min() < 2 * cell
    # Close to a point of a stroke, a sum that is not interpolated.
    column, row = ((PLACES[1] - (left, top)) / cell).astype(int)
    middle = np.array([left, top]) + cell * (np.array([column, row]) + 0.5)
    inside = [number for number in range(1, 7) if not ZIGZAG[number - 1, 2]]
    expected = sum(np.exp(around_the_next(spread)(number, middle[None])[0]) for number in inside)
    assert total[row, column] == pytest.approx(expected, rel=0.1)
    np.testing.assert_allclose(np.array(lines_of(axes).get_segments())[:, -1], PLACES)


def test_places_are_near_the_point_before_and_not_too_many(tmp_path):
    seen = {}

    def log_density(number, places):
        seen[number] = places
        return np.zeros(len(places))

    density_plot(ZIGZAG, log_density, tmp_path / "density.png")
    assert sorted(seen) == [1, 2, 3, 4, 5, 6]
    for number, places in seen.items():
        reach = 4 * STEP * (7 if ZIGZAG[number - 1, 2] else 1)
        cell = 4 * STEP / 16
        low, high = places.min(axis=0), places.max(axis=0)
        np.testing.assert_allclose(low, PLACES[number - 1] - reach, atol=cell)
        np.testing.assert_allclose(high, PLACES[number - 1] + reach, atol=cell)
    long = np.tile(ZIGZAG[:2], (1500, 1))
    long[-1, 2] = 1
    seen.clear()
    density_plot(long, log_density, tmp_path / "density.png")
    assert sum(map(len, seen.values())) <= 1_000_000


def test_ends_are_drawn_below_as_large_as_they_are_likely(figures, tmp_path):
    ends = np.linspace(0, 1, 7)
    density_plot(ZIGZAG, around_the_next(1.0), tmp_path / "density.png", ends=ends)
    density_plot(ZIGZAG, around_the_next(1.0), tmp_path / "density.png")
    with_ends, without = (figure.axes[0] for figure in figures)
    upper, lower, dots = with_ends.collections
    np.testing.assert_allclose(dots.get_sizes() / dots.get_sizes()[-1], ends)
    below = np.array(lower.get_segments())[:, -1]
    np.testing.assert_allclose(dots.get_offsets(), below)
    moved = below - np.array(upper.get_segments())[:, -1]
    assert np.ptp(moved, axis=0) == pytest.approx(0, abs=1e-9)
    assert moved[0, 0] == 0
    assert moved[0, 1] > np.ptp(PLACES[:, 1])
    assert len(without.collections) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drawing": ZIGZAG[:, :2]}, "the drawing has the shape"),
        ({"drawing": np.array([[1.0, 1, 1]])}, "points at two places or more"),
        ({"ends": np.ones(6)}, r"ends must have the shape \(7,\); received \(6,\)"),
        ({"radius": 0.0}, "radius must be at least 0.128 for a drawing of 16; received 0.0"),
    ],
)
def test_densities_that_cannot_be_drawn(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        density_plot(
            **{
                "drawing": ZIGZAG,
                "log_density": around_the_next(1.0),
                "path": tmp_path / "density.png",
                **arguments,
            }
        )
