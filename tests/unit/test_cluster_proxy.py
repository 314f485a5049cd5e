"""The proxy passes everything on and writes it down, unless it is told to fail."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import io
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from tests.cluster.proxy import Proxy, Request, at_once, proxy
from tests.cluster.waiting import WITHIN, eventually

TOKEN = "/realms/master/protocol/openid-connect/token"
GONE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


@dataclass
class Server:
    """What the proxy stands in front of; it tells in its answer what it was asked."""

    asked: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.Response:
        """Answer with what came: compressed, in chunks, and with two headers of one name."""
        content = await request.read()
        self.asked.append(f"{request.method} {request.raw_path}")
        if self.hold is not None:
            await self.hold.wait()
        response = web.Response(status=201, body=gzip.compress(content), headers={"Content-Encoding": "gzip"})
        response.enable_chunked_encoding()
        response.headers["X-Host"] = request.headers["Host"]
        response.headers["X-Sent"] = request.headers.get("X-Sent", "")
        for cookie in ("one=1", "two=2"):
            response.headers.add("Set-Cookie", cookie)
        return response


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def running(server: Server) -> AsyncIterator[Proxy]:
    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(application, host="127.0.0.1") as target, proxy(str(target.make_url(""))) as between:
        yield between


@pytest.fixture
async def client(running: Proxy) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(running.url, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


async def _status(client: aiohttp.ClientSession, method: str, path: str | URL) -> int:
    async with client.request(method, path, json={}) as answer:
        await answer.read()
        return answer.status


async def test_passes_on_what_came_and_what_is_answered(
    client: aiohttp.ClientSession, running: Proxy, server: Server
) -> None:
    async with client.put("/a?b=c", json={"d": 1}, headers={"X-Sent": "yes"}) as answer:
        assert (answer.status, await answer.read()) == (201, b'{"d": 1}')
        assert answer.headers["X-Sent"] == "yes"
        assert answer.headers.getall("Set-Cookie") == ["one=1", "two=2"]
        assert "Transfer-Encoding" not in answer.headers, "it is about the server's connection with the proxy"
    assert server.asked == ["PUT /a?b=c"]


async def test_the_server_is_called_by_the_address_of_the_proxy(client: aiohttp.ClientSession, running: Proxy) -> None:
    async with client.get("/") as answer:
        assert f"http://{answer.headers['X-Host']}" == running.url


async def test_the_path_stays_as_it_was_written(client: aiohttp.ClientSession, running: Proxy, server: Server) -> None:
    path, query = "/a%2Fb%20c/%C3%A4%61", "d=%26%61"
    await _status(client, "GET", URL(f"{running.url}{path}?{query}", encoded=True))
    assert server.asked == [f"GET {path}?{query}"]
    assert [(request.path, request.query) for request in running.requests()] == [(path, query)]


async def test_writes_down_what_came(client: aiohttp.ClientSession, running: Proxy) -> None:
    async with client.post("/a?b=c", json={"d": [1]}), client.post("/form", data={"d": "1"}):
        pass
    assert running.requests() == [
        Request("POST", "/a", "b=c", {"d": [1]}, 201),
        Request("POST", "/form", "", None, 201),
    ]
    running.clear()
    assert running.requests() == []


async def test_a_request_is_there_before_its_answer(
    client: aiohttp.ClientSession, running: Proxy, server: Server
) -> None:
    server.hold = asyncio.Event()
    asked = asyncio.create_task(_status(client, "PUT", "/a"))

    async def came() -> bool:
        return [request.status for request in running.requests()] == [None]

    await eventually(came, "the request came")
    server.hold.set()
    assert await asked == running.requests()[0].status == 201


async def test_an_answer_that_is_held_arrives_when_it_is_let_go(
    client: aiohttp.ClientSession, running: Proxy, server: Server
) -> None:
    held = running.hold("/a", methods=["PUT"], times=1)
    asked = asyncio.create_task(_status(client, "PUT", "/a"))
    await held.answered.wait()
    assert server.asked == ["PUT /a"]
    assert running.requests()[0].status is None
    assert await _status(client, "PUT", "/a") == 201, "once is enough"
    assert not asked.done()
    held.let_go.set()
    assert await asked == 201


async def test_a_write_is_what_changes_something(client: aiohttp.ClientSession, running: Proxy) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"):
        await _status(client, method, "/a")
    await _status(client, "POST", TOKEN)
    await _status(client, "PUT", f"{TOKEN}/not")
    assert [request.method for request in running.writes()] == ["POST", "PUT", "DELETE", "PATCH", "PUT"]


async def test_fails_where_it_is_told_to_until_it_is_healed(
    client: aiohttp.ClientSession, running: Proxy, server: Server
) -> None:
    running.fail(paths="/token$")
    running.fail(409, "^/admin", methods={"POST"})
    assert await _status(client, "POST", TOKEN) == 503
    assert await _status(client, "POST", "/admin/a") == 409
    assert await _status(client, "GET", "/admin/a") == 201
    assert await _status(client, "POST", "/other/admin/a") == 201
    assert server.asked == ["GET /admin/a", "POST /other/admin/a"]
    assert [write.status for write in running.writes()] == [409, 201]
    running.heal()
    assert await _status(client, "POST", TOKEN) == 201


async def test_answers_what_it_is_told_to(client: aiohttp.ClientSession, running: Proxy) -> None:
    running.fail(200, body={"realm": "a"}, headers={"Retry-After": "7"})
    async with client.get("/admin/realms/a") as answer:
        assert (answer.status, await answer.json()) == (200, {"realm": "a"})
        assert answer.headers["Retry-After"] == "7"


def _request(began: float, ended: float) -> Request:
    return Request("GET", "/", "", None, began=began, ended=ended)


@pytest.mark.parametrize(
    ("times", "most"),
    [
        ([], 0),
        ([(0, 1), (1, 2), (2, 3)], 1),
        ([(0, 3), (1, 2), (2, 3)], 2),
        ([(0, 9), (1, 8), (2, 7), (8, 9)], 3),
        ([(0, math.inf), (5, 6), (7, math.inf)], 2),
    ],
)
def test_counts_how_many_there_were_at_once(times: list[tuple[float, float]], most: int) -> None:
    assert at_once(_request(*each) for each in times) == most


async def test_knows_how_long_a_request_was_there(
    client: aiohttp.ClientSession, running: Proxy, server: Server
) -> None:
    await _status(client, "GET", "/a")
    server.hold = asyncio.Event()
    held = [asyncio.create_task(_status(client, "GET", f"/{name}")) for name in "bc"]

    async def came() -> bool:
        return len(running.requests()) == 3

    await eventually(came, "both are there")
    assert [request.ended < math.inf for request in running.requests()] == [True, False, False]
    server.hold.set()
    await asyncio.gather(*held)
    first, second, third = running.requests()
    assert first.began < first.ended < second.began < third.began < min(second.ended, third.ended)
    assert at_once(running.requests()) == 2


async def test_a_request_that_is_given_up_has_ended(
    client: aiohttp.ClientSession, running: Proxy, server: Server
) -> None:
    server.hold = asyncio.Event()
    asked = asyncio.create_task(_status(client, "GET", "/a"))

    async def came() -> bool:
        return bool(running.requests())

    await eventually(came, "the request came")
    asked.cancel()

    async def ended() -> bool:
        return running.requests()[0].ended < math.inf

    await eventually(ended, "it has ended")
    assert running.requests()[0].status is None


async def test_the_newest_fault_is_taken_and_counts(client: aiohttp.ClientSession, running: Proxy) -> None:
    running.fail(500)
    running.fail(401, "^/a", times=2)
    assert [await _status(client, "GET", path) for path in ("/b", "/a", "/a", "/a")] == [500, 401, 401, 500]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_drops_the_connection(client: aiohttp.ClientSession, running: Proxy, server: Server, after: bool) -> None:
    running.drop(after_the_server=after, times=1)
    with pytest.raises(GONE):
        await _status(client, "POST", "/a")
    assert server.asked == (["POST /a"] if after else [])
    assert running.writes() == [Request("POST", "/a", "", {}, None)]
    assert await _status(client, "POST", "/a") == 201


@dataclass
class Sleep:
    """Stands in for the sleep of the proxy: it lasts until it is over, or is given up."""

    asked: list[float] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        try:
            await self.over.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise

    async def begins(self) -> None:
        """Return when the proxy sleeps."""

        async def slept() -> bool:
            return bool(self.asked)

        await eventually(slept, "the proxy sleeps")


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Sleep:
    made = Sleep()
    # Not imported by name: `tests.cluster` gives that name to the function.
    monkeypatch.setattr(importlib.import_module("tests.cluster.proxy"), "asyncio", made)
    return made


async def test_asks_later_when_told_to(
    client: aiohttp.ClientSession, running: Proxy, server: Server, sleep: Sleep
) -> None:
    running.delay(0.2, times=1)
    later = asyncio.create_task(_status(client, "PUT", "/later"))
    await sleep.begins()
    assert await _status(client, "PUT", "/now") == 201
    sleep.over.set()
    assert await later == 201
    assert (server.asked, sleep.asked) == (["PUT /now", "PUT /later"], [0.2])


async def test_what_is_given_up_while_it_waits_never_reaches_the_server(
    client: aiohttp.ClientSession, running: Proxy, server: Server, sleep: Sleep
) -> None:
    running.delay(0.3, times=1)
    asked = asyncio.create_task(_status(client, "PUT", "/given-up"))
    await sleep.begins()
    asked.cancel()
    await asyncio.wait_for(sleep.given_up.wait(), WITHIN)
    assert await _status(client, "PUT", "/next") == 201
    assert server.asked == ["PUT /next"]


async def test_does_not_wait_for_what_waits(sleep: Sleep) -> None:
    async with aiohttp.ClientSession() as session:
        async with proxy("http://127.0.0.1:9") as between:
            between.delay(60)
            asked = asyncio.create_task(_status(session, "GET", f"{between.url}/a"))
            await sleep.begins()
        with pytest.raises(GONE):
            await asked
    assert sleep.given_up.is_set()


async def test_a_server_that_is_not_there_is_a_bad_gateway() -> None:
    # Nobody listens on the port of a server that was there.
    async with TestServer(web.Application(), host="127.0.0.1") as gone:
        address = str(gone.make_url(""))
    async with proxy(address) as between, aiohttp.ClientSession(between.url) as session:
        assert await _status(session, "GET", "/a") == 502
        assert between.requests()[0].status == 502


async def test_takes_more_than_aiohttp_would_by_itself(client: aiohttp.ClientSession, server: Server) -> None:
    many = bytes(5_000_000)
    async with client.post("/realms", data=io.BytesIO(many)) as answer:
        assert await answer.read() == many


async def test_remembers_credentials_wherever_they_come_by(client: aiohttp.ClientSession, running: Proxy) -> None:
    form = {"grant_type": "password", "username": "admin", "password": "a form's & own"}
    await client.post(TOKEN, data=form, headers={"Authorization": "Basic of-a-header"})
    body = {
        "smtpServer": {"host": "mail", "password": "deep down"},
        "clients": [{"secret": "in a list", "name": "app"}],
    }
    await client.put("/admin/realms/a", json=body)
    await client.put("/admin/realms/b", json={"smtpServer": {"password": "**********"}, "value": "elsewhere"})
    await client.post("/admin/realms/a/clients/b/client-secret", json={"value": "made by the server", "secret": None})
    running.clear()
    assert running.credentials == {
        "of-a-header": f"the header Authorization of POST {TOKEN}",
        "a form's & own": f"password of POST {TOKEN}",
        "deep down": "password of PUT /admin/realms/a",
        "in a list": "secret of PUT /admin/realms/a",
        "made by the server": "value of POST /admin/realms/a/clients/b/client-secret",
    }
    assert "deep down" not in repr(running)


async def test_remembers_credentials_in_answers(running: Proxy, client: aiohttp.ClientSession) -> None:
    running.fail(200, body={"access_token": "made by the proxy", "expires_in": 60})
    await client.get(TOKEN)
    assert running.credentials == {"made by the proxy": f"access_token of GET {TOKEN}"}
