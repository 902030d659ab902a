"""The contract of RoboJam's first server."""

import json

import numpy as np
import pytest

from mixtura.data.sequences import Sequences

OLD = "/api/predict"
IS_JSON = {"Content-Type": "application/json"}


def test_the_old_contract_byte_for_byte(in_process, call):
    heard = []

    def respond(touches):
        heard.append(touches)
        return Sequences.of([[[0.5, 0.25, 0.5, 0], [1, 0, 0.0625, 1]]])

    async def both(client):
        plain = await client.post(OLD, content=json.dumps({"perf": call}), headers=IS_JSON)
        forms = [{"perf": json.dumps(call)}, {"perf": json.dumps({"perf": call})}]
        return [plain, *[await client.post(OLD, data=form) for form in forms]]

    responses = in_process(respond, both)
    text = "time,x,y,z,moving\n0.500000,0.500000,0.250000,38.0,0\n0.562500,1.000000,0.000000,38.0,1\n"
    for response in responses:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.content == json.dumps({"response": text}).encode()
    expected = [[0.25, 0.125, 0, 0], [0.25425, 0.131125, 0.016686, 1], [0.7, 0.88, 0.491243, 0]]
    for touches in heard:
        np.testing.assert_allclose(touches, expected, atol=1e-9)


def test_the_old_contract_on_the_real_responder(client, call):
    (text,) = client.post(OLD, json={"perf": call}).json().values()
    header, *rows = text.removesuffix("\n").split("\n")
    assert header == "time,x,y,z,moving"
    assert [row.split(",")[3] for row in rows] == ["38.0"] * len(rows)
    assert rows[0].endswith(",0")
    assert float(rows[-1].split(",")[0]) <= 5


@pytest.mark.parametrize(
    ("status", "words", "request_"),
    [
        (400, "is no JSON: Expecting", {"content": b"time,x,y\n", "headers": IS_JSON}),
        (400, "is no JSON.", {"content": b"[" * 10_000, "headers": IS_JSON}),
        (422, "'perf' is no JSON", {"data": {"perf": "time,x,y\n"}}),
        (
            400,
            "is no form",
            {"content": b"&" * 200, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        ),
        (413, "larger than 20000 bytes", {"content": b" " * 20_001, "headers": IS_JSON}),
        (413, "larger than 20000 bytes", {"content": [b" " * 5_000] * 5, "headers": IS_JSON}),
        (415, "received text/html", {"content": b"{}", "headers": {"Content-Type": "text/html"}}),
        (422, "The body has no 'perf'", {"json": {"csv": ""}}),
        (422, "The form has no field 'perf'", {"data": {"csv": ""}}),
        (422, "'perf' is no text", {"json": {"perf": 1}}),
        (422, "'perf' is no text", {"data": {"perf": "1"}}),
        (422, "The call is empty", {"json": {"perf": ""}}),
        (422, "41 touches; expected at most 40", {"json": {"perf": "time,x,y\n" + "0,0,0\n" * 41}}),
    ],
)
def test_refusals_of_the_old_contract(client, refused, status, words, request_):
    response = client.post(OLD, **request_)
    refused(response, status)
    assert words in response.json()["error"]
