"""One seed in, several independent ones out, on every backend; and choices made with them."""

from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

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
    if isinstance(seed, keras.random.SeedGenerator):
        return [seed] * count
    if seed is None or isinstance(seed, int | np.integer):
        if seed is not None and seed < 0:
            raise ValueError(f"seed must be 0 or more; received {seed}")
        return [int(word) for word in np.random.SeedSequence(seed).generate_state(count) >> np.uint32(1)]
    if not host.is_tensor(seed):
        raise TypeError(f"seed must be an int, a SeedGenerator, a JAX key or None; received {seed!r}")
    import jax  # only JAX has keys

    return list(jax.random.split(seed, count))


def choose(logits: Any, temperature: Any, seed: Any) -> Any:
    """Draw an index below K for each row of `logits` `(*batch, K)` with probabilities softmax(logits / t).

    At temperature 0 the largest logit wins; equal ones are drawn with equal probability.
    """
    # Inverting the cumulative weights takes one uniform number a row, where Gumbel noise would take K.
    # Dividing by the last makes it exactly 1, so that a component of weight zero is never drawn.
    weights = ops.exp(ops.log_softmax(tempered(logits, temperature), axis=-1))
    cumulative = ops.cumsum(weights, axis=-1)
    cumulative = cumulative[..., :-1] / cumulative[..., -1:]
    uniform = keras.random.uniform((*ops.shape(logits)[:-1], 1), dtype=logits.dtype, seed=seed)
    return ops.sum(ops.cast(uniform >= cumulative, "int32"), axis=-1)


def tempered(logits: Any, temperature: Any) -> Any:
    """Return logits / temperature, less their largest; 0 leaves the largest and makes the others -inf."""
    if isinstance(temperature, Real) and temperature == 1:
        return logits
    return (logits - ops.max(logits, axis=-1, keepdims=True)) / ops.maximum(temperature, 1e-30)
