import json

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import expit as sigmoid

from mixtura.compiling import compiled
from mixtura.layers import HyperLSTMCell, RecurrentStack

RNG = np.random.default_rng(0)
UNITS, FEATURES, BATCH, HYPER, SIZE = 4, 3, 5, 3, 2
X = RNG.normal(size=(BATCH, FEATURES)).astype("float32")
STATES = [RNG.normal(size=(BATCH, n)).astype("float32") for n in (UNITS, UNITS, HYPER, HYPER)]
KEEP = np.where(RNG.uniform(size=(BATCH, UNITS)) < 0.5, 2.0, 0.0).astype("float32")
VARIANTS = {"plain": {"layer_norm": False}, "normalised": {}, "peephole": {"peephole": True}}
GATES = "ifgo"


def numpy(x):
    return ops.convert_to_numpy(x)


def cell_of(**settings):
    """Return a built cell."""
    cell = HyperLSTMCell(UNITS, HYPER, SIZE, **settings)
    cell.build((None, FEATURES))
    return cell


def randomised(cell):
    """Give a cell weights of which none is zero or one; return them by name, the smaller LSTM's apart."""
    rng = np.random.default_rng(1)
    for weight in cell.weights:
        weight.assign(rng.normal(size=weight.shape))
    inner = {weight.name: numpy(weight).astype(float) for weight in cell.hyper.weights}
    own = {weight.name: weight for weight in cell.weights if not any(weight is w for w in cell.hyper.weights)}
    return {name: numpy(weight).astype(float) for name, weight in own.items()}, inner


def stepped(cell, keep=None):
    """Return the new states after one step."""
    keep = None if keep is None else ops.convert_to_tensor(keep)
    output, states = cell(ops.convert_to_tensor(X), [ops.convert_to_tensor(s) for s in STATES], keep=keep)
    np.testing.assert_array_equal(numpy(output), numpy(states[0]))
    return [numpy(state) for state in states]


def normalised(a):
    return (a - a.mean(axis=-1, keepdims=True)) / np.sqrt(a.var(axis=-1, keepdims=True) + 1e-3)


def gated(w, sums, c, keep=1.0):
    """Return h' and c' of an LSTM from what enters its gates, by name."""
    units = c.shape[-1]
    bias = dict(zip(GATES, np.split(w["bias"], 4), strict=True))
    if "gain" in w:
        gain = dict(zip(GATES, np.split(w["gain"], 4), strict=True))
        sums = {y: gain[y] * normalised(sums[y]) for y in GATES}
    peep_i, peep_f, peep_o = w.get("peepholes", np.zeros((3, units)))
    i, f = sigmoid(sums["i"] + bias["i"] + peep_i * c), sigmoid(sums["f"] + bias["f"] + peep_f * c)
    c = f * c + i * np.tanh(sums["g"] + bias["g"]) * keep
    shown = normalised(c) * w["cell_gain"] + w["cell_bias"] if "gain" in w else c
    return sigmoid(sums["o"] + bias["o"] + peep_o * c) * np.tanh(shown), c


def by_hand(w, inner, keep=1.0):
    """Return the new states: Ha, Dai & Le 2016, the HyperLSTM's equations, gate by gate."""
    h, c, small_h, small_c = (state.astype(float) for state in STATES)
    seen = np.concatenate([X, h], axis=-1)
    sums = np.split(seen @ inner["kernel"] + small_h @ inner["recurrent_kernel"], 4, axis=-1)
    small_h, small_c = gated(inner, dict(zip(GATES, sums, strict=True)), small_c)
    sums = {}
    for n, y in enumerate(GATES):
        of_gate = slice(n * UNITS, (n + 1) * UNITS)
        z_x, z_h, z_b = (
            small_h @ w[name][:, k * SIZE : (k + 1) * SIZE]
            + (w["scale_embedding_bias"][k * SIZE : (k + 1) * SIZE] if name == "scale_embedding" else 0)
            for name, k in (("scale_embedding", n), ("scale_embedding", 4 + n), ("shift_embedding", n))
        )
        sums[y] = (
            (z_x @ w["scale"][n]) * (X @ w["kernel"][:, of_gate])
            + (z_h @ w["scale"][4 + n]) * (h @ w["recurrent_kernel"][:, of_gate])
            + z_b @ w["shift"][n]
        )
        if "inner_bias" in w:
            sums[y] = sums[y] + w["inner_bias"][of_gate]
    return [*gated(w, sums, c, keep), small_h, small_c]


@pytest.mark.parametrize("keep", [None, KEEP], ids=["", "dropout"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_what_the_equations_say(variant, keep):
    """And recurrent dropout acts on the large LSTM's candidates alone."""
    cell = cell_of(**VARIANTS[variant])
    expected = by_hand(*randomised(cell), 1.0 if keep is None else keep)
    for state, other in zip(stepped(cell, keep), expected, strict=True):
        np.testing.assert_allclose(state, other, rtol=1e-4, atol=2e-6)


def test_a_new_cell_is_an_lstm_with_a_tenth_of_its_weights():
    cell = cell_of(layer_norm=False)
    plain = keras.layers.LSTMCell(UNITS)
    plain.build((None, FEATURES))
    kernels = [0.1 * numpy(cell.kernel), 0.1 * numpy(cell.recurrent_kernel)]
    plain.set_weights([*kernels, numpy(cell.bias)])
    expected = plain(ops.convert_to_tensor(X), [ops.convert_to_tensor(state) for state in STATES[:2]])[1]
    for state, other in zip(stepped(cell)[:2], expected, strict=True):
        np.testing.assert_allclose(state, numpy(other), atol=1e-6)


@pytest.mark.parametrize("layer_norm", [True, False])
def test_it_has_as_many_weights_as_sketch_rnns(layer_norm, monkeypatch):
    """W_xh, W_hh and bias, eight scales and four shifts, the normalisations' and the smaller LSTM's."""

    def zeros(self, shape, dtype=None, **_):
        return np.zeros(shape, "float32")

    monkeypatch.setattr(keras.initializers.Orthogonal, "__call__", zeros)
    cell = HyperLSTMCell(512, layer_norm=layer_norm)
    cell.build((None, 5))
    x, h, small, z = 5, 512, 256, 32
    main = 4 * h * (x + h + 1)
    scales, shifts = 8 * (small * z + z + z * h), 4 * (small * z + z * h)
    inside = 4 * small * (x + h + small) + (10 * small if layer_norm else 4 * small)
    assert cell.count_params() == main + scales + shifts + inside + (10 * h if layer_norm else 0)


def test_the_gradient_reaches_every_weight(gradient):
    """The slope along each weight is what moving it does."""
    cell = cell_of()
    randomised(cell)
    sizes = [int(np.prod(weight.shape)) for weight in cell.weights]
    values = np.concatenate([numpy(weight).reshape(-1) for weight in cell.weights])

    def loss(flat):
        parts = ops.split(flat, np.cumsum(sizes)[:-1].tolist(), axis=-1)
        mapping = [
            (weight, ops.reshape(part, weight.shape))
            for weight, part in zip(cell.weights, parts, strict=True)
        ]
        with keras.StatelessScope(state_mapping=mapping):
            h, states = cell(ops.convert_to_tensor(X), [ops.convert_to_tensor(state) for state in STATES])
        return ops.reshape(ops.sum(h) + ops.sum(states[1]), (1,))

    _, slope = gradient(loss, values)
    for weight, part in zip(cell.weights, np.split(slope, np.cumsum(sizes)[:-1]), strict=True):
        assert np.abs(part).max() > 1e-4, weight.path
    direction = RNG.normal(size=values.shape) * 1e-2
    ahead, behind = (
        numpy(loss(ops.convert_to_tensor((values + sign * direction).astype("float32"))))[0]
        for sign in (1, -1)
    )
    assert slope @ direction == pytest.approx((ahead - behind) / 2, rel=0.05, abs=2e-3)


def test_keras_runs_a_stack_of_them_and_steps_are_the_same():
    stack = RecurrentStack((UNITS, 3), "hyper", layer_norm=True, hyper_units=HYPER, embedding_size=SIZE)
    assert stack.state_size == [UNITS, UNITS, HYPER, HYPER, 3, 3, HYPER, HYPER]
    stack.build((None, FEATURES))
    x = RNG.normal(size=(2, 3, FEATURES)).astype("float32")

    def both(x):
        whole = keras.layers.RNN(stack, return_sequences=True)(x)
        states, outputs = stack.get_initial_state(2), []
        for t in range(3):
            output, states = stack(x[:, t], states)
            outputs.append(output)
        return whole, ops.stack(outputs, axis=1)

    whole, steps = compiled(both, stack)(x)
    np.testing.assert_allclose(numpy(whole), numpy(steps), atol=1e-6)


def test_every_argument_survives(tmp_path):
    cell = HyperLSTMCell(UNITS, HYPER, SIZE, peephole=True, layer_norm=False, name="mine")
    restored = HyperLSTMCell.from_config(json.loads(json.dumps(cell.get_config())))
    assert restored.get_config() == cell.get_config()
    model = keras.Sequential([keras.Input((3, FEATURES)), keras.layers.RNN(cell_of())])
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    assert len(restored.weights) == len(model.weights)
    for one, other in zip(model.weights, restored.weights, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))


@pytest.mark.parametrize("name", ["units", "hyper_units", "embedding_size"])
def test_other_sizes_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer; received 0"):
        HyperLSTMCell(**{"units": 4, name: 0})
