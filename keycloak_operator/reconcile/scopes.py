"""The links of a client to client scopes: not among the settings that are updated, and with endpoints of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from keycloak_operator.errors import NotConvergedError, RejectedByKeycloakError
from keycloak_operator.reconcile.convergence import Target
from keycloak_operator.reconcile.place import Place, protocol_of

#: The field of the representation for each kind of link.
FIELDS = {"default": "defaultClientScopes", "optional": "optionalClientScopes"}

#: For each kind of link that is not as it has to be: the names of the scopes wanted, and of those present.
Differing = dict[str, tuple[set[str], set[str]]]


def without(representation: Mapping[str, Any]) -> dict[str, Any]:
    """Return *representation* without the links."""
    return {name: value for name, value in representation.items() if name not in FIELDS.values()}


async def wrong(place: Place, target: Target, actual: dict[str, Any]) -> Differing:
    """Return the scopes that the client has to have, and those that it has, for each kind in which these differ."""
    found = {}
    for kind, name in FIELDS.items():
        present = set(actual.get(name) or ())
        wanted = await _wanted(place, kind, target, actual)
        if wanted != present:
            found[kind] = (wanted, present)
    return found


async def link(place: Place, target: Target, actual: dict[str, Any], attempted: str | None) -> list[str]:
    """Make the client's links to client scopes those declared, and return the fields that were changed.

    Keycloak takes a link that it does not want, of another protocol for example, and makes none.
    """
    differing = await wrong(place, target, actual)
    if not differing:
        return []
    if attempted != _digest(differing):
        await place.check_realm()
        await _link(place, actual, differing)
        left = await wrong(place, target, await place.read() or {})
        if not left:
            return [FIELDS[kind] for kind in differing]
        differing = left
    missed = {name for wanted, present in differing.values() for name in wanted ^ present}
    error = NotConvergedError(
        f"{place}: Keycloak accepted the links to client scopes and shows others ({', '.join(sorted(missed))}); "
        "correct the spec"
    )
    error.status = {"attempted": _digest(differing)}
    raise error


def _digest(differing: Differing) -> str:
    text = repr({kind: [sorted(names) for names in pair] for kind, pair in differing.items()})
    return hashlib.sha256(text.encode()).hexdigest()


async def _link(place: Place, actual: dict[str, Any], differing: Differing) -> None:
    ids = await place.admin.client_scopes(place.realm)
    if missing := sorted(set().union(*(wanted for wanted, _ in differing.values())) - set(ids)):
        raise RejectedByKeycloakError(f"realm {place.realm} has no client scope {', '.join(missing)}")
    # All that go before any that come: a scope is either default or optional, and may change from one to the other.
    for kind, (wanted, present) in differing.items():
        for name in sorted(present - wanted & set(ids)):
            await place.admin.unlink_scope(place.realm, actual["id"], kind, ids[name])
    for kind, (wanted, present) in differing.items():
        for name in sorted(wanted - present):
            await place.admin.link_scope(place.realm, actual["id"], kind, ids[name])


async def _wanted(place: Place, kind: str, target: Target, actual: dict[str, Any]) -> set[str]:
    """Return the names of the scopes that the client has to have: where none are declared, those it has.

    Once declared and no longer, they are those of the realm, as a new client would have, and what was added meanwhile.
    """
    name = FIELDS[kind]
    if name in target.declared:
        return set(target.declared[name])
    present = set(actual.get(name) or ())
    # A scope is one or the other, so what is declared as the other is not wanted here.
    others = {each for other, field in FIELDS.items() if other != kind for each in target.declared.get(field) or ()}
    if (name,) not in target.memory:
        return present - others
    realms = set(await place.admin.realm_scopes(place.realm, kind, protocol_of(actual))) - others
    return {each for each in present - others if (name, each) not in target.memory} | realms


async def with_both_kinds(place: Place, representation: dict[str, Any]) -> dict[str, Any]:
    """Return *representation* with the realm's scopes of the kind that it leaves out: Keycloak would link none."""
    declared = [name for name in FIELDS.values() if name in representation]
    if len(declared) != 1:
        return representation
    other = next(kind for kind, name in FIELDS.items() if name not in representation)
    scopes = await place.admin.realm_scopes(place.realm, other, protocol_of(representation))
    return {**representation, FIELDS[other]: [each for each in scopes if each not in representation[declared[0]]]}
