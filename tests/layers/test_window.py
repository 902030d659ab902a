"""The soft window against a plain NumPy reading of Graves 2013, sections 2 and 5 (equations 46 to 51)."""

import keras
import numpy as np
import pytest
from keras import ops

from mixtura.layers import WindowStack

RNG = np.random.default_rng(3)
UNITS, LETTERS, SYMBOLS, WINDOWS = (5, 4, 3), 6, 4, 2
TEXT = np.eye(SYMBOLS)[RNG.integers(SYMBOLS, size=(2, LETTERS))].astype("float32")


def randomised(stack):
    stack.build((None, 3))
    for weight in stack.trainable_weights:
        weight.assign(0.5 * RNG.normal(size=weight.shape))
    return stack


@pytest.fixture(scope="module")
def stack():
    return randomised(WindowStack(UNITS, SYMBOLS, WINDOWS, peephole=True))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(cell, x, h, c):
    """Equations 7 to 11: the gates see the cell state through diagonal weights."""
    weights = [ops.convert_to_numpy(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias)]
    kernel, recurrent, bias = weights
    p_i, p_f, p_o = ops.convert_to_numpy(cell.peepholes)
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c_new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
    return sigmoid(o + p_o * c_new) * np.tanh(c_new), c_new


def by_hand(stack, xs, text):
    """Return hidden states, phi and kappa of every step for one sequence, in plain loops."""
    kernel, bias = (ops.convert_to_numpy(v) for v in (stack.aim.kernel, stack.aim.bias))
    state = [(np.zeros(n), np.zeros(n)) for n in UNITS]
    kappa, w = np.zeros(WINDOWS), np.zeros(SYMBOLS)
    hidden, phis, kappas = [], [], []
    for x in xs:
        state[0] = lstm(stack.cells[0], np.concatenate([x, w]), *state[0])
        alpha_hat, beta_hat, kappa_hat = np.split(state[0][0] @ kernel + bias, 3)
        kappa = kappa + np.exp(kappa_hat)  # 51
        phi = np.zeros(len(text))
        for u in range(1, len(text) + 1):  # 46, u from 1
            for k in range(WINDOWS):
                phi[u - 1] += np.exp(alpha_hat[k]) * np.exp(-np.exp(beta_hat[k]) * (kappa[k] - u) ** 2)
        w = sum(phi[u] * text[u] for u in range(len(text)))  # 47
        for layer in (1, 2):
            below = state[layer - 1][0]
            state[layer] = lstm(stack.cells[layer], np.concatenate([x, below, w]), *state[layer])
        hidden.append(np.concatenate([h for h, _ in state]))
        phis.append(phi)
        kappas.append(kappa)
    return np.array(hidden), np.array(phis), np.array(kappas)


def test_steps_are_those_of_the_paper(stack):
    xs = RNG.normal(size=(2, 7, 3)).astype("float32")
    states = stack.get_initial_state(2, ops.convert_to_tensor(TEXT))
    outputs = []
    for t in range(7):
        out, states = stack(ops.convert_to_tensor(xs[:, t]), states)
        outputs.append(out)
    out = ops.stack(outputs, axis=1)
    for row in range(2):
        hidden, phis, kappas = by_hand(stack, xs[row], TEXT[row])
        np.testing.assert_allclose(ops.convert_to_numpy(out)[row, :, : sum(UNITS)], hidden, atol=1e-5)
        window = stack.window(out[row])
        np.testing.assert_allclose(ops.convert_to_numpy(window.place), kappas, rtol=1e-4)
        np.testing.assert_allclose(ops.convert_to_numpy(window.weights(LETTERS)), phis, atol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(states[-1]), TEXT)


def test_as_a_layer_of_keras_it_does_the_same(stack):
    xs = ops.convert_to_tensor(RNG.normal(size=(2, 4, 3)).astype("float32"))
    states = stack.get_initial_state(2, ops.convert_to_tensor(TEXT))
    rnn = keras.layers.RNN(stack, return_sequences=True, zero_output_for_mask=True)
    whole = rnn(xs, initial_state=states)
    for t in range(4):
        out, states = stack(xs[:, t], states)
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (out, whole[:, t])), rtol=1e-5, atol=1e-6)


def test_the_window_only_moves_forwards_from_before_the_text(stack):
    states = stack.get_initial_state(2, ops.convert_to_tensor(TEXT))
    place = 0.0
    for _ in range(5):
        out, states = stack(ops.convert_to_tensor(RNG.normal(size=(2, 3)).astype("float32")), states)
        new = ops.convert_to_numpy(stack.window(out).place)
        assert (new > place).all()
        place = new


def test_a_normalised_window_is_a_mean_of_letters():
    stack = randomised(WindowStack((4,), SYMBOLS, WINDOWS, normalised=True, shows_text=True))
    states = stack.get_initial_state(2, ops.convert_to_tensor(TEXT))
    out, _ = stack(ops.ones((2, 3)), states)
    seen = ops.convert_to_numpy(out)[:, 4 : 4 + SYMBOLS]
    weights = ops.convert_to_numpy(stack.window(out).weights(LETTERS))
    expected = np.einsum("bu,bua->ba", weights / weights.sum(axis=1, keepdims=True), TEXT)
    np.testing.assert_allclose(seen, expected, atol=1e-4)
    assert stack.hidden_size == 4 + SYMBOLS


def test_the_bias_says_how_fast_the_window_begins():
    stack = WindowStack((4,), SYMBOLS, WINDOWS, pace=-2.5, narrowness=-0.5)
    stack.build((None, 3))
    stack.aim.kernel.assign(np.zeros((4, 6)))
    out, _ = stack(ops.ones((1, 3)), stack.get_initial_state(1, ops.convert_to_tensor(TEXT[:1])))
    window = stack.window(out)
    np.testing.assert_allclose(ops.convert_to_numpy(window.place), np.exp(-2.5), rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(window.width), np.exp(-0.5), rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(window.importance), 1.0, rtol=1e-6)


def test_its_configuration_makes_it_again(stack):
    again = WindowStack.from_config(stack.get_config())
    again.build((None, 3))
    assert again.get_config() == stack.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in stack.weights]


@pytest.mark.parametrize("wrong", [{"text_size": 0}, {"windows": 0}])
def test_sizes_must_be_positive(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WindowStack((4,), **{"text_size": 2, "windows": 1, **wrong})
