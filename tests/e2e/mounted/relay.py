"""A relay in front of an API server, whose connections can be cut as a network does it."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_CHUNK = 1 << 16


@dataclass(slots=True)
class Relay:
    """Passes bytes on in both directions; `passed` is how many came back from the server."""

    listener: socket.socket
    server: tuple[str, int]
    passed: int = 0
    _open: set[socket.socket] = field(default_factory=set)

    def cut(self) -> None:
        """Cut every connection that there is."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def kubeconfig(self, original: Path, path: Path) -> Path:
        """Write a copy of the kubeconfig *original* to *path* that leads through this."""
        configuration = json.loads(original.read_text())
        host, port = self.listener.getsockname()
        for each in configuration["clusters"]:
            # The certificate is that of the server; this name of it is none that leads there by itself.
            each["cluster"] |= {"server": f"https://{host}:{port}", "tls-server-name": "kubernetes.default.svc"}
        path.write_text(json.dumps(configuration))
        return path

    def run(self) -> None:
        """Relay until the listener is shut down."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,)).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.server) as server, selectors.DefaultSelector() as selector:
            pairs = {client: server, server: client}
            self._open |= pairs.keys()
            for each in pairs:
                selector.register(each, selectors.EVENT_READ)
            try:
                while True:
                    for key, _ in selector.select():
                        assert isinstance(key.fileobj, socket.socket)
                        content = key.fileobj.recv(_CHUNK)
                        if not content:
                            return
                        self.passed += len(content) if key.fileobj is server else 0
                        pairs[key.fileobj].sendall(content)
            except OSError:
                return
            finally:
                self._open -= pairs.keys()


@contextmanager
def relay(url: str) -> Iterator[Relay]:
    """Run a relay in front of the server at *url*."""
    parts = urlsplit(url)
    assert parts.hostname
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Relay(listener, (parts.hostname, parts.port or 443))
        thread = threading.Thread(target=made.run)
        thread.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            made.cut()
            thread.join()
