"""Specs that are larger than what Kubernetes keeps in annotations, 256 KiB in all: they work, and they go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional.keycloak_operator.conftest import Stage
from tests.functional.keycloak_operator.test_lifecycle import client, find_client, in_keycloak, realm

SIZES = {"300 KiB": 300 * 1024, "1 MB": 1_000_000}


async def make(stage: Stage, way: str, kind: str, name: str, spec: dict[str, Any]) -> None:
    """Make a resource as `kubectl apply --server-side` does, or as `kubectl create` does."""
    await (stage.user.create if way == "create" else stage.user.apply)(kind, name, spec)


def many(size: int, letter: str) -> dict[str, str]:
    """Return as many attributes as there may be, of *size* characters in all."""
    return {f"attribute-{number}": letter * (size // 256) for number in range(256)}


async def delete(stage: Stage, kind: str, name: str) -> None:
    """Delete a resource, and wait until it is gone."""
    await stage.user.delete(kind, name)
    await stage.user.wait_until_gone(kind, name)


async def assert_the_realm_goes(stage: Stage) -> None:
    """Delete the realm, of which nothing is left, and which was changed before."""
    await delete(stage, "KeycloakRealm", "realm")
    assert await in_keycloak(stage) is None
    await stage.user.wait_for_event("realm", "Updated")
    await stage.user.wait_for_event("realm", "Deleted")
    assert "Traceback" not in stage.operator.text()


@pytest.mark.parametrize("way", ["apply", "create"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_realm_with_a_long_text(stage: Stage, size: str, way: str) -> None:
    def declared(letter: str) -> dict[str, Any]:
        return realm(stage, {"displayNameHtml": letter * SIZES[size]})

    await make(stage, way, "KeycloakRealm", "realm", declared("a"))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced")
    generation = await stage.user.apply("KeycloakRealm", "realm", declared("b"))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    assert (await in_keycloak(stage))["displayNameHtml"] == "b" * SIZES[size]
    await assert_the_realm_goes(stage)


@pytest.mark.parametrize("size", SIZES)
async def test_a_realm_and_a_client_with_many_attributes(stage: Stage, size: str) -> None:
    first, second = many(SIZES[size], "a"), many(SIZES[size], "b")
    await make(stage, "create", "KeycloakRealm", "realm", realm(stage, {"attributes": first}))
    await make(stage, "create", "KeycloakClient", "client", client({"attributes": first}))
    await stage.user.wait_for("KeycloakClient", "client", "Synced")
    generation = await stage.user.apply("KeycloakRealm", "realm", realm(stage, {"attributes": second}))
    await stage.user.wait_for("KeycloakRealm", "realm", "Synced", generation)
    generation = await stage.user.apply("KeycloakClient", "client", client({"attributes": second}))
    await stage.user.wait_for("KeycloakClient", "client", "Synced", generation)
    actual = await find_client(stage)
    assert actual is not None
    assert second.items() <= actual["attributes"].items()
    assert second.items() <= (await in_keycloak(stage))["attributes"].items()
    await delete(stage, "KeycloakClient", "client")
    await assert_the_realm_goes(stage)


async def test_what_is_too_long_for_keycloak_says_so_and_can_be_deleted(stage: Stage) -> None:
    await stage.user.apply("KeycloakRealm", "realm", realm(stage))
    # It has 255 characters in Keycloak's database.
    await stage.user.apply("KeycloakClient", "client", client({"description": "a" * SIZES["1 MB"]}))
    await stage.user.wait_for("KeycloakClient", "client", "RejectedByKeycloak")
    await delete(stage, "KeycloakClient", "client")
    assert "Traceback" not in stage.operator.text()
