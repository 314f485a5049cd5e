"""The kind KeycloakClient: a client with our marker, as declared, and its credentials in a Secret."""

from __future__ import annotations

import functools
from typing import Any

from keycloak_operator.errors import (
    NameConflictError,
    NotConvergedError,
    OperatorError,
    RejectedByKeycloakError,
)
from keycloak_operator.reconcile import credentials, managed, ownership, permissions, references, scopes
from keycloak_operator.reconcile.convergence import Target, converge
from keycloak_operator.reconcile.difference import MASK
from keycloak_operator.reconcile.outcome import Outcome, World
from keycloak_operator.reconcile.ownership import Claim
from keycloak_operator.reconcile.place import Place, protocol_of
from keycloak_operator.reconcile.ports import Access
from keycloak_operator.resources import (
    FLOWS,
    OWNER_ATTRIBUTE,
    KeycloakClient,
    KeycloakConnection,
    KeycloakRealm,
    SecretVersion,
)
from keycloak_operator.resources.defaults import client_default
from keycloak_operator.resources.read_only import client_without_read_only

#: What a client is when it is created and its resource says nothing about it. Keycloak's own answer depends on which
#: other fields are sent.
CREATED = {"enabled": True, "protocol": "openid-connect", "publicClient": False, "directAccessGrantsEnabled": False}


async def reconcile(world: World, client: KeycloakClient) -> Outcome:
    """Create the client or correct it, and write its Secret; write nothing if all is as declared."""
    outcome = Outcome()
    with outcome.told():
        managed.check_mode(client)
        realm = await references.realm_of(world, client)
        connection = await references.connection_of(world, realm)
        access = await references.access_of(world, connection)
        permissions.check_client(connection, access, realm, client)
        place = _place(world, connection, access, realm, client)
        outcome.status |= {
            "clientId": place.client_id,
            "issuer": f"{connection.spec.url}/realms/{place.realm}",
        }
        if client.spec.mode == "Observe":
            return await _observe(world, client, place, outcome)
        await _enforce(world, client, place, outcome)
    return outcome


async def _enforce(world: World, client: KeycloakClient, place: Place, outcome: Outcome) -> None:
    declared, versions = await _declared(world, client, place, outcome)
    actual = await _existing(world, client, place, declared, outcome)
    outcome.status["id"] = actual["id"]
    target = managed.target_of(client, await _comparable(place, declared, actual), functools.partial(_default, actual))
    managed.remember(outcome, target, done=False)
    settings = Target(
        declared=scopes.without(target.declared),
        memory=target.memory,
        default=target.default,
    )

    async def write(representation: dict[str, Any]) -> None:
        await place.write(actual, representation)
        outcome.status["secretVersions"] = sent

    sent = [version.model_dump(by_alias=True) for version in versions]
    hidden = "secret" in declared and actual.get("secret") in {None, MASK}
    failure = None
    try:
        changed, kept = await converge(
            settings,
            scopes.without(actual),
            what=str(place),
            write=write,
            read=functools.partial(_settings, place, declared.get("secret", "")),
            force=hidden and versions != client.status.secret_versions,
            attempted=client.status.attempted,
        )
        # After the settings: switching the service account on links a scope that may not be declared.
        latest = await place.read() or actual if changed else actual
        changed += await scopes.link(place, target, latest, client.status.attempted)
        managed.tell_of_changes(outcome, client, str(place), changed)
        managed.mention_kept(outcome, kept)
    except (NotConvergedError, RejectedByKeycloakError) as error:
        failure = error  # of the settings: applications need their credentials nevertheless
        latest = await place.read() or actual
    outcome.status["secretName"] = await credentials.write(
        world, client, place, actual=latest, issuer=outcome.status["issuer"]
    )
    if failure is not None:
        raise failure
    outcome.status["secretVersions"] = sent
    managed.remember(outcome, target, done=True)


async def _observe(world: World, client: KeycloakClient, place: Place, outcome: Outcome) -> Outcome:
    declared, _ = await _declared(world, client, place, outcome)
    actual = await place.read(declared.get("secret", ""))
    if actual is None:
        return managed.observed(outcome, str(place), ["clientId"])
    place.claim.check(actual, str(place), observing=True)
    comparable = await _comparable(place, declared, actual)
    target = managed.target_of(client, comparable, functools.partial(_default, actual))
    links = {scopes.FIELDS[kind] for kind in await scopes.wrong(place, target, actual)}
    settings = set(target.differences(actual)) - set(scopes.FIELDS.values())
    return managed.observed(outcome, str(place), sorted(settings | links))


async def release(world: World, client: KeycloakClient) -> Outcome:
    """Let go of the client: delete it, or take only our marker off; one that is not ours is left alone."""
    outcome, name, mode = Outcome(), client.spec.client.client_id, client.spec.mode
    if mode != "Enforce":
        return managed.abandon(outcome, f"spec.mode is {mode}, so client {name} stays in Keycloak as it is")
    realm = await references.find(world, KeycloakRealm, client.realm_key)
    connection = await references.find(world, KeycloakConnection, realm.connection_key) if realm else None
    if realm is None or connection is None or connection.terminating_since or _takes_clients_along(realm):
        return managed.abandon(outcome, f"its realm or connection is gone; client {name} may remain in Keycloak")
    if client.spec.deletion_policy == "Retain":
        await _unmark(world, connection, realm, client)
        return outcome
    place = _place(world, connection, await references.access_of(world, connection), realm, client)
    # A realm that was deleted in Keycloak took its clients along.
    actual = await place.read() if await place.admin.get_realm(place.realm) is not None else None
    if place.claim.owns(actual):
        await place.admin.delete_client(place.realm, actual["id"])
        outcome.tell("Deleted", str(place))
    return outcome


def _place(
    world: World, connection: KeycloakConnection, access: Access, realm: KeycloakRealm, client: KeycloakClient
) -> Place:
    claim = Claim(
        marker=ownership.marker(world.operator_id, client.key),
        adopt=client.spec.adopt,
        allowed=references.grant_of(connection, client.metadata.namespace).adopt,
        connection=connection.key,
    )
    return Place(
        world.keycloaks.admin(access),
        realm.spec.realm.realm,
        client.spec.client.client_id,
        claim,
        ownership.marker(world.operator_id, realm.key),
    )


def _takes_clients_along(realm: KeycloakRealm) -> bool:
    spec = realm.spec
    return realm.terminating_since is not None and spec.deletion_policy == "Delete" and spec.mode == "Enforce"


async def _declared(
    world: World, client: KeycloakClient, place: Place, outcome: Outcome
) -> tuple[dict[str, Any], tuple[SecretVersion, ...]]:
    """Return the declared client with our marker and its secret, and the version of that."""
    own, left_out = client_without_read_only(client.spec.client.declared())
    managed.mention_left_out(outcome, left_out)
    declared = ownership.claimed(own, place.claim.marker)
    if client.spec.client_secret_ref is None:
        return declared, ()
    value, version = await references.secret_value(world, client.metadata.namespace, client.spec.client_secret_ref)
    declared["secret"] = value
    return declared, (version,)


async def _existing(
    world: World, client: KeycloakClient, place: Place, declared: dict[str, Any], outcome: Outcome
) -> dict[str, Any]:
    """Return the client as it is, ours; created as declared if there was none."""
    actual = await place.read(declared.get("secret", ""))
    if actual is None:
        # With the secret that applications still hold: the client may have been lost in Keycloak, not here.
        secret = await credentials.kept(world, client)
        representation = CREATED | ({"secret": secret} if secret else {}) | declared
        if declared.get(FLOWS):
            representation[FLOWS] = await _flows(place, declared[FLOWS])
        created = await place.create(await scopes.with_both_kinds(place, representation))
        actual = await place.read()
        if actual is None:
            raise NameConflictError(f"{place} was created and is gone again; does another program manage it?")
        if created and client.status.id is None:
            outcome.tell("Created", str(place))
        elif created:
            outcome.tell("DriftCorrected", f"{place} was gone and is created anew")
    place.claim.check(actual, str(place))
    return actual


async def _comparable(place: Place, declared: dict[str, Any], actual: dict[str, Any]) -> dict[str, Any]:
    """Return *declared* in the words that Keycloak shows: with ids in the place of the aliases of flows."""
    comparable = dict(declared)
    if overrides := declared.get(FLOWS):
        present = actual.get(FLOWS) or {}
        if any(present.get(name) != value for name, value in overrides.items()):
            comparable[FLOWS] = await _flows(place, overrides)
    return comparable


async def _flows(place: Place, overrides: dict[str, str]) -> dict[str, str]:
    """Return *overrides* with the id of each authentication flow in the place of its alias."""
    known = await place.admin.flows(place.realm)
    ids = set(known.values())
    if missing := sorted(value for value in overrides.values() if value and value not in known and value not in ids):
        raise RejectedByKeycloakError(f"realm {place.realm} has no authentication flow {', '.join(missing)}")
    return {name: known.get(value, value) for name, value in overrides.items()}


def _default(actual: dict[str, Any], path: tuple[str, ...]) -> Any:
    return client_default(path, protocol_of(actual))


async def _settings(place: Place, secret: str) -> dict[str, Any] | None:
    """Return the client without its links to client scopes."""
    actual = await place.read(secret)
    return None if actual is None else scopes.without(actual)


async def _unmark(world: World, connection: KeycloakConnection, realm: KeycloakRealm, client: KeycloakClient) -> None:
    """Take our marker off, if that is possible right now: a client that stays must not keep its resource from going."""
    try:
        place = _place(world, connection, await references.access_of(world, connection), realm, client)
        actual = await place.read()
        if place.claim.owns(actual):
            attributes = {key: value for key, value in actual["attributes"].items() if key != OWNER_ATTRIBUTE}
            await place.write(actual, {**actual, "attributes": attributes})
    except OperatorError:
        return
