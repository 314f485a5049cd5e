"""What the operator must not do to what is not its own: other namespaces' realms, undeclared fields, secrets in use."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.cluster import eventually
from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.test_lifecycle import client, find_client, in_keycloak, realm
from tests.functional.keycloak_operator.test_trouble import quiet
from tests.functional.keycloak_operator.users import User


@pytest.fixture
def watched(namespace: str, tenant: User) -> str:
    return f"{namespace},{tenant.namespace}"


def connected(stage: Stage, spec: dict[str, Any]) -> dict[str, Any]:
    """Return *spec* of a realm with the connection in the stage's namespace."""
    return {**spec, "connectionRef": {"name": "keycloak", "namespace": stage.user.namespace}}


async def allow(stage: Stage, tenant: User, **entry: Any) -> None:
    """Have the connection allow *tenant* what *entry* says, and wait until the operator knows."""
    found = await stage.user.get("KeycloakConnection", "keycloak")
    assert found is not None
    spec = {**found["spec"], "allowedNamespaces": [{"namespace": tenant.namespace, **entry}]}
    generation = await stage.user.apply("KeycloakConnection", "keycloak", spec)
    await stage.user.wait_for("KeycloakConnection", "keycloak", "Synced", generation)


async def refused(user: User, kind: str, name: str, says: str) -> None:
    """Wait until the resource is not allowed, and check that its message says why."""
    await user.wait_for(kind, name, "NamespaceNotAllowed")
    assert says in (await user.condition(kind, name))["message"]


async def test_a_tenant_declares_its_own_realms_and_no_other(stage: Stage, tenant: User) -> None:
    await allow(stage, tenant, allowedRealms=[f"{stage.realm_name}-*"])
    theirs = stage.realm_name
    await stage.keycloak.api.ask("POST", "realms", {"realm": theirs, "displayName": "Theirs"})
    stage.proxy.clear()
    await tenant.apply("KeycloakRealm", "other", connected(stage, realm(stage, {"displayName": "Mine"}, adopt=True)))
    await refused(tenant, "KeycloakRealm", "other", "allowedRealms")
    master = {"realm": {"realm": "master"}, "adopt": True, "deletionPolicy": "Retain"}
    await tenant.apply("KeycloakRealm", "master", connected(stage, master))
    await refused(tenant, "KeycloakRealm", "master", "own namespace only")
    assert stage.proxy.writes() == []
    mine = f"{theirs}-mine"
    await tenant.apply("KeycloakRealm", "mine", connected(stage, realm(stage, {"realm": mine})))
    await tenant.wait_for("KeycloakRealm", "mine", "Synced")
    assert (await in_keycloak(stage))["displayName"] == "Theirs"


async def test_a_tenant_adopts_when_the_connection_says_so(stage: Stage, tenant: User) -> None:
    await stage.keycloak.api.ask("POST", "realms", {"realm": stage.realm_name, "displayName": "Theirs"})
    await allow(stage, tenant, allowedRealms=[stage.realm_name])
    spec = connected(stage, realm(stage, adopt=True, deletionPolicy="Retain"))
    await tenant.apply("KeycloakRealm", "realm", spec)
    await refused(tenant, "KeycloakRealm", "realm", "does not let this namespace adopt")
    await allow(stage, tenant, allowedRealms=[stage.realm_name], adopt=True)
    await tenant.wait_for("KeycloakRealm", "realm", "Synced")
    built_in = {"client": {"clientId": "security-admin-console"}, "adopt": True, "deletionPolicy": "Retain"}
    await tenant.apply("KeycloakClient", "console", {"realmRef": {"name": "realm"}, **built_in})
    await refused(tenant, "KeycloakClient", "console", "builtInClients")


async def test_the_clients_of_master_stay_where_the_connection_is(stage: Stage, tenant: User) -> None:
    await allow(stage, tenant, allowedRealms=["*"], adopt=True, builtInClients=True)
    master = {
        "connectionRef": {"name": "keycloak"},
        "realm": {"realm": "master"},
        "adopt": True,
        "deletionPolicy": "Retain",
        "allowedNamespaces": [tenant.namespace],
    }
    await stage.user.apply("KeycloakRealm", "master", master)
    await stage.user.wait_for("KeycloakRealm", "master", "Synced")
    account = stage.keycloak.service_account.client_id
    reference = {"realmRef": {"name": "master", "namespace": stage.user.namespace}, "adopt": True}
    stage.proxy.clear()
    await tenant.apply("KeycloakClient", "account", {**reference, "client": {"clientId": account}})
    await refused(tenant, "KeycloakClient", "account", "can administer Keycloak")
    assert await tenant.secret("account-credentials") is None
    mine = {"realmRef": {"name": "master"}, "client": {"clientId": account}, "adopt": True}
    await stage.user.apply("KeycloakClient", "account", mine)
    await stage.user.wait_for("KeycloakClient", "account", "InvalidSpec")
    assert stage.proxy.writes() == []
    await stage.user.delete("KeycloakRealm", "master")
    await stage.user.wait_until_gone("KeycloakRealm", "master")


async def test_adopting_a_client_changes_nothing_that_is_not_declared(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    theirs = {"clientId": "app", "enabled": False, "protocol": "saml", "redirectUris": ["https://theirs/*"]}
    await stage.keycloak.api.ask("POST", f"realms/{stage.realm_name}/clients", theirs)
    before = await find_client(stage)
    await stage.user.apply("KeycloakClient", "client", client(adopt=True))
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    after = await find_client(stage)
    assert before is not None
    assert after is not None
    del after["attributes"]["keycloak.vriesdemichael.github.io/owner"]
    assert after == before


async def test_a_client_disabled_in_the_console_stays_disabled(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.apply("KeycloakClient", "client", client({"name": "Ours"}))
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    actual = await find_client(stage)
    assert actual is not None
    assert actual["enabled"] is True
    path = f"realms/{stage.realm_name}/clients/{actual['id']}"
    await stage.keycloak.api.ask("PUT", path, {**actual, "enabled": False, "name": "Theirs"})
    await stage.user.wait_for_event("client", "DriftCorrected")
    actual = await find_client(stage)
    assert actual is not None
    assert (actual["enabled"], actual["name"]) == (False, "Ours")


async def test_what_is_observed_is_told_and_not_written(stage: Stage) -> None:
    await stage.keycloak.api.ask("POST", "realms", {"realm": stage.realm_name, "displayName": "Theirs"})
    await stage.keycloak.api.ask("POST", f"realms/{stage.realm_name}/clients", {"clientId": "app", "name": "Theirs"})
    stage.proxy.clear()
    spec = realm(stage, {"displayName": "Ours"}, mode="Observe", adopt=True)
    await stage.user.apply("KeycloakRealm", "realm", spec)
    found = await stage.user.wait_for("KeycloakRealm", "realm", "OutOfSync")
    assert "displayName" in found["status"]["differences"]
    await stage.user.apply("KeycloakClient", "client", client({"name": "Ours"}, mode="Observe", adopt=True))
    found = await stage.user.wait_for("KeycloakClient", "client", "OutOfSync")
    assert "name" in found["status"]["differences"]
    generation = await stage.user.apply("KeycloakClient", "client", client({"name": "x"}, mode="Paused"))
    await stage.user.wait_for("KeycloakClient", "client", "Paused", generation)
    assert (await stage.user.condition("KeycloakClient", "client"))["status"] == "Unknown"
    assert await stage.user.secret("client-credentials") is None
    await stage.user.delete("KeycloakRealm", "realm")
    await stage.user.delete("KeycloakClient", "client")
    await stage.user.wait_until_gone("KeycloakRealm", "realm")
    await stage.user.wait_until_gone("KeycloakClient", "client")
    assert stage.proxy.writes() == []
    assert (await in_keycloak(stage))["displayName"] == "Theirs"


async def test_clients_lost_with_their_realm_come_back_with_the_secrets_that_applications_hold(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    names = [f"app-{number}" for number in range(20)]
    for name in names:
        await stage.user.apply("KeycloakClient", name, client({"clientId": name}))
    for name in names:
        await stage.user.wait_for("KeycloakClient", name, "Synced")
    held = {name: await stage.user.secret(f"{name}-credentials") for name in names}
    lost = {each["clientId"]: each["id"] for each in await in_keycloak(stage, "/clients")}
    await stage.keycloak.api.ask("DELETE", f"realms/{stage.realm_name}")

    async def back() -> bool:
        there = {each["clientId"]: each for each in await in_keycloak(stage, "/clients") or ()}
        return all(name in there and there[name]["id"] != lost[name] for name in names)

    await eventually(back, "all clients are there again")
    await quiet(stage)
    there = {each["clientId"]: each["secret"] for each in await in_keycloak(stage, "/clients") if "secret" in each}
    for name in names:
        secret = held[name]
        assert secret is not None
        assert there[name] == secret["client-secret"], name
        assert await stage.user.secret(f"{name}-credentials") == secret


async def test_a_secret_that_is_no_longer_meant_goes(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.apply("KeycloakClient", "client", client())
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    generation = await stage.user.apply("KeycloakClient", "client", client(outputSecret={"name": "renamed"}))
    await stage.user.wait_for("KeycloakClient", "client", "Synced", generation)
    assert await stage.user.secret("renamed")
    assert await stage.user.secret("client-credentials") is None
    generation = await stage.user.apply("KeycloakClient", "client", client({"publicClient": True}))
    await stage.user.wait_for("KeycloakClient", "client", "Synced", generation)
    assert await stage.user.secret("renamed") is None


ROTATION = {
    "profiles": [
        {
            "name": "rotation",
            "executors": [
                {
                    "executor": "secret-rotation",
                    "configuration": {
                        "expiration-period": 86400,
                        "rotated-expiration-period": 3600,
                        "remaining-rotation-period": 3600,
                    },
                }
            ],
        }
    ]
}
POLICY = {
    "policies": [
        {
            "name": "rotation",
            "enabled": True,
            "conditions": [{"condition": "client-access-type", "configuration": {"type": ["confidential"]}}],
            "profiles": ["rotation"],
        }
    ]
}


async def test_a_rotated_secret_is_left_rotated(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.put_secret("chosen", secret="chosen-by-us")
    await stage.user.apply("KeycloakClient", "client", client(clientSecretRef={"name": "chosen", "key": "secret"}))
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    api, path = stage.keycloak.api, f"realms/{stage.realm_name}"
    await api.ask("PUT", f"{path}/client-policies/profiles", copy.deepcopy(ROTATION))
    await api.ask("PUT", f"{path}/client-policies/policies", copy.deepcopy(POLICY))
    actual = await find_client(stage)
    assert actual is not None
    rotated = await api.ask("POST", f"{path}/clients/{actual['id']}/client-secret")
    assert rotated["value"] != "chosen-by-us"
    assert (await api.ask("GET", f"{path}/clients/{actual['id']}/client-secret/rotated"))["value"] == "chosen-by-us"
    stage.proxy.clear()

    async def written() -> bool:
        return bool((await stage.user.secret("client-credentials") or {}).get("client-secret") == rotated["value"])

    await eventually(written, "the output Secret holds the new secret")
    await quiet(stage)
    assert [each.path for each in stage.proxy.writes()] == []
    assert (await stage.user.condition("KeycloakClient", "client"))["reason"] == "Synced"
