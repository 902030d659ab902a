import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

import mixtura as mx

# Three components far apart, each with its own scale, next to one of three classes.
LOGITS, MEANS, SCALES = np.array([0.5, -0.5, 0.2]), np.array([-100.0, 0.0, 100.0]), np.array([1.0, 2.0, 3.0])
FAMILY = mx.Joint(place=mx.Mixture(mx.Normal(1, scale="exp"), 3), kind=mx.Categorical(3))
PARAMS = np.concatenate([LOGITS, MEANS, np.log(SCALES), LOGITS])

N = 4000


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def power(probabilities, exponent):
    return probabilities**exponent / (probabilities**exponent).sum()


P, FIRST = softmax(LOGITS), np.array([1.0, 0.0, 0.0])

# Each system's formulas, as its paper or code has them: weights, scales, probabilities of classes.
PUBLISHED = {
    "keras_mdn": (mx.Sampler.keras_mdn(0.5, 0.3), softmax(LOGITS / 0.5), SCALES * np.sqrt(0.3), P),
    "graves": (mx.Sampler.graves(0.7), softmax(LOGITS * 1.7), np.exp(np.log(SCALES) - 0.7), P),
    "kanji": (mx.Sampler.kanji(0.6), power(P, 1 / 0.6), SCALES, P),
    "sketch_rnn": (
        mx.Sampler.sketch_rnn(0.4),
        softmax(LOGITS / 0.4),
        np.sqrt(SCALES**2 * 0.4),
        softmax(LOGITS / 0.4),
    ),
    "magenta": (mx.Sampler.magenta(0.4), power(P, 2.5), SCALES * 0.4, power(P, 2.5)),
    "magenta_js": (
        mx.Sampler.magenta_js(0.4),
        softmax(LOGITS / (0.5 + 0.5 * 0.4)),
        SCALES * np.sqrt(0.4),
        softmax(LOGITS / (0.5 + 0.5 * 0.4)),
    ),
    "robojam": (mx.Sampler.robojam(1.5, 0.3), power(P, 1 / 1.5), SCALES * 0.3, P),
    "world_models": (mx.Sampler.world_models(1.2), softmax(LOGITS / 1.2), SCALES * np.sqrt(1.2), FIRST),
    "greedy": (mx.Sampler.greedy(), FIRST, 0 * SCALES, FIRST),
    "none": (None, P, SCALES, P),
    "its three numbers": (
        mx.Sampler(weights=2.0, scale=0.1, discrete=0.5),
        softmax(LOGITS / 2),
        0.1 * SCALES,
        softmax(LOGITS / 0.5),
    ),
}


def draw(kind, family, params, n=N, **options):
    """Draw from NumPy's numbers or from the backend's."""
    if kind == "arrays":
        return family(params).sample(n, seed=3, **options)
    # Always the same number of rows: JAX compiles every operation for every shape.
    rows = ops.convert_to_tensor(np.tile(params, (N, 1)), dtype="float32")
    return ops.convert_to_numpy(family.sample(rows, seed=3, **options))[:n].astype("float64")


both = pytest.mark.parametrize("kind", ["arrays", "tensors"])


def agree(counts, probabilities):
    """Tell whether counts of outcomes are what these probabilities give."""
    possible = probabilities > 0
    assert counts[~possible].sum() == 0
    if possible.sum() == 1:
        return True
    return stats.chisquare(counts[possible], counts.sum() * probabilities[possible]).pvalue > 1e-3


@both
@pytest.mark.parametrize("name", PUBLISHED)
def test_draws_follow_the_published_formula(name, kind):
    sampler, weights, scales, probabilities = PUBLISHED[name]
    y = draw(kind, FAMILY, PARAMS, sampler=sampler)
    component = np.abs(y[:, :1] - MEANS).argmin(axis=-1)
    assert agree(np.bincount(component, minlength=3), weights)
    assert agree(y[:, 1:].sum(axis=0), probabilities)
    away, scale = y[:, 0] - MEANS[component], scales[component]
    if name == "greedy":
        assert (away == 0).all()
    else:
        assert stats.kstest(away / scale, "norm").pvalue > 1e-3


@both
def test_temperature_is_short_for_sketch_rnns(kind):
    short, long = (
        draw(kind, FAMILY, PARAMS, 20, **options)
        for options in ({"temperature": 0.3}, {"sampler": mx.Sampler.sketch_rnn(0.3)})
    )
    np.testing.assert_array_equal(short, long)


# Zero.


@both
def test_equal_components_are_drawn_equally_often_at_zero(kind):
    family = mx.Mixture(mx.Normal(1), 3)
    y = draw(kind, family, [3.0, 1.0, 3.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0], temperature=0.0)[:, 0]
    values, counts = np.unique(y, return_counts=True)
    np.testing.assert_array_equal(values, [0, 2])
    assert agree(counts, np.array([0.5, 0.5]))


@both
@pytest.mark.parametrize("family", [mx.Categorical(3), mx.Bernoulli()], ids=repr)
def test_equal_categories_are_drawn_equally_often_at_zero(family, kind):
    y = draw(kind, family, [0.0] * family.params_size, sampler=mx.Sampler(discrete=0.0))
    y = np.concatenate([y, 1 - y], axis=-1) if family.params_size == 1 else y
    assert agree(y.sum(axis=0), np.full(y.shape[1], 1 / y.shape[1]))


@both
@pytest.mark.parametrize(
    ("family", "params", "centre"),
    [
        (mx.Normal(2, "full"), [1.0, 2.0, 0.0, 0.0, 3.0], [1, 2]),
        (mx.Normal(2, "bivariate"), [1.0, 2.0, 0.0, 0.0, 3.0], [1, 2]),
        (mx.Laplace(1), [1.5, 2.0], [1.5]),
        (mx.LogNormal(1), [1.0, 2.0], [np.e]),
        (mx.LogitNormal(1, 0.0, 10.0), [0.0, 2.0], [5]),
        (mx.Bernoulli(2), [0.1, -0.1], [1, 0]),
        (mx.Categorical(3), [0.0, 0.2, 0.1], [0, 1, 0]),
        (mx.Independent(mx.Mixture(mx.Normal(1), 2), 2), [1.0, 0, 5, 6, 0, 0, 0, 1, 7, 8, 0, 0], [5, 8]),
        (mx.Affine(mx.Mixture(mx.Normal(1), 2), 100.0, 10.0), [1.0, 0, 5, 6, 0, 0], [150]),
        (mx.Mixture(mx.Affine(mx.Laplace(1), 100.0, 10.0), 2), [1.0, 0, 5, 6, 0, 0], [150]),
        (mx.Mixture(mx.Categorical(2), 2), [1.0, 0, 2, 0, 1, 3], [1, 0]),
        (mx.Joint(a=mx.Joint(b=mx.Normal(1)), c=mx.Bernoulli()), [4.0, 0.0, -1.0], [4, 0]),
    ],
    ids=lambda value: repr(value) if isinstance(value, mx.families.Family) else "",
)
def test_greedy_takes_the_centre(family, params, centre, kind):
    y = draw(kind, family, params, 5, sampler=mx.Sampler.greedy())
    np.testing.assert_allclose(y, np.tile(centre, (5, 1)), rtol=1e-6)


@both
def test_a_low_temperature_is_no_numerical_accident(kind):
    y = draw(kind, FAMILY, 1e4 * PARAMS, 50, temperature=1e-20)
    np.testing.assert_allclose(y, np.tile([-1e6, 1, 0, 0], (50, 1)))


# Temperatures that are tensors.


@pytest.mark.parametrize(
    "make",
    ["keras_mdn", "graves", "kanji", "sketch_rnn", "magenta", "magenta_js", "robojam", "world_models"],
)
def test_a_tensor_does_what_its_number_does(make, tensor):
    make = getattr(mx.Sampler, make)
    number, given = (
        draw("tensors", FAMILY, PARAMS, 100, sampler=make(value)) for value in (0.25, tensor(0.25))
    )
    np.testing.assert_allclose(given, number, rtol=1e-5)


@both
@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64, int], ids=lambda kind: kind.__name__)
def test_any_kind_of_number_will_do(number, kind):
    expected = draw(kind, FAMILY, PARAMS, 50, temperature=2.0)
    np.testing.assert_array_equal(draw(kind, FAMILY, PARAMS, 50, temperature=number(2)), expected)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="compiles with JAX")
def test_a_new_temperature_compiles_nothing():
    import jax

    traced = []

    @jax.jit
    def draw(params, temperature):
        traced.append(temperature)
        return FAMILY.sample(params, seed=1, temperature=temperature)

    params = np.tile(PARAMS, (50, 1)).astype("float32")
    for temperature in (0.0, 0.25, 1.0):
        expected = FAMILY.sample(ops.convert_to_tensor(params), seed=1, temperature=temperature)
        np.testing.assert_allclose(draw(params, temperature), expected, rtol=1e-5)
    assert len(traced) == 1


# The parts of a Joint.


@both
def test_parts_left_out_are_drawn_as_they_are(kind):
    plain = draw(kind, FAMILY, PARAMS, 50)
    place = draw(kind, FAMILY, PARAMS, 50, sampler={"place": mx.Sampler.greedy()})
    np.testing.assert_array_equal(place[:, 1:], plain[:, 1:])
    assert (place[:, 0] == MEANS[0]).all()
    kind = draw(kind, FAMILY, PARAMS, 50, sampler={"kind": mx.Sampler.greedy()})
    np.testing.assert_array_equal(kind[:, 0], plain[:, 0])
    assert (kind[:, 1:] == FIRST).all()


@both
@pytest.mark.parametrize(
    "wrap", [lambda f: mx.Independent(f, 1), lambda f: mx.Affine(f, 0.0, 1.0), lambda f: mx.Joint(part=f)]
)
def test_a_mapping_reaches_parts_within(wrap, kind):
    inner = mx.Joint(a=mx.Normal(1), b=mx.Normal(1))
    sampler = {"a": mx.Sampler.greedy()}
    family = wrap(inner)
    if isinstance(family, mx.Joint):
        sampler = {"part": sampler}
    y = draw(kind, family, [5.0, 0.0, 5.0, 0.0], 20, sampler=sampler)
    assert (y[:, 0] == 5).all()
    assert (y[:, 1] != 5).all()


# Mistakes.


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, "hot", None, [0.5, 0.5]], ids=repr)
@pytest.mark.parametrize("name", ["weights", "scale", "discrete"])
def test_temperatures_are_finite_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a finite number, 0 or more; received"):
        mx.Sampler(**{name: value})


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: mx.Sampler.keras_mdn(1.0, -1.0), "sigma_temp"),
        (lambda: mx.Sampler.graves(-1.0), "bias"),
        (lambda: mx.Sampler.kanji(-1.0), "weights"),
        (lambda: mx.Sampler.sketch_rnn(-1.0), "tau"),
        (lambda: mx.Sampler.magenta_js(-1.0), "tau"),
        (lambda: mx.Sampler.world_models(np.nan), "tau"),
        (lambda: mx.Normal(1)([0.0, 0.0]).sample(1, temperature=-1.0), "tau"),
    ],
)
def test_constructors_check_theirs(make, name):
    with pytest.raises(ValueError, match=f"{name} must be a finite number"):
        make()


@both
def test_misuse_is_named(kind):
    greedy = mx.Sampler.greedy()
    with pytest.raises(ValueError, match="give sampler or temperature, not both"):
        draw(kind, FAMILY, PARAMS, 1, sampler=greedy, temperature=1.0)
    with pytest.raises(TypeError, match=r"sampler must be a mixtura Sampler .* received 0\.5"):
        draw(kind, FAMILY, PARAMS, 1, sampler=0.5)
    with pytest.raises(TypeError, match=r"sampler must be a mixtura Sampler; received 0\.5"):
        draw(kind, FAMILY, PARAMS, 1, sampler={"place": 0.5})
    with pytest.raises(ValueError, match="names the part 'palce'; the parts are place, kind"):
        draw(kind, FAMILY, PARAMS, 1, sampler={"palce": greedy})
    for family in (mx.Normal(1), mx.Mixture(mx.Normal(1), 1), mx.Laplace(1), mx.LogNormal(1), mx.Bernoulli()):
        with pytest.raises(TypeError, match="mapping of samplers is for the parts of a Joint"):
            draw(kind, family, [0.0] * family.params_size, 1, sampler={"place": greedy})


def test_samplers_are_values():
    assert mx.Sampler.sketch_rnn(0.25) == mx.Sampler(0.25, 0.5, 0.25)
    assert hash(mx.Sampler()) == hash(mx.Sampler(1.0, 1.0, 1.0))
    with pytest.raises(AttributeError):
        mx.Sampler().scale = 2.0
