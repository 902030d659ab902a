"""The application: the routes, and one answer from the question to the response."""

# Annotations are no strings here: FastAPI reads those of the routes, which name a type made in `application`.

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse

import mixtura
from mixtura.studio import refusals, robojam
from mixtura.studio.answering import Answering
from mixtura.studio.limits import Limits
from mixtura.studio.messages import Answers, Health, question_within
from mixtura.systems.robojam.responding import Responder

ABOUT = """Answers touch performances with touch performances.

`POST /api/predict` is RoboJam's contract; `POST /api/v1/respond` has types, settings, and answers that can be
repeated. Every refusal is `{"error": "one sentence"}`."""


def application(responder: Responder, limits: Limits | None = None) -> FastAPI:
    """Return the Response API as an ASGI application.

    When it starts it compiles all programs that a call within the limits needs, so that no request waits for
    compiling.

    Args:
        responder: what answers.
        limits: what one request may ask for.
    """
    limits = limits or Limits()
    answering = Answering(responder, limits)
    Question = question_within(limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await answering.begin()
        yield

    app = FastAPI(
        title="Mixtura: the Response API",
        summary="Call and response on touch performances.",
        description=ABOUT,
        version=mixtura.__version__,
        lifespan=lifespan,
    )
    app.add_middleware(refusals.BodyLimit, limit=limits.body)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    refusals.install(app)

    @app.head("/health", include_in_schema=False)  # as load balancers ask
    @app.get("/health", tags=["server"])
    async def health() -> Health:
        """Say that the server is up, and what it answers with."""
        return Health(version=mixtura.__version__, model=answering.model.name)

    @app.post(
        "/api/v1/respond",
        tags=["responses"],
        response_model=Answers,
        responses=refusals.documented(400, 413, 415, 422, 500, 503),
        dependencies=[Depends(_is_json)],
    )
    async def respond(question: Question) -> Response:  # type: ignore[valid-type]
        """Answer a call.

        The same question with the same seed has the same answers, on the same machine and model.
        """
        return await answering.typed(question)

    @app.post(
        "/api/predict",
        tags=["RoboJam"],
        response_class=HTMLResponse,
        responses={
            200: {"description": 'JSON with the answer as `response`, the CSV "time,x,y,z,moving"'},
            **refusals.documented(400, 413, 415, 422, 500, 503),
        },
        openapi_extra=robojam.BODY,
    )
    async def predict(request: Request) -> Response:
        """Answer a call as RoboJam's first server did: five seconds, JSON served as HTML."""
        return await answering.as_robojam(await request.body(), _media_type(request))

    return app


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def _is_json(request: Request) -> None:
    if (received := _media_type(request)) != robojam.JSON:
        raise HTTPException(415, f"The body must be {robojam.JSON}; received {received or 'no media type'}.")
