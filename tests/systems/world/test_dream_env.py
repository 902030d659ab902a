"""A dream as an environment: what M says happens, with the probability that M gives it."""

import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.errors import InputError
from mixtura.models import Memory
from mixtura.systems.world.actions import Bounded, Buttons, OneOf, Ordered

gymnasium = pytest.importorskip("gymnasium", reason="dreams as environments need gymnasium")

from gymnasium.spaces import Box, Dict, Discrete, MultiBinary  # noqa: E402
from gymnasium.utils.env_checker import check_env  # noqa: E402

from mixtura.systems.world.dream_env import DreamEnv  # noqa: E402

LATENT = mx.Independent(mx.Mixture(mx.Normal(1), 2), 3)
STARTS = np.array([[0.5, -1.0, 2.0], [0.0, 0.3, -0.3]], "float32")
LINE = Ordered((2, 0, 1))
TURN = Discrete(3)


def memory_of(family, units=(8,), cell="lstm", actions=1):
    made = Memory(family, units, actions, cell)
    rng = np.random.default_rng(1)
    for weight in made.trainable_weights:
        weight.assign(rng.normal(scale=0.6, size=weight.shape))
    if "done" in family.names:
        bias = ops.convert_to_numpy(made.head.dense.bias).copy()
        bias[-1] = -2.0  # the end is not near
        made.head.dense.bias.assign(bias)
    return made


@pytest.fixture(scope="module")
def memory():
    return memory_of(mx.Joint(latent=LATENT, done=mx.Bernoulli()))


@pytest.fixture(scope="module")
def rewarding():
    return memory_of(mx.Joint(latent=LATENT, reward=mx.Normal(1), done=mx.Bernoulli()))


@pytest.fixture(scope="module")
def constant():
    """Return an M whose every step is distributed as given parameters say."""
    place, number = (mx.Normal(size, scale="exp") for size in (3, 1))
    made = Memory(mx.Joint(latent=place, reward=number, done=mx.Bernoulli()), (2,))
    made.head.dense.kernel.assign(np.zeros(made.head.dense.kernel.shape))

    def set_to(scale=1.0, done=0.3):
        raw = np.log(scale)
        made.head.dense.bias.assign([1.0, 2.0, 3.0, raw, raw, raw, 5.0, raw, np.log(done / (1 - done))])
        return made

    return set_to


class Colours:
    """Draws a latent as one colour."""

    def decode(self, z):
        assert z.shape == (1, 3)
        return np.broadcast_to(np.uint8(np.clip(z * 10 + 100, 0, 255))[:, None, None], (1, 4, 5, 3))


def episode(env, seed, policy, steps):
    """Play; return observations, rewards and whether it was over after each decision."""
    observation, _ = env.reset(seed=seed)
    seen, rewards, over = [observation], [], []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(policy(observation))
        seen.append(observation)
        rewards.append(reward)
        over.append((terminated, truncated))
        if any(over[-1]):
            break
    return np.array(seen), np.array(rewards), over


def remembered(memory, latents, codes):
    """Return the state of M's top layer after an episode, by teacher forcing."""
    events = np.zeros((1, len(latents), memory.family.event_size), "float32")
    events[0, :, :3] = latents
    inputs = np.zeros((1, len(latents), memory.inputs_size), "float32")
    inputs[0, 1:] = np.reshape(codes, (-1, memory.inputs_size))  # the first event follows no decision
    state = memory.unroll(events, inputs)[1]
    top = state[-memory.cell.cells[-1].num_states :]
    return np.concatenate([ops.convert_to_numpy(part)[0] for part in top])


def by_turns():
    actions = iter([0, 1, 2, 2, 1, 0] * 10)
    return lambda _: next(actions)


# Gymnasium's conventions.


@pytest.mark.filterwarnings("ignore:.*A Box observation space m..imum value is -?infinity:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes:UserWarning")
def test_it_is_an_environment_by_gymnasiums_own_check(memory, rewarding):
    check_env(DreamEnv(memory, LINE, TURN, STARTS, limit=5))
    check_env(DreamEnv(rewarding, LINE, TURN, STARTS, limit=5, vision=Colours(), render_mode="rgb_array"))


def test_what_it_observes(memory):
    for features, width in (("z", 3), ("zh", 11), ("zhc", 19)):
        env = DreamEnv(memory, LINE, TURN, STARTS, limit=5, features=features)
        first, information = env.reset(seed=1)
        assert env.observation_space.contains(first)
        assert first.shape == (width,)
        assert information == {}
        assert any((first[:3] == start).all() for start in STARTS)
        np.testing.assert_allclose(first[3:], remembered(memory, first[None, :3], [])[: width - 3], atol=1e-5)
    assert env.action_space is TURN


@pytest.mark.slow
@pytest.mark.parametrize(("units", "cell"), [((4, 8), "lstm"), ((4, 8), "gru")])
def test_what_m_remembers_is_its_state_after_what_was_dreamt(units, cell):
    """Teacher forcing on the dream ends in the same state of the top layer."""
    memory = memory_of(mx.Joint(latent=LATENT, done=mx.Bernoulli()), units, cell)
    features = "zh" if cell == "gru" else "zhc"
    env = DreamEnv(memory, LINE, TURN, STARTS, limit=9, features=features)
    seen, _, over = episode(env, 3, by_turns(), 4)
    assert len(over) >= 2
    expected = remembered(memory, seen[:, :3], [[0.0], [1.0], [-1.0], [-1.0]][: len(over)])
    np.testing.assert_allclose(seen[-1, 3:], expected, atol=1e-5)


def test_a_seed_makes_it_the_same_again(memory):
    env = DreamEnv(memory, LINE, TURN, STARTS, limit=9)
    first, again, other = (episode(env, seed, by_turns(), 9) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[2] == again[2]
    assert (first[0][1, :3] != other[0][1, :3]).all()
    env.reset(seed=4)
    following = [env.reset()[0] for _ in range(20)]
    assert len(np.unique(following, axis=0)) == 2  # both starts
    assert len({env.step(0)[0][0] for _ in range(3) if len(env.reset()[0])}) == 3


def test_an_observation_is_not_written_to_later(memory):
    env = DreamEnv(memory, LINE, TURN, STARTS, limit=9)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    env.step(0)
    np.testing.assert_array_equal(first, kept)


# What it draws.


@pytest.mark.slow
def test_what_is_dreamt_is_distributed_as_m_says(memory):
    """Means, spreads and survival beside those of draws that NumPy makes from M's parameters."""
    count, steps = 400, 4

    def turn(latents):
        return np.where(latents[..., 0] < 0.5, 2, 1)

    env = DreamEnv(memory, LINE, TURN, STARTS, limit=99)
    ends, survived = [], np.zeros(count)
    for seed in range(count):
        seen, _, over = episode(env, seed, lambda seen: turn(seen[:3]), steps)
        survived[seed] = not any(terminated for terminated, _ in over)
        if len(seen) > 2:
            ends.append(seen[2, :3])
    rng = np.random.default_rng(0)
    many = 20_000
    before = ops.zeros((many, 4)), ops.zeros((many, 1))
    state = memory.step(memory.embed(*before), memory.initial_state(many))[1]
    events = np.zeros((many, 4), "float32")
    events[:, :3] = STARTS[rng.integers(2, size=many)]
    alive, expected = np.ones(many, bool), None
    for step in range(steps):
        codes = np.where(turn(events[:, :3]) == 2, -1.0, 1.0)[:, None].astype("float32")
        params, state = memory.step(memory.embed(events, inputs=codes), state)
        events = memory.family.sample(ops.convert_to_numpy(params), seed=rng).astype("float32")
        if step == 1:
            expected = events[alive, :3]
        alive &= events[:, 3] == 0
    assert 0.1 < alive.mean() < 0.9
    assert abs(survived.mean() - alive.mean()) < 4 * np.sqrt(0.25 / count)
    error = expected.std(axis=0) / np.sqrt(len(ends))
    assert (np.abs(np.mean(ends, axis=0) - expected.mean(axis=0)) < 4 * error).all()
    np.testing.assert_allclose(np.std(ends, axis=0), expected.std(axis=0), rtol=0.25)


def test_it_draws_what_generate_draws(memory):
    """A dream is a sequence after a prompt, its actions the inputs: the same numbers, for the same seed."""
    env = DreamEnv(memory, LINE, TURN, STARTS[:1], limit=9, hard_done=True)
    seen, _, over = episode(env, 8, lambda _: 1, 4)
    generator = gymnasium.utils.seeding.np_random(8)[0]
    generator.integers(1)  # the start
    drawn = memory.generate(
        len(over),
        prompt=np.append(STARTS[0], 0.0)[None],
        inputs=np.array([[0.0]] + [[1.0]] * len(over)),
        seed=int(generator.integers(2**63)),
        sampler={"done": mx.Sampler(discrete=0.0)},
    )
    np.testing.assert_allclose(seen[:, :3], drawn[0][:, :3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 4.0])
def test_temperature_is_a_factor_of_the_variance(constant, temperature):
    env = DreamEnv(constant(), LINE, TURN, STARTS, limit=400, temperature=temperature, hard_done=True)
    seen, rewards, _ = episode(env, 0, lambda _: 0, 400)
    drawn = np.concatenate([seen[1:, :3], rewards[:, None]], axis=1)
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(temperature), rtol=0.15)
    np.testing.assert_allclose(drawn.mean(axis=0), [1, 2, 3, 5], atol=4 * np.sqrt(temperature / 400))


def test_at_temperature_0_nothing_is_left_to_chance(memory):
    env = DreamEnv(memory, LINE, TURN, STARTS[:1], limit=6, temperature=0.0, hard_done=True)
    first, other = (episode(env, seed, by_turns(), 6)[0] for seed in (1, 2))
    np.testing.assert_array_equal(first, other)


def test_it_ends_with_the_probability_that_m_gives(constant):
    env = DreamEnv(constant(done=0.3), LINE, TURN, STARTS, limit=1000)
    lengths = [len(episode(env, seed, lambda _: 0, 1000)[1]) for seed in range(300)]
    np.testing.assert_allclose(np.mean(lengths), 1 / 0.3, atol=4 * np.sqrt(0.7) / 0.3 / np.sqrt(300))


@pytest.mark.parametrize(("done", "over"), [(0.45, (False, True)), (0.55, (True, False))])
def test_or_where_the_end_is_more_probable_than_not(constant, done, over):
    env = DreamEnv(constant(done=done), LINE, TURN, STARTS, limit=20, hard_done=True)
    for seed in range(3):
        ends = episode(env, seed, lambda _: 0, 30)[2]
        assert ends[-1] == over
        assert len(ends) == (1 if over[0] else 20)


def test_the_reward_is_ms_or_that_of_survival(memory, constant):
    _, rewards, _ = episode(DreamEnv(constant(scale=1e-3), LINE, TURN, STARTS, limit=5), 0, lambda _: 0, 5)
    np.testing.assert_allclose(rewards, 5.0, atol=0.01)
    for given, expected in (({}, 1.0), ({"reward": -0.1}, -0.1)):
        env = DreamEnv(memory, LINE, TURN, STARTS, limit=5, **given)
        assert set(episode(env, 0, lambda _: 0, 5)[1]) == {expected}


def test_without_done_it_lasts_to_the_limit():
    env = DreamEnv(memory_of(mx.Joint(latent=LATENT)), LINE, TURN, STARTS, limit=12)
    assert episode(env, 0, lambda _: 0, 50)[2] == [(False, False)] * 11 + [(False, True)]


# Actions.


@pytest.mark.parametrize(
    ("actions", "space", "action", "code"),
    [
        (LINE, TURN, 2, [-1.0]),
        (LINE, TURN, np.int64(0), [0.0]),
        (LINE, TURN, 1, [1.0]),
        (Ordered((3, 4)), Discrete(2, start=3), 4, [1.0]),
        (OneOf(3), TURN, 1, [0.0, 1.0, 0.0]),
        (
            Bounded((-1.0, 0.0), (1.0, 1.0)),
            Box(np.float32([-1, 0]), np.float32([1, 1])),
            [-0.5, 7.0],
            [-0.5, 1.0],
        ),
        (Buttons(2), MultiBinary(2), [0, 1], [0.0, 1.0]),
    ],
)
def test_m_is_given_an_actions_code(actions, space, action, code):
    """What M remembers of a step is what it would of that code."""
    memory = memory_of(mx.Joint(latent=LATENT), actions=actions.size)
    env = DreamEnv(memory, actions, space, STARTS, limit=5)
    first, _ = env.reset(seed=0)
    second = env.step(action)[0]
    expected = remembered(memory, [first[:3], second[:3]], [code])[:8]
    np.testing.assert_allclose(second[3:], expected, atol=1e-5)


@pytest.mark.parametrize("action", [3, -1, 1.5, None])
def test_an_unknown_action_is_refused(memory, action):
    env = DreamEnv(memory, LINE, TURN, STARTS, limit=5)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"an action is one of \[0, 1, 2\]; received"):
        env.step(action)


@pytest.mark.parametrize("action", [[0.5], 0.5, [np.nan, 0.0]])
def test_numbers_that_are_no_action_are_refused(action):
    memory = Memory(mx.Joint(latent=LATENT), (2,), 2)
    env = DreamEnv(memory, Bounded((-1.0, -1.0), (1.0, 1.0)), Box(-1.0, 1.0, (2,)), STARTS, limit=5)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="an action is 2 finite numbers; received"):
        env.step(action)


# Pictures, and mistakes.


def test_v_draws_what_is_dreamt(memory):
    env = DreamEnv(memory, LINE, TURN, STARTS, limit=5, vision=Colours(), render_mode="rgb_array")
    for move in (lambda: env.reset(seed=0), lambda: env.step(1)):
        observation, picture = move()[0], env.render()
        assert (picture.shape, picture.dtype) == ((4, 5, 3), np.uint8)
        np.testing.assert_array_equal(picture[2, 3], np.uint8(np.clip(observation[:3] * 10 + 100, 0, 255)))
    assert DreamEnv(memory, LINE, TURN, STARTS, limit=5).render() is None


def test_it_is_reset_first(memory):
    with pytest.raises(gymnasium.error.ResetNeeded):
        DreamEnv(memory, LINE, TURN, STARTS, limit=5).step(0)


def test_an_unsupported_space_is_one_sentence(memory):
    with pytest.raises(InputError, match=r"Discrete, MultiBinary or a bounded Box.*received Dict"):
        DreamEnv(memory, LINE, Dict(turn=TURN), STARTS, limit=5)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"starts": STARTS[:, :2]}, r"starts must be latents \(N, 3\); received shape \(2, 2\)"),
        ({"starts": STARTS[:0]}, r"received shape \(0, 3\)"),
        ({"starts": STARTS * np.nan}, "starts must be finite"),
        ({"limit": 0}, "limit must be a positive integer"),
        ({"temperature": -1.0}, "tau must be a finite number, 0 or more"),
        ({"features": "hz"}, "features must be one of z, zh, zhc"),
        ({"render_mode": "human", "vision": Colours()}, "render_mode must be one of 'rgb_array'"),
        ({"render_mode": "rgb_array"}, "rendering a dream needs vision"),
        ({"actions": OneOf(3)}, "memory takes codes of size 1; actions have 3"),
        ({"actions": Ordered((2, 0, 5))}, r"actions must be those of the space Discrete\(3\)"),
        ({"actions": Buttons(1)}, r"actions must be those of the space Discrete\(3\)"),
        ({"space": MultiBinary(1)}, r"actions must be those of the space MultiBinary\(1\)"),
    ],
)
def test_what_does_not_fit_is_refused(memory, changes, shown):
    given = {"actions": LINE, "space": TURN, "starts": STARTS, "limit": 5, **changes}
    with pytest.raises(ValueError, match=shown):
        DreamEnv(memory, **given)


def test_another_model_is_refused():
    model = mx.MDNRNN(mx.Joint(latent=LATENT), (2,), inputs_size=1)
    with pytest.raises(TypeError, match="memory must be a Memory"):
        DreamEnv(model, LINE, TURN, STARTS, limit=5)
