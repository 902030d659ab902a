import keras
import numpy as np
import pytest
from scipy import stats

import mixtura as mx
from mixtura.families import distribution

PARAMS = np.random.default_rng(0).normal(size=(2, 3, 4))
BATCH = mx.Normal(2)(PARAMS)
ONE = mx.Normal(1)([1.0, 1.0])  # N(1, 2^2)


def test_shapes():
    assert (BATCH.batch_shape, BATCH.event_size, len(BATCH)) == ((2, 3), 2, 2)
    assert ONE.batch_shape == ()
    y = np.zeros((2, 3, 2))
    assert BATCH.log_prob(y).shape == (2, 3)
    assert BATCH.mean().shape == BATCH.variance().shape == (2, 3, 2)
    assert BATCH.covariance().shape == (2, 3, 2, 2)


def test_numbers_are_float64_whatever_comes_in(tensor):
    for params in (tensor(PARAMS), tensor(PARAMS, "bfloat16"), PARAMS.astype("float32"), PARAMS.tolist()):
        p = mx.Normal(2)(params)
        assert p.params.dtype == p.log_prob(tensor(np.zeros(2))).dtype == "float64"


def test_rows_are_picked_like_an_arrays():
    np.testing.assert_array_equal(BATCH[1].params, PARAMS[1])
    np.testing.assert_array_equal(BATCH[:, 1:].params, PARAMS[:, 1:])
    np.testing.assert_array_equal(BATCH[PARAMS[..., 0] > 0].params, PARAMS[PARAMS[..., 0] > 0])
    assert [p.batch_shape for p in BATCH] == [(3,), (3,)]
    assert BATCH[1, 2].batch_shape == ()


def test_repr_tells_how_many_of_what():
    assert repr(BATCH) == "<2x3 of Normal(event_size=2)>"
    assert repr(ONE) == "<one of Normal(): 1 ± 2>"
    two = mx.Mixture(mx.Normal(1), 2)([0.0, 0.0, -5.0, 5.0, 1.0, 2.0])
    assert repr(two) == "<one of Mixture(Normal(), 2): 50 % at -5 ± 2, 50 % at 5 ± 3>"
    copies = mx.Independent(mx.Mixture(mx.Normal(1), 1), 2)([0.0, 1.0, 0.0, 0.0, 2.0, 1.0])
    assert repr(copies).endswith(": (1, 2) ± (1, 2)>")
    many = mx.Mixture(mx.Normal(4), 2)(np.zeros(18))
    assert repr(many) == "<one of Mixture(Normal(event_size=4), 2)>"


def test_a_single_distribution_has_no_rows():
    with pytest.raises(TypeError, match="no length"):
        len(ONE)
    with pytest.raises(TypeError, match="cannot be indexed"):
        ONE[0]


def test_results_can_be_changed_without_changing_the_distribution():
    params = np.zeros(2)
    mean = mx.Normal(1)(params).mean()
    mean += 1
    np.testing.assert_array_equal(params, 0)


# Levels.


def test_several_levels_are_a_column():
    p = mx.Normal(1)([[0.0, 0.0], [5.0, 1.0], [1.0, 2.0]])
    levels = np.array([[0.05], [0.95]])
    assert p.quantile(levels).shape == (2, 3, 1)
    np.testing.assert_allclose(p.quantile(levels)[1, 1, 0], stats.norm(5, 2).ppf(0.95), rtol=1e-12)
    assert p.isf([0.1, 0.2, 0.3]).shape == p.quantile(0.5).shape == (3, 1)


def test_interval_holds_its_level():
    low, high = ONE.interval(0.9)
    np.testing.assert_allclose([low[0], high[0]], stats.norm(1, 2).interval(0.9), rtol=1e-12)
    low, high = ONE.interval(1 - 2e-9)  # each tail 1e-9
    assert high - 1 == pytest.approx(1 - low, rel=1e-12)
    low, high = ONE.interval(0)
    assert low == high == pytest.approx(1)
    assert ONE.interval(1) == (-np.inf, np.inf)


@pytest.mark.parametrize("q", [-1e-9, 1.5, np.nan, [0.5, 2.0]])
def test_levels_outside_zero_to_one_are_refused(q):
    for method, name in {"quantile": "q", "isf": "q", "interval": "level"}.items():
        with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\]; received"):
            getattr(ONE, method)(q)


def test_levels_that_do_not_fit_the_batch_are_refused():
    p = mx.Normal(1)(np.zeros((5, 2)))
    with pytest.raises(
        ValueError, match=r"q of shape \(2,\) does not fit a batch of shape \(5,\).*q\[:, None\]"
    ):
        p.quantile([0.1, 0.9])


@pytest.mark.parametrize(
    "family", [mx.Normal(2), mx.Mixture(mx.Normal(2), 2), mx.Affine(mx.Normal(2), 0, 1)], ids=repr
)
def test_tails_need_one_dimension_and_say_so(family):
    p = family(np.zeros(family.params_size))
    for method, argument in {"cdf": [0, 0], "sf": [0, 0], "quantile": 0.5, "isf": 0.5}.items():
        with pytest.raises(NotImplementedError, match=f"{method} needs a one-dimensional event.*size 2"):
            getattr(p, method)(argument)


# Samples.


def test_samples_have_a_leading_axis():
    assert BATCH.sample(1, seed=0).shape == (1, 2, 3, 2)
    assert ONE.sample(1000, seed=0).shape == (1000, 1)
    assert ONE.sample(0, seed=0).shape == (0, 1)
    assert BATCH[:0].sample(5, seed=0).shape == (5, 0, 3, 2)


def test_the_seed_decides_the_draws():
    first = ONE.sample(1000, seed=1)
    np.testing.assert_array_equal(first, ONE.sample(1000, seed=np.int64(1)))
    assert (first != ONE.sample(1000, seed=2)).all()
    assert (ONE.sample(1000) != ONE.sample(1000)).all()


def test_neighbouring_seeds_are_not_correlated():
    """Nor are they shifted copies of one stream."""
    n = 1000
    a, b = (ONE.sample(n, seed=seed)[:, 0] for seed in (5, 6))
    for lag in range(4):
        for x, y in ((a, b), (b, a)):
            assert abs(np.corrcoef(x[lag:], y[: n - lag])[0, 1]) < 5 / np.sqrt(n - lag)


def test_rows_are_drawn_independently():
    x = mx.Normal(1)(np.zeros((2, 2))).sample(1000, seed=0)
    assert abs(np.corrcoef(x[:, 0, 0], x[:, 1, 0])[0, 1]) < 5 / np.sqrt(1000)


def test_memory_does_not_grow_with_the_number_of_samples(monkeypatch):
    drawn = []

    def spy(self, xp, params, source, sampler, draws, sample=mx.Normal._sample):
        drawn.append(draws[0])
        return sample(self, xp, params, source, sampler, draws)

    monkeypatch.setattr(mx.Normal, "_sample", spy)
    monkeypatch.setattr(distribution, "PIECE", 1000 * 2 * (1 + 2))  # numbers, two rows
    x = mx.Normal(1)([[0.0, 0.0], [1.0, 1.0]]).sample(10_500, seed=0)
    assert drawn == [1000] * 10 + [500]
    assert x.shape == (10_500, 2, 1)
    assert len(np.unique(x[:, 0])) > 10_400  # no piece repeats another
    assert stats.kstest(x[:, 0, 0], stats.norm(0, 1).cdf).pvalue > 1e-4
    assert stats.kstest(x[:, 1, 0], stats.norm(1, 2).cdf).pvalue > 1e-4


def test_a_distribution_larger_than_a_piece_is_drawn_one_at_a_time(monkeypatch):
    monkeypatch.setattr(distribution, "PIECE", 1)
    assert BATCH.sample(3, seed=0).shape == (3, 2, 3, 2)


def test_a_generator_advances():
    generator = keras.random.SeedGenerator(0)
    assert (ONE.sample(1000, seed=generator) != ONE.sample(1000, seed=generator)).all()


@pytest.mark.parametrize("n", [-1, 1.5, True, None])
def test_n_must_be_a_count(n):
    with pytest.raises(ValueError, match=f"n must be a whole number, 0 or more; received {n}"):
        ONE.sample(n)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="seed must be 0 or more; received -1"):
        ONE.sample(3, seed=-1)
