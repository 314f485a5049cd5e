"""Whose turn it is: so many at a time, in order, and none while the server wants to be left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import SimpleNamespace

import httpx
import pytest

from keycloak_operator import errors
from keycloak_operator.keycloak import turns
from keycloak_operator.keycloak.admin import AdminClient, Pool
from keycloak_operator.reconcile.ports import Access
from tests.cluster.waiting import WITHIN, eventually
from tests.unit.keycloak_operator.keycloak.answering import ACCESS, PERSON, Server, answered, client_of, failed, granted


@dataclass
class Counting:
    """Answers when it is told to, and counts how many wait for that."""

    present: int = 0
    most: int = 0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.present += 1
        self.most = max(self.most, self.present)
        await asyncio.sleep(0.001)  # as over a network, others get their turn
        self.present -= 1
        return granted()(request) if request.url.path.endswith("/token") else httpx.Response(204)


@pytest.fixture
def counting(server: Server, monkeypatch: pytest.MonkeyPatch) -> Counting:
    made = Counting()

    async def handle(_transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return await made.handle(request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    return made


@pytest.fixture
async def pool(server: Server) -> AsyncIterator[Pool]:
    made = Pool(timeout=5, requests=3)
    yield made
    await made.close()


@pytest.mark.parametrize("at_a_time", [1, 3, 8])
async def test_so_many_at_a_time_whatever_the_account_and_logins_count(counting: Counting, at_a_time: int) -> None:
    pool = Pool(timeout=5, requests=at_a_time)
    accounts = [replace(ACCESS, origin=f"Secret here/{number}") for number in range(20)]
    await asyncio.gather(*(pool.admin(account).delete_realm(f"r{n}") for n in range(5) for account in accounts))
    assert counting.most == at_a_time
    await pool.close()


async def test_who_comes_first_asks_first(server: Server) -> None:
    admin = client_of(ACCESS, at_a_time=2)
    await asyncio.gather(*(admin.delete_realm(str(number)) for number in range(20)))
    assert server.paths() == [f"DELETE /base/admin/realms/{number}" for number in range(20)]
    await admin.close()


@pytest.mark.parametrize("url", ["http://kc/base", "http://KC/base", "http://kc:80/base"])
async def test_one_server_is_one_however_its_url_is_written(pool: Pool, url: str) -> None:
    assert pool.admin(ACCESS)._turns is pool.admin(replace(ACCESS, url=url, origin="Secret there/admin"))._turns


@pytest.mark.parametrize("url", ["http://kc/other", "https://kc/base", "http://kc:8080/base"])
async def test_another_server_has_its_own(pool: Pool, url: str) -> None:
    assert pool.admin(ACCESS)._turns is not pool.admin(replace(ACCESS, url=url))._turns


async def test_nothing_of_a_request_begins_before_its_turn(server: Server) -> None:
    admin = client_of(ACCESS, at_a_time=1)
    async with admin._turns.turn():
        waiting = asyncio.create_task(admin.delete_realm("r"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert (server.logins, server.requests) == ([], []), "httpx would have begun to count its time"
    await waiting
    assert (len(server.logins), len(server.requests)) == (1, 1)
    await admin.close()


async def test_who_gives_up_leaves_its_place_to_the_next(server: Server) -> None:
    admin = client_of(ACCESS, at_a_time=1)
    async with admin._turns.turn():
        given_up, waiting = (asyncio.create_task(admin.delete_realm(name)) for name in ("given up", "r"))
        await asyncio.sleep(0)
        given_up.cancel()
    await asyncio.wait_for(waiting, WITHIN)
    assert server.paths() == ["DELETE /base/admin/realms/r"]
    await admin.close()


async def test_as_many_as_may_ask_find_a_connection() -> None:
    """Ask a real server at once by more than httpx connects by itself; it answers when all are there."""
    at_a_time, all_there = 150, asyncio.Event()
    present: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/token" in head:
            content = b'{"access_token": "t", "expires_in": 3600}'
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        else:
            present.append(writer)
            if len(present) == at_a_time:
                all_there.set()
            await all_there.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, backlog=at_a_time) as server:
        access = Access(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", client_id="me", client_secret="s")
        admin = client_of(access, timeout=60, at_a_time=at_a_time)
        asked = [asyncio.create_task(admin.delete_realm(str(number))) for number in range(at_a_time)]
        try:
            await asyncio.gather(*asked)
        finally:
            all_there.set()
            await asyncio.gather(*asked, return_exceptions=True)
            await admin.close()
    assert len(present) == at_a_time


async def _results(admin: AdminClient, count: int) -> list[BaseException | None]:
    return await asyncio.gather(*(admin.delete_realm(str(n)) for n in range(count)), return_exceptions=True)


async def test_a_server_that_is_not_there_is_not_asked_by_all_that_wait(server: Server) -> None:
    admin = client_of(ACCESS, at_a_time=3)
    await admin.delete_realm("r")
    server.requests.clear()
    server.answers = [failed(httpx.ConnectTimeout)]
    fail = asyncio.Event()  # those whose turn it is, all at once: one that fails alone is about itself
    server.late = dict.fromkeys("012", fail)

    async def asked() -> bool:
        return len(server.requests) == 3

    asking = asyncio.create_task(_results(admin, 20))
    await eventually(asked, "as many have asked as may at a time")
    fail.set()
    results = await asking
    assert len(server.requests) == 3
    assert {(type(each), str(each)) for each in results} == {
        (errors.KeycloakUnavailableError, "Keycloak at http://kc/base does not answer: ConnectTimeout")
    }
    server.answers = [answered(204)]
    server.requests.clear()
    assert await _results(admin, 3) == 3 * [None], "who need not wait finds out"
    assert await _results(admin, 20) == 20 * [None]
    await admin.close()


async def test_a_request_that_fails_among_others_is_about_itself(server: Server) -> None:
    admin = client_of(ACCESS, at_a_time=3)
    server.answers = [
        failed(httpx.ReadTimeout),
        failed(httpx.ReadTimeout),
        *5 * [answered(204), failed(httpx.ReadTimeout)],
    ]
    results = await _results(admin, 12)
    assert len(server.requests) == 12
    assert [each is None for each in results] == [False, False, *5 * [True, False]]
    await admin.close()


@dataclass
class Clock:
    """The time as a test wants it."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


def busy(seconds: str, status: int = 503) -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": seconds})


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_for_it_is_left_alone(pool: Pool, server: Server, clock: Clock, status: int) -> None:
    server.answers = [lambda _: busy("30", status), answered(204)]
    with pytest.raises(errors.KeycloakUnavailableError, match=f"answered {status} .* left alone until ") as raised:
        await pool.admin(ACCESS).delete_realm("r")
    assert raised.value.retry_after == 30
    clock.now += 10
    for access in (ACCESS, PERSON, replace(ACCESS, url="http://kc:80/base", origin="Secret there/admin")):
        with pytest.raises(errors.KeycloakUnavailableError, match="kc/base asks to be left alone until 20") as raised:
            await pool.admin(access).delete_realm("r")
        assert raised.value.retry_after == 20
    assert (len(server.logins), len(server.requests)) == (1, 1)
    await pool.admin(replace(ACCESS, url="http://other")).delete_realm("r")
    clock.now += 20
    await pool.admin(ACCESS).delete_realm("r")
    assert [request.url.host for request in server.requests] == ["kc", "other", "kc"]


async def test_of_two_times_the_later_holds(pool: Pool, server: Server, clock: Clock) -> None:
    server.answers = [lambda _: busy("30"), lambda _: busy("5"), answered(204)]
    admin = pool.admin(ACCESS)
    results = await asyncio.gather(*(admin.delete_realm(n) for n in "ab"), return_exceptions=True)
    assert sorted(each.retry_after or 0 for each in results if isinstance(each, errors.OperatorError)) == [5, 30]
    clock.now += 29
    with pytest.raises(errors.KeycloakUnavailableError):
        await admin.delete_realm("r")
    clock.now += 1
    await admin.delete_realm("r")


async def test_those_that_wait_do_not_ask_either(pool: Pool, server: Server, clock: Clock) -> None:
    server.answers = [lambda _: busy("30")]
    results = await _results(pool.admin(ACCESS), 20)
    assert len(server.requests) == 3
    assert {type(each) for each in results} == {errors.KeycloakUnavailableError}


@pytest.mark.parametrize("status", [429, 503])
async def test_a_login_counts_also_for_those_that_wait_for_it(
    pool: Pool, server: Server, clock: Clock, status: int
) -> None:
    server.login = lambda _: busy("30", status)
    results = await _results(pool.admin(ACCESS), 20)
    assert (len(server.logins), len(server.requests)) == (1, 0)
    assert {each.retry_after for each in results if isinstance(each, errors.KeycloakUnavailableError)} == {30}
    assert len({str(each) for each in results}) == 2, "the one that was told, and all others"


async def test_without_a_word_of_when_all_may_ask(pool: Pool, server: Server, clock: Clock) -> None:
    server.answers = [answered(503)]
    results = await _results(pool.admin(ACCESS), 20)
    assert len(server.requests) == 20
    assert {each.retry_after for each in results if isinstance(each, errors.KeycloakUnavailableError)} == {None}
