"""The kind KeycloakClient: a client with our marker, as declared, and its credentials in a Secret."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

from keycloak_operator.errors import (
    InvalidSpecError,
    NameConflictError,
    NamespaceNotAllowedError,
    NotConvergedError,
    NotFoundError,
    OperatorError,
    RejectedByKeycloakError,
)
from keycloak_operator.reconcile import credentials, managed, ownership, references
from keycloak_operator.reconcile.convergence import Target, converge
from keycloak_operator.reconcile.difference import MASK
from keycloak_operator.reconcile.outcome import Outcome, World
from keycloak_operator.reconcile.ownership import Claim
from keycloak_operator.reconcile.ports import Access, Admin
from keycloak_operator.resources import (
    BUILT_IN,
    OWNER_ATTRIBUTE,
    KeycloakClient,
    KeycloakConnection,
    KeycloakRealm,
    SecretVersion,
)
from keycloak_operator.resources.defaults import client_default

#: The links of a client to client scopes: not among its settings when it is updated, and with endpoints of their own.
SCOPES = {"default": "defaultClientScopes", "optional": "optionalClientScopes"}

#: What a client is when it is created and its resource says nothing about it. Keycloak's own answer depends on which
#: other fields are sent.
CREATED = {"enabled": True, "protocol": "openid-connect", "publicClient": False}

_FLOWS = "authenticationFlowBindingOverrides"

#: Mappers, and claims, that put roles into a token which its user does not have.
_ROLE_MAPPERS = frozenset(
    {"oidc-hardcoded-role-mapper", "oidc-role-name-mapper", "saml-hardcode-role-mapper", "saml-role-name-mapper"}
)
_ROLE_CLAIMS = frozenset({"realm_access", "resource_access"})


@dataclass(frozen=True, slots=True)
class _Place:
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


async def reconcile(world: World, client: KeycloakClient) -> Outcome:
    """Create the client or correct it, and write its Secret; write nothing if all is as declared."""
    outcome = Outcome()
    with outcome.told():
        managed.check_mode(client)
        realm = await references.realm_of(world, client)
        connection = await references.connection_of(world, realm)
        access = await references.access_of(world, connection)
        _check_access(connection, access, realm, client)
        place = _place(world, connection, access, realm, client)
        outcome.status |= {
            "clientId": place.client_id,
            "issuer": f"{connection.spec.url}/realms/{place.realm}",
        }
        if client.spec.mode == "Observe":
            return await _observe(world, client, place, outcome)
        await _enforce(world, client, place, outcome)
    return outcome


async def _enforce(world: World, client: KeycloakClient, place: _Place, outcome: Outcome) -> None:
    declared, versions = await _declared(world, client, place)
    actual = await _existing(world, client, place, declared, outcome)
    outcome.status["id"] = actual["id"]
    target = managed.target_of(client, await _comparable(place, declared, actual), functools.partial(_default, actual))
    managed.remember(outcome, target, done=False)
    settings = Target(
        declared={key: value for key, value in target.declared.items() if key not in SCOPES.values()},
        memory=target.memory,
        default=target.default,
    )

    async def write(representation: dict[str, Any]) -> None:
        await place.write(actual, representation)
        outcome.status["secretVersions"] = sent

    sent = [version.model_dump(by_alias=True) for version in versions]
    hidden = "secret" in declared and actual.get("secret") in {None, MASK}
    failure = None
    try:
        changed, kept = await converge(
            settings,
            {key: value for key, value in actual.items() if key not in SCOPES.values()},
            what=str(place),
            write=write,
            read=functools.partial(_settings, place, declared.get("secret", "")),
            force=hidden and versions != client.status.secret_versions,
            attempted=client.status.attempted,
        )
        # After the settings: switching the service account on links a scope that may not be declared.
        latest = await place.read() or actual if changed else actual
        changed += await _link_scopes(place, target, latest, client.status.attempted)
        managed.tell_of_changes(outcome, client, str(place), changed)
        managed.mention_kept(outcome, kept)
    except (NotConvergedError, RejectedByKeycloakError) as error:
        failure = error  # of the settings: applications need their credentials nevertheless
        latest = await place.read() or actual
    outcome.status["secretName"] = await credentials.write(
        world, client, place.admin, place.realm, actual=latest, issuer=outcome.status["issuer"]
    )
    if failure is not None:
        raise failure
    outcome.status["secretVersions"] = sent
    managed.remember(outcome, target, done=True)


async def _observe(world: World, client: KeycloakClient, place: _Place, outcome: Outcome) -> Outcome:
    declared, _ = await _declared(world, client, place)
    actual = await place.read(declared.get("secret", ""))
    if actual is None:
        return managed.observed(outcome, str(place), ["clientId"])
    place.claim.check(actual, str(place), observing=True)
    comparable = await _comparable(place, declared, actual)
    target = managed.target_of(client, comparable, functools.partial(_default, actual))
    scopes = await _wrong_scopes(place, target, actual)
    settings = {path for path in target.differences(actual) if path not in SCOPES.values()}
    return managed.observed(outcome, str(place), sorted(settings | {SCOPES[kind] for kind in scopes}))


async def release(world: World, client: KeycloakClient) -> Outcome:
    """Let go of the client: delete it, or take only our marker off; one that is not ours is left alone."""
    outcome, name = Outcome(), client.spec.client.client_id
    if client.spec.mode != "Enforce":
        return managed.abandon(outcome, f"spec.mode is {client.spec.mode}, so client {name} stays in Keycloak as it is")
    realm = await references.find(world, KeycloakRealm, client.realm_key)
    connection = await references.find(world, KeycloakConnection, realm.connection_key) if realm else None
    if realm is None or connection is None or connection.terminating_since or _takes_clients_along(realm):
        return managed.abandon(outcome, f"its realm or connection is gone; client {name} may remain in Keycloak")
    if client.spec.deletion_policy == "Retain":
        await _unmark(world, connection, realm, client)
        return outcome
    place = _place(world, connection, await references.access_of(world, connection), realm, client)
    # A realm that was deleted in Keycloak took its clients along.
    actual = await place.read() if await place.admin.get_realm(place.realm) is not None else None
    if actual is not None and ownership.owner_of(actual) == place.claim.marker:
        await place.admin.delete_client(place.realm, actual["id"])
        outcome.tell("Deleted", str(place))
    return outcome


def _place(
    world: World, connection: KeycloakConnection, access: Access, realm: KeycloakRealm, client: KeycloakClient
) -> _Place:
    claim = Claim(
        marker=ownership.marker(world.operator_id, client.key),
        adopt=client.spec.adopt,
        allowed=references.grant_of(connection, client.metadata.namespace).adopt,
        connection=connection.key,
    )
    return _Place(
        world.keycloaks.admin(access),
        realm.spec.realm.realm,
        client.spec.client.client_id,
        claim,
        ownership.marker(world.operator_id, realm.key),
    )


def _takes_clients_along(realm: KeycloakRealm) -> bool:
    spec = realm.spec
    return realm.terminating_since is not None and spec.deletion_policy == "Delete" and spec.mode == "Enforce"


def _check_access(connection: KeycloakConnection, access: Access, realm: KeycloakRealm, client: KeycloakClient) -> None:
    """Raise if the client is none that a resource of its namespace may declare."""
    name, namespace = realm.spec.realm.realm, client.metadata.namespace
    client_id = client.spec.client.client_id
    if connection.administers(name) and namespace != connection.metadata.namespace:
        raise NamespaceNotAllowedError(
            f"clients of realm {name} can administer Keycloak, so they are declared in namespace "
            f"{connection.metadata.namespace} of the KeycloakConnection only"
        )
    if name == connection.spec.admin.login_realm and client_id == (access.client_id or "admin-cli"):
        raise InvalidSpecError(
            f"client {client_id} of realm {name} is what the operator itself logs in with; change it in Keycloak"
        )
    if client_id in BUILT_IN and not references.grant_of(connection, namespace).built_in_clients:
        raise NamespaceNotAllowedError(
            f"client {client_id} is one of Keycloak's own, and KeycloakConnection {connection.key} does not let "
            f"namespace {namespace} change those; set builtInClients to true in the namespace's entry of "
            "spec.allowedNamespaces there"
        )
    may_declare_realm = references.grant_of(connection, namespace).declares(
        name, administrative=connection.administers(name)
    )
    if namespace != realm.metadata.namespace and not may_declare_realm:
        _check_mappers(client)


def _check_mappers(client: KeycloakClient) -> None:
    """Raise if a mapper makes roles up: from a role in its token, a client administers its realm."""
    makes_up = [
        mapper.name
        for mapper in client.spec.client.protocol_mappers or ()
        if mapper.protocol_mapper in _ROLE_MAPPERS
        or str(mapper.protocol_mapper).startswith("script-")
        or (mapper.config or {}).get("claim.name", "").partition(".")[0] in _ROLE_CLAIMS
    ]
    if makes_up:
        raise NamespaceNotAllowedError(
            f"protocolMappers {', '.join(makes_up)} can give roles that administer the realm, so they are only for "
            "namespaces that may declare the realm itself"
        )


async def _declared(
    world: World, client: KeycloakClient, place: _Place
) -> tuple[dict[str, Any], tuple[SecretVersion, ...]]:
    """Return the declared client with our marker and its secret, and the version of that."""
    declared = ownership.claimed(client.spec.client.declared(), place.claim.marker)
    if client.spec.client_secret_ref is None:
        return declared, ()
    value, version = await references.secret_value(world, client.metadata.namespace, client.spec.client_secret_ref)
    declared["secret"] = value
    return declared, (version,)


async def _existing(
    world: World, client: KeycloakClient, place: _Place, declared: dict[str, Any], outcome: Outcome
) -> dict[str, Any]:
    """Return the client as it is, ours; created as declared if there was none."""
    actual = await place.read(declared.get("secret", ""))
    if actual is None:
        # With the secret that applications still hold: the client may have been lost in Keycloak, not here.
        secret = await credentials.kept(world, client)
        representation = CREATED | ({"secret": secret} if secret else {}) | declared
        if declared.get(_FLOWS):
            representation[_FLOWS] = await _flows(place, declared[_FLOWS])
        created = await place.create(await _with_both_kinds_of_scopes(place, representation))
        actual = await place.read()
        if actual is None:
            raise NameConflictError(f"{place} was created and is gone again; does another program manage it?")
        if created and client.status.id is None:
            outcome.tell("Created", str(place))
        elif created:
            outcome.tell("DriftCorrected", f"{place} was gone and is created anew")
    place.claim.check(actual, str(place))
    return actual


async def _with_both_kinds_of_scopes(place: _Place, representation: dict[str, Any]) -> dict[str, Any]:
    """Return *representation* with the realm's scopes of the kind that it leaves out: Keycloak would link none."""
    declared = [name for name in SCOPES.values() if name in representation]
    if len(declared) != 1:
        return representation
    other = next(kind for kind, name in SCOPES.items() if name not in representation)
    taken = set(representation[declared[0]])
    scopes = [name for name in await place.admin.realm_scopes(place.realm, other) if name not in taken]
    return {**representation, SCOPES[other]: scopes}


async def _comparable(place: _Place, declared: dict[str, Any], actual: dict[str, Any]) -> dict[str, Any]:
    """Return *declared* in the words that Keycloak shows: with ids in the place of the aliases of flows."""
    comparable = dict(declared)
    if overrides := declared.get(_FLOWS):
        present = actual.get(_FLOWS) or {}
        if any(present.get(name) != value for name, value in overrides.items()):
            comparable[_FLOWS] = await _flows(place, overrides)
    return comparable


async def _flows(place: _Place, overrides: dict[str, str]) -> dict[str, str]:
    """Return *overrides* with the id of each authentication flow in the place of its alias."""
    known = await place.admin.flows(place.realm)
    ids = set(known.values())
    if missing := sorted(value for value in overrides.values() if value and value not in known and value not in ids):
        raise RejectedByKeycloakError(f"realm {place.realm} has no authentication flow {', '.join(missing)}")
    return {name: known.get(value, value) for name, value in overrides.items()}


def _default(actual: dict[str, Any], path: tuple[str, ...]) -> Any:
    return client_default(path, str(actual.get("protocol") or CREATED["protocol"]))


async def _settings(place: _Place, secret: str) -> dict[str, Any] | None:
    """Return the client without its links to client scopes."""
    actual = await place.read(secret)
    return None if actual is None else {key: value for key, value in actual.items() if key not in SCOPES.values()}


def _as_update(before: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what to send so that a client that is as *before* becomes as *wanted*.

    Keycloak merges these maps, so an empty value is how an entry goes. A secret that did not change is left out: it may
    be rotated at this moment.
    """
    update = dict(wanted)
    for name in ("attributes", _FLOWS):
        gone = dict.fromkeys((before.get(name) or {}).keys() - (wanted.get(name) or {}).keys(), "")
        if gone:
            update[name] = {**(wanted.get(name) or {}), **gone}
    if update.get("secret") == before.get("secret"):
        update.pop("secret", None)
    return update


async def _wrong_scopes(place: _Place, target: Target, actual: dict[str, Any]) -> dict[str, tuple[set[str], set[str]]]:
    """Return the scopes that the client has to have, and those that it has, for each kind in which these differ."""
    wrong = {}
    for kind, name in SCOPES.items():
        present = set(actual.get(name) or ())
        wanted = await _wanted_scopes(place, kind, target, present)
        if wanted != present:
            wrong[kind] = (wanted, present)
    return wrong


async def _link_scopes(place: _Place, target: Target, actual: dict[str, Any], attempted: str | None) -> list[str]:
    """Make the client's links to client scopes those declared, and return the fields that were changed.

    Keycloak takes a link that it does not want, of another protocol for example, and makes none.
    """
    wrong = await _wrong_scopes(place, target, actual)
    if not wrong:
        return []
    if attempted != _digest(wrong):
        await place.check_realm()
        await _link(place, actual, wrong)
        left = await _wrong_scopes(place, target, await place.read() or {})
        if not left:
            return [SCOPES[kind] for kind in wrong]
        wrong = left
    missed = {name for wanted, present in wrong.values() for name in wanted ^ present}
    error = NotConvergedError(
        f"{place}: Keycloak accepted the links to client scopes and shows others ({', '.join(sorted(missed))}); "
        "correct the spec"
    )
    error.status = {"attempted": _digest(wrong)}
    raise error


def _digest(wrong: dict[str, tuple[set[str], set[str]]]) -> str:
    text = repr({kind: [sorted(names) for names in pair] for kind, pair in wrong.items()})
    return hashlib.sha256(text.encode()).hexdigest()


async def _link(place: _Place, actual: dict[str, Any], wrong: dict[str, tuple[set[str], set[str]]]) -> None:
    ids = await place.admin.client_scopes(place.realm)
    if missing := sorted(set().union(*(wanted for wanted, _ in wrong.values())) - set(ids)):
        raise RejectedByKeycloakError(f"realm {place.realm} has no client scope {', '.join(missing)}")
    # All that go before any that come: a scope is either default or optional, and may change from one to the other.
    for kind, (wanted, present) in wrong.items():
        for name in sorted(present - wanted & set(ids)):
            await place.admin.unlink_scope(place.realm, actual["id"], kind, ids[name])
    for kind, (wanted, present) in wrong.items():
        for name in sorted(wanted - present):
            await place.admin.link_scope(place.realm, actual["id"], kind, ids[name])


async def _wanted_scopes(place: _Place, kind: str, target: Target, present: set[str]) -> set[str]:
    """Return the names of the scopes that the client has to have: where none are declared, those it has.

    Once declared and no longer, they are those of the realm, as a new client would have, and what was added meanwhile.
    """
    name = SCOPES[kind]
    if name in target.declared:
        return set(target.declared[name])
    # A scope is one or the other, so what is declared as the other is not wanted here.
    others = {each for other, field in SCOPES.items() if other != kind for each in target.declared.get(field) or ()}
    if (name,) not in target.memory:
        return present - others
    realms = set(await place.admin.realm_scopes(place.realm, kind)) - others
    return {each for each in present - others if (name, each) not in target.memory} | realms


async def _unmark(world: World, connection: KeycloakConnection, realm: KeycloakRealm, client: KeycloakClient) -> None:
    """Take our marker off, if that is possible right now: a client that stays must not keep its resource from going."""
    try:
        place = _place(world, connection, await references.access_of(world, connection), realm, client)
        actual = await place.read()
        if actual is not None and ownership.owner_of(actual) == place.claim.marker:
            attributes = {key: value for key, value in actual["attributes"].items() if key != OWNER_ATTRIBUTE}
            await place.write(actual, {**actual, "attributes": attributes})
    except OperatorError:
        return
