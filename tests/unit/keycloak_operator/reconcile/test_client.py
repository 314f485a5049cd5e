"""KeycloakClient as a table: spec, what is in Keycloak, and the writes that follow."""

from __future__ import annotations

from typing import Any

import pytest

from keycloak_operator import errors
from keycloak_operator.reconcile import client
from keycloak_operator.resources import OWNER_ATTRIBUTE
from tests.unit.keycloak_operator.reconcile.clients import KNOWN, client_scene, parsed, realm, resource
from tests.unit.keycloak_operator.reconcile.fakes import OWNER, Scene, keycloak


@pytest.fixture
def scene() -> Scene:
    return client_scene()


@pytest.mark.parametrize(
    ("declared", "actual", "status", "calls", "events"),
    [
        pytest.param({}, None, {}, ["POST r/c"], ["Created"], id="created"),
        pytest.param({"name": "C"}, {"name": "C", "enabled": True}, KNOWN, [], [], id="as declared"),
        pytest.param({"name": "C"}, {"name": "x"}, KNOWN, ["PUT r/c"], ["DriftCorrected"], id="drift"),
        pytest.param({"name": "C"}, {}, {**KNOWN, "observedGeneration": 0}, ["PUT r/c"], ["Updated"], id="new spec"),
        pytest.param({}, None, KNOWN, ["POST r/c"], ["DriftCorrected"], id="deleted by hand"),
        pytest.param(
            {"redirectUris": ["b", "a"]}, {"redirectUris": ["a", "b"], "enabled": True}, KNOWN, [], [], id="any order"
        ),
        pytest.param(
            {"defaultClientScopes": ["email", "phone"]},
            {"defaultClientScopes": ["profile", "email"], "enabled": True},
            KNOWN,
            ["UNLINK default profile", "LINK default phone"],
            ["DriftCorrected"],
            id="scopes have links",
        ),
        pytest.param(
            {"defaultClientScopes": ["email"], "optionalClientScopes": ["phone"]},
            {"defaultClientScopes": ["phone"], "optionalClientScopes": ["email"], "enabled": True},
            KNOWN,
            ["UNLINK default phone", "UNLINK optional email", "LINK default email", "LINK optional phone"],
            ["DriftCorrected"],
            id="scopes change sides",
        ),
    ],
)
async def test_writes(  # noqa: PLR0917 - the columns of the table
    scene: Scene, declared: Any, actual: Any, status: Any, calls: list[str], events: list[str]
) -> None:
    if actual is not None:
        scene.keycloak.add_client("r", "c", OWNER, **actual)
    outcome = await client.reconcile(scene.world, resource(declared, status))
    assert (scene.keycloak.calls, [event.reason for event in outcome.events]) == (calls, events)
    assert scene.cluster.calls == ["APPLY it-credentials"]
    assert outcome.status["secretName"] == "it-credentials"
    scene.keycloak.calls.clear()
    scene.cluster.calls.clear()
    again = await client.reconcile(scene.world, resource(declared, KNOWN))
    assert (scene.keycloak.calls, scene.cluster.calls, again.events) == ([], [], []), "a second pass writes nothing"


async def test_mappers_are_told_apart_by_name_and_others_stay(scene: Scene) -> None:
    mine, theirs = {"name": "mine", "protocol": "openid-connect", "protocolMapper": "m"}, {"name": "theirs", "id": "1"}
    scene.keycloak.add_client("r", "c", OWNER, protocolMappers=[theirs], authorizationServicesEnabled=True)
    await client.reconcile(scene.world, resource({"protocolMappers": [mine]}))
    actual = scene.keycloak.clients["r"]["c"]
    assert actual["protocolMappers"] == [theirs, mine]
    assert actual["authorizationServicesEnabled"], "what a PUT would switch off when absent is sent along"


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        (realm(there=False), errors.WaitingError),
        (realm(deleted=True), errors.WaitingError),
        (realm(namespace="other"), errors.NamespaceNotAllowedError),
    ],
)
async def test_without_its_realm_it_waits(scene: Scene, parent: Any, expected: type[Exception]) -> None:
    scene.cluster.objects.clear()
    scene.cluster.add(keycloak())
    scene.cluster.add(parent)
    reference = {"name": "realm", "namespace": parent["metadata"]["namespace"]}
    with pytest.raises(expected):
        await client.reconcile(scene.world, resource(realmRef=reference))
    assert scene.keycloak.calls == []


@pytest.mark.parametrize(
    ("policy", "owner", "calls"),
    [
        ("Delete", OWNER, ["DELETE r/c"]),
        ("Delete", "", []),
        ("Delete", "test/other/it", []),
        ("Delete", None, []),
        ("Retain", OWNER, ["PUT r/c"]),
        ("Retain", "test/other/it", []),
    ],
)
async def test_release(scene: Scene, policy: str, owner: str | None, calls: list[str]) -> None:
    if owner is not None:
        scene.keycloak.add_client("r", "c", owner)
        scene.keycloak.clients["r"]["c"]["attributes"]["theirs"] = "kept"
    await client.release(scene.world, resource(deletionPolicy=policy))
    assert scene.keycloak.calls == calls
    if policy == "Retain" and owner == OWNER:
        assert scene.keycloak.clients["r"]["c"]["attributes"] == {"theirs": "kept"}


@pytest.mark.parametrize("parents", [[], [realm()], [realm(), keycloak(deleted=True)]])
async def test_release_without_parents_lets_go(scene: Scene, parents: list[Any]) -> None:
    scene.cluster.objects.clear()
    for parent in parents:
        scene.cluster.add(parent)
    outcome = await client.release(scene.world, resource())
    assert [event.reason for event in outcome.events] == ["Abandoned"]


async def test_release_of_a_client_whose_realm_was_deleted_by_hand(scene: Scene) -> None:
    scene.keycloak.realms.clear()
    scene.keycloak.clients.clear()  # to look for one is an error
    assert (await client.release(scene.world, resource())).events == []


async def test_adopting_changes_nothing_that_is_not_declared(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", enabled=False, protocol="saml", publicClient=True)
    await client.reconcile(scene.world, parsed({}, adopt=True))
    actual = scene.keycloak.clients["r"]["c"]
    assert (actual["enabled"], actual["protocol"], actual["publicClient"]) == (False, "saml", True)


async def test_a_client_that_is_created_is_enabled_and_confidential(scene: Scene) -> None:
    await client.reconcile(scene.world, parsed({}))
    actual = scene.keycloak.clients["r"]["c"]
    assert (actual["enabled"], actual["protocol"], actual["publicClient"]) == (True, "openid-connect", False)
    assert actual["directAccessGrantsEnabled"] is False, "Keycloak would let it trade passwords"


async def test_a_flow_is_declared_by_its_alias(scene: Scene) -> None:
    declared = {"authenticationFlowBindingOverrides": {"browser": "my browser"}}
    await client.reconcile(scene.world, resource(declared))
    assert scene.keycloak.clients["r"]["c"]["authenticationFlowBindingOverrides"] == {"browser": "id-mine"}
    await client.reconcile(scene.world, resource(declared, KNOWN))
    await client.reconcile(scene.world, resource({"authenticationFlowBindingOverrides": {"browser": "id-mine"}}, KNOWN))
    assert scene.keycloak.calls == ["POST r/c"]
    with pytest.raises(errors.RejectedByKeycloakError, match="realm r has no authentication flow nope"):
        await client.reconcile(
            scene.world, resource({"authenticationFlowBindingOverrides": {"browser": "nope"}}, KNOWN)
        )


async def test_what_leaves_the_spec_leaves_the_client(scene: Scene) -> None:
    mapper = {"name": "m", "protocolMapper": "x"}
    declared = {"attributes": {"a": "1"}, "protocolMappers": [mapper], "redirectUris": ["u"], "description": "d"}
    first = await client.reconcile(scene.world, resource(declared))
    scene.keycloak.clients["r"]["c"]["attributes"]["theirs"] = "kept"
    await client.reconcile(scene.world, resource(status={**KNOWN, "declared": first.status["declared"]}))
    actual = scene.keycloak.clients["r"]["c"]
    assert actual["attributes"] == {OWNER_ATTRIBUTE: OWNER, "theirs": "kept"}
    assert (actual["protocolMappers"], actual["redirectUris"], actual["description"]) == ([], [], "")


async def test_what_was_declared_in_a_pass_that_failed_is_remembered(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", OWNER, enabled=True)
    scene.keycloak.ignores = {"phone"}
    with pytest.raises(errors.NotConvergedError) as raised:
        await client.reconcile(scene.world, resource({"description": "d", "defaultClientScopes": ["phone"]}))
    assert scene.keycloak.clients["r"]["c"]["description"] == "d"
    await client.reconcile(scene.world, resource(status={**KNOWN, "declared": raised.value.status["declared"]}))
    assert scene.keycloak.clients["r"]["c"]["description"] == ""


async def test_what_has_left_the_spec_once_is_not_taken_away_from_others_later(scene: Scene) -> None:
    first = await client.reconcile(scene.world, resource({"description": "d"}))
    second = await client.reconcile(scene.world, resource(status={**KNOWN, "declared": first.status["declared"]}))
    scene.keycloak.clients["r"]["c"]["description"] = "theirs"
    await client.reconcile(scene.world, resource(status={**KNOWN, "declared": second.status["declared"]}))
    assert scene.keycloak.clients["r"]["c"]["description"] == "theirs"


@pytest.mark.parametrize("stays", [{"mode": "Observe"}, {"mode": "Paused"}, {"deletionPolicy": "Retain"}])
async def test_a_client_of_a_realm_that_stays_is_deleted(scene: Scene, stays: dict[str, str]) -> None:
    scene.cluster.add(realm(**{"deleted": True, "deletionPolicy": "Delete", **stays}))
    scene.keycloak.add_client("r", "c", OWNER)
    await client.release(scene.world, resource(deletionPolicy="Delete"))
    assert scene.keycloak.calls == ["DELETE r/c"]


async def test_what_only_keycloak_sets_may_be_pasted_and_means_nothing(scene: Scene) -> None:
    mapper = {"name": "m", "protocolMapper": "x", "id": "their-id"}
    pasted = {"id": "their-id", "access": {"view": True}, "protocolMappers": [mapper]}
    outcome = await client.reconcile(scene.world, resource(pasted))
    assert "without access, id, protocolMappers.m.id, which only Keycloak sets" in outcome.message
    scene.keycloak.calls.clear()
    scene.keycloak.clients["r"]["c"]["protocolMappers"][0]["id"] = "another"
    await client.reconcile(scene.world, resource(pasted, KNOWN))
    assert scene.keycloak.calls == []


async def test_a_client_that_is_paused_is_not_even_looked_at(scene: Scene) -> None:
    with pytest.raises(errors.PausedError):
        await client.reconcile(scene.world, resource(mode="Paused"))
    assert (scene.keycloak.accesses, scene.cluster.calls) == ([], [])


async def test_a_client_that_is_observed_is_not_written(scene: Scene) -> None:
    with pytest.raises(errors.OutOfSyncError, match="client c of realm r differs in clientId"):
        await client.reconcile(scene.world, resource(mode="Observe"))
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, name="x", defaultClientScopes=["email"])
    observed = resource({"name": "C", "defaultClientScopes": ["phone"]}, mode="Observe")
    with pytest.raises(errors.OutOfSyncError) as raised:
        await client.reconcile(scene.world, observed)
    assert raised.value.status["differences"] == ["defaultClientScopes", "name"]
    assert (scene.keycloak.calls, scene.cluster.calls) == ([], [])
    outcome = await client.reconcile(scene.world, resource({"name": "x"}, mode="Observe"))
    assert (outcome.message, outcome.status["differences"]) == ("as declared; it is only observed", None)
    assert (scene.keycloak.calls, scene.cluster.calls) == ([], [])


@pytest.mark.parametrize("mode", ["Observe", "Paused"])
@pytest.mark.parametrize("policy", ["Delete", "Retain"])
async def test_a_client_that_is_not_enforced_is_left_as_it_is(scene: Scene, mode: str, policy: str) -> None:
    scene.keycloak.add_client("r", "c", OWNER)
    outcome = await client.release(scene.world, resource(mode=mode, deletionPolicy=policy))
    assert (scene.keycloak.calls, [event.reason for event in outcome.events]) == ([], ["Abandoned"])


async def test_a_client_whose_settings_are_refused_has_its_secret_nevertheless(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.keycloak.add_client("r", "c", OWNER)

    async def refuse(*_: object) -> None:
        raise errors.RejectedByKeycloakError("no such theme")

    monkeypatch.setattr(scene.keycloak, "update_client", refuse)
    with pytest.raises(errors.RejectedByKeycloakError, match="no such theme") as raised:
        await client.reconcile(scene.world, resource({"name": "C"}))
    assert (scene.cluster.calls, raised.value.status["secretName"]) == (["APPLY it-credentials"], "it-credentials")
