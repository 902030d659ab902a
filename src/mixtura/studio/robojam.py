"""The contract of RoboJam's first server, as its clients know it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from fastapi import HTTPException

from mixtura.errors import InputError

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


def _body(perf: str) -> dict[str, Any]:
    field = {"type": "string", "description": perf}
    return {"schema": {"type": "object", "required": ["perf"], "properties": {"perf": field}}}


# What the OpenAPI document says of the body, which FastAPI does not read.
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: _body("the call as MicroJam writes it: the columns time, x, y, z and moving"),
            FORM: _body("the call as a JSON string, or an object with it as `perf`"),
        },
    }
}


def call_of(body: bytes, media_type: str) -> str:
    """Return the call that a request holds, as CSV.

    Args:
        body: the request's.
        media_type: JSON with the call as `perf`, or a form whose field `perf` is JSON: the call, or an object
            with the call as `perf`.

    Raises:
        HTTPException: 415 for another media type, 400 for a body that is no JSON or no form.
        InputError: if there is no `perf`, or it is not what was expected.
    """
    if media_type == FORM:
        field = _fields(body).get("perf")
        if not field:
            raise InputError("The form has no field 'perf'; expected the call as JSON.")
        try:
            found = json.loads(field[0])
        except (ValueError, RecursionError):
            raise InputError("The field 'perf' is no JSON; expected the call as a JSON string.") from None
        perf = found.get("perf") if isinstance(found, dict) else found
    elif media_type == JSON:
        found = _json(body)
        if not isinstance(found, dict) or "perf" not in found:
            raise InputError("The body has no 'perf'; expected a JSON object with the call in it.")
        perf = found["perf"]
    else:
        raise HTTPException(415, f"The body must be {JSON}; received {media_type or 'no media type'}.")
    if not isinstance(perf, str):
        raise InputError("'perf' is no text; expected the call as CSV.")
    return perf


def reply(csv: str) -> str:
    """Return the body of a response."""
    return json.dumps({"response": csv})


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise HTTPException(400, f"The body is no form ({error}).") from None


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise HTTPException(400, f"The body is no JSON: {error.msg} at character {error.pos}.") from None
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is no JSON.") from None
