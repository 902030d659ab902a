"""The modified Cholesky factor: each dimension, in units of its scale, regressed on those before it."""

from __future__ import annotations

from typing import Any

import numpy as np


def whiten(xp: Any, coefficients: Any, u: Any) -> Any:
    """Return z with z_i = u_i - sum over j < i of phi_ij u_j.

    Args:
        xp: `keras.ops` or its NumPy twin.
        coefficients: phi_10, phi_20, phi_21, ..., `(*batch, D (D - 1) / 2)`.
        u: `(*batch, D)`.
    """
    rows, start = [u[..., :1]], 0
    for i in range(1, u.shape[-1]):
        phi = coefficients[..., start : start + i]
        rows.append(u[..., i : i + 1] - xp.sum(phi * u[..., :i], axis=-1, keepdims=True))
        start += i
    return xp.concatenate(rows, axis=-1)


def colour(xp: Any, coefficients: Any, z: Any) -> Any:
    """Return u with u_i = z_i + sum over j < i of phi_ij u_j: the inverse of `whiten`."""
    u, start = z[..., :1], 0
    for i in range(1, z.shape[-1]):
        phi = coefficients[..., start : start + i]
        row = z[..., i : i + 1] + xp.sum(phi * u, axis=-1, keepdims=True)
        u = xp.concatenate([u, row], axis=-1)
        start += i
    return u


def coefficients_of(root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log scales `(*batch, D)` and coefficients of the covariance `root @ root.T`.

    Args:
        root: `(*batch, D, M)` with M >= D.
    """
    size = root.shape[-2]
    # The QR factorisation of the transpose is the Cholesky factor, without squaring.
    lower = np.swapaxes(np.linalg.qr(np.swapaxes(root, -1, -2), mode="r"), -1, -2)
    lower = lower * np.sign(np.diagonal(lower, axis1=-2, axis2=-1))[..., None, :]
    sigma = np.diagonal(lower, axis1=-2, axis2=-1)
    unit = np.linalg.inv(lower / sigma[..., :, None])  # T, with -phi below its diagonal
    return np.log(sigma), -unit[..., *np.tril_indices(size, -1)]
