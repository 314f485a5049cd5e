"""Which clients a namespace may declare, and what it may say of them."""

from __future__ import annotations

from keycloak_operator.errors import InvalidSpecError, NamespaceNotAllowedError
from keycloak_operator.reconcile import references
from keycloak_operator.reconcile.ports import Access
from keycloak_operator.resources import BUILT_IN, KeycloakClient, KeycloakConnection, KeycloakRealm

#: Mappers, and claims, that put roles into a token which its user does not have.
_ROLE_MAPPERS = frozenset(
    {"oidc-hardcoded-role-mapper", "oidc-role-name-mapper", "saml-hardcode-role-mapper", "saml-role-name-mapper"}
)
_ROLE_CLAIMS = frozenset({"realm_access", "resource_access"})


def check_client(connection: KeycloakConnection, access: Access, realm: KeycloakRealm, client: KeycloakClient) -> None:
    """Raise if the client is none that a resource of its namespace may declare."""
    name, namespace = realm.spec.realm.realm, client.metadata.namespace
    client_id, grant = client.spec.client.client_id, references.grant_of(connection, namespace)
    if connection.administers(name) and namespace != connection.metadata.namespace:
        raise NamespaceNotAllowedError(
            f"clients of realm {name} can administer Keycloak, so they are declared in namespace "
            f"{connection.metadata.namespace} of the KeycloakConnection only"
        )
    if name == connection.spec.admin.login_realm and client_id == (access.client_id or "admin-cli"):
        raise InvalidSpecError(
            f"client {client_id} of realm {name} is what the operator itself logs in with; change it in Keycloak"
        )
    if client_id in BUILT_IN and not grant.built_in_clients:
        raise NamespaceNotAllowedError(
            f"client {client_id} is one of Keycloak's own, and KeycloakConnection {connection.key} does not let "
            f"namespace {namespace} change those; set builtInClients to true in the namespace's entry of "
            "spec.allowedNamespaces there"
        )
    may_declare_realm = grant.declares(name, administrative=connection.administers(name))
    if namespace != realm.metadata.namespace and not may_declare_realm:
        _check_mappers(client)


def _check_mappers(client: KeycloakClient) -> None:
    """Raise if a mapper makes roles up: from a role in its token, a client administers its realm."""
    makes_up = [
        mapper.name
        for mapper in client.spec.client.protocol_mappers or ()
        if mapper.protocol_mapper in _ROLE_MAPPERS
        or str(mapper.protocol_mapper).startswith("script-")
        or (mapper.config or {}).get("claim.name", "").partition(".")[0] in _ROLE_CLAIMS
    ]
    if makes_up:
        raise NamespaceNotAllowedError(
            f"protocolMappers {', '.join(makes_up)} can give roles that administer the realm, so they are only for "
            "namespaces that may declare the realm itself"
        )
