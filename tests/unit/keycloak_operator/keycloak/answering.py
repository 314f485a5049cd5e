"""A Keycloak that answers as a test wants, in the place of httpx's own transport: all the rest is as it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx

from keycloak_operator.keycloak.admin import AdminClient
from keycloak_operator.keycloak.turns import Turns
from keycloak_operator.reconcile.ports import Access

ACCESS = Access(url="http://kc/base", client_id="me", client_secret="hidden-secret", origin="Secret here/admin")
PERSON = Access(url="http://kc/base", username="admin", password="hidden-password", origin="Secret here/person")

#: What something between the operator and Keycloak likes to answer.
PAGE = "<html><body>Please log in to the proxy</body></html>"

Answer = Callable[[httpx.Request], httpx.Response]


def client_of(access: Access, timeout: float = 5, at_a_time: int = 8) -> AdminClient:
    """Return a client that has the server for itself."""
    return AdminClient(access, timeout, Turns(access.url, at_a_time))


def granted(seconds: float = 3600) -> Answer:
    """Return an answer with a token that is good for *seconds*."""
    return lambda request: httpx.Response(200, json={"access_token": f"token-{id(request)}", "expires_in": seconds})


def answered(status: int = 200, content: Any = None) -> Answer:
    """Return an answer with *content* as JSON, or with a page if it is text."""
    body = {"text": content} if isinstance(content, str) else {"json": content}
    return lambda _: httpx.Response(status, **body)


def failed(error: type[httpx.HTTPError], text: str = "") -> Answer:
    """Return what fails before there is an answer."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error(text)

    return fail


@dataclass
class Server:
    """Answers logins with `login`, and everything else with the next of `answers`, the last of which stays.

    A request for something in `late` is answered when that is set.
    """

    login: Answer = field(default_factory=granted)
    answers: list[Answer] = field(default_factory=lambda: [answered(200, {})])
    late: dict[str, asyncio.Event] = field(default_factory=dict)
    logins: list[httpx.Request] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer *request*."""
        await asyncio.sleep(0.001)  # as over a network, others get their turn
        if request.url.path.endswith("/token"):
            self.logins.append(request)
            return self.login(request)
        self.requests.append(request)
        self.tokens.append(request.headers["Authorization"])  # now: the same request may come again with another one
        if event := self.late.get(request.url.path.rpartition("/")[2]):
            await event.wait()
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(request)

    def forms(self) -> list[dict[str, str]]:
        """Return what was sent to log in."""
        return [dict(parse_qsl(request.content.decode())) for request in self.logins]

    def paths(self) -> list[str]:
        """Return method and path of each request, as they were written."""
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    def bodies(self) -> list[Any]:
        """Return the JSON of each request."""
        return [json.loads(request.content) for request in self.requests]
