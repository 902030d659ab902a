"""What is refused, with which status and which sentence."""

import pytest

TYPED = "/api/v1/respond"
IS_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("status", "words", "request_"),
    [
        (400, "is no JSON: Expecting", {"content": b'{"csv": ', "headers": IS_JSON}),
        (400, "no JSON that can be read", {"content": b"\xff\xff", "headers": IS_JSON}),
        (400, "no JSON that can be read", {"content": b"[" * 10_000, "headers": IS_JSON}),
        (413, "larger than 20000 bytes", {"content": b" " * 20_001, "headers": IS_JSON}),
        (413, "larger than 20000 bytes", {"content": [b" " * 5_000] * 5, "headers": IS_JSON}),
        (415, "received no media type", {"content": b"{}"}),
        (415, "received text/plain", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
        (422, "body is empty; expected a JSON object", {"headers": IS_JSON}),
        (422, "body is no JSON object; received []", {"json": []}),
        (422, "either as csv or as touches", {"json": {}}),
        (422, "either as csv or as touches", {"json": {"csv": "", "touches": [{"time": 0, "x": 0, "y": 0}]}}),
        (422, "The call is empty; expected the columns time,x,y", {"json": {"csv": ""}}),
        (422, "a header line but no rows", {"json": {"csv": "time,x,y,z,moving\n"}}),
        (422, "line 3: time", {"json": {"csv": "time,x,y\n1,0,0\n0,0,0\n"}}),
        (422, "line 2, column 'x': 'left'", {"json": {"csv": "time,x,y\n0,left,0\n"}}),
        (422, "The call: unknown 'force'", {"json": {"csv": "time,x,y,force\n0,0,0,0\n"}}),
        (422, "41 touches; expected at most 40", {"json": {"csv": "time,x,y\n" + "0,0,0\n" * 41}}),
        (
            422,
            "The call has 41 touches; expected at most 40.",
            {"json": {"touches": [{"time": 0, "x": 0, "y": 0}] * 41}},
        ),
        (
            422,
            "touches[1].y is missing.",
            {"json": {"touches": [{"time": 0, "x": 0, "y": 0}, {"time": 1, "x": 0}]}},
        ),
        (
            422,
            "touches[1].time is 0.0, after 1.0; expected times that do not run backwards",
            {"json": {"touches": [{"time": 1, "x": 0, "y": 0}, {"time": 0, "x": 0, "y": 0}]}},
        ),
        (
            422,
            "Some touches have `moving`",
            {"json": {"touches": [{"time": 0, "x": 0, "y": 0, "moving": 0}, {"time": 0, "x": 0, "y": 0}]}},
        ),
        (
            422,
            "count: input should be less than or equal to 4; received 5.",
            {"json": {"csv": "", "count": 5}},
        ),
        (
            422,
            "duration: input should be a valid number; received '5'.",
            {"json": {"csv": "", "duration": "5"}},
        ),
        (422, "duration: input should be less than or equal to 30", {"json": {"csv": "", "duration": 31}}),
        (422, "finite", {"content": b'{"csv": "", "temperature": NaN}', "headers": IS_JSON}),
        (422, "not both", {"json": {"csv": "", "temperature": 1, "scale": 1}}),
        (422, "tempo is unknown.", {"json": {"csv": "", "tempo": 1}}),
        (422, "seed: input should be greater than or equal to 0", {"json": {"csv": "", "seed": -1}}),
        (422, "\\ud800", {"content": b'{"csv": "\\ud800", "seed": "\\ud800"}', "headers": IS_JSON}),
    ],
)
def test_refusals_are_one_sentence(client, refused, status, words, request_):
    response = client.post(TYPED, **request_)
    refused(response, status)
    assert words in response.json()["error"]


def test_long_input_is_not_repeated_whole(client, refused):
    response = client.post(TYPED, json={"csv": "time,x,y\n0," + "a" * 10_000 + ",0\n"})
    refused(response, 422)
    refused(client.post(TYPED, json={"csv": "", "a" * 10_000: 1}), 422)


def test_other_paths_and_methods(client, refused):
    refused(client.get("/nowhere"), 404)
    response = client.get(TYPED)
    refused(response, 405)
    assert response.json()["error"] == "/api/v1/respond takes POST; received GET."
    assert response.headers["allow"] == "POST"


def test_a_failure_shows_no_traceback_and_reaches_the_log(in_process, refused, call):
    def respond(touches):
        raise RuntimeError("secret")

    async def ask(client):
        return await client.post(
            "/api/predict", json={"perf": call}, headers={"Origin": "https://example.org"}
        )

    response = in_process(respond, ask, raised=False)
    refused(response, 500)
    assert "secret" not in response.text
    assert response.headers["access-control-allow-origin"] == "*"
    with pytest.raises(RuntimeError, match="secret"):  # what the server logs
        in_process(respond, ask)
