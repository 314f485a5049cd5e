"""Which clients a namespace may declare."""

from __future__ import annotations

from typing import Any

import pytest

from keycloak_operator import errors
from keycloak_operator.reconcile import client
from keycloak_operator.resources import OWNER_ATTRIBUTE
from tests.unit.keycloak_operator.reconcile.clients import client_scene, elsewhere, realm, resource
from tests.unit.keycloak_operator.reconcile.fakes import OWNER, Scene


@pytest.fixture
def scene() -> Scene:
    return client_scene()


async def test_a_tenant_of_a_realm_makes_clients_and_adopts_none(scene: Scene) -> None:
    reference = elsewhere(scene)
    scene.keycloak.add_client("r", "c")
    with pytest.raises(errors.NamespaceNotAllowedError, match="does not let this namespace adopt"):
        await client.reconcile(scene.world, resource(adopt=True, **reference))
    assert scene.keycloak.calls == []
    await client.reconcile(scene.world, resource({"clientId": "mine"}, **reference))
    elsewhere(scene, adopt=True)
    await client.reconcile(scene.world, resource(adopt=True, **reference))
    assert scene.keycloak.calls == ["POST r/mine", "PUT r/c"]


async def test_a_tenant_touches_built_in_clients_only_if_the_connection_says_so(scene: Scene) -> None:
    reference = elsewhere(scene, adopt=True)
    scene.keycloak.add_client("r", "security-admin-console", publicClient=True)
    taken = resource({"clientId": "security-admin-console"}, adopt=True, deletionPolicy="Retain", **reference)
    with pytest.raises(errors.NamespaceNotAllowedError, match="set builtInClients to true"):
        await client.reconcile(scene.world, taken)
    assert scene.keycloak.calls == []
    elsewhere(scene, adopt=True, builtInClients=True)
    await client.reconcile(scene.world, taken)
    assert scene.keycloak.calls == ["PUT r/security-admin-console"]


async def test_no_tenant_reaches_a_realm_that_administers_keycloak(scene: Scene) -> None:
    scene.keycloak.add_realm("master")
    reference = elsewhere(scene, "master", adopt=True, builtInClients=True, allowedRealms=["*"])
    with pytest.raises(errors.NamespaceNotAllowedError, match="can administer Keycloak"):
        await client.reconcile(scene.world, resource(**reference))
    assert scene.keycloak.calls == []


async def test_the_client_that_the_operator_logs_in_with_belongs_to_no_resource(scene: Scene) -> None:
    scene.keycloak.add_realm("master")
    scene.cluster.add(realm(realm={"realm": "master"}, adopt=True))
    scene.cluster.objects["keycloakrealms", "team", "realm"]["status"]["realm"] = "master"
    scene.keycloak.add_client("master", "op")
    with pytest.raises(errors.InvalidSpecError, match="what the operator itself logs in with"):
        await client.reconcile(scene.world, resource({"clientId": "op"}, adopt=True))
    assert scene.keycloak.calls == []


async def test_nor_does_the_one_that_a_user_logs_in_with(scene: Scene) -> None:
    scene.cluster.add_secret("admin", username="admin", password="pw")
    scene.keycloak.add_realm("master")
    scene.cluster.add(realm(realm={"realm": "master"}, adopt=True))
    scene.cluster.objects["keycloakrealms", "team", "realm"]["status"]["realm"] = "master"
    scene.keycloak.add_client("master", "admin-cli")
    with pytest.raises(errors.InvalidSpecError, match="client admin-cli of realm master is what the operator itself"):
        await client.reconcile(scene.world, resource({"clientId": "admin-cli"}, adopt=True, deletionPolicy="Retain"))
    assert scene.keycloak.calls == []


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(None, id="it would be created"),
        pytest.param({}, id="its settings would be written"),
        pytest.param({"enabled": True, "name": "C"}, id="its scopes would be linked"),
    ],
)
async def test_a_forged_status_opens_no_realm_of_another_resource(scene: Scene, there: dict[str, Any] | None) -> None:
    scene.keycloak.add_realm("r", "test/other/realm")
    if there is not None:
        scene.keycloak.add_client("r", "c", OWNER, **there)
    with pytest.raises(errors.NameConflictError, match="does not belong to the client's KeycloakRealm"):
        await client.reconcile(scene.world, resource({"name": "C", "defaultClientScopes": ["phone"]}))
    assert scene.keycloak.calls == []


@pytest.mark.parametrize(
    "mapper",
    [
        {"protocolMapper": "oidc-hardcoded-role-mapper", "config": {"role": "realm-management.realm-admin"}},
        {"protocolMapper": "oidc-hardcoded-claim-mapper", "config": {"claim.name": "resource_access.realm-management"}},
        {"protocolMapper": "oidc-usermodel-attribute-mapper", "config": {"claim.name": "realm_access"}},
        {"protocolMapper": "oidc-role-name-mapper"},
        {"protocolMapper": "saml-hardcode-role-mapper"},
        {"protocolMapper": "saml-role-name-mapper"},
        {"protocolMapper": "script-mine.js"},
    ],
)
async def test_a_guest_in_a_realm_makes_no_roles_up(scene: Scene, mapper: dict[str, Any]) -> None:
    declared = {"protocolMappers": [{"name": "evil", **mapper}]}
    reference = elsewhere(scene)
    with pytest.raises(errors.NamespaceNotAllowedError, match="protocolMappers evil"):
        await client.reconcile(scene.world, resource(declared, **reference))
    assert scene.keycloak.calls == []
    elsewhere(scene, allowedRealms=["r"])
    await client.reconcile(scene.world, resource(declared, **reference))
    assert scene.keycloak.calls == ["POST r/c"]


async def test_observing_shows_nothing_of_what_belongs_to_others(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", "test/team/victim", attributes={"pin": "1"})
    scene.keycloak.clients["r"]["c"]["attributes"][OWNER_ATTRIBUTE] = "test/team/victim"
    with pytest.raises(errors.NameConflictError) as raised:
        await client.reconcile(scene.world, resource({"attributes": {"pin": "2"}}, mode="Observe"))
    assert "differences" not in raised.value.status
    reference = elsewhere(scene)
    scene.keycloak.add_client("r", "c")
    with pytest.raises(errors.NamespaceNotAllowedError):
        await client.reconcile(scene.world, resource(mode="Observe", **reference))
