"""The secret of a client, and the Secret that applications read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from keycloak_operator import errors
from keycloak_operator.reconcile import client
from keycloak_operator.reconcile.convergence import Target
from keycloak_operator.reconcile.ports import Access, Secret
from keycloak_operator.resources import MASK, KeycloakClient
from tests.unit.keycloak_operator.reconcile.clients import KNOWN, client_scene, resource
from tests.unit.keycloak_operator.reconcile.fakes import OWNER, Scene, body


@pytest.fixture
def scene() -> Scene:
    return client_scene()


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


async def test_a_secret_stays_when_its_reference_leaves_the_spec(scene: Scene) -> None:
    scene.cluster.add_secret("given", secret="chosen")
    first = await client.reconcile(scene.world, resource(clientSecretRef={"name": "given", "key": "secret"}))
    scene.keycloak.calls.clear()
    await client.reconcile(scene.world, resource(status={**KNOWN, "declared": first.status["declared"]}))
    assert (scene.keycloak.calls, scene.keycloak.clients["r"]["c"]["secret"]) == ([], "chosen")


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


@pytest.mark.parametrize("what", ["labels", "annotations"])
async def test_what_was_taken_off_the_secret_comes_back(scene: Scene, what: str) -> None:
    declared = {"outputSecret": {what: {"a": "b"}}}
    edited: Any = {what: {"theirs": "kept"}}
    await client.reconcile(scene.world, resource(**declared))
    there = scene.cluster.secrets["team", "it-credentials"]
    scene.cluster.secrets["team", "it-credentials"] = dataclasses.replace(there, **edited)
    await client.reconcile(scene.world, resource(status={**KNOWN, "secretName": "it-credentials"}, **declared))
    assert scene.cluster.calls == 2 * ["APPLY it-credentials"]
    assert getattr(scene.cluster.secrets["team", "it-credentials"], what) == {"a": "b"}


async def test_a_client_that_was_lost_comes_back_with_its_secret_also_when_that_is_renamed(scene: Scene) -> None:
    scene.cluster.add_secret("before", owner="uid-it", client_secret="held")
    status = {**KNOWN, "secretName": "before"}
    await client.reconcile(scene.world, resource(status=status, outputSecret={"name": "after"}))
    assert scene.keycloak.clients["r"]["c"]["secret"] == "held"
    assert scene.cluster.secrets["team", "after"].data["client-secret"] == "held"
    assert ("team", "before") not in scene.cluster.secrets


def hide(scene: Scene, monkeypatch: pytest.MonkeyPatch, shown: str | None) -> None:
    """Have Keycloak show *shown* in the place of secrets, as an account with fewer rights may see it."""
    find = scene.keycloak.find_client

    async def hiding(realm: str, client_id: str) -> dict[str, Any]:
        return {**(await find(realm, client_id) or {}), "secret": shown}

    monkeypatch.setattr(scene.keycloak, "find_client", hiding)


GIVEN = {"clientSecretRef": {"name": "given", "key": "secret"}}


async def test_a_secret_that_keycloak_hides_is_sent_once_for_each_version(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.cluster.add_secret("given", secret="chosen", version="2")
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, secret="older")
    hide(scene, monkeypatch, MASK)
    known = {**KNOWN, "secretVersions": [{"name": "given", "resourceVersion": "1"}]}
    first = await client.reconcile(scene.world, resource(status=known, **GIVEN))
    assert (scene.keycloak.calls, scene.keycloak.clients["r"]["c"]["secret"]) == (["PUT r/c"], "chosen")
    again = {**KNOWN, "secretVersions": first.status["secretVersions"]}
    await client.reconcile(scene.world, resource(status=again, **GIVEN))
    assert scene.keycloak.calls == ["PUT r/c"]


async def test_so_is_one_that_keycloak_leaves_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, secret="older")
    hide(scene, monkeypatch, None)
    status: dict[str, Any] = KNOWN
    for version, calls in (("1", ["PUT r/c"]), ("1", []), ("2", ["PUT r/c"])):
        scene.cluster.add_secret("given", secret=f"chosen-{version}", version=version)
        scene.keycloak.calls.clear()
        with pytest.raises(errors.NotConvergedError, match="accepted secret and shows something else") as raised:
            await client.reconcile(scene.world, resource(status=status, **GIVEN))
        sent = [{"name": "given", "resourceVersion": version}]
        status = {**KNOWN, "attempted": raised.value.status["attempted"], "secretVersions": sent}
        assert (scene.keycloak.calls, scene.keycloak.clients["r"]["c"]["secret"]) == (calls, f"chosen-{version}")


async def test_a_hidden_secret_is_not_sent_again_because_something_else_fails(scene: Scene) -> None:
    scene.cluster.add_secret("given", secret="chosen")
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, secret=MASK)
    scene.keycloak.ignores = {"phone"}
    declared = {"clientSecretRef": {"name": "given", "key": "secret"}}
    with pytest.raises(errors.NotConvergedError) as raised:
        await client.reconcile(scene.world, resource({"defaultClientScopes": ["phone"]}, **declared))
    assert scene.keycloak.calls == ["PUT r/c", "LINK default phone"]
    assert raised.value.status["secretVersions"] == [{"name": "given", "resourceVersion": "1"}]


async def test_a_secret_that_is_neither_of_the_two_that_are_valid_is_written(scene: Scene) -> None:
    scene.cluster.add_secret("given", secret="chosen")
    scene.keycloak.add_client("r", "c", OWNER, enabled=True, secret="newer", rotated="older")
    await client.reconcile(scene.world, resource(clientSecretRef={"name": "given", "key": "secret"}))
    assert scene.keycloak.calls == ["PUT r/c"]
    assert scene.keycloak.clients["r"]["c"]["secret"] == "chosen"


async def test_half_an_account_is_none(scene: Scene) -> None:
    scene.cluster.add_secret("admin", client_id="op", username="admin", password="pw")
    await client.reconcile(scene.world, resource())
    assert {(each.client_id, each.username) for each in scene.keycloak.accesses} == {("", "admin")}
    scene.cluster.add_secret("admin", client_id="op", username="admin")
    with pytest.raises(errors.SecretNotFoundError, match="has neither client-id and client-secret nor username"):
        await client.reconcile(scene.world, resource())


def test_what_is_logged_of_an_account_or_a_secret_shows_none() -> None:
    account = Access(url="http://kc", client_id="op", client_secret="hidden", password="hidden", ca="hidden")
    assert "hidden" not in f"{account} {Secret(namespace='team', name='it', data={'a': 'hidden'})}"


def test_a_secret_cannot_be_guessed_from_what_the_status_says() -> None:
    def digest(secret: str) -> str:
        representation = {"clientId": "c", "secret": secret}
        return Target(declared=representation, default=lambda _: None).digest({**representation, "id": "1"})

    assert digest("one") == digest("another")
