import json

import keras
import numpy as np
import pytest
from keras import ops

from mixtura.layers import PatchConv2D, TransposedConv2D

RNG = np.random.default_rng(0)
LAYERS = {
    PatchConv2D: keras.layers.Conv2D,
    TransposedConv2D: keras.layers.Conv2DTranspose,
}
# kernel, strides, and height and width of the input
CASES = [
    (4, 2, (10, 10)),
    (5, 2, (9, 12)),
    (6, 2, (7, 6)),
    (4, 4, (8, 12)),
    (3, 1, (5, 4)),
    (1, 1, (2, 3)),
    (2, 3, (9, 8)),  # the stride leaves gaps
    ((5, 2), (2, 3), (9, 11)),
    (4, 2, (4, 5)),  # one patch
]


def images(height, width):
    return RNG.normal(size=(2, height, width, 3)).astype("float32")


def pair(kind, *arguments, x, **settings):
    """Return a layer, and Keras' with the same weights."""
    ours, theirs = kind(*arguments, **settings), LAYERS[kind](*arguments, **settings)
    for layer in (ours, theirs):
        layer.build(x.shape)
    weights = [RNG.normal(size=weight.shape) for weight in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def by_hand(layer, x):
    """Return the sums of the formulas, one patch after the other."""
    kernel, bias = (ops.convert_to_numpy(weight).astype("float64") for weight in layer.weights)
    (height, width), (s, t) = kernel.shape[:2], layer.strides
    shape = layer.compute_output_shape(x.shape)
    y = np.zeros(shape) + bias
    if isinstance(layer, keras.layers.Conv2D):
        for i, j in np.ndindex(*shape[1:3]):
            patch = x[:, s * i : s * i + height, t * j : t * j + width]
            y[:, i, j] += np.einsum("nuvc,uvco->no", patch, kernel)
    else:
        for i, j in np.ndindex(*x.shape[1:3]):
            patch = np.einsum("nc,uvoc->nuvo", x[:, i, j], kernel)
            y[:, s * i : s * i + height, t * j : t * j + width] += patch
    return y


@pytest.mark.parametrize(("kernel", "strides", "size"), CASES)
@pytest.mark.parametrize("kind", LAYERS)
def test_it_is_the_convolution_of_the_formula_and_of_keras(kind, kernel, strides, size):
    x = images(*size)
    ours, theirs = pair(kind, 4, kernel, strides, x=x)
    found = ops.convert_to_numpy(ours(x))
    assert found.shape == tuple(ours.compute_output_shape(x.shape))
    np.testing.assert_allclose(found, by_hand(ours, x), atol=1e-5)
    np.testing.assert_allclose(found, ops.convert_to_numpy(theirs(x)), atol=1e-5)


@pytest.mark.parametrize(("kernel", "strides", "size"), [CASES[0], CASES[3], CASES[7]])
@pytest.mark.parametrize("kind", LAYERS)
def test_derivatives_are_those_of_keras(kind, kernel, strides, size, gradient):
    x = images(*size)
    ours, theirs = pair(kind, 2, kernel, strides, x=x, activation="tanh")
    kernel = ops.convert_to_numpy(ours.kernel).reshape(1, -1)

    def of_x(layer):
        return lambda x: ops.sum(layer(x), axis=(1, 2, 3))

    def of_kernel(layer):
        def total(kernel):
            with keras.StatelessScope([(layer.weights[0], ops.reshape(kernel, layer.kernel.shape))]):
                return ops.reshape(ops.sum(ops.square(layer(ops.convert_to_tensor(x)))), (1,))

        return total

    for function, at in ((of_x, x), (of_kernel, kernel)):
        for found, expected in zip(gradient(function(ours), at), gradient(function(theirs), at), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
def test_other_dtypes_stay(kind):
    layer = kind(2, 4, 2, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(layer(images(6, 6)).dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(layer.kernel.dtype) == "float32"


@pytest.mark.parametrize("kind", LAYERS)
def test_no_bias(kind):
    x = images(6, 6)
    ours, theirs = pair(kind, 2, 4, 2, x=x, use_bias=False)
    np.testing.assert_allclose(ops.convert_to_numpy(ours(x)), ops.convert_to_numpy(theirs(x)), atol=1e-5)


def test_it_is_saved_with_the_model(tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), PatchConv2D(4, 4, 2, "relu"), TransposedConv2D(3, (4, 2), 2, "sigmoid")]
    )
    x = images(8, 8)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    for layer, other in zip(model.layers, loaded.layers, strict=True):
        assert type(layer) is type(other)
        assert json.dumps(layer.get_config()) == json.dumps(other.get_config())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"padding": "same"}, "padding of (Patch|Transposed)Conv2D must be 'valid'; received 'same'"),
        ({"dilation_rate": 2}, r"dilation_rate .* must be \(1, 1\); received \(2, 2\)"),
        ({"data_format": "channels_first"}, "data_format .* must be 'channels_last'"),
    ],
)
@pytest.mark.parametrize("kind", LAYERS)
def test_other_convolutions_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(2, 3, **settings)


def test_what_only_one_of_them_has_is_refused():
    with pytest.raises(ValueError, match="groups of PatchConv2D must be 1; received 2"):
        PatchConv2D(2, 3, groups=2)
    with pytest.raises(
        ValueError, match=r"output_padding of TransposedConv2D must be None; received \(1, 1\)"
    ):
        TransposedConv2D(2, 3, 2, output_padding=1)


@pytest.mark.parametrize("shape", [(None, None, 8, 3), (None, 8, None, 3), (None, 8, 8, None), (None, 8, 8)])
@pytest.mark.parametrize("kind", LAYERS)
def test_the_size_must_be_known(kind, shape):
    with pytest.raises(ValueError, match=r"images .* of known size; received the shape"):
        kind(2, 3).build(shape)


def test_a_kernel_must_fit():
    with pytest.raises(ValueError, match="negative"):
        PatchConv2D(2, 4).build((None, 3, 8, 3))
