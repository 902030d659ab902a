import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.systems.demo.data import inverse_sine
from mixtura.training.initialisation import begin_at, initialize_head

RNG = np.random.default_rng(0)


def network(family, inputs=1, units=32):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(units, "tanh"), mx.MDN(family)])


def nll(model, family, x, y):
    return -family(model.predict(x, verbose=0)).log_prob(y).mean()


@pytest.mark.parametrize("leaf", [mx.Normal(1), mx.Laplace(1)], ids=repr)
def test_the_untrained_network_predicts_the_marginal_distribution(leaf):
    x, y = inverse_sine(2000, np.random.default_rng(0))
    family = mx.Mixture(leaf, 5)
    model = network(family)
    before = nll(model, family, x, y)
    initialize_head(model, y)
    marginal = -family(family.fit(y)).log_prob(y).mean()
    after = nll(model, family, x, y)
    assert after == pytest.approx(marginal, abs=0.06)
    assert after < before - 1
    # Uniform targets: no distribution that ignores x is more than a few hundredths of a nat better.
    assert np.log(21) - 0.01 < after < np.log(21) + 0.2


def test_without_a_kernel_it_is_the_fit():
    x, y = inverse_sine(500, np.random.default_rng(0))
    family = mx.Mixture(mx.Normal(1), 5)
    model = network(family)
    initialize_head(model, y, shrink=0.0)
    np.testing.assert_allclose(model.predict(x, verbose=0), np.tile(family.fit(y), (500, 1)), rtol=1e-6)


def test_the_kernel_keeps_its_share():
    head = mx.MDN(mx.Normal(1))
    head.build((None, 3))
    kernel = ops.convert_to_numpy(head.dense.kernel)
    initialize_head(head, [1.0, 3.0], shrink=0.25)
    np.testing.assert_allclose(ops.convert_to_numpy(head.dense.kernel), 0.25 * kernel, rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(head.dense.bias), [2.0, 0.0], atol=1e-6)


def test_two_dimensions_start_at_the_clusters_and_never_singular():
    centres = np.array([[-3.0, 0.0], [0.0, 3.0], [3.0, 0.0]])
    y = centres[RNG.integers(3, size=900)] + 0.1 * RNG.normal(size=(900, 2))
    y[:300] = [-3.0, 0.0]  # exactly
    for covariance in ("diagonal", "full", "bivariate"):
        family = mx.Mixture(mx.Normal(2, covariance), 3)
        model = network(family)
        initialize_head(model, y)
        p = family(model.predict(np.zeros((1, 1)), verbose=0))
        order = np.argsort(p.means[0, :, 0])
        np.testing.assert_allclose(p.means[0, order], centres, atol=0.1)
        assert p.scales.min() > 0.02
        assert np.isfinite(p.log_prob(y)).all()


def test_sequences_are_flattened_and_masked():
    y = RNG.normal(size=(4, 6, 2))
    mask = RNG.random((4, 6)) < 0.5
    family = mx.Normal(2, "full")
    head = mx.MDN(family)
    model = keras.Sequential([keras.Input((6, 3)), keras.layers.TimeDistributed(head)])
    initialize_head(model, y)
    np.testing.assert_allclose(head.dense.bias, family.fit(y.reshape(-1, 2)), rtol=1e-5)
    y[~mask] = np.nan
    for one in (mask, mask.astype(int), ops.convert_to_tensor(mask)):
        head.dense.bias.assign(0 * head.dense.bias)
        initialize_head(model, y, mask=one)
        np.testing.assert_allclose(head.dense.bias, family.fit(y[mask]), rtol=1e-5)


def test_standardised_targets_go_with_the_inner_family():
    y = RNG.normal(20.0, 10.0, size=(500, 1))
    family = mx.Affine(mx.Normal(1), y.mean(), y.std())
    head = mx.MDN(family)
    head.build((None, 1))
    initialize_head(head, y)
    np.testing.assert_allclose(head.dense.bias, [0.0, 0.0], atol=1e-5)
    initialize_head(head, (y - y.mean()) / y.std(), family=family.family)
    np.testing.assert_allclose(head.dense.bias, [0.0, 0.0], atol=1e-5)


def test_the_last_head_is_found_inside_other_models():
    first, last = mx.MDN(mx.Normal(1)), mx.MDN(mx.Normal(1))
    inner = keras.Sequential([keras.Input((1,)), first, keras.layers.Dense(4), last], name="inner")
    inputs = keras.Input((1,))
    initialize_head(keras.Model(inputs, inner(inputs)), [4.0, 6.0])
    np.testing.assert_allclose(last.dense.bias, [5.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(first.dense.bias, 0.0)


def test_a_head_that_is_not_there_or_not_built_is_said():
    y = [0.0, 1.0]
    with pytest.raises(ValueError, match=r"no MDN layer.*the layers are body \(Dense\)"):
        initialize_head(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="body")]), y)
    with pytest.raises(ValueError, match=r"'head' has no weights yet; build the model or call it once"):
        initialize_head(keras.Sequential([mx.MDN(mx.Normal(1), name="head")]), y)
    with pytest.raises(TypeError, match="a model or an MDN layer; received 'model'"):
        initialize_head("model", y)


@pytest.mark.parametrize(
    ("y", "options", "sentence"),
    [
        ([[0.0, 1.0]], {}, r"is fitted to y of shape \(rows, 1\)"),
        ([0.0], {"shrink": -1.0}, "shrink must be 0 or more; received -1.0"),
        ([0.0], {"shrink": np.nan}, "shrink must be a finite number"),
        (
            [0.0],
            {"family": mx.Normal(2)},
            r"Normal\(event_size=2\) has 4 parameters, the layer 'head' outputs 2",
        ),
        (
            np.zeros((2, 3, 1)),
            {"mask": np.ones((2, 2))},
            r"mask must have y's shape.*\(2, 3\); received \(2, 2\)",
        ),
        (np.zeros((2, 3, 1)), {"mask": np.zeros((2, 3))}, "no step of y valid"),
    ],
)
def test_other_mistakes_change_nothing(y, options, sentence):
    head = mx.MDN(mx.Normal(1), name="head")
    head.build((None, 1))
    before = [np.array(weight) for weight in head.get_weights()]
    with pytest.raises(ValueError, match=sentence):
        initialize_head(head, y, **options)
    for weight, was in zip(head.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, was)


def test_a_head_without_a_bias_is_said():
    head = mx.MDN(mx.Normal(1), name="head")
    head.dense.use_bias = False
    head.build((None, 1))
    with pytest.raises(ValueError, match="'head' has no bias"):
        initialize_head(head, [0.0])


def test_a_head_begins_at_given_parameters():
    model = keras.Sequential([keras.Input((2,)), mx.MDN(mx.Mixture(mx.Normal(1), 2))])
    params = np.arange(6.0) / 4
    begin_at(model, params, shrink=0.0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(np.ones((1, 2))))[0], params, rtol=1e-6)
    with pytest.raises(ValueError, match=r"params must be \(6,\); received \(5,\)"):
        begin_at(model, params[:5])
    with pytest.raises(ValueError, match="shrink must be 0 or more"):
        begin_at(model, params, shrink=-1.0)
