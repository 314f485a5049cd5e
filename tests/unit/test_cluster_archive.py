"""The published archive of the control plane, served on the loopback address in every way that it can go wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import tarfile
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cluster.binaries import archive, download, recipe
from tests.cluster.pins import PINS, Pin
from tests.cluster.waiting import wait_until

FOLDER = "controller-tools/envtest"
PINNED = archive.ARCHIVES["newest"]


def packed(*members: tarfile.TarInfo) -> bytes:
    """Return an archive of all programs, with *members* in place of what they are called like, or at its end."""
    given = {Path(member.name).name for member in members}
    programs = [regular(f"{FOLDER}/{name}") for name in archive.PROGRAMS if name not in given]
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for member in (*programs, *members):
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return file.getvalue()


def regular(name: str) -> tarfile.TarInfo:
    """Return a member of four bytes, not executable."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = 4, 0o400
    return member


def torn() -> bytes:
    """Return an archive that cannot be unzipped any more in the middle of a program."""
    program = regular(f"{FOLDER}/etcd")
    program.size = 1_000_000
    zipped = zlib.compressobj(wbits=31)
    start = zipped.compress(gzip.decompress(packed(program))[:900_000]) + zipped.flush(zlib.Z_FULL_FLUSH)
    return start + b"\x07"  # no block is of this type


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a member that is no regular file."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@dataclass
class Mirror:
    """A server that has one file, and what it does with those who ask for it."""

    url: str = ""
    content: bytes = b""
    status: int = 200
    sends: int | None = None  # as many bytes of the content, and then it waits until it is to go on
    promises: int = 0  # more than there are
    silent: bool = False
    speaks_http: bool = True
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Serve one request."""
        self.asked.append(handler.path)
        if self.silent:
            self.go_on.wait()
        if not self.speaks_http:
            handler.wfile.write(b"SSH-2.0\r\n")
            return
        handler.send_response(self.status)
        handler.send_header("Content-Length", str(len(self.content) + self.promises))
        handler.end_headers()
        handler.wfile.write(self.content[: self.sends])
        if self.sends is not None:
            self.go_on.wait()
            handler.wfile.write(self.content[self.sends :])


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Return a running mirror of a sound archive, which is the one that is pinned."""
    served = Mirror(content=packed())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that give up."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/archive.tar.gz"
    pin(monkeypatch, served.content)
    try:
        yield served
    finally:
        served.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def pin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Make *content* the archive that is expected."""
    pinned = replace(PINNED, sha512={archive.machine(): hashlib.sha512(content).hexdigest()})
    monkeypatch.setitem(archive.ARCHIVES, "newest", pinned)


@dataclass
class Machine:
    """A machine that wants the programs: its cache, an environment without proxies, and what was said."""

    cache: Path
    environ: dict[str, str]
    said: list[str] = field(default_factory=list)

    def fetch(self) -> Path | None:
        """Ask for the programs."""
        return archive.fetched_once("newest", self.cache, self.said.append, self.environ)

    def left(self) -> list[str]:
        """Return the names of what there is in the cache apart from locks."""
        return [path.name for path in self.cache.iterdir() if path.suffix != ".lock"]


@pytest.fixture
def machine(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(download, "ANSWER_WITHIN", 60.0)  # the machine that tests may be busy
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return Machine(tmp_path / "cache", {**environ, "ENVTEST_ARCHIVE": mirror.url})


def test_fetches_once_and_takes_what_is_needed(machine: Machine, mirror: Mirror) -> None:
    folder = machine.fetch()
    assert folder is not None
    assert machine.fetch() == folder
    assert len(mirror.asked) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["etcd", "kube-apiserver", "kubectl"]
    assert {path.read_bytes() for path in folder.iterdir()} == {b"xxxx"}
    assert archive.missing(folder) == []
    assert machine.left() == [folder.name]


def test_says_from_where_it_fetches_which_version(machine: Machine, mirror: Mirror) -> None:
    machine.fetch()
    assert machine.said == [f"fetching version {PINNED.version} from {mirror.url}, once"]


def _expect_refusal(machine: Machine, reason: str) -> None:
    assert machine.fetch() is None
    assert machine.left() == []
    assert len(machine.said) == 2
    assert reason in machine.said[-1]
    assert "\n" not in machine.said[-1]
    assert "Traceback" not in machine.said[-1]


def test_another_file_is_not_even_opened(machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.content = packed(regular("another"))
    monkeypatch.setattr(tarfile, "open", lambda *_: pytest.fail("it was opened"))
    _expect_refusal(machine, "SHA-512")


def test_a_server_that_has_no_such_file(machine: Machine, mirror: Mirror) -> None:
    mirror.status = 404
    _expect_refusal(machine, "404")


def test_a_server_of_another_kind(machine: Machine, mirror: Mirror) -> None:
    mirror.speaks_http = False
    _expect_refusal(machine, "SSH-2.0")


def test_less_than_was_promised(machine: Machine, mirror: Mirror) -> None:
    mirror.promises = 1
    _expect_refusal(machine, f"got only {len(mirror.content)} out of {len(mirror.content) + 1} bytes")


def test_a_server_that_stalls_half_way(machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "STALLED_AFTER", 0.3)
    mirror.content, mirror.sends = b"x" * 100_000, 50_000
    _expect_refusal(machine, "stalled")


def test_a_server_that_never_answers(machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ANSWER_WITHIN", 0.3)
    mirror.silent = True
    _expect_refusal(machine, "no answer")


def test_a_server_that_never_ends(machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "AT_MOST", 10_000)
    mirror.content, mirror.sends = b"x" * 100_000, 50_000
    _expect_refusal(machine, "more than the 10000 bytes")


def test_no_server(machine: Machine) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and it does not listen
        machine.environ["ENVTEST_ARCHIVE"] = f"http://127.0.0.1:{deaf.getsockname()[1]}/archive.tar.gz"
        _expect_refusal(machine, "Connection refused")


def test_no_address(machine: Machine) -> None:
    machine.environ["ENVTEST_ARCHIVE"] = "/archive.tar.gz"
    _expect_refusal(machine, "unknown url type")


@pytest.mark.parametrize(
    "member",
    [
        special(f"{FOLDER}/etcd", tarfile.SYMTYPE, "/bin/true"),
        special(f"{FOLDER}/etcd", tarfile.LNKTYPE, f"{FOLDER}/kubectl"),
        regular(f"{FOLDER}/../../../etcd"),
        special(f"{FOLDER}/etcd", tarfile.DIRTYPE),
        special(f"{FOLDER}/etcd", tarfile.CHRTYPE),
    ],
    ids=["symbolic link", "hard link", "path upwards", "folder", "device"],
)
def test_a_program_is_a_file_at_a_place_that_it_may_be_at(
    machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, member: tarfile.TarInfo
) -> None:
    mirror.content = packed(member)
    pin(monkeypatch, mirror.content)
    _expect_refusal(machine, "holds no etcd")


def test_what_else_is_in_the_archive_is_left_there(
    machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.content = packed(
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        regular(f"../{'../' * 20}{machine.cache.parent}/outside"),
        regular(f"{machine.cache.parent}/absolute"),
    )
    pin(monkeypatch, mirror.content)
    assert (folder := machine.fetch())
    assert {path.name for path in folder.iterdir()} == set(archive.PROGRAMS)
    assert list(machine.cache.parent.iterdir()) == [machine.cache]


@pytest.mark.parametrize(
    "content",
    [b"no archive", packed()[:-20], gzip.compress(b"x" * 10_000), torn()],
    ids=["no archive", "its end is missing", "nothing but zipped", "torn"],
)
def test_what_cannot_be_unpacked(
    machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    mirror.content = content
    pin(monkeypatch, content)
    _expect_refusal(machine, "cannot be unpacked")


def test_goes_by_way_of_the_proxy_of_the_environment(machine: Machine, mirror: Mirror) -> None:
    machine.environ |= {"http_proxy": mirror.url, "ENVTEST_ARCHIVE": "http://envtest.example/archive.tar.gz"}
    assert machine.fetch()
    assert mirror.asked == ["http://envtest.example/archive.tar.gz"]


def test_switched_off_it_asks_no_server_and_says_nothing(machine: Machine, mirror: Mirror) -> None:
    machine.environ["ENVTEST_ARCHIVE"] = "off"
    assert machine.fetch() is None
    assert machine.said == mirror.asked == []


def test_asks_no_server_where_no_archive_is_pinned(
    machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(archive.ARCHIVES, "newest", replace(PINNED, sha512={"plan9-mips": ""}))
    assert machine.fetch() is None
    assert mirror.asked == []
    assert [archive.machine() in line for line in machine.said] == [True]


def test_two_at_once_fetch_once(machine: Machine, mirror: Mirror) -> None:
    mirror.sends = 1
    with ThreadPoolExecutor(2) as pool:
        folders = [pool.submit(machine.fetch) for _ in range(2)]
        try:
            wait_until(lambda: any("waiting for it" in line for line in machine.said), "the second one waits")
        finally:
            mirror.go_on.set()
    assert folders[0].result() == folders[1].result() is not None
    assert len(mirror.asked) == 1


def test_tells_how_the_download_goes_on(machine: Machine, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PERIOD", 0.02)
    mirror.sends = 1
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(machine.fetch)
        try:
            wait_until(lambda: any(" MB" in line for line in machine.said), "a line of progress")
        finally:
            mirror.go_on.set()
    assert fetched.result()


def test_a_mirror_may_have_both_versions(machine: Machine, mirror: Mirror) -> None:
    machine.environ["ENVTEST_ARCHIVE"] = mirror.url.replace("archive", "v{version}")
    assert machine.fetch()
    assert mirror.asked == [f"/v{PINNED.version}.tar.gz"]


@pytest.mark.parametrize("pin", PINS)
def test_the_archive_is_of_the_minor_version_that_is_pinned(pin: Pin) -> None:
    version = archive.ARCHIVES[pin].version
    assert tuple(map(int, version.split(".")[:2])) == recipe.minor_version(recipe.module(pin))


@pytest.mark.parametrize("pin", PINS)
def test_two_kinds_of_machine_have_an_archive(pin: Pin) -> None:
    assert set(archive.ARCHIVES[pin].sha512) == {"linux-amd64", "linux-arm64"}
    assert {len(bytes.fromhex(digest)) for digest in archive.ARCHIVES[pin].sha512.values()} == {64}


def test_where_it_is_published() -> None:
    assert archive.address("1.35.0").endswith(f"/envtest-v1.35.0/envtest-v1.35.0-{archive.machine()}.tar.gz")
