import keras
import numpy as np
import pytest
from keras import ops

import mixtura as mx
from mixtura.models import SketchRNN
from mixtura.models.sketch_rnn import opened, padded

RNG = np.random.default_rng(0)


def parts(components, scale=1.0):
    offset = mx.Affine(mx.Mixture(mx.Normal(2, "bivariate", scale="exp"), components), 0.0, scale)
    return mx.Joint(offset=offset, pen=mx.Categorical(3))


def a_drawing(length):
    drawing = np.column_stack([RNG.normal(size=(length, 2)), RNG.random(length) < 0.3]).astype(float)
    drawing[-1, 2] = 1
    return drawing


DRAWINGS = [a_drawing(length) for length in (3, 9, 5)]


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["last point ends", "an event ends"],
)
def model(request):
    keras.utils.set_random_seed(1)
    return SketchRNN(
        parts(2),
        (4,),
        latent_size=3,
        encoder_units=4,
        num_classes=2,
        class_size=2,
        closing=request.param,
        sees_place=True,
        recurrent_dropout=0.1,
        seed=0,
    )


@pytest.mark.parametrize(
    ("units", "components", "latent_size", "count"),
    [((256, 256), 24, 0, 831_379), ((512,), 20, 0, 1_123_963), ((512,), 20, 128, 2_186_107)],
    ids=["Ha 2015", "the decoder of 2017", "Ha & Eck 2017"],
)
def test_weights_are_as_many_as_published(units, components, latent_size, count):
    assert SketchRNN(parts(components), units, latent_size=latent_size).count_params() == count


def test_step_agrees_with_call(model):
    context = model.context(RNG.normal(size=(2, 3)), [0, 1])
    events = padded([model.events(DRAWINGS[0]), model.events(DRAWINGS[1])])
    params = numpy(model(events, context=ops.convert_to_tensor(context)))
    state = model.initial_state(2, context)
    event = ops.broadcast_to(model.start_event(), (2, 5))
    for t in range(events.shape[1]):
        row, state = model.step(model.embed(event, context=context), state, context)
        np.testing.assert_allclose(numpy(row), params[:, t], atol=1e-5)
        event = ops.convert_to_tensor(events[:, t])


def test_the_state_begins_where_the_context_says(model):
    z = RNG.normal(size=(1, 3)).astype("float32")
    context = model.context(z, [1])
    kernel, bias = (numpy(v) for v in (model.begin.kernel, model.begin.bias))
    vector = numpy(model.classes.embeddings)[1]
    expected = np.tanh(np.concatenate([z[0], vector]) @ kernel + bias)
    *_, h, c = model.initial_state(1, context)
    np.testing.assert_allclose(np.concatenate([numpy(h)[0], numpy(c)[0]]), expected, atol=1e-6)


@pytest.mark.slow
def test_what_follows_the_end_is_not_read(model):
    mean, log_variance = model.encode(DRAWINGS)
    for row, drawing in enumerate(DRAWINGS):
        alone = model.encode([drawing])
        np.testing.assert_allclose([alone[0][0], alone[1][0]], [mean[row], log_variance[row]], atol=1e-6)
    events = padded([model.events(DRAWINGS[0])], time=8)
    other = events.copy()
    other[:, len(model.events(DRAWINGS[0])) :] = 5.0
    np.testing.assert_array_equal(
        *(numpy(model.posterior_of(ops.convert_to_tensor(x))[0]) for x in (events, other))
    )


@pytest.mark.slow
def test_both_ways_to_end_say_the_same_to_the_encoder():
    keras.utils.set_random_seed(1)
    models = [
        SketchRNN(parts(1), (2,), latent_size=2, encoder_units=3, closing=c, seed=0) for c in (False, True)
    ]
    models[1].set_weights(models[0].get_weights())
    # All points but the last are read alike; that one's pen is "end" or "lift".
    first, second = (
        numpy(m.posterior_of(ops.convert_to_tensor(padded([m.events(DRAWINGS[1])])))[0]) for m in models
    )
    for model in models:  # without a say of the pen both read the same points
        for reader in model.readers:
            kernel = numpy(reader.cell.cells[0].kernel)
            kernel[2:] = 0
            reader.cell.cells[0].kernel.assign(kernel)
    same = [numpy(m.posterior_of(ops.convert_to_tensor(padded([m.events(DRAWINGS[1])])))[0]) for m in models]
    np.testing.assert_allclose(*same, atol=1e-6)
    assert np.abs(first - second).max() > 0


def test_drawings_begin_as_told_and_end_by_themselves(model):
    context = model.context(RNG.normal(size=(4, 3)), [0, 1, 0, 1])
    begun = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 1.0], [0.0, 3.0, 0.0]])
    drawn = model.draw(longest=12, context=context, begun=begun, seed=3, temperature=0.5)
    assert len(drawn) == 4
    for drawing in drawn:
        assert 3 <= len(drawing) <= 12
        assert drawing[-1, 2] == 1
        assert set(drawing[:, 2]) <= {0.0, 1.0}
        np.testing.assert_allclose(drawing[:3, :2], begun[:, :2], atol=1e-6)
        np.testing.assert_array_equal(drawing[:2, 2], begun[:2, 2])
    again = model.draw(longest=12, context=context, begun=begun, seed=3, temperature=0.5)
    assert all(np.array_equal(*pair) for pair in zip(drawn, again, strict=True))


def test_a_drawing_that_ends_at_once_is_a_dot(model):
    ended = np.array([[3.0, 4.0, 0.0, 0.0, 1.0], [9.0, 9.0, 1.0, 0.0, 0.0]])
    expected = [[0.0, 0.0, 1.0]] if model.closing else [[3.0, 4.0, 1.0]]
    np.testing.assert_array_equal(model.drawing(ended), expected)


def test_a_begun_drawing_does_not_end():
    assert opened(DRAWINGS[0])[:, 4].sum() == 0
    assert opened(DRAWINGS[0])[-1, 3] == 1


def test_wrong_arguments_are_named(model):
    with pytest.raises(ValueError, match="labels must be given"):
        model.context(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="labels must be below 2"):
        model.context(np.zeros((1, 3)), [2])
    with pytest.raises(ValueError, match="context must be of size 5"):
        model(padded([model.events(DRAWINGS[0])]))
    with pytest.raises(ValueError, match=r"events must be \(dx, dy, draw, lift, end\)"):
        SketchRNN(mx.Normal(2))
    with pytest.raises(ValueError, match="both be given or neither"):
        SketchRNN(parts(1), (2,), num_classes=3)
    decoder = SketchRNN(parts(1), (2,))
    with pytest.raises(ValueError, match="no latent vector"):
        decoder.encode(DRAWINGS)
    with pytest.raises(ValueError, match="latent must not be given"):
        decoder.context(np.zeros((1, 3)))


def test_a_saved_model_is_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    other = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(other.encode(DRAWINGS), model.encode(DRAWINGS), atol=1e-6)
    assert other.get_config() == model.get_config()


def test_each_class_has_the_prior_of_its_drawings():
    keras.utils.set_random_seed(1)
    settings = {"latent_size": 3, "encoder_units": 4, "num_classes": 4, "class_size": 2, "seed": 0}
    model = SketchRNN(parts(1), (2,), **settings)
    kernel, bias = model.posterior.get_weights()
    model.posterior.set_weights([500 * kernel, bias])
    found, labels = [a_drawing(length) for length in (3, 4, 5) * 20], np.tile([0, 1, 2], 20)
    np.testing.assert_array_equal(numpy(model.prior_of(np.array([3]))[0]), 0)
    model.fit_prior(found, labels)
    means, log_variances = model.encode(found)
    centre, log_variance = (numpy(part) for part in model.prior_of(np.arange(4)))
    own = np.array([means[labels == c].mean(axis=0) for c in range(3)])
    within = np.mean([means[labels == c].var(axis=0, ddof=1) for c in range(3)], axis=0)
    np.testing.assert_allclose(np.exp(log_variance), within + np.exp(log_variances).mean(axis=0), rtol=1e-4)
    # Between the mean of the class and that of all; a class without drawings has that of all.
    share = (centre[:3] - means.mean(axis=0)) / (own - means.mean(axis=0))
    assert ((share > 0) & (share < 1)).all()
    np.testing.assert_allclose(centre[3], means.mean(axis=0), atol=1e-5)
    # What is drawn is of that prior; at a temperature of 0 it is its middle.
    drawn = model.draw_latent(20_000, np.ones(20_000, int), seed=0)
    np.testing.assert_allclose(drawn.mean(axis=0), centre[1], atol=0.05)
    np.testing.assert_allclose(drawn.var(axis=0), np.exp(log_variance), rtol=0.05)
    np.testing.assert_allclose(model.draw_latent(2, [1, 1], seed=0, temperature=0.0), centre[[1, 1]])


def test_a_kept_program_reads_the_weights_as_they_are():
    keras.utils.set_random_seed(1)
    model = SketchRNN(parts(1), (2,), latent_size=2, encoder_units=3, seed=0)
    before, _ = model.encode(DRAWINGS)
    kernel, bias = model.posterior.get_weights()
    model.posterior.set_weights([kernel, bias + 1])
    after, _ = model.encode(DRAWINGS)
    np.testing.assert_allclose(after, before + 1, atol=1e-6)
