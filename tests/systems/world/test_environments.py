import json
import sys

import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.world.actions import Bounded, OneOf, Ordered
from mixtura.systems.world.environments import Environment, World, world_of
from mixtura.systems.world.policies import Random, Replay, Still
from mixtura.systems.world.rollouts import rollout

gymnasium = pytest.importorskip("gymnasium", reason="Gymnasium is not installed")


class Painted(gymnasium.Env):
    """Shows a picture whose colours are known, and counts its steps."""

    observation_space = gymnasium.spaces.Dict(
        screen=gymnasium.spaces.Box(0, 255, (100, 80, 3), np.uint8), steps=gymnasium.spaces.Box(0, 1e9, (1,))
    )
    action_space = gymnasium.spaces.Discrete(2)

    def _observation(self):
        screen = np.zeros((100, 80, 3), np.uint8)
        screen[:50, :, 0] = 200  # red above, green below, and blue at the right of it
        screen[50:, :, 1] = 100
        screen[50:, 40:, 2] = 60
        return {"screen": screen, "steps": np.float32([self.steps])}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._observation(), {}

    def step(self, action):
        self.steps += 1
        return self._observation(), float(self.steps), self.steps == 10, False, {}


class Strange(Painted):
    observation_space = gymnasium.spaces.Text(3)


@pytest.fixture(autouse=True, scope="module")
def _registered():
    gymnasium.register("mixtura/Painted-v0", Painted, max_episode_steps=7)
    gymnasium.register("mixtura/Strange-v0", Strange)
    yield
    for name in ("Painted", "Strange"):
        del gymnasium.registry[f"mixtura/{name}-v0"]


def test_a_state_is_that_of_gymnasium():
    world = world_of("CartPole-v1")
    assert world == World("CartPole-v1", pixels=False, limit=500, order=(0, 1), names=("left", "right"))
    own = gymnasium.make("CartPole-v1")
    with Environment(world) as environment:
        assert environment.actions == Ordered((0, 1), ("left", "right"))
        assert environment.observation_shape == (4,)
        observation = environment.reset(3)
        assert observation.dtype == np.float32
        expected, _ = own.reset(seed=3)
        assert np.array_equal(observation, expected)
        ended = False
        while not ended:
            observation, reward, ended, truncated = environment.step(np.float32([1]))
            expected, expected_reward, terminated, *_ = own.step(1)
            assert np.array_equal(observation, expected)
            assert (reward, ended, truncated) == (expected_reward, terminated, False)


def test_rewards_of_skipped_steps_are_summed():
    with Environment(world_of("mixtura/Painted-v0", skip=4, limit=9)) as environment:
        environment.reset(0)
        steps = [environment.step(np.float32([1, 0]))[1:] for _ in range(3)]
    assert steps == [(1 + 2 + 3 + 4, False, False), (5 + 6 + 7 + 8, False, False), (9 + 10, True, False)]


def test_an_episode_is_cut_off_at_the_limit():
    with Environment(world_of("CartPole-v1", limit=3)) as environment:
        for _ in range(2):
            environment.reset(0)
            ends = [environment.step(np.float32([-1]))[2:] for _ in range(3)]
            assert ends == [(False, False), (False, False), (False, True)]


def test_pictures_are_cut_and_averaged():
    world = world_of("mixtura/Painted-v0", rows=(0.25, 0.75), columns=(0.25, 1.0), size=(10, 6))
    assert world.pixels
    with Environment(world) as environment:
        assert environment.observation_shape == (10, 6, 3)
        seen = environment.reset(0)
    assert seen.dtype == np.uint8
    # Rows 25 to 75, five to a row; columns 20 to 80, ten to a column.
    assert (seen[:5] == [200, 0, 0]).all()
    assert (seen[5:, :2] == [0, 100, 0]).all()
    assert (seen[5:, 2:] == [0, 100, 60]).all()


def test_a_state_can_be_met_as_pictures():
    with Environment(world_of("CartPole-v1", pixels=True, size=(32, 48))) as environment:
        seen = environment.reset(0)
        for _ in range(5):
            after = environment.step(np.float32([1]))[0]
    assert seen.shape == (32, 48, 3)
    assert seen.dtype == np.uint8
    assert seen.mean() > 200  # a cart on white
    assert not np.array_equal(seen, after)


def test_what_is_found_in_the_spaces():
    pendulum = world_of("Pendulum-v1")
    assert (pendulum.pixels, pendulum.limit) == (False, 200)
    with Environment(pendulum) as environment:
        assert environment.actions == Bounded((-2.0,), (2.0,))
    painted = world_of("mixtura/Painted-v0", skip=2)
    assert (painted.pixels, painted.limit) == (True, 3)
    with Environment(painted) as environment:
        assert environment.actions == OneOf(2)


def test_a_world_is_written_down_in_json():
    for world in (world_of("CartPole-v1", options={"sutton_barto_reward": True}), World("x", True, 5)):
        assert World.from_config(json.loads(json.dumps(world.to_config()))) == world


def test_equal_seeds_and_codes_give_equal_episodes():
    world = world_of("CartPole-v1")
    with Environment(world) as one, Environment(world) as other:
        rollout(other, Random(), 5)  # what was before does not matter
        first = rollout(one, Random(), 2)
        again = rollout(other, Replay(first.actions), 2)
        another = rollout(one, Replay(first.actions), 3)
    assert np.array_equal(first.observations, again.observations)
    assert not np.array_equal(first.observations[0], another.observations[0])


@pytest.mark.parametrize(
    ("id", "changes", "sentence"),
    [
        ("CartPole-v9", {}, "Gymnasium has no environment 'CartPole-v9'; the closest are CartPole-v1"),
        ("CratPole-v1", {}, "Gymnasium has no environment 'CratPole-v1'; the closest are CartPole-v1"),
        ("?", {}, r"Gymnasium has no environment '\?'\.$"),
        ("nowhere:CartPole-v1", {}, "needs a package that is missing"),
        ("mixtura/Strange-v0", {}, "a state is a Box of one axis; received Text"),
        ("mixtura/Strange-v0", {"pixels": True}, "has no pictures: it observes Text"),
        ("mixtura/Painted-v0", {"pixels": False}, "With pixels it is met as pictures"),
        ("Blackjack-v1", {}, "a state is a Box of one axis; received Tuple"),
        ("CartPole-v1", {"order": (0, 2)}, "CartPole-v1: an order of the actions is two or more of 0 to 1"),
        ("CartPole-v1", {"options": {"speed": 3}}, "cannot be made with the options {'speed': 3}"),
        ("CartPole-v1", {"skip": 0}, "skip must be a whole number, 1 or more; received 0"),
        ("CartPole-v1", {"skip": 1.5}, "received 1.5"),
        ("CartPole-v1", {"pixels": "no"}, "pixels must be true or false; received 'no'"),
        ("CartPole-v1", {"size": (64,)}, r"size must be two whole numbers, 1 or more; received \(64,\)"),
        ("CartPole-v1", {"order": 5}, "order must be a list of actions; received 5"),
        ("CartPole-v1", {"options": 3}, "options must be a mapping of names to values; received 3"),
        ("CartPole-v1", {"hold": (3,)}, r"received \(3,\)"),
        ("GymV21Environment-v0", {}, "GymV21Environment-v0 needs a package that is missing"),
        ("CartPole-v1", {"hold": (3, 1)}, r"the smaller first; received \(3, 1\)"),
        (
            "CartPole-v1",
            {"rows": (0.5, 1.5)},
            r"rows must be two shares between 0 and 1.*received \(0.5, 1.5\)",
        ),
    ],
)
def test_what_cannot_be_met_is_refused(id, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        world_of(id, **changes)


@pytest.mark.parametrize(
    ("package", "id"), [("gymnasium", "CartPole-v1"), ("vizdoom", "VizdoomTakeCover-v1")]
)
def test_a_missing_package_is_one_sentence(package, id, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.gymnasium_wrapper", None)
    with pytest.raises(InputError, match=rf"this needs {package}; pip install 'mixtura\[worlds\]'"):
        world_of(id)


# ---------------------------------------------------------------------- the games of the paper


@pytest.fixture(scope="module")
def doom(tmp_path_factory):
    pytest.importorskip("vizdoom", reason="ViZDoom is not installed")
    with Environment(world_of("VizdoomTakeCover-v1")) as environment:
        yield environment


def test_take_cover_as_published(doom):
    assert (doom.world.limit * doom.world.skip, doom.world.hold) == (2100, (1, 10))
    assert doom.actions.names == ("left", "stay", "right")
    seen = doom.reset(1)
    assert seen.shape == (64, 64, 3)
    # The wall across the room is brown: red above green above blue; ceiling and floor are grey.
    wall, ceiling = seen[30:40, 20:44].mean(axis=(0, 1)), seen[:20, 20:44].mean(axis=(0, 1))
    assert wall[0] > wall[1] > wall[2]
    assert ceiling == pytest.approx(ceiling.mean(), abs=3)


def test_left_and_right_of_take_cover_are_those_of_the_screen(doom):
    def moved(side):
        first = doom.reset(1)
        for _ in range(4):
            seen = doom.step(doom.actions.end(side))[0]
        # By how many columns the far wall has moved: to the left when one steps to the right.
        before, after = (frame[28:44].astype(float).mean(axis=2) for frame in (first, seen))
        shifts = range(-12, 13)
        errors = [np.square(after[:, 12 - s : 52 - s] - before[:, 12:52]).mean() for s in shifts]
        return -shifts[int(np.argmin(errors))]

    assert moved(0) > 0
    assert moved(1) < 0


def test_take_cover_counts_tics_and_repeats_itself(doom):
    episode = rollout(doom, Random(doom.world.hold), 3)
    assert episode.terminated
    assert (episode.rewards[:-1] == 4).all()
    assert np.array_equal(episode.observations[-1], episode.observations[-2])  # the end has no picture
    again = rollout(doom, Replay(episode.actions), 3)
    assert np.array_equal(again.observations, episode.observations)
    assert np.array_equal(again.rewards, episode.rewards)


def test_a_resolution_that_doom_has_not_is_refused(doom):
    with pytest.raises(InputError, match="has no resolution '64x64'; expected one such as 'RES_160X120'"):
        world_of(doom.world.id, resolution="64x64")


def test_a_timeout_of_doom_is_no_end():
    pytest.importorskip("vizdoom", reason="ViZDoom is not installed")
    with Environment(world_of("VizdoomBasic-v1", skip=10, options={"episode_timeout": 55})) as environment:
        episode = rollout(environment, Still(), 0)
    assert not episode.terminated
    assert len(episode) < 7


def test_doom_leaves_nothing_where_one_works(doom, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Environment(doom.world) as environment:
        environment.reset(0)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def racing():
    pytest.importorskip("Box2D", reason="Box2D is not installed")
    with Environment(world_of("CarRacing-v3", skip=4)) as environment:
        yield environment


def test_car_racing_is_drawn_once_for_a_decision_as_it_draws_itself(racing):
    assert (racing.world.limit, racing.world.skip) == (250, 4)
    assert racing.actions == Bounded((-1.0, 0.0, 0.0), (1.0, 1.0, 1.0), (2,), ("steer", "gas", "brake"))
    own = gymnasium.make("CarRacing-v3")
    own.reset(seed=2)
    racing.reset(2)
    for number in range(12):
        action = np.float32([0.1, 0.5, 0.0])
        seen, reward, *_ = racing.step(action)
        pictures, rewards = zip(*(own.step(action)[:2] for _ in range(4)), strict=True)
        assert reward == pytest.approx(sum(rewards)), number
    own.close()
    # 84 rows and 96 columns: what is drawn last, without the instruments.
    cut = pictures[-1][:84].astype(float)
    assert seen.astype(float).mean(axis=(0, 1)) == pytest.approx(cut.mean(axis=(0, 1)), abs=1)
    assert np.abs(seen[::16].astype(float)[:, ::2].mean(axis=1) - cut[10::21].mean(axis=1)).max() < 60
