"""The server of a reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coverage_hooks.volume.server import Server


@pytest.fixture
def port(volume: Path) -> Iterator[int]:
    """Return the port of a server of the volume."""
    stop = threading.Event()
    server = Server(volume, 0)
    thread = threading.Thread(target=server.serve_until_idle, args=(60, stop))
    thread.start()
    yield server.server_port
    stop.set()
    thread.join()
