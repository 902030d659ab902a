"""Compiled dreams against the plain loop that they are, and against dreams as an environment."""

import numpy as np
import pytest
from keras import ops
from scipy.special import expit

import mixtura as mx
from mixtura.compiling import compiled
from mixtura.families.draws import TensorDraws
from mixtura.models import Controller, Memory
from mixtura.sampling import Sampler
from mixtura.systems.world.actions import Ordered

jax = pytest.importorskip("jax", reason="dreams are compiled by JAX")

from mixtura.systems.world.dreaming import Dream  # noqa: E402

LATENT = mx.Independent(mx.Mixture(mx.Normal(1, scale="exp"), 2), 2)
STARTS = np.array([[0.5, -1.0], [0.0, 0.3], [1.0, 1.0]], "float32")
LINE = Ordered((2, 0, 1))
STEPS = 6


def memory_of(**others):
    memory = Memory(mx.Joint(latent=LATENT, **others), (4,), 1, relative=True)
    rng = np.random.default_rng(1)
    for weight in memory.trainable_weights:
        weight.assign(rng.normal(scale=0.7, size=weight.shape))
    return memory


@pytest.fixture(scope="module")
def dream():
    memory = memory_of(reward=mx.Normal(1, scale="exp"), done=mx.Bernoulli())
    made = Dream(memory, Controller(6, 1), "zh", LINE, STARTS)

    def follow(event, code, h, c, key, temperature):
        params, state = memory.step(memory.embed(event, code), [h, c])
        sampler = Sampler(temperature, ops.sqrt(temperature), 1.0)
        return params, *state, memory.family._sample(ops, params, TensorDraws(key), sampler, ())

    made.follow = compiled(follow, memory)
    return made


@pytest.fixture(scope="module")
def params():
    return np.random.default_rng(2).normal(size=(3, 7)).astype("float32")


def by_hand(dream, params, seed, repeats, temperature, steps=STEPS):
    """Dream with one controller, step by step; return rewards, hazards and ends, `(steps, repeats)`."""
    begin, draw = jax.random.split(jax.random.key(seed))
    z = STARTS[np.asarray(jax.random.randint(begin, (repeats,), 0, len(STARTS)))]
    start = np.repeat(ops.convert_to_numpy(dream.memory.start_event())[None], repeats, axis=0)
    code, *state = np.zeros((repeats, 1), "float32"), *np.zeros((2, repeats, 4), "float32")
    _, h, c, _ = dream.follow(start, code, *state, draw, np.float32(temperature))
    found = []
    for step in range(steps):
        outputs = np.concatenate([z, ops.convert_to_numpy(h)], axis=1) @ params[:6] + params[6]
        code = np.digitize(np.tanh(outputs), [-1 / 3, 1 / 3])[:, None] - 1.0
        event = np.concatenate([z, np.zeros((repeats, 2))], axis=1).astype("float32")
        key = jax.random.fold_in(draw, step)
        raw, h, c, event = dream.follow(event, code.astype("float32"), h, c, key, np.float32(temperature))
        event = ops.convert_to_numpy(event)
        z = event[:, :2]
        found.append((event[:, 2], expit(ops.convert_to_numpy(raw)[:, -1]), event[:, 3]))
    return np.moveaxis(np.array(found), 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_a_dream_is_the_plain_loop_for_every_controller(dream, params, temperature):
    """All controllers have the luck that each would have alone."""
    for expected in (True, False):
        found = dream.returns(params, 5, 4, temperature, STEPS, expected)
        assert found.shape == (3, 4)
        for own, totals in zip(params, found, strict=True):
            rewards, hazard, end = by_hand(dream, own, 5, 4, temperature)
            over = hazard if expected else end
            alive = np.cumprod(np.concatenate([np.ones((1, 4)), 1 - over[:-1]]), axis=0)
            np.testing.assert_allclose(totals, (alive * rewards).sum(axis=0), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_trace_is_one_dream(dream, params):
    trace = dream.trace(params[0], 5, 1.3, STEPS)
    rewards, hazard, _ = by_hand(dream, params[0], 5, 1, 1.3)
    np.testing.assert_allclose(trace["rewards"], rewards[:, 0], atol=1e-4)
    np.testing.assert_allclose(trace["hazard"], hazard[:, 0], atol=1e-4)
    assert trace["latents"].shape == (STEPS, 2)
    assert (trace["latents"][0] == STARTS).all(axis=1).any()
    assert set(trace["codes"].ravel()) <= {-1.0, 0.0, 1.0}


def test_a_seed_decides_all(dream, params):
    first, again, other = (dream.returns(params, seed, 4, 1.3, STEPS) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    twins = dream.returns(params[[0, 0, 1]], 1, 4, 1.3, STEPS)
    np.testing.assert_array_equal(twins[0], twins[1])


@pytest.mark.slow
def test_the_expectation_is_the_mean_over_ends(dream, params):
    """And varies less."""
    many = {expected: dream.returns(params, 3, 4000, 1.0, STEPS, expected) for expected in (True, False)}
    difference = many[True] - many[False]
    error = difference.std(axis=1) / np.sqrt(4000)
    assert (np.abs(difference.mean(axis=1)) < 4 * error).all()
    assert (many[True].var(axis=1) < many[False].var(axis=1)).all()


def test_what_m_learns_meanwhile_counts(dream, params):
    before = dream.returns(params, 1, 4, 1.3, STEPS)
    bias = dream.memory.head.dense.bias
    kept = ops.convert_to_numpy(bias).copy()
    bias.assign(kept + 1.0)
    assert (dream.returns(params, 1, 4, 1.3, STEPS) != before).all()
    bias.assign(kept)
    np.testing.assert_array_equal(dream.returns(params, 1, 4, 1.3, STEPS), before)


def test_where_nothing_ends_every_step_counts():
    made = Dream(memory_of(), Controller(2, 1), "z", LINE, STARTS, reward=2.5)
    params = np.ones((2, 3), "float32")
    assert made.returns(params, 0, 3, 1.0, 7).tolist() == [[17.5] * 3] * 2
    assert made.trace(params[0], 0, 1.0, 4)["hazard"].tolist() == [0.0] * 4


def test_it_is_the_dream_that_the_environment_dreams(params):
    """Survival of the same controller, in draws of its own."""
    pytest.importorskip("gymnasium", reason="dreams as environments need gymnasium")
    from gymnasium.spaces import Discrete

    from mixtura.systems.world.dream_env import DreamEnv

    memory = memory_of(done=mx.Bernoulli())
    controller = Controller(6, 1)
    dream = Dream(memory, controller, "zh", LINE, STARTS)
    env = DreamEnv(memory, LINE, Discrete(3), STARTS, temperature=1.3, limit=STEPS)
    lengths = []
    for seed in range(300):
        observation, _ = env.reset(seed=seed)
        over, length = False, 0
        while not over:
            code = LINE.decide(np, controller(np, params[:1], observation[None, None]))[0, 0]
            observation, reward, terminated, truncated, _ = env.step(LINE.action(code))
            over, length = terminated or truncated, length + reward
        lengths.append(length)
    drawn = dream.returns(params[:1], 0, 4000, 1.3, STEPS, expected=False)[0]
    assert 1.5 < np.mean(drawn) < STEPS - 0.5
    error = np.std(lengths) / np.sqrt(300) + drawn.std() / np.sqrt(4000)
    assert abs(np.mean(lengths) - drawn.mean()) < 4 * error


def test_told_what_to_do_one_earns_what_who_decides_so_does(dream, params):
    made = dream.trace(params[0], 3, 1.2, STEPS)
    told = dream.told(made["codes"][:, None], 3, 1.2)
    np.testing.assert_allclose(told, dream.returns(params[:1], 3, 1, 1.2, STEPS)[0], rtol=1e-5)
