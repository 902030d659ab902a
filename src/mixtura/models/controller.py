"""The C of World Models: a controller small enough to be evolved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mixtura.families.checks import natural, positive_int


@dataclass(frozen=True)
class Controller:
    r"""A linear map from what an agent sees and remembers to what it does, or one hidden layer.

    $$a = W\,[z; h] + b, \qquad \text{or} \quad a = W_2 \tanh(W_1\,[z; h] + b_1) + b$$

    (Ha & Schmidhuber 2018, arXiv:1803.10122, section 3.3 and table 1.) Its parameters are one vector,
    laid out W1, b1, W, b, row by row, for an evolution strategy to move; many are computed at once.

    Args:
        inputs: the size of what it is given.
        outputs: the size of what it returns: raw, see `systems/world/actions.py`.
        hidden: units of a hidden layer; 0 for none.
        bias: whether the last layer has one; the published Doom agent's has none.

    Raises:
        ValueError: for sizes that are not positive.

    Example:
        >>> Controller(32 + 256, 3).size, Controller(64 + 512 + 512, 1, bias=False).size
        (867, 1088)
    """

    inputs: int
    outputs: int
    hidden: int = 0
    bias: bool = True

    def __post_init__(self) -> None:
        positive_int("inputs", self.inputs)
        positive_int("outputs", self.outputs)
        natural("hidden", self.hidden)

    @property
    def size(self) -> int:
        """How many parameters there are."""
        last = (self.hidden or self.inputs) * self.outputs + self.bias * self.outputs
        return last + self.hidden * (self.inputs + 1)

    def __call__(self, xp: Any, params: Any, features: Any) -> Any:
        """Return raw outputs, `(*batch, rows, outputs)`.

        Args:
            xp: `numpy` or `jax.numpy`.
            params: of each controller, `(*batch, size)`.
            features: rows for each, `(*batch, rows, inputs)`.
        """
        batch, at = params.shape[:-1], 0

        def take(*shape: int) -> Any:
            nonlocal at
            count = math.prod(shape)
            part = xp.reshape(params[..., at : at + count], (*batch, *shape))
            at += count
            return part

        x = features
        if self.hidden:
            kernel, bias = take(self.inputs, self.hidden), take(1, self.hidden)
            x = xp.tanh(x @ kernel + bias)
        x = x @ take(self.hidden or self.inputs, self.outputs)
        return x + take(1, self.outputs) if self.bias else x
