"""Keycloak's Admin REST API, as far as the operator uses it."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any
from urllib.parse import quote

import httpx

from keycloak_operator import metrics
from keycloak_operator.errors import (
    ForbiddenError,
    InvalidSpecError,
    NameConflictError,
    NotFoundError,
    RejectedByKeycloakError,
    SecretNotFoundError,
)
from keycloak_operator.keycloak import answers
from keycloak_operator.keycloak.token import TokenAuth
from keycloak_operator.keycloak.turns import Turns
from keycloak_operator.reconcile.ports import Access, Representation
from keycloak_operator.resources import MASTER


class AdminClient:
    """The Admin API of the Keycloak that *access* names; *timeout* in seconds, for each request once it is its turn.

    Implements `keycloak_operator.reconcile.ports.Admin`. May be used by any number of tasks at once. `close` it.
    """

    def __init__(self, access: Access, timeout: float, turns: Turns) -> None:
        self._url, self._realm = access.url, access.realm
        self._auth = TokenAuth(access)
        self._turns = turns
        self._http = httpx.AsyncClient(
            base_url=_checked(access.url),
            auth=self._auth,
            timeout=timeout,
            verify=_trusting(access.ca) if access.ca else True,
            event_hooks={"request": [turns.before], "response": [turns.after, _count]},  # of logins, too
            limits=httpx.Limits(max_connections=None),  # turns are what is limited
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def version(self) -> str | None:
        """Return the server's version."""
        if self._realm == MASTER:
            version = await self._version()
            if not version:
                raise ForbiddenError(f"the operator's account sees no server info; {answers.missing(MASTER)}")
            return version
        # What an account of another realm has to do with is that realm; the version is shown to some of them only.
        if await self.get_realm(self._realm) is None:
            raise NotFoundError(f"realm {self._realm}, which the operator has logged in to, is gone")
        try:
            return await self._version()
        except ForbiddenError:
            return None

    async def _version(self) -> str | None:
        info = answers.document(self._there(await self._ask("GET", "/admin/serverinfo")))
        version = (info.get("systemInfo") or {}).get("version")
        return str(version) if version else None

    async def get_realm(self, realm: str) -> dict[str, Any] | None:
        """Return the representation of *realm*.

        Keycloak answers with nothing but the name when the token is older than the realm, or lacks rights: a new token
        tells the two apart, and the stump is never returned.
        """
        for fresh in (False, True):
            if fresh:
                self._auth.forget()
            response = await self._ask("GET", _realm(realm))
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            representation = answers.document(response)
            if "id" in representation:
                _check_name(realm, representation)
                return representation
        raise ForbiddenError(
            f"the operator's account sees of realm {realm!r} only its name; {answers.missing(self._realm)}"
        )

    async def create_realm(self, representation: Representation) -> bool:
        """Create a realm."""
        created = await self._create("/admin/realms", representation)
        self._auth.forget()
        return created

    async def update_realm(self, realm: str, representation: Representation) -> None:
        """Replace the settings of *realm*."""
        self._there(await self._ask("PUT", _realm(realm), json=representation))

    async def delete_realm(self, realm: str) -> None:
        """Delete *realm*."""
        await self._ask("DELETE", _realm(realm))

    async def find_client(self, realm: str, client_id: str) -> dict[str, Any] | None:
        """Return the client whose ``clientId`` is exactly *client_id*."""
        answered = await self.listed(realm, "clients", clientId=client_id)
        found = [each for each in answered if each.get("clientId") == client_id]
        return dict(found[0]) if found else None

    async def create_client(self, realm: str, representation: Representation) -> bool:
        """Create a client."""
        return await self._create(f"{_realm(realm)}/clients", representation)

    async def update_client(self, realm: str, internal_id: str, representation: Representation) -> None:
        """Replace the client's settings."""
        self._there(await self._ask("PUT", _client(realm, internal_id), json=representation))

    async def delete_client(self, realm: str, internal_id: str) -> None:
        """Delete a client."""
        await self._ask("DELETE", _client(realm, internal_id))

    async def client_secret(self, realm: str, internal_id: str) -> str:
        """Return the client's secret."""
        response = self._there(await self._ask("GET", f"{_client(realm, internal_id)}/client-secret"))
        return str(answers.document(response).get("value") or "")

    async def rotated_secret(self, realm: str, internal_id: str) -> str:
        """Return the secret that was valid before the last rotation."""
        response = await self._ask("GET", f"{_client(realm, internal_id)}/client-secret/rotated")
        if response.status_code == httpx.codes.NOT_FOUND:
            return ""
        return str(answers.document(response).get("value") or "")

    async def flows(self, realm: str) -> dict[str, str]:
        """Return the ids of authentication flows by alias."""
        return {each["alias"]: each["id"] for each in await self.listed(realm, "authentication/flows")}

    async def realm_scopes(self, realm: str, kind: str, protocol: str) -> list[str]:
        """Return the names of the scopes that new clients have."""
        scopes = await self.listed(realm, f"default-{kind}-client-scopes")
        return [each["name"] for each in scopes if each.get("protocol", protocol) == protocol]

    async def client_scopes(self, realm: str) -> dict[str, str]:
        """Return the ids of client scopes by name."""
        return {each["name"]: each["id"] for each in await self.listed(realm, "client-scopes")}

    async def link_scope(self, realm: str, internal_id: str, kind: str, scope_id: str) -> None:
        """Link a client scope."""
        self._there(await self._ask("PUT", _link(realm, internal_id, kind, scope_id)))

    async def unlink_scope(self, realm: str, internal_id: str, kind: str, scope_id: str) -> None:
        """Unlink a client scope."""
        await self._ask("DELETE", _link(realm, internal_id, kind, scope_id))

    async def clients(self, realm: str, first: int, most: int) -> list[dict[str, Any]]:
        """Return the representations of the clients after the *first* ones, *most* of them."""
        return await self.listed(realm, "clients", first=first, max=most)

    async def listed(self, realm: str, what: str, **query: str | int) -> list[dict[str, Any]]:
        """Return what *realm* has of *what*, which is a path."""
        response = await self._ask("GET", f"{_realm(realm)}/{what}", params=query or None)
        return answers.documents(self._there(response))

    async def count(self, realm: str, what: str) -> int:
        """Return how many of *what*, which is a path, *realm* has."""
        return answers.count(self._there(await self._ask("GET", f"{_realm(realm)}/{what}/count")))

    async def _create(self, path: str, representation: Representation) -> bool:
        response = self._there(await self._ask("POST", path, json=representation))
        return response.status_code != httpx.codes.CONFLICT

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            async with self._turns.turn():
                response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            metrics.requested(method, None)
            raise answers.unreachable(error, self._url) from error
        answers.check(response, self._realm)
        if response.status_code == httpx.codes.CONFLICT and method != "POST":
            raise RejectedByKeycloakError(f"{method} {path}: {answers.message(response) or 'conflict'}")
        return response

    def _there(self, response: httpx.Response) -> httpx.Response:
        """Return *response*, unless what the path names does not exist."""
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(f"{response.request.method} {response.request.url.path}: Keycloak knows no such thing")
        return response


class Pool:
    """One `AdminClient` for each account, as logins and connections are worth keeping; *requests* at a time per server.

    Implements `keycloak_operator.reconcile.ports.Keycloaks`. Changed credentials make a new client; the old one may be
    in use, so it is closed with all others.
    """

    def __init__(self, timeout: float, requests: int) -> None:
        self._timeout = timeout
        self._requests = requests
        self._turns: dict[str, Turns] = {}
        # Not by the Secret alone: two connections may share one, and must not replace each other's client for ever.
        self._clients: dict[tuple[str, str, str], tuple[Access, AdminClient]] = {}
        self._replaced: list[AdminClient] = []

    def admin(self, access: Access) -> AdminClient:
        """Return the client for *access*."""
        account = (access.url, access.realm, access.origin)
        known, client = self._clients.get(account, (None, None))
        if client is None or known != access:
            if client is not None:
                self._replaced.append(client)
            client = AdminClient(access, self._timeout, self._turns_at(access.url))
            self._clients[account] = (access, client)
        return client

    def _turns_at(self, url: str) -> Turns:
        """Return the turns at the server at *url*, however that is written."""
        server = str(_checked(url))
        return self._turns.setdefault(server, Turns(server, self._requests))

    async def close(self) -> None:
        """Close all clients."""
        clients = self._replaced + [client for _, client in self._clients.values()]
        self._replaced, self._clients = [], {}
        await asyncio.gather(*(client.close() for client in clients))


async def _count(response: httpx.Response) -> None:
    metrics.requested(response.request.method, response.status_code)


def _checked(url: str) -> httpx.URL:
    """Return *url*, of which the rules of the resource do not see everything that can be wrong."""
    try:
        checked = httpx.URL(url)
        found = "" if checked.host else "there is no host"  # decodes it, which may fail, too
    except (httpx.InvalidURL, UnicodeError) as error:
        found = str(error)
    if found:
        raise InvalidSpecError(f"spec.url {url!r} cannot be used: {found}")
    return checked


def _trusting(certificates: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=certificates)
    except (ssl.SSLError, TypeError):  # the latter for what is not ASCII
        raise SecretNotFoundError("what spec.caSecret names is no certificate in PEM form") from None


def _check_name(realm: str, representation: Representation) -> None:
    """Raise unless *representation* is the one of *realm*: a database may find names that differ in case."""
    if representation.get("realm") != realm:
        raise NameConflictError(f"Keycloak takes {realm} for realm {representation.get('realm')}; choose another name")


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _realm(realm: str) -> str:
    return f"/admin/realms/{_quoted(realm)}"


def _client(realm: str, internal_id: str) -> str:
    return f"{_realm(realm)}/clients/{_quoted(internal_id)}"


def _link(realm: str, internal_id: str, kind: str, scope_id: str) -> str:
    return f"{_client(realm, internal_id)}/{kind}-client-scopes/{_quoted(scope_id)}"
