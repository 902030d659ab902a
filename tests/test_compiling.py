import keras
import numpy as np
from keras import ops

from mixtura.compiling import compiled


def test_changed_weights_take_effect_without_compiling_again():
    layer = keras.layers.Dense(2, use_bias=False)
    layer.build((None, 3))
    traces = []

    def apply(x):
        traces.append(x)
        return layer(x)

    run, x = compiled(apply, layer), np.ones((1, 3), "float32")
    first = ops.convert_to_numpy(run(x))
    np.testing.assert_allclose(first, ops.convert_to_numpy(layer.kernel).sum(axis=0)[None], rtol=1e-6)
    layer.kernel.assign(2 * layer.kernel)
    np.testing.assert_allclose(ops.convert_to_numpy(run(x)), 2 * first, rtol=1e-6)
    if keras.backend.backend() != "torch":
        assert len(traces) == 1


def test_nothing_is_kept_for_a_gradient():
    layer = keras.layers.Dense(1)
    layer.build((None, 1))
    np.asarray(compiled(layer, layer)(ops.ones((1, 1))))  # PyTorch would refuse what a gradient is kept for
