"""M: what it is told and what it is not, its loss against NumPy, what a controller is given."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit, logsumexp
from scipy.stats import norm

import mixtura as mx
from mixtura.models import Memory, MemoryLoss

LATENT = mx.Independent(mx.Mixture(mx.Normal(1, scale="exp"), 2), 3)
FAMILY = mx.Joint(latent=LATENT, reward=mx.Normal(1, scale="exp"), done=mx.Bernoulli())
RNG = np.random.default_rng(0)


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.fixture(scope="module")
def memory():
    made = Memory(FAMILY, (4, 5), actions=2, seed=1)
    for weight in made.trainable_weights:
        weight.assign(RNG.normal(scale=0.5, size=weight.shape))
    return made


def test_sizes(memory):
    def lstm(inputs, units):
        return 4 * units * (inputs + units + 1)

    def head(inputs, latent, components, others):
        return (inputs + 1) * (latent * 3 * components + others)

    assert lstm(32 + 3, 256) + head(256, 32, 5, 0) == 422_368  # the car's, appendix A.2
    assert lstm(64 + 1 + 1, 512) + head(512, 64, 5, 1) == 1_678_785  # Doom's
    assert memory.count_params() == lstm(5 + 2, 4) + lstm(4, 5) + head(5, 3, 2, 2 + 1)


@pytest.mark.slow
def test_the_published_networks_have_so_many():
    latent = {z: mx.Independent(mx.Mixture(mx.Normal(1, scale="exp"), 5), z) for z in (32, 64)}
    assert Memory(mx.Joint(latent=latent[32]), (256,), actions=3).count_params() == 422_368
    doom = mx.Joint(latent=latent[64], done=mx.Bernoulli())
    assert Memory(doom, (512,), actions=1).count_params() == 1_678_785


def test_reward_and_end_are_predicted_and_not_seen(memory):
    events = RNG.normal(size=(1, 5)).astype("float32").repeat(3, axis=0)
    events[1, 3], events[2, 4] = 9.0, 1.0
    code = np.ones((3, 2), "float32")
    x = numpy(memory.embed(ops.convert_to_tensor(events), ops.convert_to_tensor(code)))
    np.testing.assert_array_equal(x, np.concatenate([events[[0] * 3, :3], np.zeros((3, 2)), code], axis=1))
    other = Memory(mx.Joint(latent=LATENT), (4,), actions=1)
    given = ops.convert_to_tensor(events[:, :3])
    np.testing.assert_array_equal(
        numpy(other.embed(given, ops.ones((3, 1)))), np.insert(events[:, :3], 3, 1.0, 1)
    )


def test_a_z_is_an_event_of_no_reward_that_is_not_the_end(memory):
    z = ops.convert_to_tensor([[1.0, 2.0, 3.0]])
    assert numpy(memory.event(z)).tolist() == [[1, 2, 3, 0, 0]]


def test_it_is_begun_by_the_start_of_a_sequence(memory):
    """As training prompts it: an episode's first window is preceded by `start_event` and no action."""
    start = ops.reshape(memory.start_event(), (1, 1, 5))
    begun = [numpy(one) for one in keras.tree.flatten(memory.begun(2))]
    _, state = memory.step(memory.embed(start[:, 0], ops.zeros((1, 2))), memory.initial_state(1))
    for one, other in zip(begun, keras.tree.flatten(state), strict=True):
        np.testing.assert_allclose(one, np.repeat(numpy(other), 2, axis=0), atol=1e-6)
    assert any(np.abs(one).max() > 0.01 for one in begun)


def test_features_are_z_and_what_its_last_layer_remembers(memory):
    state = keras.tree.map_structure(
        lambda one: RNG.normal(size=one.shape).astype("float32"), memory.initial_state(2)
    )
    z = np.ones((2, 3), "float32")
    h, c = keras.tree.flatten(state)[-2:]
    assert h.shape == (2, 5)
    expected = {"z": [z], "zh": [z, h], "zhc": [z, h, c]}
    for name, parts in expected.items():
        found = numpy(memory.features_of(name, z, state))
        np.testing.assert_array_equal(found, np.concatenate(parts, axis=1))
        assert memory.features_size(name) == found.shape[1]
    with pytest.raises(ValueError, match="features must be one of z, zh, zhc for a lstm; received 'h'"):
        memory.features_size("h")
    with pytest.raises(ValueError, match="cell must be lstm or gru; received 'hyper'"):
        Memory(FAMILY, (4,), cell="hyper")


def test_the_loss_is_a_mean_over_z_and_weighs_the_end(compiled):
    params = RNG.normal(size=(2, 4, FAMILY.params_size))
    events = RNG.normal(size=(2, 4, 5))
    events[..., -1] = done = np.array([[0, 0, 0, 1], [0, 0, 0, 0]])
    found = compiled(MemoryLoss(FAMILY, 7.0).call, events, params)
    # A mixture's numbers are a table for each number of z: logits, means and logarithms of scales.
    logits, means, raw = np.moveaxis(params[..., :18].reshape(2, 4, 3, 3, 2), -2, 0)
    density = norm.logpdf(events[..., :3, None], means, np.exp(raw))
    latent = logsumexp(logits - logsumexp(logits, axis=-1, keepdims=True) + density, axis=-1)
    reward = norm.logpdf(events[..., 3], params[..., 18], np.exp(params[..., 19]))
    end = np.log(expit(np.where(done == 1, params[..., -1], -params[..., -1])))
    np.testing.assert_allclose(found, -(1 - done) * latent.mean(axis=-1) - reward - 7 * end, rtol=1e-4)


def test_the_loss_without_reward_and_end_is_the_mean_over_z(compiled):
    family = mx.Joint(latent=LATENT)
    params, events = RNG.normal(size=(4, 18)), RNG.normal(size=(4, 3))
    found = compiled(MemoryLoss(family).call, events, params)
    np.testing.assert_allclose(found, -family.log_prob(params, events) / 3, rtol=1e-4)


def test_it_learns_and_is_kept(tmp_path):
    made = Memory(FAMILY, (4,), actions=2, relative=True, seed=3)
    x = {
        "events": RNG.normal(size=(8, 6, 5)).astype("float32"),
        "inputs": RNG.normal(size=(8, 6, 2)).astype("float32"),
    }
    y = np.concatenate([x["events"][:, 1:], x["events"][:, :1]], axis=1)
    y[..., -1] = 0
    made.compile(keras.optimizers.Adam(0.05), loss=MemoryLoss(FAMILY, 3.0))
    history = made.fit(x, y, epochs=15, batch_size=8, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.5
    made.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert again.get_config() == made.get_config()
    assert again.loss.get_config() == made.loss.get_config()
    np.testing.assert_array_equal(
        again.predict(x, verbose=0, batch_size=8), made.predict(x, verbose=0, batch_size=8)
    )


@pytest.mark.parametrize(
    ("family", "shown"),
    [
        (LATENT, "must be a Joint of latent, reward and done"),
        (mx.Joint(done=mx.Bernoulli(), latent=LATENT), "in this order"),
        (mx.Joint(latent=LATENT, end=mx.Bernoulli()), "in this order"),
        (mx.Joint(done=mx.Bernoulli()), "must have a part latent"),
    ],
)
def test_other_families_are_refused(family, shown):
    with pytest.raises(ValueError, match=shown):
        Memory(family, (4,))
