"""One tiny model behind a real server: most of the time goes to compiling its programs."""

import asyncio
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import keras
import pytest
import uvicorn

import mixtura as mx
from mixtura.studio import Limits, application
from mixtura.studio.server import listening
from mixtura.systems.robojam.responding import Responder


@contextmanager
def serving(app):
    """Serve an application from a thread; yield its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    listener = listening("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="session")
def responder():
    place, dt = mx.Mixture(mx.LogitNormal(2), 2), mx.Affine(mx.LogNormal(), 0.0, 1 / 60)
    family = mx.Joint(place=place, dt=dt, moving=mx.Bernoulli())
    keras.utils.set_random_seed(0)
    return Responder(mx.MDNRNN(family, units=(4,)), "tiny")


@pytest.fixture(scope="session")
def limits():
    return Limits(events=40, count=4, body=20_000)


@pytest.fixture(scope="session")
def address(responder, limits):
    with serving(application(responder, limits)) as address:
        yield address


@pytest.fixture
def client(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture
def call():
    """A call as the app writes it: a space after each comma, the clock not at 0."""
    return (
        "time,x,y,z,moving\n"
        "0.004321, 0.250000, 0.125000, 25.524292, 0\n"
        "0.021007, 0.254250, 0.131125, 25.524292, 1\n"
        "0.512250, 0.700000, 0.880000, 38.290771, 0\n"
    )


@pytest.fixture
def refused():
    """Check that a response is a refusal, with one sentence."""

    def check(response, status):
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/json"
        assert list(response.json()) == ["error"]
        sentence = response.json()["error"]
        assert 10 < len(sentence) <= 503
        assert "Traceback" not in sentence
        assert "\n" not in sentence

    return check


@pytest.fixture
def in_process(responder):
    """Call requests(client) on an application that answers what it is told to.

    It has not started, and so has compiled nothing.
    """

    def call(respond, requests, limits=None, raised=True):
        told = SimpleNamespace(model=responder.model, name="told", respond=respond)
        transport = httpx.ASGITransport(application(told, limits), raise_app_exceptions=raised)

        async def run():
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await requests(client)

        return asyncio.run(run())

    return call
