"""The kind KeycloakClient: a client of a realm, and the Secret that its credentials come from or go to."""

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
    Part,
    Resource,
)
from keycloak_operator.resources.client_representation import BUILT_IN, ONE_KIND_OF_SCOPE, ClientRepresentation
from keycloak_operator.resources.references import Name, ObjectRef, SecretKeyRef, SecretVersions
from keycloak_operator.resources.rules import Rule, immutable

LabelValue = Annotated[str, Field(max_length=63, pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]


class OutputSecret(Part):
    """A Secret that the operator writes, and that goes when this resource does."""

    name: Name | None = None
    """Name of the Secret; by default the name of this resource with -credentials behind it."""
    labels: Annotated[dict[str, LabelValue], Field(max_length=64)] | None = None
    """Labels of the Secret."""
    annotations: Annotated[dict[str, str], Field(max_length=64)] | None = None
    """Annotations of the Secret."""


class ClientSpec(ManagedSpec):
    """Which client, in which realm, its credentials, and what becomes of it when this resource goes."""

    realm_ref: Annotated[ObjectRef, immutable("the realm of a client")]
    """The KeycloakRealm resource that the client is in."""
    client: Annotated[ClientRepresentation, ONE_KIND_OF_SCOPE]
    """The client in the words of Keycloak. What is absent is left as it is; what is there is enforced. A client that is
    created is an enabled, confidential OpenID Connect client unless it says otherwise."""
    client_secret_ref: SecretKeyRef | None = None
    """Secret of the client. Without it Keycloak makes one."""
    output_secret: OutputSecret | None = None
    """Where the credentials of a client that has any are written: client-id, client-secret and issuer."""
    deletion_policy: Literal["Retain", "Delete"] = "Delete"
    """What becomes of the client in Keycloak when this resource is deleted."""


_BUILT_IN = Rule(
    f"!(self.client.clientId in {list(BUILT_IN)}) || (self.adopt && self.deletionPolicy == 'Retain')",
    "the client is one of Keycloak's own: it needs adopt: true and deletionPolicy: Retain",
    lambda spec: spec.client.client_id not in BUILT_IN or (spec.adopt and spec.deletion_policy == "Retain"),
    field=".client.clientId",
)
_IS_PUBLIC = "has(self.client.publicClient) && self.client.publicClient"
_NO_ACCOUNT = Rule(
    f"!({_IS_PUBLIC} && has(self.client.serviceAccountsEnabled) && self.client.serviceAccountsEnabled)",
    "a public client has no service account: publicClient excludes serviceAccountsEnabled",
    lambda spec: not (spec.client.public_client and spec.client.service_accounts_enabled),
    field=".client.serviceAccountsEnabled",
)
_NO_SECRET = Rule(
    f"!({_IS_PUBLIC} && has(self.clientSecretRef))",
    "a public client has no secret: publicClient excludes clientSecretRef",
    lambda spec: not (spec.client.public_client and spec.client_secret_ref is not None),
    field=".clientSecretRef",
)

_SUFFIX = "-credentials"
#: Characters that the name of a Secret may have.
_LONGEST_NAME = 253
_NAMEABLE = Rule(
    f"size(self.metadata.name) <= {_LONGEST_NAME - len(_SUFFIX)}"
    " || (has(self.spec.outputSecret) && has(self.spec.outputSecret.name))"
    " || (has(self.spec.client.publicClient) && self.spec.client.publicClient)"
    " || (has(self.spec.client.bearerOnly) && self.spec.client.bearerOnly)",
    f"the name of its Secret, which has {_SUFFIX} behind it, would have more than {_LONGEST_NAME} characters; "
    "choose a shorter name, or say spec.outputSecret.name",
    lambda resource: (
        len(resource.output_secret_name) <= _LONGEST_NAME
        or bool(resource.spec.client.public_client)
        or bool(resource.spec.client.bearer_only)
    ),
    field=".metadata.name",
)


class ClientStatus(ManagedStatus):
    """What the client is in Keycloak."""

    client_id: str | None = None
    """The clientId that this resource manages."""
    id: str | None = None
    """Keycloak's own id of the client."""
    secret_name: str | None = None
    """Name of the Secret that the credentials were written to."""
    secret_versions: SecretVersions = Field(default_factory=tuple)
    """Versions of the Secrets that were last sent to Keycloak."""


class KeycloakClient(Resource):
    """A client of a realm, kept as it is declared here."""

    definition: ClassVar[Definition] = Definition(
        kind="KeycloakClient",
        plural="keycloakclients",
        short_name="kkclient",
        columns=(
            READY,
            REASON,
            Column("Client ID", ".spec.client.clientId"),
            Column("Realm", ".spec.realmRef.name"),
            AGE,
            Column("Secret", ".status.secretName", priority=1),
        ),
    )

    rules: ClassVar[tuple[Rule, ...]] = (_NAMEABLE,)
    spec: Annotated[ClientSpec, _BUILT_IN, _NO_ACCOUNT, _NO_SECRET]
    status: ClientStatus = Field(default_factory=ClientStatus)

    @property
    def realm_key(self) -> ObjectKey:
        """Where the KeycloakRealm resource is that this client is in."""
        return self.spec.realm_ref.key(self.metadata.namespace)

    @property
    def output_secret_name(self) -> str:
        """Name of the Secret that the credentials are written to, if the client has any."""
        named = self.spec.output_secret.name if self.spec.output_secret is not None else None
        return named or f"{self.metadata.name}{_SUFFIX}"
