import keras
import numpy as np
import pytest
from scipy.special import expit, logit

from mixtura.systems.robojam.heads import HEADS, STEP, head, network, start
from mixtura.systems.robojam.system import RoboJam
from mixtura.training import initialize_head

EVENTS = np.array([[[0.2, 0.9, 0.001, 0.0], [0.3, 0.8, 0.02, 1.0], [0.5, 0.5, 0.5, 0.0]]], "float32")


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "count"), [("paper", 5_329_040), ("server", 3_173_923)])
def test_published_networks_have_the_published_number_of_weights(preset, count):
    settings = RoboJam.presets[preset].network
    model = network(head(settings["head"], settings["components"]), settings["units"])
    assert model.count_params() == count


def test_the_shipped_size_is_small():
    settings = RoboJam.presets["small"].network
    model = network(head(settings["head"], settings["components"]), settings["units"])
    assert 4 * model.count_params() < 4e6  # bytes of float32


QUICK = ("2021", "touch, change")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in HEADS]
)
def test_every_head_has_a_density_of_place_and_time(name):
    chosen = head(name, 3)
    model = network(chosen, (4,))
    params = np.asarray(keras.ops.convert_to_numpy(model(EVENTS[..., : chosen.family.event_size])))
    p = chosen.family(params[0]).marginal([0, 1, 2])
    assert np.isfinite(p.log_prob(EVENTS[0, :, :3])).all()
    drawn = chosen.family(params).sample(100, seed=1)
    assert np.isfinite(drawn).all()
    if name.startswith(("parts", "touch")):
        assert (drawn[..., 2] > 0).all()
        assert set(np.unique(drawn[..., 3])) <= {0.0, 1.0}
        if "normal" not in name:
            assert ((drawn[..., :2] > 0) & (drawn[..., :2] < 1)).all()


@pytest.mark.slow
def test_a_head_begins_at_the_distribution_of_moves():
    rng = np.random.default_rng(0)
    walks = []
    for _ in range(30):
        steps = np.cumsum(rng.normal([0.02, -0.05], 0.1, (50, 2)), axis=0)
        rest = np.column_stack([rng.lognormal(-3, 0.5, 50), rng.random(50) < 0.8])
        walks.append(np.concatenate([expit(steps), rest], axis=1))
    chosen = head("touch, change", 1)
    events, family = start(chosen, walks)
    model = network(chosen, (3,))
    initialize_head(model, events, seed=0, family=family, shrink=0.0)
    params = np.asarray(keras.ops.convert_to_numpy(model(walks[0][None].astype("float32"))))[0, 20:21]
    p = chosen.family(params)
    before = logit(walks[0][19, :2])
    # The first step of a walk is from the middle of the area, and counts like the others.
    expected = before + np.array([0.02, -0.05])
    for d in range(2):
        np.testing.assert_allclose(logit(p["place"].marginal(d).quantile(0.5)), expected[d], atol=0.02)
    np.testing.assert_allclose(np.log(p["dt"].quantile(0.5)), -3, atol=0.1)
    np.testing.assert_allclose(p["moving"].mean(), 0.8, atol=0.05)


def test_floors_are_the_rounding_of_the_declared_steps():
    rounding = np.array(STEP[:3]) / np.sqrt(12)
    np.testing.assert_allclose(head("2021", 2).family.floors, rounding)
    family = head("touch, change", 2).family
    slope = 4  # of the logit, in the middle
    np.testing.assert_allclose(family.floors[:2], slope * rounding[:2])
    np.testing.assert_allclose(family.floors[2], rounding[2])  # of a frame, in seconds


def test_unknown_heads_are_named():
    with pytest.raises(ValueError, match="there is no head '2020'"):
        head("2020", 3)
