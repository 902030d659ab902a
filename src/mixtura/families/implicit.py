"""Gradients through draws that no formula transports: implicit reparameterisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from mixtura.families.base import Family


def reparameterised(family: Family, params: Any, y: Any) -> Any:
    r"""Return draws `y` of a one-dimensional continuous family, with a gradient with respect to `params`.

    $$\frac{\partial y}{\partial \theta} = -\frac{\partial F(y; \theta) / \partial \theta}{p(y; \theta)}$$

    (Figurnov, Mohamed & Mnih 2018, eq. 5; for mixtures Graves 2016.)

    Args:
        family: has `_cdf`, `_sf` and `_log_prob`.
        params: `(*batch, params_size)`.
        y: drawn from `family(params)`, `(*batch, 1)`.
    """

    def surrogate(params: Any, y: Any) -> Any:
        y = ops.stop_gradient(y)
        below, above = family._cdf(ops, params, y), family._sf(ops, params, y)
        level = ops.where(below < above, below, -above)  # the nearer tail has more digits
        density = ops.exp(ops.stop_gradient(family._log_prob(ops, params, y)))
        change = (level - ops.stop_gradient(level)) / ops.maximum(density, 1e-30)
        return y - change[..., None]

    if keras.backend.backend() == "jax":
        import jax

        # Computed only where a gradient is taken: a program that only draws does not pay for it.
        @jax.custom_jvp
        def drawn(params: Any, y: Any) -> Any:
            return y

        @drawn.defjvp
        def _(primals: Any, tangents: Any) -> Any:
            return primals[1], jax.jvp(surrogate, primals, tangents)[1]

        return drawn(params, y)
    if not getattr(params, "requires_grad", True):  # PyTorch, where no gradient is taken
        return y
    return surrogate(params, y)
