"""A proxy in front of a server: it counts what a program asks for, and fails when it is told to.

The `Host` of a request stays as it came. Keycloak takes its own address from it, so every address that it hands out
(issuer, token endpoint, `Location`) leads through the proxy again. A token holds at the address where it was asked for:
one that came through the proxy is refused past it, and the other way round.

A server that is not there makes the proxy answer 502. A request whose client gave up is given up.

It remembers every password, token and secret of a client that came by, so that a test can look whether one of them is
somewhere else, too.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_WRITES = frozenset({"POST", "PUT", "DELETE", "PATCH"})
# POST is how a token is asked for; it changes nothing that anybody would call data.
_TOKEN = re.compile(r"/protocol/openid-connect/token$")
# Fields of forms and of JSON whose values are credentials, in requests and in answers.
_CREDENTIALS = frozenset(
    {
        "access_token",
        "client_assertion",
        "client_secret",
        "clientSecret",
        "id_token",
        "password",
        "refresh_token",
        "registrationAccessToken",
        "secret",
    }
)
_CLIENT_SECRET = re.compile(r"/client-secret$")
_MASK = re.compile(r"\**")
# They are about one connection, of which there are two; the length is counted anew.
_NOT_PASSED_ON = ("Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Content-Length")
_SET_BY_AIOHTTP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_PassOn = Callable[[], Awaitable[web.Response]]
_Act = Callable[[_PassOn], Awaitable[web.Response | None]]  # None drops the connection


@dataclass(slots=True)
class Request:
    """A request that came: `path` as it was written, without the query; `body` is its JSON, or None.

    `status` is what the client was answered: None while it is not, and for ever if the connection was dropped. `began`
    and `ended` are of the monotonic clock: between them the request was here.
    """

    method: str
    path: str
    query: str
    body: Any
    status: int | None = None
    began: float = field(default_factory=time.monotonic, compare=False)
    ended: float = field(default=math.inf, compare=False)


def at_once(requests: Iterable[Request]) -> int:
    """Return how many of *requests* there were at most at the same time."""
    changes = [(moment, change) for each in requests for moment, change in ((each.began, 1), (each.ended, -1))]
    present = most = 0
    for _, change in sorted(changes):  # of the same moment, an end comes before a beginning
        present += change
        most = max(most, present)
    return most


@dataclass(slots=True)
class _Fault:
    act: _Act
    paths: str
    methods: Collection[str]
    times: float

    def takes(self, request: Request) -> bool:
        """Return whether it concerns *request*, and count it if so."""
        if self.times < 1 or (self.methods and request.method not in self.methods):
            return False
        concerned = bool(re.search(self.paths, request.path))
        self.times -= concerned
        return concerned


@dataclass(frozen=True, slots=True)
class Held:
    """Answers that do not arrive before `let_go` is set; `answered` is set when there is the first."""

    answered: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Proxy:
    """A running proxy at `url`.

    A fault holds until `heal`, or for so many *times*; of those that concern a request the newest is taken. *paths* is
    a regular expression that is searched for in the path; without *methods*, all are concerned.
    """

    url: str = ""
    #: The secrets that came by, with where each was; `clear` does not forget it.
    credentials: dict[str, str] = field(default_factory=dict, repr=False)
    _requests: list[Request] = field(default_factory=list)
    _faults: list[_Fault] = field(default_factory=list)

    def requests(self) -> list[Request]:
        """Return what came since the last `clear`, in order."""
        return list(self._requests)

    def writes(self) -> list[Request]:
        """Return the requests that would change something, also those that failed; none of those for tokens."""
        return [request for request in self._requests if request.method in _WRITES and not _TOKEN.search(request.path)]

    def clear(self) -> None:
        """Forget the requests that came so far."""
        self._requests.clear()

    def heal(self) -> None:
        """End all faults."""
        self._faults.clear()

    def fail(
        self,
        status: int = 503,
        paths: str = "",
        *,
        methods: Collection[str] = (),
        times: float = math.inf,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with *status*, *headers* and *body* as JSON, and do not ask the server."""

        async def answer(pass_on: _PassOn) -> web.Response:
            content = {"error": "told to fail"} if body is None else body
            return web.json_response(content, status=status, headers=headers)

        self._faults.insert(0, _Fault(answer, paths, methods, times))

    def drop(
        self,
        paths: str = "",
        *,
        methods: Collection[str] = (),
        times: float = math.inf,
        after_the_server: bool = False,
    ) -> None:
        """Drop the connection: at once, or after the server has done what its client will not know of."""

        async def drop(pass_on: _PassOn) -> None:
            if after_the_server:
                await pass_on()

        self._faults.insert(0, _Fault(drop, paths, methods, times))

    def delay(self, seconds: float, paths: str = "", *, methods: Collection[str] = (), times: float = math.inf) -> None:
        """Ask the server after *seconds*."""

        async def wait(pass_on: _PassOn) -> web.Response:
            await asyncio.sleep(seconds)
            return await pass_on()

        self._faults.insert(0, _Fault(wait, paths, methods, times))

    def hold(self, paths: str = "", *, methods: Collection[str] = (), times: float = math.inf) -> Held:
        """Ask the server at once, and keep what it answers until that is let go."""
        held = Held()

        async def keep(pass_on: _PassOn) -> web.Response:
            answer = await pass_on()
            held.answered.set()
            await held.let_go.wait()
            return answer

        self._faults.insert(0, _Fault(keep, paths, methods, times))
        return held

    async def _answer(self, request: web.Request, session: aiohttp.ClientSession) -> web.Response:
        content = await request.read()
        record = Request(request.method, request.rel_url.raw_path, request.rel_url.raw_query_string, _json(content))
        self._requests.append(record)

        async def pass_on() -> web.Response:
            return await _ask(session, request, content)

        fault = next((fault for fault in self._faults if fault.takes(record)), None)
        try:
            response = await (fault.act(pass_on) if fault else pass_on())
        finally:  # also when the client has given up
            record.ended = time.monotonic()
        for where, value in _credentials(request, content, response):
            self.credentials.setdefault(value, f"{where} of {record.method} {record.path}")
        if response is None:
            return _dropped(request)
        record.status = response.status
        return response


@asynccontextmanager
async def proxy(target: str) -> AsyncIterator[Proxy]:
    """Yield a proxy on the loopback address, in front of the server whose address is *target*."""
    running = Proxy()
    async with aiohttp.ClientSession(
        target,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        # A connection that a restarted server has forgotten would be a failure that nobody asked for.
        connector=aiohttp.TCPConnector(force_close=True),
        skip_auto_headers=_SET_BY_AIOHTTP,
    ) as session:

        async def answer(request: web.Request) -> web.Response:
            return await running._answer(request, session)

        application = web.Application(client_max_size=0)  # no limit
        application.router.add_route("*", "/{path:.*}", answer)
        async with _served(application) as running.url:
            yield running


@asynccontextmanager
async def _served(application: web.Application) -> AsyncIterator[str]:
    """Yield the address at which *application* answers; at the end nothing is waited for."""
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _ask(session: aiohttp.ClientSession, request: web.Request, content: bytes) -> web.Response:
    address = URL(request.raw_path, encoded=True)
    data = io.BytesIO(content) if content else None  # bare bytes are warned of when there are many
    try:
        async with session.request(
            request.method, address, data=data, headers=_passed_on(request.headers), allow_redirects=False
        ) as answer:
            return web.Response(status=answer.status, body=await answer.read(), headers=_passed_on(answer.headers))
    except aiohttp.ClientError as error:
        return web.json_response({"error": f"the proxy got no answer: {error}"}, status=502)


def _credentials(request: web.Request, content: bytes, response: web.Response | None) -> Iterator[tuple[str, str]]:
    """Yield the credentials in a request and in its answer, each with where it was."""
    if credentials := request.headers.get("Authorization", "").partition(" ")[2]:
        yield "the header Authorization", credentials
    found: list[tuple[str, str]] = []
    if request.content_type == "application/x-www-form-urlencoded":
        found += parse_qsl(content.decode(errors="replace"))
    found += _fields(_json(content))
    if response is not None:
        shown = response.body if isinstance(response.body, bytes) else b""
        answered = gzip.decompress(shown) if response.headers.get("Content-Encoding") == "gzip" else shown
        found += _fields(_json(answered))
    wanted = _CREDENTIALS | ({"value"} if _CLIENT_SECRET.search(request.path) else frozenset())
    yield from ((name, value) for name, value in found if name in wanted and not _MASK.fullmatch(value))


def _fields(document: Any) -> Iterator[tuple[str, str]]:
    """Yield all fields of *document* whose values are text, however deep they are."""
    if isinstance(document, dict):
        for name, value in document.items():
            if isinstance(value, str):
                yield name, value
            yield from _fields(value)
    elif isinstance(document, list):
        for each in document:
            yield from _fields(each)


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    kept = headers.copy()
    for name in _NOT_PASSED_ON:
        kept.popall(name, None)
    return kept


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # goes nowhere
