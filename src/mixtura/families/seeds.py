"""One seed in, several independent ones out, on every backend."""

from typing import Any

import keras
import numpy as np

from mixtura.families import host


def split_seed(seed: Any, count: int) -> list[Any]:
    """Return `count` independent seeds made from one.

    Args:
        seed: an int (the same seeds every time), a `keras.random.SeedGenerator` (it advances), a JAX key,
            or None (fresh entropy).
        count: how many.

    Neighbouring integers are spread by NumPy's SeedSequence, because on PyTorch nearby Keras seeds give
    shifted copies of one stream.
    """
    check_seed(seed)
    if isinstance(seed, keras.random.SeedGenerator):
        return [seed] * count
    if seed is None or isinstance(seed, int | np.integer):
        return [int(word) for word in np.random.SeedSequence(seed).generate_state(count) >> np.uint32(1)]
    if count == 1:
        return [seed]
    import jax  # only JAX has keys

    return list(jax.random.split(seed, count))


def check_seed(seed: Any) -> None:
    """Raise a ValueError for a negative seed, a TypeError for what is none."""
    if isinstance(seed, int | np.integer):
        if seed < 0:
            raise ValueError(f"seed must be 0 or more; received {seed}")
    elif not (seed is None or isinstance(seed, keras.random.SeedGenerator) or host.is_tensor(seed)):
        raise TypeError(f"seed must be an int, a SeedGenerator, a JAX key or None; received {seed!r}")
