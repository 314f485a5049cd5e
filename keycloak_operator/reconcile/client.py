"""The kind KeycloakClient: a client with our marker, as declared, and its credentials in a Secret."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from keycloak_operator.errors import (
    NameConflictError,
    OperatorError,
    RejectedByKeycloakError,
    SecretConflictError,
    WaitingError,
)
from keycloak_operator.reconcile import ownership, references
from keycloak_operator.reconcile.convergence import converge
from keycloak_operator.reconcile.difference import MASK
from keycloak_operator.reconcile.outcome import Event, Outcome, World
from keycloak_operator.reconcile.ports import Admin, Secret
from keycloak_operator.resources import (
    API_VERSION,
    OWNER_ATTRIBUTE,
    KeycloakClient,
    KeycloakConnection,
    KeycloakRealm,
    SecretVersion,
)

#: The links of a client to client scopes: not among its settings when it is updated, and with endpoints of their own.
SCOPES = {"default": "defaultClientScopes", "optional": "optionalClientScopes"}


async def reconcile(world: World, client: KeycloakClient) -> Outcome:
    """Create the client or correct it, and write its Secret; write nothing if all is as declared."""
    outcome = Outcome()
    with outcome.told():
        outcome.status = await _reconcile(world, client, outcome)
    return outcome


async def _reconcile(world: World, client: KeycloakClient, outcome: Outcome) -> dict[str, Any]:
    """Return the status."""
    realm = await references.ready_parent(world, KeycloakRealm, client.realm_key, client)
    connection = await references.ready_parent(world, KeycloakConnection, realm.connection_key, realm)
    declared, versions = await _declared(world, client)
    admin = await references.admin_of(world, connection)
    where = _Place(admin, realm.spec.realm.realm, client.spec.client.client_id)
    actual = await _existing(where, client, declared, outcome)
    changed = await converge(
        {key: value for key, value in declared.items() if key not in SCOPES.values()},
        actual,
        what=str(where),
        write=functools.partial(admin.update_client, where.realm, actual["id"]),
        read=where.read,
        force=versions != client.status.secret_versions and client.status.id == actual["id"],
    )
    # After the settings: switching the service account on links a scope that may not be declared.
    changed += await _link_scopes(where, declared, (await where.read() or actual) if changed else actual)
    if changed and not outcome.events:
        drifted = client.status.observed_generation == client.metadata.generation
        outcome.tell("DriftCorrected" if drifted else "Updated", f"{where}: {', '.join(changed)}")
    issuer = f"{connection.spec.url}/realms/{where.realm}"
    return {
        "clientId": where.client_id,
        "id": actual["id"],
        "issuer": issuer,
        "secretName": await _write_secret(world, client, where, actual, issuer),
        "secretVersions": [version.model_dump(by_alias=True) for version in versions],
    }


async def release(world: World, client: KeycloakClient) -> Outcome:
    """Let go of the client: delete it, or take only our marker off; one that is not ours is left alone."""
    outcome = Outcome()
    realm = await references.find(world, KeycloakRealm, client.realm_key)
    connection = await references.find(world, KeycloakConnection, realm.connection_key) if realm else None
    if realm is None or connection is None or connection.terminating_since or _takes_clients_along(realm):
        message = f"its realm or Keycloak is gone; client {client.spec.client.client_id} may remain"
        outcome.events.append(Event(type="Warning", reason="Abandoned", message=message))
        return outcome
    if client.spec.deletion_policy == "Retain":
        await _unmark(world, connection, realm, client)
        return outcome
    admin = await references.admin_of(world, connection)
    where = _Place(admin, realm.spec.realm.realm, client.spec.client.client_id)
    # A realm that somebody deleted by hand took its clients along.
    actual = await where.read() if await admin.get_realm(where.realm) is not None else None
    if actual is not None and ownership.owner_of(actual) == ownership.marker(world.operator_id, client.key):
        await admin.delete_client(where.realm, actual["id"])
        outcome.tell("Deleted", str(where))
    return outcome


class _Place:
    """Where a client is."""

    def __init__(self, admin: Admin, realm: str, client_id: str) -> None:
        self.admin, self.realm, self.client_id = admin, realm, client_id

    def __str__(self) -> str:
        return f"client {self.client_id} of realm {self.realm}"

    async def read(self) -> dict[str, Any] | None:
        """Return the client as it is."""
        return await self.admin.find_client(self.realm, self.client_id)


def _takes_clients_along(realm: KeycloakRealm) -> bool:
    return realm.terminating_since is not None and realm.spec.deletion_policy == "Delete"


async def _declared(world: World, client: KeycloakClient) -> tuple[dict[str, Any], tuple[SecretVersion, ...]]:
    """Return the declared client with our marker and its secret, and the version of that."""
    declared = ownership.claimed(client.spec.client.declared(), ownership.marker(world.operator_id, client.key))
    if client.spec.client_secret_ref is None:
        return declared, ()
    value, version = await references.secret_value(world, client.metadata.namespace, client.spec.client_secret_ref)
    declared["secret"] = value
    return declared, (version,)


async def _existing(
    where: _Place, client: KeycloakClient, declared: dict[str, Any], outcome: Outcome
) -> dict[str, Any]:
    """Return the client as it is, ours; created as declared if there was none."""
    actual = await where.read()
    if actual is None:
        # Keycloak makes a client public or not, depending on whether its protocol was sent; this one says what it is.
        created = await where.admin.create_client(where.realm, {"publicClient": False, **declared})
        actual = await where.read()
        if actual is None:
            raise NameConflictError(f"{where} was created and is gone again; does somebody else manage it?")
        if created and client.status.id is None:
            outcome.tell("Created", str(where))
        elif created:
            outcome.tell("DriftCorrected", f"{where} was gone and is created anew")
    ownership.check(actual, declared["attributes"][OWNER_ATTRIBUTE], what=str(where), adopt=client.spec.adopt)
    return actual


async def _link_scopes(where: _Place, declared: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """Make the client's links to client scopes those declared, and return the fields that were changed."""
    wrong = {
        kind: (set(declared[field]), set(actual.get(field) or ()))
        for kind, field in SCOPES.items()
        if field in declared and set(declared[field]) != set(actual.get(field) or ())
    }
    if not wrong:
        return []
    ids = await where.admin.client_scopes(where.realm)
    if missing := sorted(set().union(*(wanted for wanted, _ in wrong.values())) - set(ids)):
        raise RejectedByKeycloakError(f"realm {where.realm} has no client scope {', '.join(missing)}")
    # All that go before any that come: a scope is either default or optional, and may change from one to the other.
    for kind, (wanted, present) in wrong.items():
        for name in sorted(present - wanted & set(ids)):
            await where.admin.unlink_scope(where.realm, actual["id"], kind, ids[name])
    for kind, (wanted, present) in wrong.items():
        for name in sorted(wanted - present):
            await where.admin.link_scope(where.realm, actual["id"], kind, ids[name])
    return [SCOPES[kind] for kind in wrong]


def _has_secret(actual: dict[str, Any]) -> bool:
    return not actual.get("publicClient") and not actual.get("bearerOnly")


async def _write_secret(
    world: World, client: KeycloakClient, where: _Place, actual: dict[str, Any], issuer: str
) -> str | None:
    """Bring the output Secret up to date, and return its name; a client without a secret of its own needs none."""
    if not _has_secret(actual):
        return None
    name = client.output_secret_name
    value = await where.admin.client_secret(where.realm, actual["id"])
    if value in {"", MASK}:
        raise WaitingError(f"{where}: Keycloak does not show its secret; give the operator's account the role admin")
    spec, namespace = client.spec.output_secret, client.metadata.namespace
    wanted = Secret(
        namespace=namespace,
        name=name,
        data={"client-id": where.client_id, "client-secret": value, "issuer": issuer},
        labels=(spec.labels if spec else None) or {},
        annotations=(spec.annotations if spec else None) or {},
    )
    present = await world.cluster.secret(namespace, name)
    if present is not None and client.metadata.uid not in present.owners:
        raise SecretConflictError(f"Secret {namespace}/{name} is not this client's; choose another outputSecret.name")
    if present is None or not _is_as(wanted, present):
        owner = {
            "apiVersion": API_VERSION,
            "kind": client.definition.kind,
            "metadata": {"name": client.metadata.name, "uid": client.metadata.uid},
        }
        await world.cluster.apply_secret(wanted, owner)
    return name


def _is_as(wanted: Secret, present: Secret) -> bool:
    return (
        dict(wanted.data) == dict(present.data)
        and _contains(present.labels.items(), wanted.labels.items())
        and _contains(present.annotations.items(), wanted.annotations.items())
    )


def _contains(present: Iterable[tuple[str, str]], wanted: Iterable[tuple[str, str]]) -> bool:
    return set(wanted) <= set(present)


async def _unmark(world: World, connection: KeycloakConnection, realm: KeycloakRealm, client: KeycloakClient) -> None:
    """Take our marker off, if that is possible right now: a client that stays must not keep its resource from going."""
    try:
        where = _Place(
            await references.admin_of(world, connection), realm.spec.realm.realm, client.spec.client.client_id
        )
        actual = await where.read()
        if actual is not None and ownership.owner_of(actual) == ownership.marker(world.operator_id, client.key):
            # Keycloak merges a client's attributes: an empty value is how one is removed.
            actual["attributes"][OWNER_ATTRIBUTE] = ""
            await where.admin.update_client(where.realm, actual["id"], actual)
    except OperatorError:
        return
