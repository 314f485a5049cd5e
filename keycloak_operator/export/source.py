"""What is exported: a realm with its clients, as Keycloak represents them, and what else there is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keycloak_operator.errors import ForbiddenError, NotFoundError
from keycloak_operator.export.declared import is_own
from keycloak_operator.export.errors import ExportError
from keycloak_operator.keycloak.admin import AdminClient

#: Clients in one answer of Keycloak.
PAGE = 100

#: Roles and client scopes that Keycloak makes in every realm.
OWN_ROLES = frozenset({"offline_access", "uma_authorization"})
OWN_SCOPES = frozenset(
    {
        "AuthnContextClassRef", "acr", "address", "basic", "email", "microprofile-jwt", "offline_access",
        "organization", "phone", "profile", "role_list", "roles", "saml_organization", "service_account", "web-origins",
    }
)  # fmt: skip

Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A realm, or clients alone, of the realm *name*.

    `flows` are the aliases of authentication flows by id. `unmanaged` counts what has no resource: None for what may
    not be seen.
    """

    name: str
    realm: Mapping[str, Any] | None
    clients: list[Mapping[str, Any]] = field(default_factory=list)
    flows: Mapping[str, str] = field(default_factory=dict)
    unmanaged: Mapping[str, int | None] = field(default_factory=dict)


async def from_server(admin: AdminClient, name: str, tell: Tell) -> Source:
    """Read the realm *name*; *tell* is told how many clients were read, page by page."""
    realm = await admin.get_realm(name)
    if realm is None:
        raise ExportError(f"Keycloak has no realm {name}; correct --realm")
    flows = await admin.listed(name, "authentication/flows")
    return Source(
        name=name,
        realm=realm,
        clients=await _clients(admin, name, tell),
        flows=_aliases(flows),
        unmanaged=await _counts(admin, name, flows),
    )


async def _clients(admin: AdminClient, name: str, tell: Tell) -> list[Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    first = 0
    while page := await admin.clients(name, first, PAGE):
        first += len(page)
        # By id: where a client is made or deleted meanwhile, one of a former page may come again.
        found |= {each["id"]: each for each in page}
        tell(len(found))
        if len(page) < PAGE:
            break
    hidden = [each["clientId"] for each in found.values() if "enabled" not in each]
    if hidden:
        raise ForbiddenError(f"the account sees of client {hidden[0]} only its name; it has to view all clients")
    return list(found.values())


async def _counts(admin: AdminClient, name: str, flows: list[dict[str, Any]]) -> dict[str, int | None]:
    counts: dict[str, int | None] = {"authentication flows": _count_flows(flows)}
    for what, path, counted in (
        ("realm roles", "roles", _count_roles),
        ("client scopes", "client-scopes", _count_scopes),
        ("identity providers", "identity-provider/instances", len),
        ("components", "components", len),
    ):
        try:
            counts[what] = counted(await admin.listed(name, path))
        except ForbiddenError:
            counts[what] = None
    for what in ("users", "groups", "organizations"):
        try:
            counts[what] = await admin.count(name, what)
        except NotFoundError:
            counts[what] = 0
        except ForbiddenError:
            counts[what] = None
    return counts


def from_file(text: str, origin: str, name: str | None) -> Source:
    """Read JSON: a realm as Keycloak exports or shows it, a client, or a list of either.

    *name* chooses one of several realms, or says which realm clients are in that come without theirs.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ExportError(f"{origin} is no JSON: {error}") from None
    objects = [each for each in (content if isinstance(content, list) else [content]) if isinstance(each, dict)]
    realms = [each for each in objects if isinstance(each.get("realm"), str)]
    if realms:
        return _of_realm(_chosen(realms, origin, name))
    clients = [each for each in objects if isinstance(each.get("clientId"), str)]
    if not clients:
        raise ExportError(
            f"{origin} holds neither a realm nor a client; expected what Keycloak exports, or answers to "
            "GET /admin/realms/NAME or to GET /admin/realms/NAME/clients"
        )
    if name is None:
        raise ExportError(f"{origin} holds clients without their realm; say which it is with --realm")
    return Source(name=name, realm=None, clients=[*clients])


def _chosen(realms: list[dict[str, Any]], origin: str, name: str | None) -> dict[str, Any]:
    if name is None and len(realms) == 1:
        return realms[0]
    for realm in realms:
        if realm["realm"] == name:
            return realm
    names = ", ".join(str(realm["realm"]) for realm in realms)
    raise ExportError(f"{origin} holds realm {names}; say which one with --realm")


def _of_realm(realm: dict[str, Any]) -> Source:
    flows = _objects(realm, "authenticationFlows")
    clients = [each for each in _objects(realm, "clients") if isinstance(each.get("clientId"), str)]
    roles = realm.get("roles") or {}
    unmanaged: dict[str, int | None] = {
        "authentication flows": _count_flows(flows),
        "realm roles": _count_roles(_objects(roles, "realm")),
        "client roles": _count_client_roles(roles, clients),
        "client scopes": _count_scopes(_objects(realm, "clientScopes")),
        "components": sum(map(len, (realm.get("components") or {}).values())),
        # The users of service accounts come and go with their clients.
        "users": sum(1 for each in _objects(realm, "users") if not each.get("serviceAccountClientId")),
        "groups": len(_objects(realm, "groups")),
        "identity providers": len(_objects(realm, "identityProviders")),
        "organizations": len(_objects(realm, "organizations")),
        "languages with own texts": len(realm.get("localizationTexts") or {}),
    }
    return Source(name=realm["realm"], realm=realm, clients=[*clients], flows=_aliases(flows), unmanaged=unmanaged)


def _objects(representation: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [each for each in representation.get(name) or () if isinstance(each, dict)]


def _aliases(flows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {each["id"]: each["alias"] for each in flows if "id" in each and "alias" in each}


def _count_flows(flows: list[dict[str, Any]]) -> int:
    return sum(1 for each in flows if not each.get("builtIn"))


def _count_roles(roles: list[dict[str, Any]]) -> int:
    own = OWN_ROLES | {each.get("name") for each in roles if str(each.get("name")).startswith("default-roles-")}
    return sum(1 for each in roles if each.get("name") not in own)


def _count_client_roles(roles: Mapping[str, Any], clients: list[dict[str, Any]]) -> int:
    own = {each["clientId"] for each in clients if is_own(each)}
    return sum(len(each) for client, each in (roles.get("client") or {}).items() if client not in own)


def _count_scopes(scopes: list[dict[str, Any]]) -> int:
    return sum(1 for each in scopes if each.get("name") not in OWN_SCOPES)
