"""A Keycloak and a Kubernetes API in memory, which write down what they are asked to change."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from keycloak_operator.errors import OperatorError
from keycloak_operator.reconcile.outcome import World
from keycloak_operator.reconcile.ports import Access, Representation, Secret
from keycloak_operator.resources import API_VERSION, OWNER_ATTRIBUTE

NAMESPACE = "team"
OWNER = f"test/{NAMESPACE}/it"


class FakeKeycloak:
    """Implements `Admin` and `Keycloaks`; `calls` has one word per write, and `failure` is raised by every method."""

    def __init__(self) -> None:
        self.realms: dict[str, dict[str, Any]] = {}
        self.clients: dict[str, dict[str, dict[str, Any]]] = {}
        self.calls: list[str] = []
        self.accesses: list[Access] = []
        self.failure: OperatorError | None = None
        self.ignores: set[str] = set()
        self.scopes = {"profile": "id-profile", "email": "id-email", "phone": "id-phone"}

    def admin(self, access: Access) -> FakeKeycloak:
        self.accesses.append(access)
        return self

    def add_realm(self, name: str, owner: str = "", **fields: Any) -> None:
        attributes = {OWNER_ATTRIBUTE: owner} if owner else {}
        self.realms[name] = {"id": f"id-{name}", "realm": name, "enabled": True, "attributes": attributes, **fields}
        self.clients.setdefault(name, {})

    def add_client(self, realm: str, client_id: str, owner: str = "", **fields: Any) -> None:
        attributes = {OWNER_ATTRIBUTE: owner} if owner else {}
        given = {"id": f"id-{client_id}", "clientId": client_id, "secret": "s3cret", "attributes": attributes}
        self.clients[realm][client_id] = {**given, **fields}

    def _ask(self, call: str = "") -> None:
        if self.failure is not None:
            raise self.failure
        if call:
            self.calls.append(call)

    async def version(self) -> str:
        self._ask()
        return "26.5.5"

    async def get_realm(self, realm: str) -> dict[str, Any] | None:
        self._ask()
        return copy.deepcopy(self.realms.get(realm))

    async def create_realm(self, representation: Representation) -> bool:
        self._ask(f"POST {representation['realm']}")
        self.add_realm(representation["realm"])
        self.realms[representation["realm"]].update(copy.deepcopy(dict(representation)))
        return True

    async def update_realm(self, realm: str, representation: Representation) -> None:
        self._ask(f"PUT {realm}")
        kept = {key: value for key, value in representation.items() if key not in self.ignores}
        self.realms[realm] = {**self.realms[realm], **copy.deepcopy(kept)}

    async def delete_realm(self, realm: str) -> None:
        self._ask(f"DELETE {realm}")
        self.realms.pop(realm, None)
        self.clients.pop(realm, None)

    async def find_client(self, realm: str, client_id: str) -> dict[str, Any] | None:
        self._ask()
        return copy.deepcopy(self.clients[realm].get(client_id))

    async def create_client(self, realm: str, representation: Representation) -> bool:
        self._ask(f"POST {realm}/{representation['clientId']}")
        self.add_client(realm, representation["clientId"], **copy.deepcopy(dict(representation)))
        return True

    async def update_client(self, realm: str, internal_id: str, representation: Representation) -> None:
        name = internal_id.removeprefix("id-")
        self._ask(f"PUT {realm}/{name}")
        links = ("defaultClientScopes", "optionalClientScopes")
        settings = {key: value for key, value in representation.items() if key not in links}
        client, settings = self.clients[realm][name], copy.deepcopy(settings)
        for merged in ("attributes", "authenticationFlowBindingOverrides"):
            entries = {**client.get(merged, {}), **settings.pop(merged, {})}
            settings[merged] = {key: value for key, value in entries.items() if value}
        client.update(settings)

    async def delete_client(self, realm: str, internal_id: str) -> None:
        name = internal_id.removeprefix("id-")
        self._ask(f"DELETE {realm}/{name}")
        self.clients[realm].pop(name, None)

    async def client_secret(self, realm: str, internal_id: str) -> str:
        self._ask()
        return str(self.clients[realm][internal_id.removeprefix("id-")]["secret"])

    async def rotated_secret(self, realm: str, internal_id: str) -> str:
        self._ask()
        return str(self.clients[realm][internal_id.removeprefix("id-")].get("rotated", ""))

    async def flows(self, realm: str) -> dict[str, str]:  # noqa: ARG002 - every realm here has the same
        self._ask()
        return {"browser": "id-browser", "my browser": "id-mine"}

    async def realm_scopes(self, realm: str, kind: str, protocol: str) -> list[str]:  # noqa: ARG002 - as in every realm
        self._ask()
        return ["profile", "email"] if kind == "default" else ["phone"]

    async def client_scopes(self, realm: str) -> dict[str, str]:  # noqa: ARG002 - every realm here has the same
        self._ask()
        return dict(self.scopes)

    def _links(self, realm: str, internal_id: str, kind: str) -> list[str]:
        links: list[str] = self.clients[realm][internal_id.removeprefix("id-")].setdefault(f"{kind}ClientScopes", [])
        return links

    async def link_scope(self, realm: str, internal_id: str, kind: str, scope_id: str) -> None:
        name = scope_id.removeprefix("id-")
        self._ask(f"LINK {kind} {name}")
        other = {"default": "optional", "optional": "default"}[kind]
        if name not in self._links(realm, internal_id, other) and name not in self.ignores:
            self._links(realm, internal_id, kind).append(name)

    async def unlink_scope(self, realm: str, internal_id: str, kind: str, scope_id: str) -> None:
        self._ask(f"UNLINK {kind} {scope_id.removeprefix('id-')}")
        self._links(realm, internal_id, kind).remove(scope_id.removeprefix("id-"))


class FakeCluster:
    """Implements `Cluster`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.secrets: dict[tuple[str, str], Secret] = {}
        self.calls: list[str] = []

    def add(self, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        self.objects[f"{body['kind'].lower()}s", metadata["namespace"], metadata["name"]] = body

    def add_secret(self, name: str, owner: str = "", version: str = "1", **data: str) -> None:
        data = {key.replace("_", "-"): value for key, value in data.items()}
        owners = frozenset({owner} if owner else ())
        secret = Secret(namespace=NAMESPACE, name=name, data=data, resource_version=version, owners=owners)
        self.secrets[NAMESPACE, name] = secret

    async def get(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        return self.objects.get((plural, namespace, name))

    async def secret(self, namespace: str, name: str) -> Secret | None:
        return self.secrets.get((namespace, name))

    async def apply_secret(self, secret: Secret, owner: Mapping[str, Any]) -> None:
        self.calls.append(f"APPLY {secret.name}")
        uid = owner["metadata"]["uid"]
        self.secrets[secret.namespace, secret.name] = Secret(
            namespace=secret.namespace,
            name=secret.name,
            data=secret.data,
            owners=frozenset({uid}),
            labels=secret.labels,
            annotations=secret.annotations,
        )

    async def delete_secret(self, secret: Secret) -> None:
        self.calls.append(f"DELETE {secret.name}")
        del self.secrets[secret.namespace, secret.name]

    async def patch_status(self, *_: object) -> None:
        raise AssertionError("reconciling does not write statuses")


def body(
    kind: str,
    name: str,
    spec: Mapping[str, Any],
    *,
    namespace: str = NAMESPACE,
    ready: bool = True,
    status: Mapping[str, Any] | None = None,
    deleted: bool = False,
) -> dict[str, Any]:
    """Return a resource as the API server gives it."""
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "reason": "Synced" if ready else "Waiting",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z"
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": metadata,
        "spec": dict(spec),
        "status": {"conditions": [condition], **(status or {})},
    }


def keycloak(**options: Any) -> dict[str, Any]:
    """Return a Keycloak named ``keycloak``; *options* are those of `body`, or fields of its spec."""
    arguments = {key: options.pop(key) for key in ("namespace", "ready", "deleted") if key in options}
    spec = {"url": "http://kc", "admin": {"secret": "admin"}, **options}
    return body("KeycloakConnection", "keycloak", spec, **arguments)


class Scene:
    """A world with a Keycloak that is Ready, and its admin Secret."""

    def __init__(self) -> None:
        self.keycloak, self.cluster = FakeKeycloak(), FakeCluster()
        self.world = World(cluster=self.cluster, keycloaks=self.keycloak, operator_id="test")
        self.cluster.add(keycloak())
        self.cluster.add_secret("admin", client_id="op", client_secret="pw")
