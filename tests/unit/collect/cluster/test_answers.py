"""What answers in the place of an API server, and what it does: each ends a command with a message, and in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coverage_hooks.cli import commands
from coverage_hooks.collect.cluster import answers, claims, connection, exchange, watch
from coverage_hooks.collect.cluster.connection import Target
from coverage_hooks.collect.cluster.exchange import Exchange
from coverage_hooks.collect.cluster.tunnel import TunnelBroken
from coverage_hooks.errors import SourceError
from tests.unit.collect.api_server import write_kubeconfig

_NAMES = "major minor gitVersion gitCommit gitTreeState buildDate goVersion compiler platform"

#: What is done to a request instead of answering it as an API server does.
Deed = Callable[["Answering"], None]


class Answering(BaseHTTPRequestHandler):
    """Answers the first questions as an API server does, and the others as it is told to."""

    server: Hostile

    def do_GET(self) -> None:
        if self.path == "/version/" and not self.server.at_once:
            self.send(json.dumps(dict.fromkeys(_NAMES.split(), "1")))
            return
        with contextlib.suppress(ConnectionError):
            self.server.deed(self)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send(json.dumps({**asked, "status": {"allowed": True}}), 201)

    def send(self, body: str | bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        content = body if isinstance(body, bytes) else body.encode()
        self.begin(status, kind, {"Content-Length": str(len(content)), **headers})
        self.wfile.write(content)

    def begin(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing."""


class Hostile(ThreadingHTTPServer):
    """A server that does *deed*; *at_once*, to the very first question."""

    def __init__(self, deed: Deed, *, at_once: bool) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.deed, self.at_once = deed, at_once
        self.ended = threading.Event()
        self.sent = 0


@contextmanager
def serving(deed: Deed, *, at_once: bool = True) -> Iterator[Hostile]:
    server = Hostile(deed, at_once=at_once)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def say(body: str | bytes, status: int = 200, kind: str = "application/json", **headers: str) -> Deed:
    return lambda answering: answering.send(body, status, kind, **headers)


def endless(answering: Answering) -> None:
    answering.begin(200, "application/json", {})
    while True:
        answering.server.sent += answering.wfile.write(bytes(1 << 16))


def trickle(answering: Answering) -> None:
    answering.begin(200, "application/json", {})
    while not answering.server.ended.wait(0.05):
        answering.wfile.write(b" ")


def reset(answering: Answering) -> None:
    answering.connection.close()


PAGE = "<!doctype html><title>Log in</title>"
STATUS = json.dumps({"kind": "Status", "message": "be\x1b[2Jcause"})

DEEDS: dict[str, tuple[Deed, str]] = {
    "a log-in page": (say(PAGE, kind="text/html"), "text/html came, where a JSON object was expected"),
    "a redirect": (say("", 302, Location="/log\x1bin"), "a redirect to /log"),
    "another object": (say('{"kind": "Banana"}'), "no Kubernetes API: "),
    "a list": (say("[1, 2]"), "application/json came, where a JSON object was expected"),
    "nothing": (say("null"), "where a JSON object was expected"),
    "half of it": (say('{"kind": "'), "where a JSON object was expected"),
    "brackets": (say("{" + '"a":[' * 100_000), "where a JSON object was expected"),
    "no text": (say(b"\xff\xfe{", kind="text/html; charset=banana"), "where a JSON object was expected"),
    "an error in no text": (say(b"\xff\xfe", 500), "answers 500"),
    "an error page": (say(PAGE, 403, kind="text/html"), ""),
    "too many": (say(STATUS, 429, Retry_After="7"), "; try again in 7 s"),
    "unavailable": (say(STATUS, 503, Retry_After="\x1b"), "; try again later"),
    "unauthorized": (say(STATUS, 401), "401 Unauthorized"),
    "reset": (reset, ""),
    "endless": (endless, "an answer of more than 1 MiB came"),
    "trickle": (trickle, "no whole answer came in time"),
}


@pytest.fixture(autouse=True)
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and limits that are soon met."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(answers, "ANSWER_LIMIT", 1 << 20)
    for module in (connection, watch, claims):
        monkeypatch.setattr(module, "REQUEST_TIMEOUT", 3.0)


def call(server: Hostile, folder: Path, command: str, scheme: str = "http") -> Result:
    path = write_kubeconfig(folder / "kubeconfig", f"{scheme}://127.0.0.1:{server.server_port}")
    where = ["--namespace", "shop", "--claim", "c", "--kubeconfig", str(path)]
    return CliRunner().invoke(commands, [command, *where], catch_exceptions=False)


@pytest.mark.parametrize("when", ["at once", "later"])
@pytest.mark.parametrize("what", DEEDS)
def test_whatever_answers_is_no_reason_for_a_traceback(tmp_path: Path, what: str, when: str) -> None:
    deed, said = DEEDS[what]
    with serving(deed, at_once=when == "at once") as server:
        result = call(server, tmp_path, "status")
    assert result.exit_code == 3, result.output
    (line,) = result.output.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert line.isprintable()
    # What was on its way when the limit was met was sent, too.
    assert server.sent < 64 << 20


def test_what_speaks_no_tls_is_told(tmp_path: Path) -> None:
    with serving(say("{}")) as server:
        result = call(server, tmp_path, "status", "https")
    assert result.exit_code == 3
    assert "cannot be reached: " in result.output


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (PAGE, "something else came, where a JSON object was expected"),
        ("{}", "sent what is no list"),
        ('{"metadata": {"resourceVersion": "1"}, "items": 5}', "sent what is no list"),
        ('{"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"uid": {}}}]}', "sent what is no list"),
        (b" " * (2 << 20), "an answer of more than 1 MiB came"),
    ],
)
def test_a_witness_is_told_what_it_cannot_understand(tmp_path: Path, body: str | bytes, said: str) -> None:
    with serving(say(body), at_once=False) as server:
        path = write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(SourceError, match=said):
            watch.asked(Target(namespace="shop", kubeconfig=path))


@pytest.mark.parametrize("line", [b"x" * (1 << 18), b'{"type": "ADDED", "object": {}}\n', b"[]\n"])
def test_a_watch_takes_no_line_that_is_too_long_or_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """It goes on, as the next answer may be better; what it did not hear is told at its end."""
    monkeypatch.setattr(answers, "LINE_LIMIT", 1 << 17)

    def deed(answering: Answering) -> None:
        if "watch" in answering.path:
            answering.send(line)
        else:
            answering.send('{"metadata": {"resourceVersion": "1"}, "items": []}')

    with serving(deed, at_once=False) as server:
        path = write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{server.server_port}")
        with watch.watching(Target(namespace="shop", kubeconfig=path), tmp_path / "witness.jsonl"):
            pass
    stopped = json.loads((tmp_path / "witness.jsonl").read_text().splitlines()[-1])["stopped"]
    assert "came" in stopped or "sent what is no change" in stopped


@pytest.mark.timeout(120)  # without an end of its own it would be one, of another kind, after minutes
async def test_a_reader_that_answers_a_byte_now_and_then_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        async def send(self, content: bytes) -> None:
            pass

        async def receive(self) -> bytes:
            await asyncio.sleep(0.01)
            return b"H"

    monkeypatch.setattr(exchange, "ANSWERED_WITHIN", 0.2)
    with pytest.raises(TunnelBroken, match="no whole answer came within"):
        await Exchange(Slow()).ask("/", {}, limit=10)
