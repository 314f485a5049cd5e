"""The tunnel to a reader, and questions through it, in front of the reader's own server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from kubernetes_asyncio.client import ApiClient

from coverage_hooks.collect.cluster import tunnel as tunnels
from coverage_hooks.collect.cluster.exchange import Exchange
from coverage_hooks.collect.cluster.tunnel import Tunnel, TunnelBroken
from coverage_hooks.errors import SourceError
from coverage_hooks.volume.server import FILE_DIGEST, RANGE_LIMIT
from tests.unit.collect.cluster.tunnelling import Forwarder, forwarding

NAME = "operator-0-20260131T235959Z-0123abcd"
PATH = f"/recordings/{NAME}/journal-0"


@pytest.fixture
def content(volume: Path) -> bytes:
    made = os.urandom(RANGE_LIMIT)
    (volume / NAME).mkdir()
    (volume / NAME / "journal-0").write_bytes(made)
    return made


@pytest.fixture
async def ways(port: int) -> AsyncIterator[tuple[ApiClient, Forwarder]]:
    async with forwarding(port) as ways:
        yield ways


@asynccontextmanager
async def opened(ways: tuple[ApiClient, Forwarder]) -> AsyncIterator[Exchange]:
    async with await Tunnel.open(ways[0], "shop", "reader", 8931) as tunnel:
        yield Exchange(tunnel)


async def test_many_questions_go_through_one_tunnel(ways: tuple[ApiClient, Forwarder], content: bytes) -> None:
    async with opened(ways) as exchange:
        for _ in range(3):
            answer = await exchange.ask(PATH, {"Range": f"bytes=0-{RANGE_LIMIT}"}, limit=RANGE_LIMIT)
            assert (answer.status, answer.body) == (206, content)
            assert FILE_DIGEST in answer.headers
        assert (await exchange.ask("/", {}, limit=100)).status == 200
    assert ways[1].asked == ["/api/v1/namespaces/shop/pods/reader/portforward?ports=8931"]


async def test_a_tunnel_that_ends_well_before_all_came_is_broken(
    ways: tuple[ApiClient, Forwarder], content: bytes
) -> None:
    ways[1].cuts = [len(content) // 2]
    async with opened(ways) as exchange:
        with pytest.raises(TunnelBroken, match=r"closed \(1000\)"):
            await exchange.ask(PATH, {}, limit=RANGE_LIMIT)


async def test_a_byte_that_changed_on_the_way_is_noticed(ways: tuple[ApiClient, Forwarder], content: bytes) -> None:
    ways[1].flipped = 20_000
    async with opened(ways) as exchange:
        with pytest.raises(TunnelBroken, match="another hash"):
            await exchange.ask(PATH, {}, limit=RANGE_LIMIT)


async def test_more_than_was_asked_for_is_not_read(ways: tuple[ApiClient, Forwarder], content: bytes) -> None:
    async with opened(ways) as exchange:
        with pytest.raises(TunnelBroken, match=f"{RANGE_LIMIT} bytes, expected at most 1000"):
            await exchange.ask(PATH, {}, limit=1000)


async def test_a_port_that_nobody_listens_on_is_named(ways: tuple[ApiClient, Forwarder]) -> None:
    ways[1].refusals = ["error forwarding port 8931: connection refused"]
    async with opened(ways) as exchange:
        with pytest.raises(TunnelBroken, match="connection refused"):
            await exchange.ask("/", {}, limit=100)


async def test_a_tunnel_that_says_nothing_is_given_up(
    ways: tuple[ApiClient, Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnels, "RECEIVE_TIMEOUT", 0.2)
    ways[1].silent = True
    async with opened(ways) as exchange:
        with pytest.raises(TunnelBroken, match=r"nothing came for 0\.2 s"):
            await exchange.ask("/", {}, limit=100)


async def test_what_is_forbidden_is_named_although_the_answer_does_not(ways: tuple[ApiClient, Forwarder]) -> None:
    ways[1].status = 403
    with pytest.raises(SourceError, match="create pods/portforward reader in namespace 'shop', or get it"):
        await Tunnel.open(ways[0], "shop", "reader", 8931)


async def test_a_pod_that_is_gone_is_no_refusal(ways: tuple[ApiClient, Forwarder]) -> None:
    ways[1].status = 404
    with pytest.raises(TunnelBroken, match="404"):
        await Tunnel.open(ways[0], "shop", "reader", 8931)


class Said:
    """A stream that says one thing."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    async def send(self, content: bytes) -> None:
        assert content.startswith(b"GET / HTTP/1.1\r\n")

    async def receive(self) -> bytes:
        said, self._said = self._said, b""
        if not said:
            raise TunnelBroken("it is over")
        return said


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"SSH-2.0-x\r\n\r\n", "no reader"),
        (b"HTTP/1.1 abc\r\n\r\n", "no reader"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000, "no reader"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000 + b"\r\n", "no reader: got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "unknown bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "-1 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1234", "it is over"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "another hash"),
    ],
)
async def test_what_is_no_reader_is_not_believed(said: bytes, expected: str) -> None:
    with pytest.raises(TunnelBroken, match=expected):
        await Exchange(Said(said)).ask("/", {}, limit=1000)
