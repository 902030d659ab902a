"""From a question to a response."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any

import numpy as np
from anyio.to_thread import run_sync
from fastapi import Response
from fastapi.responses import HTMLResponse

from mixtura.data.touches import COLUMNS, format_performance, moving_of, parse_performance
from mixtura.errors import InputError
from mixtura.generation.request import SMALLEST
from mixtura.sampling import Sampler
from mixtura.studio import robojam
from mixtura.studio.limits import Limits
from mixtura.studio.messages import Answer, Answers, Asked, Model, Touch
from mixtura.studio.queue import Queue
from mixtura.systems.robojam.responding import Responder

LOG = logging.getLogger("uvicorn.error")  # where the server says that it has started


class Answering:
    """Answers questions with a responder, within limits.

    Calls are read in threads, answers drawn and written one at a time in another: the event loop never waits.

    Args:
        responder: what answers.
        limits: what one request may ask for.
    """

    def __init__(self, responder: Responder, limits: Limits) -> None:
        self._responder, self._limits = responder, limits
        self._queue = Queue(limits.waiting)
        self.model = Model(
            name=responder.name,
            parameters=responder.model.count_params(),
            distribution=repr(responder.model.family),
        )

    async def begin(self) -> None:
        """Compile: draw once for every length and every number of answers that a program is made for."""
        start = time.perf_counter()
        await self._queue.run(self._draw_all_sizes)
        LOG.info("All programs are compiled (%.0f s).", time.perf_counter() - start)

    async def typed(self, question: Asked) -> Response:
        """Answer a question of the typed API."""
        call = await run_sync(self._call_of, question)
        seed = secrets.randbits(53) if question.seed is None else question.seed
        settings: dict[str, Any] = {
            # Answers do not depend on the count, and every other one would have programs of its own.
            "count": 1 if question.count == 1 else self._limits.count,
            "duration": question.duration,
            "temperature": question.temperature,
        }
        if {"weights", "scale"} & question.model_fields_set:
            settings["sampler"] = Sampler(weights=question.weights, scale=question.scale)

        def answers() -> Response:
            drawn = self._responder.respond(call, seed=seed, **settings)
            found = Answers(answers=[*map(_answer, drawn[: question.count])], seed=seed, model=self.model)
            return Response(found.model_dump_json(), media_type="application/json")

        return await self._queue.run(answers)

    async def as_robojam(self, body: bytes, media_type: str) -> Response:
        """Answer as RoboJam's first server did."""
        call = await run_sync(lambda: self._parsed(robojam.call_of(body, media_type)))

        def answer() -> Response:
            (drawn,) = self._responder.respond(call)
            return HTMLResponse(robojam.reply(format_performance(drawn)))

        return await self._queue.run(answer)

    def _draw_all_sizes(self) -> None:
        longest = self._limits.events
        powers = range(SMALLEST.bit_length() - 1, longest.bit_length())
        for length in sorted({1, longest, *(2**power for power in powers)}):
            for count in {1, self._limits.count}:
                self._responder.respond(np.full((length, len(COLUMNS)), 0.5), count, duration=0.01)

    def _call_of(self, question: Asked) -> np.ndarray:
        if "csv" in question.model_fields_set:
            return self._parsed(question.csv)
        return _array(question.touches)

    def _parsed(self, csv: str) -> np.ndarray:
        call = parse_performance(csv, "The call")
        if len(call) > self._limits.events:
            raise InputError(f"The call has {len(call)} touches; expected at most {self._limits.events}.")
        return call


def _array(touches: list[Touch]) -> np.ndarray:
    """Return touches as the responder takes them, `(n, 4)`."""
    time = np.array([touch.time for touch in touches])
    dt = np.diff(time, prepend=time[0])
    if (dt < 0).any():
        number = int((dt < 0).argmax())
        raise InputError(
            f"touches[{number}].time is {time[number]}, after {time[number - 1]}; "
            "expected times that do not run backwards."
        )
    given = [touch.moving for touch in touches if touch.moving is not None]
    if len(given) not in (0, len(touches)):
        raise InputError("Some touches have `moving` and others have not; expected it in all or in none.")
    moving = given or moving_of(dt)
    return np.column_stack([[(touch.x, touch.y) for touch in touches], dt, moving])


def _answer(performance: np.ndarray) -> Answer:
    """Return an answer in both forms, with the same digits."""
    csv = format_performance(performance)
    names, *rows = (line.split(",") for line in csv.splitlines())
    values = ([*map(float, numbers), int(moving)] for *numbers, moving in rows)
    touches = [Touch.model_validate(dict(zip(names, row, strict=True))) for row in values]
    return Answer(touches=touches, csv=csv)
