"""KeycloakClient as a table: spec, what is in Keycloak, and the writes that follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from keycloak_operator import errors
from keycloak_operator.reconcile import client
from keycloak_operator.resources import OWNER_ATTRIBUTE, KeycloakClient
from tests.unit.keycloak_operator.reconcile.fakes import OWNER, Scene, body, keycloak

REALM_OWNER = "test/team/realm"


def realm(**options: Any) -> dict[str, Any]:
    arguments = {key: options.pop(key) for key in ("namespace", "ready", "deleted") if key in options}
    status = {"realm": "r"} if options.pop("there", True) else {}
    spec = {"connectionRef": {"name": "keycloak"}, "realm": {"realm": "r"}, **options}
    return body("KeycloakRealm", "realm", spec, status=status, **arguments)


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.keycloak.add_realm("r", REALM_OWNER)
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
    with pytest.raises(errors.WaitingError, match="does not show the secret of client c in realm r"):
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
    await client.release(scene.world, resource(deletionPolicy=policy))
    assert scene.keycloak.calls == calls
    if policy == "Retain" and owner == OWNER:
        assert OWNER_ATTRIBUTE not in scene.keycloak.clients["r"]["c"]["attributes"]


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


def parsed(representation: Mapping[str, Any], **spec: Any) -> KeycloakClient:
    """Return a client that declares *representation* and not a word more."""
    declared = {"clientId": "c", **representation}
    return KeycloakClient.parse(
        body("KeycloakClient", "it", {"realmRef": {"name": "realm"}, "client": declared, **spec})
    )


async def test_adopting_changes_nothing_that_is_not_declared(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", enabled=False, protocol="saml", publicClient=True)
    await client.reconcile(scene.world, parsed({}, adopt=True))
    actual = scene.keycloak.clients["r"]["c"]
    assert (actual["enabled"], actual["protocol"], actual["publicClient"]) == (False, "saml", True)


async def test_a_client_that_is_created_is_enabled_and_confidential(scene: Scene) -> None:
    await client.reconcile(scene.world, parsed({}))
    actual = scene.keycloak.clients["r"]["c"]
    assert (actual["enabled"], actual["protocol"], actual["publicClient"]) == (True, "openid-connect", False)


async def test_a_client_that_was_lost_comes_back_with_the_secret_that_applications_hold(scene: Scene) -> None:
    await client.reconcile(scene.world, resource())
    held = scene.cluster.secrets["team", "it-credentials"].data["client-secret"]
    scene.keycloak.clients["r"].clear()
    scene.cluster.calls.clear()
    await client.reconcile(scene.world, resource(status={**KNOWN, "secretName": "it-credentials"}))
    assert scene.keycloak.clients["r"]["c"]["secret"] == held
    assert scene.cluster.calls == [], "the Secret is right as it is"


async def test_the_secret_of_another_resource_is_not_taken_for_ours(scene: Scene) -> None:
    scene.cluster.add_secret("it-credentials", owner="uid-other", client_secret="theirs")
    with pytest.raises(errors.SecretConflictError):
        await client.reconcile(scene.world, resource())
    assert scene.keycloak.clients["r"]["c"]["secret"] == "s3cret"


@pytest.mark.parametrize(
    ("shown", "spec", "asked"),
    [
        pytest.param("s3cret", {}, 0, id="shown"),
        pytest.param("**********", {}, 1, id="masked"),
        pytest.param(None, {}, 1, id="left out"),
        pytest.param("s3cret", {"clientSecretRef": {"name": "chosen", "key": "secret"}}, 1, id="may be an older one"),
    ],
)
async def test_a_secret_that_keycloak_shows_is_not_asked_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, shown: str | None, spec: dict[str, Any], asked: int
) -> None:
    times = 0

    async def client_secret(*_: object) -> str:
        nonlocal times
        times += 1
        return "s3cret"

    monkeypatch.setattr(scene.keycloak, "client_secret", client_secret)
    scene.cluster.add_secret("chosen", secret="s3cret")
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, secret=shown)
    await client.reconcile(scene.world, resource(status=KNOWN, **spec))
    assert times == asked
    assert scene.cluster.secrets["team", "it-credentials"].data["client-secret"] == "s3cret"


async def test_a_rotated_secret_is_not_rotated_back(scene: Scene) -> None:
    scene.cluster.add_secret("given", secret="older")
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, secret="newer", rotated="older")
    await client.reconcile(scene.world, resource(clientSecretRef={"name": "given", "key": "secret"}))
    assert scene.keycloak.calls == []
    assert scene.cluster.secrets["team", "it-credentials"].data["client-secret"] == "newer"


async def test_an_update_does_not_send_a_secret_that_it_does_not_change(scene: Scene) -> None:
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, name="x")
    sent: list[Mapping[str, Any]] = []
    update = scene.keycloak.update_client

    async def sending(realm: str, internal_id: str, representation: Mapping[str, Any]) -> None:
        sent.append(representation)
        await update(realm, internal_id, representation)

    scene.keycloak.update_client = sending  # type: ignore[method-assign]  # to see what is sent
    await client.reconcile(scene.world, resource({"name": "C"}))
    assert ["secret" in each for each in sent] == [False]


@pytest.mark.parametrize(
    "now", [{"outputSecret": {"name": "renamed"}}, {"client": {"clientId": "c", "publicClient": True}}]
)
async def test_a_secret_that_is_no_longer_meant_is_deleted(scene: Scene, now: dict[str, Any]) -> None:
    await client.reconcile(scene.world, resource())
    spec = {"realmRef": {"name": "realm"}, "client": {"clientId": "c"}, **now}
    status = {**KNOWN, "secretName": "it-credentials"}
    outcome = await client.reconcile(
        scene.world, KeycloakClient.parse(body("KeycloakClient", "it", spec, status=status))
    )
    assert ("team", "it-credentials") not in scene.cluster.secrets
    assert outcome.status["secretName"] == (now.get("outputSecret") or {}).get("name")
    scene.cluster.add_secret("it-credentials", owner="uid-other", mine="yes")
    await client.reconcile(scene.world, KeycloakClient.parse(body("KeycloakClient", "it", spec, status=status)))
    assert ("team", "it-credentials") in scene.cluster.secrets, "one of another resource stays"


def elsewhere(scene: Scene, name: str = "r", **entry: Any) -> dict[str, Any]:
    """Have the realm and the connection in another namespace, which lets that of the tests in; return the reference."""
    scene.cluster.objects.clear()
    scene.cluster.secrets["other", "admin"] = scene.cluster.secrets["team", "admin"]
    entries = [{"namespace": "team", **entry}] if entry else []
    scene.cluster.add(keycloak(namespace="other", allowedNamespaces=entries))
    made = realm(namespace="other", allowedNamespaces=["team"], realm={"realm": name}, adopt=True)
    made["status"]["realm"] = name
    scene.cluster.add(made)
    if name in scene.keycloak.realms:
        scene.keycloak.realms[name]["attributes"][OWNER_ATTRIBUTE] = "test/other/realm"
    return {"realmRef": {"name": "realm", "namespace": "other"}}


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


async def test_scopes_that_leave_the_spec_are_those_of_the_realm_again(scene: Scene) -> None:
    first = await client.reconcile(scene.world, resource({"defaultClientScopes": ["phone"]}))
    scene.keycloak.clients["r"]["c"]["defaultClientScopes"].append("added")
    scene.keycloak.scopes["added"] = "id-added"
    await client.reconcile(scene.world, resource(status={**KNOWN, "declared": first.status["declared"]}))
    assert set(scene.keycloak.clients["r"]["c"]["defaultClientScopes"]) == {"profile", "email", "added"}


async def test_what_leaves_the_spec_leaves_the_client(scene: Scene) -> None:
    mapper = {"name": "m", "protocolMapper": "x"}
    declared = {"attributes": {"a": "1"}, "protocolMappers": [mapper], "redirectUris": ["u"], "description": "d"}
    first = await client.reconcile(scene.world, resource(declared))
    scene.keycloak.clients["r"]["c"]["attributes"]["theirs"] = "kept"
    await client.reconcile(scene.world, resource(status={**KNOWN, "declared": first.status["declared"]}))
    actual = scene.keycloak.clients["r"]["c"]
    assert actual["attributes"] == {OWNER_ATTRIBUTE: OWNER, "theirs": "kept"}
    assert (actual["protocolMappers"], actual["redirectUris"], actual["description"]) == ([], [], "")


async def test_a_secret_stays_when_its_reference_leaves_the_spec(scene: Scene) -> None:
    scene.cluster.add_secret("given", secret="chosen")
    first = await client.reconcile(scene.world, resource(clientSecretRef={"name": "given", "key": "secret"}))
    scene.keycloak.calls.clear()
    await client.reconcile(scene.world, resource(status={**KNOWN, "declared": first.status["declared"]}))
    assert (scene.keycloak.calls, scene.keycloak.clients["r"]["c"]["secret"]) == ([], "chosen")


@pytest.mark.parametrize("there", [True, False])
async def test_a_forged_status_opens_no_realm_of_another_resource(scene: Scene, there: bool) -> None:
    scene.keycloak.add_realm("r", "test/other/realm")
    if there:
        scene.keycloak.add_client("r", "c", OWNER)
    with pytest.raises(errors.NameConflictError, match="does not belong to the client's KeycloakRealm"):
        await client.reconcile(scene.world, resource({"name": "C", "defaultClientScopes": ["phone"]}))
    assert scene.keycloak.calls == []


@pytest.mark.parametrize(
    "mapper",
    [
        {"protocolMapper": "oidc-hardcoded-role-mapper", "config": {"role": "realm-management.realm-admin"}},
        {"protocolMapper": "oidc-hardcoded-claim-mapper", "config": {"claim.name": "resource_access.realm-management"}},
        {"protocolMapper": "oidc-usermodel-attribute-mapper", "config": {"claim.name": "realm_access"}},
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


async def test_a_client_of_a_realm_that_stays_is_deleted(scene: Scene) -> None:
    scene.cluster.add(realm(deleted=True, deletionPolicy="Delete", mode="Observe"))
    scene.keycloak.add_client("r", "c", OWNER)
    await client.release(scene.world, resource(deletionPolicy="Delete"))
    assert scene.keycloak.calls == ["DELETE r/c"]


async def test_a_foreign_key_in_the_secret_is_left_alone_and_a_label_that_left_goes(scene: Scene) -> None:
    await client.reconcile(scene.world, resource(outputSecret={"labels": {"a": "b"}}))
    there = scene.cluster.secrets["team", "it-credentials"]
    scene.cluster.secrets["team", "it-credentials"] = dataclasses.replace(there, data={**there.data, "more": "x"})
    scene.cluster.calls.clear()
    status = {**KNOWN, "secretName": "it-credentials"}
    await client.reconcile(scene.world, resource(status=status))
    assert scene.cluster.calls == []
    await client.reconcile(scene.world, resource(status={**status, "observedGeneration": 0}))
    assert scene.cluster.secrets["team", "it-credentials"].labels == {}


async def test_what_only_keycloak_sets_may_be_pasted_and_means_nothing(scene: Scene) -> None:
    mapper = {"name": "m", "protocolMapper": "x", "id": "their-id"}
    pasted = {"id": "their-id", "access": {"view": True}, "protocolMappers": [mapper]}
    outcome = await client.reconcile(scene.world, resource(pasted))
    assert "without access, id, protocolMappers.m.id, which only Keycloak sets" in outcome.message
    scene.keycloak.calls.clear()
    scene.keycloak.clients["r"]["c"]["protocolMappers"][0]["id"] = "another"
    await client.reconcile(scene.world, resource(pasted, KNOWN))
    assert scene.keycloak.calls == []
