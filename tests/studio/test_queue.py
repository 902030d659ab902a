"""Answers are drawn one at a time, and only so many calls wait."""

import asyncio
import threading

from mixtura.data.sequences import Sequences
from mixtura.studio import Limits

OLD = "/api/predict"


def test_who_finds_the_queue_full_is_told_to_come_back(in_process, refused, call):
    answer = threading.Event()

    def respond(touches):
        assert answer.wait(30)
        return Sequences.of([[[0.5, 0.5, 0.1, 0]]])

    async def ask(client):
        calls = [asyncio.create_task(client.post(OLD, json={"perf": call})) for _ in range(3)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        health = await client.get("/health")  # meanwhile the event loop is free
        answer.set()
        return [one.result() for one in done], health, await asyncio.gather(*calls)

    (full,), health, responses = in_process(respond, ask, Limits(waiting=1))
    refused(full, 503)
    assert int(full.headers["retry-after"]) >= 1
    assert health.status_code == 200
    assert sorted(response.status_code for response in responses) == [200, 200, 503]
