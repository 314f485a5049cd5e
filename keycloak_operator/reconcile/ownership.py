"""Whose a realm or a client in Keycloak is: a marker among its attributes, which only the operator writes.

The marker has no UID in it: a resource that was deleted and restored from a repository must find its realm again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from keycloak_operator.errors import NameConflictError
from keycloak_operator.resources import OWNER_ATTRIBUTE


class Owner(Protocol):
    """What a marker names: a resource."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...


def marker(operator_id: str, owner: Owner) -> str:
    """Return the marker of what *owner* makes."""
    return f"{operator_id}/{owner.namespace}/{owner.name}"


def owner_of(representation: Mapping[str, Any]) -> str:
    """Return the marker on *representation*; empty if nobody's."""
    value = (representation.get("attributes") or {}).get(OWNER_ATTRIBUTE) or ""
    return str(value[0] if isinstance(value, list) and value else value or "")


def claimed(declared: Mapping[str, Any], mine: str) -> dict[str, Any]:
    """Return *declared* with the marker *mine* among its attributes.

    Without ``id``, which an exported representation brings along: it is Keycloak's to give.
    """
    attributes = {**(declared.get("attributes") or {}), OWNER_ATTRIBUTE: mine}
    return {**{key: value for key, value in declared.items() if key != "id"}, "attributes": attributes}


def check(representation: Mapping[str, Any], mine: str, *, what: str, adopt: bool) -> None:
    """Raise `NameConflictError` unless *what* is ours, or nobody's and *adopt* says to take it."""
    found = owner_of(representation)
    if found == mine or (not found and adopt):
        return
    if found:
        raise NameConflictError(f"{what} belongs to {found} (operator/namespace/name); choose another name")
    raise NameConflictError(f"{what} exists and belongs to nobody; set spec.adopt to true to take it over")
