"""The heads of published systems, each as one expression: they train, learn everywhere, save, and sample."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import mixtura as mx

HEADS = {
    "lecture": (mx.Mixture(mx.Normal(1), 5), 15),
    "laplace": (mx.Mixture(mx.Laplace(1), 3), 9),
    "graves": (
        mx.Joint(offset=mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 20), end=mx.Bernoulli()),
        121,
    ),
    "graves, full": (mx.Joint(offset=mx.Mixture(mx.Normal(2, "full"), 20), end=mx.Bernoulli()), 121),
    "sketch-rnn": (mx.Joint(offset=mx.Mixture(mx.Normal(2, "full"), 20), pen=mx.Categorical(3)), 123),
    "robojam": (mx.Joint(place=mx.Mixture(mx.Normal(2, "full"), 16), dt=mx.Mixture(mx.Normal(1), 16)), 144),
    "right supports": (
        mx.Joint(
            place=mx.Mixture(mx.LogitNormal(2), 16), dt=mx.Mixture(mx.LogNormal(1), 16), moving=mx.Bernoulli()
        ),
        129,
    ),
    "world models": (
        mx.Joint(latent=mx.Independent(mx.Mixture(mx.Normal(1), 5), repeats=64), done=mx.Bernoulli()),
        961,
    ),
    "classifier": (mx.Categorical(4), 4),
}
every_head = pytest.mark.parametrize("name", HEADS)


def heads(*quick, slow=tuple(HEADS)):
    """Run the test on these heads, and on the others when there is time."""
    others = [pytest.param(name, marks=pytest.mark.slow) for name in slow if name not in quick]
    return pytest.mark.parametrize("name", [*quick, *others])


ROWS = 128


def network(family):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(8, "tanh"), mx.MDN(family)])
    model.compile(keras.optimizers.Adam(0.02), mx.NegativeLogLikelihood(family))
    return model


def simulated(family):
    """Inputs, and events drawn from distributions that depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2))
    params = np.tanh(x @ rng.normal(size=(2, 4))) @ rng.normal(size=(4, family.params_size))
    return x.astype("float32"), family(params).sample(1, seed=0)[0].astype("float32")


def supported(family, y):
    """Tell whether every event could have been drawn."""
    return bool((family.log_prob(np.zeros(family.params_size), y) > -1e6).all())


@every_head
def test_it_has_the_published_size(name):
    family, size = HEADS[name]
    assert mx.MDN(family).compute_output_shape((None, 7)) == (None, size)


@pytest.mark.slow
@heads("lecture", "graves", "right supports", "classifier")
def test_it_trains_saves_and_samples(name, tmp_path):
    family, _ = HEADS[name]
    model, (x, y) = network(family), simulated(family)

    def losses(x):
        return model.fit(x, y, batch_size=ROWS, epochs=30, shuffle=False, verbose=0).history["loss"]

    # One step changes every weight of the head.
    before = model.layers[-1].get_weights()
    model.fit(x, y, batch_size=ROWS, verbose=0)
    for old, new in zip(before, model.layers[-1].get_weights(), strict=True):
        assert np.isfinite(new).all()
        assert (old != new).all()

    # Without the inputs a network learns the best constant prediction; with them it does better.
    constant = losses(np.zeros_like(x))
    informed = losses(x)
    assert constant[-1] < constant[0]
    assert informed[-1] < constant[-1] - 0.1

    model.save(tmp_path / "m.keras")
    restored = keras.models.load_model(tmp_path / "m.keras")
    assert restored.layers[-1].family == restored.loss.family == family
    outputs = model.predict(x, batch_size=ROWS, verbose=0)
    np.testing.assert_array_equal(restored.predict(x, batch_size=ROWS, verbose=0), outputs)

    for events in (
        family(outputs).sample(1, seed=0)[0],
        ops.convert_to_numpy(family.sample(outputs, seed=0)),
    ):
        assert events.shape == y.shape
        assert supported(family, events)


# Sixteen bits.

POLICIES = ["mixed_float16", "mixed_bfloat16"]


def under(policy, family):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return network(family)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.slow
@heads("graves", slow=("lecture", "right supports", "world models", "classifier"))
def test_sixteen_bits_round_the_features_only(name):
    family, _ = HEADS[name]
    x, y = simulated(family)
    plain, loss = network(family), mx.NegativeLogLikelihood(family)

    def loss_of(model):
        return ops.convert_to_numpy(loss(y, model(x)))

    for policy in POLICIES:
        model = under(policy, family)
        model.set_weights(plain.get_weights())
        assert model.layers[0].compute_dtype == policy.removeprefix("mixed_")
        assert keras.backend.standardize_dtype(model(x).dtype) == "float32"
        assert loss_of(model) == pytest.approx(loss_of(plain), rel=5e-3)


@heads("graves", "right supports", slow=("laplace", "sketch-rnn", "world models"))
def test_extreme_activations_have_finite_gradients(name, gradient):
    family, size = HEADS[name]
    _, y = simulated(family)
    params = np.random.default_rng(0).choice([-1e4, 1e4], (ROWS, size))
    values, slope = gradient(lambda params: family.log_prob(params, y), params)
    assert np.isfinite(values).all()
    assert np.isfinite(slope).all()
    assert (slope != 0).any(axis=-1).all()


@pytest.mark.parametrize("policy", POLICIES)
@heads("right supports", slow=("graves", "world models"))
def test_sixteen_bits_train_from_anywhere(name, policy):
    family, size = HEADS[name]
    model, (x, y) = under(policy, family), simulated(family)
    kernel, _ = model.layers[-1].get_weights()

    def losses(bias, epochs):
        model.layers[-1].set_weights([kernel, bias])
        fitted = model.fit(x, y, batch_size=ROWS, epochs=epochs, shuffle=False, verbose=0)
        assert np.isfinite(fitted.history["loss"]).all()
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
        return fitted.history["loss"]

    ordinary = losses(np.zeros(size), 30)
    assert ordinary[-1] < ordinary[0] - 0.3
    # Every scale is 1e-4, and every target ten thousand scales away or more. In float16 the optimiser skips
    # the first steps while it looks for a scale of the loss that does not overflow.
    far = losses(np.full(size, -9.2), 60)
    assert far[0] > 1e6
    assert far[-1] < 0.5 * far[0]
