import sys

import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.world import rollouts
from mixtura.systems.world.environments import Environment, GameError, world_of
from mixtura.systems.world.policies import Random, Replay, Still
from mixtura.systems.world.rollouts import Episode, Job, path_of, play, rollout

gymnasium = pytest.importorskip("gymnasium", reason="Gymnasium is not installed")


@pytest.fixture(scope="module")
def cart():
    return world_of("CartPole-v1")


@pytest.fixture(autouse=True)
def _closed():
    yield
    rollouts.close()


def test_an_episode_is_what_gymnasium_played(cart):
    with Environment(cart) as environment:
        episode = rollout(environment, Random((1, 3)), 4)
    own = gymnasium.make("CartPole-v1")
    expected = [own.reset(seed=4)[0]]
    for number, code in enumerate(episode.actions):
        observation, _, terminated, *_ = own.step(int(code[0] > 0))
        expected.append(observation)
        assert terminated == (number == len(episode) - 1)
    assert np.array_equal(episode.observations, expected)
    assert episode.actions.shape == (len(episode), 1)
    assert (episode.total, episode.terminated, episode.seed) == (len(episode), True, 4)


def test_what_is_not_kept_changes_nothing(cart):
    with Environment(cart) as environment:
        kept, not_kept = (rollout(environment, Random(), 4, keep=keep) for keep in (True, False))
    assert not_kept.observations.shape == (0, 4)
    assert np.array_equal(kept.actions, not_kept.actions)


def test_jobs_play_in_one_environment_that_stays_open(cart, tmp_path):
    first = play(Job(cart, Random(), 4, actions=True))
    opened = list(rollouts._open.values())
    again = play(Job(cart, Replay(first.codes), 4, record=tmp_path))
    assert list(rollouts._open.values()) == opened
    assert (again.total, again.steps, again.terminated) == (first.total, first.steps, first.terminated)
    assert again.codes is None
    assert np.array_equal(Episode.load(path_of(tmp_path, 4)).actions, first.codes)
    play(Job(world_of("CartPole-v1", limit=3), Still(), 4))
    assert len(rollouts._open) == 1


def test_an_environment_that_failed_is_opened_anew(cart):
    class Fails:
        def start(self, actions, seed):
            raise LookupError

    play(Job(cart, Still(), 0))
    with pytest.raises(LookupError):
        play(Job(cart, Fails(), 0))
    assert not rollouts._open


def test_an_episode_is_played_again_where_the_game_fell_over():
    vizdoom = pytest.importorskip("vizdoom", reason="ViZDoom is not installed")
    job = Job(world_of("VizdoomTakeCover-v1"), Random(), 1)
    played = play(job)

    def falls(action):
        raise vizdoom.ViZDoomErrorException("Unexpected ViZDoom instance crash.")

    (fallen,) = rollouts._open.values()
    fallen._inner.step = falls
    assert play(job) == played
    (opened,) = rollouts._open.values()
    assert opened is not fallen
    opened._inner.step = falls
    with pytest.raises(GameError, match="VizdoomTakeCover-v1: Unexpected ViZDoom instance crash"):
        rollout(opened, Random(), 1)


def test_a_file_is_as_published(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    codes, rewards = np.float32([[0.5], [1], [-1]]), np.float32([1, 2, 3])
    episode = Episode(7, frames, codes, rewards, terminated=True)
    path = path_of(tmp_path, 7)
    episode.save(path)
    assert path.name == "000000007.npz"
    with np.load(path) as file:
        assert (file["obs"].dtype, file["obs"].shape) == (np.uint8, (4, 64, 64, 3))
        assert (file["action"].dtype, file["action"].shape) == (np.float16, (3, 1))
    again = Episode.load(path)
    for name in ("observations", "actions", "rewards"):
        assert np.array_equal(getattr(again, name), getattr(episode, name))
        assert getattr(again, name).dtype == getattr(episode, name).dtype
    assert (again.seed, again.terminated, again.total) == (7, True, 6)


def test_a_damaged_file_is_named(tmp_path):
    path = path_of(tmp_path, 1)
    Episode(1, np.zeros((2, 4)), np.zeros((1, 1)), np.zeros(1), True).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"000000001\.npz is no recorded episode"):
        Episode.load(path)


def test_a_file_that_cannot_be_written_is_named(cart, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"000000003\.npz cannot be written"):
        play(Job(cart, Still(), 3, record=tmp_path / "file"))


def test_a_worker_needs_no_keras(fresh_python):
    code = (
        "import sys; sys.argv[0] = 'mixtura'\n"
        "import mixtura.systems.world.recording\n"
        "print(any(name in sys.modules for name in ('keras', 'jax', 'gymnasium', 'scipy')))"
    )
    assert fresh_python(code) == "False"
    assert "mixtura" in sys.modules
