"""One step of a model that always predicts the same distribution is a draw from its family."""

import numpy as np
import pytest
from scipy import stats

import mixtura as mx

DRAWS = 4000
LINE = mx.Mixture(mx.Normal(1), 3)
LINE_PARAMS = np.array([0.0, 1.0, -0.5, -3.0, 0.0, 4.0, 0.5, -0.3, 0.0])
SAMPLERS = {
    "as it is": None,
    "sketch_rnn": mx.Sampler.sketch_rnn(0.3),
    "wide": mx.Sampler(3.0, 2.0, 3.0),
    "graves": mx.Sampler.graves(1.0),
}


@pytest.fixture(scope="module")
def line(constant):
    return constant(LINE, LINE_PARAMS)


@pytest.fixture(scope="module")
def classes(constant):
    return constant(mx.Categorical(4), [0.0, 1.0, -1.0, 0.5])


@pytest.mark.parametrize("name", SAMPLERS)
def test_temperatures_change_a_mixture_as_published(name, line):
    sampler = SAMPLERS[name] or mx.Sampler()
    y = line.generate(1, batch_size=DRAWS, seed=1, sampler=SAMPLERS[name]).events[:, 0, 0]
    logits, means, activations = LINE_PARAMS.reshape(3, 3)
    weights = np.exp(logits / sampler.weights) / np.exp(logits / sampler.weights).sum()
    sigma = np.where(activations > 0, activations + 1, np.exp(activations)) * sampler.scale
    cdf = stats.norm(means, sigma).cdf
    assert stats.kstest(y, lambda x: (weights * cdf(x[:, None])).sum(axis=1)).pvalue > 1e-3


@pytest.mark.parametrize("name", SAMPLERS)
def test_temperatures_change_classes(name, classes):
    y = classes.generate(1, batch_size=DRAWS, seed=1, sampler=SAMPLERS[name]).events[:, 0]
    np.testing.assert_array_equal(y.sum(axis=1), 1)
    expected = np.exp(np.array([0.0, 1.0, -1.0, 0.5]) / (SAMPLERS[name] or mx.Sampler()).discrete)
    assert stats.chisquare(y.sum(axis=0), DRAWS * expected / expected.sum()).pvalue > 1e-3


def test_steps_are_independent_where_the_model_says_so(line):
    y = line.generate(2, batch_size=DRAWS, seed=1).events[..., 0]
    assert stats.spearmanr(y[:, 0], y[:, 1]).pvalue > 1e-3
    assert stats.ks_2samp(y[:, 0], y[:, 1]).pvalue > 1e-3
