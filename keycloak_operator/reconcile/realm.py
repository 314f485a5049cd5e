"""The kind KeycloakRealm: a realm with our marker, in which everything declared is as declared."""

from __future__ import annotations

import functools
from typing import Any

from keycloak_operator.errors import NameConflictError, OperatorError
from keycloak_operator.reconcile import managed, ownership, references
from keycloak_operator.reconcile.convergence import Target, converge
from keycloak_operator.reconcile.outcome import Outcome, World
from keycloak_operator.reconcile.ownership import Claim
from keycloak_operator.reconcile.ports import Admin
from keycloak_operator.resources import OWNER_ATTRIBUTE, KeycloakConnection, KeycloakRealm, SecretVersion
from keycloak_operator.resources.defaults import realm_default
from keycloak_operator.resources.read_only import realm_without_read_only


async def reconcile(world: World, realm: KeycloakRealm) -> Outcome:
    """Create the realm or correct it, and write nothing if it is as declared."""
    outcome = Outcome()
    with outcome.told():
        managed.check_mode(realm)
        connection = await references.connection_of(world, realm)
        claim = _claim(world, connection, realm)
        own, left_out = realm_without_read_only(realm.spec.realm.declared())
        managed.mention_left_out(outcome, left_out)
        declared = ownership.claimed(own, claim.marker)
        hidden, versions = await _hidden(world, realm)
        target = managed.target_of(realm, declared, realm_default, hidden)
        admin = world.keycloaks.admin(await references.access_of(world, connection))
        outcome.status["issuer"] = f"{connection.spec.url}/realms/{realm.spec.realm.realm}"
        if realm.spec.mode == "Observe":
            return await _observe(admin, realm, claim, target, outcome)
        await _enforce(admin, realm, claim, target, versions, outcome)
    return outcome


async def _enforce(  # noqa: PLR0917 - what was found out on the way here
    admin: Admin,
    realm: KeycloakRealm,
    claim: Claim,
    target: Target,
    versions: tuple[SecretVersion, ...],
    outcome: Outcome,
) -> None:
    name = realm.spec.realm.realm
    actual = await _existing(admin, realm, claim, outcome)
    managed.remember(outcome, target, done=False)
    changed_here = realm.status.observed_generation != realm.metadata.generation

    async def write(representation: dict[str, Any]) -> None:
        await admin.update_realm(name, representation)
        outcome.status["secretVersions"] = sent

    sent = [version.model_dump(by_alias=True) for version in versions]
    changed, kept = await converge(
        target,
        actual,
        what=f"realm {name}",
        write=write,
        read=functools.partial(admin.get_realm, name),
        force=bool(target.hidden) and (changed_here or versions != realm.status.secret_versions),
        attempted=realm.status.attempted,
    )
    managed.tell_of_changes(outcome, realm, f"realm {name}", changed)
    managed.mention_kept(outcome, kept)
    outcome.status["secretVersions"] = sent
    if target.hidden:
        outcome.message += "; Keycloak does not show smtpServer.password, so a change of it there is not seen"
    managed.remember(outcome, target, done=True)


async def _observe(admin: Admin, realm: KeycloakRealm, claim: Claim, target: Target, outcome: Outcome) -> Outcome:
    name = realm.spec.realm.realm
    actual = await admin.get_realm(name)
    outcome.status["realm"] = None
    if actual is None:
        return managed.observed(outcome, f"realm {name}", ["realm"])
    claim.check(actual, f"realm {name}", observing=True)
    if claim.owns(actual):
        outcome.status["realm"] = name
    return managed.observed(outcome, f"realm {name}", target.differences(actual))


async def release(world: World, realm: KeycloakRealm) -> Outcome:
    """Let go of the realm: delete it, or take only our marker off; one that is not ours is left alone."""
    outcome, name = Outcome(), realm.spec.realm.realm
    if realm.spec.mode != "Enforce":
        return managed.abandon(outcome, f"spec.mode is {realm.spec.mode}, so realm {name} stays in Keycloak as it is")
    connection = await references.find(world, KeycloakConnection, realm.connection_key)
    if connection is None or connection.terminating_since is not None:
        why = f"KeycloakConnection {realm.connection_key} is gone; realm {name} may remain in Keycloak"
        return managed.abandon(outcome, why)
    if realm.spec.deletion_policy == "Retain":
        await _unmark(world, connection, realm)
        return outcome
    admin = world.keycloaks.admin(await references.access_of(world, connection))
    actual = await admin.get_realm(name)
    if _claim(world, connection, realm).owns(actual):
        await admin.delete_realm(name)
        outcome.tell("Deleted", f"realm {name} and everything in it")
    return outcome


def _claim(world: World, connection: KeycloakConnection, realm: KeycloakRealm) -> Claim:
    return Claim(
        marker=ownership.marker(world.operator_id, realm.key),
        adopt=realm.spec.adopt,
        allowed=references.grant_of(connection, realm.metadata.namespace).adopt,
        connection=connection.key,
    )


async def _hidden(world: World, realm: KeycloakRealm) -> tuple[dict[str, Any], tuple[SecretVersion, ...]]:
    """Return what Secrets add to the declared realm, and their versions."""
    if realm.spec.smtp_password_secret is None:
        return {}, ()
    reference = realm.spec.smtp_password_secret
    password, version = await references.secret_value(world, realm.metadata.namespace, reference)
    return {"smtpServer": {"password": password}}, (version,)


async def _existing(admin: Admin, realm: KeycloakRealm, claim: Claim, outcome: Outcome) -> dict[str, Any]:
    """Return the realm as it is, ours; created if there was none."""
    name = realm.spec.realm.realm
    actual = await admin.get_realm(name)
    if actual is None:
        # As little as possible: what is refused later must not keep the realm from being ours.
        enabled = realm.spec.realm.enabled is not False
        marker = {OWNER_ATTRIBUTE: claim.marker}
        created = await admin.create_realm({"realm": name, "enabled": enabled, "attributes": marker})
        actual = await admin.get_realm(name)
        if actual is None:
            raise NameConflictError(f"realm {name} was created and is gone again; does another program manage it?")
        if created:
            _tell_of_creation(outcome, realm, f"realm {name}")
    outcome.status["realm"] = None  # until it is known to be ours: clients rely on it
    claim.check(actual, f"realm {name}")
    outcome.status["realm"] = name
    return actual


def _tell_of_creation(outcome: Outcome, realm: KeycloakRealm, what: str) -> None:
    if realm.status.realm is None:
        outcome.tell("Created", what)
    else:
        outcome.tell("DriftCorrected", f"{what} was gone and is created anew; its users are not")


async def _unmark(world: World, connection: KeycloakConnection, realm: KeycloakRealm) -> None:
    """Take our marker off, if that is possible right now: a realm that stays must not keep its resource from going."""
    name = realm.spec.realm.realm
    try:
        admin = world.keycloaks.admin(await references.access_of(world, connection))
        actual = await admin.get_realm(name)
        if _claim(world, connection, realm).owns(actual):
            del actual["attributes"][OWNER_ATTRIBUTE]
            await admin.update_realm(name, actual)
    except OperatorError:
        return
