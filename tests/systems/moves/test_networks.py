import keras
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mixtura.data.sequences import Sequences
from mixtura.systems.moves import networks


def test_one_spread_is_a_normal_with_fixed_variance():
    family = networks.OneSpread(2, 0.5)
    mean, y = np.array([1.0, -2.0]), np.array([1.5, -1.0])
    assert family.params_size == 2
    assert family.log_prob(mean, y) == pytest.approx(multivariate_normal.logpdf(y, mean, 0.25 * np.eye(2)))
    p = family(mean)
    assert p.mean().tolist() == [1.0, -2.0]
    assert p.variance().tolist() == [0.25, 0.25]
    drawn = p.sample(20_000, seed=0)
    assert drawn.std(axis=0) == pytest.approx([0.5, 0.5], rel=0.03)
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.02)


def test_its_likelihood_differs_from_squared_error_by_a_constant(tensor):
    rng = np.random.default_rng(0)
    mean, y = rng.normal(size=(2, 5, 2))
    nll = -keras.ops.convert_to_numpy(networks.OneSpread(2).log_prob(tensor(mean), tensor(y)))
    assert nll - 0.5 * ((y - mean) ** 2).sum(axis=1) == pytest.approx(np.full(5, np.log(2 * np.pi)), abs=1e-5)


def test_it_is_fitted_by_the_mean_and_saved_with_a_model():
    family = networks.OneSpread(2, 0.5)
    assert family.fit([[0.0, 1.0], [2.0, 5.0]]).tolist() == [1.0, 3.0]
    config = keras.saving.serialize_keras_object(family)
    assert keras.saving.deserialize_keras_object(config) == family


@pytest.mark.parametrize("spread", [0.0, -1.0, np.inf, np.nan])
def test_a_spread_that_is_none(spread):
    with pytest.raises(ValueError, match="spread must be positive"):
        networks.OneSpread(2, spread)


def test_the_noise_of_squared_error_is_that_of_its_errors():
    rng = np.random.default_rng(0)
    moves = np.concatenate([rng.normal([5.0, 0.0], [1.0, 3.0], (400, 2)), np.zeros((400, 1))], axis=1)
    training = Sequences.of(np.split(moves.astype("float32"), 50))
    model = networks.squared_error(training, (4,), seed=0)
    model.head.dense.kernel.assign(0 * model.head.dense.kernel)  # predicts the mean, whatever came before
    noisy = networks.with_its_noise(model, training)
    spread = np.sqrt(noisy.family(np.zeros(3))["move"].variance())
    assert spread == pytest.approx(np.full(2, np.sqrt(moves[:, :2].var(axis=0).mean())), rel=1e-4)
    for before, after in zip(model.get_weights(), noisy.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
