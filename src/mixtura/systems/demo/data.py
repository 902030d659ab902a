"""The lecture's two problems, and what any model of the second can reach."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.integrate import simpson
from scipy.special import xlogy

# The evenly weighted mixture of two normals.
WEIGHTS = np.array([0.5, 0.5])
MEANS = np.array([-5.0, 5.0])
SCALES = np.array([2.0, 3.0])

# The inverse-sine problem: y is uniform on (-LIMIT, LIMIT).
LIMIT = 10.5


def normal_density(y: np.ndarray, mean: np.ndarray | float, scale: np.ndarray | float) -> np.ndarray:
    """Return the density of a normal, broadcasting."""
    return np.exp(-0.5 * ((y - mean) / scale) ** 2) / (scale * np.sqrt(2 * np.pi))


def sample_mixture(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from the mixture of two normals, `(count, 1)`."""
    component = rng.choice(2, size=count, p=WEIGHTS)
    return rng.normal(MEANS[component], SCALES[component])[:, None]


def curve(y: np.ndarray) -> np.ndarray:
    """Return 7 sin(0.75 y) + 0.5 y, the noiseless x at y."""
    return 7.0 * np.sin(0.75 * y) + 0.5 * y


def inverse_sine(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the problem whose inverse has several right answers: x = curve(y) + N(0, 1); predict y from x.

    Returns:
        x and y, each `(count, 1)`.
    """
    y = rng.uniform(-LIMIT, LIMIT, size=(count, 1))
    return curve(y) + rng.normal(size=(count, 1)), y


def conditional_density(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the exact p(y | x) on a grid, `(len(y), len(x))`, for |y| within the problem's range."""
    support = np.linspace(-LIMIT, LIMIT, 4001)
    evidence = simpson(normal_density(x[:, None], curve(support), 1.0), x=support, axis=1)
    return (
        np.where(np.abs(y) <= LIMIT, 1.0, 0.0)[:, None] * normal_density(x, curve(y)[:, None], 1.0) / evidence
    )


class Limits(NamedTuple):
    """The lowest mean negative log-likelihoods, in nats, on fresh points of the inverse-sine problem."""

    conditional_entropy: float
    """h(y|x): the true conditional density. No model can do better."""
    single_normal: float
    """One normal for every x, with the true conditional mean and variance."""
    constant_variance: float
    """One normal for every x, with one variance for all: all that squared error can reach."""


def limits() -> Limits:
    """Compute the limits by Simpson's rule.

    With p(x) and the moments of y given x from integrals over y,

        h(y|x)              = h(x|y) + h(y) - h(x)
        one normal          = E_x log(2 pi e Var(y|x)) / 2
        constant variance   = log(2 pi e E_x Var(y|x)) / 2
    """
    y = np.linspace(-LIMIT, LIMIT, 4001)
    x = np.linspace(curve(y).min() - 8.0, curve(y).max() + 8.0, 2001)
    joint = normal_density(x[:, None], curve(y), 1.0) / (2 * LIMIT)
    evidence = simpson(joint, x=y, axis=1)
    mean = simpson(joint * y, x=y, axis=1) / evidence
    variance = simpson(joint * (y - mean[:, None]) ** 2, x=y, axis=1) / evidence

    def expectation(values: np.ndarray) -> float:
        return float(simpson(evidence * values, x=x))

    noise_entropy = 0.5 * np.log(2 * np.pi * np.e)
    entropy_of_x = -float(simpson(xlogy(evidence, evidence), x=x))
    return Limits(
        conditional_entropy=float(noise_entropy + np.log(2 * LIMIT) - entropy_of_x),
        single_normal=expectation(noise_entropy + 0.5 * np.log(variance)),
        constant_variance=float(noise_entropy + 0.5 * np.log(expectation(variance))),
    )
