"""The kind KeycloakRealm: a realm of a Keycloak."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from keycloak_operator.resources.base import AGE, READY, REASON, Column, Definition, ObjectKey, Part, Resource, Status
from keycloak_operator.resources.realm_representation import RealmRepresentation
from keycloak_operator.resources.references import (
    Namespaces,
    ObjectRef,
    SecretKeyRef,
    SecretVersions,
    allows,
)
from keycloak_operator.resources.rules import Rule, immutable


class RealmSpec(Part):
    """Which realm, on which Keycloak, and what becomes of it when this resource goes."""

    connection_ref: Annotated[ObjectRef, immutable("the connection of a realm")]
    """The KeycloakConnection of the server that the realm is on."""
    realm: RealmRepresentation
    """The realm in the words of Keycloak. What is absent is left as it is, what is there is enforced."""
    smtp_password_secret: SecretKeyRef | None = None
    """Password for spec.realm.smtpServer."""
    adopt: bool = False
    """Whether to take over a realm that exists already and that no other resource manages."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the realm, and all users in it, when this resource is deleted."""
    allowed_namespaces: Namespaces = ()
    """Other namespaces whose KeycloakClients may be in this realm; * stands for all of them."""


_MASTER = Rule(
    "self.realm.realm != 'master' || (self.adopt && self.deletionPolicy == 'Retain')",
    "the realm master is Keycloak's own: it needs adopt: true and deletionPolicy: Retain",
    lambda spec: spec.realm.realm != "master" or (spec.adopt and spec.deletion_policy == "Retain"),
)
_SMTP = Rule(
    "!has(self.smtpPasswordSecret) || has(self.realm.smtpServer)",
    "smtpPasswordSecret needs realm.smtpServer",
    lambda spec: spec.smtp_password_secret is None or spec.realm.smtp_server is not None,
)


class RealmStatus(Status):
    """What the realm is in Keycloak."""

    realm: str | None = None
    """Name of the realm that this resource manages."""
    issuer: str | None = None
    """URL of the realm, which its tokens have for an issuer."""
    secret_versions: SecretVersions = Field(default_factory=tuple)
    """Versions of the Secrets that were last sent to Keycloak, which never gives one back to compare with."""


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
