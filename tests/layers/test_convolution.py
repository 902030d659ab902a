import json

import keras
import numpy as np
import pytest
from keras import ops

from mixtura.layers import PatchConv2D, TransposedConv2D

RNG = np.random.default_rng(0)
LAYERS = {PatchConv2D: keras.layers.Conv2D, TransposedConv2D: keras.layers.Conv2DTranspose}
# kernel, strides, and height and width of the input
CASES = [
    (4, 2, (10, 10)),
    (4, 4, (8, 12)),
    (2, 3, (9, 8)),  # the stride leaves gaps
    ((5, 2), (2, 3), (9, 11)),
    (5, 2, (5, 5)),  # one patch
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


@pytest.mark.parametrize(("kernel", "strides", "size"), CASES)
@pytest.mark.parametrize("kind", LAYERS)
def test_it_is_the_layer_of_keras(kind, kernel, strides, size, compiled):
    x = images(*size)
    ours, theirs = pair(kind, 4, kernel, strides, x=x)
    found = compiled(ours, x)
    assert found.shape == tuple(ours.compute_output_shape(x.shape))
    np.testing.assert_allclose(found, compiled(theirs, x), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": "same", "strides": 2},
        {"dilation_rate": 2},
        {"use_bias": False},
        {"groups": 3, "filters": 6},
        {"output_padding": 1, "strides": 2},
    ],
    ids=lambda settings: next(iter(settings)),
)
@pytest.mark.parametrize("kind", LAYERS)
def test_every_argument_is_that_of_keras(kind, settings, compiled):
    if ("groups" in settings and kind is TransposedConv2D) or (
        "output_padding" in settings and kind is PatchConv2D
    ):
        pytest.skip("the layer has no such argument")
    x = images(8, 8)
    ours, theirs = pair(kind, **{"filters": 4, "kernel_size": 3, "activation": "tanh", **settings}, x=x)
    np.testing.assert_allclose(compiled(ours, x), compiled(theirs, x), atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_derivatives_are_those_of_keras(kind, gradient):
    x = images(7, 6)
    ours, theirs = pair(kind, 2, (5, 2), (2, 3), x=x, activation="tanh")
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
def test_images_of_any_size_are_taken(kind):
    layer = kind(2, 3, 2)
    output = layer(keras.Input((None, None, 3)))
    assert output.shape == (None, None, None, 2)
    assert tuple(layer(images(6, 8)).shape) == tuple(layer.compute_output_shape((2, 6, 8, 3)))


@pytest.mark.parametrize("kind", LAYERS)
def test_other_dtypes_stay(kind):
    layer = kind(2, 4, 2, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(layer(images(6, 6)).dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(layer.kernel.dtype) == "float32"


def test_it_is_saved_with_the_model(tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), PatchConv2D(4, 4, 2, activation="relu"), TransposedConv2D(3, (4, 2), 2)]
    )
    x = images(8, 8)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    for layer, other in zip(model.layers, loaded.layers, strict=True):
        assert type(layer) is type(other)
        assert json.dumps(layer.get_config()) == json.dumps(other.get_config())


@pytest.mark.parametrize("kind", LAYERS)
def test_errors_are_those_of_keras(kind):
    with pytest.raises(ValueError, match="`filters`"):
        kind(0, 3)
    with pytest.raises(ValueError, match="kernel_size"):
        kind(2, "3")
    with pytest.raises(ValueError, match="incompatible with the layer"):
        kind(2, 3)(np.zeros((4, 4, 3), "float32"))


def test_a_kernel_must_fit():
    with pytest.raises(ValueError, match="negative"):
        PatchConv2D(2, 4)(images(3, 8))
