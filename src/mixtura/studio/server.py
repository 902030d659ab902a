"""The Response API as a server of its own."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import uvicorn

from mixtura.errors import InputError
from mixtura.studio.app import application
from mixtura.studio.limits import Limits
from mixtura.systems.robojam.responding import Responder


def serve(
    responder: Responder,
    host: str = "127.0.0.1",
    port: int = 5000,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    limits: Limits | None = None,
) -> None:
    """Answer calls until Ctrl-C.

    Args:
        responder: what answers.
        host: the address to listen at; 0.0.0.0 for all of this machine's.
        port: 0 for a free one.
        certificate: a PEM file, for HTTPS.
        key: the certificate's.
        limits: what one request may ask for.

    Raises:
        InputError: if the address cannot be had, or the certificate cannot be used; before anything is
            compiled.
    """
    _check(certificate, key)
    with listening(host, port) as listener:
        config = uvicorn.Config(
            application(responder, limits),
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=10,
        )
        name, scheme = f"[{host}]" if ":" in host else host, "https" if certificate else "http"
        address = f"{scheme}://{name}:{listener.getsockname()[1]}"
        print(f"Answering at {address} as soon as all is compiled; Ctrl-C ends it.", flush=True)
        with suppress(KeyboardInterrupt):  # uvicorn has shut down by then
            uvicorn.Server(config).run([listener])


def _check(certificate: str | Path | None, key: str | Path | None) -> None:
    """Raise an InputError unless both files are there and belong together, or none is given."""
    if (certificate is None) != (key is None):
        raise InputError("A certificate needs its key, and a key its certificate; received one of the two.")
    if certificate is None or key is None:
        return
    for path in (certificate, key):
        if not Path(path).is_file():
            raise InputError(f"{path} is no file; expected a PEM file.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InputError(f"{certificate} and {key} are no certificate and its key ({error}).") from None


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or raise an InputError; port 0 is a free one."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Of a socket that does not name TCP, asyncio holds small packets back: 40 ms a response.
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except (OSError, OverflowError, UnicodeError) as error:
        if listener:
            listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{host}:{port} cannot be listened at: {reason}.") from None
    return listener
