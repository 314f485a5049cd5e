"""Who may do everything in a Keycloak of the tests, and a way to do it past whatever is under test."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp


def _random() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Administrator:
    """A person who logs in with a password; another one for each Keycloak."""

    username: str = "throw-away-admin"
    password: str = field(default_factory=_random)

    @property
    def grant(self) -> Mapping[str, str]:
        """Return the form that asks the realm `master` for a token."""
        return {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": self.username,
            "password": self.password,
        }


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A program that logs in with its secret; another one for each Keycloak."""

    client_id: str = "throw-away-service"
    client_secret: str = field(default_factory=_random)

    @property
    def grant(self) -> Mapping[str, str]:
        """Return the form that asks the realm `master` for a token."""
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }


def bootstrap(admin: Administrator, service_account: ServiceAccount) -> dict[str, str]:
    """Return the environment in which a Keycloak with an empty database makes both of them."""
    return {
        "KC_BOOTSTRAP_ADMIN_USERNAME": admin.username,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": admin.password,
        "KC_BOOTSTRAP_ADMIN_CLIENT_ID": service_account.client_id,
        "KC_BOOTSTRAP_ADMIN_CLIENT_SECRET": service_account.client_secret,
    }


@dataclass(frozen=True, slots=True)
class AdminApi:
    """Requests to the Admin API, each with a token of its own: it lives for a minute, and knows no later realm.

    An answer of 400 or above raises aiohttp.ClientResponseError.
    """

    url: str
    grant: Mapping[str, str]

    async def token(self) -> str:
        """Log in, and return the access token."""
        endpoint = f"{self.url}/realms/master/protocol/openid-connect/token"
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.post(endpoint, data=self.grant) as answer,
        ):
            return str((await answer.json())["access_token"])

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send *body* to *path* below `/admin/`; return the JSON of the answer, or None where there is none."""
        headers = {"Authorization": f"Bearer {await self.token()}"}
        async with (
            aiohttp.ClientSession(raise_for_status=True, headers=headers) as session,
            session.request(method, f"{self.url}/admin/{path}", json=body) as answer,
        ):
            return await answer.json() if answer.content_type == "application/json" else None
