"""What drawing returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from keras import ops


class Carry(NamedTuple):
    """What one step hands to the next: nested tensors, the batch on their first axis."""

    event: Any
    state: Any
    memory: Any
    ended: Any


@dataclass(frozen=True)
class Generated:
    """Sequences, and where they can be continued.

    Attributes:
        events: `(batch, steps, event_size)`, prompts included, zero after a sequence's end.
        lengths: how many events each sequence has, `(batch,)`.
        carry: what comes after: the last event, the model's state, whether a stop rule has ended the
            sequence, and the rule's memory.
        taken: how many steps each sequence has behind it, those of `after` included, `(batch,)`.
        stop: the rule that ended sequences: the carry holds its memory.
    """

    events: np.ndarray
    lengths: np.ndarray
    carry: Carry
    taken: np.ndarray
    stop: Any = None

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return one sequence, `(length, event_size)`."""
        return self.events[index, : self.lengths[index]]

    @property
    def state(self) -> Any:
        """The model's state after each sequence's last event: nested tensors."""
        return self.carry.state

    @property
    def ended(self) -> np.ndarray:
        """Whether a stop rule has ended each sequence, `(batch,)`."""
        return np.asarray(ops.convert_to_numpy(self.carry.ended))
