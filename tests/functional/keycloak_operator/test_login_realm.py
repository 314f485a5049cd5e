"""An account outside of the realm master: it manages its own realm, and is told so when more is asked of it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster import Keycloak
from tests.functional.keycloak_operator.users import User
from tests.functional.operating import Running


@dataclass(frozen=True)
class Tenant:
    """A realm that no resource manages yet, and accounts in it."""

    keycloak: Keycloak
    realm: str

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for something below the realm, as an administrator of the whole server."""
        return await self.keycloak.api.ask(method, f"realms/{self.realm}{path}", body)

    async def client(self, client_id: str) -> dict[str, Any]:
        """Return a client."""
        (found,) = await self.ask("GET", f"/clients?clientId={client_id}")
        return dict(found)

    async def service_account(self, roles: Collection[str]) -> dict[str, str]:
        """Make a service account with *roles* of realm-management; return its credentials."""
        await self.ask("POST", "/clients", {"clientId": "operator", "secret": "s3cret", "serviceAccountsEnabled": True})
        account = await self.ask("GET", f"/clients/{(await self.client('operator'))['id']}/service-account-user")
        await self._grant(account["id"], roles)
        return {"client_id": "operator", "client_secret": "s3cret"}

    async def person(self, roles: Collection[str]) -> dict[str, str]:
        """Make a user with *roles* of realm-management; return its credentials."""
        credentials = [{"type": "password", "value": "pa55word", "temporary": False}]
        known = {"email": "operator@example.com", "firstName": "O", "lastName": "P"}
        await self.ask("POST", "/users", {"username": "operator", "enabled": True, "credentials": credentials, **known})
        (account,) = await self.ask("GET", "/users?username=operator&exact=true")
        await self._grant(account["id"], roles)
        return {"username": "operator", "password": "pa55word"}

    async def _grant(self, user: str, roles: Collection[str]) -> None:
        management = (await self.client("realm-management"))["id"]
        granted = [await self.ask("GET", f"/clients/{management}/roles/{role}") for role in roles]
        await self.ask("POST", f"/users/{user}/role-mappings/clients/{management}", granted)


@pytest.fixture
async def tenant(keycloak: Keycloak) -> AsyncIterator[Tenant]:
    made = Tenant(keycloak, f"tenants-{uuid.uuid4().hex[:12]}")
    await keycloak.api.ask("POST", "realms", {"realm": made.realm, "enabled": True})
    yield made
    await made.ask("DELETE", "")


async def connect(user: User, tenant: Tenant, credentials: dict[str, str], **admin: str) -> None:
    await user.put_secret("admin", **credentials)
    spec = {"url": tenant.keycloak.url, "admin": {"secret": "admin", "loginRealm": tenant.realm, **admin}}
    await user.apply("KeycloakConnection", "keycloak", spec)


def realm(name: str) -> dict[str, Any]:
    return {"connectionRef": {"name": "keycloak"}, "realm": {"realm": name, "displayName": "Ours"}, "adopt": True}


@pytest.mark.parametrize("kind", ["service account", "user"])
async def test_it_manages_its_own_realm_and_no_other(
    user: User, keycloak: Keycloak, tenant: Tenant, operator: Running, kind: str
) -> None:
    made = tenant.person(["realm-admin"]) if kind == "user" else tenant.service_account(["realm-admin"])
    await connect(user, tenant, await made)
    await user.wait_for("KeycloakConnection", "keycloak", "Synced")
    await user.apply("KeycloakRealm", "realm", realm(tenant.realm))
    found = await user.wait_for("KeycloakRealm", "realm", "Synced")
    assert found["status"]["issuer"] == f"{keycloak.url}/realms/{tenant.realm}"
    assert (await tenant.ask("GET", ""))["displayName"] == "Ours"
    await user.apply("KeycloakClient", "app", {"realmRef": {"name": "realm"}, "client": {"clientId": "app"}})
    await user.wait_for("KeycloakClient", "app", "Synced")
    actual = await tenant.client("app")
    assert (await user.secret("app-credentials") or {})["client-secret"] == actual["secret"]

    for name, other in (("new", f"{tenant.realm}-2"), ("existing", "master")):
        await user.apply("KeycloakRealm", name, {**realm(other), "deletionPolicy": "Retain"})
        await user.wait_for("KeycloakRealm", name, "Forbidden")
        message = (await user.condition("KeycloakRealm", name))["message"]
        assert f"it is in realm {tenant.realm} and can manage that realm only" in message
    assert other not in {each["realm"] for each in await keycloak.api.ask("GET", "realms")} - {"master"}
    assert "Traceback" not in operator.text()


async def test_it_need_not_see_the_version(user: User, tenant: Tenant, operator: Running) -> None:
    # Which roles show it depends on Keycloak's version; without manage-realm it is not shown by any.
    await connect(user, tenant, await tenant.service_account(["view-realm", "manage-clients"]))
    found = await user.wait_for("KeycloakConnection", "keycloak", "Synced")
    assert "version" not in found["status"]


@pytest.mark.parametrize("roles", [[], ["manage-clients"]])
async def test_it_is_of_no_use_if_it_may_not_see_its_realm(
    user: User, tenant: Tenant, operator: Running, roles: list[str]
) -> None:
    await connect(user, tenant, await tenant.service_account(roles))
    await user.wait_for("KeycloakConnection", "keycloak", "Forbidden")
    message = (await user.condition("KeycloakConnection", "keycloak"))["message"]
    assert "with the client role realm-admin of realm-management" in message


async def test_a_realm_to_log_in_to_that_is_not_there_is_named(user: User, tenant: Tenant, operator: Running) -> None:
    credentials = await tenant.service_account(["realm-admin"])
    await connect(user, tenant, credentials, loginRealm="nowhere")
    await user.wait_for("KeycloakConnection", "keycloak", "NotFound")
    message = (await user.condition("KeycloakConnection", "keycloak"))["message"]
    assert "no realm nowhere to log in to" in message
    spec = {"url": tenant.keycloak.url, "admin": {"secret": "admin", "loginRealm": tenant.realm}}
    generation = await user.apply("KeycloakConnection", "keycloak", spec)
    await user.wait_for("KeycloakConnection", "keycloak", "Synced", generation)
