from functools import partial

import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.world import rollouts
from mixtura.systems.world.engines import Processes, Serial
from mixtura.systems.world.environments import world_of
from mixtura.systems.world.policies import Random
from mixtura.systems.world.recording import Recording, collect
from mixtura.systems.world.rollouts import Episode, path_of

pytest.importorskip("gymnasium", reason="Gymnasium is not installed")


@pytest.fixture(scope="module")
def cart():
    yield world_of("CartPole-v1")
    rollouts.close()


@pytest.fixture(scope="module")
def collected(cart, tmp_path_factory):
    return collect(Serial(), cart, Random(), tmp_path_factory.mktemp("recording") / "new", range(100, 106))


def test_a_recording_has_an_episode_for_each_seed(collected):
    assert collected.seeds() == list(range(100, 106))
    assert [episode.seed for episode in collected.episodes()] == collected.seeds()
    assert collected.bytes == sum(path.stat().st_size for path in collected.folder.iterdir())


def test_every_engine_records_the_same(cart, collected, tmp_path):
    with Processes(2) as engine:
        other = collect(engine, cart, Random(), tmp_path, collected.seeds())
    for one, another in zip(collected.episodes(), other.episodes(), strict=True):
        assert np.array_equal(one.observations, another.observations)
        assert np.array_equal(one.actions, another.actions)


def test_only_what_is_missing_is_played(cart, collected, tmp_path):
    path_of(tmp_path, 2).write_bytes(path_of(collected.folder, 100).read_bytes())
    (tmp_path / ".mixtura-half.npz").touch()  # what a killed write left
    before = path_of(tmp_path, 2).stat().st_mtime_ns
    told = []
    recording = collect(Serial(), cart, Random(), tmp_path, range(4), progress=partial(told.append, 1))
    assert recording.seeds() == [0, 1, 2, 3]
    assert len(told) == 4
    assert path_of(tmp_path, 2).stat().st_mtime_ns == before


def test_a_collection_stops_at_the_space_it_may_take(cart, tmp_path):
    most = collect(Serial(), cart, Random(), tmp_path / "two", range(2)).bytes
    recording = Recording(tmp_path / "new")
    with pytest.raises(InputError, match="and 4 episodes are missing; it keeps the 2"):
        collect(Serial(), cart, Random(), recording.folder, range(6), max_bytes=most)
    assert recording.seeds() == [0, 1]
    assert recording.bytes == most
    with pytest.raises(InputError, match="4 episodes are missing"):
        collect(Serial(), cart, Random(), recording.folder, range(6), max_bytes=most)
    assert len(collect(Serial(), cart, Random(), recording.folder, range(2), max_bytes=most).seeds()) == 2


def _numbered(folder, lengths):
    """Record episodes whose observations say of which episode they are, and which."""
    for seed, length in enumerate(lengths):
        steps = np.arange(length + 1)
        observations = np.stack([np.full(length + 1, seed), steps], axis=1).astype(np.uint8)
        Episode(seed, observations, np.zeros((length, 1)), np.zeros(length), True).save(path_of(folder, seed))
    return Recording(folder)


def test_frames_are_drawn_without_replacement(tmp_path):
    recording = _numbered(tmp_path, [3, 9, 5])
    every = {(seed, step) for seed, length in enumerate([3, 9, 5]) for step in range(length + 1)}
    frames = recording.frames(100, seed=0)
    assert frames.dtype == np.uint8
    assert len(frames) == 20
    assert set(map(tuple, frames.tolist())) == every
    assert not np.array_equal(frames, np.sort(frames, axis=0))
    assert np.array_equal(recording.frames(7, seed=1), recording.frames(7, seed=1))
    counts = np.zeros(3)
    for seed in range(200):
        counts += np.bincount(recording.frames(5, seed)[:, 0], minlength=3)
    # Nearly so: of episodes that differ in length, the long ones come a little more often.
    expected = 1000 * np.array([4, 10, 6]) / 20
    assert (np.abs(counts - expected) < 0.3 * expected).all()


def test_an_empty_or_damaged_recording_is_named(tmp_path):
    with pytest.raises(InputError, match="has no recorded episodes"):
        Recording(tmp_path / "none").frames(3, seed=0)
    path_of(tmp_path, 5).write_bytes(b"no")
    with pytest.raises(InputError, match=r"000000005\.npz is no recorded episode"):
        Recording(tmp_path).frames(3, seed=0)
    with pytest.raises(InputError, match=r"000000006\.npz is no recorded episode"):
        Recording(tmp_path).read(6)
