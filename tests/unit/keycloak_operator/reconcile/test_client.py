"""KeycloakClient as a table: spec, what is in Keycloak, and the writes that follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from keycloak_operator import errors
from keycloak_operator.reconcile import client
from keycloak_operator.resources import OWNER_ATTRIBUTE, KeycloakClient
from tests.unit.keycloak_operator.reconcile.fakes import OWNER, Scene, body, keycloak


def realm(**options: Any) -> dict[str, Any]:
    arguments = {key: options.pop(key) for key in ("namespace", "ready", "deleted") if key in options}
    spec = {"connectionRef": {"name": "keycloak"}, "realm": {"realm": "r"}, **options}
    return body("KeycloakRealm", "realm", spec, **arguments)


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.keycloak.add_realm("r")
    made.cluster.add(realm())
    return made


def resource(
    representation: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None, **spec: Any
) -> KeycloakClient:
    declared = {"clientId": "c", "enabled": True, **(representation or {})}
    given = {"realmRef": {"name": "realm"}, "client": declared, **spec}
    return KeycloakClient.parse(body("KeycloakClient", "it", given, status=status))


KNOWN = {"clientId": "c", "id": "id-c", "observedGeneration": 1}


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


async def test_an_unknown_scope_is_named(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", OWNER, enabled=True)
    with pytest.raises(errors.RejectedByKeycloakError, match="realm r has no client scope nonsense"):
        await client.reconcile(scene.world, resource({"defaultClientScopes": ["nonsense"]}))
    assert scene.keycloak.calls == []


async def test_the_secret_holds_what_an_application_needs(scene: Scene) -> None:
    output = {"name": "app", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    await client.reconcile(scene.world, resource(outputSecret=output))
    secret = scene.cluster.secrets["team", "app"]
    assert dict(secret.data) == {"client-id": "c", "client-secret": "s3cret", "issuer": "http://kc/realms/r"}
    assert (secret.labels, secret.annotations, secret.owners) == ({"a": "b"}, {"c": "d"}, frozenset({"uid-it"}))


@pytest.mark.parametrize("declared", [{"publicClient": True}, {"bearerOnly": True}])
async def test_a_client_without_a_secret_needs_no_secret(scene: Scene, declared: Any) -> None:
    outcome = await client.reconcile(scene.world, resource(declared))
    assert (scene.cluster.calls, outcome.status["secretName"]) == ([], None)


async def test_a_secret_that_is_gone_or_changed_is_written_again(scene: Scene) -> None:
    await client.reconcile(scene.world, resource())
    scene.cluster.secrets.pop(("team", "it-credentials"))
    await client.reconcile(scene.world, resource(status=KNOWN))
    scene.keycloak.clients["r"]["c"]["secret"] = "rotated"
    await client.reconcile(scene.world, resource(status=KNOWN))
    assert scene.cluster.calls == ["APPLY it-credentials"] * 3
    assert scene.cluster.secrets["team", "it-credentials"].data["client-secret"] == "rotated"


async def test_a_secret_of_somebody_else_is_left_alone(scene: Scene) -> None:
    scene.cluster.add_secret("it-credentials", owner="uid-other", mine="yes")
    with pytest.raises(errors.SecretConflictError, match="choose another outputSecret") as raised:
        await client.reconcile(scene.world, resource())
    assert [event.reason for event in raised.value.done] == ["Created"], "the client is there all the same"
    assert dict(scene.cluster.secrets["team", "it-credentials"].data) == {"mine": "yes"}


async def test_a_masked_secret_is_never_written(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", OWNER, secret="**********")
    with pytest.raises(errors.WaitingError, match="does not show its secret"):
        await client.reconcile(scene.world, resource())
    assert scene.cluster.calls == []


async def test_a_given_secret_wins(scene: Scene) -> None:
    reference = {"name": "given", "key": "secret"}
    with pytest.raises(errors.SecretNotFoundError):
        await client.reconcile(scene.world, resource(clientSecretRef=reference))
    assert scene.keycloak.calls == [], "nothing is written to Keycloak"
    scene.cluster.add_secret("given", secret="chosen")
    await client.reconcile(scene.world, resource(clientSecretRef=reference))
    assert scene.keycloak.clients["r"]["c"]["secret"] == "chosen"
    assert scene.cluster.secrets["team", "it-credentials"].data["client-secret"] == "chosen"


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        (realm(ready=False), errors.WaitingError),
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
    await client.release(scene.world, resource(deletionPolicy=policy))
    assert scene.keycloak.calls == calls
    if policy == "Retain" and owner == OWNER:
        assert not scene.keycloak.clients["r"]["c"]["attributes"][OWNER_ATTRIBUTE]


@pytest.mark.parametrize("parents", [[], [realm()], [realm(), keycloak(deleted=True)]])
async def test_release_without_parents_lets_go(scene: Scene, parents: list[Any]) -> None:
    scene.cluster.objects.clear()
    for parent in parents:
        scene.cluster.add(parent)
    outcome = await client.release(scene.world, resource())
    assert [event.reason for event in outcome.events] == ["Abandoned"]


async def test_release_of_a_client_whose_realm_was_deleted_by_hand(scene: Scene) -> None:
    scene.keycloak.realms.clear()
    assert (await client.release(scene.world, resource())).events == []
