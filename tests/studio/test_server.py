"""The server of its own, and what it says where it cannot start."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys

import httpx
import pytest

import mixtura
from mixtura import cli
from mixtura.errors import InputError
from mixtura.studio import serve
from mixtura.studio.server import listening


def test_a_certificate_needs_its_key(responder, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    with pytest.raises(InputError, match="received one of the two"):
        serve(responder, port=0, certificate=certificate)
    with pytest.raises(InputError, match=r"cert\.pem is no file; expected a PEM file"):
        serve(responder, port=0, certificate=certificate, key=key)
    for path in (certificate, key):
        path.write_text("no PEM\n")
    with pytest.raises(InputError, match="no certificate and its key"):
        serve(responder, port=0, certificate=certificate, key=key)


def test_an_address_that_cannot_be_had(responder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"127\.0\.0\.1:{port} cannot be listened at: Address"):
            serve(responder, port=port)
    for host in ("nowhere.invalid", "..", "a" * 70):  # the last two are no names at all
        with pytest.raises(InputError, match=f"{re.escape(host)}:0 cannot be listened at"):
            serve(responder, host=host, port=0)


def test_small_packets_are_not_held_back():
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # on which asyncio's TCP_NODELAY depends


def test_the_command_names_the_extra_that_is_missing(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("mixtura.studio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(mixtura, "studio")
    monkeypatch.setitem(sys.modules, "fastapi", None)  # as if it were not installed
    with pytest.raises(SystemExit):
        cli.main(["serve"])
    assert "fastapi is missing; install the extra: pip install 'mixtura[studio]'" in capsys.readouterr().err


SERVER = """
import sys
import mixtura as mx
from mixtura.studio import Limits, serve
from mixtura.systems.robojam.responding import Responder

family = mx.Joint(place=mx.LogitNormal(2), dt=mx.Affine(mx.LogNormal(), 0.0, 1 / 60), moving=mx.Bernoulli())
responder = Responder(mx.MDNRNN(family, units=(4,)), "tiny")
serve(responder, port=0, **dict(zip(("certificate", "key"), sys.argv[1:])), limits=Limits(events=10, count=1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_it_answers_until_it_is_interrupted(scheme, call, tmp_path):
    files, verify = [], True
    if scheme == "https":
        if not shutil.which("openssl"):
            pytest.skip("openssl, which makes the certificate, is not installed")
        files = [str(tmp_path / name) for name in ("cert.pem", "key.pem")]
        made = "openssl req -x509 -nodes -subj /CN=me -addext subjectAltName=IP:127.0.0.1 -newkey rsa:2048"
        command = [*made.split(), "-out", files[0], "-keyout", files[1]]
        subprocess.run(command, check=True, capture_output=True)
        verify = ssl.create_default_context(cafile=files[0])
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, *files],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        line = process.stdout.readline()
        address = line.split()[2]
        assert address.startswith(f"{scheme}://127.0.0.1:"), line
        with httpx.Client(base_url=address, verify=verify, timeout=60) as client:  # waits until it is ready
            assert client.get("/health").json()["model"] == "tiny"
            assert client.post("/api/predict", json={"perf": call}).status_code == 200
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 0, said
    assert "All programs are compiled" in said
    assert "Traceback" not in said
