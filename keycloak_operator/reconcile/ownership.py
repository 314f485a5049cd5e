"""Whose a realm or a client in Keycloak is: a marker among its attributes, which only the operator writes.

The marker has no UID in it: a resource that was deleted and restored from a repository must find its realm again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from keycloak_operator.errors import NameConflictError, NamespaceNotAllowedError
from keycloak_operator.resources import OWNER_ATTRIBUTE, ObjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The claim of a resource to something in Keycloak: its marker, and whether it may take over what has none.

    `adopt` is the resource's wish, `allowed` whether its namespace may; `connection` is who decides that.
    """

    marker: str
    adopt: bool
    allowed: bool
    connection: ObjectKey

    def owns(self, representation: Mapping[str, Any] | None) -> TypeGuard[dict[str, Any]]:
        """Return whether there is something, and it is this resource's."""
        return representation is not None and owner_of(representation) == self.marker

    def check(self, representation: Mapping[str, Any], what: str, *, observing: bool = False) -> None:
        """Raise unless *what* is this resource's, or no resource's and may be taken over; *observing* needs no wish."""
        found = owner_of(representation)
        if found == self.marker:
            return
        if found:
            raise NameConflictError(f"{what} belongs to {found} (operator/namespace/name); choose another name")
        if not self.adopt and not observing:
            raise NameConflictError(f"{what} exists and belongs to no resource; set spec.adopt to true to take it over")
        if not self.allowed:
            raise NamespaceNotAllowedError(
                f"{what} exists, and KeycloakConnection {self.connection} does not let this namespace adopt; set adopt "
                "to true in its entry of spec.allowedNamespaces there"
            )


def marker(operator_id: str, owner: ObjectKey) -> str:
    """Return the marker of what *owner* makes."""
    return f"{operator_id}/{owner.namespace}/{owner.name}"


def owner_of(representation: Mapping[str, Any]) -> str:
    """Return the marker on *representation*; empty if there is none."""
    value = (representation.get("attributes") or {}).get(OWNER_ATTRIBUTE) or ""
    return str(value[0] if isinstance(value, list) and value else value or "")


def claimed(declared: Mapping[str, Any], mine: str) -> dict[str, Any]:
    """Return *declared* with the marker *mine* among its attributes."""
    return {**declared, "attributes": {**(declared.get("attributes") or {}), OWNER_ATTRIBUTE: mine}}
