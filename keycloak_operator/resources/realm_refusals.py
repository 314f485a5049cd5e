"""What a RealmRepresentation can hold and a KeycloakRealm cannot: each field with the reason, and with what to do.

``PUT /admin/realms/{realm}`` accepts nearly all of these and does nothing about them; tried on Keycloak 26.5 and 26.7.
Without a rule such a field would be written, and found different, for ever. They are declared so that the API server
sees them: a rule about a field that it does not know is impossible.
"""

from __future__ import annotations

from typing import Annotated, Any

from keycloak_operator.resources.representation import Objects, Representation
from keycloak_operator.resources.rules import refused

_UNMANAGED = refused(
    "is not managed by this operator, and ignored by Keycloak in a realm; leave it out, and change it in Keycloak"
)
_OBSOLETE = refused("is of former versions, and Keycloak ignores or refuses it; leave it out")
_KEY = refused("Keycloak keeps keys as components, which are not managed by this operator; leave it out")

_List = Annotated[Objects, _UNMANAGED]
_Object = Annotated[dict[str, Any], _UNMANAGED]
_Names = tuple[str, ...]


class RealmRefusals(Representation):
    """The fields that are refused."""

    users: _List | None = None
    """Refused: users."""
    federated_users: _List | None = None
    """Refused: users of a federation."""
    groups: _List | None = None
    """Refused: groups. Those of defaultGroups have to exist."""
    roles: _Object | None = None
    """Refused: roles of the realm and of clients."""
    default_roles: (
        Annotated[
            _Names,
            refused(
                "is of former versions; leave it out, and give roles to new users by the composites of the role "
                "default-roles-<realm>, in Keycloak"
            ),
        ]
        | None
    ) = None
    """Refused: the former way to give roles to new users."""
    identity_providers: _List | None = None
    """Refused: identity providers."""
    identity_provider_mappers: _List | None = None
    """Refused: mappers of identity providers."""
    components: _Object | None = None
    """Refused: components: keys, user federation, the user profile, policies of client registration."""
    user_federation_providers: Annotated[Objects, _OBSOLETE] | None = None
    """Refused: the former way to configure user federation."""
    user_federation_mappers: Annotated[Objects, _OBSOLETE] | None = None
    """Refused: the former way to configure user federation."""
    authentication_flows: _List | None = None
    """Refused: authentication flows. Those that browserFlow and the like name have to exist."""
    authenticator_config: _List | None = None
    """Refused: the configuration of authentication flows."""
    required_actions: _List | None = None
    """Refused: required actions."""
    client_scopes: _List | None = None
    """Refused: client scopes. Those that a KeycloakClient names have to exist."""
    default_default_client_scopes: Annotated[_Names, _UNMANAGED] | None = None
    """Refused: the client scopes that new clients get. A KeycloakClient says its own."""
    default_optional_client_scopes: Annotated[_Names, _UNMANAGED] | None = None
    """Refused: the optional client scopes that new clients get. A KeycloakClient says its own."""
    scope_mappings: _List | None = None
    """Refused: the roles of client scopes."""
    client_scope_mappings: _Object | None = None
    """Refused: the client roles of clients and client scopes."""
    protocol_mappers: (
        Annotated[
            Objects, refused("a realm has no mappers; leave it out, and use client.protocolMappers of a KeycloakClient")
        ]
        | None
    ) = None
    """Refused: mappers are those of a client."""
    clients: (
        Annotated[
            Objects,
            refused(
                "clients are resources of their own; use KeycloakClient, which python -m keycloak_operator.export "
                "--from FILE writes for each client of an export"
            ),
        ]
        | None
    ) = None
    """Refused: a client is a KeycloakClient resource."""
    organizations: _List | None = None
    """Refused: organizations. Whether there are any is organizationsEnabled."""
    localization_texts: _Object | None = None
    """Refused: texts of pages."""
    private_key: Annotated[str, _KEY] | None = None
    """Refused: a key of the realm."""
    public_key: Annotated[str, _KEY] | None = None
    """Refused: a key of the realm."""
    certificate: Annotated[str, _KEY] | None = None
    """Refused: a certificate of the realm."""
    code_secret: Annotated[str, _KEY] | None = None
    """Refused: a secret of the realm."""
    applications: Annotated[Objects, _OBSOLETE] | None = None
    """Refused: what clients were called once."""
    oauth_clients: Annotated[Objects, _OBSOLETE] | None = None
    """Refused: what clients were called once."""
    client_templates: Annotated[Objects, _OBSOLETE] | None = None
    """Refused: what client scopes were called once."""
    application_scope_mappings: Annotated[dict[str, Any], _OBSOLETE] | None = None
    """Refused: what clientScopeMappings were called once."""
    social: Annotated[bool, _OBSOLETE] | None = None
    """Refused: the former way to configure identity providers."""
    social_providers: Annotated[dict[str, Any], _OBSOLETE] | None = None
    """Refused: the former way to configure identity providers."""
    update_profile_on_initial_social_login: Annotated[bool, _OBSOLETE] | None = None
    """Refused: the former way to configure identity providers."""
    password_credential_grant_allowed: Annotated[bool, _OBSOLETE] | None = None
    """Refused: clients have directAccessGrantsEnabled instead."""
    user_cache_enabled: Annotated[bool, _OBSOLETE] | None = None
    """Refused: caches are the server's."""
    realm_cache_enabled: Annotated[bool, _OBSOLETE] | None = None
    """Refused: caches are the server's."""
