"""The kind Keycloak: a server that somebody else runs, and how to get in."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from keycloak_operator.resources.base import AGE, READY, REASON, Column, Definition, Part, Resource, Status
from keycloak_operator.resources.references import AllowedNamespaces, CaSecretRef, Name, allows
from keycloak_operator.resources.rules import Rule

Url = Annotated[
    str,
    Field(max_length=2048, pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$"),
    Rule("!self.endsWith('/')", "must not end with a slash", lambda url: not url.endswith("/")),
    Rule("!self.contains('@')", "must not hold credentials; use spec.admin.secret", lambda url: "@" not in url),
]


class External(Part):
    """A Keycloak that runs already, wherever that is."""

    url: Url
    """Base URL of the server with its path, if it has one, and without a slash at the end. The Admin API is looked for
    below it."""
    ca_secret: CaSecretRef | None = None
    """Certificates to trust for an https URL, in place of those that the operator's image trusts."""


class Admin(Part):
    """The account that the operator works with."""

    secret: Name
    """Name of a Secret in the namespace of this resource, with the keys client-id and client-secret of a service
    account, or else username and password of a user. Either one has to be in the realm master."""


class KeycloakSpec(Part):
    """Which Keycloak, and who may use it."""

    external: External
    """The server that realms and clients are managed on."""
    admin: Admin
    """How the operator logs in."""
    allowed_namespaces: AllowedNamespaces = ()
    """Other namespaces whose KeycloakRealms may use this Keycloak; * stands for all of them."""


class KeycloakStatus(Status):
    """What was found when the operator last logged in."""

    url: str | None = None
    """Base URL that was reached."""
    version: str | None = None
    """Version that the server calls itself."""


class Keycloak(Resource):
    """A Keycloak server whose realms and clients are managed by KeycloakRealm and KeycloakClient resources."""

    definition: ClassVar[Definition] = Definition(
        kind="Keycloak",
        plural="keycloaks",
        short_name="kco",
        columns=(READY, REASON, Column("URL", ".spec.external.url"), Column("Version", ".status.version"), AGE),
    )

    spec: KeycloakSpec
    status: KeycloakStatus = Field(default_factory=KeycloakStatus)

    def allows(self, namespace: str) -> bool:
        """Return whether a KeycloakRealm in *namespace* may use this Keycloak."""
        return allows(self.spec.allowed_namespaces, self.metadata.namespace, namespace)
