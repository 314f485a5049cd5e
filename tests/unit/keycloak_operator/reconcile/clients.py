"""A realm with a client in it, for the tests of clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keycloak_operator.resources import OWNER_ATTRIBUTE, KeycloakClient
from tests.unit.keycloak_operator.reconcile.fakes import Scene, body, keycloak

REALM_OWNER = "test/team/realm"


def realm(**options: Any) -> dict[str, Any]:
    arguments = {key: options.pop(key) for key in ("namespace", "ready", "deleted") if key in options}
    status = {"realm": "r"} if options.pop("there", True) else {}
    spec = {"connectionRef": {"name": "keycloak"}, "realm": {"realm": "r"}, **options}
    return body("KeycloakRealm", "realm", spec, status=status, **arguments)


def client_scene() -> Scene:
    """Return a world in which the realm of the client is there, and that of its resource."""
    made = Scene()
    made.keycloak.add_realm("r", REALM_OWNER)
    made.cluster.add(realm())
    return made


def resource(
    representation: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None, **spec: Any
) -> KeycloakClient:
    declared = {"clientId": "c", "enabled": True, **(representation or {})}
    given = {"realmRef": {"name": "realm"}, "client": declared, **spec}
    return KeycloakClient.parse(body("KeycloakClient", "it", given, status=status))


KNOWN = {"clientId": "c", "id": "id-c", "observedGeneration": 1}


def parsed(representation: Mapping[str, Any], **spec: Any) -> KeycloakClient:
    """Return a client that declares *representation* and not a word more."""
    declared = {"clientId": "c", **representation}
    return KeycloakClient.parse(
        body("KeycloakClient", "it", {"realmRef": {"name": "realm"}, "client": declared, **spec})
    )


def elsewhere(scene: Scene, name: str = "r", **entry: Any) -> dict[str, Any]:
    """Have the realm and the connection in another namespace, which lets that of the tests in; return the reference."""
    scene.cluster.objects.clear()
    scene.cluster.secrets["other", "admin"] = scene.cluster.secrets["team", "admin"]
    entries = [{"namespace": "team", **entry}] if entry else []
    scene.cluster.add(keycloak(namespace="other", allowedNamespaces=entries))
    made = realm(namespace="other", allowedNamespaces=["team"], realm={"realm": name}, adopt=True)
    made["status"]["realm"] = name
    scene.cluster.add(made)
    if name in scene.keycloak.realms:
        scene.keycloak.realms[name]["attributes"][OWNER_ATTRIBUTE] = "test/other/realm"
    return {"realmRef": {"name": "realm", "namespace": "other"}}
