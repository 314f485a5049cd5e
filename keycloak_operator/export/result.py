"""The resources that are written, and what is said about what is not in them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from keycloak_operator.export.declared import (
    Why,
    declared_client,
    declared_realm,
    has_secret,
    in_realm,
    is_own,
)
from keycloak_operator.export.names import resource_name
from keycloak_operator.export.source import OWN_SCOPES, Source
from keycloak_operator.resources import (
    API_VERSION,
    FLOWS,
    OWNER_ATTRIBUTE,
    InvalidSpec,
    KeycloakClient,
    KeycloakRealm,
    Resource,
)
from keycloak_operator.resources.defaults import realm_default

_WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the resources come out. `name` is what the realm is called in them, its own name if None."""

    connection: str = "keycloak"
    connection_namespace: str | None = None
    namespace: str | None = None
    prefix: str = ""
    name: str | None = None
    built_in_clients: bool = False
    all_fields: bool = False


@dataclass(slots=True)
class Result:
    """The documents, and what was found out about them: `failed` are those that no resource can declare."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    with_secret: list[str] = field(default_factory=list)
    mail_secrets: list[str] = field(default_factory=list)
    left_out_of_realm: dict[Why, list[str]] = field(default_factory=dict)
    left_out_of_clients: dict[Why, Counter[str]] = field(default_factory=dict)


def export(source: Source, options: Options) -> Result:
    """Return a resource for the realm of *source*, if it is there, and for each of its clients."""
    result, name = Result(), options.name or source.name
    realm_resource = resource_name(name, options.prefix)
    if source.realm is not None:
        declared = declared_realm(source.realm, name, all_fields=options.all_fields)
        for path, why in declared.left_out:
            result.left_out_of_realm.setdefault(why, []).append(path)
        result.mail_secrets = sorted(set(source.realm.get("smtpServer") or ()) & {"password", "authTokenClientSecret"})
        reference = {"name": options.connection}
        if options.connection_namespace:
            reference["namespace"] = options.connection_namespace
        spec = {"connectionRef": reference, "realm": declared.representation}
        _add(result, KeycloakRealm, realm_resource, spec, options, what=f"realm {name}")
        _note_owner(result, source.realm, f"realm {source.name}")
    for client in sorted(source.clients, key=lambda each: str(each["clientId"])):
        _export_client(result, source, client, realm_resource, options)
    return result


def _export_client(
    result: Result, source: Source, client: Mapping[str, Any], realm_resource: str, options: Options
) -> None:
    client_id, own = client["clientId"], is_own(client)
    if own and not options.built_in_clients:
        result.own.append(client_id)
        return
    if own and options.name:
        client = in_realm(client, source.name, options.name)
    declared = declared_client(client, source.flows, exists=own, all_fields=options.all_fields)
    for path, why in declared.left_out:
        result.left_out_of_clients.setdefault(why, Counter())[_of_any_mapper(path)] += 1
    spec = {"realmRef": {"name": realm_resource}, "client": declared.representation}
    name = resource_name(client_id, options.prefix)
    if _add(result, KeycloakClient, name, spec, options, what=f"client {client_id}", exists=own):
        _note_owner(result, client, f"client {client_id}")
        if has_secret(client):
            result.with_secret.append(client_id)


def _add(
    result: Result,
    kind: type[Resource],
    name: str,
    spec: dict[str, Any],
    options: Options,
    *,
    what: str,
    exists: bool = False,
) -> bool:
    """Add a document, unless the API server would refuse it."""
    # Another realm is meant to be a new one: one that exists must not be taken over by an oversight.
    spec |= {"adopt": exists or options.name is None, "deletionPolicy": "Retain"}
    metadata = {"name": name} | ({"namespace": options.namespace} if options.namespace else {})
    document = {"apiVersion": API_VERSION, "kind": kind.definition.kind, "metadata": metadata, "spec": spec}
    stored = {"name": name, "namespace": options.namespace or "default", "uid": "unknown", "generation": 1}
    try:
        kind.parse({**document, "metadata": stored})
    except InvalidSpec as error:
        result.failed.append(f"{what}: {error}")
        return False
    result.documents.append(document)
    return True


def _note_owner(result: Result, representation: Mapping[str, Any], what: str) -> None:
    owner = (representation.get("attributes") or {}).get(OWNER_ATTRIBUTE)
    if owner:
        result.owners[what] = str(owner)


def told(source: Source, result: Result) -> Iterator[str]:
    """Yield the lines that say what was written, what was left out and why, and what has to be there elsewhere."""
    kinds = Counter(document["kind"] for document in result.documents)
    written = [f"{number} {kind}" for kind, number in kinds.items()] or ["nothing"]
    yield f"realm {source.name}: {' and '.join(written)} written"
    for why in (Why.READ_ONLY, Why.DEFAULT, Why.SECRET, Why.UNKNOWN_FLOW):
        yield from _listed(f"left out of the realm, {why}", sorted(result.left_out_of_realm.get(why, ())))
        yield from _listed(f"left out of clients, {why}", _counted(result.left_out_of_clients.get(why, Counter())))
    yield from _listed(
        f"left out of clients, {Why.UNMANAGED}", _counted(result.left_out_of_clients.get(Why.UNMANAGED, Counter()))
    )
    unmanaged = [
        f"{'?' if count is None else count} {what}" for what, count in sorted(source.unmanaged.items()) if count != 0
    ]
    yield from _listed(f"left out, {Why.UNMANAGED}", unmanaged)
    if None in source.unmanaged.values():
        yield "  ? stands for what the account may not see"
    yield from _listed("left out, as they are Keycloak's own clients; --built-in-clients exports them", result.own)
    yield from _listed(
        "clients with a secret: beside this realm they keep it; elsewhere Keycloak makes one, unless "
        "spec.clientSecretRef names a Secret that has it",
        result.with_secret,
    )
    yield from _listed(
        "secrets of smtpServer: beside this realm they stay; elsewhere spec.smtpPasswordSecret names a Secret that has "
        "the password, and authTokenClientSecret is set in Keycloak",
        result.mail_secrets,
    )
    yield from _listed("has to be there in another realm first", _needed(result.documents))
    yield from _listed(
        "managed by a resource already: beside this realm, apply it as that one, which is named "
        "operator/namespace/name",
        [f"{what} ({owner})" for what, owner in result.owners.items()],
    )
    for reason in result.failed:
        yield f"NOT exported, as no resource can declare it: {reason}"


def _of_any_mapper(path: str) -> str:
    """Return *path* with a star in the place of the name of a mapper: each has the same fields."""
    field, _, inner = path.partition(".")
    return f"{field}.*.{inner.rpartition('.')[2]}" if field == "protocolMappers" else path


def _counted(paths: Counter[str]) -> list[str]:
    return [path if number == 1 else f"{path} ({number})" for path, number in sorted(paths.items())]


def _listed(what: str, names: Iterable[str]) -> Iterator[str]:
    names = list(names)
    if names:
        text = f"{what}: {', '.join(names)}"
        yield from textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _needed(documents: list[dict[str, Any]]) -> list[str]:
    """Return what documents name and do not make: client scopes, groups and authentication flows."""
    needed: set[str] = set()
    for document in documents:
        realm, client = document["spec"].get("realm", {}), document["spec"].get("client", {})
        scopes = {*client.get("defaultClientScopes", ()), *client.get("optionalClientScopes", ())}
        needed |= {f"client scope {name}" for name in scopes - OWN_SCOPES}
        needed |= {f"group {path}" for path in realm.get("defaultGroups", ())}
        needed |= {f"authentication flow {name}" for name in _flows_named(realm, client) - _OWN_FLOWS}
    return sorted(needed)


def _flows_named(realm: Mapping[str, Any], client: Mapping[str, Any]) -> set[str]:
    named = {str(value) for name, value in realm.items() if name.endswith("Flow")}
    return named | set((client.get(FLOWS) or {}).values())


_OWN_FLOWS = {
    realm_default((name,))
    for name in (
        "browserFlow", "clientAuthenticationFlow", "directGrantFlow", "dockerAuthenticationFlow",
        "firstBrokerLoginFlow", "registrationFlow", "resetCredentialsFlow",
    )
}  # fmt: skip
