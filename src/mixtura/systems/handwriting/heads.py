"""What the network's output means for a point of handwriting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixtura.families import Affine, Bernoulli, Family, Joint, Mixture, Normal
from mixtura.systems.sketch.heads import head as stroke_head


def head(name: str, components: int, facts: Mapping[str, Any]) -> Family:
    """Return the family of an event by its name.

    - "graves": of `(dx, dy, end)`, as published (2013, section 4.1): a mixture of bivariate normals for the
      offset and a probability for the end of a stroke, which know nothing of each other; offsets have mean 0
      and standard deviation 1 in each direction;
    - another: of `(dx, dy, draw, lift, end)`, see `mixtura.systems.sketch.heads.head`.

    Args:
        name: which.
        components: of the mixture.
        facts: the corpus's.
    """
    if name == "graves":
        offset = Mixture(Normal(2, "bivariate", scale="exp"), components)
        return Joint(offset=Affine(offset, facts["mean"], facts["std"]), end=Bernoulli())
    return stroke_head(name, components, facts["spread"], facts["step"])
