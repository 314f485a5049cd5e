"""What leaves a spec leaves Keycloak, if an earlier spec declared it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.test_lifecycle import client, find_client, in_keycloak, realm

MAPPER = {
    "name": "team",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-hardcoded-claim-mapper",
    "config": {"claim.name": "team", "claim.value": "blue"},
}


@pytest.mark.parametrize("removal", ["Remove", "Keep"])
async def test_what_leaves_the_spec_of_a_client(stage: Stage, removal: str) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    declared: dict[str, Any] = {
        "description": "ours",
        "standardFlowEnabled": False,
        "redirectUris": ["https://ours/*"],
        "attributes": {"mine": "1", "post.logout.redirect.uris": "https://ours/"},
        "protocolMappers": [MAPPER],
        "defaultClientScopes": ["email"],
        "authenticationFlowBindingOverrides": {"browser": "direct grant"},
    }
    await stage.user.apply("KeycloakClient", "client", client(declared, removal=removal))
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    actual = await find_client(stage)
    assert actual is not None
    theirs = {**actual, "webOrigins": ["https://theirs"], "attributes": {**actual["attributes"], "theirs": "kept"}}
    await stage.keycloak.api.ask("PUT", f"realms/{stage.realm_name}/clients/{actual['id']}", theirs)
    generation = await stage.user.apply("KeycloakClient", "client", client(removal=removal))
    await stage.user.wait_for("KeycloakClient", "client", "Synced", generation)
    actual = await find_client(stage)
    assert actual is not None
    assert (actual["webOrigins"], actual["attributes"]["theirs"]) == (["https://theirs"], "kept")
    left = removal == "Remove"
    assert bool(actual.get("description")) is not left
    assert bool(actual["redirectUris"]) is not left
    assert ("mine" in actual["attributes"]) is not left
    assert bool(actual.get("protocolMappers")) is not left
    assert bool(actual.get("authenticationFlowBindingOverrides")) is not left
    assert actual["standardFlowEnabled"] is left
    assert ("profile" in actual["defaultClientScopes"]) is left


async def test_what_leaves_the_spec_of_a_realm(stage: Stage) -> None:
    declared: dict[str, Any] = {
        "displayName": "Ours",
        "registrationAllowed": True,
        "accessTokenLifespan": 60,
        "eventsListeners": [],
        "attributes": {"mine": "1"},
        "browserSecurityHeaders": {"xFrameOptions": "DENY"},
        "smtpServer": {"host": "mail", "from": "a@b.c"},
        "internationalizationEnabled": True,
        "supportedLocales": ["de"],
    }
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    fresh = await in_keycloak(stage)
    generation = await stage.user.apply("KeycloakRealm", "realm", realm(stage, declared))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    assert (await in_keycloak(stage))["accessTokenLifespan"] == 60
    generation = await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    actual = await in_keycloak(stage)
    assert "mine" not in actual["attributes"]
    del declared["attributes"]
    assert {name: actual.get(name) or None for name in declared} == {name: fresh.get(name) or None for name in declared}
