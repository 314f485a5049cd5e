"""What must not keep a resource from being repaired, and what must not be repeated for ever."""

from __future__ import annotations

from typing import Any

from tests.cluster import eventually
from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.test_lifecycle import client, find_client, in_keycloak, realm
from tests.functional.keycloak_operator.test_trouble import quiet


async def test_one_wrong_field_of_a_realm_does_not_stop_its_clients(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"browserFlow": "nope"}))
    await stage.user.wait_for("KeycloakRealm", "realm", "RejectedByKeycloak")
    await stage.user.apply("KeycloakClient", "client", client())
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    actual = await find_client(stage)
    assert actual is not None
    await stage.keycloak.api.ask("DELETE", f"realms/{stage.realm_name}/clients/{actual['id']}")

    async def back() -> bool:
        return await find_client(stage) is not None

    await eventually(back, "the client is created anew")


async def test_what_keycloak_shows_differently_is_written_once(stage: Stage) -> None:
    # Keycloak keeps what it has a field for out of the attributes, and says nothing about it.
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"attributes": {"displayName": "x"}}))
    await stage.user.wait_for("KeycloakRealm", "realm", "NotConverged")
    await quiet(stage)
    stage.proxy.clear()
    await quiet(stage, passes=4)
    assert stage.proxy.writes() == []
    await stage.keycloak.api.ask(
        "PUT", f"realms/{stage.realm_name}", {**await in_keycloak(stage), "displayNameHtml": "theirs"}
    )

    async def tried() -> bool:
        return len(stage.proxy.writes()) == 1

    await eventually(tried, "it is tried again, as the realm has changed")
    await quiet(stage)
    assert len(stage.proxy.writes()) == 1


async def test_a_password_that_is_not_shown_is_sent_when_the_spec_changes(stage: Stage) -> None:
    await stage.user.put_secret("smtp", password="geheim")
    declared: dict[str, Any] = {"smtpServer": {"host": "mail", "from": "a@b.c", "auth": "true", "user": "u"}}
    spec = {"smtpPasswordSecret": {"name": "smtp", "key": "password"}}
    await stage.user.apply("KeycloakRealm", "realm", realm(stage, declared, **spec))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    assert "does not show smtpServer.password" in (await stage.user.condition("KeycloakRealm", "realm"))["message"]
    actual = await in_keycloak(stage)
    changed = {**actual, "smtpServer": {**actual["smtpServer"], "password": "changed in the console"}}
    await stage.keycloak.api.ask("PUT", f"realms/{stage.realm_name}", changed)
    stage.proxy.clear()
    await quiet(stage)
    assert stage.proxy.writes() == []
    generation = await stage.user.apply(
        "KeycloakRealm", "realm", realm(stage, {**declared, "displayName": "x"}, **spec)
    )
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    await stage.user.put_secret("smtp", password="neu")

    async def twice() -> bool:
        return len(stage.proxy.writes()) >= 2

    await eventually(twice, "the changed password is sent")
    sent = [each.body["smtpServer"]["password"] for each in stage.proxy.writes()]
    assert sent == ["geheim", "neu"]
