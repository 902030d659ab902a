"""Every refusal is JSON: `{"error": "one sentence"}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mixtura.errors import InputError
from mixtura.studio.messages import Mistake

ABOUT = {
    400: "The body is no JSON.",
    413: "The body is too large.",
    415: "The body has another media type.",
    422: "The call cannot be answered, or a setting is out of bounds.",
    500: "An unexpected failure, of which the server's log has the traceback.",
    503: "Too many calls are waiting.",
}
RETRY = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
SHORT, LONG = 60, 500  # characters of a value that a sentence repeats, and of a sentence


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the refusals of a route, for the OpenAPI document."""
    content = {"application/json": {"schema": Mistake.model_json_schema()}}
    return {
        status: {"description": ABOUT[status], "content": content, "headers": RETRY if status == 503 else {}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Let an application answer every mistake with one sentence."""

    @app.exception_handler(InputError)
    async def unanswerable(request: Request, error: InputError) -> Response:
        return refusal(422, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            what, where = first["ctx"]["error"], first["loc"][-1]
            return refusal(400, f"The body is no JSON: {what} at character {where}.")
        return refusal(422, _sentence(first))

    @app.exception_handler(AnyHTTPException)
    async def refused(request: Request, error: AnyHTTPException) -> Response:
        sentence = error.detail.removesuffix(".") + "."
        if error.status_code == 404:
            sentence = f"There is nothing at {request.url.path}; /docs lists what there is."
        elif error.detail.startswith("There was an error parsing"):  # no UTF-8, too deep, a number too long
            sentence = "The body is no JSON that can be read."
        elif error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "other methods")
            sentence = f"{request.url.path} takes {allowed}; received {request.method}."
        return refusal(error.status_code, sentence, error.headers)

    @app.exception_handler(Exception)  # logged with its traceback by the server
    async def failed(request: Request, error: Exception) -> Response:
        # The one response that passes no middleware.
        headers = {"Access-Control-Allow-Origin": "*"}
        return refusal(500, "The server failed unexpectedly; its log says more.", headers)


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with one sentence, in ASCII whatever it quotes."""
    sentence = sentence if len(sentence) <= LONG else f"{sentence[:LONG]}..."
    body = json.dumps({"error": sentence})
    return Response(body, status, media_type="application/json", headers=dict(headers or {}))


def _sentence(error: Mapping[str, Any]) -> str:
    """Return what Pydantic found wrong first as a sentence that says where and what was received."""
    keys = error["loc"][1:]  # after "body"
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
    match error["type"]:
        case "missing":
            return f"{where} is missing." if where else "The body is empty; expected a JSON object."
        case "too_long" if where == "touches":
            given, limit = error["ctx"]["actual_length"], error["ctx"]["max_length"]
            return f"The call has {given} touches; expected at most {limit}."
        case "extra_forbidden":
            return f"{where} is unknown."
        case "value_error":
            return f"{error['ctx']['error']}."
        case "model_attributes_type" | "model_type":
            return f"{where or 'The body'} is no JSON object; received {_short(error['input'])}."
    what = error["msg"][:1].lower() + error["msg"][1:]
    return f"{where}: {what}; received {_short(error['input'])}."


def _short(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= SHORT else f"{shown[:SHORT]}..."


class BodyLimit:
    """Reads so many bytes of a request's body and no more, whatever length it declares.

    Args:
        app: what reads the body.
        limit: bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        declared = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        taken = int(declared) if declared.isdecimal() else 0
        read = 0

        async def limited() -> Message:
            nonlocal read
            if taken <= self._limit:
                message = await receive()
                read += len(message.get("body", b""))
            if max(taken, read) > self._limit:
                raise HTTPException(413, f"The body is larger than {self._limit} bytes.")
            return message

        await self._app(scope, limited, send)
