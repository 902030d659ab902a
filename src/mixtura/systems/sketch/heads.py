"""What the network's output means for an event of a drawing."""

from __future__ import annotations

import numpy as np

from mixtura.families import Affine, Categorical, Family, Joint, Mixture, Normal

HEADS = ("parts", "strokes")


def head(name: str, components: int, spread: float, step: float) -> Family:
    """Return a family of `(dx, dy, draw, lift, end)` by its name.

    - "parts": as published (Ha 2015; Ha & Eck 2017): a mixture of bivariate normals for the offset and three
      probabilities for the pen, which know nothing of each other; no floor;
    - "strokes": ours: one mixture whose components are kinds of strokes, each with an offset and a pen. So a
      long jump and the lifted pen before it, or the last line and the end, go together. Scales are no smaller
      than the rounding of what was recorded.

    Args:
        name: which.
        components: of the mixture.
        spread: of offsets: what the family's units are.
        step: of recording, in the data's units; 0 where offsets are continuous.
    """
    if name == "parts":
        offset = Mixture(Normal(2, "bivariate", scale="exp"), components)
        return Joint(offset=Affine(offset, 0.0, spread), pen=Categorical(3))
    if name == "strokes":
        floor = max(step / np.sqrt(12), 1e-3 * spread) / spread
        stroke = Affine(Normal(2, "bivariate", min_scale=floor), 0.0, spread)
        return Mixture(Joint(offset=stroke, pen=Categorical(3)), components)
    raise ValueError(f"there is no head {name!r}; expected one of {', '.join(map(repr, HEADS))}")
