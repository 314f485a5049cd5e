"""Downloading one file, or saying soon why that cannot be done.

A process of its own downloads, and is watched by how its file grows: it can be ended while it looks up a name,
connects or reads, and it takes proxies and certificates from its environment, as urllib does.

Standard library only, and no import of its siblings: it runs this file as a script, with `python -I`.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

ANSWER_WITHIN = 5.0  # so that a network which swallows everything costs no more
STALLED_AFTER = 10.0
PERIOD = 5.0
AT_MOST = 500_000_000

_LOOK_EVERY = 0.1
_ORPHANED_AFTER = 60.0


class DownloadError(Exception):
    """The file did not arrive; the message says why, in one line."""


def download(address: str, file: Path, say: Callable[[str], None], environ: Mapping[str, str]) -> None:
    """Copy what is at *address* to *file*; *say* is told every few seconds how it goes on. Raise DownloadError."""
    command = [sys.executable, "-I", __file__, address, str(file)]
    with subprocess.Popen(
        command, env=dict(environ), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _watch(process, file, say)
        finally:
            process.kill()
        assert process.stderr is not None
        complaint = process.stderr.read()
    if process.returncode:
        raise DownloadError(" ".join(complaint.split()) or f"the download ended with exit code {process.returncode}")


def _watch(process: subprocess.Popen[str], file: Path, say: Callable[[str], None]) -> None:
    """Return when *process* has ended; raise DownloadError when waiting for it has no sense any more."""
    start = grown = said = time.monotonic()
    size = 0
    while not _has_ended(process):
        now = time.monotonic()
        if file.exists() and (found := file.stat().st_size) > size:
            size, grown = found, now
        if not size and now - start > ANSWER_WITHIN:
            raise DownloadError(f"no answer within {ANSWER_WITHIN:.0f} s")
        if size and now - grown > STALLED_AFTER:
            raise DownloadError(f"it stalled: {size} bytes arrived, and then none for {STALLED_AFTER:.0f} s")
        if size > AT_MOST:
            raise DownloadError(f"it has more than the {AT_MOST} bytes that are expected at most")
        if now - said > PERIOD:
            said = now
            say(f"fetching, {now - start:3.0f} s, {size / 1e6:.0f} MB")


def _has_ended(process: subprocess.Popen[str]) -> bool:
    try:
        process.wait(_LOOK_EVERY)
    except subprocess.TimeoutExpired:
        return False
    return True


def _main() -> None:
    address, file = sys.argv[1:]
    socket.setdefaulttimeout(_ORPHANED_AFTER)  # for when the process that watches was killed
    try:
        urllib.request.urlretrieve(address, file)
    except urllib.error.HTTPError as error:
        sys.exit(str(error))
    except urllib.error.URLError as error:
        sys.exit(str(error.reason))
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.exit(str(error) or type(error).__name__)


if __name__ == "__main__":
    _main()
