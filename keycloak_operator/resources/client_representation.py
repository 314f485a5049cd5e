"""Keycloak's ClientRepresentation: the fields that many clients set, and the one that has no place in a spec."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from keycloak_operator.resources.representation import Attributes, Representation, StringMap, StringSet
from keycloak_operator.resources.rules import immutable, refused

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

ClientId = Annotated[str, Field(min_length=1, max_length=255), immutable("the clientId")]
PlainSecret = Annotated[str, refused("a secret has no place here; use spec.clientSecretRef, or let Keycloak make one")]


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


class ClientRepresentation(Representation):
    """A client as Keycloak's ClientRepresentation. Fields that are not listed go through to Keycloak as they are."""

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
    attributes: Attributes | None = None
    """Attributes of the client; those that are not named here stay as they are."""
    protocol_mappers: ProtocolMappers | None = None
    """What is put into tokens for this client."""
    authentication_flow_binding_overrides: StringMap | None = None
    """Authentication flows by what they are for, browser or direct_grant: the alias of a flow, or its id."""
    default_client_scopes: StringSet | None = None
    """Client scopes that always apply."""
    optional_client_scopes: StringSet | None = None
    """Client scopes that apply when they are asked for."""

    secret: PlainSecret | None = None
    """Refused: a secret comes from a Secret, by spec.clientSecretRef, or from Keycloak."""
