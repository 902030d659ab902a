import keras
import numpy as np
import pytest

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
