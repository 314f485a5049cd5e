"""Where a client is in Keycloak: how it is read there and written, and whose it has to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keycloak_operator.errors import NameConflictError, NotFoundError
from keycloak_operator.reconcile import ownership
from keycloak_operator.reconcile.ownership import Claim
from keycloak_operator.reconcile.ports import Admin
from keycloak_operator.resources import FLOWS


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client is, and whose it has to be."""

    admin: Admin
    realm: str
    client_id: str
    claim: Claim
    realm_marker: str

    def __str__(self) -> str:
        return f"client {self.client_id} of realm {self.realm}"

    async def read(self, secret: str = "") -> dict[str, Any] | None:
        """Return the client as it is, with *secret* for its own as long as Keycloak accepts it.

        After a rotation two secrets are valid. Writing the older one back would undo it.
        """
        actual = await self.admin.find_client(self.realm, self.client_id)
        if actual is None or not secret or actual.get("secret") == secret:
            return actual
        rotated = await self.admin.rotated_secret(self.realm, actual["id"])
        return {**actual, "secret": secret} if rotated == secret else actual

    async def check_realm(self) -> None:
        """Raise unless the realm is the one of the client's KeycloakRealm.

        To be done before every write: that resource's status may be older than what happened in Keycloak, and users may
        be allowed to write it.
        """
        actual = await self.admin.get_realm(self.realm)
        if actual is None:
            raise NotFoundError(f"Keycloak has no realm {self.realm}")
        if ownership.owner_of(actual) != self.realm_marker:
            raise NameConflictError(f"realm {self.realm} in Keycloak does not belong to the client's KeycloakRealm")

    async def create(self, representation: dict[str, Any]) -> bool:
        """Create the client; False if it was created by another program meanwhile."""
        await self.check_realm()
        return await self.admin.create_client(self.realm, representation)

    async def write(self, before: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Make the client, which is as *before*, as *wanted*."""
        await self.check_realm()
        await self.admin.update_client(self.realm, before["id"], _as_update(before, wanted))


def protocol_of(representation: Mapping[str, Any]) -> str:
    """Return the protocol of a client; one that does not say it is for OpenID Connect."""
    return str(representation.get("protocol") or "openid-connect")


def _as_update(before: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what to send so that a client that is as *before* becomes as *wanted*.

    Keycloak merges these maps, so an empty value is how an entry goes. A secret that did not change is left out: it may
    be rotated at this moment.
    """
    update = dict(wanted)
    for name in ("attributes", FLOWS):
        gone = dict.fromkeys((before.get(name) or {}).keys() - (wanted.get(name) or {}).keys(), "")
        if gone:
            update[name] = {**(wanted.get(name) or {}), **gone}
    if update.get("secret") == before.get("secret"):
        update.pop("secret", None)
    return update
