import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.models import tabular_ensemble
from mixtura.models.tabular import start_from
from mixtura.training import predict

INNER = mx.Mixture(mx.Normal(1, min_scale=0.1), 3)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype("float32")
Y = np.where(np.arange(40) % 2, 2.0, -2.0)[:, None] + 0.3 * RNG.normal(size=(40, 1))


def test_its_output_is_the_ensembles_and_its_loss_the_members():
    model = tabular_ensemble(
        5, mx.Affine(INNER, 10.0, 2.0), num_members=4, hidden=(8, 6), num_bins=3, numeric=2
    )
    head = model.layers[-1]
    assert head.family == mx.Affine(mx.Mixture(mx.Normal(1, min_scale=0.1), 12), 10.0, 2.0)
    assert model.loss.member_family == INNER  # on standardised targets
    shapes = [tuple(weight.shape) for weight in model.trainable_weights]
    sizes = [(4, 5 + 2 * 3, 8), (4, 1, 8), (4, 8, 6), (4, 1, 6), (4, 6, 9), (4, 1, 9)]
    assert shapes == sizes
    plain = tabular_ensemble(5, INNER, hidden=(8,))
    assert plain.trainable_weights[0].shape == (1, 5, 8)
    assert plain.layers[-1].family == INNER


def test_first_weights_are_glorots_from_the_seed():
    first, again, other = (
        tabular_ensemble(5, INNER, num_members=2, hidden=(64, 64), seed=seed) for seed in (3, 3, 4)
    )
    for one, same, new in zip(*(m.trainable_weights for m in (first, again, other)), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(same))
        if one.path.endswith("kernel"):
            kernel = ops.convert_to_numpy(one)
            assert (kernel != ops.convert_to_numpy(new)).any()
            limit = np.sqrt(6 / sum(kernel.shape[1:]))
            assert 0.95 * limit < np.abs(kernel).max() <= limit
            assert (kernel[0] != kernel[1]).any()
        else:
            np.testing.assert_array_equal(ops.convert_to_numpy(one), 0)
    # By NumPy: on every backend the same.
    limit = np.sqrt(6 / (5 + 64))
    expected = np.random.default_rng(3).uniform(-limit, limit, (2, 5, 64))
    np.testing.assert_allclose(ops.convert_to_numpy(first.trainable_weights[0]), expected, rtol=1e-6)


def test_it_starts_near_the_targets_distribution():
    model = tabular_ensemble(5, INNER, num_members=2, hidden=(8,))
    family = model.layers[-1].family
    before = -family(predict(model, X)).log_prob(Y).mean()
    start_from(model, Y)
    marginal = -INNER(INNER.fit(Y, 0)).log_prob(Y).mean()
    after = -family(predict(model, X)).log_prob(Y).mean()
    assert after == pytest.approx(marginal, abs=0.1)
    assert after < before - 0.5


@pytest.mark.slow
def test_one_output_of_many_bins_bends_where_the_data_are():
    """A step that a straight line cannot follow is learned by one hidden layer's worth of bins."""
    x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
    y = np.where(np.abs(x) < 0.5, 1.0, -1.0).astype("float32")
    model = tabular_ensemble(1, INNER, hidden=(16,), num_bins=8, numeric=1, learning_rate=0.02)
    model.layers[1].adapt(x)
    start_from(model, y)
    mx.training.fit(model, x, y, epochs=60, batch_size=64, seed=0, verbose=0)
    mean = model.layers[-1].family(predict(model, x)).mean()
    assert np.abs(mean - y).mean() < 0.35


def test_dropout_and_decay_are_asked_for():
    model = tabular_ensemble(5, INNER, num_members=2, hidden=(8, 8), dropout=0.5, weight_decay=0.25)
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in model.layers) == 2
    assert model.optimizer.weight_decay == 0.25
    plain = tabular_ensemble(5, INNER, num_members=2, hidden=(8, 8), num_bins=4)  # no numeric column
    assert [type(layer).__name__ for layer in plain.layers] == [
        *("InputLayer", "EnsembleDense", "EnsembleDense", "EnsembleMDN")
    ]


def test_other_arguments_are_refused():
    with pytest.raises(ValueError, match="hidden must name at least one layer's units"):
        tabular_ensemble(5, INNER, hidden=())
    with pytest.raises(ValueError, match="an ensemble is made of mixtures; received Normal"):
        tabular_ensemble(5, mx.Normal(1))
    with pytest.raises(ValueError, match="num_members must be a positive integer; received 0"):
        tabular_ensemble(5, INNER, num_members=0)
