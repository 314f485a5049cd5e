"""The server of a reader pod: what it serves of a volume that somebody is writing, and when it ends."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import coverage_hooks
from coverage_hooks.volume import layout, listing, machine
from coverage_hooks.volume.server import AGE, DIGEST, FILE_DIGEST, RANGE_LIMIT, Server
from tests.cluster import WITHIN, wait_until

NAME = "operator-0-20260131T235959Z-0123abcd"
PATH = f"/recordings/{NAME}"


class Client:
    """One connection, which is kept."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)

    def get(self, path: str, **headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
        self.connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.headers


@contextmanager
def serving(volume: Path) -> Iterator[Client]:
    """Serve *volume* in a thread."""
    stop = threading.Event()
    server = Server(volume, 0)
    thread = threading.Thread(target=server.serve_until_idle, args=(60, stop))
    thread.start()
    client = Client(server.server_port)
    try:
        with closing(client.connection):
            yield client
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    folder = tmp_path / "volume" / NAME
    folder.mkdir(parents=True)
    (folder / layout.MANIFEST).write_bytes(b"{}")
    return folder


@pytest.fixture
def client(recording: Path) -> Iterator[Client]:
    with serving(recording.parent) as client:
        yield client


def hashed(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def test_recordings_are_listed_by_name_and_nothing_else_is(client: Client, recording: Path) -> None:
    (recording.parent / "lost+found").mkdir()
    for name in ("journal-10", "journal-9", ".journal-11.1.0123abcd.tmp", "data-1.coverage", "journal-x"):
        (recording / name).touch()
    assert json.loads(client.get("/recordings")[1]) == [NAME]
    assert json.loads(client.get(f"{PATH}/files")[1]) == ["journal-9", "journal-10"]
    (recording / layout.COMPLETE).touch()
    assert json.loads(client.get(f"{PATH}/files")[1]) == ["journal-9", "journal-10", "complete"]


def test_the_machine_is_told(client: Client) -> None:
    assert json.loads(client.get("/")[1])["boot"] == machine.boot_id() != ""


def test_a_manifest_is_served_with_its_age(client: Client, recording: Path) -> None:
    written = (recording / layout.MANIFEST).stat().st_mtime - 60
    os.utime(recording / layout.MANIFEST, (written, written))
    status, content, headers = client.get(PATH)
    assert (status, content, headers[DIGEST]) == (200, b"{}", hashed(b"{}"))
    assert 60 <= float(headers[AGE]) <= round(time.time() - written, 3)


def test_a_file_is_served_in_ranges_each_with_its_hash(client: Client, recording: Path) -> None:
    content = os.urandom(RANGE_LIMIT + 1000)
    (recording / "journal-0").write_bytes(content)
    status, first, headers = client.get(f"{PATH}/journal-0", Range=f"bytes=0-{len(content)}")
    assert (status, first) == (206, content[:RANGE_LIMIT])
    assert headers["Content-Range"] == f"bytes 0-{RANGE_LIMIT - 1}/{len(content)}"
    assert (headers[DIGEST], headers[FILE_DIGEST]) == (hashed(first), None)
    rest = client.get(f"{PATH}/journal-0", Range=f"bytes={RANGE_LIMIT}-{len(content)}", If_Match=headers["ETag"])
    assert rest[1] == content[RANGE_LIMIT:]
    assert (rest[2][DIGEST], rest[2][FILE_DIGEST]) == (hashed(rest[1]), hashed(content))


def test_an_empty_file_is_served(client: Client, recording: Path) -> None:
    (recording / "journal-0").touch()
    status, content, headers = client.get(f"{PATH}/journal-0", Range="bytes=0-99")
    assert (status, content, headers[FILE_DIGEST]) == (206, b"", hashed(b""))


def test_a_range_behind_the_end_is_none(client: Client, recording: Path) -> None:
    (recording / "journal-0").write_bytes(b"12345")
    status, content, headers = client.get(f"{PATH}/journal-0", Range="bytes=6-9")
    assert (status, content, headers["Content-Range"]) == (416, b"", "bytes */5")


def test_a_file_that_was_replaced_is_not_continued(client: Client, recording: Path) -> None:
    (recording / "journal-0").write_bytes(b"12345")
    tag = client.get(f"{PATH}/journal-0", Range="bytes=0-1")[2]["ETag"]
    (recording / "new").write_bytes(b"12345")
    status = (recording / "journal-0").stat()
    os.utime(recording / "new", ns=(status.st_atime_ns, status.st_mtime_ns))  # of the same size and the same time
    (recording / "new").replace(recording / "journal-0")
    assert client.get(f"{PATH}/journal-0", Range="bytes=2-4", If_Match=tag)[0] == 412


def test_a_file_that_grew_is_continued_as_it_was_at_first(client: Client, recording: Path) -> None:
    (recording / "journal-0").write_bytes(b"12345")
    tag = client.get(f"{PATH}/journal-0", Range="bytes=0-1")[2]["ETag"]
    with (recording / "journal-0").open("ab") as file:
        file.write(b"6789")
    status, content, headers = client.get(f"{PATH}/journal-0", Range="bytes=2-99", If_Match=tag)
    assert (status, content, headers["ETag"]) == (206, b"345", tag)
    assert (headers["Content-Range"], headers[FILE_DIGEST]) == ("bytes 2-4/5", hashed(b"12345"))
    assert client.get(f"{PATH}/journal-0", Range="bytes=6-9", If_Match=tag)[0] == 416
    assert client.get(f"{PATH}/journal-0", Range="bytes=0-99")[1] == b"123456789"


def test_a_file_that_became_shorter_is_not_continued(client: Client, recording: Path) -> None:
    (recording / "journal-0").write_bytes(b"12345")
    tag = client.get(f"{PATH}/journal-0", Range="bytes=0-1")[2]["ETag"]
    os.truncate(recording / "journal-0", 4)
    status, content, _ = client.get(f"{PATH}/journal-0", Range="bytes=2-3", If_Match=tag)
    assert (status, json.loads(content)["error"]) == (422, "VolumeError")
    assert "became shorter" in json.loads(content)["message"]


@pytest.mark.parametrize("tag", ["", "*", '"1"', '"-5"', '"1-5", "2-5"', f'"{"f" * 17}-5"'])
def test_a_tag_of_no_server_matches_nothing(client: Client, recording: Path, tag: str) -> None:
    (recording / "journal-0").write_bytes(b"12345")
    assert client.get(f"{PATH}/journal-0", Range="bytes=0-1", If_Match=tag)[0] == 412


def test_a_tag_is_the_same_from_the_next_server(recording: Path) -> None:
    (recording / "journal-0").write_bytes(b"12345")
    tags = []
    for _ in range(2):
        with serving(recording.parent) as client:
            tags.append(client.get(f"{PATH}/journal-0", Range="bytes=0-1")[2]["ETag"])
    assert tags[0] == tags[1]


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("link", "UnsafeEntry", "links are not followed"),
        ("folder", "UnsafeEntry", "is a folder"),
        ("fifo", "UnsafeEntry", "is a FIFO"),
        ("absent", "VolumeError", "No such file"),
    ],
)
def test_what_is_no_file_is_refused_with_its_reason(
    client: Client, recording: Path, kind: str, error: str, said: str
) -> None:
    path = recording / "journal-0"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    status, content, _ = client.get(f"{PATH}/{path.name}", Range="bytes=0-9")
    answer = json.loads(content)
    assert (status, answer["error"]) == (422, error)
    assert said in answer["message"]


def test_a_manifest_that_is_too_large_is_refused(client: Client, recording: Path) -> None:
    (recording / layout.MANIFEST).write_bytes(bytes((1 << 20) + 1))
    status, content, _ = client.get(PATH)
    assert (status, json.loads(content)["error"]) == (422, "TooLarge")


def test_a_volume_that_is_not_there_is_refused_with_its_reason(tmp_path: Path) -> None:
    with serving(tmp_path / "absent") as client:
        status, content, _ = client.get("/recordings")
    assert status == 422
    assert "No such file" in json.loads(content)["message"]


def test_a_folder_of_too_many_entries_is_no_volume(
    client: Client, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "ENTRIES_LIMIT", 2)
    for number in range(2):
        (recording / layout.journal_name(number)).touch()
    status, content, _ = client.get(f"{PATH}/files")  # the manifest is the third
    assert (status, json.loads(content)["error"]) == (422, "VolumeError")
    (recording / layout.journal_name(1)).unlink()
    assert json.loads(client.get(f"{PATH}/files")[1]) == [layout.journal_name(0)]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "/recordings/..", "/recordings/../../etc/passwd", f"{PATH}/..", f"{PATH}/../{NAME}", f"{PATH}/",
        f"{PATH}/recording.json", f"{PATH}/journal-0/",
        f"{PATH}/journal-0.x", "/recordings/../files", "/recordings/../journal-0", "/recordings/./files",
        f"{PATH}/complete", f"{PATH}/data-1.coverage", "/recordings/%2e%2e", f"{PATH}/.x.1.0123abcd.tmp",
    ],
)  # fmt: skip
def test_nothing_else_has_a_path(client: Client, recording: Path, path: str) -> None:
    for name in (".x.1.0123abcd.tmp", "journal-0.x"):
        (recording / name).touch()
    (recording.parents[1] / "journal-0").touch()
    assert client.get(path)[0] == 404


def test_nobody_else_is_listened_to(recording: Path) -> None:
    with Server(recording.parent, 0) as server, socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.2", server.server_port))


def _start(volume: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "coverage_hooks.volume.server", str(volume), f"--port={port}", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE), port


def _answers(port: int) -> float | None:
    try:
        client = Client(port)
        with closing(client.connection):
            idle: float = json.loads(client.get("/")[1])["idle"]
            return idle
    except OSError:
        return None


def test_it_ends_when_nobody_asks_any_more_and_looking_is_not_asking(recording: Path) -> None:
    process, port = _start(recording.parent, "--idle=3")
    with process:
        seen = []

        def ended() -> bool:
            seen.append(_answers(port))
            return process.poll() is not None

        wait_until(ended, "it ended")
    assert process.returncode == 0
    idle = [each for each in seen if each is not None]
    assert idle == sorted(idle) != []


def test_it_is_idle_from_the_end_of_an_answer_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, names, passed = time.monotonic, listing.recordings, [0]

    def slow(volume: Path) -> list[str]:
        passed[0] += 1000
        return names(volume)

    monkeypatch.setattr(time, "monotonic", lambda: clock() + passed[0])
    monkeypatch.setattr(listing, "recordings", slow)
    assert client.get("/recordings")[0] == 200
    assert json.loads(client.get("/")[1])["idle"] < 500


def test_it_ends_when_it_is_told_to_although_a_connection_is_kept(recording: Path) -> None:
    process, port = _start(recording.parent)
    with process:
        wait_until(lambda: _answers(port) is not None, "it answers")
        client = Client(port)
        with closing(client.connection):
            client.get("/recordings")
            process.send_signal(signal.SIGTERM)
            assert process.wait(WITHIN) == 0


def test_it_needs_nothing_but_the_standard_library() -> None:
    folder = str(Path(coverage_hooks.__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); import coverage_hooks.volume.server; "
        "files = {name: getattr(module, '__file__', None) or '' for name, module in sys.modules.items()}; "
        f"print(*{{name.partition('.')[0] for name, file in files.items() if file.startswith({folder!r})}})"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["coverage_hooks"]


@pytest.mark.parametrize(
    "question",
    [
        b"\r\n", b"GET", b"\xff\xfe\0", b"GET / HTTP/9.9", b"POST / HTTP/1.1", b"GET /recordings/%ff HTTP/1.1",
        b"GET /recordings/../../etc/passwd HTTP/1.1", b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200, b"GET http://[::1 HTTP/1.1", b"GET /recordings/\xff HTTP/1.1",
        f"GET {PATH}/journal-0 HTTP/1.1\r\nRange: bytes=999999999999999-0".encode(),
        f'GET {PATH}/journal-0 HTTP/1.1\r\nIf-Match: "1-ffffffffffffffff"'.encode(),
        f"GET {PATH}/journal-999999999999 HTTP/1.1".encode(),
    ],
)  # fmt: skip
def test_a_hostile_question_is_refused_and_the_next_one_answered(
    client: Client, capsys: pytest.CaptureFixture[str], question: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", client.connection.port), timeout=WITHIN) as hostile:
        hostile.sendall(question + b"\r\n\r\n")
        hostile.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := hostile.recv(1 << 16):
                answer += chunk
    assert b"HTTP/1.1 200" not in answer
    assert b"HTTP/1.1 206" not in answer
    assert client.get("/")[0] == 200
    assert capsys.readouterr().err == ""
