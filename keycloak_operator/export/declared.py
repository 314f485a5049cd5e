"""What a resource declares of a realm or a client: what Keycloak shows, without what need not or must not be said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from keycloak_operator.reconcile.difference import NAMED, SETS, are_both_nothing
from keycloak_operator.resources import BUILT_IN, FLOWS, OWNER_ATTRIBUTE
from keycloak_operator.resources.client_refusals import ClientRefusals
from keycloak_operator.resources.defaults import DIFFERS, MISSING, client_attributes, client_default, realm_default
from keycloak_operator.resources.read_only import client_without_read_only, map_of, realm_without_read_only
from keycloak_operator.resources.realm_refusals import RealmRefusals

Path = tuple[str, ...]

_REFUSED_OF_REALM = frozenset(str(each.alias) for each in RealmRefusals.model_fields.values())
_REFUSED_OF_CLIENT = frozenset(str(each.alias) for each in ClientRefusals.model_fields.values())
_MAIL_SECRETS = frozenset({"password", "authTokenClientSecret"})

#: Said in any case. Whether a client that says nothing gets the password grant depends on how it is made.
_SAID_OF_REALM = frozenset({("realm",), ("enabled",)}) | DIFFERS
_SAID_OF_CLIENT = frozenset({("clientId",), ("enabled",), ("protocol",), ("publicClient",)})
_GRANT: Path = ("directAccessGrantsEnabled",)
#: Where one of the first is, Keycloak makes up the others for a client that does not say them.
_FROM_URLS = ("rootUrl", "redirectUris")
_MADE_FROM_URLS = frozenset({("redirectUris",), ("webOrigins",)})

_FIRST = ("realm", "clientId", "name", "displayName", "description", "enabled", "protocol")


class Why(StrEnum):
    """Why a field is left out."""

    READ_ONLY = "as only Keycloak sets them"
    DEFAULT = "as they are Keycloak's defaults"
    UNMANAGED = "as the operator does not manage them"
    SECRET = "as they are secrets"  # noqa: S105 - words, and no secret
    UNKNOWN_FLOW = "as the authentication flows are not known by these ids"


@dataclass(slots=True)
class Declared:
    """The representation that goes into a resource, and the paths of what was left out, with the reason."""

    representation: dict[str, Any]
    left_out: list[tuple[str, Why]] = field(default_factory=list)

    def drop(self, path: Path, why: Why) -> None:
        """Leave out what is at *path*."""
        container: Any = self.representation
        for step in path[:-1]:
            container = container.get(step)
            if not isinstance(container, dict):
                return
        if path[-1] in container:
            del container[path[-1]]
            self.left_out.append((".".join(path), why))


def declared_realm(realm: Mapping[str, Any], name: str, *, all_fields: bool = False) -> Declared:
    """Return what makes a realm like *realm* that is called *name*."""
    cleaned = realm_without_read_only(realm)
    declared = Declared(cleaned.representation, [(path, Why.READ_ONLY) for path in cleaned.left_out])
    declared.representation["realm"] = name
    _drop_what_is_refused(declared, _REFUSED_OF_REALM)
    for secret in _MAIL_SECRETS:
        declared.drop(("smtpServer", secret), Why.SECRET)
    return _finished(declared, _SAID_OF_REALM, realm_default, all_fields=all_fields)


def declared_client(
    client: Mapping[str, Any], flows: Mapping[str, str], *, exists: bool = False, all_fields: bool = False
) -> Declared:
    """Return what makes a client like *client*; *flows* are aliases by id.

    Unless the client *exists* wherever its realm does, as Keycloak's own do, attributes that a new client would get and
    this one does not have are declared to be empty.
    """
    cleaned = client_without_read_only(client)
    declared = Declared(cleaned.representation, [(path, Why.READ_ONLY) for path in cleaned.left_out])
    _drop_what_is_refused(declared, _REFUSED_OF_CLIENT)
    declared.drop(("secret",), Why.SECRET)
    for name in list(map_of(declared.representation, "attributes")):
        if name.endswith("private.key"):
            declared.drop(("attributes", name), Why.SECRET)
    _name_flows(declared, flows)
    protocol = str(client.get("protocol") or "openid-connect")
    said = _SAID_OF_CLIENT | ({_GRANT} if protocol == "openid-connect" else set())
    if any(client.get(name) for name in _FROM_URLS):
        said |= _MADE_FROM_URLS
    finished = _finished(declared, said, lambda path: client_default(path, protocol), all_fields=all_fields)
    if "attributes" in client and not exists:
        absent = client_attributes(protocol).keys() - map_of(client, "attributes").keys()
        if absent:
            attributes = {**map_of(finished.representation, "attributes"), **dict.fromkeys(absent, "")}
            finished.representation = _ordered({**finished.representation, "attributes": attributes})
    return finished


def is_own(client: Mapping[str, Any]) -> bool:
    """Return whether Keycloak makes *client* itself; one in master with the rights on another realm is such, too."""
    return client.get("clientId") in {*BUILT_IN, "admin-permissions"} or (
        map_of(client, "attributes").get("realm_client") == "true"
    )


def has_secret(client: Mapping[str, Any]) -> bool:
    """Return whether *client* proves with a secret who it is."""
    kind = client.get("clientAuthenticatorType") or "client-secret"
    with_secret = str(kind).startswith("client-secret") and client.get("protocol") != "saml"
    return with_secret and not client.get("publicClient") and not client.get("bearerOnly")


def in_realm(client: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """Return *client*, one of Keycloak's own in realm *old*, as it is in realm *new*: that is part of its URLs."""

    def moved(value: Any) -> Any:
        for place in ("realms", "admin"):
            if isinstance(value, str) and value.startswith(f"/{place}/{old}/"):
                return value.replace(f"/{place}/{old}/", f"/{place}/{new}/", 1)
        return [moved(each) for each in value] if isinstance(value, list) else value

    return {key: moved(value) for key, value in client.items()}


def _drop_what_is_refused(declared: Declared, refused: Collection[str]) -> None:
    for name in list(declared.representation):
        if name in refused:
            declared.drop((name,), Why.UNMANAGED)
    declared.drop(("attributes", OWNER_ATTRIBUTE), Why.READ_ONLY)


def _name_flows(declared: Declared, flows: Mapping[str, str]) -> None:
    """Put aliases in the place of ids, which are others in another realm."""
    for binding, value in list(map_of(declared.representation, FLOWS).items()):
        if value in flows:
            declared.representation[FLOWS][binding] = flows[value]
        elif value not in flows.values():
            declared.drop((FLOWS, binding), Why.UNKNOWN_FLOW)


def _finished(
    declared: Declared, said: Collection[Path], default: Callable[[Path], Any], *, all_fields: bool
) -> Declared:
    if not all_fields:
        for path in list(_defaults(declared.representation, (), said, default)):
            declared.drop(path, Why.DEFAULT)
    kept = {name: value for name, value in declared.representation.items() if value not in (None, {})}
    declared.representation = _ordered(kept)
    return declared


def _defaults(
    value: Mapping[str, Any], path: Path, said: Collection[Path], default: Callable[[Path], Any]
) -> Iterator[Path]:
    """Yield the paths of what need not be said."""
    for name, inner in value.items():
        here = (*path, name)
        if isinstance(inner, Mapping):
            yield from _defaults(inner, here, said, default)
        elif here not in said and _is(inner, default(here), name):
            yield here


def _is(value: Any, default: Any, name: str) -> bool:
    if default is MISSING:
        return False
    if name in SETS and isinstance(value, list):
        return set(map(str, value)) == set(map(str, default))
    return bool(value == default) or are_both_nothing(value, default)


def _ordered(representation: Mapping[str, Any]) -> dict[str, Any]:
    """Return *representation* in an order that does not depend on Keycloak, and in which it can be read."""
    names = [name for name in _FIRST if name in representation]
    names += sorted(representation.keys() - set(names))
    return {name: _in_order(representation[name], name) for name in names}


def _in_order(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(value[key], key) for key in sorted(value)}
    if isinstance(value, list | tuple):
        inner = [_ordered(each) if isinstance(each, Mapping) else each for each in value]
        if name in NAMED:
            return sorted(inner, key=lambda each: str(each.get(NAMED[name])))
        return sorted(set(map(str, inner))) if name in SETS else inner
    return value
