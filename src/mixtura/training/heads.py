"""Where a model keeps its `MDN` heads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def innermost_layers(layer: Any) -> Iterator[Any]:
    """Yield a layer, or those that a model or a wrapper such as `TimeDistributed` holds."""
    inner = getattr(layer, "layers", None) or ([layer.layer] if hasattr(layer, "layer") else [])
    if not inner:
        yield layer
    for held in inner:
        yield from innermost_layers(held)
