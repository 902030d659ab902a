"""The logarithm of a scale, computed from the raw activation without leaving log space."""

import math
from typing import Any, Literal, get_args

import numpy as np
from keras import ops

from mixtura.families import host
from mixtura.families.special import log1mexp, logaddexp, softplus

ScaleActivation = Literal["elu", "softplus", "exp"]
SCALE_ACTIVATIONS = get_args(ScaleActivation)

# Below this a float32 could not square the inverse scale, and a loss would be infinite. exp(-30) is 9e-14.
SMALLEST_LOG_SCALE = -30.0


def log_scale(xp: Any, activation: Any, kind: str, floor: Any) -> Any:
    r"""Return $\log(\sigma(a) + \text{floor})$ elementwise, with no epsilon.

    ========== ======================== ==========================================
    kind       $\sigma(a)$              $\log \sigma(a)$
    ========== ======================== ==========================================
    elu        ELU(a) + 1               min(a, 0) + log(1 + max(a, 0)), exact
    softplus   log(1 + exp(a))          log of it; a - exp(a)/2 below a = -15
    exp        exp(a)                   a
    ========== ======================== ==========================================

    ELU + 1 is the lecture's choice: exponential below zero, linear above, so that one large step cannot
    overflow. The floor is added to the scale, so every use of the scale sees it and gradients stay smooth.

    Args:
        xp: `keras.ops` or its NumPy twin.
        activation: raw activations, any shape.
        kind: "elu", "softplus" or "exp".
        floor: the smallest scale, in the event's units; 0 for none (then exp(-30) = 9e-14 bounds it). A
            number, or an array of the activations' last axis.
    """
    if kind == "elu":
        # relu, not minimum and maximum, whose slope at a tie differs between backends: here it is 1.
        positive = xp.relu(activation)
        value = _bounded(xp, activation - positive) + xp.log(1 + positive)
    elif kind == "softplus":
        # Below -15 the series' error, exp(2a), is under 1e-13, and log(softplus) would underflow to log(0).
        tiny = activation < -15.0
        low, high = xp.where(tiny, activation, -15.0), xp.where(tiny, -15.0, activation)
        value = _bounded(xp, xp.where(tiny, low - 0.5 * xp.exp(low), xp.log(softplus(xp, high))))
    else:
        value = _bounded(xp, activation)
    if not np.any(floor):
        return value
    log_floor = np.log(floor) if xp is host else ops.convert_to_tensor(np.log(floor), dtype=value.dtype)
    return logaddexp(xp, value, xp.zeros_like(value) + log_floor)


def activation_of(log_sigma: np.ndarray, kind: str, floor: Any) -> np.ndarray:
    r"""Return the activation whose `log_scale` is `log_sigma`, elementwise: the inverse of `log_scale`.

    A scale that is not above `smallest_scale(floor)` is taken to be that.

    Args:
        log_sigma: logarithms of scales, any shape.
        kind: "elu", "softplus" or "exp".
        floor: what `log_scale` adds.
    """
    log_sigma = np.maximum(log_sigma, np.log(smallest_scale(floor)))
    if np.any(floor):
        log_sigma = log_sigma + log1mexp(host, np.log(floor) - log_sigma)
    if kind == "exp":
        return log_sigma
    large = np.exp(np.maximum(log_sigma, 0.0))
    if kind == "elu":
        return np.where(log_sigma > 0, large - 1, log_sigma)
    sigma = np.exp(log_sigma)
    return sigma + log1mexp(host, -sigma)  # log(exp(sigma) - 1)


def smallest_scale(floor: Any) -> Any:
    """Return the smallest scale that `activation_of` finds an activation for.

    At the floor itself that would be -inf. A hundredth above it the scale's slope is a hundredth of what it
    is without a floor, from where training still finds a way up.
    """
    return 1.01 * np.asarray(floor) if np.any(floor) else math.exp(SMALLEST_LOG_SCALE)


def _bounded(xp: Any, log_sigma: Any) -> Any:
    """Return the larger of a log scale and the smallest; not maximum, whose gradient costs JAX a division."""
    return xp.where(log_sigma < SMALLEST_LOG_SCALE, SMALLEST_LOG_SCALE, log_sigma)
