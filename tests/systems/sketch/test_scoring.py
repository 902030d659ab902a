import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import logsumexp
from scipy.stats import norm

import mixtura as mx
from mixtura.models import SketchRNN
from mixtura.models.sketch_rnn import padded
from mixtura.models.variational import kl_divergence
from mixtura.systems.sketch.scoring import published_losses, score_drawings

RNG = np.random.default_rng(0)
SPREAD = 4.0


def a_drawing(length):
    drawing = np.column_stack([RNG.integers(-9, 9, size=(length, 2)), RNG.random(length) < 0.3]).astype(float)
    drawing[-1, 2] = 1
    return drawing


DRAWINGS = [a_drawing(length) for length in (3, 19, 6)]


def numpy(x):
    return ops.convert_to_numpy(x)


def parts():
    offset = mx.Affine(mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), 2), 0.0, SPREAD)
    return mx.Joint(offset=offset, pen=mx.Categorical(3))


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["last point ends", "an event ends"],
)
def decoder(request):
    keras.utils.set_random_seed(1)
    return SketchRNN(parts(), (4,), closing=request.param, sees_place=not request.param, seed=0)


@pytest.fixture(scope="module")
def autoencoder():
    keras.utils.set_random_seed(1)
    model = SketchRNN(parts(), (4,), latent_size=2, encoder_units=3, num_classes=2, class_size=2, seed=0)
    # A posterior that tells drawings apart, and is wider than the true one.
    kernel, _ = model.posterior.get_weights()
    model.posterior.set_weights([100 * kernel, np.array([0.4, -0.3, 0.2, 0.1])])
    model.fit_prior(DRAWINGS, [0, 1, 1])
    return model


def nll_of(model, drawing, noise=((),), context=None):
    """Nats of a drawing, event by event: an event that ends it has no offset. Once for each noise."""
    events = model.events(drawing)
    params = numpy(model(events[None].astype("float32"), context=context))[0]
    p = model.family(params)
    is_point = np.ones(len(events)) if not model.closing else 1 - events[:, 4]
    pen = model.family["pen"].log_prob(p["pen"].params, events[:, 2:]).sum()
    found = []
    for one in noise:
        target = events[:, :2] + (one if len(one) else 0)
        offset = model.family["offset"].log_prob(p["offset"].params, target)
        found.append(-pen - (offset * is_point).sum())
    return found if len(noise) > 1 else float(found[0])


def pen_of_the_end(model, drawing):
    events = model.events(drawing)
    params = numpy(model(events[None].astype("float32")))[0]
    return -float(model.family["pen"].log_prob(model.family(params)["pen"].params[-1], events[-1, 2:]))


def test_a_decoder_is_scored_exactly(decoder):
    scores = score_drawings(decoder, DRAWINGS)
    expected = [nll_of(decoder, drawing) for drawing in DRAWINGS]
    np.testing.assert_allclose(scores.nll, expected, rtol=1e-5)
    np.testing.assert_allclose(scores.raw_nll, expected, rtol=1e-5)
    np.testing.assert_allclose([surprise.sum() for surprise in scores.surprise], expected, rtol=1e-5)
    assert scores.counts.tolist() == [3, 19, 6]


def test_scores_are_of_offsets_with_noise(decoder):
    scores = score_drawings(decoder, DRAWINGS, step=(1.0, 1.0), draws=16)
    rng = np.random.default_rng(5)
    for number, drawing in enumerate(DRAWINGS):
        events = decoder.events(drawing)
        each = nll_of(decoder, drawing, rng.uniform(-0.5, 0.5, (40, len(events), 2)))
        error = np.std(each) * (1 / 40 + 1 / 16) ** 0.5
        assert abs(scores.nll[number] - np.mean(each)) < 5 * error
        assert scores.nll[number] != scores.raw_nll[number]
        assert scores.raw_nll[number] == pytest.approx(nll_of(decoder, drawing), rel=1e-5)


def autoencoder_prior(model, label):
    mean, log_variance = (numpy(part) for part in model.prior_of(np.array([label])))
    return mean[0], np.exp(log_variance / 2)


@pytest.mark.slow
def test_the_bound_nears_the_likelihood(autoencoder):
    labels = [0, 1, 1]
    scores = score_drawings(autoencoder, DRAWINGS, labels, samples=1024, seed=3)
    one = score_drawings(autoencoder, DRAWINGS, labels, samples=1, seed=3)
    axis = np.linspace(-6, 6, 49)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    cell = 2 * np.log(axis[1] - axis[0])
    for number, drawing in enumerate(DRAWINGS):
        context = autoencoder.context(z, np.full(len(z), labels[number]))
        events = padded([autoencoder.events(drawing)], time=19)
        repeated = np.repeat(events, len(z), axis=0)
        params = numpy(autoencoder(repeated, context=ops.convert_to_tensor(context)))
        log_p = autoencoder.family.log_prob(params, repeated)[:, : len(drawing)].sum(axis=1)
        centre, scale = autoencoder_prior(autoencoder, labels[number])
        exact = -logsumexp(log_p + norm.logpdf(z, centre, scale).sum(axis=1) + cell)
        assert scores.nll[number] == pytest.approx(exact, abs=0.1)
        assert one.nll[number] > exact - 3


def test_a_score_does_not_depend_on_the_others(autoencoder):
    together = score_drawings(autoencoder, [DRAWINGS[0]] * 3, [0] * 3, samples=64, seed=1)
    assert 0 < np.ptp(together.nll) < 0.5  # each has its own draws


@pytest.mark.slow
def test_published_losses_divide_by_the_longest_and_the_size_of_z(autoencoder, decoder):
    longest = 40
    found = published_losses(decoder, DRAWINGS, longest, floor=0.0)
    points = np.array([len(drawing) for drawing in DRAWINGS])
    exact = np.array([nll_of(decoder, drawing) for drawing in DRAWINGS])
    if decoder.closing:  # the event that ends a drawing is not in the authors' evaluation
        exact -= [pen_of_the_end(decoder, drawing) for drawing in DRAWINGS]
    expected = (exact - 2 * np.log(SPREAD) * points).mean() / longest
    assert found == {"L_R": pytest.approx(expected, rel=1e-5)}
    floored = published_losses(decoder, DRAWINGS, longest, floor=0.5)
    assert floored["L_R"] < found["L_R"]
    with_z = published_losses(autoencoder, DRAWINGS, longest, [0, 1, 1])
    mean, log_variance = (ops.convert_to_tensor(part) for part in autoencoder.encode(DRAWINGS))
    assert with_z["L_KL"] == pytest.approx(numpy(kl_divergence(mean, log_variance)).mean() / 2, rel=1e-5)


def test_padding_repeats_the_end():
    table = padded([DRAWINGS[0], DRAWINGS[2]], rows=3)
    assert table.shape == (3, 8, 3)
    np.testing.assert_array_equal(table[0, 3:], np.repeat(DRAWINGS[0][-1:], 5, axis=0))
    np.testing.assert_array_equal(table[2], table[0])
