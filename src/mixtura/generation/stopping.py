"""Rules that end sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops


class Stop:
    """A rule that ends sequences, with a memory of its own.

    The model's `stop` sees one step; a rule given to `generate` may also count, add up, or wait. A subclass
    is hashable (a frozen dataclass is) and computes with `keras.ops`.
    """

    def start(self, batch_size: int) -> Any:
        """Return the memory before the first event: nested tensors, the batch on their first axis."""
        return ()

    def __call__(self, event: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        """Return which sequences end with this event, `(batch,)` of booleans, and the memory after it.

        Args:
            event: `(batch, event_size)`; also those of a prompt, which end nothing.
            state: the model's, after the step.
            memory: what the last call returned.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class StopAfterTotal(Stop):
    """End a sequence with the event whose dimension brings the total to the limit: seconds, for instance.

    Args:
        dimension: which dimension of events is added up, those of a prompt included.
        limit: the total.
    """

    dimension: int
    limit: float

    def start(self, batch_size: int) -> Any:
        """Return totals of zero."""
        return ops.zeros((batch_size,))

    def __call__(self, event: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        """Return whose total has reached the limit, and the totals."""
        size = event.shape[-1]
        if not -size <= self.dimension < size:
            raise ValueError(f"dimension must be one of an event's {size}; received {self.dimension}")
        total = memory + ops.cast(event[:, self.dimension], memory.dtype)
        return total >= self.limit, total
