"""The kind KeycloakConnection: a Keycloak that runs already, how to log in, and what other namespaces may do in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from keycloak_operator.resources.base import AGE, READY, REASON, Column, Definition, Part, Resource, Status
from keycloak_operator.resources.realm_representation import AnyRealmName
from keycloak_operator.resources.references import CaSecretRef, Name, NamespaceOrAll
from keycloak_operator.resources.rules import Rule

Url = Annotated[
    str,
    Field(max_length=2048, pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$"),
    Rule("!self.endsWith('/')", "must not end with a slash", lambda url: not url.endswith("/")),
    Rule("!self.contains('@')", "must not hold credentials; use spec.admin.secret", lambda url: "@" not in url),
]
RealmPattern = Annotated[str, Field(max_length=255, pattern="^[A-Za-z0-9._~*-]{1,255}$")]

MASTER = "master"


class Admin(Part):
    """The account that the operator works with."""

    secret: Name
    """Name of a Secret in the namespace of this resource, with the keys client-id and client-secret of a service
    account, or else username and password of a user."""
    login_realm: AnyRealmName = MASTER
    """Realm that the account is in. An account outside of master manages its own realm only, and needs the client role
    realm-admin of realm-management there."""


class AllowedNamespace(Part):
    """What KeycloakRealms and KeycloakClients of another namespace may do. What is not named here, they may not."""

    namespace: NamespaceOrAll
    """Name of the namespace; * stands for all that have no entry of their own."""
    allowed_realms: Annotated[
        tuple[RealmPattern, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Names of realms that this namespace may declare; * in a name stands for any characters. The realm that the
    operator logs in to and the realm master are never among them."""
    adopt: bool = False
    """Whether resources of this namespace may take over realms and clients that exist already."""
    built_in_clients: bool = False
    """Whether they may take over clients that Keycloak makes itself in every realm, such as security-admin-console."""


AllowedNamespaces = Annotated[
    tuple[AllowedNamespace, ...],
    Field(
        max_length=256, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["namespace"]}
    ),
]


class ConnectionSpec(Part):
    """Which Keycloak, as which account, and who may use it."""

    url: Url
    """Base URL of the server with its path, if it has one, and without a slash at the end. The Admin API is looked for
    below it."""
    ca_secret: CaSecretRef | None = None
    """Certificates to trust for an https URL, in place of those that the operator's image trusts."""
    admin: Admin
    """How the operator logs in."""
    allowed_namespaces: AllowedNamespaces = ()
    """Other namespaces that may use this Keycloak, and what they may do in it. The namespace of this resource may do
    everything."""


class ConnectionStatus(Status):
    """What was found when the operator last logged in."""

    url: str | None = None
    """Base URL that was reached."""
    version: str | None = None
    """Version that the server calls itself, if the account may see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one namespace may do in a Keycloak; `realms` are patterns, in which * stands for any characters."""

    realms: Collection[str] = ()
    administrative: bool = False
    adopt: bool = False
    built_in_clients: bool = False

    def declares(self, realm: str, *, administrative: bool) -> bool:
        """Return whether the namespace may declare *realm*; *administrative* if that administers the server."""
        if administrative:
            return self.administrative
        return any(_matches(pattern, realm) for pattern in self.realms)


class KeycloakConnection(Resource):
    """A Keycloak server, and the account that KeycloakRealm and KeycloakClient resources are carried out with."""

    definition: ClassVar[Definition] = Definition(
        kind="KeycloakConnection",
        plural="keycloakconnections",
        short_name="kkconn",
        columns=(READY, REASON, Column("URL", ".spec.url"), Column("Version", ".status.version"), AGE),
    )

    spec: ConnectionSpec
    status: ConnectionStatus = Field(default_factory=ConnectionStatus)

    def administers(self, realm: str) -> bool:
        """Return whether users and clients of *realm* can administer the server, or what the account may administer.

        Some databases that Keycloak runs on find ``Master`` and mean ``master``.
        """
        return realm.casefold() in {MASTER, self.spec.admin.login_realm.casefold()}

    def grant(self, namespace: str) -> Grant | None:
        """Return what resources of *namespace* may do, None if they may not use this Keycloak."""
        if namespace == self.metadata.namespace:
            return Grant(realms=("*",), administrative=True, adopt=True, built_in_clients=True)
        entries = {entry.namespace: entry for entry in self.spec.allowed_namespaces}
        entry = entries.get(namespace) or entries.get("*")
        if entry is None:
            return None
        return Grant(realms=entry.allowed_realms, adopt=entry.adopt, built_in_clients=entry.built_in_clients)

    def allows(self, namespace: str) -> bool:
        """Return whether resources of *namespace* may use this Keycloak at all."""
        return self.grant(namespace) is not None


def _matches(pattern: str, realm: str) -> bool:
    """Return whether *pattern* fits; in linear time, as a regular expression may take minutes for an evil one."""
    first, *others = pattern.split("*")
    if not others:
        return realm == first
    *inner, last = others
    if len(realm) < len(first) + len(last) or not realm.startswith(first) or not realm.endswith(last):
        return False
    start, end = len(first), len(realm) - len(last)
    for part in inner:
        found = realm.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True
