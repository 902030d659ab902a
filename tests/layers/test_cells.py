import json

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit as sigmoid

from mixtura.layers import GRUCell, LSTMCell
from mixtura.layers.cells import product

RNG = np.random.default_rng(0)
UNITS, FEATURES, BATCH = 4, 3, 5
X, H, C = (RNG.normal(size=(BATCH, n)).astype("float32") for n in (FEATURES, UNITS, UNITS))
KEEP = np.where(RNG.uniform(size=(BATCH, UNITS)) < 0.5, 2.0, 0.0).astype("float32")
VARIANTS = {
    "plain": {},
    "peephole": {"peephole": True},
    "layer_norm": {"layer_norm": True},
    "both": {"peephole": True, "layer_norm": True},
}


def numpy(x):
    return ops.convert_to_numpy(x)


def randomised(cell):
    """Give a cell weights of which none is zero or one; return them by name."""
    if not cell.built:
        cell.build((None, FEATURES))
    rng = np.random.default_rng(1)
    for weight in cell.weights:
        weight.assign(rng.normal(size=weight.shape))
    return {weight.name: numpy(weight).astype("float64") for weight in cell.weights}


def stepped(cell, states, keep=None):
    """Return the output and the states after one step."""
    keep = None if keep is None else ops.convert_to_tensor(keep)
    output, states = cell(ops.convert_to_tensor(X), [ops.convert_to_tensor(s) for s in states], keep=keep)
    return numpy(output), [numpy(state) for state in states]


def normalised(a):
    return (a - a.mean(axis=-1, keepdims=True)) / np.sqrt(a.var(axis=-1, keepdims=True) + 1e-3)


def lstm_by_hand(w, keep=1.0):
    """Return h and c after one step: Graves 2013, equations 7 to 11; Ba et al. 2016, section 3.1."""
    i, f, g, o = (slice(n * UNITS, (n + 1) * UNITS) for n in range(4))
    peep_i, peep_f, peep_o = w.get("peepholes", np.zeros((3, UNITS)))

    def gate(at):
        a = X @ w["kernel"][:, at] + H @ w["recurrent_kernel"][:, at]
        return (normalised(a) * w["gain"][at] if "gain" in w else a) + w["bias"][at]

    c = sigmoid(gate(f) + peep_f * C) * C + sigmoid(gate(i) + peep_i * C) * (np.tanh(gate(g)) * keep)
    shown = normalised(c) * w["cell_gain"] + w["cell_bias"] if "gain" in w else c
    return sigmoid(gate(o) + peep_o * c) * np.tanh(shown), c


def gru_by_hand(w, keep=1.0):
    """Return h after one step: Cho et al. 2014, the reset gate after the product."""
    z, r, g = (slice(n * UNITS, (n + 1) * UNITS) for n in range(3))
    x, h = X @ w["kernel"] + w["bias"][0], H @ w["recurrent_kernel"] + w["bias"][1]
    update = sigmoid(x[:, z] + h[:, z])
    candidate = np.tanh(x[:, g] + sigmoid(x[:, r] + h[:, r]) * h[:, g])
    return update * H + (1 - update) * candidate * keep


@pytest.mark.parametrize("keep", [None, KEEP], ids=["", "dropout"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_lstm_is_what_the_equations_say(variant, keep):
    cell = LSTMCell(UNITS, **VARIANTS[variant])
    h, c = lstm_by_hand(randomised(cell), 1.0 if keep is None else keep)
    output, states = stepped(cell, [H, C], keep)
    np.testing.assert_allclose(output, h, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(states[0], output)
    np.testing.assert_allclose(states[1], c, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("keep", [None, KEEP], ids=["", "dropout"])
def test_a_gru_is_what_the_equations_say(keep):
    cell = GRUCell(UNITS)
    h = gru_by_hand(randomised(cell), 1.0 if keep is None else keep)
    output, [state] = stepped(cell, [H], keep)
    np.testing.assert_allclose(output, h, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(state, output)


@pytest.mark.parametrize(
    ("cell", "keras_cell", "states"),
    [
        (LSTMCell(UNITS), keras.layers.LSTMCell(UNITS), [H, C]),
        (GRUCell(UNITS), keras.layers.GRUCell(UNITS, reset_after=True), [H]),
    ],
    ids=["lstm", "gru"],
)
def test_weights_are_laid_out_as_keras_does(cell, keras_cell, states):
    cell.build((None, FEATURES))
    keras_cell.build((None, FEATURES))
    named = {weight.name: weight for weight in keras_cell.weights}
    for weight in cell.weights:
        assert weight.shape == named[weight.name].shape
    np.testing.assert_array_equal(numpy(cell.bias), numpy(keras_cell.bias))  # as they begin
    weights = randomised(cell)
    for name, weight in named.items():
        weight.assign(weights[name])
    output, after = stepped(cell, states)
    expected, expected_after = keras_cell(
        ops.convert_to_tensor(X), [ops.convert_to_tensor(state) for state in states]
    )
    np.testing.assert_allclose(output, numpy(expected), rtol=1e-5, atol=1e-6)
    for state, other in zip(after, expected_after, strict=True):
        np.testing.assert_allclose(state, numpy(other), rtol=1e-5, atol=1e-6)


def test_a_new_cell_with_peepholes_is_one_without():
    plain, peephole = LSTMCell(UNITS), LSTMCell(UNITS, peephole=True)
    for cell in (plain, peephole):
        cell.build((None, FEATURES))
    peephole.set_weights([*plain.get_weights(), numpy(peephole.peepholes)])
    np.testing.assert_array_equal(stepped(peephole, [H, C])[0], stepped(plain, [H, C])[0])


def test_what_is_dropped_is_new_and_what_is_remembered_stays():
    """With every candidate dropped, c' is f c: a factor between 0 and 1 of what there was."""
    cell = LSTMCell(UNITS)
    randomised(cell)
    _, [_, c] = stepped(cell, [H, C], np.zeros_like(KEEP))
    assert ((c / C > 0) & (c / C < 1)).all()


def test_constant_sums_are_normalised_to_zero(gradient):
    """Their variance is zero: the result is the bias, and gradients stay finite."""
    cell = LSTMCell(UNITS, layer_norm=True)
    cell.build((None, FEATURES))
    cell.kernel.assign(np.ones(cell.kernel.shape))
    states = [ops.zeros((BATCH, UNITS))] * 2
    values, slope = gradient(lambda x: ops.sum(cell(x, states)[0], axis=-1), X)
    np.testing.assert_allclose(values, 0, atol=1e-5)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("cell", [LSTMCell(UNITS, **VARIANTS["both"]), GRUCell(UNITS)], ids=["lstm", "gru"])
def test_the_gradient_is_the_slope(cell, gradient):
    randomised(cell)
    states = [ops.convert_to_tensor(state) for state in (H, C)[: cell.num_states]]

    def f(x):
        output, states_ = cell(x, states)
        return ops.sum(output + states_[-1], axis=-1)

    values, slope = gradient(f, X)
    step = 1e-2 * RNG.normal(size=X.shape).astype("float32")
    ahead, behind = (numpy(f(ops.convert_to_tensor(X + sign * step))) for sign in (1, -1))
    np.testing.assert_allclose((slope * step).sum(axis=-1), (ahead - behind) / 2, rtol=2e-2, atol=1e-4)
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    "cell", [LSTMCell(UNITS, **VARIANTS["both"]), GRUCell(UNITS, name="mine")], ids=["lstm", "gru"]
)
def test_every_argument_survives(cell):
    restored = type(cell).from_config(json.loads(json.dumps(cell.get_config())))
    assert restored.get_config() == cell.get_config()
    assert restored.name == cell.name
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert restored.get_config() == cell.get_config()


@pytest.mark.parametrize("units", [0, -1, 1.5, True, "4"])
@pytest.mark.parametrize("cell", [LSTMCell, GRUCell])
def test_other_units_are_refused(cell, units):
    with pytest.raises(ValueError, match=f"units must be a positive integer; received {units!r}"):
        cell(units)


@pytest.mark.parametrize("cell", [LSTMCell(3), GRUCell(3)])
def test_keras_runs_a_cell_alone(cell):
    x = np.random.default_rng(0).normal(size=(2, 4, 1)).astype("float32")
    whole = ops.convert_to_numpy(keras.layers.RNN(cell, return_sequences=True)(x))
    states = [ops.zeros((2, 3))] * cell.num_states
    for t in range(4):
        h, states = cell(ops.convert_to_tensor(x[:, t]), states)
        np.testing.assert_allclose(whole[:, t], ops.convert_to_numpy(h), atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="products of bfloat16 are for JAX")
def test_a_product_with_bfloat16_rounds_both_and_sums_in_float32():
    def rounded(a):
        """To 8 bits, half to even."""
        bits = a.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)

    kernel = RNG.normal(size=(FEATURES, UNITS)).astype("float32")
    found = product(ops.convert_to_tensor(X), ops.cast(kernel, "bfloat16"))
    assert found.dtype == "float32"
    expected = rounded(X).astype(float) @ rounded(kernel).astype(float)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected - X @ kernel).max() > 1e-3
    both = product(ops.cast(X, "bfloat16"), ops.cast(kernel, "bfloat16"))
    assert keras.backend.standardize_dtype(both.dtype) == "bfloat16"  # a network of that dtype keeps it
