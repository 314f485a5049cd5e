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
    NotFoundError,
    RejectedByKeycloakError,
    SecretNotFoundError,
)
from keycloak_operator.keycloak import answers
from keycloak_operator.keycloak.token import TokenAuth
from keycloak_operator.reconcile.ports import Access, Representation


class AdminClient:
    """The Admin API of the Keycloak that *access* names; *timeout* in seconds, for each request.

    Implements `keycloak_operator.reconcile.ports.Admin`. May be used by any number of tasks at once. `close` it.
    """

    def __init__(self, access: Access, timeout: float) -> None:
        self._url = access.url
        self._auth = TokenAuth(access)
        verify = _trusting(access.ca) if access.ca else True
        self._http = httpx.AsyncClient(base_url=_checked(access.url), auth=self._auth, timeout=timeout, verify=verify)
        self._http.event_hooks["response"].append(_count)  # also of logins

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def version(self) -> str:
        """Return the server's version."""
        info = answers.document(self._there(await self._ask("GET", "/admin/serverinfo")))
        version = (info.get("systemInfo") or {}).get("version", "")
        if not version:  # shown to administrators of the master realm only
            raise ForbiddenError("the operator's account sees no server info; give it the realm role admin in master")
        return str(version)

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
                return representation
        raise ForbiddenError(f"the operator's account sees of realm {realm!r} only its name; give it the role admin")

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
        response = self._there(await self._ask("GET", f"{_realm(realm)}/clients", params={"clientId": client_id}))
        found = [each for each in answers.documents(response) if each.get("clientId") == client_id]
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

    async def client_scopes(self, realm: str) -> dict[str, str]:
        """Return the ids of client scopes by name."""
        response = self._there(await self._ask("GET", f"{_realm(realm)}/client-scopes"))
        return {each["name"]: each["id"] for each in answers.documents(response)}

    async def link_scope(self, realm: str, internal_id: str, kind: str, scope_id: str) -> None:
        """Link a client scope."""
        self._there(await self._ask("PUT", _link(realm, internal_id, kind, scope_id)))

    async def unlink_scope(self, realm: str, internal_id: str, kind: str, scope_id: str) -> None:
        """Unlink a client scope."""
        await self._ask("DELETE", _link(realm, internal_id, kind, scope_id))

    async def _create(self, path: str, representation: Representation) -> bool:
        response = self._there(await self._ask("POST", path, json=representation))
        return response.status_code != httpx.codes.CONFLICT

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            metrics.requested(method, None)
            raise answers.unreachable(error, self._url) from error
        answers.check(response)
        if response.status_code == httpx.codes.CONFLICT and method != "POST":
            raise RejectedByKeycloakError(f"{method} {path}: {answers.message(response) or 'conflict'}")
        return response

    def _there(self, response: httpx.Response) -> httpx.Response:
        """Return *response*, unless what the path names does not exist."""
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(f"{response.request.method} {response.request.url.path}: Keycloak knows no such thing")
        return response


class Pool:
    """One `AdminClient` for each place that credentials come from, as logins and connections are worth keeping.

    Implements `keycloak_operator.reconcile.ports.Keycloaks`. Changed credentials make a new client; the old one may be
    in use, so it is closed with all others.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._clients: dict[str, tuple[Access, AdminClient]] = {}
        self._replaced: list[AdminClient] = []

    def admin(self, access: Access) -> AdminClient:
        """Return the client for *access*."""
        known, client = self._clients.get(access.origin, (None, None))
        if client is None or known != access:
            if client is not None:
                self._replaced.append(client)
            client = AdminClient(access, self._timeout)
            self._clients[access.origin] = (access, client)
        return client

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


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _realm(realm: str) -> str:
    return f"/admin/realms/{_quoted(realm)}"


def _client(realm: str, internal_id: str) -> str:
    return f"{_realm(realm)}/clients/{_quoted(internal_id)}"


def _link(realm: str, internal_id: str, kind: str, scope_id: str) -> str:
    return f"{_client(realm, internal_id)}/{kind}-client-scopes/{_quoted(scope_id)}"
