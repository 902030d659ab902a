import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from scipy import stats

import mixtura as mx
from mixtura.families.draws import ArrayDraws
from mixtura.families.seeds import split_seed


@pytest.mark.parametrize("seed", [0, 7, 2**40, np.int64(7)])
def test_an_integer_always_gives_the_same_distinct_seeds(seed):
    seeds = split_seed(seed, 100)
    assert seeds == split_seed(int(seed), 100)
    assert len(set(seeds)) == 100
    assert all(type(s) is int and 0 <= s < 2**31 for s in seeds)


def test_neighbours_share_nothing():
    seeds = [s for seed in range(100) for s in split_seed(seed, 10)]
    assert len(set(seeds)) == 1000
    assert len(set(np.diff(seeds))) == 999


def test_none_is_fresh_every_time():
    assert split_seed(None, 2) != split_seed(None, 2)


def test_a_generator_is_passed_on():
    generator = keras.random.SeedGenerator(0)
    assert split_seed(generator, 2) == [generator, generator]


def test_a_jax_key_is_split():
    if keras.backend.backend() != "jax":
        pytest.skip("only JAX has keys")
    import jax

    first, second = split_seed(jax.random.key(0), 2)
    assert jax.random.normal(first) != jax.random.normal(second)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="seed must be 0 or more; received -1"):
        split_seed(-1, 2)


@pytest.mark.parametrize("seed", [1.5, "a"])
def test_other_things_are_named(seed):
    with pytest.raises(TypeError, match=f"seed must be .*received {seed!r}"):
        split_seed(seed, 2)


# Draws of arrays.


def test_arrays_are_drawn_alike_on_every_backend():
    """These are NumPy's numbers."""
    [child] = np.random.default_rng(7).spawn(1)
    joint = mx.Joint(a=mx.Normal(1))([0.0, 0.0])
    np.testing.assert_array_equal(joint.sample(3, seed=7), child.standard_normal((3, 1)))
    np.testing.assert_array_equal(
        mx.Normal(1)([0.0, 0.0]).sample(3, seed=7), np.random.default_rng(7).standard_normal((3, 1))
    )


def test_a_generator_gives_arrays_too():
    draw = mx.Normal(1)([0.0, 0.0]).sample
    first, second = (
        [draw(5, seed=generator) for _ in range(2)]
        for generator in (keras.random.SeedGenerator(3), keras.random.SeedGenerator(3))
    )
    np.testing.assert_array_equal(first, second)
    assert (first[0] != first[1]).all()


def test_each_row_chooses_by_its_own_weights():
    """Also where so many rows share one table that a weight's last digits are lost."""
    rng = np.random.default_rng(0)
    only = rng.integers(0, 5, 300_000)
    logits = np.where(np.arange(5) == only[:, None], 0.0, -math.inf)
    np.testing.assert_array_equal(ArrayDraws(1).choose((), logits, 1.0), only)
    logits = np.tile(np.log([[0.1, 0.2, 0.7], [0.5, 0.5, 1e-300]]), (50_000, 1))
    chosen = ArrayDraws(1).choose((2,), logits, 1.0).reshape(2, -1, 2)
    assert stats.chisquare(np.bincount(chosen[..., 0].ravel()), [1e4, 2e4, 7e4]).pvalue > 1e-4
    assert stats.chisquare(np.bincount(chosen[..., 1].ravel()), [5e4, 5e4]).pvalue > 1e-4


def test_the_ends_of_the_uniform_choose_an_array_with_weight(monkeypatch):
    logits = np.array([[-math.inf, 0.0, 1.0, -math.inf]] * 1000)
    for uniform, expected in ((0.0, 1), (np.nextafter(1.0, 0.0), 2)):
        source = ArrayDraws(0)
        same = SimpleNamespace(random=lambda shape, uniform=uniform: np.full(shape, uniform))
        monkeypatch.setattr(source, "_rng", same)
        np.testing.assert_array_equal(source.choose((), logits, 1.0), expected)
