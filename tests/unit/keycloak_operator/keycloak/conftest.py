"""A server that answers as a test wants, and clients of it that are closed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from keycloak_operator.keycloak.admin import AdminClient
from tests.unit.keycloak_operator.keycloak.answering import ACCESS, Server, client_of


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()

    def connect_to_nothing(_transport: httpx.AsyncHTTPTransport, **_: object) -> None:
        """Load no trusted certificates, which would take most of the time of a test."""

    async def handle(_transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return await server.handle(request)

    async def close(_transport: httpx.AsyncHTTPTransport) -> None:
        pass

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__init__", connect_to_nothing)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "aclose", close)
    return server


@pytest.fixture
async def admin(server: Server) -> AsyncIterator[AdminClient]:
    client = client_of(ACCESS)
    yield client
    await client.close()
