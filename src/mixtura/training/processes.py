"""Several processes that train one model: the first one writes. They exist on JAX only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import numpy as np

from mixtura.errors import InputError


def is_first() -> bool:
    """Tell whether this process is the one that writes files."""
    if keras.backend.backend() != "jax":
        return True
    import jax

    return jax.process_index() == 0


def by_the_first(act: Callable[[], None]) -> None:
    """Let the first process act while the others wait.

    Raises:
        InputError: in the others, if the act failed; in the first, whatever it raised.
    """
    if keras.backend.backend() != "jax":
        return act()
    import jax
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return act()
    failure = None
    if is_first():
        try:
            act()
        except Exception as error:  # raised below, once the others know
            failure = error
    failed = bool(multihost_utils.broadcast_one_to_all(np.array(failure is not None)))
    if failure:
        raise failure
    if failed:
        raise InputError("The first of the processes could not write the run.")
    return None


@contextmanager
def alone() -> Iterator[None]:
    """Do what makes new variables, as saving a model does: under a distribution every process had to."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        yield
        return
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)
