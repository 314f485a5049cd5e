"""What runs in a reader pod: a volume, served read-only on this pod's own loopback.

::

    python -m coverage_hooks.volume.server FOLDER [--port N] [--idle SECONDS]

    GET /                                   how many seconds ago anything else was asked for, and this machine's boot id
    GET /recordings                         the names of all recordings
    GET /recordings/<recording>             its manifest, and in `AGE` how many seconds ago that was written
    GET /recordings/<recording>/files       the names of its journals, by number, and of its marker if it is there
    GET /recordings/<recording>/<journal>   a range of a journal

Nobody but this pod reaches it: whoever wants to has to be let in by the API server, to this pod by name. It ends by
itself when nobody asks any more, so nothing of a killed collector stays.

A journal grows while it is read, so what is served is what it has when it is first asked for. The ETag of that first
answer names the file, by its inode, and how many bytes those are. A later range that is asked for with it is one of the
same bytes of the same file, however much longer that is by then, from this server or a later one of the same volume; it
is 412 when the file was replaced, and refused when it became shorter.

A range has at most `RANGE_LIMIT` bytes, its own hash, and, when it reaches the end of what is served, the hash of all
of that: an inode may be used again, and only the hash tells a file that was written over. See
`coverage_hooks.volume.access` for what may lie in a volume: it is refused with 422, and with the class and the message
of the error.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

from coverage_hooks.errors import VolumeError
from coverage_hooks.shown import plain
from coverage_hooks.volume import access, layout, listing, machine
from coverage_hooks.volume.manifest import MANIFEST_LIMIT

PORT = 8931
RANGE_LIMIT = 4 << 20

#: Headers: RFC 9530 names the hashes, of what is sent and of all that is served of the file.
AGE, DIGEST, FILE_DIGEST = "Coverage-Hooks-Age", "Content-Digest", "Repr-Digest"

_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})", re.ASCII)
_TAG = re.compile(r'"([0-9a-f]{1,16})-([0-9a-f]{1,16})"', re.ASCII)
_LARGEST = 1 << 50  # whoever asks decides what is too large


def digest(content: hashlib._Hash) -> str:
    """Return a SHA-256 as it is written in `DIGEST` and `FILE_DIGEST`."""
    return f"sha-256=:{base64.b64encode(content.digest()).decode()}:"


class Server(ThreadingHTTPServer):
    """Serves folder *volume* on the loopback; `idle` is the number of seconds since the last request for it."""

    daemon_threads = True  # a connection that is kept alive must not keep the server alive

    def __init__(self, volume: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.volume = volume
        self.touch()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say what went wrong, unless it is that somebody hung up: that is nothing to read in a log."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def touch(self) -> None:
        """Count `idle` from now."""
        self._asked = time.monotonic()

    @property
    def idle(self) -> float:
        """Return it."""
        return time.monotonic() - self._asked

    def serve_until_idle(self, seconds: float, stop: threading.Event) -> None:
        """Serve until nobody has asked for *seconds*, or *stop* is set."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            while (left := seconds - self.idle) > 0 and not stop.wait(left):
                pass
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 300  # seconds that a connection may lie idle
    wbufsize = -1  # headers and body together

    def do_GET(self) -> None:
        if self.path == "/":
            self._send_json({"idle": self.server.idle, "boot": machine.boot_id()})
            return
        self.server.touch()
        try:
            self._serve()
        except VolumeError as error:
            self._send_json({"error": type(error).__name__, "message": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        finally:
            self.server.touch()  # a large file takes its time

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing: the log is for what ends the server."""

    def _serve(self) -> None:
        match self.path.split("/")[1:]:
            case ["recordings"]:
                self._send_json(listing.recordings(self.server.volume))
            case ["recordings", recording] if layout.RECORDING.fullmatch(recording):
                self._send_manifest(recording)
            case ["recordings", recording, "files"] if layout.RECORDING.fullmatch(recording):
                with listing.open_recording(self.server.volume, recording) as folder:
                    self._send_json(listing.files(folder))
            case ["recordings", recording, name] if layout.RECORDING.fullmatch(recording) and _is_served(name):
                self._send_range(recording, name)
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def _send_manifest(self, recording: str) -> None:
        with listing.open_recording(self.server.volume, recording) as folder:
            content, age = access.read_aged_file(layout.MANIFEST, parent=folder, limit=MANIFEST_LIMIT)
        self._send(content, {AGE: f"{age:.3f}"})

    def _send_range(self, recording: str, name: str) -> None:
        with (
            listing.open_recording(self.server.volume, recording) as folder,
            access.open_file(name, parent=folder, limit=_LARGEST) as descriptor,
        ):
            status = os.fstat(descriptor)
            inode, size = self._known() or (status.st_ino, status.st_size)
            if inode != status.st_ino:
                self._send(b"", {}, HTTPStatus.PRECONDITION_FAILED)
                return
            first, end = self._wanted(size)
            if first > size:
                whole = {"Content-Range": f"bytes */{size}"}
                self._send(b"", whole, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                return
            content = access.read_range(name, descriptor, first, end - first)
            headers = {"ETag": f'"{inode:x}-{size:x}"', "Content-Range": f"bytes {first}-{end - 1}/{size}"}
            if end == size:
                headers[FILE_DIGEST] = digest(access.digest(name, descriptor, end))
            access.check_same(name, descriptor, parent=folder, size=size)
            self._send(content, headers, HTTPStatus.PARTIAL_CONTENT)

    def _known(self) -> tuple[int, int] | None:
        """Return the inode and the number of bytes that the ETag in the question names; None without one."""
        if (asked := self.headers.get("If-Match")) is None:
            return None
        tag = _TAG.fullmatch(asked)
        return (int(tag[1], 16), int(tag[2], 16)) if tag else (-1, 0)

    def _wanted(self, size: int) -> tuple[int, int]:
        """Return the first byte that is asked for, and the one after the last that is sent."""
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2])) if asked else (0, size)
        return first, max(first, min(last + 1, first + RANGE_LIMIT, size))

    def _send_json(self, document: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(document).encode(), {"Content-Type": "application/json"}, status)

    def _send(self, content: bytes, headers: dict[str, str], status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header(DIGEST, digest(hashlib.sha256(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _is_served(name: str) -> bool:
    return bool(layout.JOURNAL.fullmatch(name))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(plain(message))


def main() -> None:
    """Serve the volume that the command line names."""
    parser = _Parser(prog="python -m coverage_hooks.volume.server", description="Serve a volume.")
    parser.add_argument("volume", type=Path)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--idle", type=float, default=120.0, help="seconds without a request after which it ends")
    arguments = parser.parse_args()
    stop = threading.Event()
    # The first process of a container is not ended by a signal unless it says how.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Server(arguments.volume, arguments.port).serve_until_idle(arguments.idle, stop)


if __name__ == "__main__":
    main()
