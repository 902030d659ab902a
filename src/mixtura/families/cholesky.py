"""The modified Cholesky factor: each dimension, in units of its scale, regressed on those before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura.families.tables import add_rows, cut, rows_of


def whiten(xp: Any, coefficients: Any, u: Any, columns: int = 1) -> Any:
    """Return z with z_i = u_i - sum over j < i of phi_ij u_j.

    Args:
        xp: `keras.ops` or its NumPy twin.
        coefficients: phi_10, phi_20, phi_21, ..., `(*batch, D (D - 1) / 2)`.
        u: `(*batch, D)`.
        columns: how many columns both have as flat tables, of D (D - 1) / 2 and D rows.
    """
    size = u.shape[-1] // columns
    if size == 1:
        return u
    rows = rows_of(xp, u, size)
    phi = cut(xp, coefficients, [columns * i * (i + 1) // 2 for i in range(1, size - 1)])
    z = rows[:1]
    for i in range(1, size):
        earlier = xp.concatenate(rows[:i], axis=-1) if i > 1 else rows[0]
        z.append(rows[i] - add_rows(xp, phi[i - 1] * earlier, i))
    return xp.concatenate(z, axis=-1)


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
