"""What one request may ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mixtura.systems.robojam.responding import LONGEST_CALL


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many may wait.

    Attributes:
        body: bytes of a request's body; a larger one is refused while it is read (413).
        events: touches of a call (422).
        count: answers to a call (422).
        duration: seconds of an answer (422).
        waiting: calls that wait while another is answered; the next is told to come back (503).

    Raises:
        ValueError: for a limit that is not positive.
    """

    body: int = 2**20
    events: int = LONGEST_CALL
    count: int = 16
    duration: float = 30.0
    waiting: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name} must be positive; received {getattr(self, field.name)!r}")
