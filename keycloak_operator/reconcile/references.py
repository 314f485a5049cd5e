"""What a resource refers to: Secrets of its own namespace, and its parent, which has to allow it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from keycloak_operator.errors import NamespaceNotAllowedError, NotFoundError, SecretNotFoundError, WaitingError
from keycloak_operator.reconcile.outcome import World
from keycloak_operator.reconcile.ports import Access, Secret
from keycloak_operator.resources import (
    Grant,
    InvalidSpec,
    KeycloakClient,
    KeycloakConnection,
    KeycloakRealm,
    ObjectKey,
    Resource,
    SecretKeyRef,
    SecretVersion,
)

Parent = TypeVar("Parent", KeycloakConnection, KeycloakRealm)


async def find(world: World, kind: type[Parent], key: ObjectKey, asking: str = "") -> Parent | None:
    """Return the resource of *kind* at *key*, or None; what is wrong with it is told to its own namespace only."""
    plural = kind.definition.plural
    body = await world.cluster.get(plural, key.namespace, key.name)
    if body is None:
        return None
    try:
        return kind.parse(body)
    except InvalidSpec as error:
        why = f": {error}" if asking == key.namespace else "; its own condition says why"
        raise WaitingError(f"{kind.definition.kind} {key} cannot be read{why}") from None


async def connection_of(world: World, realm: KeycloakRealm) -> KeycloakConnection:
    """Return the connection of *realm*, which is Ready and lets the realm's namespace declare it."""
    connection = await _parent(world, KeycloakConnection, realm.connection_key, realm)
    grant, name = connection.grant(realm.metadata.namespace), realm.spec.realm.realm
    if grant is None or not grant.declares(name, administrative=connection.administers(name)):
        why = (
            "as realms that administer Keycloak are managed from the connection's own namespace only"
            if connection.administers(name)
            else "add it to allowedRealms of the namespace's entry in spec.allowedNamespaces there"
        )
        raise NamespaceNotAllowedError(
            f"KeycloakConnection {connection.key} does not let namespace {realm.metadata.namespace} declare realm "
            f"{name}; {why}"
        )
    ready = connection.status.condition()
    if ready is None or ready.status != "True":
        why = f" ({ready.reason})" if ready else " yet"
        raise WaitingError(f"KeycloakConnection {connection.key} is not ready{why}")
    return connection


async def realm_of(world: World, client: KeycloakClient) -> KeycloakRealm:
    """Return the realm of *client*, which exists in Keycloak and is that resource's; it need not be Ready.

    One wrong field in a realm must not keep its clients from being repaired.
    """
    realm = await _parent(world, KeycloakRealm, client.realm_key, client)
    if realm.status.realm != realm.spec.realm.realm and client.spec.mode == "Enforce":
        ready = realm.status.condition()
        raise WaitingError(
            f"KeycloakRealm {realm.key} has no realm in Keycloak yet" + (f" ({ready.reason})" if ready else "")
        )
    return realm


def grant_of(connection: KeycloakConnection, namespace: str) -> Grant:
    """Return what *namespace* may do by itself; nothing, where only a realm lets it in."""
    return connection.grant(namespace) or Grant()


async def _parent(world: World, kind: type[Parent], key: ObjectKey, child: Resource) -> Parent:
    """Return the parent of *child*, which allows it and stays."""
    parent, name = await find(world, kind, key, child.metadata.namespace), f"{kind.definition.kind} {key}"
    if parent is None:
        raise NotFoundError(f"{name} does not exist; create it, or correct the reference")
    if not parent.allows(child.metadata.namespace):
        raise NamespaceNotAllowedError(
            f"{name} does not allow namespace {child.metadata.namespace}; add it to its spec.allowedNamespaces"
        )
    if parent.terminating_since is not None:
        raise WaitingError(f"{name} is being deleted")
    return parent


async def secret_value(world: World, namespace: str, reference: SecretKeyRef) -> tuple[str, SecretVersion]:
    """Return the value that *reference* names, and the version it has there."""
    secret = await _secret(world, namespace, reference.name)
    if not secret.data.get(reference.key):
        raise SecretNotFoundError(f"Secret {namespace}/{reference.name} has no text under key {reference.key!r}")
    return secret.data[reference.key], SecretVersion(name=secret.name, resource_version=secret.resource_version)


async def access_of(world: World, connection: KeycloakConnection) -> Access:
    """Return how to log in through *connection*, with the account that its Secret holds at this moment."""
    namespace, spec = connection.metadata.namespace, connection.spec
    secret = await _secret(world, namespace, spec.admin.secret)
    ca = ""
    if spec.ca_secret is not None:
        reference = SecretKeyRef(name=spec.ca_secret.name, key=spec.ca_secret.key)
        ca, _ = await secret_value(world, namespace, reference)
    origin, realm = f"Secret {namespace}/{secret.name}", spec.admin.login_realm
    if found := _all(secret, ("client-id", "client-secret")):
        return Access(url=spec.url, realm=realm, client_id=found[0], client_secret=found[1], ca=ca, origin=origin)
    if found := _all(secret, ("username", "password")):
        return Access(url=spec.url, realm=realm, username=found[0], password=found[1], ca=ca, origin=origin)
    raise SecretNotFoundError(f"{origin} has neither client-id and client-secret nor username and password")


async def _secret(world: World, namespace: str, name: str) -> Secret:
    secret = await world.cluster.secret(namespace, name)
    if secret is None:
        raise SecretNotFoundError(f"Secret {namespace}/{name} does not exist; create it, or correct the reference")
    return secret


def _all(secret: Secret, keys: Iterable[str]) -> list[str]:
    """Return the values of *keys*, or nothing if one of them is missing or empty."""
    values = [secret.data.get(key, "") for key in keys]
    return values if all(values) else []
