"""A Kubernetes API that answers as a test wants, over HTTP: all that the client does is as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from kubernetes_asyncio.client import ApiClient, Configuration


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: Any


@dataclass
class Api:
    """Answers each request with `status` and `content`, and writes down what it was asked; `client` leads there."""

    client: ApiClient
    status: int = 200
    content: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer *request*."""
        body = await request.json() if request.can_read_body else None
        self.asked.append(Asked(request.method, request.path, dict(request.query), request.content_type, body))
        return web.json_response(self.content, status=self.status)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    answering: list[Api] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        return await answering[0].handle(request)

    async with RawTestServer(handle, host="127.0.0.1") as server:
        address = str(server.make_url("/")).rstrip("/")
        async with ApiClient(Configuration(host=address)) as client:
            answering.append(Api(client))
            yield answering[0]
