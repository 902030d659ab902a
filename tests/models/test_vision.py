"""V against NumPy: its posterior and frames layer by layer, and its loss."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from mixtura.compiling import compiled
from mixtura.models import ConvVAE
from mixtura.models.vision import DECODER, ENCODER

SMALL = {
    "shape": (16, 16, 3),
    "latent_size": 3,
    "encoder": ((4, 4, 2), (5, 3, 2)),
    "decoder": ((4, 2, 2), (3, 4, 4)),
    "start": (2, 2, 5),
}
NAMES = ("mean", "log_variance")
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.fixture(scope="module")
def vision():
    return ConvVAE(**SMALL, seed=1)


def params(size, latent, encoder, decoder, start):
    """Count weights: kernels and biases of convolutions and of the three dense layers."""
    count, channels = 0, 3
    for filters, kernel, stride in encoder:
        count += (kernel * kernel * channels + 1) * filters
        size, channels = (size - kernel) // stride + 1, filters
    count += 2 * (size * size * channels + 1) * latent + (latent + 1) * math.prod(start)
    channels = start[-1]
    for filters, kernel, _ in decoder:
        count += (kernel * kernel * channels + 1) * filters
        channels = filters
    return count


def test_published_sizes(vision):
    """Appendix A.1 of Ha & Schmidhuber (2018): 4 348 547 for the car, 4 446 915 for Doom."""
    counts = [params(64, latent, ENCODER, DECODER, (1, 1, 1024)) for latent in (32, 64)]
    assert counts == [4_348_547, 4_446_915]
    small = [SMALL[name] for name in ("latent_size", "encoder", "decoder", "start")]
    assert vision.count_params() == params(16, *small)


@pytest.mark.slow
def test_the_published_network_has_so_many():
    assert ConvVAE(latent_size=64).count_params() == 4_446_915
    assert ConvVAE().decode(np.zeros((1, 32))).shape == (1, 64, 64, 3)


def convolved(x, layer, stride):
    kernel, bias = map(numpy, layer.weights)
    size = kernel.shape[0]
    height, width = ((one - size) // stride + 1 for one in x.shape[1:3])
    y = np.zeros((len(x), height, width, kernel.shape[-1])) + bias
    for i, j in np.ndindex(height, width):
        patch = x[:, stride * i : stride * i + size, stride * j : stride * j + size]
        y[:, i, j] += np.einsum("nuvc,uvco->no", patch, kernel)
    return y


def painted(x, layer, stride):
    kernel, bias = map(numpy, layer.weights)
    size = kernel.shape[0]
    height, width = (stride * (one - 1) + size for one in x.shape[1:3])
    y = np.zeros((len(x), height, width, kernel.shape[2])) + bias
    for i, j in np.ndindex(*x.shape[1:3]):
        patch = np.einsum("nc,uvoc->nuvo", x[:, i, j], kernel)
        y[:, stride * i : stride * i + size, stride * j : stride * j + size] += patch
    return y


def by_hand(vision, frames):
    """Return mean, log variance and the frames of the mean."""
    layers = {layer.name: layer for layer in vision.layers}
    x = frames / 255.0
    for number, (_, _, stride) in enumerate(vision.encoder, 1):
        x = np.maximum(convolved(x, layers[f"conv{number}"], stride), 0)
    x = x.reshape(len(x), -1)
    heads = [map(numpy, layers[name].weights) for name in NAMES]
    mean, log_variance = (x @ kernel + bias for kernel, bias in heads)
    kernel, bias = map(numpy, layers["grid"].weights)
    x = (mean @ kernel + bias).reshape(-1, *vision.start)
    for number, (_, _, stride) in enumerate(vision.decoder, 1):
        x = painted(x, layers[f"deconv{number}"], stride)
        x = np.maximum(x, 0) if number < len(vision.decoder) else 1 / (1 + np.exp(-x))
    return mean, log_variance, x


def test_it_is_the_network_of_the_article(vision):
    mean, log_variance, made = by_hand(vision, FRAMES)
    found = vision.encode(FRAMES)
    np.testing.assert_allclose(found[0], mean, atol=1e-5)
    np.testing.assert_allclose(found[1], log_variance, atol=1e-5)
    np.testing.assert_array_less(np.abs(vision.decode(mean) - 255.0 * made), 0.51)


def test_batches_do_not_matter(vision):
    """One frame, and more than a batch, whose last is filled up."""
    whole = vision.encode(FRAMES)
    for one, part in zip(whole, vision.encode(FRAMES, batch_size=4), strict=True):
        assert part.dtype == np.float32
        np.testing.assert_allclose(part, one, atol=1e-6)
    np.testing.assert_allclose(vision.encode(FRAMES[:1])[0], whole[0][:1], atol=1e-6)
    made = vision.decode(whole[0])
    assert (made.shape, made.dtype) == (FRAMES.shape, np.uint8)
    np.testing.assert_array_equal(vision.decode(whole[0], batch_size=4), made)


def loss(vision, made, training, weight=1.0):
    mean, log_variance = (made[name].astype("float64") for name in NAMES)
    error = (weight * (FRAMES / 255.0 - made["frames"]) ** 2).sum(axis=(1, 2, 3))
    kl = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1)
    if training:
        kl = np.maximum(kl, vision.free_bits * vision.latent_size)
    return (error + kl).mean(), kl


def made_up():
    made = {"frames": RNG.random(FRAMES.shape), **{name: RNG.normal(size=(6, 3)) for name in NAMES}}
    return {name: value.astype("float32") for name, value in made.items()}


def tensors(arrays):
    return {name: ops.convert_to_tensor(value) for name, value in arrays.items()}


def test_the_loss_is_the_error_and_the_divergence_above_its_floor(vision):
    made, x = made_up(), ops.convert_to_tensor(FRAMES)
    for training in (True, False):
        expected, kl = loss(vision, made, training)
        found = vision.compute_loss(x, y_pred=tensors(made), training=training)
        np.testing.assert_allclose(float(numpy(found)), expected, rtol=1e-5)
    assert (kl < 1.5).any()  # where the floor acts
    assert (kl > 1.5).any()


def test_emphasis_weighs_what_is_unusual():
    vision = ConvVAE(**SMALL, emphasis=2.0)
    past = RNG.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    past[:, 0] = 7  # always the same
    vision.adapt(past)
    usual, spread = past.mean(axis=0) / 255, np.maximum((past / 255).std(axis=0), 0.02)
    weight = 1 + 2 * np.minimum(((FRAMES / 255 - usual) / spread) ** 2, 10)
    assert weight.max() == 21
    made = made_up()
    expected, _ = loss(vision, made, True, weight)
    found = vision.compute_loss(ops.convert_to_tensor(FRAMES), y_pred=tensors(made))
    np.testing.assert_allclose(float(numpy(found)), expected, rtol=1e-5)


def test_z_is_drawn_in_training_alone(vision):
    drawn = compiled(lambda x: vision(x, training=True), vision)(FRAMES)
    mean, _ = vision.encode(FRAMES)
    np.testing.assert_allclose(numpy(drawn["mean"]), mean, atol=1e-6)
    still = vision.decode(mean) / 255.0
    assert np.abs(numpy(drawn["frames"]) - still).max() > 0.02
    calm = compiled(lambda x: vision(x), vision)(FRAMES)
    np.testing.assert_allclose(numpy(calm["frames"]), still, atol=0.003)


def test_it_learns_and_is_kept(tmp_path):
    vision = ConvVAE(**SMALL, emphasis=0.5, seed=2)
    frames = np.zeros_like(FRAMES) + np.uint8(40 * np.arange(6))[:, None, None, None]
    vision.adapt(FRAMES)
    vision.compile(keras.optimizers.Adam(1e-2))
    history = vision.fit(frames, epochs=20, batch_size=6, verbose=0).history["loss"]
    assert history[-1] < 0.9 * history[0]
    vision.save(tmp_path / "v.keras")
    again = keras.models.load_model(tmp_path / "v.keras", compile=False)
    assert again.get_config() == vision.get_config()
    for one, other in zip(vision.weights, again.weights, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))
    np.testing.assert_array_equal(again.encode(frames)[0], vision.encode(frames)[0])


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"latent_size": 0}, "latent_size must be a positive integer"),
        ({"encoder": ()}, r"encoder must list \(filters, kernel, stride\)"),
        ({"decoder": ((3, 4),)}, r"decoder must list \(filters, kernel, stride\)"),
        ({"encoder": ((4, 0, 2),)}, "encoder must be a positive integer"),
        ({"decoder": ((3, 4, 2),)}, r"frames of shape \(16, 16, 3\); it makes \(6, 6, 3\)"),
        ({"decoder": ((4, 2, 2), (1, 4, 4))}, r"it makes \(16, 16, 1\)"),
    ],
)
def test_what_leads_to_no_frame_is_refused(changes, shown):
    with pytest.raises(ValueError, match=shown):
        ConvVAE(**{**SMALL, **changes})
