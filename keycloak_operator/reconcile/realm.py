"""The kind KeycloakRealm: a realm with our marker, in which everything declared is as declared."""

from __future__ import annotations

import functools
from typing import Any

from keycloak_operator.errors import NameConflictError, OperatorError
from keycloak_operator.reconcile import ownership, references
from keycloak_operator.reconcile.convergence import converge
from keycloak_operator.reconcile.outcome import Event, Outcome, World
from keycloak_operator.reconcile.ports import Admin
from keycloak_operator.resources import OWNER_ATTRIBUTE, KeycloakConnection, KeycloakRealm, SecretVersion


async def reconcile(world: World, realm: KeycloakRealm) -> Outcome:
    """Create the realm or correct it, and write nothing if it is as declared."""
    connection = await references.ready_parent(world, KeycloakConnection, realm.connection_key, realm)
    declared = ownership.claimed(realm.spec.realm.declared(), ownership.marker(world.operator_id, realm.key))
    hidden, versions = await _hidden(world, realm)
    admin = await references.admin_of(world, connection)
    outcome = Outcome()
    name = realm.spec.realm.realm
    with outcome.told():
        actual = await _existing(admin, realm, declared, outcome)
        changed = await converge(
            declared,
            actual,
            what=f"realm {name}",
            write=functools.partial(admin.update_realm, name),
            read=functools.partial(admin.get_realm, name),
            hidden=hidden,
            force=versions != realm.status.secret_versions,
        )
    if changed and not outcome.events:
        _tell_of_changes(outcome, realm, f"realm {name}", changed)
    outcome.status = {
        "realm": name,
        "issuer": f"{connection.spec.url}/realms/{name}",
        "secretVersions": [version.model_dump(by_alias=True) for version in versions],
    }
    return outcome


async def release(world: World, realm: KeycloakRealm) -> Outcome:
    """Let go of the realm: delete it, or take only our marker off; one that is not ours is left alone."""
    outcome, name = Outcome(), realm.spec.realm.realm
    connection = await references.find(world, KeycloakConnection, realm.connection_key)
    if connection is None or connection.terminating_since is not None:
        outcome.events.append(
            Event(
                type="Warning",
                reason="Abandoned",
                message=f"KeycloakConnection {realm.connection_key} is gone; realm {name} may remain in it",
            )
        )
        return outcome
    if realm.spec.deletion_policy == "Retain":
        await _unmark(world, connection, realm)
        return outcome
    admin = await references.admin_of(world, connection)
    actual = await admin.get_realm(name)
    if actual is not None and ownership.owner_of(actual) == ownership.marker(world.operator_id, realm.key):
        await admin.delete_realm(name)
        outcome.tell("Deleted", f"realm {name} and everything in it")
    return outcome


async def _hidden(world: World, realm: KeycloakRealm) -> tuple[dict[str, Any], tuple[SecretVersion, ...]]:
    """Return what Secrets add to the declared realm, and their versions."""
    if realm.spec.smtp_password_secret is None:
        return {}, ()
    reference = realm.spec.smtp_password_secret
    password, version = await references.secret_value(world, realm.metadata.namespace, reference)
    return {"smtpServer": {"password": password}}, (version,)


async def _existing(admin: Admin, realm: KeycloakRealm, declared: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Return the realm as it is, ours; created if there was none."""
    name = realm.spec.realm.realm
    actual = await admin.get_realm(name)
    if actual is None:
        # As little as possible: what is refused later must not keep the realm from being ours.
        marker = {OWNER_ATTRIBUTE: declared["attributes"][OWNER_ATTRIBUTE]}
        created = await admin.create_realm({"realm": name, "enabled": declared["enabled"], "attributes": marker})
        actual = await admin.get_realm(name)
        if actual is None:
            raise NameConflictError(f"realm {name} was created and is gone again; does somebody else manage it?")
        if created:
            _tell_of_creation(outcome, realm, f"realm {name}")
    ownership.check(actual, declared["attributes"][OWNER_ATTRIBUTE], what=f"realm {name}", adopt=realm.spec.adopt)
    return actual


def _tell_of_creation(outcome: Outcome, realm: KeycloakRealm, what: str) -> None:
    if realm.status.realm is None:
        outcome.tell("Created", what)
    else:
        outcome.tell("DriftCorrected", f"{what} was gone and is created anew; its users are not")


def _tell_of_changes(outcome: Outcome, realm: KeycloakRealm, what: str, changed: list[str]) -> None:
    drifted = realm.status.observed_generation == realm.metadata.generation
    outcome.tell("DriftCorrected" if drifted else "Updated", f"{what}: {', '.join(changed)}")


async def _unmark(world: World, connection: KeycloakConnection, realm: KeycloakRealm) -> None:
    """Take our marker off, if that is possible right now: a realm that stays must not keep its resource from going."""
    name = realm.spec.realm.realm
    try:
        admin = await references.admin_of(world, connection)
        actual = await admin.get_realm(name)
        if actual is not None and ownership.owner_of(actual) == ownership.marker(world.operator_id, realm.key):
            del actual["attributes"][OWNER_ATTRIBUTE]
            await admin.update_realm(name, actual)
    except OperatorError:
        return
