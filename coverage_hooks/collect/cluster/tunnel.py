"""Bytes to and from one port of a pod's own loopback, as ``kubectl port-forward`` carries them.

::

    here ──websocket──> API server ──> kubelet ──> 127.0.0.1:<port> inside the pod

A frame is one byte that says which channel it is on (0 data, 1 what went wrong), then content; the first one of each
channel holds the port instead. How a tunnel ends says nothing: that of a pod that is killed midway is closed with 1000,
as if all were well. So nothing here knows whether what came is complete; whoever asked does, by length and hash.
"""

from __future__ import annotations

from http import HTTPStatus
from types import TracebackType
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient

from coverage_hooks.collect.cluster.answers import TRANSPORT_ERRORS
from coverage_hooks.collect.cluster.connection import refusal, transport
from coverage_hooks.errors import SourceError

#: Seconds without a byte after which a tunnel counts as broken. Not a heartbeat: that would also end a tunnel whose
#: user is slow.
RECEIVE_TIMEOUT = 30.0

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_OPEN_WITHIN = 15.0
#: Seconds for saying goodbye, which nobody waits for on the other side.
_CLOSE_WITHIN = 1.0


class TunnelBroken(Exception):
    """The tunnel cannot be opened, or broke; another one may do better."""


class Tunnel:
    """An open tunnel; `close` it."""

    def __init__(self, socket: Any) -> None:
        self._socket: Any = socket
        self._started: set[int] = set()

    @classmethod
    async def open(cls, api: ApiClient, namespace: str, pod: str, port: int) -> Tunnel:
        """Open a tunnel to *port* of *pod*; `SourceError` when that is not allowed."""
        rest: Any = api.rest_client
        headers: dict[str, str] = {}
        await api.update_params_for_auth(headers, [], ["BearerToken"])
        options = {"server_hostname": rest.server_hostname} if rest.server_hostname else {}
        try:
            socket = await rest.pool_manager.ws_connect(
                f"{api.configuration.host}/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}",
                headers=headers,
                protocols=[_PROTOCOL],
                proxy=rest.proxy,
                proxy_headers=rest.proxy_headers,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_WITHIN),
                **options,
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                # This answer comes without the text that others have.
                what = f"create pods/portforward {pod} in namespace {namespace!r}, or get it"
                raise SourceError(refusal(what, error.status, "")) from None
            raise TunnelBroken(f"the API server answers {error.status}") from None
        except TRANSPORT_ERRORS as error:
            raise TunnelBroken(transport(error)) from None
        return cls(socket)

    async def send(self, content: bytes) -> None:
        """Send *content*."""
        try:
            await self._socket.send_bytes(bytes((_DATA,)) + content)
        except TRANSPORT_ERRORS as error:
            raise TunnelBroken(transport(error)) from None

    async def receive(self) -> bytes:
        """Return the next bytes, at least one; `TunnelBroken` when there are none."""
        while True:
            channel, content = await self._frame()
            if channel not in self._started:
                self._started.add(channel)
                content = content[2:]
            if channel == _ERROR and content:
                raise TunnelBroken(content.decode(errors="replace").strip())
            if channel == _DATA and content:
                return content

    async def close(self) -> None:
        """Close it."""
        await self._socket.close()

    async def _frame(self) -> tuple[int, bytes]:
        try:
            message = await self._socket.receive(timeout=RECEIVE_TIMEOUT)
        except TimeoutError:
            raise TunnelBroken(f"nothing came for {RECEIVE_TIMEOUT:g} s") from None
        except TRANSPORT_ERRORS as error:
            raise TunnelBroken(transport(error)) from None
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            raise TunnelBroken(f"it was closed ({self._socket.close_code or message.type.name})")
        return message.data[0], message.data[1:]

    async def __aenter__(self) -> Tunnel:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
