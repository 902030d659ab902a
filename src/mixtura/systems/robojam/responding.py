"""Performances of so many seconds, and answers to a call (Martin & Torresen 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.data.touches import COLUMNS, clean_touches, move_inwards, moving_of
from mixtura.errors import InputError
from mixtura.models import SequenceModel
from mixtura.sampling import Samplers
from mixtura.systems.robojam.heads import STEP

DURATION = 5.0  # seconds of a performance in MicroJam
LONGEST_CALL = 1000  # touches
LONGEST = 1000  # touches of an answer
TIME = COLUMNS.index("dt")
_PIECE = 128  # touches drawn at once: so many programs less to compile


def perform(model: SequenceModel, duration: float, **settings: Any) -> list[np.ndarray]:
    """Draw performances that last so long: the touches within it, one at least and 1000 at most.

    They are drawn in pieces until all have lasted that long: a stop rule would be compiled anew for each
    duration. Values are kept where a screen can be touched, and time does not run backwards.

    Args:
        model: of touches.
        duration: in seconds, after a prompt.
        **settings: of `mixtura.generation.generate`.

    Returns:
        Arrays `(touches, event_size)`, prompts included; after one, the first dt is the pause; without one it
        is 0, as recorded.
    """
    drawn = model.generate(1, **settings)
    given = drawn.lengths - 1
    performances = [drawn[row] for row in range(len(drawn))]
    settings.pop("prompt", None)
    for left in range(LONGEST - 1, 0, -_PIECE):
        if all(_elapsed(one[start:])[-1] >= duration for one, start in zip(performances, given, strict=True)):
            break
        drawn = model.generate(min(_PIECE, left), after=drawn, **settings)
        performances = [np.concatenate([one, drawn[row]]) for row, one in enumerate(performances)]
    return [within(one, duration, start) for one, start in zip(performances, given, strict=True)]


def _elapsed(touches: np.ndarray) -> np.ndarray:
    """Return the seconds at each touch, `(touches,)`."""
    return np.cumsum(touches[:, TIME].clip(min=0.0), dtype=np.float64)


def within(touches: np.ndarray, duration: float, start: int = 0) -> np.ndarray:
    """Return the touches that a screen can have within so many seconds after the start, one at least."""
    touches = touches.astype(np.float64)
    if not start:
        touches[0, TIME] = 0.0
    count = max(1, int(np.sum(_elapsed(touches[start:]) <= duration)))
    touches = touches[: start + count]
    touches[:, :2] = touches[:, :2].clip(0.0, 1.0)
    touches[start:, TIME] = touches[start:, TIME].clip(0.0, duration)
    return touches


class Responder:
    """Answers calls with a model of touches.

    Args:
        model: of `(x, y, dt)` or `(x, y, dt, moving)`.
        name: what the model is called.
    """

    def __init__(self, model: SequenceModel, name: str = "robojam") -> None:
        if model.family.event_size not in (3, 4):
            raise InputError(
                f"{name} has events of {model.family.event_size} dimensions; expected those of touches: "
                f"{', '.join(COLUMNS)}."
            )
        self.model, self.name = model, name

    def respond(
        self,
        call: np.ndarray,
        count: int = 1,
        duration: float = DURATION,
        seed: int | None = None,
        temperature: float | None = None,
        sampler: Samplers | None = None,
    ) -> Sequences:
        """Return answers: what the model goes on with after a call.

        Args:
            call: touches `(n, 4)` of (x, y, dt, moving), cleaned here as for training.
            count: how many answers.
            duration: of each, in seconds.
            seed: answer i of a seed is the same whatever the count; None for fresh ones.
            temperature: as in `mixtura.generation.generate`.
            sampler: as in `Family.sample`.

        Returns:
            Touches of the same columns; the first dt of an answer is its pause after the call.

        Raises:
            InputError: for a call of another shape, of no touch or more than 1000; for a count below 1, or a
                duration that is not positive and finite.
        """
        if np.ndim(call) != 2 or np.shape(call)[1] != len(COLUMNS):
            raise InputError(
                f"The call has the shape {np.shape(call)}; expected (touches, {len(COLUMNS)}), "
                f"of {', '.join(COLUMNS)}."
            )
        if not len(call):
            raise InputError("The call is empty; expected one touch at least.")
        if len(call) > LONGEST_CALL:
            raise InputError(f"The call has {len(call)} touches; expected at most {LONGEST_CALL}.")
        if count < 1:
            raise InputError(f"The number of answers must be 1 or more; received {count}.")
        if not 0 < duration < np.inf:
            raise InputError(f"The duration must be a positive number of seconds; received {duration}.")
        heard = prepared(Sequences.of([call]))[0][:, : self.model.family.event_size]
        rows = 1 << (count - 1).bit_length()  # so few batch sizes are compiled
        settings = {"seed": seed, "temperature": temperature, "sampler": sampler}
        drawn = perform(self.model, duration, prompt=heard, batch_size=rows, **settings)
        return Sequences.of(whole(one[len(heard) :]) for one in drawn[:count])


def prepared(touches: Sequences) -> Sequences:
    """Return performances as the model takes them: cleaned, and inside the supports of all heads."""
    return move_inwards(clean_touches(touches)[0], STEP)


def whole(touches: np.ndarray) -> np.ndarray:
    """Return touches with `moving`, by the rule of thumb where the model has none; the first begins one."""
    moving = touches[:, 3].round() if touches.shape[1] > 3 else moving_of(touches[:, TIME])
    moving = np.array(moving, np.float64).clip(0.0, 1.0)
    moving[:1] = 0.0
    return np.column_stack([touches[:, :3], moving])
