import keras
import numpy as np
import pytest
from keras import ops
from scipy.stats import norm

import mixtura as mx
from mixtura.models.linear import LinearMDNRNN

RNG = np.random.default_rng(0)
MEAN, SCALE = 10.0, 2.0
FAMILY = mx.Affine(mx.Mixture(mx.Normal(1), 2), MEAN, SCALE)
COEFFICIENTS = np.array([1.6, -0.9, 0.2])[:, None, None]
EVENTS = MEAN + RNG.normal(size=(3, 9, 1)).cumsum(axis=1).astype("float32")


def numpy(x):
    return ops.convert_to_numpy(x)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return LinearMDNRNN(FAMILY, COEFFICIENTS, level=3.0, units=(4,))


@pytest.fixture(scope="module")
def params(model):
    return numpy(model(EVENTS))


def expected_by_numpy(signal):
    """The linear prediction of every value; before the first lies the mean, three times."""
    u = np.concatenate([np.zeros(3), (signal - MEAN) / SCALE])
    a = COEFFICIENTS[:, 0, 0]
    return np.array([sum(a[i] * u[t - 1 - i] for i in range(3)) for t in range(3, len(u))])


def cell_by_numpy(model, signal):
    """Head parameters of every step, by a reading of the class's formula and of a GRU's."""
    gru = model.cell.stack.cells[0]
    w, r, b = (numpy(v).astype(float) for v in (gru.kernel, gru.recurrent_kernel, gru.bias))
    w_out, b_out = (numpy(v).astype(float) for v in (model.head.dense.kernel, model.head.dense.bias))
    u = (signal - MEAN) / SCALE
    expected = expected_by_numpy(signal)
    h, rows = np.zeros(4), []
    for t in range(len(u)):
        last = 0.0 if t == 0 else u[t - 1]
        error = 0.0 if t == 0 else u[t - 1] - expected[t - 1]
        x = np.array([last / 3.0, np.arcsinh(error)])
        z, reset, g = np.split(x @ w + b[0], 3)
        hz, hr, hg = np.split(h @ r + b[1], 3)
        z, reset = 1 / (1 + np.exp(-(z + hz))), 1 / (1 + np.exp(-(reset + hr)))
        h = z * h + (1 - z) * np.tanh(g + reset * hg)
        rows.append(h @ w_out + b_out + expected[t] * np.array([0, 0, 1, 1, 0, 0]))
    return np.array(rows)


def test_parameters_are_those_of_the_formula(model, params):
    # The first error is counted from the start event, so it is the prediction of 0 from zeros.
    for row in range(len(EVENTS)):
        np.testing.assert_allclose(params[row], cell_by_numpy(model, EVENTS[row, :, 0]), atol=2e-4)


def test_the_density_is_that_of_the_event(model, params):
    p = FAMILY(params)
    u = (EVENTS[..., 0] - MEAN) / SCALE
    weights = np.exp(params[..., :2]) / np.exp(params[..., :2]).sum(-1, keepdims=True)
    scales = np.where(params[..., 4:] > 0, params[..., 4:] + 1, np.exp(params[..., 4:]))
    density = (weights * norm.pdf(u[..., None], params[..., 2:4], scales)).sum(-1) / SCALE
    np.testing.assert_allclose(p.log_prob(EVENTS), np.log(density), rtol=1e-4)


def test_step_agrees_with_call(model, params):
    state = model.initial_state(3)
    event = ops.broadcast_to(model.start_event(), (3, 1))
    for t in range(EVENTS.shape[1]):
        row, state = model.step(model.embed(event), state)
        np.testing.assert_allclose(numpy(row), params[:, t], atol=1e-5)
        event = ops.convert_to_tensor(EVENTS[:, t])


def test_a_state_goes_on(model, params):
    _, state = model.unroll(EVENTS[:, :4])
    after, _ = model.unroll(EVENTS[:, 4:], before=EVENTS[:, 3], state=state)
    np.testing.assert_allclose(numpy(after), params[:, 4:], atol=1e-5)


def test_before_the_first_event_lies_the_first_itself(model):
    given = numpy(model(EVENTS[:, :1], before=np.full((3, 1), MEAN + 3.0, "float32")))
    still = model(EVENTS[:, :1])
    shift = 1.5 * COEFFICIENTS.sum()
    # The network sees the last event too: what is left when both are the same is the shift.
    kernel = numpy(model.head.dense.kernel).copy()
    head = numpy(model.head(ops.zeros((1, 4))))
    model.head.dense.kernel.assign(np.zeros_like(kernel))
    fixed = numpy(model(EVENTS[:, :1], before=np.full((3, 1), MEAN + 3.0, "float32")))
    model.head.dense.kernel.assign(kernel)
    np.testing.assert_allclose(fixed[:, 0] - head, np.tile([0, 0, shift, shift, 0, 0], (3, 1)), atol=1e-5)
    assert np.abs(given - numpy(still)).max() > 0.1


def test_dimensions_predict_each_other():
    family = mx.Mixture(mx.Normal(2), 1)
    crossed = [[[0.0, 1.0], [0.5, 0.0]]]  # the first predicts the second, half the second the first
    model = LinearMDNRNN(family, crossed, units=(3,))
    model.head.dense.kernel.assign(np.zeros((3, model.family.params_size)))
    params = numpy(model(np.array([[[1.0, 4.0], [0.0, 0.0]]], "float32")))
    np.testing.assert_allclose(params[0, 1, 1:3], [2.0, 1.0], atol=1e-6)


def test_a_line_goes_on():
    family = mx.Mixture(mx.Normal(1, min_scale=1e-4), 1)
    model = LinearMDNRNN(family, [[[2.0]], [[-1.0]]], units=(3,))
    model.head.dense.kernel.assign(np.zeros((3, model.family.params_size)))
    model.head.dense.bias.assign([0.0, 0.0, -20.0])
    drawn = model.generate(8, prompt=np.arange(3.0)[:, None], seed=0).events[0, :, 0]
    np.testing.assert_allclose(drawn, np.arange(11.0), atol=0.02)


def test_a_saved_model_says_the_same(model, params, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(EVENTS)), params)


@pytest.mark.parametrize("coefficients", [[1.0], [[[1.0, 0.0]]], np.zeros((0, 1, 1)), [[[np.nan]]]])
def test_coefficients_are_checked(coefficients):
    with pytest.raises(ValueError, match="coefficients must be"):
        LinearMDNRNN(FAMILY, coefficients, units=(3,))


def test_the_family_must_have_locations():
    with pytest.raises(NotImplementedError, match="has no location to move; use Normal or Laplace"):
        LinearMDNRNN(mx.Bernoulli(), COEFFICIENTS, units=(3,))
    with pytest.raises(TypeError, match="family must be"):
        LinearMDNRNN(3, COEFFICIENTS, units=(3,))
