"""The links of a client to client scopes."""

from __future__ import annotations

import pytest

from keycloak_operator import errors
from keycloak_operator.reconcile import client
from tests.unit.keycloak_operator.reconcile.clients import KNOWN, client_scene, resource
from tests.unit.keycloak_operator.reconcile.fakes import OWNER, Scene


@pytest.fixture
def scene() -> Scene:
    return client_scene()


async def test_an_unknown_scope_is_named(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", OWNER, enabled=True)
    with pytest.raises(errors.RejectedByKeycloakError, match="realm r has no client scope nonsense"):
        await client.reconcile(scene.world, resource({"defaultClientScopes": ["nonsense"]}))
    assert scene.keycloak.calls == []


async def test_scopes_that_leave_the_spec_are_those_of_the_realm_again(scene: Scene) -> None:
    first = await client.reconcile(scene.world, resource({"defaultClientScopes": ["phone"]}))
    scene.keycloak.clients["r"]["c"]["defaultClientScopes"].append("added")
    scene.keycloak.scopes["added"] = "id-added"
    await client.reconcile(scene.world, resource(status={**KNOWN, "declared": first.status["declared"]}))
    assert set(scene.keycloak.clients["r"]["c"]["defaultClientScopes"]) == {"profile", "email", "added"}


async def test_a_scope_changes_sides_also_when_the_other_side_is_not_declared(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, optionalClientScopes=["phone"])
    await client.reconcile(scene.world, resource({"defaultClientScopes": ["phone"]}))
    assert scene.keycloak.calls == ["UNLINK optional phone", "LINK default phone"]


async def test_a_link_that_keycloak_does_not_make_is_told_and_not_repeated(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", OWNER, enabled=True)
    scene.keycloak.ignores = {"phone"}
    with pytest.raises(errors.NotConvergedError, match="phone") as raised:
        await client.reconcile(scene.world, resource({"defaultClientScopes": ["phone"]}))
    assert scene.cluster.calls == ["APPLY it-credentials"], "applications need it nevertheless"
    scene.keycloak.calls.clear()
    status = {**KNOWN, "attempted": raised.value.status["attempted"]}
    with pytest.raises(errors.NotConvergedError):
        await client.reconcile(scene.world, resource({"defaultClientScopes": ["phone"]}, status))
    assert scene.keycloak.calls == []


async def test_a_client_with_one_kind_of_scopes_has_the_realms_other_kind(scene: Scene) -> None:
    await client.reconcile(scene.world, resource({"defaultClientScopes": ["phone"]}))
    await client.reconcile(scene.world, resource({"clientId": "d", "optionalClientScopes": ["email"]}))
    first, second = scene.keycloak.clients["r"]["c"], scene.keycloak.clients["r"]["d"]
    assert (first["defaultClientScopes"], first["optionalClientScopes"]) == (["phone"], [])
    assert (second["defaultClientScopes"], second["optionalClientScopes"]) == (["profile"], ["email"])
