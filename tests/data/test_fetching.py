import hashlib
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mixtura.data.fetching import BASE, FILES, PublicFile, fetch, find
from mixtura.errors import InputError

CONTENT = np.random.default_rng(0).bytes(200_000)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """Answer as the server's `behaviour` says, and count the requests."""

    def do_GET(self):
        self.server.requests.append(self.path)
        behaviour = self.server.behaviour
        if behaviour == "missing" or self.path != f"/owner/repository/{COMMIT}/folder/file.npz":
            self.send_error(404)
            return
        self.send_response(200)
        if behaviour != "unlimited":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {
            "truncated": CONTENT[:-1000],
            "corrupted": CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]),
            "unlimited": CONTENT + b"more",
            "slow": CONTENT[:100_000],
        }.get(behaviour, CONTENT)
        self.wfile.write(body)
        if behaviour == "slow":
            self.wfile.flush()
            self.server.released.wait(30)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.behaviour, server.requests, server.released = "good", [], threading.Event()
    server.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def file():
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = "folder/file.npz"
    return PublicFile("a-set", "noise", "owner/repository", COMMIT, path, len(CONTENT), digest, "none stated")


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_good_file_is_fetched_once(server, file, tmp_path):
    received = []
    path = fetch(file, tmp_path, server.base, received.append)
    assert path == tmp_path / "a-set" / "file.npz" == file.place(tmp_path)
    assert path.read_bytes() == CONTENT
    assert sum(received) == len(CONTENT)
    assert fetch(file, tmp_path, server.base) == path
    assert len(server.requests) == 1
    assert files_in(tmp_path) == [path]


def test_one_that_changed_is_fetched_again(server, file, tmp_path):
    path = fetch(file, tmp_path, server.base)
    for changed in (CONTENT[:-1], CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]), b""):
        path.write_bytes(changed)
        assert fetch(file, tmp_path, server.base).read_bytes() == CONTENT
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("truncated", "cannot be fetched: the connection failed."),
        ("corrupted", "200000 bytes came with the SHA-256 "),
        ("unlimited", "sends more than the expected 200000 bytes."),
        ("missing", "cannot be fetched: the host answers 404."),
    ],
)
def test_what_is_not_the_file_is_refused_and_leaves_nothing(server, file, tmp_path, behaviour, sentence):
    server.behaviour = behaviour
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        fetch(file, tmp_path, server.base)
    assert str(caught.value).startswith(f"{server.base}/owner/repository/{COMMIT}/folder/file.npz")
    assert files_in(tmp_path) == []


def test_a_failed_fetch_leaves_the_file_that_was_there(server, file, tmp_path):
    path = file.place(tmp_path)
    path.parent.mkdir()
    path.write_text("another version")
    server.behaviour = "corrupted"
    with pytest.raises(InputError, match="SHA-256"):
        fetch(file, tmp_path, server.base)
    assert path.read_text() == "another version"


def test_a_host_that_is_down_is_one_sentence(file, tmp_path):
    with pytest.raises(InputError, match="cannot be fetched: the connection failed"):
        fetch(file, tmp_path, "http://127.0.0.1:9")
    assert files_in(tmp_path) == []


@pytest.mark.slow
def test_after_a_kill_nothing_half_written_has_the_name_and_the_next_fetch_cleans_up(server, file, tmp_path):
    server.behaviour = "slow"
    code = (
        "import pathlib\nfrom mixtura.data.fetching import PublicFile, fetch\n"
        f"fetch({file!r}, pathlib.Path({str(tmp_path)!r}), {server.base!r}, lambda n: print(n, flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()  # some of the bytes came
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.released.set()
    assert not file.place(tmp_path).exists()
    assert len(files_in(tmp_path)) == 1  # what the killed process had
    server.behaviour = "good"
    path = fetch(file, tmp_path, server.base)
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == [path]


def test_ctrl_c_leaves_nothing(server, file, tmp_path):
    def stop(received):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(file, tmp_path, server.base, stop)
    assert files_in(tmp_path) == []


def test_the_table_is_in_order():
    assert len(FILES) == 19
    for name, file in FILES.items():
        assert file.name == name == find(name).name
        assert re.fullmatch("[0-9a-f]{40}", file.commit)
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.size > 0
        assert file.licence
        assert file.address() == f"{BASE}/{file.repository}/{file.commit}/{file.path}"


def test_an_unknown_name_is_refused_with_a_near_one():
    with pytest.raises(InputError, match="There is no data set 'short_kanji'; did you mean 'short-kanji'"):
        find("short_kanji")
    with pytest.raises(InputError, match="`mixtura data fetch` lists"):
        find("zzz")
