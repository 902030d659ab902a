"""Logarithms of probabilities that keep their digits in the tails, on tensors and on arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import log_ndtr as scipy_log_ndtr

from mixtura.families import host

# Farther out, a gradient (z times a coefficient times another z) could overflow float32.
LARGEST_Z = 1e15

# Stands for infinity where infinity times a gradient of zero would be NaN.
AS_GOOD_AS_INFINITE = 1e30

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

# Eight nodes integrate exp(-m x - x^2 / 2) over a half width h with h (|m| + h) < 1 to 1e-16.
_NODES, _NODE_WEIGHTS = (half[4:] for half in np.polynomial.legendre.leggauss(8))


def log_zero(xp: Any) -> float:
    """Return the logarithm of a density of zero.

    On arrays it is -inf. On tensors it is -1e30, which is as good as -inf in any sum of densities, while a
    loss masked or weighted by 0 stays 0, and gradients stay finite.
    """
    return -math.inf if xp is host else -1e30


def bounded(xp: Any, x: Any) -> Any:
    """Return x with infinite values made finite, so that gradients stay so."""
    return xp.clip(x, -AS_GOOD_AS_INFINITE, AS_GOOD_AS_INFINITE)


def logaddexp(xp: Any, a: Any, b: Any) -> Any:
    """Return log(exp(a) + exp(b)) of finite numbers.

    Keras's own halves float64's digits on JAX and PyTorch, and on TensorFlow its slope is wrong where a = b.
    """
    above = a > b
    return xp.where(above, a, b) + xp.log1p(xp.exp(xp.where(above, b - a, a - b)))


def softplus(xp: Any, x: Any) -> Any:
    """Return log(1 + exp(x)): minus the log of a logistic probability of logit -x.

    PyTorch's own softplus is linear above 20, which costs float64 its digits.
    """
    return logaddexp(xp, x, xp.zeros_like(x))


def logsumexp(xp: Any, x: Any) -> Any:
    """Return the log of the sum of exponentials over the last axis.

    Its gradient is exp(x) over the sum of exp(x), which is 1 in all however large x is. PyTorch's own takes
    exp(x - result), which a rounded result makes wrong by factors.
    """
    if xp is host:
        return host.logsumexp(x, axis=-1)
    top = xp.stop_gradient(xp.max(x, axis=-1, keepdims=True))
    return xp.log(xp.sum(xp.exp(x - top), axis=-1)) + top[..., 0]


def log1mexp(xp: Any, x: Any) -> Any:
    """Return log(1 - exp(x)) for x <= 0 (Maechler 2012); `log_zero` for x = 0."""
    below = xp.where(x < -1e-37, x, -1e-37)
    near = xp.log(-xp.expm1(xp.where(below > -1.0, below, -1.0)))
    far = xp.log1p(-xp.exp(xp.where(below < -0.5, below, -0.5)))
    return xp.where(x >= 0, log_zero(xp), xp.where(below > -math.log(2), near, far))


def log_ndtr(xp: Any, x: Any) -> Any:
    """Return the log of the standard normal distribution function.

    Below -12 by the asymptotic series of Mills' ratio (error under 2e-12), above through erfc.
    """
    if xp is host:
        return scipy_log_ndtr(x)
    far = xp.where(x < -12, x, -12.0)
    inverse_square = 1 / xp.square(far)
    series = xp.zeros_like(x)
    for odd in (15, 13, 11, 9, 7, 5, 3, 1):
        series = -odd * inverse_square * (1 + series)
    tail = -0.5 * xp.square(far) - HALF_LOG_2PI - xp.log(-far) + xp.log1p(series)
    near = xp.log(0.5 * xp.erfc(xp.where(x < -12, -12.0, x) / -math.sqrt(2)))
    return xp.where(x < -12, tail, near)


def log_ndtr_interval(xp: Any, low: Any, high: Any, width: Any) -> Any:
    """Return the log of the standard normal's probability between `low` and `high`.

    Args:
        xp: `keras.ops` or its NumPy twin.
        low: the lower end, -inf allowed.
        high: the upper end, inf allowed.
        width: high - low, as the caller knows it best: for a narrow interval the subtraction cancels.

    Both ends are mirrored into the lower tail, where logarithms of the distribution function can be
    subtracted. Where the interval is so narrow that they would cancel, the density is integrated instead.
    """
    low, high = (xp.clip(end, -LARGEST_Z, LARGEST_Z) for end in (low, high))
    mirrored = low + high > 0
    low, high = xp.where(mirrored, -high, low), xp.where(mirrored, -low, high)

    middle, half = 0.5 * (low + high), 0.5 * xp.clip(width, 0.0, 2 * LARGEST_Z)
    narrow = half * (xp.absolute(middle) + half) < 1
    # Whatever is not narrow gets harmless values here, so that no gradient is NaN.
    middle, half = xp.where(narrow, middle, 0.0), xp.where(narrow, half, 1.0)
    integral = xp.zeros_like(half)
    for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
        offset = float(node) * half
        pair = xp.exp(-middle * offset) + xp.exp(middle * offset)
        integral = integral + float(weight) * pair * xp.exp(-0.5 * xp.square(offset))
    positive = xp.where(half > 0, half, 1.0)
    thin = xp.log(positive) + xp.log(integral) - 0.5 * xp.square(middle) - HALF_LOG_2PI

    log_high = log_ndtr(xp, high)
    thick = log_high + log1mexp(xp, xp.where(narrow, -1.0, log_ndtr(xp, low) - log_high))
    return xp.where(narrow, xp.where(half > 0, thin, log_zero(xp)), thick)
