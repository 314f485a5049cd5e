"""What a representation shows and only Keycloak sets: it can stay where a representation was pasted, and means nothing.

Ids, times, what Keycloak makes of other fields, and the masks that it shows instead of secrets. To write them would
change nothing, break something (an id that is taken, a mask in place of a secret), or undo what is meant to happen in
Keycloak: `notBefore` is when sessions were last revoked, and must not be put back. Found out on Keycloak 26.5 and 26.7.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from keycloak_operator.resources.rules import MASK

#: Attributes of a realm that show one of its fields, with the name of that. Where both are written, the field counts.
MIRRORED = {
    "clientOfflineSessionIdleTimeout": "clientOfflineSessionIdleTimeout",
    "clientOfflineSessionMaxLifespan": "clientOfflineSessionMaxLifespan",
    "clientSessionIdleTimeout": "clientSessionIdleTimeout",
    "clientSessionMaxLifespan": "clientSessionMaxLifespan",
    "oauth2DeviceCodeLifespan": "oauth2DeviceCodeLifespan",
    "oauth2DevicePollingInterval": "oauth2DevicePollingInterval",
    "realmReusableOtpCode": "otpPolicyCodeReusable",
    "scimApiEnabled": "scimApiEnabled",
}

_OF_REALM = frozenset(
    {"adminPermissionsClient", "defaultRole", "id", "keycloakVersion", "notBefore", "otpSupportedApplications"}
)
_OF_CLIENT = frozenset({"access", "id", "notBefore", "origin", "registeredNodes"})
_OF_MAPPER = frozenset({"consentRequired", "consentText", "id"})
_ATTRIBUTES_OF_CLIENT = frozenset(
    {
        "client.secret.creation.time",
        "client.secret.expiration.time",
        "client.secret.remaining.expiration.time",
        "client.secret.rotated",
        "client.secret.rotated.creation.time",
        "client.secret.rotated.expiration.time",
        "realm_client",
    }
)
_ARTIFACT_BINDING = "saml.artifact.binding.identifier"

Path = tuple[str, ...]


class Cleaned(NamedTuple):
    """A representation without what only Keycloak sets, and the JSON paths of that, sorted."""

    representation: dict[str, Any]
    left_out: list[str]


def realm_without_read_only(realm: Mapping[str, Any]) -> Cleaned:
    """Return *realm* without what only Keycloak sets; *realm* is not changed."""
    return _cleaned(realm, _read_only_of_realm(realm))


def client_without_read_only(client: Mapping[str, Any]) -> Cleaned:
    """Return *client* without what only Keycloak sets; *client* is not changed."""
    return _cleaned(client, _read_only_of_client(client))


def _read_only_of_realm(realm: Mapping[str, Any]) -> Iterator[Path]:
    yield from ((name,) for name in realm if name in _OF_REALM)
    for name in map_of(realm, "attributes"):
        if MIRRORED.get(name) in realm:
            yield ("attributes", name)
    yield from _masked(realm, "smtpServer")


def _read_only_of_client(client: Mapping[str, Any]) -> Iterator[Path]:
    yield from ((name,) for name in client if name in _OF_CLIENT)
    if client.get("secret") == MASK:
        yield ("secret",)
    attributes = map_of(client, "attributes")
    yield from (("attributes", name) for name in attributes if name in _ATTRIBUTES_OF_CLIENT)
    yield from _masked(client, "attributes")
    if _ARTIFACT_BINDING in attributes and attributes[_ARTIFACT_BINDING] == _artifact_binding(client.get("clientId")):
        yield ("attributes", _ARTIFACT_BINDING)
    for mapper in _mappers(client):
        yield from (("protocolMappers", str(mapper.get("name")), name) for name in mapper if name in _OF_MAPPER)


def _masked(representation: Mapping[str, Any], field: str) -> Iterator[Path]:
    return ((field, name) for name, value in map_of(representation, field).items() if value == MASK)


def _artifact_binding(client_id: Any) -> str:
    """Return what Keycloak calculates of a SAML client's id."""
    digest = hashlib.sha1(str(client_id).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _cleaned(representation: Mapping[str, Any], paths: Iterator[Path]) -> Cleaned:
    left_out = set(paths)
    cleaned: dict[str, Any] = {}
    for name, value in representation.items():
        if (name,) in left_out:
            continue
        if name == "protocolMappers" and isinstance(value, list | tuple):
            cleaned[name] = [_without(each, (name, _name_of(each)), left_out) for each in value]
        else:
            cleaned[name] = _without(value, (name,), left_out)
    return Cleaned(cleaned, sorted(map(".".join, left_out)))


def _without(value: Any, path: Path, left_out: set[Path]) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: each for name, each in value.items() if (*path, name) not in left_out}


def map_of(representation: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Return the map in *field*, an empty one if there is none."""
    value = representation.get(field)
    return value if isinstance(value, Mapping) else {}


def _mappers(client: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    value = client.get("protocolMappers")
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []


def _name_of(mapper: Any) -> str:
    return str(mapper.get("name")) if isinstance(mapper, Mapping) else ""
