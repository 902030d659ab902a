import json

import keras
import numpy as np
import pytest
from keras import ops

from mixtura.layers import PiecewiseLinear

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype("float32")


def adapted(x, bins=4, columns=2):
    layer = PiecewiseLinear(bins, columns)
    layer.adapt(x)
    return layer


def by_hand(x, edges):
    """Where NumPy's interpolation lies between the ends of each bin, from -1 to 1."""
    return np.stack([np.interp(x, edges[t : t + 2], [-1, 1]) for t in range(len(edges) - 1)], axis=-1)


def test_places_in_the_bins_are_numpys_interpolation():
    new = np.vstack([X, 3 * RNG.normal(size=(20, 3)).astype("float32")])
    output = ops.convert_to_numpy(adapted(X)(new))
    assert output.shape == (70, 3 + 2 * 4)
    np.testing.assert_array_equal(output[:, :3], new)
    for column in range(2):
        edges = np.quantile(X[:, column].astype(float), [0, 0.25, 0.5, 0.75, 1])
        expected = by_hand(new[:, column], edges)
        np.testing.assert_allclose(output[:, 3 + 4 * column : 7 + 4 * column], expected, atol=1e-5)


def test_it_is_minus_one_below_and_one_above():
    output = ops.convert_to_numpy(adapted(X)(np.array([[-99, -99, 0], [99, 99, 0]], "float32")))
    np.testing.assert_array_equal(output[:, 3:], [[-1] * 8, [1] * 8])


def test_constant_columns_say_nothing():
    x = np.column_stack([np.full(50, 7.0), X[:, 0], X[:, 1]]).astype("float32")
    output = ops.convert_to_numpy(adapted(x)(x + np.array([1.0, 0, 0])))
    np.testing.assert_array_equal(output[:, 3:7], -1)


@pytest.mark.parametrize("values", [[0, 1], [0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [1, 2, 3]], ids=str)
def test_columns_of_few_values_have_fewer_bins(values):
    x = np.repeat(np.array(values, "float32"), 20)[:, None]
    output = ops.convert_to_numpy(adapted(x, bins=8, columns=1)(x))[:, 1:]
    assert np.isfinite(output).all()
    assert np.abs(output).max() <= 1
    edges = np.quantile(x, np.linspace(0, 1, 9))
    for t in range(8):
        if edges[t] == edges[t + 1]:
            np.testing.assert_array_equal(output[:, t], -1)
        else:
            np.testing.assert_allclose(output[:, t], np.interp(x[:, 0], edges[t : t + 2], [-1, 1]), atol=1e-6)
    # Different values stay different.
    assert len(np.unique(output, axis=0)) == len(set(values))


def test_it_saves_its_edges_and_learns_nothing(tmp_path):
    layer = adapted(X)
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    assert layer.trainable_weights == []
    assert [tuple(weight.shape) for weight in layer.weights] == [(2, 4), (2, 4)]
    model.save(tmp_path / "m.keras")
    restored = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(X)) for m in (model, restored)))
    config = json.loads(json.dumps(layer.get_config()))
    assert PiecewiseLinear.from_config(config).get_config() == layer.get_config()


def test_shapes_are_known_beforehand():
    layer = PiecewiseLinear(4, 2)
    assert layer.compute_output_shape((None, 3)) == (None, 11)
    assert layer(keras.KerasTensor((None, 3))).shape == (None, 11)


@pytest.mark.parametrize(("bins", "columns"), [(0, 1), (1, 0), (1.5, 1), (True, 1)])
def test_sizes_are_positive_integers(bins, columns):
    with pytest.raises(ValueError, match="must be a positive integer; received"):
        PiecewiseLinear(bins, columns)
