"""What reconciling needs from the outside: Keycloak's Admin API and the Kubernetes API, in the words of this domain.

`keycloak_operator.keycloak` and `keycloak_operator.cluster` are the real ones. All methods raise `OperatorError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from keycloak_operator.resources import MASTER

Representation = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A Kubernetes Secret, decoded; `owners` are the UIDs of its owner references."""

    namespace: str
    name: str
    data: Mapping[str, str] = field(repr=False)
    resource_version: str = ""
    owners: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach one Keycloak as an administrator: a service account of `realm`, or a user with a password."""

    url: str
    realm: str = MASTER
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
    origin: str = ""


class Admin(Protocol):
    """Keycloak's Admin API. Realms and clients are Keycloak's own representations."""

    async def version(self) -> str | None:
        """Return the server's version, None if the account may not see it; proves that it may administrate."""

    async def get_realm(self, realm: str) -> dict[str, Any] | None:
        """Return the whole representation of *realm*, None if there is none; never a partial one."""

    async def create_realm(self, representation: Representation) -> bool:
        """Create a realm; False if another program has created it meanwhile."""

    async def update_realm(self, realm: str, representation: Representation) -> None:
        """Replace the settings of *realm*."""

    async def delete_realm(self, realm: str) -> None:
        """Delete *realm*; one that is gone already is no error."""

    async def find_client(self, realm: str, client_id: str) -> dict[str, Any] | None:
        """Return the representation of the client whose ``clientId`` is exactly *client_id*."""

    async def create_client(self, realm: str, representation: Representation) -> bool:
        """Create a client; False if another program has created it meanwhile."""

    async def update_client(self, realm: str, internal_id: str, representation: Representation) -> None:
        """Replace the client's settings; links to client scopes are not among them."""

    async def delete_client(self, realm: str, internal_id: str) -> None:
        """Delete a client; one that is gone already is no error."""

    async def client_secret(self, realm: str, internal_id: str) -> str:
        """Return the client's secret as Keycloak shows it, which may be a mask; empty if it has none."""

    async def rotated_secret(self, realm: str, internal_id: str) -> str:
        """Return the secret that was valid before the last rotation and still is, empty if there is none."""

    async def flows(self, realm: str) -> dict[str, str]:
        """Return the ids of the realm's authentication flows by alias."""

    async def realm_scopes(self, realm: str, kind: str, protocol: str) -> list[str]:
        """Return the names of the scopes that new clients of *protocol* have; *kind* is ``default`` or ``optional``."""

    async def client_scopes(self, realm: str) -> dict[str, str]:
        """Return the ids of the realm's client scopes by name."""

    async def link_scope(self, realm: str, internal_id: str, kind: str, scope_id: str) -> None:
        """Make a scope one of the client's *kind*: ``default`` or ``optional``."""

    async def unlink_scope(self, realm: str, internal_id: str, kind: str, scope_id: str) -> None:
        """Take a scope from the client's *kind*."""


class Cluster(Protocol):
    """The Kubernetes API."""

    async def get(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return one of our resources, or None."""

    async def secret(self, namespace: str, name: str) -> Secret | None:
        """Return a Secret, or None."""

    async def apply_secret(self, secret: Secret, owner: Mapping[str, Any]) -> None:
        """Create a Secret or bring ours up to date; *owner* is the resource that it goes away with."""

    async def delete_secret(self, secret: Secret) -> None:
        """Delete *secret* as it was read; one that is gone, or has changed meanwhile, is no error."""

    async def patch_status(self, plural: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        """Merge *status* into the resource's status; one that is gone is no error."""


class Keycloaks(Protocol):
    """The Keycloaks that the operator talks to."""

    def admin(self, access: Access) -> Admin:
        """Return the Admin API of one of them; asks nothing yet."""
