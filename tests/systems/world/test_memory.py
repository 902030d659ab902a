"""What M is taught: events of recorded episodes, in windows, and what it says of their ends."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit

from mixtura.models import Memory
from mixtura.systems.world.memory import Layout, Series, begin, family_of, hazard, rows

RNG = np.random.default_rng(0)


def series(steps=5, terminated=True, rewards=None, spread=-1.0):
    return Series(
        RNG.normal([3.0, -1.0], [1.0, 0.1], (steps + 1, 2)).astype("float32"),
        np.full((steps + 1, 2), spread, "float32"),
        RNG.normal(size=(steps, 1)).astype("float32"),
        np.ones(steps, "float32") if rewards is None else np.array(rewards, "float32"),
        terminated,
    )


def test_z_is_drawn_from_what_v_says():
    one = series(4000, spread=np.log(0.25))
    drawn = one.drawn(np.random.default_rng(1))
    np.testing.assert_allclose((drawn - one.mean).std(axis=0), 0.5, rtol=0.05)
    known = one._replace(log_variance=np.full_like(one.mean, -np.inf))
    np.testing.assert_array_equal(known.drawn(RNG), one.mean)


@pytest.mark.parametrize(
    ("rewards", "terminated", "reward", "constant"),
    [
        ([1, 1, 1, 1, 1], True, False, 1.0),
        ([4, 4, 4, 4, 0], True, False, 4.0),  # the last tics of a life
        ([-1, -1, -1, -1, 0], True, False, -1.0),
        ([1, 1, 2, 1, 1], False, True, 0.0),
        ([0, 0, 0, 0, 1], True, True, 0.0),  # the only one there is
        ([-1, -1, -1, -1, -100], True, True, 0.0),  # the end may be good or bad
    ],
)
def test_what_is_always_the_same_is_not_predicted(rewards, terminated, reward, constant):
    given = [series(), series(rewards=rewards, terminated=False)]
    given = [one._replace(rewards=np.array(rewards, "float32"), terminated=terminated) for one in given]
    assert Layout.of(given) == (Layout(2, reward, terminated), constant)


def test_an_event_says_what_led_to_a_moment():
    one = series(3, rewards=[5, 6, 7])
    events = Layout(2, True, True).events(one, one.mean)
    assert events.dtype == np.float32
    np.testing.assert_array_equal(events[:, :2], one.mean)
    assert events[:, 2].tolist() == [0, 5, 6, 7]
    assert events[:, 3].tolist() == [0, 0, 0, 1]
    cut = one._replace(terminated=False)
    assert Layout(2, True, True).events(cut, one.mean)[:, 3].tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(Layout(2, False, False).events(one, one.mean), one.mean)


def test_units_are_those_of_the_episodes():
    given = [series(500, rewards=RNG.normal(7, 2, 500)) for _ in range(3)]
    family = family_of(Layout(2, True, True), given, components=2)
    assert family.names == ("latent", "reward", "done")
    shift, scale = family.units
    z = np.concatenate([one.mean for one in given])
    np.testing.assert_allclose(shift[:2], z.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scale[:2], z.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose((shift[2], scale[2]), (7, 2), rtol=0.1)
    plain = family_of(Layout(2, False, False), given, components=2, units=False)
    assert plain.names == ("latent",)
    assert plain.units[1].tolist() == [1.0, 1.0]
    assert plain.params_size == 2 * 3 * 2


def test_an_action_enters_with_the_z_that_it_answers():
    """Step t of a row is told event t - 1 and the action there, and predicts event t."""
    one, layout, start = series(4, rewards=[1, 2, 3, 4]), Layout(2, True, True), np.array([9.0, 9, 9, 9])
    [(x, y, weight)] = rows(layout, [one], start, 5, 1, 0).parts
    events = layout.events(one, one.mean)
    np.testing.assert_array_equal(y[0], events)
    np.testing.assert_array_equal(x["before"][0], start)
    np.testing.assert_array_equal(x["inputs"][0], np.concatenate([[[0.0]], one.actions]))
    assert weight.tolist() == [[1.0] * 5]
    drawn = [rows(layout, [one], start, 5, 1, seed, drawn=True).parts[0][1] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0][..., :2] != drawn[2][..., :2]).all()
    np.testing.assert_array_equal(drawn[0][0, :, 2:], events[:, 2:])


@pytest.fixture(scope="module")
def learnt():
    """Return an M that has begun with episodes, the episodes, and what their events are."""
    keras.utils.set_random_seed(0)
    given = [series(30) for _ in range(40)]
    layout, _ = Layout.of(given)
    model = Memory(family_of(layout, given, 2), (3,), 1, relative=True, seed=0)
    begin(model, layout, given, 0)
    return model, layout, given


def test_it_begins_with_how_far_z_moves_and_how_often_it_ends(learnt):
    model, layout, given = learnt
    events = np.stack([layout.events(one, one.mean) for one in given[:8]])
    inputs = np.stack([np.concatenate([[[0.0]], one.actions]) for one in given[:8]]).astype("float32")
    params = ops.convert_to_numpy(model({"events": events, "inputs": inputs}))
    predicted = model.family["latent"](params[:, 1:, :-1])
    moves = np.concatenate([np.diff(one.mean, axis=0) for one in given])
    np.testing.assert_allclose(predicted.mean(), events[:, :-1, :2], atol=0.6)
    np.testing.assert_allclose(np.sqrt(predicted.variance()).mean(axis=(0, 1)), moves.std(axis=0), rtol=0.4)
    np.testing.assert_allclose(expit(params[..., -1]).mean(), 1 / 30, rtol=0.3)


@pytest.mark.slow
def test_a_hazard_is_what_m_says_before_it_knows(learnt):
    """Of every moment, given all before, however long ago; padding is left out."""
    model, layout, given = learnt
    given = [*given[:2], series(150)]
    found = hazard(model, layout, given)
    assert found.predicted.shape == found.observed.shape == (31 + 31 + 151,)
    assert np.flatnonzero(found.observed).tolist() == [30, 61, 212]
    start = ops.convert_to_numpy(model.start_event())
    expected = []
    for one in given:
        state, before = model.initial_state(1), start
        for event, code in zip(layout.events(one, one.mean), [[0.0], *one.actions], strict=True):
            x = model.embed(ops.convert_to_tensor(before[None]), ops.convert_to_tensor([code]))
            raw, state = model.step(x, state)
            expected.append(expit(ops.convert_to_numpy(raw)[0, -1]))
            before = event
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-3)
