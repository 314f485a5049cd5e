"""The API of a Kubernetes, as far as whoever starts it needs it, before any client is there."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

from tests.cluster.certificates import Certificates

# The second one is made by the API server itself, a moment after it calls itself ready.
_READY_PATHS = ("/readyz", "/api/v1/namespaces/default")


@dataclass(frozen=True, slots=True)
class Api:
    """Requests of the administrator, each with a connection of its own."""

    address: str
    port: int
    files: Certificates

    def is_ready(self) -> bool:
        """Return whether the API server answers and has what it makes by itself."""
        try:
            return all(self._request("GET", path)[0] == http.client.OK for path in _READY_PATHS)
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """Return what is at *path*, or None if there is nothing."""
        status, body = self._request("GET", path)
        if status == http.client.NOT_FOUND:
            return None
        return _answer(path, status, body)

    def create(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """Create an object in the collection at *path*."""
        return _answer(path, *self._request("POST", path, content))

    def _request(self, method: str, path: str, content: dict[str, Any] | None = None) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(self.files.authority))
        context.load_cert_chain(self.files.client)
        connection = http.client.HTTPSConnection(self.address, self.port, timeout=60, context=context)
        try:
            body = None if content is None else json.dumps(content)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _answer(path: str, status: int, body: bytes) -> dict[str, Any]:
    if status >= http.client.BAD_REQUEST:
        raise OSError(f"{path} answered {status}: {body.decode(errors='replace')}")
    answer: dict[str, Any] = json.loads(body)
    return answer
