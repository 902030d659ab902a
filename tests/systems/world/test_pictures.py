import numpy as np
import pytest
from matplotlib.colors import same_color
from PIL import Image

from mixtura.drawing import COLOURS
from mixtura.systems.world import pictures
from mixtura.systems.world.comparing import HazardTable, Returns
from mixtura.systems.world.evolution import Generation

RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
DECODED = FRAMES // 2
TICS = {
    "random": Returns(np.arange(4), np.array([100.0, 200.0, 200.0, 400.0])),
    "the agent": Returns(np.arange(4), np.array([300.0, 500.0, 600.0, 600.0])),
}


@pytest.fixture
def drawn(saved_figures):
    return saved_figures(pictures)


def labelled(axes):
    """Return lines and error bars by their label."""
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def test_a_sheet_has_frames_what_v_makes_of_them_and_the_errors(tmp_path, drawn):
    path = pictures.reconstructions(tmp_path / "sheet.png", FRAMES, DECODED)
    assert path.stat().st_size > 1000
    panels = drawn[0].axes
    assert len(panels) == 12
    images = [panel.get_images()[0].get_array() for panel in panels]
    for k in range(4):
        np.testing.assert_array_equal(images[k], FRAMES[k])
        np.testing.assert_array_equal(images[4 + k], DECODED[k])
        error = np.abs(FRAMES[k].astype(float) - DECODED[k]) / 255
        np.testing.assert_allclose(images[8 + k], error.mean(axis=-1))
        assert panels[8 + k].get_xlabel() == f"{np.sum(error**2):.0f}"
    assert len({panel.get_images()[0].get_clim() for panel in panels[8:]}) == 1  # one scale for all
    assert [panel.get_ylabel() for panel in panels[::4]] == ["the game", "as V has it", "difference"]


@pytest.mark.parametrize(
    ("frames", "decoded"),
    [
        (FRAMES, DECODED[:2]),
        (FRAMES / 255, DECODED / 255),
        (FRAMES[:0], DECODED[:0]),
        (FRAMES[0], DECODED[0]),
    ],
)
def test_a_sheet_takes_as_many_pictures_of_bytes(frames, decoded, tmp_path):
    with pytest.raises(ValueError, match=r"1 to 12 frames \(n, height, width, 3\) of uint8"):
        pictures.reconstructions(tmp_path / "sheet.png", frames, decoded)


def test_a_dream_plays_beside_the_game(tmp_path):
    with Image.open(pictures.beside(tmp_path / "two.gif", FRAMES, DECODED[:3])) as image:
        assert (image.n_frames, image.size) == (4, (2 * 192 + 24, 8 + 18 + 192 + 8))
    with Image.open(pictures.play_gif(tmp_path / "one.gif", FRAMES, ["a", "b", "c", "d"])) as image:
        assert image.n_frames == 4


def test_fitnesses_are_drawn_for_every_round(tmp_path, drawn):
    history = [Generation(k, 10.0 * k, 10.0 * k + 5, 10.0 * k - 3, 0.1, None) for k in (1, 2, 3)]
    history[1] = history[1]._replace(evaluation=17.0)
    pictures.fitness_curves(tmp_path / "curves.svg", {"round 1": history, "round 2": history[:1]}, "tics")
    first, second = drawn[0].axes
    assert [first.get_title(), second.get_title(), first.get_ylabel()] == ["round 1", "round 2", "tics"]
    found = labelled(first)
    np.testing.assert_array_equal(found["mean of the candidates"].get_xydata(), [[1, 10], [2, 20], [3, 30]])
    np.testing.assert_array_equal(found["their centre, evaluated"].get_xydata(), [[2, 17]])
    band = found["worst to best"].get_paths()[0].vertices
    assert {(1, 7), (1, 15), (3, 27), (3, 35)} <= set(map(tuple, band.tolist()))
    assert "their centre, evaluated" not in labelled(second)


def test_survival_is_the_share_that_lasts_longer(tmp_path, drawn):
    pictures.survival_curves(tmp_path / "alive.png", TICS, cap=600)
    (axes,) = drawn[0].axes
    found = labelled(axes)
    random, agent = found["random: 225 on average"], found["the agent: 500 on average"]
    np.testing.assert_allclose(random.get_xydata(), [[0, 1], [100, 0.75], [200, 0.25], [400, 0], [600, 0]])
    # Two were ended by the limit: nobody knows when they would have died.
    np.testing.assert_allclose(agent.get_xydata(), [[0, 1], [300, 0.75], [500, 0.5], [600, 0.5]])
    assert same_color(random.get_color(), COLOURS["grey"])
    assert same_color(agent.get_color(), COLOURS["blue"])
    assert axes.get_xlim() == (0, 600)
    pictures.survival_curves(tmp_path / "all.png", TICS)
    assert labelled(drawn[1].axes[0])["the agent: 500 on average"].get_ydata()[-1] == 0


def test_hazards_without_an_end_are_upper_bounds(tmp_path, drawn):
    table = HazardTable(
        low=np.array([0.0, 0.01, 0.2]),
        high=np.array([0.001, 0.02, 0.9]),
        predicted=np.array([0.0004, 0.015, 0.5]),
        observed=np.array([0.0, 0.02, 0.4]),
        steps=np.array([1000, 100, 20]),
    )
    pictures.hazard_picture(tmp_path / "hazard.png", table)
    axes, below = drawn[0].axes
    found = labelled(axes)
    np.testing.assert_allclose(found["observed, 95 %"][0].get_xydata(), [[0.015, 0.02], [0.5, 0.4]])
    low, high = table.interval()
    np.testing.assert_allclose(found["none ended: 95 % below"].get_xydata(), [[0.0004, high[0]]])
    spans = [segment[:, 1] for segment in found["observed, 95 %"][2][0].get_segments()]
    np.testing.assert_allclose(spans, np.stack([low, high], axis=1)[1:])
    assert axes.get_xlim() == axes.get_ylim() == (1e-4, 1)
    bars = [(bar.get_x(), bar.get_x() + bar.get_width(), bar.get_height()) for bar in below.patches]
    spans, counts = [(1e-4, 0.001), (0.01, 0.02), (0.2, 0.9)] * 2, [1000, 100, 20, 0, 2, 8]
    expected = [(*span, count) for span, count in zip(spans, counts, strict=True)]
    np.testing.assert_allclose(bars, expected)


def test_choices_are_bars_in_their_lanes(tmp_path, drawn):
    codes = np.array([-1, -1, 0, 1, 1, 1, -1, 1], np.float32)[:, None]
    pictures.actions_picture(tmp_path / "actions.png", codes, ("left", "stay", "right"))
    axes, beside = drawn[0].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["left", "stay", "right"]
    spans = [
        [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in lane.get_paths()]
        for lane in axes.collections
    ]
    assert spans == [[(0, 2), (6, 7)], [(2, 3)], [(3, 6), (7, 8)]]
    assert [bar.get_width() for bar in beside.patches] == [3 / 8, 1 / 8, 4 / 8]
    one_hot = np.eye(3)[[0, 0, 1, 2, 2, 2, 0, 2]]
    pictures.actions_picture(tmp_path / "one-hot.png", one_hot, ("left", "stay", "right"))
    assert [bar.get_width() for bar in drawn[1].axes[1].patches] == [3 / 8, 1 / 8, 4 / 8]


def test_numbers_are_lines_around_their_lanes(tmp_path, drawn):
    codes = np.stack([np.linspace(-2, 2, 9), np.full(9, 0.5)], axis=1)
    pictures.actions_picture(tmp_path / "actions.png", codes, ("steer", "gas"))
    axes, beside = drawn[0].axes
    steer, gas = (line for line in axes.lines if len(line.get_xdata()) == 9)
    np.testing.assert_allclose(steer.get_ydata(), 0 - 0.45 * codes[:, 0] / 2)
    np.testing.assert_allclose(gas.get_ydata(), 1 - 0.45 * 0.25)
    medians = [line.get_xdata()[0] for line in beside.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(medians, [0, 0.5], atol=1e-12)


def test_what_goes_with_the_actions_is_on_top(tmp_path, drawn):
    codes = np.sign(RNG.normal(size=(200, 1)))
    latents = RNG.normal(size=(200, 4))
    latents[:, 2] = 3 - 5 * codes[:, 0] + latents[:, 2]
    latents[:, 3] = 1.0  # does not vary
    pictures.actions_picture(tmp_path / "seen.png", codes, ("left", "right"), latents)
    _, _, map_, beside = drawn[0].axes
    shown = map_.get_images()[0].get_array()
    np.testing.assert_allclose(shown[0], (latents[:, 2] - latents[:, 2].mean()) / latents[:, 2].std())
    np.testing.assert_array_equal(shown[3], 0)
    width = [bar.get_width() for bar in beside.patches]
    assert width[0] == pytest.approx(abs(np.corrcoef(codes[:, 0], latents[:, 2])[0, 1]))
    assert width == sorted(width, reverse=True)


def test_actions_fit_their_names(tmp_path):
    with pytest.raises(
        ValueError, match=r"3 names need codes \(steps, 3\) or \(steps, 1\); received \(5, 2\)"
    ):
        pictures.actions_picture(tmp_path / "a.png", np.zeros((5, 2)), "abc")
    with pytest.raises(ValueError, match="latents must be as many as the 5 codes; received 4"):
        pictures.actions_picture(tmp_path / "a.png", np.zeros((5, 1)), "abc", np.zeros((4, 2)))


def test_temperatures_are_beside_published_ones(tmp_path, drawn):
    rows = {1.3: (TICS["random"], TICS["random"]), 1.0: (TICS["the agent"], TICS["random"])}
    pictures.temperature_picture(tmp_path / "temperatures.png", rows, pictures.PUBLISHED)
    found = labelled(drawn[0].axes[0])
    np.testing.assert_array_equal(found["in the dream"][0].get_ydata(), [500, 225])
    np.testing.assert_allclose(found["in the game"][0].get_xdata(), [1.0, 1.3], atol=0.02)
    hollow = found["in the game, published"]
    np.testing.assert_array_equal(
        hollow.get_xydata(), [[0.1, 193], [0.5, 196], [1.0, 868], [1.15, 1092], [1.3, 753]]
    )
    assert hollow.get_fillstyle() == "none"
    pictures.temperature_picture(tmp_path / "ours.png", rows)
    assert list(labelled(drawn[1].axes[0])) == ["in the dream", "in the game"]
    costs = Returns(np.arange(3), np.array([-900.0, -700.0, -800.0]))
    pictures.temperature_picture(tmp_path / "costs.png", {1.0: (costs, costs)})
    low, high = drawn[2].axes[0].get_ylim()
    assert low < -800 < high


def test_every_return_is_a_dot(tmp_path, drawn):
    returns = {**TICS, "once": Returns(np.array([0]), np.array([50.0]))}
    pictures.returns_picture(tmp_path / "returns.png", returns, "tics")
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == list(returns)
    dots = [line for line in axes.lines if line.get_marker() == "."]
    for place, (line, found) in enumerate(zip(dots, returns.values(), strict=True)):
        np.testing.assert_array_equal(line.get_xdata(), found.values)
        assert np.abs(line.get_ydata() - place).max() <= 0.2
    assert axes.yaxis_inverted()
    assert {"500 ± 71", "50", "mean ± s.e."} <= {text.get_text() for text in axes.texts}


def test_each_policy_has_a_colour_of_its_own():
    names = ["random", "sweep of 24", "sweep of 28", "still", "agent", "another"]
    found = pictures._colours(dict.fromkeys(names))
    assert len(set(found.values())) == len(names)
    assert found["agent"] == COLOURS["blue"]
    assert pictures._colours(dict.fromkeys("abcdefghi"))["i"] == COLOURS["orange"]  # one comes twice
    assert found["sweep of 24"] == COLOURS["orange"]
