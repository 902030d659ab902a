import keras
import numpy as np
import pytest
from keras import ops
from scipy.stats import multivariate_normal, norm

import mixtura as mx
from mixtura.models import SketchRNN
from mixtura.models.sketch_rnn import padded
from mixtura.models.variational import KLDivergence, SketchLoss, Variational, kl_divergence
from mixtura.training import Ragged, fit

RNG = np.random.default_rng(0)
SPREAD = 3.0
FAMILY = mx.Joint(
    offset=mx.Affine(mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 2), 0.0, SPREAD),
    pen=mx.Categorical(3),
)
STROKES = mx.Mixture(mx.Joint(offset=mx.Normal(2, "bivariate"), pen=mx.Categorical(3)), 2)


def drawings(*lengths):
    found = [np.column_stack([RNG.normal(size=(n, 2)), RNG.random(n) < 0.3]).astype(float) for n in lengths]
    for one in found:
        one[-1, 2] = 1
    return found


def numpy(x):
    return ops.convert_to_numpy(x)


def published(params, events, floor, weights, closing):
    """The papers' loss of each event, in the family's units."""
    logits, mean_x, mean_y, log_x, log_y, rho = params[:12].reshape(6, 2)
    pi = np.exp(logits) / np.exp(logits).sum()
    density = 0.0
    for k in range(2):
        a, b, r = np.exp(log_x[k]), np.exp(log_y[k]), np.tanh(rho[k])
        cov = [[a * a, r * a * b], [r * a * b, b * b]]
        density += pi[k] * multivariate_normal.pdf(events[:2] / SPREAD, [mean_x[k], mean_y[k]], cov)
    pen = np.exp(params[12:]) / np.exp(params[12:]).sum()
    offset = -np.log(density + floor)
    if closing and events[4] == 1:
        offset = 0.0
    return offset - (np.array(weights) * events[2:] * np.log(pen)).sum()


@pytest.mark.slow
@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize("floor", [0.0, 1e-6, 0.1])
def test_the_loss_is_the_published_one(closing, floor):
    weights = (1.0, 200**0.5, 200.0)
    params = RNG.normal(size=(6, 15)).astype("float32")
    events = np.column_stack([3 * RNG.normal(size=(6, 2)), np.eye(3)[[0, 1, 2, 0, 1, 2]]]).astype("float32")
    events[0, :2] = 40.0  # where the floor is all that there is
    loss = SketchLoss(FAMILY, closing, floor, weights)
    found = numpy(loss.call(events, params))
    rows = zip(params.astype(float), events, strict=True)
    expected = np.array([published(*row, floor, weights, closing) for row in rows])
    is_point = ~(closing & (events[:, 4] == 1))
    expected[is_point] += 2 * np.log(SPREAD)  # densities are of the data's units
    finite = np.isfinite(expected)
    np.testing.assert_allclose(found[finite], expected[finite], rtol=2e-4)
    assert finite[1:].all()


@pytest.mark.slow
def test_without_settings_it_is_the_likelihood_of_any_family():
    params = RNG.normal(size=(3, STROKES.params_size)).astype("float32")
    events = np.column_stack([RNG.normal(size=(3, 2)), np.eye(3)]).astype("float32")
    np.testing.assert_allclose(
        numpy(SketchLoss(STROKES).call(events, params)), -numpy(STROKES.log_prob(params, events)), rtol=1e-6
    )
    with pytest.raises(ValueError, match="must be a Joint of offset and pen"):
        SketchLoss(STROKES, closing=True)


def test_the_divergence_is_that_of_normals():
    mean, log_variance = RNG.normal(size=(2, 1, 4))
    z = RNG.normal(size=(200_000, 4)) * np.exp(log_variance / 2) + mean
    sampled = (norm.logpdf(z, mean, np.exp(log_variance / 2)) - norm.logpdf(z)).sum(axis=1)
    found = float(numpy(kl_divergence(ops.convert_to_tensor(mean), ops.convert_to_tensor(log_variance)))[0])
    assert abs(found - sampled.mean()) < 5 * sampled.std() / len(z) ** 0.5


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return SketchRNN(FAMILY, (4,), latent_size=2, encoder_units=3, num_classes=2, class_size=2, seed=0)


@pytest.mark.slow
def test_columns_are_what_z_costs(model):
    events = padded([model.events(one) for one in drawings(3, 7)])
    data = {"events": events, "context": np.array([0, 1])}
    trainer = Variational(model, kl_weight=2.0, kl_start=0.5, kl_decay=0.9, kl_floor=0.0)
    expected = numpy(kl_divergence(*model.posterior_of(ops.convert_to_tensor(events))))
    out = numpy(trainer(data))
    assert out.shape == (*events.shape[:2], FAMILY.params_size + 2)
    np.testing.assert_allclose(out[:, 0, -2:], np.column_stack([expected, expected]), rtol=1e-5)
    assert not out[:, 1:, -2:].any()
    for n in range(3):
        cost = numpy(trainer(data, training=True))[:, 0, -2]
        np.testing.assert_allclose(cost, (2.0 - 1.5 * 0.9**n) * expected, rtol=1e-4)
    floored = Variational(model, kl_start=1.0, kl_floor=50.0)
    np.testing.assert_allclose(numpy(floored(data, training=True))[:, 0, -2], 50.0, rtol=1e-6)


@pytest.mark.slow
def test_training_minimises_the_bound(model):
    found = drawings(5, 3, 8, 6, 4)
    rows = Ragged.padded([model.events(one) for one in found], 2, 1, context=np.array([0, 1, 0, 1, 1]))
    trainer = Variational(model, seed=0)
    trainer.compile(keras.optimizers.Adam(0.02), SketchLoss(FAMILY), weighted_metrics=[KLDivergence()])
    history = fit(trainer, rows, validation_data=rows, epochs=12, verbose=0, seed=0).history
    assert history["loss"][-1] < history["loss"][0] - 0.3
    # The loss and its part are nats per step: of all steps, once.
    steps = sum(map(len, found))
    divergence = numpy(kl_divergence(*(ops.convert_to_tensor(part) for part in model.encode(found))))
    assert abs(history["val_kl"][-1] - divergence.sum() / steps) < 1e-4
    assert float(trainer.updates) == 12 * 3


def test_a_saved_trainer_is_the_same(model, tmp_path):
    trainer = Variational(model, kl_weight=3.0, kl_floor=1.0, seed=4)
    other = Variational.from_config(trainer.get_config())
    assert other.get_config() == trainer.get_config()
    loss = SketchLoss(FAMILY, True, 1e-6, (1, 2, 3))
    assert SketchLoss.from_config(loss.get_config()).get_config() == loss.get_config()
