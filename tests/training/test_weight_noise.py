import keras
import numpy as np
import pytest
from keras import layers
from scipy.linalg import hadamard

import mixtura as mx
from mixtura.training.weight_noise import AdaptiveWeightNoise

FAMILY = mx.Normal(1, min_scale=1e-3)


def data(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, size=(rows, 1))
    return x.astype("float32"), (np.sin(2 * x) + 0.3 * rng.normal(size=(rows, 1))).astype("float32")


X, Y = data(24, 0)


def network(optimizer, units=16, inputs=1):
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(units, "tanh"), layers.Dense(units, "tanh")]
    model = keras.Sequential([keras.Input((inputs,)), *hidden, mx.MDN(FAMILY)])
    model.compile(optimizer, mx.NegativeLogLikelihood(FAMILY))
    return model


def noisy(optimizer="sgd", rows=24, batch_size=8, **options):
    return AdaptiveWeightNoise(optimizer, rows, batch_size, **options)


# The posterior.


def orthogonal_regression(rows, columns=8):
    """Data of y = X w + noise whose posterior factorises; the noise's variance is 1/2, exactly."""
    signs = hadamard(rows)[:, 1 : columns + 1].astype("float64")
    rng = np.random.default_rng(0)
    slopes = np.geomspace(0.2, 2, columns)
    weights, noise = rng.normal(size=columns) / 2, rng.normal(size=rows)
    noise -= signs @ (signs.T @ noise) / rows
    noise *= np.sqrt(0.5 / np.mean(noise**2))
    return signs * slopes, (signs * slopes @ weights + noise)[:, None], weights, slopes


def conjugate_posterior(rows, weights, slopes):
    """Mean and standard deviation under the prior that suits the posterior best."""
    data_precision, center, variance = 2 * rows * slopes**2, 0.0, 1.0
    for _ in range(200):
        precision = data_precision + 1 / variance
        mean = (data_precision * weights + center / variance) / precision
        center = mean.mean()
        variance = np.mean(1 / precision + (mean - center) ** 2)
    return mean, precision**-0.5, center, variance


@pytest.mark.parametrize(
    ("rows", "batch_size"),
    [(64, 8), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in [(64, 64), (1024, 32)])],
)
def test_it_finds_the_conjugate_posterior_of_linear_regression(rows, batch_size):
    x, y, weights, slopes = orthogonal_regression(rows)
    # One long epoch, shuffled here: the batches of an epoch have each row once, in another order every time.
    steps, rng = 2000, np.random.default_rng(1)
    order = np.concatenate([rng.permutation(rows) for _ in range(steps * batch_size // rows)])
    model = keras.Sequential([keras.Input((8,)), layers.Dense(1, use_bias=False)])
    decay = keras.optimizers.schedules.PolynomialDecay(0.02, steps, 1e-4)
    optimizer = noisy(keras.optimizers.Adam(decay), rows, batch_size, rate=0.004)
    model.compile(optimizer, "mse")  # the negative log-likelihood of noise of variance 1/2
    model.fit(x[order], y[order], batch_size=batch_size, shuffle=False, verbose=0)
    mean, std, center, variance = conjugate_posterior(rows, weights, slopes)
    [(found_mean, found_std)] = optimizer.posterior()
    np.testing.assert_allclose(found_std[:, 0], std, rtol=0.15)  # from 0.01 to 0.23
    assert np.mean(found_std[:, 0] / std) == pytest.approx(1, abs=0.06)
    assert np.abs((found_mean[:, 0] - mean) / std).max() < 0.25
    np.testing.assert_allclose([float(value) for value in optimizer.prior()], [center, variance], rtol=0.1)


def test_one_step_by_hand():
    weight = keras.Variable(np.array([1.0, -2.0, 0.5], "float32"))
    optimizer = noisy(keras.optimizers.SGD(0.1), 50, 4, initial_std=0.2, rate=0.25)
    g = np.array([0.3, 0.0, -1.0])
    optimizer.apply([keras.ops.convert_to_tensor(g.astype("float32"))], [weight])
    mu = np.array([1.0, -2.0, 0.5])
    center, variance = mu.mean(), np.mean(0.04 + (mu - mu.mean()) ** 2)
    [(mean, std)] = optimizer.posterior()
    np.testing.assert_allclose(mean, mu - 0.1 * (g + (mu - center) / (50 * variance)), rtol=1e-5)
    precision = 0.75 / 0.04 + 0.25 * (50 * 4 * g**2 + 1 / variance)
    np.testing.assert_allclose(std, precision**-0.5, rtol=1e-5)
    assert (keras.ops.convert_to_numpy(weight) != mean).all()


# The noise.


def test_every_step_has_fresh_normal_noise_of_the_posteriors_width():
    weight = keras.Variable(np.zeros(5000, "float32"))
    optimizer = noisy(initial_std=0.5)
    seen = []
    for _ in range(3):
        optimizer.apply([keras.ops.zeros(5000)], [weight])
        [(mean, std)] = optimizer.posterior()
        seen.append((keras.ops.convert_to_numpy(weight) - mean) / std)
    np.testing.assert_allclose(np.corrcoef(seen), np.eye(3), atol=0.06)
    assert np.std(seen) == pytest.approx(1, abs=0.03)
    assert np.mean(seen) == pytest.approx(0, abs=0.03)


def test_seeds_differ_and_repeat():
    def drawn(seed):
        weight = keras.Variable(np.zeros(4, "float32"))
        noisy(seed=seed).apply([keras.ops.zeros(4)], [weight])
        return keras.ops.convert_to_numpy(weight)

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert (drawn(1) != drawn(2)).all()


class Weights(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.seen = self.model.get_weights()


def test_the_model_is_noisy_while_it_trains_and_has_the_means_at_the_end():
    model, watch = network(noisy()), Weights()
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[watch])
    for noise, weight, (mean, _) in zip(
        watch.seen, model.get_weights(), model.optimizer.posterior(), strict=True
    ):
        np.testing.assert_array_equal(weight, mean)
        assert (noise != mean).all()


@pytest.mark.parametrize("on_epoch", [False, True])
def test_keras_swaps_the_means_in_for_validation(on_epoch):
    model, watch = network(noisy()), Weights()
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=on_epoch)
    history = model.fit(
        X, Y, batch_size=8, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[swap, watch]
    )
    assert history.history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)
    same = [
        np.allclose(seen, mean, atol=1e-6) for seen, mean in zip(watch.seen, model.get_weights(), strict=True)
    ]
    assert all(same) if on_epoch else not any(same)


def test_a_second_fit_goes_on():
    model = network(noisy("adam"))
    for epochs in (1, 2):
        model.fit(X, Y, batch_size=8, epochs=1, verbose=0)
        assert int(model.optimizer.iterations) == 3 * epochs


def test_weights_loaded_before_the_first_step_are_the_means():
    model = network(noisy(keras.optimizers.SGD(0.0)))
    model.optimizer.build(model.trainable_variables)
    loaded = [w + 1 for w in model.get_weights()]
    model.set_weights(loaded)
    model.fit(X, Y, batch_size=24, verbose=0)
    for mean, weight in zip(model.get_weights(), loaded, strict=True):
        np.testing.assert_array_equal(mean, weight)


# Saving and resuming.


def test_training_resumes_from_copied_variables_exactly():
    def train(model, steps):
        for step in range(steps):
            rows = slice(8 * (step % 3), 8 * (step % 3) + 8)
            model.train_on_batch(X[rows], Y[rows])

    whole, first, second = (network(noisy("adam")) for _ in range(3))
    train(whole, 12)
    train(first, 6)
    second.optimizer.build(second.trainable_variables)
    for target, source in ((second, first), (second.optimizer, first.optimizer)):
        values = [keras.ops.convert_to_numpy(variable) for variable in source.variables]
        for variable, value in zip(target.variables, values, strict=True):
            variable.assign(value)
    train(second, 6)
    for one, other in zip(second.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    for one, other in zip(second.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="the others have no stateless_apply of their own"
)
def test_it_is_a_pure_function_of_its_variables():
    import jax

    model = network(noisy("adam"))
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    weights = [v.value for v in model.trainable_variables]
    state = [v.value for v in optimizer.variables]
    apply = jax.jit(optimizer.stateless_apply)
    one = apply(state, [w + 1 for w in weights], weights)
    other = apply(state, [w + 1 for w in weights], weights)
    jax.tree.map(np.testing.assert_array_equal, one, other)
    again = apply(one[1], weights, one[0])
    assert not np.array_equal(again[0][0], one[0][0])
    for before, after in zip(state, optimizer.variables, strict=True):
        np.testing.assert_array_equal(before, after.value)


@pytest.mark.slow
def test_it_is_saved_with_the_model(tmp_path):
    inner = keras.optimizers.RMSprop(keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9), momentum=0.9)
    model = network(noisy(inner, initial_std=0.1, rate=0.02, seed=7))
    model.fit(X, Y, batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for one, other in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    for either in (model, loaded):
        either.train_on_batch(X, Y)
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


# With other things of Keras.


@pytest.mark.slow
def test_schedules_and_callbacks_reach_the_inner_rate():
    model = network(noisy(keras.optimizers.Adam(0.01)))
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[halve])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0025)
    assert float(model.optimizer.optimizer.learning_rate) == pytest.approx(0.0025)


@pytest.mark.slow
def test_an_embedding_and_a_constraint():
    keras.utils.set_random_seed(0)
    head = layers.Dense(1, kernel_constraint="non_neg")
    model = keras.Sequential([keras.Input((3,)), layers.Embedding(5, 4), layers.Flatten(), head])
    model.compile(noisy("adam"), "mse")
    tokens = np.array([[0, 1, 1], [2, 0, 1]])
    model.fit(tokens, np.ones((2, 1)), epochs=2, verbose=0)
    assert head.kernel.numpy().min() >= 0
    assert all(np.isfinite(std).all() for _, std in model.optimizer.posterior())


@pytest.mark.slow
def test_loss_scaling_wraps_it():
    scaled = network(keras.optimizers.LossScaleOptimizer(noisy(), initial_scale=2.0**10))
    plain = network(noisy())
    for model in (scaled, plain):
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(scaled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "num_examples must be a positive integer"),
        ({"batch_size": 1.5}, "batch_size must be a positive integer"),
        ({"initial_std": 0.0}, "initial_std must be a positive finite number"),
        ({"rate": 1.5}, "rate must be above 0 and at most 1"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"optimizer": keras.optimizers.SGD(use_ema=True)}, "must not have use_ema"),
        ({"optimizer": keras.optimizers.SGD(loss_scale_factor=2.0)}, "must not scale the loss"),
        ({"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())}, "must not scale"),
    ],
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        noisy(**options)


def test_it_takes_the_gradients_of_all_weights():
    weights = [keras.Variable(np.zeros(2, "float32")) for _ in range(2)]
    optimizer = noisy()
    optimizer.build(weights)
    with pytest.raises(ValueError, match="all weights that it was built with"):
        optimizer.apply([keras.ops.zeros(2)], weights[:1])


# What it is for.


@pytest.mark.slow
def test_few_data_are_not_overfitted():
    def draw(rows, seed):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-2, 2, size=(rows, 6))  # five of six inputs say nothing
        y = np.sin(2 * x[:, :1]) + 0.3 * rng.normal(size=(rows, 1))
        return x.astype("float32"), y.astype("float32")

    (x, y), unseen, rng = draw(300, 0), draw(1000, 1), np.random.default_rng(0)
    order = np.concatenate([rng.permutation(300) for _ in range(100)])

    def train(model, optimizer, epochs):
        model.compile(optimizer, mx.NegativeLogLikelihood(FAMILY))
        rows = order[: 300 * epochs]
        model.fit(x[rows], y[rows], batch_size=30, shuffle=False, verbose=0)
        return model.evaluate(*unseen, verbose=0)

    plain = network("sgd", units=10, inputs=6)
    train(plain, keras.optimizers.Adam(0.02), 30)
    retrained = keras.models.clone_model(plain)
    retrained.set_weights(plain.get_weights())
    overfitted = train(plain, keras.optimizers.Adam(0.02), 100)
    quiet = train(retrained, noisy(keras.optimizers.Adam(0.02), 300, 30), 100)
    constant = np.log(2 * np.pi * np.var(unseen[1])) / 2 + 0.5
    assert overfitted > constant  # 1.7 against 1.1
    assert quiet < constant - 0.5  # 0.3; the truth has 0.2
