"""Answers drawn one at a time, beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import HTTPException

Result = TypeVar("Result")


class Queue:
    """Runs functions one after the other in a thread of its own.

    One draw keeps the processor busy: two at once would each take twice as long.

    Args:
        waiting: how many may wait while another runs.
    """

    def __init__(self, waiting: int) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")
        self._places = threading.BoundedSemaphore(waiting + 1)

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what a function returns, or raise what it raises.

        Raises:
            HTTPException: 503 with Retry-After, if all places are taken.
        """
        if not self._places.acquire(blocking=False):
            sentence = "Too many calls are waiting for an answer; try again in a second."
            raise HTTPException(503, sentence, headers={"Retry-After": "1"})
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        finally:
            self._places.release()
