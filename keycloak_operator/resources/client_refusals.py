"""What a ClientRepresentation can hold and a KeycloakClient cannot: each field with the reason, and with what to do.

Like `keycloak_operator.resources.realm_refusals`, which says why they are declared.
"""

from __future__ import annotations

from typing import Annotated, Any

from keycloak_operator.resources.representation import Representation
from keycloak_operator.resources.rules import refused

_OBSOLETE = refused("is of former versions, and Keycloak ignores it; leave it out")


class ClientRefusals(Representation):
    """The fields that are refused."""

    registration_access_token: Annotated[str, refused("a token has no place here; leave it out")] | None = None
    """Refused: a token for the registration of clients."""
    authorization_settings: (
        Annotated[
            dict[str, Any],
            refused(
                "resources, scopes and policies of authorization are not managed by this operator; leave it out, and "
                "change them in Keycloak; authorizationServicesEnabled switches them on"
            ),
        ]
        | None
    ) = None
    """Refused: resources, scopes and policies of authorization."""
    default_roles: Annotated[tuple[str, ...], _OBSOLETE] | None = None
    """Refused: the former way to give roles to new users."""
    direct_grants_only: Annotated[bool, _OBSOLETE] | None = None
    """Refused: standardFlowEnabled and directAccessGrantsEnabled say it."""
    client_template: Annotated[str, _OBSOLETE] | None = None
    """Refused: defaultClientScopes say it."""
    use_template_config: Annotated[bool, _OBSOLETE] | None = None
    """Refused: defaultClientScopes say it."""
    use_template_scope: Annotated[bool, _OBSOLETE] | None = None
    """Refused: defaultClientScopes say it."""
    use_template_mappers: Annotated[bool, _OBSOLETE] | None = None
    """Refused: defaultClientScopes say it."""
