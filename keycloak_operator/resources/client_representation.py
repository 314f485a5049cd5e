"""Keycloak's ClientRepresentation: the fields that many clients set, and those that rules speak about."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from keycloak_operator.resources.client_refusals import ClientRefusals
from keycloak_operator.resources.representation import Attributes, Representation, StringMap, StringSet
from keycloak_operator.resources.rules import MASK, Rule, immutable, masked

#: Clients that Keycloak makes itself, and that its own pages need.
BUILT_IN = (
    "account",
    "account-console",
    "admin-cli",
    "admin-permissions",
    "broker",
    "realm-management",
    "security-admin-console",
)

#: The field that names authentication flows: by id for Keycloak, by alias for people.
FLOWS = "authenticationFlowBindingOverrides"

ClientId = Annotated[str, Field(min_length=1, max_length=255), immutable("the clientId")]
PlainSecret = Annotated[
    str,
    Field(max_length=4096),
    Rule(
        f"self == '{MASK}'",
        "a secret has no place here; use spec.clientSecretRef, or let Keycloak make one",
        lambda value: value == MASK,
    ),
]
_PRIVATE_KEY = "a private key has no place here; leave it out: the client keeps its key, and Keycloak the one it has"
ClientAttributes = Annotated[
    Attributes,
    masked("saml.signing.private.key", _PRIVATE_KEY),
    masked("saml.encryption.private.key", _PRIVATE_KEY),
    masked("jwt.credential.private.key", _PRIVATE_KEY),
    masked("client.secret.rotated", "a secret has no place here; leave it out"),
]
#: Bounded, as a rule compares each one with each other.
ScopeNames = Annotated[
    tuple[Annotated[str, Field(max_length=255)], ...],
    Field(max_length=256, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
]


class ProtocolMapper(Representation):
    """A mapper as Keycloak's ProtocolMapperRepresentation, which puts something into tokens."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    """Name of the mapper, once in a client."""
    protocol: str | None = None
    """Protocol that the mapper is for."""
    protocol_mapper: str | None = None
    """Kind of the mapper: oidc-audience-mapper, for example."""
    config: StringMap | None = None
    """Settings of the mapper, all of them strings."""


ProtocolMappers = Annotated[
    tuple[ProtocolMapper, ...],
    Field(max_length=256, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
]


class ClientRepresentation(ClientRefusals):
    """A client as Keycloak's ClientRepresentation. Fields that are not listed go through to Keycloak as they are. What
    Keycloak alone sets, such as id, access and the ids of mappers, is ignored."""

    client_id: ClientId
    """Name by which the client calls itself."""
    name: str | None = None
    """Name shown to people."""
    description: str | None = None
    """What the client is."""
    enabled: bool | None = None
    """Whether the client can be used."""
    protocol: Literal["openid-connect", "saml"] | None = None
    """How the client logs people in."""
    public_client: bool | None = None
    """Whether the client has no secret, as what runs in a browser cannot keep one."""
    bearer_only: bool | None = None
    """Whether the client only checks tokens and starts no login."""
    root_url: str | None = None
    """URL in front of the client's other URLs when they are relative."""
    base_url: str | None = None
    """URL that Keycloak links to."""
    admin_url: str | None = None
    """URL that Keycloak calls on logout and the like."""
    redirect_uris: StringSet | None = None
    """URLs that a login may return to; an asterisk at the end matches the rest."""
    web_origins: StringSet | None = None
    """Origins that may send requests from a browser; + stands for those of the redirect URIs."""
    standard_flow_enabled: bool | None = None
    """Whether the authorization code flow can be used."""
    implicit_flow_enabled: bool | None = None
    """Whether the implicit flow can be used."""
    direct_access_grants_enabled: bool | None = None
    """Whether the client may trade a password for a token."""
    service_accounts_enabled: bool | None = None
    """Whether the client may log in as itself."""
    consent_required: bool | None = None
    """Whether people are asked before the client learns about them."""
    full_scope_allowed: bool | None = None
    """Whether tokens hold all roles of a user."""
    frontchannel_logout: bool | None = None
    """Whether a logout goes by way of the browser."""
    client_authenticator_type: str | None = None
    """How the client proves who it is: client-secret, for example."""
    attributes: ClientAttributes | None = None
    """Attributes of the client; those that are not named here stay as they are."""
    protocol_mappers: ProtocolMappers | None = None
    """What is put into tokens for this client."""
    authentication_flow_binding_overrides: StringMap | None = None
    """Authentication flows by what they are for, browser or direct_grant: the alias of a flow, or its id."""
    default_client_scopes: ScopeNames | None = None
    """Client scopes that always apply."""
    optional_client_scopes: ScopeNames | None = None
    """Client scopes that apply when they are asked for."""

    secret: PlainSecret | None = None
    """Refused: a secret comes from a Secret, by spec.clientSecretRef, or from Keycloak. The mask that Keycloak shows
    instead of one is ignored."""


ONE_KIND_OF_SCOPE = Rule(
    "!has(self.defaultClientScopes) || !has(self.optionalClientScopes)"
    " || self.defaultClientScopes.all(name, !(name in self.optionalClientScopes))",
    "a client scope is one of defaultClientScopes or of optionalClientScopes, not of both",
    lambda client: not set(client.default_client_scopes or ()) & set(client.optional_client_scopes or ()),
    field=".optionalClientScopes",
)
