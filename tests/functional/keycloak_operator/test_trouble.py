"""What goes wrong in the life of a Keycloak, and that the operator says so and recovers by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster import ControlPlane, eventually
from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.test_lifecycle import client, find_client, in_keycloak, realm
from tests.functional.keycloak_operator.users import start_operator


async def quiet(stage: Stage, passes: int = 3) -> None:
    """Wait until the operator has looked at everything *passes* times from now."""
    looked = len(stage.asked("GET", "/serverinfo"))

    async def often_enough() -> bool:
        return len(stage.asked("GET", "/serverinfo")) >= looked + passes

    await eventually(often_enough, "the operator looks for drift")


async def test_a_realm_changed_behind_its_back_is_put_right_and_what_is_undeclared_survives(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"displayName": "Ours", "attributes": {"a": "1"}}))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    changed: dict[str, Any] = {
        "displayName": "Theirs",
        "displayNameHtml": "<b>theirs</b>",
        "attributes": {"a": "2", "b": "theirs"},
    }
    actual = await in_keycloak(stage)
    changed["attributes"] = {**actual["attributes"], **changed["attributes"]}
    await stage.keycloak.api.ask("PUT", f"realms/{stage.realm_name}", {**actual, **changed})

    async def put_right() -> bool:
        return bool((await in_keycloak(stage))["displayName"] == "Ours")

    await eventually(put_right, "the realm is put right")
    actual = await in_keycloak(stage)
    assert (actual["displayNameHtml"], actual["attributes"]["a"]) == ("<b>theirs</b>", "1")
    assert actual["attributes"]["b"] == "theirs"
    await stage.user.wait_for_event("realm", "DriftCorrected")


async def test_a_second_pass_writes_nothing(stage: Stage, record_property: Callable[[str, object], None]) -> None:
    mapper = {
        "name": "team",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-hardcoded-claim-mapper",
        "config": {"claim.name": "team", "claim.value": "blue"},
    }
    declared = {
        "displayName": "Ours",
        "supportedLocales": ["en", "de"],
        "smtpServer": {"host": "mail", "from": "a@b.c"},
    }
    await stage.user.put_secret("smtp", password="geheim")
    stage.proxy.clear()
    await stage.user.apply(
        "KeycloakRealm",
        "realm",
        realm(stage, declared, smtpPasswordSecret={"name": "smtp", "key": "password"}),
    )
    scopes = {"defaultClientScopes": ["profile"], "redirectUris": ["https://a/*", "https://b/*"]}
    await stage.user.apply("KeycloakClient", "client", client({**scopes, "protocolMappers": [mapper]}))
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    await quiet(stage)
    record_property("writes_to_create", [f"{each.method} {each.path}" for each in stage.proxy.writes()])
    before = await stage.user.get("KeycloakClient", "client")
    stage.proxy.clear()
    await quiet(stage)
    assert stage.proxy.writes() == []
    assert len(stage.asked("GET", "/clients")) >= 2, "it must have looked"
    record_property("requests_of_three_passes_without_change", len(stage.proxy.requests()))
    after = await stage.user.get("KeycloakClient", "client")
    assert before is not None
    assert after is not None
    assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
    await stage.keycloak.api.ask("PUT", f"realms/{stage.realm_name}", {**await in_keycloak(stage), "displayName": "x"})
    await stage.user.wait_for_event("realm", "DriftCorrected")
    record_property("writes_to_correct_drift", [f"{each.method} {each.path}" for each in stage.proxy.writes()])
    assert [each.method for each in stage.proxy.writes()] == ["PUT"]


async def test_a_wrong_password_is_named_and_heals(stage: Stage) -> None:
    account, began = stage.keycloak.service_account, time.monotonic()
    await stage.user.put_secret("admin", client_id=account.client_id, client_secret="wrong")
    found = await stage.user.wait_for("KeycloakConnection", "keycloak", "AuthenticationFailed")
    message = (await stage.user.condition("KeycloakConnection", "keycloak"))["message"]
    assert f"Secret {stage.user.namespace}/admin" in message
    assert "wrong" not in message
    logins = len(stage.asked("POST", "/token"))
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.wait_for("KeycloakRealm", "realm", "Waiting")
    more = len(stage.asked("POST", "/token")) - logins
    assert 60 * more <= time.monotonic() - began, "but for one of its own each minute, children must not try it, too"
    await stage.user.put_secret("admin", client_id=account.client_id, client_secret=account.client_secret)
    # A change of the spec is looked at right away; by itself the operator would look once a minute.
    generation = await stage.user.apply(
        "KeycloakConnection", "keycloak", {**found["spec"], "allowedNamespaces": [{"namespace": "elsewhere"}]}
    )
    await stage.user.wait_for("KeycloakConnection", "keycloak", "Synced", generation)
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")


async def test_keycloak_down_and_back(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"displayName": "One"}))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    await asyncio.to_thread(stage.keycloak.stop)
    try:
        await stage.user.wait_for("KeycloakConnection", "keycloak", "KeycloakUnavailable")
        generation = await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"displayName": "Two"}))

        async def not_ready() -> bool:
            condition = await stage.user.condition("KeycloakRealm", "realm")
            return condition["reason"] in {"Waiting", "KeycloakUnavailable"}

        await eventually(not_ready, "the realm says what it waits for")
        found = await stage.user.get("KeycloakRealm", "realm")
        assert found is not None
        assert found["status"]["observedGeneration"] < generation
    finally:
        await asyncio.to_thread(stage.keycloak.start)
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    assert (await in_keycloak(stage))["displayName"] == "Two"
    assert "Traceback" not in stage.operator.text()


async def test_a_realm_deleted_by_hand_comes_back_with_its_clients(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"displayName": "Ours"}))
    await stage.user.apply("KeycloakClient", "client", client())
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    await stage.keycloak.api.ask("DELETE", f"realms/{stage.realm_name}")

    async def back() -> bool:
        return bool((await in_keycloak(stage) or {}).get("displayName") == "Ours" and await find_client(stage))

    await eventually(back, "the realm and its client are there again")
    await stage.user.wait_for_event("realm", "DriftCorrected")
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    secret = await stage.user.secret("client-credentials")
    actual = await find_client(stage)
    assert actual is not None
    shown = await in_keycloak(stage, f"/clients/{actual['id']}/client-secret")

    async def new_secret() -> bool:
        return bool((await stage.user.secret("client-credentials") or {})["client-secret"] == shown["value"])

    assert secret is not None
    await eventually(new_secret, "the Secret holds the new client's secret")


async def test_two_resources_claim_one_realm(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"displayName": "First"}))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    stage.proxy.clear()
    await stage.user.apply("KeycloakRealm", "second", realm(stage, {"displayName": "Second"}, adopt=True))
    await stage.user.wait_for("KeycloakRealm", "second", "NameConflict")
    message = (await stage.user.condition("KeycloakRealm", "second"))["message"]
    assert f"test/{stage.user.namespace}/realm" in message
    await stage.user.wait_for_event("second", "NameConflict")
    await stage.user.delete("KeycloakRealm", "second")
    await stage.user.wait_until_gone("KeycloakRealm", "second")
    assert stage.proxy.writes() == []
    assert (await in_keycloak(stage))["displayName"] == "First"


async def test_a_resource_deleted_while_keycloak_is_down_goes_when_it_is_back(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    await stage.user.apply("KeycloakClient", "client", client())
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    stage.proxy.fail(503)
    await stage.user.delete("KeycloakClient", "client")
    await stage.user.delete("KeycloakRealm", "realm")
    await stage.user.wait_for("KeycloakRealm", "realm", "Deleting")
    assert "answered 503" in (await stage.user.condition("KeycloakRealm", "realm"))["message"]
    stage.proxy.heal()
    await stage.user.wait_until_gone("KeycloakRealm", "realm")
    await stage.user.wait_until_gone("KeycloakClient", "client")
    assert await in_keycloak(stage) is None


async def test_what_connection_refuses_is_shown_in_its_words(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"browserFlow": "no such flow"}))
    found = await stage.user.wait_for("KeycloakRealm", "realm", "RejectedByKeycloak")
    assert found["status"]["observedGeneration"] == 1
    await stage.user.wait_for_event("realm", "Created")  # it is there, and only its settings were refused
    declared = {"smtpServer": {"host": "mail"}}
    generation = await stage.user.apply("KeycloakRealm", "realm", realm(stage, declared))

    async def in_its_words() -> bool:
        condition = await stage.user.condition("KeycloakRealm", "realm")
        return condition["observedGeneration"] == generation and "Invalid sender address" in condition["message"]

    await eventually(in_its_words, "the realm says what Keycloak said")


async def test_an_operator_that_restarts_writes_nothing(
    stage: Stage, control_plane: ControlPlane, tmp_path: Path
) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"displayName": "Ours"}))
    await stage.user.apply("KeycloakClient", "client", client())
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    stage.operator.process.kill()
    await asyncio.to_thread(stage.operator.ended)
    stage.proxy.clear()
    with start_operator(tmp_path, control_plane.kubeconfig, stage.user.namespace):
        await quiet(stage)
    assert stage.proxy.writes() == []
