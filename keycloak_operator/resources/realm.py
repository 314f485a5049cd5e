"""The kind KeycloakRealm: a realm of a Keycloak."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from keycloak_operator.resources.base import (
    AGE,
    READY,
    REASON,
    Column,
    Definition,
    ManagedSpec,
    ManagedStatus,
    ObjectKey,
    Resource,
)
from keycloak_operator.resources.realm_representation import (
    FIELDS_NOT_ATTRIBUTES,
    OWN_DEFAULT_ROLE,
    RealmRepresentation,
)
from keycloak_operator.resources.references import (
    Namespaces,
    ObjectRef,
    SecretKeyRef,
    SecretVersions,
    allows,
)
from keycloak_operator.resources.rules import Rule, immutable


class RealmSpec(ManagedSpec):
    """Which realm, on which Keycloak, and what becomes of it when this resource goes."""

    connection_ref: Annotated[ObjectRef, immutable("the connection of a realm")]
    """The KeycloakConnection of the server that the realm is on."""
    realm: Annotated[RealmRepresentation, OWN_DEFAULT_ROLE, *FIELDS_NOT_ATTRIBUTES]
    """The realm in the words of Keycloak. What is absent is left as it is; what is there is enforced. A realm that is
    created is enabled unless it says otherwise."""
    smtp_password_secret: SecretKeyRef | None = None
    """Password for spec.realm.smtpServer."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the realm, and all users in it, when this resource is deleted."""
    allowed_namespaces: Namespaces = ()
    """Other namespaces whose KeycloakClients may be in this realm; * stands for all of them."""


_MASTER = Rule(
    "self.realm.realm.lowerAscii() != 'master' || (self.adopt && self.deletionPolicy == 'Retain')",
    "the realm master is Keycloak's own: it needs adopt: true and deletionPolicy: Retain",
    lambda spec: spec.realm.realm.lower() != "master" or (spec.adopt and spec.deletion_policy == "Retain"),
    field=".realm.realm",
)
_SMTP = Rule(
    "!has(self.smtpPasswordSecret) || has(self.realm.smtpServer)",
    "smtpPasswordSecret needs realm.smtpServer",
    lambda spec: spec.smtp_password_secret is None or spec.realm.smtp_server is not None,
    field=".smtpPasswordSecret",
)


class RealmStatus(ManagedStatus):
    """What the realm is in Keycloak."""

    realm: str | None = None
    """Name of the realm, as soon as it exists in Keycloak and is this resource's: clients in it wait for no more."""
    secret_versions: SecretVersions = Field(default_factory=tuple)
    """Versions of the Secrets that were last sent to Keycloak, which never shows their values to compare with."""


class KeycloakRealm(Resource):
    """A realm of a Keycloak, kept as it is declared here."""

    definition: ClassVar[Definition] = Definition(
        kind="KeycloakRealm",
        plural="keycloakrealms",
        short_name="kkrealm",
        columns=(
            READY,
            REASON,
            Column("Realm", ".spec.realm.realm"),
            Column("Connection", ".spec.connectionRef.name"),
            AGE,
        ),
    )

    spec: Annotated[RealmSpec, _MASTER, _SMTP]
    status: RealmStatus = Field(default_factory=RealmStatus)

    @property
    def connection_key(self) -> ObjectKey:
        """Where the KeycloakConnection is that leads to this realm."""
        return self.spec.connection_ref.key(self.metadata.namespace)

    def allows(self, namespace: str) -> bool:
        """Return whether a KeycloakClient in *namespace* may be in this realm."""
        return allows(self.spec.allowed_namespaces, self.metadata.namespace, namespace)
