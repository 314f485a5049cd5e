"""The life of each kind, in a real Keycloak."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster import ControlPlane, eventually
from tests.cluster.keycloak import Keycloak
from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.users import ENTRANCES, User, start_operator


def realm(stage: Stage, declared: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "connectionRef": {"name": "keycloak"},
        "realm": {"realm": stage.realm_name, **(declared or {})},
        "deletionPolicy": "Delete",
        **spec,
    }


def client(declared: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"realmRef": {"name": "realm"}, "client": {"clientId": "app", **(declared or {})}, **spec}


async def in_keycloak(stage: Stage, path: str = "") -> Any:
    """Return what Keycloak has below the test's realm, None where there is nothing; not through the proxy."""
    try:
        return await stage.keycloak.api.ask("GET", f"realms/{stage.realm_name}{path}")
    except aiohttp.ClientResponseError as error:
        if error.status != 404:
            raise
        return None


async def find_client(stage: Stage) -> dict[str, Any] | None:
    found = await in_keycloak(stage, "/clients?clientId=app") or []
    return dict(found[0]) if found else None


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("account", ["service account", "user"])
async def test_a_keycloak_is_ready_when_the_operator_can_log_in(  # noqa: PLR0917 - fixtures and parameters
    user: User, keycloak: Keycloak, control_plane: ControlPlane, tmp_path: Path, entrance: str, account: str
) -> None:
    if account == "user":
        await user.put_secret("admin", username=keycloak.admin.username, password=keycloak.admin.password)
    else:
        service = keycloak.service_account
        await user.put_secret("admin", client_id=service.client_id, client_secret=service.client_secret)
    with start_operator(tmp_path, control_plane.kubeconfig, user.namespace, entrance) as operator:
        await user.apply("KeycloakConnection", "keycloak", {"url": keycloak.url, "admin": {"secret": "admin"}})
        found = await user.wait_for("KeycloakConnection", "keycloak", "Synced")
        assert found["status"]["version"].startswith("26.")
        assert (found["status"]["url"], found["status"]["observedGeneration"]) == (keycloak.url, 1)
        await user.delete("KeycloakConnection", "keycloak")
        await user.wait_until_gone("KeycloakConnection", "keycloak")
        operator.signal(signal.SIGTERM)
        assert await asyncio.to_thread(operator.ended) == 0
    assert "Traceback" not in operator.text()


async def test_a_realm_lives_and_goes(stage: Stage) -> None:
    declared = {"displayName": "First", "loginTheme": "keycloak", "attributes": {"mine": "yes"}, "sslRequired": "none"}
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, declared))
    found = await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    assert found["status"]["issuer"] == f"{stage.proxy.url}/realms/{stage.realm_name}"
    actual = await in_keycloak(stage)
    assert (actual["displayName"], actual["loginTheme"], actual["enabled"]) == ("First", "keycloak", True)
    assert actual["attributes"]["mine"] == "yes"
    generation = await stage.user.apply("KeycloakRealm", "realm", realm(stage, {**declared, "displayName": "Second"}))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    assert (await in_keycloak(stage))["displayName"] == "Second"
    await stage.user.delete("KeycloakRealm", "realm")
    await stage.user.wait_until_gone("KeycloakRealm", "realm")
    assert await in_keycloak(stage) is None
    await stage.user.wait_for_event("realm", "Deleted")
    assert {"Created", "Updated"} <= set(await stage.user.events("realm"))


async def test_a_retained_realm_stays_and_can_be_adopted_again(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, deletionPolicy="Retain"))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    await stage.user.delete("KeycloakRealm", "realm")
    await stage.user.wait_until_gone("KeycloakRealm", "realm")
    assert "keycloak.vriesdemichael.github.io/owner" not in (await in_keycloak(stage))["attributes"]
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.wait_for("KeycloakRealm", "realm", "NameConflict")
    generation = await stage.user.apply("KeycloakRealm", "realm", realm(stage, adopt=True))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced", generation)


async def test_a_client_lives_and_goes_and_its_secret_opens_the_door(stage: Stage) -> None:
    # All at once, in no order: children wait for their parents.
    declared = {
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": False,
        "redirectUris": ["https://app/*"],
        "defaultClientScopes": ["email", "profile"],
        "protocolMappers": [
            {
                "name": "team",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-hardcoded-claim-mapper",
                "config": {"claim.name": "team", "claim.value": "blue", "access.token.claim": "true"},
            }
        ],
    }
    await stage.user.apply("KeycloakClient", "client", client(declared))
    await stage.user.wait_for("KeycloakClient", "client", "NotFound")
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"sslRequired": "none"}))
    found = await stage.user.wait_for("KeycloakClient", "client", "Synced")
    assert found["status"]["secretName"] == "client-credentials"
    secret = await stage.user.secret("client-credentials")
    assert secret is not None
    async with aiohttp.ClientSession() as session:
        form = {
            "grant_type": "client_credentials",
            "client_id": secret["client-id"],
            "client_secret": secret["client-secret"],
        }
        async with session.post(f"{secret['issuer']}/protocol/openid-connect/token", data=form) as answer:
            assert answer.status == 200, await answer.text()
    actual = await find_client(stage)
    assert actual is not None
    assert set(actual["defaultClientScopes"]) == {"email", "profile"}
    changed = {**declared, "redirectUris": [], "defaultClientScopes": ["roles"], "optionalClientScopes": ["email"]}
    generation = await stage.user.apply("KeycloakClient", "client", client(changed))
    await stage.user.wait_for("KeycloakClient", "client", "Synced", generation)
    actual = await find_client(stage)
    assert actual is not None
    assert (actual["redirectUris"], actual["defaultClientScopes"]) == ([], ["roles"])
    assert actual["optionalClientScopes"] == ["email"]
    assert [mapper["name"] for mapper in actual["protocolMappers"] if mapper["name"] == "team"] == ["team"]
    await stage.user.delete("KeycloakClient", "client")
    await stage.user.wait_until_gone("KeycloakClient", "client")
    assert await find_client(stage) is None


async def test_a_client_with_a_secret_of_its_own(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.apply("KeycloakClient", "client", client(clientSecretRef={"name": "chosen", "key": "secret"}))
    await stage.user.wait_for("KeycloakClient", "client", "SecretNotFound")
    assert await find_client(stage) is None
    await stage.user.put_secret("chosen", secret="chosen-by-us")
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    assert (await stage.user.secret("client-credentials") or {})["client-secret"] == "chosen-by-us"
    await stage.user.delete_secret("client-credentials")

    async def written_again() -> bool:
        return (await stage.user.secret("client-credentials") or {}).get("client-secret") == "chosen-by-us"

    await eventually(written_again, "the output Secret is written again")
    await stage.user.put_secret("chosen", secret="changed-by-us")

    async def changed() -> bool:
        return (await stage.user.secret("client-credentials") or {}).get("client-secret") == "changed-by-us"

    await eventually(changed, "the changed secret arrives")
