"""What is compiled, and how often."""

import keras
import numpy as np
import pytest

import mixtura as mx
from mixtura.compiling import compiled
from mixtura.generation import StopAfterTotal
from mixtura.generation.program import KEPT, programs, rounding
from mixtura.generation.request import SMALLEST, Plan

CONTEXT = np.array([[0.7]], "float32")
compiles = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="on PyTorch the loop runs as it is written"
)
rounds = pytest.mark.skipif(keras.backend.backend() != "jax", reason="products of bfloat16 are for JAX")


class Controller(keras.layers.Layer):
    """Inputs from the state, by weights."""

    def build(self, event_shape, state_shape=None):
        self.kernel = self.add_weight(shape=(4, 2), initializer="glorot_uniform", name="kernel")

    def call(self, event, state):
        return keras.ops.tanh(keras.ops.matmul(state[0], self.kernel))


@compiles
def test_seeds_prompts_samplers_steps_and_weights_take_no_compiling(model):
    model.generate(20, seed=7)
    model.generate(20, seed=7, prompt=np.zeros((4, 2)))
    before = model.traces
    model.generate(20, seed=8)
    model.generate(20, seed=[8])
    model.generate(20)
    for steps in (17, SMALLEST):
        model.generate(steps, seed=7)
    for sampler in (mx.Sampler(0.5, 2.0), mx.Sampler.greedy(), mx.Sampler.graves(0.5)):
        model.generate(20, seed=7, sampler=sampler)
    model.generate(20, seed=7, temperature=0.3)
    model.generate(20, seed=9, prompt=np.ones((4, 2)))
    model.generate(20, seed=9, prompt=np.ones((7, 2)).tolist())
    assert model.traces == before
    weights, drawn = model.get_weights(), model.generate(20, seed=7).events
    model.set_weights([1.1 * weight for weight in weights])
    assert (np.abs(model.generate(20, seed=7).events - drawn) > 1e-5).any()
    model.set_weights(weights)
    np.testing.assert_array_equal(model.generate(20, seed=7).events, drawn)
    assert model.traces == before


@compiles
def test_going_on_takes_one_program_for_all(model):
    """A state that has come out of a program is as good as any other."""
    drawn = model.generate(20, seed=7, after=model.generate(20, seed=7))
    before = model.traces
    for _ in range(3):
        drawn = model.generate(20, seed=7, after=drawn)
    assert drawn.taken[0] == 100
    events = model.stream(seed=7)
    [next(events) for _ in range(2)]
    before = model.traces
    [next(events) for _ in range(20)]
    next(model.stream(seed=8, temperature=0.5))
    assert model.traces == before


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=rounds)])
def test_a_policys_weights_may_change(driven, precision):
    policy = Controller(name="controller")
    with pytest.raises(ValueError, match="controller has no weights yet; call it once before it is to draw"):
        driven.generate(20, policy=policy, context=CONTEXT)
    policy.build((None, 3))
    settings = {"policy": policy, "context": CONTEXT, "seed": 3, "precision": precision}
    drawn = driven.generate(20, **settings).events
    before = driven.traces
    policy.kernel.assign(3 * policy.kernel)
    changed = driven.generate(20, **settings).events
    assert (np.abs(changed - drawn)[0, 1:] > 1e-5).any()
    assert driven.traces == before or keras.backend.backend() == "torch"


def test_a_model_keeps_its_latest_programs():
    model = mx.MDNRNN(mx.Normal(1), (2,))
    plans = [Plan(None, None, StopAfterTotal(0, limit), False, "float32") for limit in range(KEPT + 1)]
    first = programs(model, plans[0])
    assert (
        programs(model, Plan(None, None, StopAfterTotal(0, 0.0), False, "float32")) is first
    )  # equal plans are one
    for plan in plans[1:KEPT]:
        programs(model, plan)
    assert programs(model, plans[0]) is first
    programs(model, plans[KEPT])  # the one unused for longest, 1, has to go
    assert programs(model, plans[0]) is first
    assert plans[1] not in vars(model)["_mixtura_generation"]


@compiles
def test_streams_and_continuations_take_one_program_each():
    """The first event takes the program of all others: nothing compiles while somebody plays."""
    traces = []

    class Counting(mx.MDNRNN):
        def step(self, x, state, context=None):
            traces.append(x)
            return super().step(x, state, context)

    model = Counting(mx.Mixture(mx.Normal(1), 2), units=(3,))
    events = model.stream(seed=0)
    next(events)
    warm = len(traces)
    next(events)
    assert len(traces) == warm
    drawn = model.generate(20, seed=0)
    warm = len(traces)
    model.generate(20, seed=0, after=drawn)
    assert len(traces) == warm


# Products of bfloat16.


@rounds
def test_bfloat16_is_near_and_leaves_float32_as_it_is(model):
    exact = model.generate(20, seed=7)
    settings = {"prompt": exact[0][:19], "seed": 7, "precision": "bfloat16"}
    rounded = model.generate(1, **settings)
    for state, expected in zip(rounded.state, exact.state, strict=True):
        error = np.abs(np.asarray(state) - np.asarray(expected)).max()
        assert 1e-4 < error < 0.1
    before, weights = model.traces, model.get_weights()
    np.testing.assert_array_equal(model.generate(20, seed=7).events, exact.events)
    model.set_weights([-weight for weight in weights])
    changed = model.generate(1, **settings)
    model.set_weights(weights)
    assert np.abs(np.asarray(changed.state[0]) - np.asarray(rounded.state[0])).max() > 0.1
    np.testing.assert_array_equal(model.generate(1, **settings).events, rounded.events)
    assert model.traces == before


@rounds
def test_a_stream_of_bfloat16_is_what_generate_draws(model, close):
    settings = {"seed": 7, "precision": "bfloat16"}
    close(np.stack(list(model.stream(3, **settings))), model.generate(3, **settings).events[0])


@rounds
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_products_are_those_of_rounded_numbers(cell):
    """From zero states one step multiplies the input alone: rounded before, it gives the same."""
    import jax.numpy as jnp

    stack = mx.layers.RecurrentStack((3,), cell)
    stack.build((None, 4))
    states = stack.get_initial_state(2)
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    found = compiled(rounding(lambda x: stack(x, states)[0], stack), stack)(x)
    kernel = stack.cells[0].kernel
    kernel.assign(jnp.asarray(kernel.value, jnp.bfloat16))
    np.testing.assert_allclose(
        found, stack(jnp.asarray(x, jnp.bfloat16).astype("float32"), states)[0], atol=1e-6
    )


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX multiplies bfloat16")
def test_bfloat16_is_refused_elsewhere(model):
    with pytest.raises(ValueError, match="precision='bfloat16' is for JAX; received it on"):
        model.generate(3, precision="bfloat16")
