"""Samplers: how the randomness of a draw is turned down or up, under the names it was published with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any


def _check(name: str, value: Any) -> Any:
    """Return a number as a float and a scalar tensor as it is, or raise a ValueError that names it."""
    if isinstance(value, Real):
        value = float(value)
        valid = math.isfinite(value) and value >= 0
    else:
        valid = len(getattr(value, "shape", "none")) == 0
    if not valid:
        raise ValueError(f"{name} must be a finite number, 0 or more; received {value!r}")
    return value


def _root(value: Any) -> Any:
    if isinstance(value, Real):
        return math.sqrt(value)
    from keras import ops  # takes seconds to import

    return ops.sqrt(value)


@dataclass(frozen=True)
class Sampler:
    r"""Three temperatures of a draw.

    | field | what it changes | 0 means |
    |---|---|---|
    | `weights` | a mixture's weights: softmax(logits / `weights`) | the most probable component |
    | `scale` | a component's noise: its scales times `scale` | the component's centre |
    | `discrete` | `Categorical` and `Bernoulli`: logits / `discrete` | the most probable category |

    All are 1 by default, which draws from the distribution itself. The centre is the mean of a `Normal`
    and the median of the other families. Ties at 0 are broken at random. Values may be scalar tensors, so
    that a compiled program takes a new temperature without compiling again.

    Published conventions differ; the named constructors spell each in these three numbers.

    | constructor | weights | scale | discrete | source |
    |---|---|---|---|---|
    | `keras_mdn(temp, sigma_temp)` | temp | sqrt(sigma_temp) | 1 | keras-mdn-layer, IMPSY, RoboJam 2 |
    | `graves(bias)` | 1 / (1 + bias) | exp(-bias) | 1 | Graves 2013, eqs. 61 and 62 |
    | `kanji(T)` | T | 1 | 1 | Ha 2015 (its code meant T for the pen too, without effect) |
    | `sketch_rnn(tau)` | tau | sqrt(tau) | tau | Ha & Eck 2017, eq. 8 |
    | `magenta(tau)` | tau | tau | tau | Magenta's Python code of Sketch-RNN |
    | `magenta_js(tau)` | (1 + tau) / 2 | sqrt(tau) | (1 + tau) / 2 | Magenta.js |
    | `robojam(temp, sigma_temp)` | temp | sigma_temp | 1 | RoboJam (Martin & Torresen 2018) |
    | `world_models(tau)` | tau | sqrt(tau) | 0 | Ha & Schmidhuber 2018: done is a threshold |
    | `greedy()` | 0 | 0 | 0 | |

    Raises:
        ValueError: for a number that is negative or not finite.

    Example:
        >>> import mixtura as mx
        >>> mx.Sampler.sketch_rnn(0.25)
        Sampler(weights=0.25, scale=0.5, discrete=0.25)
    """

    weights: Any = 1.0
    scale: Any = 1.0
    discrete: Any = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            # NumPy's numbers would carry their dtype into the tensors of a draw.
            object.__setattr__(self, field.name, _check(field.name, getattr(self, field.name)))

    @classmethod
    def keras_mdn(cls, temp: float = 1.0, sigma_temp: float = 1.0) -> Sampler:
        """Divide the logits by `temp` and multiply the variance by `sigma_temp`."""
        _check("sigma_temp", sigma_temp)
        return cls(temp, _root(sigma_temp))

    @classmethod
    def graves(cls, bias: float) -> Sampler:
        """Draw neater samples: logits times 1 + `bias`, scales times exp(-`bias`)."""
        _check("bias", bias)
        return cls(1 / (1 + bias), math.e**-bias)

    @classmethod
    def kanji(cls, T: float) -> Sampler:
        """Divide the logits of the components by `T`."""
        return cls(T)

    @classmethod
    def sketch_rnn(cls, tau: float) -> Sampler:
        """Divide all logits by `tau` and multiply the variance by it, as in the paper."""
        _check("tau", tau)
        return cls(tau, _root(tau), tau)

    @classmethod
    def magenta(cls, tau: float) -> Sampler:
        """Divide all logits by `tau` and multiply the standard deviation by it."""
        return cls(tau, tau, tau)

    @classmethod
    def magenta_js(cls, tau: float) -> Sampler:
        """Divide all logits by (1 + `tau`) / 2 and multiply the variance by `tau`."""
        _check("tau", tau)
        return cls((1 + tau) / 2, _root(tau), (1 + tau) / 2)

    @classmethod
    def robojam(cls, temp: float = 1.0, sigma_temp: float = 1.0) -> Sampler:
        """Divide the logits by `temp` and multiply the standard deviation by `sigma_temp`."""
        return cls(temp, sigma_temp)

    @classmethod
    def world_models(cls, tau: float) -> Sampler:
        """Divide the logits by `tau`, multiply the variance by it; discrete parts are thresholded."""
        _check("tau", tau)
        return cls(tau, _root(tau), 0.0)

    @classmethod
    def greedy(cls) -> Sampler:
        """Take the most probable component's centre and the most probable category."""
        return cls(0.0, 0.0, 0.0)


# Draws from the distribution itself.
PLAIN = Sampler()

Samplers = Sampler | Mapping[str, Any]


def resolve(sampler: Samplers | None, temperature: float | None) -> Samplers:
    """Return the sampler that the arguments `sampler` and `temperature` of a drawing function ask for.

    `temperature=t` is short for `Sampler.sketch_rnn(t)`: one number for the weights, the variances and the
    discrete parts.

    Raises:
        TypeError: if `sampler` is neither a `Sampler` nor a mapping.
        ValueError: if both are given.
    """
    if temperature is not None:
        if sampler is not None:
            raise ValueError("give sampler or temperature, not both")
        return Sampler.sketch_rnn(temperature)
    if sampler is None:
        return PLAIN
    if not isinstance(sampler, Sampler | Mapping):
        raise TypeError(f"sampler must be a mixtura Sampler or a mapping of them; received {sampler!r}")
    return sampler


def is_plain(sampler: Sampler) -> bool:
    """Tell whether a sampler draws from the distribution itself; not so where a temperature is a tensor."""
    return all(isinstance(value, Real) and value == 1 for value in vars(sampler).values())


def for_one(sampler: Samplers) -> Sampler:
    """Return a sampler that is not a mapping, or raise: only a `Joint` has parts to name."""
    if isinstance(sampler, Sampler):
        return sampler
    if isinstance(sampler, Mapping):
        raise TypeError(f"a mapping of samplers is for the parts of a Joint; received {dict(sampler)!r}")
    raise TypeError(f"sampler must be a mixtura Sampler; received {sampler!r}")
