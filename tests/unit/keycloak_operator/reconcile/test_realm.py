"""KeycloakRealm as a table: spec, what is in Keycloak, and the writes that follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from keycloak_operator import errors
from keycloak_operator.reconcile import realm
from keycloak_operator.reconcile.outcome import Outcome
from keycloak_operator.resources import OWNER_ATTRIBUTE, KeycloakRealm, RealmStatus
from tests.unit.keycloak_operator.reconcile.fakes import OWNER, Scene, body, keycloak

DOWN = errors.KeycloakUnavailableError("Keycloak at http://kc does not answer")


@pytest.fixture
def scene() -> Scene:
    return Scene()


def resource(
    representation: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None, **spec: Any
) -> KeycloakRealm:
    declared = {"realm": "r", "enabled": True, **(representation or {})}
    given = {"connectionRef": {"name": "keycloak"}, "realm": declared, **spec}
    return KeycloakRealm.parse(body("KeycloakRealm", "it", given, status=status))


def reasons(outcome: Outcome) -> list[str]:
    return [event.reason for event in outcome.events]


KNOWN = {"realm": "r", "observedGeneration": 1}


@pytest.mark.parametrize(
    ("declared", "actual", "status", "calls", "events"),
    [
        pytest.param({}, None, {}, ["POST r"], ["Created"], id="created"),
        pytest.param({"displayName": "R"}, None, {}, ["POST r", "PUT r"], ["Created"], id="created with settings"),
        pytest.param({"displayName": "R"}, {"displayName": "R"}, KNOWN, [], [], id="as declared"),
        pytest.param({}, {"displayName": "other"}, KNOWN, [], [], id="undeclared is left alone"),
        pytest.param({"displayName": "R"}, {"displayName": "x"}, KNOWN, ["PUT r"], ["DriftCorrected"], id="drift"),
        pytest.param(
            {"displayName": "R"}, {}, {"realm": "r", "observedGeneration": 0}, ["PUT r"], ["Updated"], id="new spec"
        ),
        pytest.param({}, None, KNOWN, ["POST r"], ["DriftCorrected"], id="deleted by hand"),
        pytest.param(
            {"eventsListeners": []}, {"eventsListeners": ["x"]}, KNOWN, ["PUT r"], ["DriftCorrected"], id="emptied"
        ),
        pytest.param({"supportedLocales": ["a", "b"]}, {"supportedLocales": ["b", "a"]}, KNOWN, [], [], id="any order"),
        pytest.param(
            {"unknownToUs": {"x": 1}},
            {"unknownToUs": {"x": 2, "y": 3}},
            KNOWN,
            ["PUT r"],
            ["DriftCorrected"],
            id="pass-through",
        ),
    ],
)
async def test_writes(  # noqa: PLR0917 - the columns of the table
    scene: Scene, declared: Any, actual: Any, status: Any, calls: list[str], events: list[str]
) -> None:
    if actual is not None:
        scene.keycloak.add_realm("r", OWNER, **actual)
    outcome = await realm.reconcile(scene.world, resource(declared, status))
    assert (scene.keycloak.calls, reasons(outcome)) == (calls, events)
    shown = {key: value for key, value in outcome.status.items() if value is not None and key != "declared"}
    assert shown == {"realm": "r", "issuer": "http://kc/realms/r", "secretVersions": []}
    scene.keycloak.calls.clear()
    again = await realm.reconcile(scene.world, resource(declared, KNOWN))
    assert (scene.keycloak.calls, again.events) == ([], []), "a second pass writes nothing"


async def test_undeclared_fields_survive_an_update(scene: Scene) -> None:
    scene.keycloak.add_realm("r", OWNER, displayName="x", loginTheme="mine", unknownToUs={"x": 1, "y": 3})
    scene.keycloak.realms["r"]["attributes"]["theirs"] = "kept"
    await realm.reconcile(
        scene.world, resource({"displayName": "R", "unknownToUs": {"x": 2}, "attributes": {"a": "b"}})
    )
    actual = scene.keycloak.realms["r"]
    assert (actual["displayName"], actual["loginTheme"], actual["unknownToUs"]) == ("R", "mine", {"x": 2, "y": 3})
    assert actual["attributes"] == {OWNER_ATTRIBUTE: OWNER, "theirs": "kept", "a": "b"}


@pytest.mark.parametrize(
    ("owner", "adopt", "allowed"),
    [("", False, False), ("", True, True), ("test/other/it", False, False), ("test/other/it", True, False)],
)
async def test_somebody_elses_realm_is_never_touched(scene: Scene, owner: str, adopt: bool, allowed: bool) -> None:
    scene.keycloak.add_realm("r", owner)
    if allowed:
        await realm.reconcile(scene.world, resource(adopt=adopt))
        assert scene.keycloak.realms["r"]["attributes"][OWNER_ATTRIBUTE] == OWNER
        return
    with pytest.raises(errors.NameConflictError, match=owner or "set spec.adopt to true"):
        await realm.reconcile(scene.world, resource(adopt=adopt))
    await realm.release(scene.world, resource(adopt=adopt, deletionPolicy="Delete"))
    assert scene.keycloak.calls == []


@pytest.mark.parametrize(
    ("parent", "expected", "message"),
    [
        (None, errors.NotFoundError, "does not exist"),
        (keycloak(ready=False), errors.WaitingError, r"is not ready \(Waiting\)"),
        (keycloak(deleted=True), errors.WaitingError, "is being deleted"),
        (keycloak(namespace="other"), errors.NamespaceNotAllowedError, "does not allow namespace team"),
    ],
)
async def test_without_its_keycloak_it_waits(
    scene: Scene, parent: Any, expected: type[Exception], message: str
) -> None:
    scene.cluster.objects.clear()
    namespace = "team"
    if parent is not None:
        scene.cluster.add(parent)
        namespace = parent["metadata"]["namespace"]
    with pytest.raises(expected, match=message):
        await realm.reconcile(scene.world, resource(connectionRef={"name": "keycloak", "namespace": namespace}))
    assert scene.keycloak.accesses == []


async def test_a_keycloak_in_another_namespace_may_allow_it(scene: Scene) -> None:
    scene.cluster.add(keycloak(namespace="other", allowedNamespaces=[{"namespace": "team", "allowedRealms": ["r"]}]))
    scene.cluster.secrets["other", "admin"] = scene.cluster.secrets["team", "admin"]
    await realm.reconcile(scene.world, resource(connectionRef={"name": "keycloak", "namespace": "other"}))
    assert scene.keycloak.calls == ["POST r"]


async def test_a_password_is_written_once_for_each_version_of_its_secret(scene: Scene) -> None:
    spec: dict[str, Any] = {"smtpPasswordSecret": {"name": "smtp", "key": "password"}}
    declared = {"smtpServer": {"host": "mail"}}
    with pytest.raises(errors.SecretNotFoundError, match="Secret team/smtp does not exist"):
        await realm.reconcile(scene.world, resource(declared, **spec))
    scene.cluster.add_secret("smtp", password="")
    with pytest.raises(errors.SecretNotFoundError, match="Secret team/smtp has no text under key 'password'"):
        await realm.reconcile(scene.world, resource(declared, **spec))
    scene.cluster.add_secret("smtp", password="geheim")
    first = await realm.reconcile(scene.world, resource(declared, **spec))
    assert scene.keycloak.realms["r"]["smtpServer"] == {"host": "mail", "password": "geheim"}
    # The real one shows a mask, or nothing at all where no login to the mail server is configured.
    del scene.keycloak.realms["r"]["smtpServer"]["password"]
    scene.keycloak.calls.clear()
    status = {**first.status, "observedGeneration": 1, "differences": []}
    await realm.reconcile(scene.world, resource(declared, status, **spec))
    assert scene.keycloak.calls == []
    scene.cluster.add_secret("smtp", version="2", password="neu")
    await realm.reconcile(scene.world, resource(declared, status, **spec))
    assert (scene.keycloak.calls, scene.keycloak.realms["r"]["smtpServer"]["password"]) == (["PUT r"], "neu")


async def test_what_keycloak_does_not_take_over_is_named_and_not_repeated(scene: Scene) -> None:
    scene.keycloak.add_realm("r", OWNER, displayName="x")
    scene.keycloak.ignores = {"displayName"}
    with pytest.raises(errors.NotConvergedError, match="displayName"):
        await realm.reconcile(scene.world, resource({"displayName": "R"}))
    assert scene.keycloak.calls == ["PUT r"]


@pytest.mark.parametrize(
    ("policy", "owner", "calls"),
    [
        ("Delete", OWNER, ["DELETE r"]),
        ("Delete", "", []),
        ("Delete", "test/other/it", []),
        ("Delete", None, []),
        ("Retain", OWNER, ["PUT r"]),
        ("Retain", "", []),
        ("Retain", "test/other/it", []),
        ("Retain", None, []),
    ],
)
async def test_release(scene: Scene, policy: str, owner: str | None, calls: list[str]) -> None:
    if owner is not None:
        scene.keycloak.add_realm("r", owner)
        scene.keycloak.realms["r"]["attributes"]["theirs"] = "kept"
    outcome = await realm.release(scene.world, resource(deletionPolicy=policy))
    assert (scene.keycloak.calls, reasons(outcome)) == (calls, ["Deleted"] if "DELETE r" in calls else [])
    if policy == "Retain" and owner == OWNER:
        assert scene.keycloak.realms["r"]["attributes"] == {"theirs": "kept"}


async def test_release_while_keycloak_is_down(scene: Scene) -> None:
    scene.keycloak.add_realm("r", OWNER)
    scene.keycloak.failure = DOWN
    await realm.release(scene.world, resource(deletionPolicy="Retain"))
    with pytest.raises(errors.KeycloakUnavailableError):
        await realm.release(scene.world, resource(deletionPolicy="Delete"))


@pytest.mark.parametrize("parent", [None, keycloak(deleted=True)])
async def test_release_without_a_keycloak_warns_and_lets_go(scene: Scene, parent: Any) -> None:
    scene.cluster.objects.clear()
    if parent is not None:
        scene.cluster.add(parent)
    outcome = await realm.release(scene.world, resource(deletionPolicy="Delete"))
    assert [(event.type, event.reason) for event in outcome.events] == [("Warning", "Abandoned")]


def connection(**entry: Any) -> dict[str, Any]:
    """Return a KeycloakConnection in another namespace, which allows that of the tests what *entry* says."""
    return keycloak(namespace="other", allowedNamespaces=[{"namespace": "team", **entry}])


ELSEWHERE = {"connectionRef": {"name": "keycloak", "namespace": "other"}}


@pytest.fixture
def tenant(scene: Scene) -> Scene:
    scene.cluster.secrets["other", "admin"] = scene.cluster.secrets["team", "admin"]
    return scene


@pytest.mark.parametrize(
    ("entry", "name", "says"),
    [
        ({}, "r", "add it to allowedRealms"),
        ({"allowedRealms": ["*"]}, "master", "from the connection's own namespace only"),
        ({"allowedRealms": ["*"]}, "Master", "from the connection's own namespace only"),
        ({"allowedRealms": ["q*"]}, "r", "add it to allowedRealms"),
    ],
)
async def test_a_tenant_declares_the_realms_it_is_allowed(tenant: Scene, entry: Any, name: str, says: str) -> None:
    tenant.cluster.add(connection(**entry))
    asked = resource({"realm": name}, adopt=True, deletionPolicy="Retain", **ELSEWHERE)
    with pytest.raises(errors.NamespaceNotAllowedError, match=says):
        await realm.reconcile(tenant.world, asked)
    assert tenant.keycloak.accesses == []


async def test_a_tenant_adopts_only_if_the_connection_says_so(tenant: Scene) -> None:
    tenant.keycloak.add_realm("r")
    tenant.cluster.add(connection(allowedRealms=["r"]))
    with pytest.raises(errors.NamespaceNotAllowedError, match="set adopt to true in its entry") as raised:
        await realm.reconcile(tenant.world, resource(adopt=True, **ELSEWHERE))
    assert (tenant.keycloak.calls, raised.value.status["realm"]) == ([], None)
    tenant.cluster.add(connection(allowedRealms=["r"], adopt=True))
    await realm.reconcile(tenant.world, resource(adopt=True, **ELSEWHERE))
    assert tenant.keycloak.calls == ["PUT r"]


async def test_adopting_changes_nothing_that_is_not_declared(scene: Scene) -> None:
    scene.keycloak.add_realm("r", enabled=False)
    declared = KeycloakRealm.parse(body("KeycloakRealm", "it", {**SPEC, "realm": {"realm": "r"}, "adopt": True}))
    await realm.reconcile(scene.world, declared)
    assert scene.keycloak.realms["r"]["enabled"] is False


SPEC: dict[str, Any] = {"connectionRef": {"name": "keycloak"}}


async def test_a_realm_that_is_ours_and_not_as_declared_is_there_for_its_clients(scene: Scene) -> None:
    scene.keycloak.add_realm("r", OWNER)
    scene.keycloak.ignores = {"browserFlow"}
    with pytest.raises(errors.NotConvergedError) as raised:
        await realm.reconcile(scene.world, resource({"browserFlow": "nope"}))
    assert raised.value.status["realm"] == "r"


async def test_what_did_not_converge_is_written_again_when_something_changed(scene: Scene) -> None:
    scene.keycloak.add_realm("r", OWNER, displayName="x")
    scene.keycloak.ignores = {"displayName"}
    status: dict[str, Any] = KNOWN

    async def calls(declared: Mapping[str, Any]) -> list[str]:
        nonlocal status
        scene.keycloak.calls.clear()
        with pytest.raises(errors.NotConvergedError) as raised:
            await realm.reconcile(scene.world, resource(declared, status))
        status = {**KNOWN, **{key: value for key, value in raised.value.status.items() if value is not None}}
        return scene.keycloak.calls

    assert await calls({"displayName": "R"}) == ["PUT r"]
    assert await calls({"displayName": "R"}) == []
    assert await calls({"displayName": "S"}) == ["PUT r"], "the spec changed"
    scene.keycloak.realms["r"]["loginTheme"] = "other"
    assert await calls({"displayName": "S"}) == ["PUT r"], "the realm changed"
    assert await calls({"displayName": "S"}) == []


async def test_a_realm_that_is_observed_is_not_written(scene: Scene) -> None:
    with pytest.raises(errors.OutOfSyncError, match="realm r differs in realm"):
        await realm.reconcile(scene.world, resource(mode="Observe"))
    scene.keycloak.add_realm("r", displayName="x")
    with pytest.raises(errors.OutOfSyncError, match="displayName") as raised:
        await realm.reconcile(scene.world, resource({"displayName": "R"}, mode="Observe"))
    assert "displayName" in raised.value.status["differences"]
    assert raised.value.status["realm"] is None, "it is there, and not this resource's"
    scene.keycloak.add_realm("r", OWNER, displayName="R")
    outcome = await realm.reconcile(scene.world, resource({"displayName": "R"}, mode="Observe"))
    assert (outcome.status["realm"], outcome.status["differences"]) == ("r", None)
    assert scene.keycloak.calls == []


async def test_as_many_differences_are_listed_as_a_status_has_room_for(scene: Scene) -> None:
    scene.keycloak.add_realm("r", OWNER)
    declared = {"attributes": {"a" * 2000: "1"} | {f"b{number}": "1" for number in range(200)}}
    with pytest.raises(errors.OutOfSyncError, match="and 181 more; ") as raised:
        await realm.reconcile(scene.world, resource(declared, mode="Observe"))
    found = raised.value.status["differences"]
    assert RealmStatus.of({"status": {"differences": found}}).differences == tuple(found), "it can be read again"
    assert (len(found), len(found[0])) == (64, 1024)


@pytest.mark.parametrize("mode", ["Observe", "Paused"])
async def test_a_realm_that_is_not_enforced_is_not_deleted(scene: Scene, mode: str) -> None:
    scene.keycloak.add_realm("r", OWNER)
    outcome = await realm.release(scene.world, resource(mode=mode, deletionPolicy="Delete"))
    assert (scene.keycloak.calls, reasons(outcome)) == ([], ["Abandoned"])


async def test_a_realm_that_is_paused_is_not_even_looked_at(scene: Scene) -> None:
    with pytest.raises(errors.PausedError):
        await realm.reconcile(scene.world, resource(mode="Paused"))
    assert scene.keycloak.accesses == []


async def test_what_leaves_the_spec_leaves_the_realm_unless_it_is_to_be_kept(scene: Scene) -> None:
    first = await realm.reconcile(scene.world, resource({"displayName": "R", "attributes": {"a": "1"}}))
    status = {**KNOWN, "declared": first.status["declared"]}
    await realm.reconcile(scene.world, resource(status=status, removal="Keep"))
    assert scene.keycloak.realms["r"]["displayName"] == "R"
    await realm.reconcile(scene.world, resource(status=status))
    assert scene.keycloak.realms["r"]["displayName"] == ""
    assert scene.keycloak.realms["r"]["attributes"] == {OWNER_ATTRIBUTE: OWNER}


async def test_a_password_does_not_make_it_write_for_ever(scene: Scene) -> None:
    scene.cluster.add_secret("smtp", password="geheim")
    scene.keycloak.add_realm("r", OWNER)
    scene.keycloak.ignores = {"displayName"}
    declared = {"displayName": "R", "smtpServer": {"host": "mail"}}
    spec = {"smtpPasswordSecret": {"name": "smtp", "key": "password"}}
    with pytest.raises(errors.NotConvergedError) as raised:
        await realm.reconcile(scene.world, resource(declared, **spec))
    status = {**KNOWN, **{key: value for key, value in raised.value.status.items() if value is not None}}
    scene.keycloak.calls.clear()
    with pytest.raises(errors.NotConvergedError):
        await realm.reconcile(scene.world, resource(declared, status, **spec))
    assert scene.keycloak.calls == []


async def test_what_keycloak_keeps_although_it_left_the_spec_is_told_once(scene: Scene) -> None:
    first = await realm.reconcile(scene.world, resource({"displayName": "R"}))
    scene.keycloak.ignores = {"displayName"}
    second = await realm.reconcile(scene.world, resource(status={**KNOWN, "declared": first.status["declared"]}))
    assert "Keycloak keeps displayName, which left the spec" in second.message
    scene.keycloak.calls.clear()
    third = await realm.reconcile(scene.world, resource(status={**KNOWN, "declared": second.status["declared"]}))
    assert (third.message, scene.keycloak.calls) == ("as declared", [])


async def test_observing_shows_nothing_of_what_belongs_to_others(scene: Scene) -> None:
    scene.keycloak.add_realm("r", "test/other/it", displayName="x")
    with pytest.raises(errors.NameConflictError) as raised:
        await realm.reconcile(scene.world, resource({"displayName": "R"}, mode="Observe"))
    assert (raised.value.status["realm"], raised.value.status.get("differences")) == (None, None)


async def test_a_memory_that_overflows_half_way_keeps_what_it_had(scene: Scene) -> None:
    before = {"unknownToUs": {f"a{number}": "" for number in range(9000)}}
    after = {"unknownToUs": {f"b{number}": "x" for number in range(9000)}}
    first = await realm.reconcile(scene.world, resource(before))
    scene.keycloak.ignores = {"unknownToUs"}
    with pytest.raises(errors.NotConvergedError) as raised:
        await realm.reconcile(scene.world, resource(after, {**KNOWN, "declared": first.status["declared"]}))
    assert "declared" not in raised.value.status, "what is in the status stays there"


async def test_a_realm_that_is_to_be_closed_is_never_open(scene: Scene) -> None:
    made: list[Mapping[str, Any]] = []
    create = scene.keycloak.create_realm

    async def creating(representation: Mapping[str, Any]) -> bool:
        made.append(representation)
        return await create(representation)

    scene.keycloak.create_realm = creating  # type: ignore[method-assign]  # to see what is sent first
    await realm.reconcile(scene.world, resource({"enabled": False}))
    assert [each["enabled"] for each in made] == [False]


async def test_what_was_declared_in_a_pass_that_failed_is_remembered(scene: Scene) -> None:
    scene.keycloak.add_realm("r", OWNER)
    scene.keycloak.ignores = {"browserFlow"}
    with pytest.raises(errors.NotConvergedError) as raised:
        await realm.reconcile(scene.world, resource({"browserFlow": "nope", "displayName": "R"}))
    assert scene.keycloak.realms["r"]["displayName"] == "R"
    status = {**KNOWN, "declared": raised.value.status["declared"]}
    await realm.reconcile(scene.world, resource(status=status))
    assert scene.keycloak.realms["r"]["displayName"] == ""


async def test_a_password_is_sent_again_with_a_new_spec(scene: Scene) -> None:
    scene.cluster.add_secret("smtp", password="geheim")
    spec = {"smtpPasswordSecret": {"name": "smtp", "key": "password"}}
    declared = {"smtpServer": {"host": "mail"}}
    first = await realm.reconcile(scene.world, resource(declared, **spec))
    scene.keycloak.realms["r"]["smtpServer"]["password"] = "changed in the console"
    sent = {"realm": "r", "secretVersions": first.status["secretVersions"]}
    await realm.reconcile(scene.world, resource(declared, {**sent, "observedGeneration": 1}, **spec))
    assert scene.keycloak.realms["r"]["smtpServer"]["password"] == "changed in the console"
    await realm.reconcile(scene.world, resource(declared, {**sent, "observedGeneration": 0}, **spec))
    assert scene.keycloak.realms["r"]["smtpServer"]["password"] == "geheim"


@pytest.mark.parametrize(
    ("namespace", "says"), [("other", "; its own condition says why"), ("team", ": spec.url: expected text")]
)
async def test_what_is_wrong_with_a_connection_is_told_to_its_own_namespace_only(
    scene: Scene, namespace: str, says: str
) -> None:
    scene.cluster.objects.clear()
    scene.cluster.add(keycloak(namespace=namespace, url="ftp://internal"))
    with pytest.raises(errors.WaitingError) as raised:
        await realm.reconcile(scene.world, resource(connectionRef={"name": "keycloak", "namespace": namespace}))
    assert f"KeycloakConnection {namespace}/keycloak cannot be read{says}" in str(raised.value)
    assert ("internal" in str(raised.value)) is (namespace == "team")
